// What is a softmax, through definitions: the weights of sums.
//
// In: equations as they are written. Out: an expression as a sum of products with one softmax
// each: alpha[i,j] is what it is defined as, exp(s) / sum[j](exp(s)) is the softmax of s, a
// difference of two softmaxes is two terms.
#pragma once

#include "compiler/irgen/Expressions.h"

#include "dsl/Schedule.h"

namespace qkv::irgen {

/// A product with a softmax in it (or without: null).
struct Term {
  ExprPtr softmax;
  std::vector<ExprPtr> factors, divisors;
  bool negative = false;
};

bool isSoftmax(const Expr &e);
/// A product's factors; constants whole (T3).
void factorsOf(const ExprPtr &e, std::vector<ExprPtr> &out);
ExprPtr product(const std::vector<ExprPtr> &factors, Span span);

class Softmaxes {
public:
  explicit Softmaxes(const Program &program);

  /// Whether a tensor is one of a recurrence, or a result.
  bool isLooped(int tensor) const { return looped_.count(tensor) > 0; }
  bool isResult(int tensor) const { return results_.count(tensor) > 0; }

  /// What a read's tensor is defined as, with the read's indices; null if it may not be written
  /// there (pieces, recurrences, results, checked reads).
  ExprPtr definition(const ExprPtr &e);
  /// Whether a softmax stands in `e` as a factor or a term.
  bool weighs(const ExprPtr &e);
  /// `e` as a sum of products with at most one softmax each; false if it is none.
  bool distribute(const ExprPtr &e, std::vector<Term> &out);
  /// sum[j](exp(s) * v) / sum[l](exp(s)): a sum weighed by a softmax; or null.
  ExprPtr ratio(const ExprPtr &e);

  /// The tensors whose definitions were written out, in order; the caller empties it.
  std::vector<int> inlined;

private:
  void findLoops(const std::vector<ScheduleNode> &nodes, bool inside);
  bool inlinable(int tensor) const;
  ExprPtr resolved(ExprPtr e);
  std::string textOf(const ExprPtr &e);
  ExprPtr withoutShift(ExprPtr score, int key);
  ExprPtr writtenOut(const ExprPtr &power, const ExprPtr &total);
  bool tensorWeighs(int tensor);

  const Program &program_;
  FreeLetters free_;
  std::set<int> results_, looped_;
  std::unordered_map<int, bool> weighs_; ///< by tensor
};

} // namespace qkv::irgen
