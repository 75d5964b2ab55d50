// What a step computes for results alone that its caller may not want: the logits of a part of a
// prompt that is not its end.
//
// In: the items of an entry's order, the results that may all be unwanted. Out: the items that are
// needed whatever is wanted; behind them those for these results alone. What must hold: a failed
// check is reported whatever is wanted; the last of equal steps of a repeat stays one function with
// the others.
#include "compiler/irgen/Results.h"

#include <algorithm>

namespace qkv::irgen {
namespace {

class Splitter {
public:
  Splitter(const Plan &plan, const std::set<int> &results)
      : plan_(plan), results_(results), alone_(plan.readers.size()) {}

  std::vector<Item> run(std::vector<Item> &items) {
    // (Rows by what they chose are read without an index that says so.)
    if (!plan_.prepared.groups.empty())
      return {};
    findUnits(items);
    for (const auto &[item, tensors] : units_)
      for (int t : tensors)
        alone_[t] = !plan_.prepared.checks.count(t) &&
                    (results_.count(t) || (!plan_.isResult[t] && !plan_.readers[t].empty()));
    for (bool changed = true; changed;) {
      changed = false;
      for (const auto &[item, tensors] : units_)
        if (std::any_of(tensors.begin(), tensors.end(), [&](int t) { return alone_[t]; }) &&
            !isAlone(tensors)) {
          for (int t : tensors)
            alone_[t] = false;
          changed = true;
        }
    }
    // (Of a result that others read, too, nothing is left out.)
    if (!std::all_of(results_.begin(), results_.end(), [&](int t) { return alone_[t]; }))
      return {};
    return take(items);
  }

private:
  /// Whether it is needed for what may be unwanted alone.
  bool isAlone(const std::vector<int> &tensors) const {
    return std::all_of(tensors.begin(), tensors.end(), [&](int t) {
      const std::vector<int> &readers = plan_.readers[t];
      return alone_[t] &&
             std::all_of(readers.begin(), readers.end(), [&](int r) { return alone_[r]; });
    });
  }

  /// Items that are taken or left as they are; steps of a repeat that compute the same are.
  void findUnits(const std::vector<Item> &items) {
    std::map<std::string, int> steps;
    std::vector<std::string> texts(items.size());
    for (size_t i = 0; i < items.size(); ++i)
      if (items[i].region >= 0 && !items[i].eachSequence)
        ++steps[texts[i] = stepText(plan_, items[i]).text];
    for (size_t i = 0; i < items.size(); ++i) {
      if (!texts[i].empty() && steps[texts[i]] == 1) {
        findUnits(items[i].items);
        continue;
      }
      std::vector<int> &tensors = units_[&items[i]], nodes;
      nodesOf(items[i], nodes);
      for (int node : nodes)
        for (int t : tensorsOf(plan_.nodes[node]))
          tensors.push_back(t);
    }
  }

  std::vector<Item> take(std::vector<Item> &items) {
    std::vector<Item> needed, last;
    for (Item &item : items) {
      auto unit = units_.find(&item);
      if (unit != units_.end()) {
        bool goes = !unit->second.empty() && isAlone(unit->second);
        (goes ? last : needed).push_back(std::move(item));
        continue;
      }
      Item behind;
      behind.region = item.region;
      behind.items = take(item.items);
      if (!behind.items.empty())
        last.push_back(std::move(behind));
      if (!item.items.empty())
        needed.push_back(std::move(item));
    }
    items = std::move(needed);
    return last;
  }

  const Plan &plan_;
  const std::set<int> &results_;
  std::map<const Item *, std::vector<int>> units_; ///< what they compute
  std::vector<bool> alone_;                        ///< by tensor
};

} // namespace

std::vector<Item> takeUnwanted(const Plan &plan, std::vector<Item> &items,
                               const std::set<int> &results) {
  return Splitter(plan, results).run(items);
}

} // namespace qkv::irgen
