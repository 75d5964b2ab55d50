// What the parts of the splitting share: where an expression stands, and how one becomes a
// tensor of its own. (SplitReductions.cpp walks equations, Reductions.cpp knows each
// reduction, Products.cpp the order of factors.)
#pragma once

#include "compiler/equations/Attention.h"
#include "compiler/equations/Bounds.h"
#include "compiler/equations/Expressions.h"
#include "compiler/equations/NewTensors.h"
#include "compiler/equations/Rewrite.h"

#include "dsl/proof/LeftOut.h"
#include "dsl/proof/Schedule.h"

#include <set>
#include <unordered_map>

namespace qkv::equations {

/// A loop of a recurrence that a tensor is in, and its axis.
using LoopAxes = std::map<int, int>;

class Splitter {
public:
  /// `cautious`: what is split off inside a recurrence keeps every letter of the guards
  /// around it (otherwise only those that it depends on itself). `kept`: their equations stay.
  Splitter(Program program, bool cautious, std::set<int> kept);

  Prepared run();

private:
  // SplitReductions.cpp
  void splitPiece(int tensor, int piece);
  ExprPtr rewrite(const ExprPtr &e);
  ExprPtr rewriteNode(const ExprPtr &e);
  ExprPtr rewriteRead(const ExprPtr &e);
  ExprPtr rewriteDivision(const ExprPtr &e);
  void addCheck(Check check);
  bool interesting(const ExprPtr &e);
  /// A table over the difference of two letters (T3), if `e` depends on them in no other way.
  ExprPtr differenceTable(const ExprPtr &e);
  /// Calls fn where a condition (or null) holds as well.
  ExprPtr under(const ExprPtr &condition, const std::function<ExprPtr()> &fn);

  /// A new tensor whose element is `e`, over the letters that e depends on; returns its read.
  ExprPtr extract(const ExprPtr &e, const char *suffix);
  /// `e` if the whole equation may be this reduction, else the read of a new tensor.
  ExprPtr finish(const ExprPtr &e, const char *suffix, bool root);
  /// The loops that `e` reads tensors of, among those that the tensor at hand is in.
  std::map<int, int> loopsOf(const ExprPtr &e);

  // Reductions.cpp
  ExprPtr rewriteReduction(const ExprPtr &e, bool root);
  ExprPtr softmax(const ExprPtr &e, const ExprPtr &body, const ExprPtr &guard);
  ExprPtr logSumExp(const ExprPtr &e, const ExprPtr &body, const ExprPtr &guard);
  ExprPtr mean(const ExprPtr &e, const ExprPtr &body, const ExprPtr &guard);
  ExprPtr placeOfExtremum(const ExprPtr &e, const ExprPtr &body, ExprPtr guard);
  ExprPtr rank(const ExprPtr &e, const ExprPtr &body, const ExprPtr &guard);
  /// The score of a softmax: read from a tensor where computing it again would cost.
  ExprPtr score(const ExprPtr &body, bool exact);
  /// Row maximum, and the same with 0 for that of an empty row.
  std::pair<ExprPtr, ExprPtr> rowMax(const ExprPtr &e, const ExprPtr &score, const ExprPtr &guard);

  // WeightedSums.cpp
  /// A weighted sum stays one: checks and tables are taken out of it, tiles are looked at.
  ExprPtr weighted(const ExprPtr &e);
  ExprPtr keep(const ExprPtr &e);
  /// Between what an int tensor's values are on the block of 64 positions around `first`.
  std::optional<TileLogic::Interval> blockInterval(const ExprPtr &read, int letter, int first);

  // Products.cpp
  ExprPtr sum(const ExprPtr &e, const ExprPtr &body, const ExprPtr &guard, bool root);
  ExprPtr contract(const std::vector<ExprPtr> &factors, const std::vector<int> &letters, Span span,
                   Span bodySpan);
  bool plainRead(const ExprPtr &e);
  /// Whether `e` is a product with a factor that may be 0 by a guard (A6).
  bool skips(const ExprPtr &e);
  /// x * y, where each counts as 0 where the other is 0, if that may be so by a guard.
  ExprPtr times(const ExprPtr &x, const ExprPtr &y, Span span);
  ExprPtr rewriteProduct(const ExprPtr &e);
  /// A sum's body: its factors rewritten, and not yet kept from each other. `outer`: what may stand
  /// in front of the sum.
  using Outer = std::function<bool(const ExprPtr &)>;
  ExprPtr rewriteFactors(const ExprPtr &e, const Outer &outer);
  Outer outerOf(const std::vector<int> &letters, bool guarded);

  /// Whether evaluating it takes more than a few additions and products.
  bool expensive(const ExprPtr &e);
  /// Elements of the joint range of letters, for dynamic sizes a quarter of their max.
  double nominal(const std::set<int> &letters) const;
  double nominal(const Size &size) const;
  bool isDynamic(int letter) const { return !program_.letters[letter].extent.isConstant(); }

  Program program_;
  LeftOut leftOut_{program_};
  bool cautious_;
  std::set<int> kept_;
  std::map<int, std::vector<Check>> checks_;
  std::vector<LoopAxes> loops_; // by tensor
  FreeLetters free_;
  Bounds bounds_;
  NewTensors made_;
  std::set<std::string> checked_; // checks that were made, by meaning
  std::unordered_map<ExprPtr, bool> interesting_, expensive_;

  // Where the walk stands.
  int tensor_ = -1, piece_ = -1;
  std::vector<int> order_;          // letters in scope, outermost first
  std::set<int> scope_;             // letters that what stands here is computed for
  std::vector<ExprPtr> conditions_; // that hold here
  int context_ = 0;                 // a number for each distinct `conditions_`
  std::map<std::pair<int, ExprPtr>, int> contexts_;
  bool inConstant_ = false; // inside a larger constant (T3: a chain of doubles)
  bool inTable_ = false;    // inside one that becomes a table
  bool settled_ = false;    // inside what becomes a tensor of its own
  std::map<std::pair<ExprPtr, int>, ExprPtr> done_;
};

} // namespace qkv::equations
