// The names of bodies: what each stands for and which of its versions is meant where (L1, L2, E1).
//
// A Body is one use of a definition: its letters, sizes, prefix and the letters of the call
// that it is made for (lifted). A Scope is the names of a body, or of one step of a `repeat`
// in it. A Variable is one version of a name; what it resolves to is a View: a tensor of the
// program, or the rest of one after its first indices, or a scalar expression.
#pragma once

#include "dsl/Program.h"
#include "dsl/check/names/Report.h"
#include "dsl/syntax/Ast.h"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace qkv::sema {

/// A number, bool or text known at compile time.
struct Constant {
  enum class Kind { Int, Float, Bool, Text } kind = Kind::Int;
  Size size;         ///< Int
  double number = 0; ///< Float
  bool boolean = false;
  std::string text; ///< Text: compared with others, and nothing else (C2)
  int region = -1;  ///< the step number of this region itself (F5): an argument, not a constant
};

/// Names in checkpoints and configurations by their format; "" is for all others, and always there.
using ByFormat = std::map<std::string, std::string>;
const std::string &nameIn(const ByFormat &names, const std::string &format);
/// Names behind prefixes, in every format that one of them is said for.
ByFormat behind(const ByFormat &prefix, const ByFormat &names);

struct FileScope {
  ast::File file;
  std::map<std::string, const ast::Definition *> definitions;
  std::map<std::string, const ast::Declaration *> sizes, consts, indices;
  std::vector<FileScope *> uses;
  std::map<std::string, std::optional<Constant>> values; ///< evaluated sizes and consts
  std::set<std::string> evaluating;
};

struct FunctionRef {
  FileScope *file = nullptr;
  const ast::Definition *definition = nullptr;
  std::string builtin; ///< a function of the language itself, by name
  explicit operator bool() const { return definition || !builtin.empty(); }
};

struct View {
  int tensor = -1;
  std::vector<ExprPtr> leading; ///< indices given already
  std::vector<Size> extents;    ///< of the axes that remain
  std::vector<std::string> names;
  ExprPtr scalar; ///< rank 0: an expression instead of a tensor
  size_t own = 0; ///< how many of `leading` were written in the tensor's own body (P4)
  size_t rank() const { return extents.size(); }
};

struct Body;
struct Scope;

/// An equation for a variable: a statement, in the scope of its step, and which target.
struct Item {
  Scope *scope = nullptr;
  const ast::Statement *statement = nullptr;
  size_t target = 0;
};

struct Variable {
  std::string name;
  Scope *scope = nullptr;
  int order = -1; ///< of the statement that makes it; -1: an argument or carried in
  enum class Kind { Given, Indexed, Whole, Param, Alias } kind = Kind::Given;
  std::vector<Item> items;           ///< Indexed, Whole
  const ast::Param *param = nullptr; ///< Param
  Scope *aliasScope = nullptr;       ///< Alias: the value of `name` there, before aliasOrder
  int aliasOrder = 0;
  enum class State { Fresh, Busy, Done, Failed } state = State::Fresh;
  View view;
  Span span;
};

struct Scope {
  Body *body = nullptr;
  Scope *parent = nullptr;
  int orderInParent = 0;
  const std::vector<ast::Statement> *statements = nullptr;
  int region = -1;
  std::map<std::string, std::vector<Variable *>> variables; ///< versions in order
  std::map<std::string, const ast::Declaration *> sizes, consts, indices;
  std::map<std::string, Constant> constants; ///< given or evaluated
  std::map<std::string, Size> letters;       ///< of the signature, or evaluated
  std::set<std::string> evaluating;
  std::map<const ast::Statement *, std::vector<Scope *>> steps; ///< of each repeat
};

enum class NameClass { Letter, Size, Const, Tensor, Function };

struct Body {
  FileScope *file = nullptr;
  const ast::Definition *definition = nullptr;
  Body *caller = nullptr;
  ByFormat prefix = {{"", ""}}; ///< of names in the checkpoint
  std::string path;             ///< of names
  std::vector<int> lifted;
  std::vector<ExprPtr> guards; ///< over lifted letters
  int instance = 0;
  int region = -1;
  std::map<std::string, FunctionRef> functions;
  std::map<std::string, std::pair<NameClass, Span>> names;
  Scope *root = nullptr;
};

/// Where an expression stands.
struct Env {
  Scope *scope = nullptr;
  int order = 0;
  std::map<std::string, int> letters;        ///< bound, by name
  std::vector<int> bound;                    ///< all bound letters, lifted ones first
  const ast::Expr *equation = nullptr;       ///< the right side, where its left side has letters
  std::vector<const ast::Expr *> reductions; ///< around it, outermost first
  std::vector<ExprPtr> guards;
  bool whole = false;                ///< names stand for whole tensors here
  std::vector<ExprPtr> wholeLetters; ///< and are read at these
  std::vector<Size> wholeExtents;
};

/// Bodies with their scopes and the versions of each name.
class Names : protected Report {
protected:
  using Report::Report;

  Body *makeBody(FileScope &file, const ast::Definition &definition, Body *caller);
  Scope *addScope(Body &body, const std::vector<ast::Statement> &statements);
  Variable *addVariable(Scope &scope, const std::string &name, Variable::Kind kind, int order,
                        Span span);
  /// The version of a name that is meant at a statement; null: there is none.
  Variable *find(Scope *scope, const std::string &name, int order);
  bool visible(Scope *scope, const std::string &name, int order);
  std::vector<std::string> namesIn(Scope *scope);
  /// Says by what a name of the file is hidden in this body, if it is (L2).
  static void sayHidden(Diagnostic &d, const std::string &name, Body &body);

  std::deque<std::unique_ptr<Body>> bodies_;
  std::deque<std::unique_ptr<Variable>> variables_;

private:
  void classify(Body &body, const std::string &name, NameClass c, Span span);
  void classifyAll(Body &body, const std::vector<ast::Statement> &statements);

  std::deque<std::unique_ptr<Scope>> scopes_;
};

} // namespace qkv::sema
