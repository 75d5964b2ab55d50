// Sets of stacks (Positions.h).
#include "runtime/grammar/Positions.h"

#include <algorithm>
#include <map>

namespace qkv::rt {

/// (Only what is seen at all takes memory: large grammars are mostly walked in few places.)
Positions::Positions(const Automaton &automaton) : automaton(automaton) {
  sets.push_back({0, 0, 0, false});
  sets.push_back({0, 0, 0, true});
}

/// The set of these, which are in the order of their states, each once.
int Positions::intern(const Entry *first, size_t count, bool accepts) {
  if (count == 0)
    return accepts ? Finished : Dead;
  uint64_t hash = accepts;
  int depth = 0;
  for (size_t i = 0; i < count; ++i) {
    hash = (hash ^
            (static_cast<uint64_t>(first[i].state) << 32 | static_cast<uint32_t>(first[i].rest))) *
           0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
    depth = std::max(depth, sets[static_cast<size_t>(first[i].rest)].depth + 1);
  }
  work += count;
  if (depth > mostDepth)
    return Dead;
  auto [found, fresh] = byHash.try_emplace(hash, static_cast<int>(sets.size()));
  if (!fresh)
    for (int at = found->second; at >= 0; at = sets[static_cast<size_t>(at)].same) {
      const Set &set = sets[static_cast<size_t>(at)];
      if (set.accepts == accepts && static_cast<size_t>(set.count) == count &&
          std::equal(first, first + count, entries.begin() + static_cast<ptrdiff_t>(set.begin)))
        return at;
    }
  int number = static_cast<int>(sets.size());
  sets.push_back({entries.size(), static_cast<int>(count), depth, accepts});
  if (!fresh) {
    sets.back().same = found->second;
    found->second = number;
  }
  entries.insert(entries.end(), first, first + count);
  return number;
}

int Positions::push(int state, int rest) {
  if (rest == Dead)
    return Dead;
  Entry one{state, rest};
  return intern(&one, 1, false);
}

/// Stacks of either.
int Positions::unite(int a, int b) {
  if (a == b || b == Dead)
    return a;
  if (a == Dead)
    return b;
  if (gaveUp())
    return Dead;
  if (a > b)
    std::swap(a, b);
  uint64_t key = static_cast<uint64_t>(a) << 32 | static_cast<uint32_t>(b);
  if (auto known = united.find(key); known != united.end())
    return known->second;
  Set left = sets[static_cast<size_t>(a)], right = sets[static_cast<size_t>(b)];
  std::vector<Entry> both;
  size_t i = left.begin, j = right.begin;
  size_t iEnd = i + static_cast<size_t>(left.count), jEnd = j + static_cast<size_t>(right.count);
  while (i < iEnd || j < jEnd) {
    if (j == jEnd || (i < iEnd && entries[i].state < entries[j].state)) {
      both.push_back(entries[i++]);
    } else if (i == iEnd || entries[j].state < entries[i].state) {
      both.push_back(entries[j++]);
    } else {
      Entry one = entries[i++];
      one.rest = unite(one.rest, entries[j++].rest);
      both.push_back(one);
    }
  }
  int out = intern(both.data(), both.size(), left.accepts || right.accepts);
  united.emplace(key, out);
  return out;
}

/// These, in any order.
int Positions::merged(std::vector<Entry> &list) {
  std::erase_if(list, [](const Entry &one) { return one.rest == Dead; });
  std::sort(list.begin(), list.end(), [](const Entry &a, const Entry &b) {
    return a.state != b.state ? a.state < b.state : a.rest < b.rest;
  });
  size_t kept = 0;
  for (const Entry &one : list)
    if (kept > 0 && list[kept - 1].state == one.state)
      list[kept - 1].rest = unite(list[kept - 1].rest, one.rest);
    else
      list[kept++] = one;
  list.resize(kept);
  return intern(list.data(), list.size(), /*accepts=*/false);
}

/// Visits a state and those that follow it without a byte.
template <class Visit> void Positions::walk(int state, Visit visit) {
  std::vector<int> waiting{state};
  if (seen.empty())
    seen.resize(automaton.size());
  if (++walks == 0) {
    std::fill(seen.begin(), seen.end(), 0);
    walks = 1;
  }
  while (!waiting.empty()) {
    int at = waiting.back();
    waiting.pop_back();
    if (seen[static_cast<size_t>(at)] == walks)
      continue;
    seen[static_cast<size_t>(at)] = walks;
    const Automaton::State &one = automaton[at];
    work += 1 + one.calls.size();
    visit(at, one);
    waiting.insert(waiting.end(), one.empty.begin(), one.empty.end());
  }
}

/// The stacks with a byte's edge on top that these come to without a byte.
int Positions::close(const std::vector<Entry> &seeds) {
  std::vector<Entry> out;
  std::vector<int> returns; // sets that the ends of rules return to
  std::map<int, int> calls; // the order of a rule -> what it returns to
  auto visit = [&](int number, const Automaton::State &state, int rest) {
    if (!state.edges.empty())
      out.push_back({number, rest});
    for (const Automaton::Call &call : state.calls) {
      // Where nothing but a return follows a call, it returns to where its caller would.
      int behind = automaton[call.target].endAlone() ? rest : push(call.target, rest);
      int &known = calls.try_emplace(automaton.order(call.rule), Dead).first->second;
      known = unite(known, behind);
    }
  };
  for (const Entry &seed : seeds) {
    bool ends = false;
    walk(seed.state, [&](int number, const Automaton::State &state) {
      ends = ends || state.end;
      visit(number, state, seed.rest);
    });
    if (ends)
      returns.push_back(seed.rest);
  }
  // A rule that is empty was skipped where it is called: here its end returns nowhere.
  while (!calls.empty() && !gaveUp()) {
    auto [order, rest] = *calls.begin();
    calls.erase(calls.begin());
    walk(automaton.entry(automaton.ruleAt(order)),
         [&](int number, const Automaton::State &state) { visit(number, state, rest); });
  }
  int all = merged(out);
  for (int rest : returns)
    all = unite(all, returned(rest));
  return all;
}

/// The same of all that a set of stacks returns to.
int Positions::returned(int set) {
  auto of = static_cast<size_t>(set);
  if (sets[of].returned >= 0 || gaveUp())
    return std::max<int>(sets[of].returned, Dead);
  auto first = entries.begin() + static_cast<ptrdiff_t>(sets[of].begin);
  int all = close({first, first + sets[of].count});
  if (sets[of].accepts)
    all = unite(all, Finished);
  if (!gaveUp())
    sets[of].returned = all;
  return all;
}

int Positions::begin() { return close({{automaton.entry(automaton.root()), Finished}}); }

int Positions::computeStep(int position, int byteClass) {
  if (gaveUp())
    return Dead;
  auto of = static_cast<size_t>(position);
  if (sets[of].row < 0) {
    sets[of].row = static_cast<int>(steps.size());
    steps.resize(steps.size() + static_cast<size_t>(automaton.classes()), -1);
    work += static_cast<size_t>(automaton.classes());
  }
  auto place = static_cast<size_t>(sets[of].row) + static_cast<size_t>(byteClass);
  unsigned char byte = automaton.byteOf(byteClass);
  std::vector<Entry> seeds;
  for (int i = 0; i < sets[of].count; ++i) {
    Entry one = entries[sets[of].begin + static_cast<size_t>(i)];
    for (const Automaton::Edge &edge : automaton[one.state].edges)
      if (byte >= edge.first && byte <= edge.last)
        seeds.push_back({edge.target, one.rest});
    work += automaton[one.state].edges.size();
  }
  int next = seeds.empty() ? static_cast<int>(Dead) : close(seeds);
  if (!gaveUp())
    steps[place] = next;
  return next;
}

int Positions::take(const Positions &other, int position) {
  std::unordered_map<int, int> taken;
  return take(other, position, taken);
}

int Positions::take(const Positions &other, int position, std::unordered_map<int, int> &taken) {
  if (auto known = taken.find(position); known != taken.end())
    return known->second;
  const Set &set = other.sets[static_cast<size_t>(position)];
  std::vector<Entry> list;
  for (int i = 0; i < set.count; ++i) {
    Entry one = other.entries[set.begin + static_cast<size_t>(i)];
    list.push_back({one.state, take(other, one.rest, taken)});
  }
  return taken[position] = intern(list.data(), list.size(), set.accepts);
}

} // namespace qkv::rt
