// check(): from the text of a file to the program of its model.
//
// In: sources and a configuration. Out: a Program, or diagnostics. The order: parse; what can
// be said of every definition by itself; elaborate the model; types; ranges; order. What an error
// leaves untouched goes on to the next.
#include "dsl/check/Checker.h"

#include "dsl/check/Elaborator.h"
#include "dsl/proof/Schedule.h"
#include "dsl/syntax/Parser.h"

#include <algorithm>
#include <functional>
#include <set>

namespace qkv {
namespace sema {

/// C1: a size of the file that this model uses nowhere is bound by nothing, and is none of its own.
static void dropUnusedSizes(Program &program) {
  std::set<int> used;
  std::function<void(const Size &)> use = [&](const Size &size) {
    for (auto &[monomial, coefficient] : size.terms())
      for (int atom : monomial)
        if (used.insert(atom).second && program.atoms[atom].lhs) {
          use(*program.atoms[atom].lhs);
          use(*program.atoms[atom].rhs);
        }
  };
  std::set<const Expr *> seen;
  // Long sums are deep trees: no recursion.
  auto visit = [&](const Expr *root) {
    std::vector<const Expr *> open{root};
    while (!open.empty()) {
      const Expr *e = open.back();
      open.pop_back();
      if (!e || !seen.insert(e).second)
        continue;
      if (e->kind == Expr::Kind::Size)
        use(e->size);
      for (auto &argument : e->args)
        open.push_back(argument.get());
    }
  };
  for (auto &letter : program.letters)
    use(letter.extent);
  for (auto &tensor : program.tensors) {
    for (auto &axis : tensor.axes)
      use(axis.extent);
    for (auto &piece : tensor.pieces) {
      for (auto &index : piece.indices)
        use(index.position);
      visit(piece.value.get());
      visit(piece.guard.get());
    }
  }
  std::erase_if(program.dynamicSizes, [&](int atom) { return !used.count(atom); });
  if (program.stream >= 0 && !used.count(program.stream))
    program.stream = -1;
}

} // namespace sema

std::vector<std::string> modelNames(const Source &source) {
  Diagnostics ignored;
  std::vector<std::string> out;
  ast::File file = parse(source, ignored);
  for (auto &d : file.definitions)
    if (d.kind == ast::Definition::Kind::Model)
      out.push_back(d.name.text);
  return out;
}

// A piece whose every position has an equation of its own (P1) says nothing.
static void dropEmptyPieces(Program &program) {
  auto empty = [&](const Tensor &t, const Piece &p) {
    for (size_t axis = 0; axis < p.indices.size(); ++axis) {
      if (p.indices[axis].letter < 0)
        continue;
      auto extent = program.letters[p.indices[axis].letter].extent.constant();
      if (!extent)
        continue;
      std::set<int64_t> taken;
      for (const Piece &o : t.pieces) {
        if (&o == &p || o.indices[axis].letter >= 0)
          continue;
        bool covers = true;
        for (size_t i = 0; i < p.indices.size(); ++i)
          if (i != axis && o.indices[i].letter < 0 &&
              !(p.indices[i].letter < 0 && o.indices[i].position == p.indices[i].position))
            covers = false;
        auto at = o.indices[axis].position.constant();
        if (covers && at && *at >= 0 && *at < *extent)
          taken.insert(*at);
      }
      if (!taken.empty() && static_cast<int64_t>(taken.size()) >= *extent)
        return true;
    }
    return false;
  };
  for (Tensor &t : program.tensors)
    for (size_t i = t.pieces.size(); i-- > 0;)
      if (empty(t, t.pieces[i]))
        t.pieces.erase(t.pieces.begin() + i);
}

static void repeat(const Diagnostic &from, Diagnostics &to) {
  auto &copy = to.error(from.span, from.message, from.rule);
  copy.notes = from.notes;
  copy.hints = from.hints;
}

/// Definitions that no model reaches are checked for letters of any extent; what depends on the
/// extents is not theirs to answer for.
static void checkUncalled(const Source &source, Sources &sources, const CheckOptions &options,
                          const ast::File &file, Diagnostics &diagnostics) {
  std::set<std::string> called;
  std::function<void(const ast::Expr &)> mark = [&](const ast::Expr &e) {
    if (e.kind == ast::Expr::Kind::Call || e.kind == ast::Expr::Kind::Name)
      called.insert(e.name.text);
    for (auto &c : e.children)
      if (c)
        mark(*c);
    for (auto &c : e.indices)
      mark(*c);
    for (auto &a : e.arguments)
      mark(*a.value);
  };
  std::function<void(const std::vector<ast::Statement> &)> markAll =
      [&](const std::vector<ast::Statement> &statements) {
        for (auto &s : statements) {
          if (s.value)
            mark(*s.value);
          if (s.repeat)
            markAll(s.repeat->body);
        }
      };
  for (auto &d : file.definitions)
    markAll(d.body);
  static const std::set<std::string> ofExtents = {"A1", "E4", "P1", "P2", "R1",
                                                  "C1", "C2", "F5", "P5", ""};
  for (auto &d : file.definitions) {
    if (d.kind == ast::Definition::Kind::Model || called.count(d.name.text))
      continue;
    Diagnostics inner;
    sema::Elaborator scratch(sources, options, inner);
    sema::FileScope *same = scratch.load(source);
    scratch.symbolic(*same, *same->definitions[d.name.text]);
    for (auto &x : inner.all())
      if (x.severity == Severity::Error && !ofExtents.count(x.rule))
        repeat(x, diagnostics);
  }
}

/// C3: which of several models is meant is for the caller to say; each is checked.
static void checkEach(const Source &source, Sources &sources, const CheckOptions &options,
                      const std::vector<const ast::Definition *> &models,
                      Diagnostics &diagnostics) {
  std::string names;
  for (auto *m : models) {
    names += (names.empty() ? "" : ", ") + m->name.text;
    CheckOptions one = options;
    one.model = m->name.text;
    Diagnostics inner;
    check(source, sources, one, inner);
    for (auto &x : inner.all())
      repeat(x, diagnostics);
  }
  if (!diagnostics.hasErrors())
    diagnostics.error(models[1]->name.span, "this file has several models: " + names, "C3")
        .hint("--model " + models[0]->name.text + " names one");
}

std::unique_ptr<Program> check(const Source &source, Sources &sources, const CheckOptions &options,
                               Diagnostics &diagnostics) {
  sema::Elaborator elaborator(sources, options, diagnostics);
  sema::FileScope *file = elaborator.load(source);
  if (diagnostics.hasErrors())
    return nullptr;
  elaborator.staticChecks(*file);
  std::vector<const ast::Definition *> models;
  for (auto &d : file->file.definitions)
    if (d.kind == ast::Definition::Kind::Model &&
        (options.model.empty() || d.name.text == options.model))
      models.push_back(&d);
  checkUncalled(source, sources, options, file->file, diagnostics);
  if (models.empty()) {
    if (!options.model.empty()) {
      std::vector<std::string> names = modelNames(source);
      auto &d =
          diagnostics.error({&source, 0, 0}, "this file has no model named " + options.model, "C3");
      if (std::string near = nearest(options.model, names); !near.empty())
        d.hint("did you mean " + near + "?");
    }
    return nullptr;
  }
  if (models.size() > 1 && options.model.empty()) {
    checkEach(source, sources, options, models, diagnostics);
    return nullptr;
  }
  auto program = std::make_unique<Program>();
  bool ok = elaborator.model(*file, *models[0], *program);
  if (!ok && !elaborator.keepSound())
    return nullptr;
  sema::joinPieces(*program, elaborator.stripes());
  sema::mergeEmptyRanges(*program, diagnostics);
  sema::trimLifted(*program);
  sema::dropDependents(*program, sema::inferTypes(*program, diagnostics));
  if (program->generatorInput >= 0 &&
      program->tensors[program->results[0].tensor].type != Type::Float)
    program->generatorInput = program->generatorSource = -1;
  sema::dropUnusedSizes(*program);
  dropEmptyPieces(*program);
  sema::checkLetters(*program, diagnostics);
  sema::checkRanges(*program, diagnostics);
  std::vector<int> all;
  for (size_t i = 0; i < program->tensors.size(); ++i)
    if (program->tensors[i].kind == Tensor::Kind::Equation)
      all.push_back(static_cast<int>(i));
  if (elaborator.checkWholeReads() && !all.empty())
    schedule(*program, diagnostics, all);
  if (diagnostics.hasErrors())
    return nullptr;
  return program;
}

} // namespace qkv
