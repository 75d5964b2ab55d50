// Scores within a block of keys that several sums share.
//
//   y[i,h,e] = sum[u](sum[n](C[i,n] * B[u,n]) * exp(f[i,h] - f[u,h]) * v[u,h,e] where ..)
//
// In: a sum over the few keys of a block. Out: the same, where an inner sum that other weights of
// the pair have more letters than (the heads) is a tensor of its own, computed once for all of
// them:
//
//   y.scores[i,u] = sum[n](C[i,n] * B[u,n])
//
// What holds: the tensor is over rows and the keys of their block alone, never over all pairs.
#pragma once

#include "compiler/equations/Expressions.h"

#include <set>
#include <vector>

namespace qkv::equations {

class BlockScores {
public:
  /// `stored` gets the tensors that are made.
  BlockScores(Program &program, std::set<int> &stored) : program_(program), stored_(stored) {}

  /// A sum of `like`'s equation over the keys at the letter `key`; its rows are those at the
  /// letters `places` (a block and a place in it, or a place alone).
  ExprPtr apart(const Tensor &like, const ExprPtr &sum, const std::vector<int> &places, int key);

private:
  bool isShared(const ExprPtr &score, const std::vector<ExprPtr> &factors, const Expr &sum, int row,
                int key);
  ExprPtr named(const Tensor &like, const ExprPtr &score, const std::vector<int> &places, int key);

  Program &program_;
  std::set<int> &stored_;
  FreeLetters free_;
};

} // namespace qkv::equations
