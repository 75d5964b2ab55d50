// A model's own body: its inputs, its results, what kind of program it is (C1, L7, T1); and the
// body of a definition that nothing calls, for letters of any extent.
//
// In: a definition of the file. Out: the program, elaborated.
#include "dsl/check/Elaborator.h"

#include <algorithm>
#include <set>

namespace qkv::sema {

/// A letter of the file whose range is this size, or nothing.
static std::string letterOver(const FileScope &file, const std::string &size) {
  for (auto &[name, declaration] : file.indices)
    if (declaration->value->kind == ast::Expr::Kind::Name && declaration->value->name.text == size)
      return name;
  return "";
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
    checkUnread();
  }
  program_ = nullptr;
  symbolic_ = false;
  file.values.clear();
  for (auto *u : file.uses)
    u->values.clear();
}

// The type of an input; nothing, with a diagnostic: there is no such type.
static std::optional<std::pair<Type, bool>> inputType(const ast::Formal &f) {
  if (!f.type)
    return std::make_pair(Type::Float, false);
  const std::string &n = f.type->text;
  bool token = n == "token";
  if (n == "int" || token)
    return std::make_pair(Type::Int, token);
  if (n == "bool")
    return std::make_pair(Type::Bool, false);
  if (n == "float")
    return std::make_pair(Type::Float, false);
  return std::nullopt;
}

void Elaborator::sayUndeclared(const ast::Name &l, Body &body) {
  FileScope &file = *body.file;
  std::vector<std::string> names;
  for (auto &[n, d] : file.indices)
    names.push_back(n);
  auto &d = error(
      l.span, "the signature of a model uses declared letters, and " + l.text + " is none", "L7");
  std::string near = nearest(l.text, names);
  if (body.names.count(l.text) && file.indices.count(l.text))
    sayHidden(d, l.text, body);
  else if (std::string letter = letterOver(file, l.text); !letter.empty())
    d.hint(l.text + " is a size; the letter " + letter + " ranges over it");
  else
    d.hint(near.empty() ? "index " + l.text + " < ... at the top of the file"
                        : "did you mean " + near + "?");
}

// An input of the model: a tensor, and the name's one version.
bool Elaborator::input(const ast::Formal &f, Body &body, std::set<std::string> &undeclared) {
  bool ok = true;
  auto type = inputType(f);
  if (!type) {
    error(f.type->span, "an input is float, int, bool or token, not " + f.type->text, "T1");
    ok = false;
  }
  int id = addTensor(f.name.text, *body.root, f.span);
  program_->tensors[id].kind = Tensor::Kind::Input;
  program_->tensors[id].type = type ? type->first : Type::Float;
  program_->tensors[id].token = type && type->second;
  View view;
  view.tensor = id;
  for (const ast::Name &l : f.letters) {
    bool found = false;
    auto extent = letterExtent(l.text, body.root, *body.file, found);
    if (!found && undeclared.insert(l.text).second)
      sayUndeclared(l, body);
    if (!extent) {
      ok = false;
      continue;
    }
    program_->tensors[id].axes.push_back({l.text, *extent, 0, 0});
    view.extents.push_back(*extent);
    view.names.push_back(l.text);
  }
  program_->inputs.push_back(id);
  Variable *v = addVariable(*body.root, f.name.text, Variable::Kind::Given, -1, f.span);
  v->view = view;
  v->state = Variable::State::Done;
  return ok;
}

// What a signature declares: inputs, and numbers with a default.
bool Elaborator::signature(Body &body) {
  std::set<std::string> undeclared; ///< letters of the signature, said once each
  bool ok = true;
  for (auto &f : body.definition->formals) {
    if (f.kind == ast::Formal::Kind::Tensor) {
      ok &= input(f, body, undeclared);
    } else if (f.kind == ast::Formal::Kind::Function || !f.fallback) {
      error(f.span,
            f.kind == ast::Formal::Kind::Function ? "a model takes tensors, and no functions"
                                                  : f.name.text + " of a model needs a default",
            "F1");
      ok = false;
    } else if (auto c = constant(*f.fallback, body.root, *body.file)) {
      body.root->constants[f.name.text] = *c;
    } else {
      ok = false;
    }
  }
  return ok;
}

void Elaborator::nameResults(Body &body, const std::vector<View> &views) {
  const ast::Definition &definition = *body.definition;
  Program &program = *program_;
  // Each result is a tensor of its own with the result's name.
  std::set<int> taken;
  for (size_t r = 0; r < views.size(); ++r) {
    const View &view = views[r];
    const ast::Result &result = definition.results[r];
    int id = view.tensor;
    bool own = !view.scalar && view.leading.empty() &&
               program.tensors[id].kind == Tensor::Kind::Equation && taken.insert(id).second &&
               program.tensors[id].region < 0;
    if (!own) {
      id = addTensor(result.name.text, *body.root, result.span);
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
}

// C1: what nobody can bind.
bool Elaborator::checkBound(const ast::Definition &definition) {
  Program &program = *program_;
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
    OneEquation inside(*this); // what the size is is known
    error(definition.signatureSpan ? definition.signatureSpan : definition.name.span,
          "nothing binds the size " + program.atoms[atom].name +
              ": no input has an axis whose letter ranges over exactly that size",
          "C1");
    return false;
  }
  return true;
}

// Text: logits over a stream of tokens.
static void findGenerator(Program &program) {
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
  for (auto &s : definition.body) // before the inputs, which may use them
    for (auto &d : s.declarations) {
      auto &map = s.kind == ast::Statement::Kind::Size    ? body->root->sizes
                  : s.kind == ast::Statement::Kind::Const ? body->root->consts
                                                          : body->root->indices;
      map.try_emplace(d.name.text, &d);
    }
  bool ok = signature(*body);
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
  if (!unsure_ && !tooDeep_)
    checkUnread();
  if (!views || failed_)
    return false;
  nameResults(*body, *views);
  if (!checkBound(definition))
    return false;
  findGenerator(program);
  return true;
}

} // namespace qkv::sema
