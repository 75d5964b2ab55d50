// What the parts of choosing by rank share (ChooseByRank.cpp says what is made of what).
// ChooseByRank.cpp finds sums and says what is chosen, ChosenTerms.cpp computes what they read for
// the chosen alone.
#pragma once

#include "compiler/equations/NewTensors.h"
#include "compiler/equations/Rewrite.h"
#include "compiler/equations/choice/RankBounds.h"

#include "dsl/proof/LeftOut.h"
#include "dsl/proof/Proof.h"

namespace qkv::equations {

/// The tensor of the chosen positions, and the letters that it is read with.
struct Choice {
  int tensor = -1;
  std::vector<int> rows;
  int64_t most = 0;
};

/// Where what is chosen is read: `letter` has the value chosen[rows, seat].
struct Place {
  int chosen = -1;
  std::vector<int> rows;
  int letter = -1, seat = -1;
};

/// A sum's body taken apart, for a letter that is chosen and the others that it is over.
struct Factors {
  ExprPtr front;              ///< of neither
  ExprPtr chosen, rest;       ///< of the chosen letter; of others alone
  std::vector<int> inner;     ///< letters that only the chosen factors have, beside the chosen one
  std::vector<int> outer;     ///< the other letters
  std::vector<ExprPtr> under; ///< what it is divided by
};

class RankChooser {
public:
  /// `whole`: tensors that are computed at all positions, whoever reads them.
  RankChooser(Program program, const std::set<int> &whole)
      : program_(std::move(program)), whole_(whole), leftOut_(program_), bounds_(program_),
        made_(program_) {}

  /// Nothing where a rank chooses nothing.
  bool run();
  /// Tensors that were cloned, and yet are read as they were.
  std::set<int> readAnyway() const;

  Program program_;
  std::map<int, int> chosen_;  ///< Prepared::chosen
  std::set<int> firsts_;       ///< Prepared::firsts
  decltype(Notes::sums) sums_; ///< Notes::sums: why they are no attention kernels

private:
  void findLoops(const std::vector<ScheduleNode> &nodes, bool inside);
  bool paysOff(const RankBound &bound) const;
  bool isLong(const RankBound &bound) const;
  ExprPtr rewriteSum(const ExprPtr &e);
  ExprPtr firstOf(const RankBound &bound, NewTensors::Origin origin, std::vector<NewAxis> axes);
  Choice choose(const RankBound &bound, const std::vector<int> &rows,
                const std::vector<ExprPtr> &conditions, const ExprPtr &decisive);
  Factors factorsOf(const ExprPtr &sum, int letter);
  bool canBeApart(const ExprPtr &sum, int letter, const std::vector<ExprPtr> &left);
  ExprPtr sumOfChosen(const ExprPtr &sum, const Choice &choice, int letter,
                      const std::vector<ExprPtr> &left);

  bool costsForEach(const ExprPtr &e, int letter);
  bool costs(int tensor, size_t axis);
  std::optional<size_t> movedAxis(const Expr &read, const Place &place);
  bool isWorthIt(const ExprPtr &body, const Place &place);
  std::string meaningOf(const ExprPtr &condition, const Place &place) const;
  bool decides(const ExprPtr &condition, const Place &place);
  ExprPtr shareOfChosen(const ExprPtr &e, const Place &place);
  ExprPtr chosenAt(const Place &place) const;
  ExprPtr move(const ExprPtr &e, const Place &place);
  ExprPtr move(const ExprPtr &e, const Place &place, std::unordered_map<ExprPtr, ExprPtr> &done);
  int clone(int tensor, size_t axis, const std::vector<size_t> &rows, int chosen);
  int newLetter(const std::string &name, const Size &extent) {
    program_.letters.push_back({name, extent});
    return static_cast<int>(program_.letters.size()) - 1;
  }

  std::set<int> whole_;
  LeftOut leftOut_;
  RankBounds bounds_;
  FreeLetters free_;
  NewTensors made_;
  std::set<int> inLoops_, clonedFrom_;
  std::map<std::pair<int, size_t>, bool> costs_;
  /// What chose, by tensor of the chosen: conditions as texts, and the rank's among them.
  struct Meaning {
    std::string decisive;
    std::set<std::string> all;
  };
  std::map<int, Meaning> meanings_;
  std::map<std::tuple<int, size_t, std::vector<size_t>, int, int>, int> clones_;
  std::set<std::string> names_;
  int tensor_ = -1, piece_ = -1; // where the walk stands
};

} // namespace qkv::equations
