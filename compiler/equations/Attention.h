// Weighted sums as one equation: the form that FuseAttention leaves for emission.
//
// An equation o[..,i,..,e] = sum[j](softmax[j](score) * factor * value) stays one, with the score
// as an expression over the letters: nothing of it is a tensor over i and j. So do
// o[..,i] = logsumexp[j](score) and, where the score itself is the weight (plain),
// sum[j](score * value) and sum[j](score).
#pragma once

#include "compiler/equations/Expressions.h"

#include <functional>
#include <optional>

namespace qkv::equations {

/// The letters of a tile's bounds: first and last row, first and last key.
struct TileLetters {
  int firstRow, lastRow, firstKey, lastKey;
};

/// sum[j](softmax[j'](score where part; at j; any; all) [* factor] * value), taken apart; or, with
/// no value, logsumexp[j'](score where part; of row; any; all). Plain: with sum in place of softmax
/// and of logsumexp, and without a factor.
struct WeightedSum {
  bool plain = false;        ///< the score is the weight
  ExprPtr score, part;       ///< over `key`; part may be null
  ExprPtr any, all;          ///< over the tile's letters; null without a part, or not made yet
  ExprPtr factor;            ///< over `sumKey`, or null
  ExprPtr value;             ///< a read over `sumKey` (and a size more), or at a place; or null
  int placeAxis = -1;        ///< of the value, where it is read at a place that depends on the key
  int key = -1, sumKey = -1; ///< the letters of the softmax and of the sum
  std::optional<TileLetters> tile;
  int row = -1;            ///< the letter of a tile's rows, or -1
  std::vector<int> values; ///< the value's own letters, in its order: the last is contiguous
};

/// Makes the equation's right side.
ExprPtr weightedSum(const WeightedSum &sum, Span span);
/// The parts of one; nothing if `e` is none.
std::optional<WeightedSum> asWeightedSum(const Program &program, const ExprPtr &e);

/// Sequences of a batch have the same kernel each: their letter is an outer one.
bool overSequences(const Program &program, int letter);
/// The axis of a read whose index depends on a letter and is not the letter plus a size, or -1.
int placeAxis(const ExprPtr &read, int letter);
/// The letter of a tile's rows: one that the value does not depend on (or -1).
int rowLetter(const Program &program, const std::set<int> &score, const std::set<int> &value);

/// Whether a condition holds somewhere, and everywhere, in a tile: by intervals, in three-valued
/// logic. `table` gives the least and greatest values of an int tensor over blocks of 64
/// positions of a letter (or nothing): what a read at a row's or a key's own position is between.
class TileLogic {
public:
  struct Interval {
    ExprPtr least, greatest;
  };
  using Table = std::function<std::optional<Interval>(const ExprPtr &read, int letter)>;
  TileLogic(int row, int key, const TileLetters &tile, Table table)
      : row_(row), key_(key), tile_(tile), table_(std::move(table)) {}

  /// (any, all)
  std::pair<ExprPtr, ExprPtr> of(const ExprPtr &condition);

private:
  std::optional<Interval> interval(const ExprPtr &e);
  std::pair<ExprPtr, ExprPtr> compare(const ExprPtr &e);
  bool moves(const ExprPtr &e);

  int row_, key_;
  TileLetters tile_;
  Table table_;
  FreeLetters free_;
};

} // namespace qkv::equations
