// The values of weighted sums: which factors they are, and the tensors that kernels read.
#pragma once

#include "compiler/equations/Scores.h"

namespace qkv::equations {

class Values {
public:
  Values(Program &program, Scores &scores) : program_(program), scores_(scores) {}

  /// The factors under a sum over keys: in front of it, of the value, or of a pair of row and key.
  struct Factors {
    std::vector<ExprPtr> front, values, pairs;
    ExprPtr placed;    ///< a value that is read at a place
    std::set<int> own; ///< the values' letters apart from the score's
    int row = -1;
  };

  /// Which is which; without a row if there is none that the value does not depend on.
  Factors sort(const std::vector<ExprPtr> &factors, int key, const std::set<int> &score);
  /// The value as a read over `outer` letters, the key and its own, the last contiguous.
  ExprPtr valueOf(const ExprPtr &e, const std::set<int> &score, int key, std::vector<int> &own);
  /// The same of a value that is read at a place, which depends on row and key: r[i-j+c,e].
  ExprPtr placedValue(const ExprPtr &e, const std::set<int> &score, int key, std::vector<int> &own);

private:
  bool isPlain(const ExprPtr &e, const std::vector<int> &own, int except);
  bool hasPlace(const ExprPtr &e, int key, const std::set<int> &score);

  Program &program_;
  Scores &scores_;
  FreeLetters free_;
};

} // namespace qkv::equations
