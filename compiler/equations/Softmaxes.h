// What is a softmax, through definitions: the weights of sums.
//
// In: equations as they are written. Out: an expression as a sum of products with one softmax
// each: alpha[i,j] is what it is defined as, exp(s) / sum[j](exp(s)) and exp(s - logsumexp[j](s))
// are the softmax of s, a difference of two softmaxes is two terms.
#pragma once

#include "compiler/equations/Expressions.h"

#include "dsl/proof/Schedule.h"

#include <optional>

namespace qkv::equations {

/// A product with a softmax in it (or without: null).
struct Term {
  ExprPtr softmax;
  std::vector<ExprPtr> factors, divisors;
  bool negative = false;
};

/// log(sum[key](exp(score) where guard))
struct LogSum {
  ExprPtr score, guard;
  int key;
};

/// A softmax, or a sum that one weighs, divided by what is free of its letter (null: by 1).
struct Share {
  ExprPtr value, divisor;
};

/// Terms that a product of sums, or of a value, may become.
constexpr size_t mostTerms = 16;

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

  /// Elements of a tensor are wanted: it is written out nowhere from now on.
  void keep(int tensor) { kept_.insert(tensor); }

  /// What a read's tensor is defined as, with the read's indices; null if it may not be written
  /// there (pieces, recurrences, results, checked reads).
  ExprPtr definition(const ExprPtr &e);
  /// Whether a softmax stands in `e` as a factor or a term. `guard`: what holds (or null) wherever
  /// `e` is wanted, the guard of the sum around.
  bool weighs(const ExprPtr &e, const ExprPtr &guard = nullptr);
  /// `e` as a sum of products with at most one softmax each; false if it is none.
  bool distribute(const ExprPtr &e, std::vector<Term> &out, const ExprPtr &guard = nullptr);
  /// sum[j](exp(s) * v where g) / sum[l](exp(s) where g): a sum weighed by a softmax. What is added
  /// to the sum below (a sink, 1) divides.
  std::optional<Share> ratio(const ExprPtr &e);

  /// The logarithm of a sum of powers, with or without a maximum subtracted and added back, if `e`
  /// is one.
  std::optional<LogSum> logSum(const ExprPtr &e);
  /// `e`, or what it is defined as, as long as that is a name for it.
  ExprPtr resolved(ExprPtr e);

  /// The tensors whose definitions were written out, in order; the caller empties it.
  std::vector<int> inlined;

private:
  /// exp(s), and the condition (or null) where it is that and not 0; null where it is none.
  struct Power {
    ExprPtr power, guard;
  };
  Power powerOf(const ExprPtr &e);
  ExprPtr divisorOf(const ExprPtr &beside, const ExprPtr &sum, const ExprPtr &below,
                    const ExprPtr &each, const ExprPtr &guard);
  void findLoops(const std::vector<ScheduleNode> &nodes, bool inside);
  bool inlinable(int tensor) const;
  bool hasOneDefinition(int tensor) const;
  ExprPtr definitionAt(const ExprPtr &read) const;
  std::string textOf(const ExprPtr &e);
  ExprPtr withoutShift(ExprPtr score, int key);
  std::optional<Share> writtenOut(const ExprPtr &power, const ExprPtr &total,
                                  const ExprPtr &guard = nullptr);
  ExprPtr normalized(const ExprPtr &power);
  ExprPtr softmaxOf(const ExprPtr &above, const ExprPtr &each, int bound,
                    const std::set<int> &outside, Span span);
  bool tensorWeighs(int tensor);

  const Program &program_;
  FreeLetters free_;
  std::set<int> results_, looped_, kept_;
  std::unordered_map<int, bool> weighs_; ///< by tensor
};

} // namespace qkv::equations
