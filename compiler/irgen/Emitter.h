// What the parts of IR generation share: the module being made, and one function of it.
//
// The parts: Types and sizes (EmitSizes), scalar expressions (EmitScalars), pieces as
// linalg.generic (EmitPieces), whole tensors and recurrences (EmitTensors, EmitLoops), what is
// chosen (EmitGroups), checks (EmitChecks), steps of repeats as functions (EmitRepeats), entries
// (IRGen).
#pragma once

#include "compiler/description/Description.h"
#include "compiler/dialect/QkvDialect.h"
#include "compiler/equations/Bounds.h"
#include "compiler/equations/Expressions.h"
#include "compiler/equations/Rewrite.h"
#include "compiler/irgen/Outline.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"

namespace qkv::irgen {

/// The module and what its functions have in common.
class ModuleState {
public:
  ModuleState(mlir::MLIRContext &context, const std::string &name)
      : builder(&context), module(mlir::ModuleOp::create(builder.getUnknownLoc())), name(name) {}

  mlir::Location location(Span span);
  /// The same, named by the tensor that the author wrote.
  mlir::Location location(Span span, const std::string &label);
  int site(const Check &check);
  /// A name that no function has yet.
  std::string functionName(const std::string &wanted);

  mlir::OpBuilder builder;
  mlir::ModuleOp module;
  std::string name;
  std::vector<Site> sites;
  std::map<std::string, mlir::func::FuncOp> bodies; ///< of repeats, by what they compute

private:
  std::map<std::pair<const Source *, uint32_t>, mlir::Location> locations_;
  std::map<std::string, int> siteNumbers_;
  std::map<std::string, int> names_;
};

/// A letter of a linalg.generic: position base + d for 0 <= d < extent of dimension d.
struct Dimension {
  int letter;
  Size base, extent;
};

/// How an expression's letters have values where it is computed.
using LetterValues = std::unordered_map<int, mlir::Value>;

/// How an entry for sequences of different sizes is computed: what depends on a size of a
/// sequence's own by the program of one sequence, the rest for all of them at once.
struct Sequences {
  const Plan &one;
  Bounds &bounds; ///< of that program
  const OwnSizes &own;
};

class FunctionEmitter {
public:
  FunctionEmitter(ModuleState &state, const Plan &plan, Bounds &bounds)
      : state(state), plan(plan), prepared(plan.prepared), program(plan.prepared.program),
        bounds(bounds), builder(state.builder.getContext()), entry_(state.builder.getContext()) {}

  /// Begins the function's body; then the members below are set by the caller.
  void begin(mlir::func::FuncOp function);
  void emit(const std::vector<Item> &items);
  /// Ends the body: nothing is emitted into it behind.
  void finish(mlir::Location loc, mlir::ValueRange results);

  // EmitSizes.cpp
  /// A size as an index, computed at the function's entry.
  mlir::Value value(const Size &size);
  mlir::Value constant(int64_t number);
  /// Whether a size has a value here: it is no sequence's own.
  bool isKnown(const Size &size) const;
  /// A size that is a number of positions: at least 0.
  mlir::OpFoldResult extent(const Size &size);
  mlir::OpFoldResult storageExtent(const Axis &axis);
  /// Where position `index` of an axis is, counted from the first that it has (P4), in memory.
  mlir::Value slot(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value index, int tensor,
                   size_t axis);
  /// How many positions a tensor of a loop has (Plan::kept); 0: all.
  int64_t keptOf(int tensor, size_t axis) const;
  mlir::Value asValue(mlir::OpFoldResult size);
  mlir::OpFoldResult add(mlir::Location loc, mlir::OpFoldResult a, mlir::OpFoldResult b);
  mlir::Type elementType(int tensor);
  mlir::RankedTensorType storageType(int tensor);
  /// How a tensor in panels is held; null: row-major.
  const qkv_held *panels(int tensor) const;
  mlir::Value zeros(int tensor, mlir::Location loc);
  mlir::Value fill(mlir::Location loc, mlir::Value number, mlir::Value tensor);

  // EmitPieces.cpp
  /// The values of an expression (or of one plain reduction) over `dimensions`.
  mlir::Value compute(const ExprPtr &e, const std::vector<Dimension> &dimensions, mlir::Type type,
                      const std::vector<Facts> &facts, Span span, const std::string &label);

  // EmitAttention.cpp
  /// The same for a weighted sum (Attention.h), f32.
  mlir::Value attention(const ExprPtr &e, const std::vector<Dimension> &dimensions,
                        const std::vector<Facts> &facts, Span span, const std::string &label);

  // EmitTensors.cpp, EmitLoops.cpp
  void computeWhole(int tensor);
  void computeLoop(const ScheduleNode &loop);
  void computeJoined(int tensor, const Joined &joined); // EmitJoined.cpp
  /// Writes a piece into `into`, at the positions of the loops around.
  mlir::Value computePiece(int tensor, int piece, mlir::Value into);

  // EmitGroups.cpp
  void computeChosen(int tensor, int taken);
  void computeFirsts(int tensor);
  void computeOrder(const Group &group);
  /// A loop over the positions that rows chose.
  void computeGroup(const ScheduleNode &loop);

  // EmitChecks.cpp
  void emitChecks(int tensor, int piece);

  // EmitRepeats.cpp
  void callStep(const Item &item);

  // EmitSequences.cpp
  /// Computes a group of nodes for each sequence by itself, on the threads.
  void computeEach(const Item &group);

  ModuleState &state;
  const Plan &plan;
  const Prepared &prepared;
  const Program &program;
  Bounds &bounds;
  mlir::OpBuilder builder;
  mlir::Value context;
  /// In order of program.dynamicSizes; null: it is a sequence's own.
  std::vector<mlir::Value> dynamicSizes;
  std::unordered_map<int, mlir::Value> tensors;  ///< whole, as they are stored
  std::unordered_map<int, mlir::Value> steps;    ///< numbers of steps, by region
  LetterValues letters;                          ///< of the loops around
  std::map<std::pair<int, int>, mlir::Value> at; ///< (tensor, axis) -> position in a loop
  /// Where those loops begin and end, as far as all that they compute agrees.
  std::map<std::pair<int, int>, std::pair<std::optional<Size>, std::optional<Size>>> loopRanges;
  /// Tensors of a loop that are read at their own position alone: they have no such axis.
  std::map<int, std::set<int>> local;
  /// Whether a tensor has no such axis in memory.
  bool isLocal(int tensor, size_t axis) const;
  /// In a loop over chosen positions: tensors that have the choices of the position at hand alone
  /// along their first axis, and the sizes that say which those are.
  std::set<int> blocks;
  std::map<Size, mlir::Value> scoped;

  const Sequences *sequences = nullptr; ///< of an entry for sequences of different sizes
  mlir::Value table;                    ///< its QKV_TABLE
  /// By tensor, the column of the table with the address of an input that a sequence has by itself;
  /// likewise of each result that the tensor is.
  std::map<int, mlir::Value> inputColumns;
  std::map<int, std::vector<mlir::Value>> resultColumns;

private:
  mlir::func::FuncOp stepFunction(const Item &item, const StepText &step,
                                  llvm::ArrayRef<mlir::Type> arguments);
  mlir::Value computeContinued(int tensor, int input, size_t axis);
  mlir::Value computeDivided(int tensor, int from, size_t axis, const Size &first);
  bool isWhole(int tensor) const;
  mlir::Value anyReader(int tensor);
  bool computeAsked(int tensor);
  mlir::Value sizeTerm(const Size::Monomial &monomial);
  mlir::Value atom(int number);

  mlir::OpBuilder entry_;               // where sizes are computed
  mlir::Operation *entryEnd_ = nullptr; // in front of it; nobody reads it
  std::map<Size, mlir::Value> sizeValues_;
  std::map<Size, mlir::OpFoldResult> extents_;
  std::map<int64_t, mlir::Value> constants_;
};

/// Emits scalar expressions at a builder's place. Ints are i64, bools i1; floats are f64 where
/// they depend on letters, sizes and constants alone (T3), else f32.
class ScalarEmitter {
public:
  ScalarEmitter(FunctionEmitter &function, mlir::OpBuilder &builder,
                const std::vector<Facts> &facts, mlir::Location loc)
      : function_(function), builder_(builder), facts_(facts), loc_(loc) {}

  LetterValues letters;                           ///< index values
  std::unordered_map<ExprPtr, mlir::Value> given; ///< reads that are operands already

  mlir::Value emit(const ExprPtr &e);
  /// The same, floats as f32.
  mlir::Value data(const ExprPtr &e);
  mlir::Value index(const ExprPtr &e);
  /// Where a tensor has an index in memory; it is forced inside where it is not provably.
  mlir::Value storageIndex(const ExprPtr &e, int tensor, size_t axis);
  /// From here on `facts` are known of indices that `letter` is in.
  void assumeFor(int letter, const std::vector<Facts> &facts) {
    assumedFor_ = letter;
    assumed_ = &facts;
  }

private:
  const std::vector<Facts> &factsFor(const ExprPtr &index);
  mlir::Value node(const ExprPtr &e);
  mlir::Value reduction(const ExprPtr &e); // EmitAttention.cpp
  mlir::Value applyInt(const ExprPtr &e);
  mlir::Value applyFloat(const ExprPtr &e);
  mlir::Value applyBool(const ExprPtr &e);
  mlir::Value rounding(const ExprPtr &e);
  mlir::Value power(const ExprPtr &e);
  mlir::Value division(const ExprPtr &e, mlir::Value a, mlir::Value b);
  mlir::Value read(const ExprPtr &e);
  mlir::Value operand(const ExprPtr &e, bool exact);
  mlir::Location at(const ExprPtr &e);
  mlir::Value number(double v, bool exact);
  mlir::Value integer(int64_t v);

  FunctionEmitter &function_;
  mlir::OpBuilder &builder_;
  const std::vector<Facts> &facts_;
  int assumedFor_ = -1;
  const std::vector<Facts> *assumed_ = nullptr;
  mlir::Location loc_;
  // What was emitted for a node, which is kept: the address of one that is gone may be that of a
  // later one.
  std::unordered_map<ExprPtr, mlir::Value> done_, doneData_, doneIndex_;
};

} // namespace qkv::irgen
