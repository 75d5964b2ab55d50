// When can an element of a stream model be computed, and what must be remembered for it?
//
// In: a checked program with a stream size T. Out: for each tensor how it follows the stream, and
// for each of its reads how far back it may lie. The arrival of an element is the least T from
// which on all that its equation reads has arrived; it is at least the arrival of its position.
// Everything is proved from the guards around the reads (A1, A6), or not claimed.
#pragma once

#include "dsl/Program.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace qkv::streams {

/// How a tensor follows the stream.
struct Role {
  enum Kind {
    Fixed,   ///< does not depend on the stream
    Table,   ///< grows with the stream and depends on no input of it: there for all positions
    Rows,    ///< gets new positions along `row`, each `delay` after its position arrives
    Settled, ///< has no axis over the stream and is what it is from T = `settled` on
    Closing, ///< is what it is for the T at hand only
  };
  Kind kind = Fixed;
  int row = -1;
  int64_t delay = 0, settled = 0;
};

/// Why a tensor is Closing: the first of its reads that is not there in time.
struct Obstacle {
  int tensor = -1;
  Span span;
  std::string text; ///< a clause: "reads k[j,d] at positions that may arrive later"
  std::string hint; ///< or empty
};

/// Positions of a tensor that a read may want of those that arrived before the reader did.
struct Lag {
  bool present = false;   ///< of those that arrive with the reader only
  bool own = false;       ///< and at the reader's own position
  int64_t first = 0;      ///< positions below it, and
  int64_t latest = 0;     ///< those that arrived at most so many T before the reader;
  bool unbounded = false; ///< or any
  /// Along the other axes: the one position that is read, where it is a number.
  std::vector<std::optional<int64_t>> slice;

  void join(const Lag &other);
};

/// A read of a tensor that gets rows, and who reads.
struct Reading {
  int reader = -1, tensor = -1;
  Span span;
  Lag lag;
};

struct Arrivals {
  std::vector<Role> roles;         ///< by tensor
  std::vector<bool> live;          ///< whether a result needs it
  std::vector<bool> fromStream;    ///< whether it depends on an input over the stream
  std::vector<int> loops;          ///< the number of the recurrence that a tensor is in, or -1
  std::vector<Obstacle> obstacles; ///< of Closing tensors, ends of chains first
  std::unordered_map<const Expr *, Lag> lags; ///< of reads of Rows and Tables, by node
  std::vector<Reading> readings;
};

/// Precondition: program.stream >= 0, and the program has an order (R1).
Arrivals arrivals(const Program &program);

} // namespace qkv::streams
