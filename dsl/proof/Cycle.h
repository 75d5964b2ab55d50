// Why equations that need each other have no order (R1), said to their author.
//
// In: tensors that depend on each other and that no loop computes, and their reads. Out: one
// error that shows a shortest cycle among the reads that are not provably at strictly earlier
// positions, each with its place. It words what the scheduler found and decides nothing.
#pragma once

#include "dsl/Program.h"
#include "dsl/proof/Proof.h"
#include "dsl/syntax/Diagnostics.h"

#include <functional>
#include <map>
#include <set>
#include <vector>

namespace qkv {

/// A read of one tensor in a piece of another, with what is known where it stands.
struct PlacedRead {
  const Piece *piece;
  const Expr *read;
  std::vector<Facts> known;
};

/// Where a read is, along chosen axes, seen from the position that is computed.
enum class Lag { Earlier, Same, EarlierOrSame, Later, Unknown };

/// The lag of `place`, whose piece is computed at a position along `axis`, when the tensor that it
/// reads is looked at along `readAxis` (-1: there is no such axis) and the loop runs forward or
/// backward.
Lag lagOf(Prover &prover, const PlacedRead &place, int axis, int readAxis, bool forward);

/// How much earlier it is: less than 0 is later. The axes are some.
Linear lagForm(Prover &prover, const PlacedRead &place, int axis, int readAxis, bool forward);

/// What the scheduler knows of the reads.
struct ReadGraph {
  const std::map<int, std::set<int>> &reads; ///< by reader
  std::function<const std::vector<PlacedRead> &(int from, int to)> places;
};

void sayCycle(const Program &program, Prover &prover, const ReadGraph &graph,
              const std::vector<int> &component, Diagnostics &diagnostics);

} // namespace qkv
