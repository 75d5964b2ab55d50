// Groups of what several sequences of different sizes compute each by itself.
//
// In: the items of a step's order, the sizes that a sequence has of its own. Out: items that have
// to do with those stand in groups, as few as may be: a group is a loop over the sequences. What
// must hold: a tensor with such an extent is in nobody's memory but its group's, so all who read it
// are in that group; a recurrence that reads parameters is in no group, since its matrices would be
// read for each sequence.
#include "compiler/irgen/Outline.h"

#include <algorithm>
#include <numeric>

namespace qkv::irgen {
namespace {

class Grouper {
public:
  Grouper(Plan &plan, const OwnSizes &own) : plan_(plan), own_(own) {}

  bool run(std::vector<Item> &items) {
    for (Item &item : items)
      if (item.region >= 0 && !run(item.items))
        return false;
    size_t count = items.size();
    std::vector<std::vector<int>> tensors(count);
    std::vector<bool> apart(count);
    std::map<int, size_t> itemOf;
    for (size_t i = 0; i < count; ++i) {
      std::vector<int> nodes;
      nodesOf(items[i], nodes);
      for (int node : nodes)
        for (int t : tensorsOf(plan_.nodes[node]))
          tensors[i].push_back(t);
      for (int t : tensors[i])
        itemOf[t] = i;
      apart[i] =
          items[i].region < 0 &&
          std::any_of(tensors[i].begin(), tensors[i].end(), [&](int t) { return own_.used[t]; });
      if (apart[i] && plan_.nodes[items[i].node].tensor < 0 && readsParameters(tensors[i]))
        return false; // a recurrence
    }
    // What reads a tensor of own extents belongs to what computes it.
    std::vector<size_t> cluster(count);
    std::iota(cluster.begin(), cluster.end(), size_t(0));
    std::vector<std::set<size_t>> needs(count);
    for (size_t i = 0; i < count; ++i) {
      for (int t : tensors[i])
        if (own_.shaped[t] && !staysHere(t, i, items, itemOf, cluster))
          return false;
      for (int t : tensors[i])
        forEachUse(plan_.prepared, t, [&](const Expr &e) {
          if (auto other = itemOf.find(e.tensor);
              e.kind == Expr::Kind::Read && other != itemOf.end() && other->second != i)
            needs[i].insert(other->second);
        });
    }
    return order(items, apart, cluster, needs);
  }

private:
  bool readsParameters(const std::vector<int> &tensors) const {
    bool found = false;
    for (int t : tensors)
      forEachUse(plan_.prepared, t, [&](const Expr &e) {
        found = found || (e.kind == Expr::Kind::Read &&
                          plan_.prepared.program.tensors[e.tensor].kind == Tensor::Kind::Param);
      });
    return found;
  }

  /// Whether all readers of a tensor are items beside its own; they become one cluster.
  bool staysHere(int tensor, size_t item, const std::vector<Item> &items,
                 const std::map<int, size_t> &itemOf, std::vector<size_t> &cluster) {
    for (int reader : plan_.readers[tensor]) {
      auto at = itemOf.find(reader);
      if (at == itemOf.end())
        return false;
      if (at->second == item)
        continue;
      if (items[item].region >= 0 || items[at->second].region >= 0)
        return false; // it would enter or leave a step of a repeat
      size_t from = cluster[at->second], to = cluster[item];
      std::replace(cluster.begin(), cluster.end(), from, to);
    }
    return true;
  }

  /// Items for all sequences first, as far as they are ready, then every cluster that is, again and
  /// again.
  static bool order(std::vector<Item> &items, const std::vector<bool> &apart,
                    const std::vector<size_t> &cluster,
                    const std::vector<std::set<size_t>> &needs) {
    size_t count = items.size(), left = count;
    std::vector<bool> done(count);
    std::vector<Item> out;
    auto ready = [&](size_t i) {
      return std::all_of(needs[i].begin(), needs[i].end(), [&](size_t n) {
        return done[n] || (apart[i] && cluster[n] == cluster[i]);
      });
    };
    while (left) {
      size_t before = left;
      for (bool moved = true; moved;) {
        moved = false;
        for (size_t i = 0; i < count; ++i)
          if (!done[i] && !apart[i] && ready(i)) {
            done[i] = moved = true;
            --left;
            out.push_back(std::move(items[i]));
          }
      }
      std::vector<bool> taken(count);
      for (bool moved = true; moved;) {
        moved = false;
        for (size_t c = 0; c < count; ++c) {
          std::vector<size_t> members;
          for (size_t i = 0; i < count; ++i)
            if (apart[i] && cluster[i] == c && !done[i])
              members.push_back(i);
          if (members.empty() || !std::all_of(members.begin(), members.end(), ready))
            continue;
          for (size_t i : members) {
            done[i] = taken[i] = moved = true;
            --left;
          }
        }
      }
      Item group;
      group.eachSequence = true;
      for (size_t i = 0; i < count; ++i) // in the order that they had
        if (taken[i])
          group.items.push_back(std::move(items[i]));
      if (!group.items.empty())
        out.push_back(std::move(group));
      if (left == before)
        return false;
    }
    items = std::move(out);
    return true;
  }

  Plan &plan_;
  const OwnSizes &own_;
};

} // namespace

bool groupSequences(Plan &plan, const OwnSizes &own) { return Grouper(plan, own).run(plan.items); }

} // namespace qkv::irgen
