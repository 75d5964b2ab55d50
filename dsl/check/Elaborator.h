// The checker's inside: how a syntax tree becomes flat equations.
//
// A Body is one use of a definition: its letters, sizes, prefix and the letters of the call
// that it is made for (lifted). A Scope is the names of a body, or of one step of a `repeat`
// in it. A Variable is one version of a name; resolving it gives a View: a tensor of the
// program, or the rest of one after its first indices, or a scalar expression. Resolving
// finds shapes only; equations are elaborated from a work list, so nothing recurses along
// the equations.
#pragma once

#include "dsl/Program.h"
#include "dsl/check/Checker.h"
#include "dsl/syntax/Ast.h"
#include "dsl/syntax/Diagnostics.h"

#include <nlohmann/json_fwd.hpp>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace qkv::sema {

/// G9: how many operations may stand below one, in an expression with its calls written out.
constexpr size_t maxHeight = 2000;
/// How deep definitions and calls may follow from one another.
constexpr int maxLevels = 1000;
/// How many steps the repeats of a model have, and how many calls it makes.
constexpr size_t maxSteps = 10000, maxCalls = 50000;
/// Errors after which the rest is not looked at.
constexpr size_t maxErrors = 100;

/// A number known at compile time.
struct Constant {
  enum class Kind { Int, Float, Bool } kind = Kind::Int;
  Size size;         ///< Int
  double number = 0; ///< Float
  bool boolean = false;
  int region = -1; ///< the step number of this region itself (F5): an argument, not a constant
};

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
  std::string prefix; ///< of the checkpoint
  std::string path;   ///< of names
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
  std::map<std::string, int> letters; ///< bound, by name
  std::vector<int> bound;             ///< all bound letters, lifted ones first
  std::vector<ExprPtr> guards;
  bool whole = false;                ///< names stand for whole tensors here
  std::vector<ExprPtr> wholeLetters; ///< and are read at these
  std::vector<Size> wholeExtents;
};

class Elaborator {
public:
  Elaborator(Sources &sources, const CheckOptions &options, Diagnostics &diagnostics)
      : sources_(sources), options_(options), diagnostics_(diagnostics) {}

  FileScope *load(const Source &source);
  bool model(FileScope &file, const ast::Definition &definition, Program &program);
  /// Checks a definition that nothing calls, for letters of any extent.
  void symbolic(FileScope &file, const ast::Definition &definition);
  void staticChecks(FileScope &file);
  /// R2: a whole tensor handed to a call inside its own recurrence. False if there is one.
  bool checkWholeReads();
  /// R6: equations that change nothing of what stands outside under their name.
  void checkUnread();
  /// After errors: leaves in the program what depends on nothing that failed. False: that is not
  /// known, because an error is about what a name means.
  bool keepSound();

private:
  // CompileTime.cpp
  std::optional<Constant> constant(const ast::Expr &e, Scope *scope, FileScope &file);
  std::optional<Constant> constantOf(const ast::Expr &e, Scope *scope, FileScope &file);
  std::optional<Constant> combined(char op, const Size &x, const Size &y, Span at);
  std::optional<Size> sizeOf(const ast::Expr &e, Scope *scope, FileScope &file, const char *what);
  std::optional<Constant> namedConstant(const std::string &name, Scope *scope, FileScope &file,
                                        bool &found);
  std::optional<Size> letterExtent(const std::string &name, Scope *scope, FileScope &file,
                                   bool &found);
  std::optional<std::string> expandText(const ast::Text &text, Scope *scope, FileScope &file,
                                        const std::map<std::string, int64_t> &letters);
  std::vector<std::string> textLetters(const ast::Text &text, const std::vector<ast::Name> &among);
  std::optional<Constant> config(const ast::Expr &e, Scope *scope, FileScope &file);
  std::optional<Constant> configured(const ast::Expr &e, Scope *scope, FileScope &file,
                                     std::string &name, bool &isThere);
  std::optional<Constant> declared(const ast::Declaration &d, bool isSize, Scope *scope,
                                   FileScope &file);

  // Bodies.cpp
  Body *makeBody(FileScope &file, const ast::Definition &definition, Body *caller);
  void declare(Body &body);
  void declareScope(Scope &scope);
  Variable *addVariable(Scope &scope, const std::string &name, Variable::Kind kind, int order,
                        Span span);
  void classify(Body &body, const std::string &name, NameClass c, Span span);
  void elaborateScope(Scope &scope);
  Variable *find(Scope *scope, const std::string &name, int order);
  bool visible(Scope *scope, const std::string &name, int order);
  std::vector<std::string> namesIn(Scope *scope);

  // Equations.cpp
  const View *resolve(Variable &v);
  void resolveInOrder(Scope &scope);
  bool resolveIndexed(Variable &v);
  bool resolveWhole(Variable &v);
  bool resolveParam(Variable &v);
  bool elaborateItem(Variable &v, size_t item);
  bool checkPieces(Variable &v);
  int addTensor(const std::string &label, Scope &scope, Span span);
  int addLetter(const std::string &name, const Size &extent);
  struct TargetIndex {
    bool letter = false;
    std::string name;
    Size value; ///< the letter's extent, or the position
    Span span;
  };
  std::optional<std::vector<TargetIndex>> targetIndices(const Item &item);
  /// A position on the left as the axis counts it: T - 2 is the end of u < T - 2, also where that
  /// is negative and the range is empty (S4).
  Size positionOn(const Size &extent, const Size &position) const;
  std::optional<std::vector<View>> callStatement(const Item &item, Env &env);
  bool wholeShape(const ast::Expr &e, Env &env, std::vector<Size> &shape, bool &known);
  View wholeView(const ast::Expr &e, Env &env, bool &ok);

  // Expressions.cpp
  ExprPtr expr(const ast::Expr &e, Env &env);
  ExprPtr exprOf(const ast::Expr &e, Env &env);
  ExprPtr binary(const ast::Expr &e, Env &env);
  ExprPtr compare(const ast::Expr &e, Env &env);
  ExprPtr name(const ast::Expr &e, Env &env);
  ExprPtr access(const ast::Expr &e, Env &env);
  ExprPtr reduction(const ast::Expr &e, Env &env);
  ExprPtr readView(const View &view, std::vector<ExprPtr> indices, Span span, bool own = false);
  ExprPtr constantExpr(const Constant &c, Span span);
  ExprPtr callExpr(const ast::Expr &e, Env &env);
  ExprPtr builtin(const ast::Expr &e, const std::string &name, Env &env);
  static bool isBuiltin(const std::string &name);
  std::optional<bool> staticCondition(const ast::Expr &e, Env &env);
  /// Says by what a name of the file is hidden in this body, if it is (L2).
  void sayHidden(Diagnostic &d, const std::string &name, Body &body);
  void unknownName(const ast::Name &name, Env &env);

  // Calls.cpp
  FunctionRef function(const std::string &name, Scope *scope);
  static bool elementwise(const ast::Definition &d);
  std::optional<std::vector<View>> call(const ast::Expr &e, Env &env);
  std::string mappedCall(const ast::Expr &argument, const View &view, size_t rank, const Env &env);
  std::optional<View> argumentView(const ast::Expr &e, Env &env, const ast::Formal &formal);
  std::optional<std::vector<View>> instantiate(const ast::Expr &e, FunctionRef f,
                                               const std::vector<View> &tensors, Env &env);
  bool bindFormal(Body &body, const ast::Formal &formal, const View &view, Span at);
  bool bindNamed(const ast::Expr &e, Body &body, Env &env);
  std::optional<std::vector<View>> results(Body &body, Span at);
  std::shared_ptr<const std::set<int>> freeLetters(const ExprPtr &e);

  // Unread.cpp
  void markNeeded(Body &body, std::set<std::pair<const ast::Statement *, size_t>> &needed);

  void drain();
  std::shared_ptr<Expr> make(Expr::Kind kind, Span span);
  ExprPtr apply(Op op, std::vector<ExprPtr> args, Span span);
  /// A node whose operands are there. One that is too deep is said (G9) and cut off.
  ExprPtr bounded(std::shared_ptr<Expr> e);
  bool fewOperands(size_t count, Span at);
  ExprPtr integer(int64_t v, Span span);
  ExprPtr sizeExpr(const Size &s, Span span);
  ExprPtr letterExpr(int letter, Span span);
  std::string shapeText(const std::vector<Size> &extents);
  /// G9: while one is alive, elaboration is a level deeper; false, said once, beyond the limit.
  class Level {
  public:
    Level(Elaborator &elaborator, Span at);
    ~Level() { --elaborator_.level_; }
    explicit operator bool() const { return ok_; }

  private:
    Elaborator &elaborator_;
    bool ok_;
  };
  /// While one is alive, an error is about one equation, and not about what names mean.
  class OneEquation {
  public:
    explicit OneEquation(Elaborator &elaborator) : elaborator_(elaborator) {
      ++elaborator_.inside_;
    }
    ~OneEquation() { --elaborator_.inside_; }

  private:
    Elaborator &elaborator_;
  };
  Diagnostic &error(Span at, std::string message, std::string rule = "") {
    failed_ = true;
    ++said_;
    unsure_ |= inside_ == 0;
    return diagnostics_.error(at, std::move(message), std::move(rule));
  }

  Sources &sources_;
  const CheckOptions &options_;
  Diagnostics &diagnostics_;
  Program *program_ = nullptr;
  bool failed_ = false;
  bool symbolic_ = false;
  std::map<std::string, std::unique_ptr<FileScope>> files_;
  std::deque<std::unique_ptr<Body>> bodies_;
  std::deque<std::unique_ptr<Scope>> scopes_;
  std::deque<std::unique_ptr<Variable>> variables_;
  std::deque<Scope *> work_;
  std::map<std::pair<const ast::Statement *, Scope *>, std::vector<View>> statementCalls_;
  std::map<std::pair<const ast::Statement *, Scope *>, Env> statementEnvs_;
  std::map<std::pair<const ast::Expr *, Scope *>, std::optional<std::vector<View>>> wholeCalls_;
  std::map<std::string, int> params_;   // by checkpoint names and shape
  std::map<std::string, int> unique_;   // how often a tensor's name was taken
  std::map<int, std::string> dynamics_; // declared sizes, by atom
  struct WholeRead {
    int tensor, reader;
    Span span;
  };
  std::vector<WholeRead> wholeReads_;
  /// What a statement that is one call hands over whole: read by each tensor that it defines. The
  /// call is looked at when a shape is asked for, which may be while another tensor is defined.
  std::map<std::pair<const ast::Statement *, Scope *>, std::vector<WholeRead>> statementReads_;
  std::shared_ptr<const nlohmann::json> configuration_; ///< read; null: it could not be
  std::set<const ast::Statement *> reshaped_;           ///< said already (F5)
  int defining_ = -1; ///< the tensor whose equation is being elaborated
  int repeats_ = 0;
  size_t said_ = 0;      ///< errors, repeated ones too
  int inside_ = 0;       ///< of OneEquation
  bool unsure_ = false;  ///< an error was about what a name means
  std::set<int> broken_; ///< tensors in whose equations there are errors
  int level_ = 0;        ///< of Level
  bool tooDeep_ = false; ///< said already (G9)
  /// Of an expression: operations that follow from one another, letters that it depends on.
  struct Extent {
    size_t height = 0;
    std::shared_ptr<const std::set<int>> letters;
  };
  std::unordered_map<const Expr *, Extent> made_; ///< those with operands
};

// What is done to the whole program when all equations are there.

/// Joins pieces at a number with the general one where the axis may be empty (S4).
void mergeEmptyRanges(Program &program, Diagnostics &diagnostics);
/// Drops axes that a call's letters gave and nothing depends on.
void trimLifted(Program &program);
/// Infers types, makes conversions explicit, gives every binding a letter of its own (T1, T3).
/// Returns the tensors in whose equations there are errors.
std::set<int> inferTypes(Program &program, Diagnostics &diagnostics);
/// Makes givens of broken tensors and of all that reads them; the others mean what they meant.
void dropDependents(Program &program, const std::set<int> &broken);
/// At most 32 letters are bound at one place (E5).
void checkLetters(const Program &program, Diagnostics &diagnostics);
/// Proves every index inside its axis, or marks it to be checked (A1, T2).
void checkRanges(Program &program, Diagnostics &diagnostics);

} // namespace qkv::sema
