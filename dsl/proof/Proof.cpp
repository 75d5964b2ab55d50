// Proofs of linear inequalities. In: what is asked and the facts at its place. Out: whether it
// follows from them and from what their variables are made of. Sound, not complete: what is not
// found is not claimed.
#include "dsl/proof/Proof.h"

#include <set>
#include <utility>

namespace qkv {

const Facts &Prover::definition(int v) {
  if (!definitions_[v]) {
    // A copy: it may make variables, and so move the ones that are kept.
    auto maker = makers_[v];
    auto made = std::make_unique<Facts>(maker ? maker() : Facts());
    definitions_[v] = std::move(made);
  }
  return *definitions_[v];
}

bool Prover::refute(Facts::Conjunction facts, std::vector<std::vector<Facts>> any, int budget) {
  // Definitions of every variable that is reached.
  std::set<int> seen;
  std::vector<int> work;
  auto reach = [&](const Linear &l) {
    for (auto &[v, c] : l.terms())
      if (seen.insert(v).second)
        work.push_back(v);
  };
  for (auto &l : facts)
    reach(l);
  while (!work.empty()) {
    int v = work.back();
    work.pop_back();
    const Facts &d = definition(v);
    for (auto &l : d.all) {
      facts.push_back(l);
      reach(l);
    }
    for (auto &a : d.any)
      any.push_back(a);
  }
  if (infeasible(facts))
    return true;
  // Cases: only those that touch what is already there.
  for (size_t i = 0; i < any.size(); ++i) {
    bool touches = false;
    for (auto &alternative : any[i])
      for (auto &l : alternative.all)
        for (auto &[v, c] : l.terms())
          touches |= seen.count(v) > 0;
    if (!touches || budget < static_cast<int>(any[i].size()))
      continue;
    auto rest = any;
    rest.erase(rest.begin() + i);
    for (auto &alternative : any[i]) {
      auto more = facts;
      more.insert(more.end(), alternative.all.begin(), alternative.all.end());
      auto others = rest;
      others.insert(others.end(), alternative.any.begin(), alternative.any.end());
      if (!refute(std::move(more), std::move(others), budget / static_cast<int>(any[i].size())))
        return false;
    }
    return true;
  }
  return false;
}

bool Prover::provable(const Linear &difference, const std::vector<Facts> &known) {
  if (!difference.valid())
    return false;
  if (difference.isConstant() && difference.constant() >= 0)
    return true;
  Facts::Conjunction all;
  std::vector<std::vector<Facts>> any;
  all.push_back(difference * -1 - Linear(1)); // the opposite, of integers
  for (const Facts &f : known) {
    all.insert(all.end(), f.all.begin(), f.all.end());
    any.insert(any.end(), f.any.begin(), f.any.end());
  }
  // Facts that share no variable with the question, however indirectly, cannot help, unless
  // they contradict each other; the first try is without them.
  std::string memo;
  auto write = [&](const Linear &l) {
    memo += std::to_string(l.constant());
    for (auto &[v, c] : l.terms())
      memo += "," + std::to_string(v) + "*" + std::to_string(c);
    memo += ";";
  };
  std::function<void(const Facts &)> writeFacts = [&](const Facts &f) {
    for (auto &l : f.all)
      write(l);
    for (auto &a : f.any) {
      memo += "(";
      for (auto &x : a) {
        writeFacts(x);
        memo += "|";
      }
      memo += ")";
    }
  };
  write(all[0]);
  for (auto &f : known)
    writeFacts(f);
  auto it = proved_.find(memo);
  if (it != proved_.end())
    return it->second;
  bool result = refute(std::move(all), std::move(any), 128);
  proved_[memo] = result;
  return result;
}

bool atLeast(const Program &program, const Size &size, int64_t least) {
  if (auto known = size.constant())
    return *known >= least;
  if (size.least(program.atoms) >= static_cast<double>(least))
    return true;
  Prover prover(program);
  return prover.provable(prover.linear(size) - Linear(least), {});
}

} // namespace qkv
