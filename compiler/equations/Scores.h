// Scores of softmax-weighted sums, as expressions over a row and a key.
#pragma once

#include "compiler/equations/NewTensors.h"
#include "compiler/equations/Softmaxes.h"

namespace qkv::equations {

/// Whether a node of `e` is such.
bool any(const ExprPtr &e, const std::function<bool(const Expr &)> &holds);

class Scores {
public:
  Scores(Program &program, Softmaxes &softmaxes)
      : program_(program), softmaxes_(softmaxes), made_(program) {}

  /// The equation that new tensors are split off from now on.
  void standAt(int tensor, int piece) {
    tensor_ = tensor;
    piece_ = piece;
  }
  /// The conditions under which rows and keys take part, until others are given: where one does not
  /// hold, nothing is checked (A1) in the tensors that are made.
  void takePart(std::vector<ExprPtr> conditions) { conditions_ = std::move(conditions); }
  /// The read of a tensor over `letters` in that order whose element is `e`.
  ExprPtr extract(const ExprPtr &e, const std::vector<int> &letters, const char *suffix);
  /// The score: sums that hold both a row and a key are written out, through definitions; what
  /// holds one of them is a read, or made one where it would be computed again and again.
  ExprPtr written(const ExprPtr &e, int row, int key) { return written(e, row, key, {}); }
  /// Whether a score that is written out is computed of rows and keys, and not read from memory or
  /// multiplied out of a parameter's rows (which is a contraction: packed once).
  bool isComputed(const ExprPtr &e, int row, int key);

private:
  bool hasOwnLoop(const ExprPtr &e);
  ExprPtr written(const ExprPtr &e, int row, int key, std::vector<int> inner);
  ExprPtr ofOneSide(const ExprPtr &e, int row, int key, const std::vector<int> &inner);
  ExprPtr sum(const ExprPtr &e, int row, int key, const std::vector<int> &inner);

  Program &program_;
  Softmaxes &softmaxes_;
  NewTensors made_;
  FreeLetters free_;
  std::vector<ExprPtr> conditions_;
  int tensor_ = -1, piece_ = -1;
};

} // namespace qkv::equations
