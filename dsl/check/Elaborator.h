// The checker's inside: how a syntax tree becomes flat equations.
//
// It stands on three parts, each of which knows only those before it: Report (errors), Names (what
// a name means where), CompileTime (numbers that are known). Resolving a variable finds shapes
// only; equations are elaborated from a work list, so nothing recurses along the equations.
#pragma once

#include "dsl/Program.h"
#include "dsl/check/CompileTime.h"
#include "dsl/check/pieces/JoinPieces.h"
#include "dsl/check/pieces/PieceSets.h"
#include "dsl/syntax/Ast.h"
#include "dsl/syntax/Diagnostics.h"

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

class Elaborator : private CompileTime {
public:
  Elaborator(Sources &sources, const CheckOptions &options, Diagnostics &diagnostics)
      : CompileTime(sources, options, diagnostics) {}

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
  /// P5: for pieces with stripes, where they stand; for joinPieces.
  const PieceStripes &stripes() const { return stripes_; }

private:
  // Models.cpp
  bool signature(Body &body);
  bool input(const ast::Formal &formal, Body &body, std::set<std::string> &undeclared);
  void sayUndeclared(const ast::Name &letter, Body &body);
  void nameResults(Body &body, const std::vector<View> &views);
  bool checkBound(const ast::Definition &definition);

  // Bodies.cpp
  void declare(Body &body) { declareScope(*body.root); }
  void declareScope(Scope &scope);
  void declareNumbers(Scope &scope);
  void declareParam(Scope &scope, const ast::Param &param);
  void declareTarget(Scope &scope, const ast::Statement &statement, size_t target, int order);
  void declareSteps(Scope &scope, const ast::Statement &statement, int order);
  void elaborateScope(Scope &scope);

  // Equations.cpp
  const View *resolve(Variable &v);
  void resolveInOrder(Scope &scope);
  bool resolveIndexed(Variable &v);
  bool resolveWhole(Variable &v);
  bool resolveParam(Variable &v);
  bool paramShape(const Variable &v, std::vector<Size> &extents, std::vector<int64_t> &shape);
  bool paramNames(const Variable &v, const ast::Expr &tensor, const std::string &prefix,
                  const std::vector<int64_t> &shape, StoredForm &form);
  bool paramForms(const Variable &v, const std::vector<int64_t> &shape, ParamSource &source);
  bool paramFallback(const Variable &v, const std::vector<Size> &extents, ParamSource &source);
  bool elaborateItem(Variable &v, size_t item);
  bool checkPieces(Variable &v);
  int addTensor(const std::string &label, Scope &scope, Span span);
  int addLetter(const std::string &name, const Size &extent);
  /// An index on the left: a letter, `step * letter + first`, several letters, or a position.
  struct TargetIndex {
    std::vector<std::pair<std::string, Size>> letters; ///< with their ranges; none: a position
    int64_t step = 1;
    Size first; ///< P5: where it begins; the position
    Span span;
    /// How many positions it takes.
    Size count() const;
    /// One behind the last of them.
    Size end() const { return first + (count() - Size(1)) * Size(step) + Size(1); }
    /// Takes an axis from its start on, and says no more of it than how long it is.
    bool plain() const { return letters.size() == 1 && step == 1 && first == Size(0); }
  };
  /// What is known of one equation's left side before its axes are.
  struct LeftSide {
    std::vector<TargetIndex> indices;
    size_t rank = 0;      ///< with those of its call's result that it leaves off (F4)
    bool partial = false; ///< it leaves some off
  };
  /// The axes of a tensor as far as they are known.
  struct Axes {
    std::vector<std::optional<Size>> extents;
    std::vector<std::string> names;
    std::vector<int64_t> before, after; ///< P4
  };
  std::optional<TargetIndex> targetIndex(const ast::Expr &index, const Item &item);
  std::optional<TargetIndex> targetName(const ast::Expr &index, const Item &item);
  bool targetLetters(const ast::Expr &index, const Item &item, TargetIndex &out);
  bool stripeOf(const ast::Expr &index, const Item &item, TargetIndex &out);
  bool hasLetter(const ast::Expr &e, const Item &item);
  std::optional<std::vector<LeftSide>> leftSides(const Variable &v);
  bool lettersExtents(const Variable &v, const std::vector<LeftSide> &sides, Axes &axes);
  bool callExtents(const Variable &v, const std::vector<LeftSide> &sides, Axes &axes);
  bool positionExtents(const Variable &v, const std::vector<LeftSide> &sides, Axes &axes);
  bool outsideOf(const Variable &v, const TargetIndex &index, size_t axis, Axes &axes);
  AxisSet setOf(const TargetIndex &index, const Size &extent) const;
  Env &statementEnv(const Item &item);
  void bindTarget(const TargetIndex &index, Env &env);
  PieceIndex pieceIndex(const TargetIndex &index, size_t axis, const Variable &v, const Env &env,
                        Stripes &stripes);
  bool resultsOf(const Item &item, const Variable &v, size_t given, Env &env, Piece &piece);
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
  ExprPtr merged(const ast::Expr &e, Env &env);
  ExprPtr binary(const ast::Expr &e, Env &env);
  ExprPtr compare(const ast::Expr &e, Env &env);
  bool isText(const ast::Expr &e, Env &env);
  ExprPtr name(const ast::Expr &e, Env &env);
  ExprPtr access(const ast::Expr &e, Env &env);
  ExprPtr reduction(const ast::Expr &e, Env &env);
  void sayNoLetter(const ast::Name &letter, Env &env);
  static bool usedOutside(const std::string &letter, const Env &env);
  ExprPtr readView(const View &view, std::vector<ExprPtr> indices, Span span, bool own = false);
  ExprPtr constantExpr(const Constant &c, Span span);
  void sayText(Span at);
  ExprPtr callExpr(const ast::Expr &e, Env &env);
  ExprPtr builtin(const ast::Expr &e, const std::string &name, Env &env);
  static bool isBuiltin(const std::string &name);
  std::optional<bool> staticCondition(const ast::Expr &e, Env &env, bool *failed = nullptr);
  void unknownName(const ast::Name &name, Env &env);

  // Calls.cpp
  FunctionRef function(const std::string &name, Scope *scope);
  static bool elementwise(const ast::Definition &d);
  std::optional<std::vector<View>> call(const ast::Expr &e, Env &env);
  void unknownFunction(const ast::Expr &e, Env &env);
  bool mayCall(const ast::Expr &e, const ast::Definition &definition, const Env &env);
  std::optional<std::vector<View>> callArguments(const ast::Expr &e,
                                                 const ast::Definition &definition, Env &env);
  std::string mappedCall(const ast::Expr &argument, const View &view, size_t rank, const Env &env);
  std::nullopt_t wrongRank(const ast::Expr &e, const ast::Formal &formal, size_t have,
                           const std::string &hint = "");
  bool giveLeading(View &view, const std::vector<ast::ExprPtr> &indices, Env &env);
  std::optional<View> namedArgument(const ast::Expr &e, Env &env, const ast::Formal &formal);
  std::optional<View> calledArgument(const ast::Expr &e, Env &env, const ast::Formal &formal);
  std::optional<View> argumentView(const ast::Expr &e, Env &env, const ast::Formal &formal);
  std::optional<std::vector<View>> instantiate(const ast::Expr &e, FunctionRef f,
                                               const std::vector<View> &tensors, Env &env);
  bool bindFormal(Body &body, const ast::Formal &formal, const View &view, Span at);
  bool bindNamed(const ast::Expr &e, Body &body, Env &env);
  const ast::Formal *namedFormal(const ast::Argument &a, const ast::Definition &d);
  bool bindFunction(const ast::Argument &a, const ast::Formal &formal, Body &body, Env &env);
  bool bindDefaults(const ast::Expr &e, Body &body, const std::set<std::string> &given);
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

  std::map<std::string, std::unique_ptr<FileScope>> files_;
  std::deque<Scope *> work_;
  std::map<std::pair<const ast::Statement *, Scope *>, std::vector<View>> statementCalls_;
  std::map<std::pair<const ast::Statement *, Scope *>, Env> statementEnvs_;
  std::map<std::pair<const ast::Expr *, Scope *>, std::optional<std::vector<View>>> wholeCalls_;
  PieceStripes stripes_;
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
  std::set<const ast::Statement *> reshaped_; ///< said already (F5)
  int defining_ = -1;                         ///< the tensor whose equation is being elaborated
  int repeats_ = 0;
  std::set<int> broken_; ///< tensors in whose equations there are errors
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
