// check(): from the text of a file to the program of its model.
//
// In: sources and a configuration. Out: a Program, or diagnostics. The order: parse; what can
// be said of every definition by itself; elaborate the model; types; ranges; order.
#include "dsl/Checker.h"

#include "dsl/Elaborator.h"
#include "dsl/Parser.h"
#include "dsl/Schedule.h"

#include <algorithm>
#include <functional>
#include <set>

namespace qkv {
namespace sema {

static std::string folderOf(const std::string &path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

FileScope *Elaborator::load(const Source &source) {
  auto it = files_.find(source.path());
  if (it != files_.end())
    return it->second.get();
  auto owned = std::make_unique<FileScope>();
  FileScope *f = owned.get();
  files_[source.path()] = std::move(owned);
  f->file = parse(source, diagnostics_);
  for (auto &s : f->file.statements) {
    using K = ast::Statement::Kind;
    if (s.kind != K::Size && s.kind != K::Const && s.kind != K::Index) {
      error(s.span, s.kind == K::Param
                        ? "a param belongs in a block or a model"
                        : "only sizes, constants and indices stand outside of a body");
      continue;
    }
    for (auto &d : s.declarations) {
      auto &map = s.kind == K::Size ? f->sizes : s.kind == K::Const ? f->consts : f->indices;
      const ast::Declaration *before = nullptr;
      for (auto *m : {&f->sizes, &f->consts, &f->indices})
        if (m->count(d.name.text))
          before = (*m)[d.name.text];
      if (before)
        error(d.name.span, d.name.text + " is declared already", "L1")
            .note(before->name.span, "here");
      else
        map[d.name.text] = &d;
    }
  }
  for (auto &d : f->file.definitions) {
    auto [it2, fresh] = f->definitions.try_emplace(d.name.text, &d);
    if (!fresh)
      error(d.name.span, d.name.text + " is defined already", "L1")
          .note(it2->second->name.span, "here");
  }
  for (auto &u : f->file.uses) {
    const Source *used = nullptr;
    std::string path = folderOf(source.path()) + u.name.text + ".qkv", why;
    bool onDisk = source.path() != "-" && source.path().rfind("std:", 0) != 0;
    if (onDisk && path != source.path())
      used = sources_.open(path, why);
    if (!used)
      if (const char *text = standardLibrary(u.name.text)) {
        std::string name = "std:" + u.name.text + ".qkv";
        auto known = files_.find(name);
        if (known != files_.end()) {
          f->uses.push_back(known->second.get());
          continue;
        }
        used = sources_.add(name, text);
      }
    if (!used) {
      error(u.span, path == source.path()
                        ? "a file does not use itself"
                        : "there is no " + u.name.text + ".qkv beside this file, and no " +
                              u.name.text + " in the standard library");
      continue;
    }
    f->uses.push_back(load(*used));
  }
  return f;
}

// What holds of every definition, called or not.
void Elaborator::staticChecks(FileScope &file) {
  for (auto &d : file.file.definitions) {
    if (d.kind != ast::Definition::Kind::Fn)
      continue;
    std::function<void(const std::vector<ast::Statement> &)> scan =
        [&](const std::vector<ast::Statement> &statements) {
          for (auto &s : statements) {
            for (auto &p : s.params)
              error(p.span, "a param belongs in a block or a model; " + d.name.text + " is a fn",
                    "F2")
                  .hint("block " + d.name.text + "(...) instead of fn");
            if (s.repeat)
              scan(s.repeat->body);
          }
        };
    scan(d.body);
  }
}

void Elaborator::symbolic(FileScope &file, const ast::Definition &definition) {
  for (auto &f : definition.formals)
    if (f.kind == ast::Formal::Kind::Function)
      return;
  Program scratch;
  scratch.name = definition.name.text;
  program_ = &scratch;
  symbolic_ = true;
  params_.clear();
  unique_.clear();
  file.values.clear();
  for (auto *u : file.uses)
    u->values.clear();
  Body *body = makeBody(file, definition, nullptr);
  body->path = definition.name.text + ".";
  auto atom = [&](const std::string &name) {
    return Size::atom(
        scratch.atoms.add({SizeAtom::Kind::Dynamic, name, int64_t(1) << 20, nullptr, nullptr}));
  };
  bool ok = true;
  for (auto &f : definition.formals) {
    if (f.kind == ast::Formal::Kind::Tensor) {
      View view;
      int id = addTensor(f.name.text, *body->root, f.span);
      Tensor &t = scratch.tensors[id];
      t.kind = Tensor::Kind::Input;
      t.type = f.type && f.type->text != "float" ? (f.type->text == "bool" ? Type::Bool : Type::Int)
                                                 : Type::Float;
      view.tensor = id;
      for (auto &l : f.letters) {
        auto &letters = body->root->letters;
        auto known = letters.find(l.text);
        if (known == letters.end())
          known = letters.emplace(l.text, atom(l.text)).first;
        t.axes.push_back({l.text, known->second, 0, 0});
        view.extents.push_back(known->second);
        view.names.push_back(l.text);
      }
      Variable *v = addVariable(*body->root, f.name.text, Variable::Kind::Given, -1, f.span);
      v->view = view;
      v->state = Variable::State::Done;
    } else if (f.fallback) {
      auto c = constant(*f.fallback, body->root, file);
      if (c)
        body->root->constants[f.name.text] = *c;
      else
        ok = false;
    } else {
      Constant c;
      if (f.kind == ast::Formal::Kind::Size)
        c.size = Size(4);
      else {
        c.kind = Constant::Kind::Float;
        c.number = 1.5;
      }
      body->root->constants[f.name.text] = c;
    }
  }
  if (ok) {
    declare(*body);
    results(*body, definition.span);
    work_.push_back(body->root);
    drain();
  }
  program_ = nullptr;
  symbolic_ = false;
  file.values.clear();
  for (auto *u : file.uses)
    u->values.clear();
}

bool Elaborator::model(FileScope &file, const ast::Definition &definition, Program &program) {
  program_ = &program;
  program.name = definition.name.text;
  program.span = definition.name.span;
  // Every size of the file is evaluated, in order, so that dynamic sizes are numbered as
  // the author wrote them.
  for (auto &s : file.file.statements)
    for (auto &d : s.declarations) {
      bool found = false;
      if (s.kind == ast::Statement::Kind::Index)
        letterExtent(d.name.text, nullptr, file, found);
      else if (s.kind == ast::Statement::Kind::Size || s.kind == ast::Statement::Kind::Const)
        namedConstant(d.name.text, nullptr, file, found);
    }
  Body *body = makeBody(file, definition, nullptr);
  std::vector<std::pair<const ast::Formal *, int>> inputs;
  bool ok = true;
  for (auto &s : definition.body) // before the inputs, which may use them
    for (auto &d : s.declarations) {
      auto &map = s.kind == ast::Statement::Kind::Size    ? body->root->sizes
                  : s.kind == ast::Statement::Kind::Const ? body->root->consts
                                                          : body->root->indices;
      map.try_emplace(d.name.text, &d);
    }
  for (auto &f : definition.formals) {
    if (f.kind != ast::Formal::Kind::Tensor) {
      if (f.kind == ast::Formal::Kind::Function || !f.fallback) {
        error(f.span,
              f.kind == ast::Formal::Kind::Function ? "a model takes tensors, and no functions"
                                                    : f.name.text + " of a model needs a default",
              "F1");
        ok = false;
      } else if (auto c = constant(*f.fallback, body->root, file)) {
        body->root->constants[f.name.text] = *c;
      } else {
        ok = false;
      }
      continue;
    }
    Type type = Type::Float;
    bool token = false;
    if (f.type) {
      const std::string &n = f.type->text;
      token = n == "token";
      if (n == "int" || token)
        type = Type::Int;
      else if (n == "bool")
        type = Type::Bool;
      else if (n != "float") {
        error(f.type->span, "an input is float, int, bool or token, not " + n, "T1");
        ok = false;
      }
    }
    int id = addTensor(f.name.text, *body->root, f.span);
    Tensor &t = program.tensors[id];
    t.kind = Tensor::Kind::Input;
    t.type = type;
    t.token = token;
    View view;
    view.tensor = id;
    for (size_t k = 0; k < f.letters.size(); ++k) {
      const ast::Name &l = f.letters[k];
      bool found = false;
      auto extent = letterExtent(l.text, body->root, file, found);
      if (!found) {
        std::vector<std::string> names;
        for (auto &[n, d] : file.indices)
          names.push_back(n);
        auto &d = error(
            l.span, "the signature of a model uses declared letters, and " + l.text + " is none",
            "L7");
        std::string near = nearest(l.text, names);
        d.hint(near.empty() ? "index " + l.text + " < ... at the top of the file"
                            : "did you mean " + near + "?");
      }
      if (!extent) {
        ok = false;
        continue;
      }
      program.tensors[id].axes.push_back({l.text, *extent, 0, 0});
      view.extents.push_back(*extent);
      view.names.push_back(l.text);
    }
    program.inputs.push_back(id);
    Variable *v = addVariable(*body->root, f.name.text, Variable::Kind::Given, -1, f.span);
    v->view = view;
    v->state = Variable::State::Done;
  }
  body->root->sizes.clear();
  body->root->consts.clear();
  body->root->indices.clear();
  auto givenConstants = body->root->constants;
  auto givenLetters = body->root->letters;
  for (auto &s : definition.body) // declared again, with what that says of clashes
    for (auto &d : s.declarations) {
      if (s.kind == ast::Statement::Kind::Index)
        body->root->letters.erase(d.name.text);
      else
        givenConstants.erase(d.name.text);
    }
  auto evaluated = body->root->constants;
  body->root->constants = givenConstants;
  if (!ok)
    return false;
  declare(*body);
  for (auto &[name, value] : evaluated)
    body->root->constants[name] = value;
  for (auto &[name, value] : givenLetters)
    body->root->letters[name] = value;
  auto views = results(*body, definition.span);
  work_.push_back(body->root);
  drain();
  if (!views || failed_)
    return false;
  // Each result is a tensor of its own with the result's name.
  std::set<int> taken;
  for (size_t r = 0; r < views->size(); ++r) {
    const View &view = (*views)[r];
    const ast::Result &result = definition.results[r];
    int id = view.tensor;
    bool own = !view.scalar && view.leading.empty() &&
               program.tensors[id].kind == Tensor::Kind::Equation && taken.insert(id).second &&
               program.tensors[id].region < 0;
    if (!own) {
      id = addTensor(result.name.text, *body->root, result.span);
      Piece p;
      p.span = result.span;
      std::vector<ExprPtr> letters;
      for (size_t a = 0; a < view.rank(); ++a) {
        int l = addLetter(result.letters[a].text, view.extents[a]);
        p.indices.push_back({l, {}});
        letters.push_back(letterExpr(l, result.span));
        program.tensors[id].axes.push_back({result.letters[a].text, view.extents[a], 0, 0});
      }
      p.value = readView(view, letters, result.span);
      program.tensors[id].pieces.push_back(std::move(p));
      taken.insert(id);
    }
    program.results.push_back({result.name.text, id});
  }
  // C1: what nobody can bind.
  for (int atom : program.dynamicSizes) {
    bool bound = false;
    for (int id : program.inputs)
      for (auto &axis : program.tensors[id].axes)
        bound |= axis.extent == Size::atom(atom);
    if (bound)
      continue;
    bool used = false;
    for (auto &t : program.tensors)
      for (auto &axis : t.axes)
        for (auto &[m, c] : axis.extent.terms())
          used |= std::find(m.begin(), m.end(), atom) != m.end();
    if (!used)
      continue;
    error(definition.signatureSpan ? definition.signatureSpan : definition.name.span,
          "nothing binds the size " + program.atoms[atom].name +
              ": no input has an axis whose letter ranges over exactly that size",
          "C1");
    return false;
  }
  // Text: logits over a stream of tokens.
  if (program.stream >= 0 && !program.results.empty() && program.results[0].name == "logits") {
    const Tensor &logits = program.tensors[program.results[0].tensor];
    Size stream = Size::atom(program.stream);
    if (logits.axes.size() == 2 && logits.axes[0].extent == stream) {
      for (int id : program.inputs) {
        const Tensor &t = program.tensors[id];
        if (!t.token || t.axes.size() != 1)
          continue;
        if (t.axes[0].extent == stream)
          program.generatorInput = id;
        else if (!t.axes[0].extent.isConstant() && program.generatorSource < 0)
          program.generatorSource = id;
      }
      if (program.generatorInput < 0)
        program.generatorSource = -1;
    }
  }
  return true;
}

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
  Span start{&source, 0, 0};

  // Definitions that no model reaches are checked for letters of any extent; what depends on
  // the extents is not theirs to answer for.
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
  for (auto &d : file->file.definitions)
    markAll(d.body);
  for (auto &d : file->file.definitions) {
    if (d.kind == ast::Definition::Kind::Model || called.count(d.name.text))
      continue;
    Diagnostics inner;
    sema::Elaborator scratch(sources, options, inner);
    sema::FileScope *same = scratch.load(source);
    scratch.symbolic(*same, *same->definitions[d.name.text]);
    static const std::set<std::string> ofExtents = {"A1", "E4", "P1", "P2", "R1",
                                                    "C1", "C2", "F5", ""};
    for (auto &x : inner.all())
      if (x.severity == Severity::Error && !ofExtents.count(x.rule)) {
        auto &copy = diagnostics.error(x.span, x.message, x.rule);
        copy.notes = x.notes;
        copy.hints = x.hints;
      }
  }

  std::unique_ptr<Program> result;
  if (models.empty()) {
    if (!options.model.empty()) {
      std::vector<std::string> names = modelNames(source);
      auto &d = diagnostics.error(start, "this file has no model named " + options.model, "C3");
      if (std::string near = nearest(options.model, names); !near.empty())
        d.hint("did you mean " + near + "?");
    }
    return nullptr;
  }
  if (models.size() > 1 && options.model.empty()) {
    std::string names;
    for (auto *m : models)
      names += (names.empty() ? "" : ", ") + m->name.text;
    // Each is checked; which one is meant is for the caller to say.
    for (auto *m : models) {
      CheckOptions one = options;
      one.model = m->name.text;
      Diagnostics inner;
      check(source, sources, one, inner);
      for (auto &x : inner.all()) {
        auto &copy = diagnostics.error(x.span, x.message, x.rule);
        copy.notes = x.notes;
        copy.hints = x.hints;
      }
    }
    if (!diagnostics.hasErrors())
      diagnostics.error(models[1]->name.span, "this file has several models: " + names, "C3")
          .hint("--model " + models[0]->name.text + " names one");
    return nullptr;
  }
  auto program = std::make_unique<Program>();
  bool ok = elaborator.model(*file, *models[0], *program);
  if (!ok || diagnostics.hasErrors())
    return nullptr;
  sema::trimLifted(*program);
  if (!sema::inferTypes(*program, diagnostics))
    return nullptr;
  if (program->generatorInput >= 0 &&
      program->tensors[program->results[0].tensor].type != Type::Float)
    program->generatorInput = program->generatorSource = -1;
  sema::dropUnusedSizes(*program);
  dropEmptyPieces(*program);
  sema::checkRanges(*program, diagnostics);
  std::vector<int> all;
  for (size_t i = 0; i < program->tensors.size(); ++i)
    if (program->tensors[i].kind == Tensor::Kind::Equation)
      all.push_back(static_cast<int>(i));
  if (elaborator.checkWholeReads())
    schedule(*program, diagnostics, all);
  if (diagnostics.hasErrors())
    return nullptr;
  return program;
}

} // namespace qkv
