// The equations of a step, built (DeriveStream.h says what they are).
//
// In: a model and how its tensors follow the stream. Out: the step, the session and the states of a
// Stream. T becomes n + m. A tensor that gets rows has those of the step alone: its position p is
// the row p - before, where `before` of its positions came earlier. A read finds what it wants
//   - among the rows of the step, where what it reads arrives with its reader;
//   - at negative rows, where few of the latest positions are kept (as h[-1] before h[0]);
//   - in one tensor that holds what is kept and what is new; inside a recurrence, in either.
#pragma once

#include "compiler/equations/Expressions.h"
#include "compiler/streams/DeriveStream.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

namespace qkv::streams {

using Slice = std::vector<std::optional<int64_t>>;

/// Moves the axis of the rows, the `row`-th, to the front; the others keep their order.
template <class List> void rowsToFront(List &list, size_t row) {
  auto at = list.begin() + static_cast<std::ptrdiff_t>(row);
  std::rotate(list.begin(), at, at + 1);
}

/// The number 0 of a type.
ExprPtr zeroOf(Type type);
/// e + by; (letter + n) - n is the letter again.
ExprPtr plus(const ExprPtr &e, const Size &by);
ExprPtr compare(Op op, const ExprPtr &a, const Size &b);

class StepBuilder {
public:
  /// out.model is the model; `sums` its tensors that are running sums.
  StepBuilder(Stream &out, std::set<int> sums);
  /// Nothing, or why there is no step.
  std::optional<Obstacle> run();

private:
  struct Plan {
    std::vector<int> constant; ///< axes along which single positions are kept
    int64_t first = 0;         ///< positions, 0: none
    int64_t last = 0;          ///< latest positions at negative rows
    bool window = false, history = false;
    int64_t windowPositions = 0;
    int across = -1;                 ///< another axis over the stream, along which rows are kept
    std::vector<size_t> outsideAxes; ///< along which earlier rows are read outside (P4)
    int rows = -1;                   ///< the tensor of the step with its rows
    std::map<Slice, int> firsts;     ///< tensors of the step: the first positions
    std::map<Slice, int> tails;      ///< what is kept and what is new
    std::map<Slice, int> firstStates, tailStates;
  };

  bool isRows(int tensor) const { return found_.roles[tensor].kind == Role::Rows; }
  const Axis &rowAxis(int tensor) const {
    return model_.tensors[tensor].axes[found_.roles[tensor].row];
  }
  int64_t outsideOf(int tensor) const { return rowAxis(tensor).before; }
  Size count(int tensor) { return total(tensor) - before(tensor); }
  int addTensor(Program &program, Tensor tensor) {
    program.tensors.push_back(std::move(tensor));
    return static_cast<int>(program.tensors.size()) - 1;
  }
  static int newLetter(Program &program, const std::string &name, const Size &extent) {
    program.letters.push_back({name, extent});
    return static_cast<int>(program.letters.size()) - 1;
  }

  // --- sizes

  Size at(const Size &size, const Size &length);
  Size delayed(const Size &length, int64_t delay);
  Size before(int tensor);
  Size total(int tensor);

  // --- what is kept (StepStates.cpp)

  std::optional<Obstacle> plan();
  bool isReadOutside(int tensor, size_t axis);
  std::optional<Obstacle> planOutside(int tensor, Span span);
  std::optional<Obstacle> planAcross(int tensor, Span span);
  bool standsOutside(int tensor, const Piece &piece, size_t axis) const;
  Slice sliceOf(int tensor, const Lag &lag) const;
  void addStates(int tensor, const Reading &reading);
  std::string nameOf(int tensor, const Slice &slice) const;
  void makeState(State &state);
  void makeHistory(State &state);
  void makeWindow(State &state);
  void makeFirst(State &state);
  void makeLast(State &state);
  /// Which of the axes that a slice leaves is the row's.
  size_t rowAmong(int tensor, const Slice &slice) const;
  ExprPtr readRows(const State &state, std::vector<ExprPtr> left, const Size &shift) const;
  void giveInput(State &state, const Size &rows);
  int joined(const State &state, const Size &extent, const Size &held, const Size &base);
  Size beginOfWindow(const Size &rows, int64_t positions);
  /// The row -back of a tensor is what is kept of it.
  void addOutside(const State &state, int rows, int64_t back);
  std::vector<Piece> cornersOf(const State &state, int64_t back);
  /// What is kept before the first step: the positions before the first, where they are defined.
  void begin(State &state, int64_t positions);

  // --- once per session

  void session();

  // --- tensors of the step

  /// A tensor with the axes of another that `slice` leaves, `rows` of them along the row's axis.
  Tensor shaped(int tensor, const Slice &slice, const std::string &name, const Size &rows) const;
  /// The same for a state: rows come first where it grows in place.
  Tensor shaped(const State &state, const std::string &name, const Size &rows) const;
  /// The extent of a kept row along the stream, of a stream of some length.
  void stretch(const State &state, Tensor &kept, const Size &length);
  ExprPtr ownBeforeFirst(const State &state, int64_t back, const std::vector<int> &letters,
                         ExprPtr otherwise);
  /// A piece for all positions of a tensor; its value is made from its letters.
  Piece whole(Program &program, const Tensor &t,
              const std::function<ExprPtr(const std::vector<ExprPtr> &)> &value) const;
  /// The indices of a tensor from those that a slice leaves, with `row` along the row's axis.
  std::vector<ExprPtr> expand(int tensor, const Slice &slice, const std::vector<ExprPtr> &left,
                              const std::function<ExprPtr(const ExprPtr &)> &row) const;
  /// Tensors that get rows have those of the step; inputs that are kept at negative rows get an
  /// equation.
  void makeRows();

  // --- equations of the step (StepEquations.cpp)

  void rewriteAll();
  void rewrite(int t);
  /// (row + n) - n is the row.
  void simplifyRows(ExprPtr &root) const;
  /// Pieces at single positions of the stream and the general ones as one piece, which decides for
  /// each element.
  Piece merged(int t, const std::vector<Piece> &single, const std::vector<Piece> &general);
  /// An expression of a reader with its reads where they now are; letters still count positions of
  /// the stream.
  ExprPtr found(int reader, const ExprPtr &e);
  ExprPtr readOfRows(int reader, const Expr &original, const ExprPtr &e);

  // --- inputs and results

  void finish();

  const Program &model_;
  std::set<int> sums_; ///< tensors that are running sums
  Arrivals found_;
  Stream &out_;
  Program &step_;
  Size n_, length_;
  std::vector<Plan> plans_;
  std::map<int, Size> bases_; ///< the position at which a window's tensor begins
  std::map<int, std::vector<Piece>> outside_;
  std::unordered_map<ExprPtr, ExprPtr> nodes_; ///< of the piece at hand
};

} // namespace qkv::streams
