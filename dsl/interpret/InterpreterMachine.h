// What the parts of the interpreter share: the compact form of the equations, the memory of
// computed elements, and the machine that evaluates.
//
// The parts: InterpreterResolve makes nodes from expressions, InterpreterEvaluate values from
// nodes, InterpreterReduce does the reductions, InterpreterTensors finds and remembers elements,
// Interpreter is the outside. What must hold:
//   - a node's value depends on the letters in `free` alone, so it may be remembered by them;
//   - an element's letters live in a frame of their own, so that an equation can be entered
//     again while it is being computed (a recurrence);
//   - nothing is read that the element by element meaning would not read (A3, A6), and an f32
//     result is made by the same operations in the same order whatever path computes it.
#pragma once

#include "dsl/interpret/Interpreter.h"
#include "dsl/interpret/InterpreterRound.h"
#include "dsl/proof/LeftOut.h"

#include <bit>
#include <chrono>
#include <cmath>
#include <deque>
#include <memory>
#include <unordered_map>

namespace qkv::interpret {

/// A check that failed; caught where the evaluation began.
struct Failure {
  RunError error;
};

struct TensorState;

/// The values of the letters of one element or of one row.
using Key = std::vector<int64_t>;
struct KeyHash {
  size_t operator()(const Key &key) const;
};

/// A row of softmax or rank: what all its elements have in common.
struct Row {
  bool empty = true;
  double max = 0, sum = 0;
  /// Of rank: the scores, as bits of a float or int, and which of them take part.
  std::vector<uint64_t> scores;
  std::vector<char> takesPart;
  /// exp(score - max) of each position, less than 0 where it is left out; may be dropped to save
  /// space.
  std::vector<double> powers;
};

/// Values that were computed, by the letters `slots`.
struct Memory {
  std::vector<int> slots;
  bool table = false; ///< every setting is remembered, not only the last
  bool valid = false;
  Key last;
  uint64_t bits = 0;
  std::unordered_map<Key, uint64_t, KeyHash> all;
  std::unordered_map<Key, Row, KeyHash> rows;
  const std::pair<const Key, Row> *lastRow = nullptr; ///< the one that was asked for last
  std::unordered_map<Key, bool, KeyHash> leftOut;
};

enum class Code : uint8_t {
  Number,   // number
  Integer,  // integer, also a bool
  Letter,   // frame[slot]
  Shifted,  // frame[slot] + integer
  Read,     // tensor[args]
  Apply,    // op(args)
  If,       // args[0] ? args[1] : args[2]
  Reduce,   // all but softmax: args[0] body, args[1] guard or null
  Row,      // args[0] body, args[1] guard or null; has no value, only shares
  Softmax,  // args[0] its Row, args[1..] the position
  Rank,     // likewise
  Convert,  // int to float
  Narrow,   // a constant becomes an f32 (T3)
  Remember, // args[0], remembered
};

struct LoopLetter {
  int slot;
  int64_t extent;
};

/// An expression, resolved for one piece.
struct Node {
  Code code;
  Op op = Op::Add;
  Reduction reduction = Reduction::Sum;
  bool integral = false; ///< an int or bool: evaluate with `integer`, else with `number`
  bool single = false;   ///< the result is rounded to f32
  bool mayBeOut = false; ///< may be 0 by a guard (A6)
  int slot = -1;
  int depth = 1;        ///< nodes above the deepest leaf
  uint64_t letters = 0; ///< bit slot % 64 for each of `free`: a quick "does not depend on"
  int64_t integer = 0;
  double number = 0;
  Node *a = nullptr, *b = nullptr, *c = nullptr; ///< the first of `args`
  TensorState *tensor = nullptr;
  Memory *memory = nullptr;
  const Expr *source = nullptr;
  std::vector<Node *> args;
  std::vector<LoopLetter> loops; ///< Reduce, Row, Softmax, Rank; the last is the innermost
  std::vector<int> free;         ///< slots of the letters the value depends on, in order

  bool dependsOn(int s) const { return letters >> (s & 63) & 1; }
};

/// A piece, resolved: its letters have slots 0, 1, ... in the order of the axes.
struct PieceState {
  struct Index {
    int slot = -1;        ///< or -1: `position`
    int64_t position = 0; ///< or, for a letter, its extent
  };
  std::vector<Index> indices;
  Node *value = nullptr;
  Node *guard = nullptr;
  int slots = 0;
  std::deque<Node> nodes;
  std::deque<Memory> memories;
  std::deque<ExprPtr> written; ///< weighted sums in terms of other nodes
};

/// Elements of a tensor with more positions than are worth an array.
class SparseCells {
public:
  /// The cell of a position, or null.
  const uint64_t *find(int64_t position) const;
  void insert(int64_t position, uint64_t cell);

private:
  size_t slotOf(int64_t position) const;
  struct Entry {
    int64_t position = -1;
    uint64_t cell = 0;
  };
  std::vector<Entry> entries_;
  size_t used_ = 0;
};

struct TensorState {
  struct AxisState {
    int64_t before, extent, total, stride;
  };
  const Tensor *tensor = nullptr;
  int number = -1;
  bool integral = false;
  bool computed = false; ///< an equation; else given: an input or parameter
  bool ready = false;    ///< pieces are resolved, or values are at hand
  bool narrow = false;   ///< given floats are rounded when read
  std::vector<AxisState> axes;
  int64_t count = 1; ///< positions, those of P4 included; -1: beyond 64 bits

  // Computed. A cell is the value's bits with kEmpty's flipped, so that fresh memory is empty.
  static constexpr uint64_t kEmpty = 0x7ff85eed0badf00dULL;
  uint64_t *cells = nullptr; ///< or null: sparse
  SparseCells sparse;
  std::unordered_map<int64_t, bool> leftOut; ///< elements of which it was asked (A6)
  std::deque<PieceState> pieces;
  int slots = 0; ///< the most that a piece needs

  // Given.
  const double *floats = nullptr;
  const int64_t *ints = nullptr;
  Values own;
};

inline uint64_t bitsOf(double v) { return std::bit_cast<uint64_t>(v); }
inline uint64_t bitsOf(int64_t v) { return static_cast<uint64_t>(v); }
inline double floatOf(uint64_t bits) { return std::bit_cast<double>(bits); }
inline int64_t intOf(uint64_t bits) { return static_cast<int64_t>(bits); }

/// Ints wrap.
inline int64_t wrapAdd(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
inline int64_t wrapSub(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}
inline int64_t wrapMul(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

class Machine {
public:
  /// How many values of the innermost letter are evaluated together.
  static constexpr int64_t kChunk = 128;

  Machine(const Program &program, std::map<int, Values> inputs,
          std::function<const Values *(int)> params, InterpretOptions options);
  ~Machine();
  Machine(const Machine &) = delete;
  Machine &operator=(const Machine &) = delete;

  /// The bits of the element at an offset into all positions of the tensor.
  uint64_t at(TensorState &t, int64_t offset);
  /// Makes the pieces of a computed tensor, the values of a given one.
  void prepare(TensorState &t);

  const Program &program;
  Rounding rounding;
  InterpretOptions options;
  std::vector<int64_t> sizes;
  std::string bindError;
  std::deque<TensorState> tensors;

  /// Before an evaluation: its computation may not go below this address of the stack.
  void begin(const char *stackLimit) {
    stackLimit_ = stackLimit;
    depth_ = markDepth_ = 0;
  }

private:
  friend class Resolver;

  // InterpreterTensors
  void layOut();
  void give(TensorState &t, const Values &values);
  void fallBack(TensorState &t);
  uint64_t compute(TensorState &t, int64_t offset);
  PieceState *pieceAt(TensorState &t, int64_t offset, int64_t *position);
  void descend(TensorState &t, int64_t offset);
  uint64_t element(TensorState &t, int64_t offset) {
    if (t.cells) {
      if (uint64_t cell = t.cells[offset])
        return cell ^ TensorState::kEmpty;
    } else if (const uint64_t *cell = t.sparse.find(offset)) {
      return *cell ^ TensorState::kEmpty;
    }
    return compute(t, offset);
  }
  void tick();

  // InterpreterEvaluate
  double number(const Node &n, int64_t *frame);
  int64_t integer(const Node &n, int64_t *frame);
  int64_t index(const Node &n, int64_t *frame) {
    return n.code == Code::Letter ? frame[n.slot] : integer(n, frame);
  }
  int64_t locate(const Node &read, int64_t *frame);
  double load(TensorState &t, int64_t offset);
  double applyNumber(const Node &n, int64_t *frame);
  int64_t applyInteger(const Node &n, int64_t *frame);
  bool compare(const Node &n, int64_t *frame);
  double function(const Node &n, double x) const;
  double combine(const Node &n, double x, double y);
  uint64_t remembered(const Node &n, int64_t *frame);
  [[noreturn]] void outside(const Node &read, size_t axis, int64_t value);
  [[noreturn]] void zeroDivisor(const Node &n);

  // InterpreterLeftOut
  bool leftOut(const Node &n, int64_t *frame);
  bool rowLeavesOut(const Node &n, int64_t *frame);
  bool elementLeftOut(TensorState &t, int64_t offset);
  bool reductionLeftOut(const Node &n, int64_t *frame);
  /// The factor of a product that is left out, or null.
  const Node *leftOutFactor(const Node &product, int64_t *frame) {
    if (product.a->mayBeOut && leftOut(*product.a, frame))
      return product.a;
    return product.b->mayBeOut && leftOut(*product.b, frame) ? product.b : nullptr;
  }

  // InterpreterReduce
  double reduceNumber(const Node &n, int64_t *frame);
  int64_t reduceInteger(const Node &n, int64_t *frame);
  double share(const Node &n, int64_t *frame);
  int64_t rank(const Node &n, int64_t *frame);
  int64_t positionOf(const Node &share, Key &position, int64_t *frame);
  const Row *knownRow(const Node &row, Key &key, int64_t *frame);
  int64_t sizeOfRow(const Node &row);
  const Row &rowOf(const Node &row, int64_t *frame);
  const Row &rankedRow(const Node &row, int64_t *frame);
  template <class Fn> void forEachRun(const Node &n, int64_t *frame, Fn fn);
  bool skipsProduct(const Node &n) const {
    return n.code == Code::Apply && n.op == Op::Mul && (n.a->mayBeOut || n.b->mayBeOut);
  }
  void runProduct(const Node &n, int64_t *frame, int slot, int64_t first, int64_t count,
                  double *out);
  void combineRun(const Node &n, int64_t count, double *out, const double *right);
  void run(const Node &n, int64_t *frame, int slot, int64_t first, int64_t count, double *out);
  bool runRead(const Node &n, int64_t *frame, int slot, int64_t first, int64_t count, double *out);

  LeftOut leftOut_;
  std::map<int, Values> inputs_;
  std::function<const Values *(int)> params_;
  const char *stackLimit_ = nullptr;
  // The elements that are being computed: how many, and the one at a depth of a power of two,
  // which shows an element that depends on itself.
  int64_t depth_ = 0, markDepth_ = 0, markOffset_ = 0;
  const TensorState *markTensor_ = nullptr;
  int64_t kept_ = 0; // elements of Row::powers that are held
  int64_t done_ = 0, all_ = 0;
  std::chrono::steady_clock::time_point lastTick_{};
};

/// Resolves a piece of `t` (InterpreterResolve).
void resolvePiece(Machine &machine, TensorState &t, const Piece &piece, PieceState &out);

} // namespace qkv::interpret
