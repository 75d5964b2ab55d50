// What is known of indices at a place in an equation, and what follows from it (A1, A4, A5).
//
// In: a program and the guards around a read. Out: proofs of linear inequalities between its
// indices and the bounds of axes. Analysis looks through definitions of bool and int tensors.
#pragma once

#include "dsl/Program.h"
#include "dsl/proof/LeftOut.h"
#include "dsl/proof/Linear.h"

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace qkv {

/// What holds at a place: a conjunction of linear facts and of disjunctions of such.
struct Facts {
  using Conjunction = std::vector<Linear>; ///< each >= 0
  Conjunction all;
  std::vector<std::vector<Facts>> any;
};

class Prover {
public:
  explicit Prover(const Program &program) : program_(program), leftOut_(program) {}

  /// An index as a linear form in letters, sizes and opaque values. `value` is set if there
  /// is a value, min, max or a product of sizes in it.
  Linear linear(const ExprPtr &index, bool &value);
  Linear linear(const Size &size);

  /// What `condition` being true (or false) says.
  Facts facts(const ExprPtr &condition, bool truth);
  /// What is known of the letters of a piece beside their ranges: P3 and its guard.
  Facts facts(const Tensor &tensor, const Piece &piece);

  /// Which factors may be 0 by a guard (A6).
  LeftOut &leftOut() { return leftOut_; }

  /// Whether difference >= 0 follows.
  bool provable(const Linear &difference, const std::vector<Facts> &known);

private:
  /// What was found of an expression, and how deep in others; `cut`: with the search cut off.
  template <class T> struct Found {
    ExprPtr expr; ///< so that its address stays its own
    T found;
    int depth = 0;
    bool cut = false;
  };
  template <class Table, class Key, class Find>
  auto remembered(Table &table, const Key &key, const ExprPtr &e, Find find);
  Linear linearOf(const ExprPtr &index, bool &value);
  Linear ofLetter(int letter);
  Linear ofRead(const ExprPtr &read, bool &value);
  Linear ofChoice(const ExprPtr &choice, bool &value);
  Linear ofApply(const ExprPtr &operation, bool &value);
  Linear ofQuotient(const ExprPtr &operation, bool &value);
  Linear ofExtreme(const ExprPtr &operation, bool &value);
  Linear unknown(const ExprPtr &e, bool &value);
  int opaque(const ExprPtr &e, const std::function<std::function<Facts()>(int)> &maker);
  Facts factsOf(const ExprPtr &condition, bool truth);
  Facts factsOfComparison(const ExprPtr &comparison, bool truth);
  int variable(const std::string &key);
  int opaque(const ExprPtr &e);
  std::string key(const ExprPtr &e, int &budget);
  Linear monomial(const Size::Monomial &m);
  const Facts &definition(int variable);
  bool refute(Facts::Conjunction facts, std::vector<std::vector<Facts>> any, int budget);
  ExprPtr lookThrough(const ExprPtr &read);

  const Program &program_;
  LeftOut leftOut_;
  std::unordered_map<std::string, int> variables_;
  std::vector<std::function<Facts()>> makers_;
  std::vector<std::unique_ptr<Facts>> definitions_;
  std::unordered_map<std::string, bool> proved_;
  std::unordered_map<const Expr *, Found<std::pair<Linear, bool>>> linears_;
  std::unordered_map<std::string, Found<std::pair<Linear, bool>>> linearReads_;
  std::unordered_map<const Expr *, Found<Facts>> facts_[2];       // by truth
  std::unordered_map<std::string, Found<Facts>> factsOfReads_[2]; // by truth
  std::unordered_set<ExprPtr> named_;                             // by address, in a key
  int depth_ = 0;
  /// While one is alive, what is found is found inside a tensor's definition.
  class Inside {
  public:
    Inside(Prover &prover, int tensor) : prover_(prover) { prover_.inside_.push_back(tensor); }
    ~Inside() { prover_.inside_.pop_back(); }

  private:
    Prover &prover_;
  };
  std::vector<int> inside_; // the tensors whose definitions are looked through
  int looks_ = 0;           // since none was
  bool cut_ = false;        // since `remembered` last looked
  static constexpr size_t maxFacts = 1000, maxTaken = 30;
};

// A node, or a read of equal indices, that was met before: doubled again and again (x = x + x), a
// value would be looked through exponentially often. What was found where the search was cut off
// holds as deep or deeper.
template <class Table, class Key, class Find>
auto Prover::remembered(Table &table, const Key &key, const ExprPtr &e, Find find) {
  auto it = table.find(key);
  if (it != table.end() && (!it->second.cut || depth_ >= it->second.depth)) {
    cut_ |= it->second.cut;
    return it->second.found;
  }
  bool outer = std::exchange(cut_, false);
  auto found = find();
  table[key] = {e, found, depth_, cut_};
  cut_ |= outer;
  return found;
}

/// Whether a size is at least `least`, whatever the dynamic sizes are.
bool atLeast(const Program &program, const Size &size, int64_t least);

/// Replaces letters by expressions. Nodes without them stay shared.
ExprPtr substitute(const ExprPtr &e, const std::unordered_map<int, ExprPtr> &letters);

/// One read and what is known where it stands.
struct ReadPlace {
  const Expr *read;
  const Tensor *tensor; ///< whose piece it is in
  const Piece *piece;
  const std::vector<Facts> *known;
};

/// Visits every read (and every integer // and % with `visitDivision`) of a tensor's pieces,
/// with the facts at it.
void forEachRead(
    Prover &prover, const Tensor &tensor, const std::function<void(const ReadPlace &)> &visit,
    const std::function<void(const Expr &, const std::vector<Facts> &)> &visitDivision = nullptr);

} // namespace qkv
