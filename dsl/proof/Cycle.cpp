// See Cycle.h. For each direction an axis is chosen for every tensor so that few reads are in the
// way; a cycle of reads that are in the way both forward and backward is shown first, then one
// for each direction.
#include "dsl/proof/Cycle.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

namespace qkv {

Linear lagForm(Prover &prover, const PlacedRead &place, int axis, int readAxis, bool forward) {
  const PieceIndex &at = place.piece->indices[axis];
  bool ignored = false;
  Linear position;
  if (at.letter >= 0) {
    auto letter = std::make_shared<Expr>();
    letter->kind = Expr::Kind::Letter;
    letter->letter = at.letter;
    position = prover.linear(ExprPtr(letter), ignored);
  } else {
    position = prover.linear(at.position);
  }
  Linear index = prover.linear(place.read->args[readAxis], ignored);
  return forward ? position - index : index - position;
}

Lag lagOf(Prover &prover, const PlacedRead &place, int axis, int readAxis, bool forward) {
  if (axis < 0 || readAxis < 0)
    return Lag::Unknown;
  Linear lag = lagForm(prover, place, axis, readAxis, forward);
  if (prover.provable(lag - Linear(1), place.known))
    return Lag::Earlier;
  bool notLater = prover.provable(lag, place.known);
  bool notEarlier = prover.provable(lag * -1, place.known);
  if (notLater)
    return notEarlier ? Lag::Same : Lag::EarlierOrSame;
  return prover.provable(lag * -1 - Linear(1), place.known) ? Lag::Later : Lag::Unknown;
}

namespace {

/// An axis for each tensor and a direction, and how much is in the way.
struct Arrangement {
  bool forward = true;
  std::map<int, int> axes;
  size_t cost = std::numeric_limits<size_t>::max();
};

class CycleReport {
public:
  CycleReport(const Program &program, Prover &prover, const ReadGraph &graph,
              Diagnostics &diagnostics)
      : program_(program), prover_(prover), graph_(graph), diagnostics_(diagnostics) {}

  void say(const std::vector<int> &component) {
    if (explained(component, {}))
      return;
    // No arrangement that was tried shows it: any shortest cycle.
    auto cycle = shortest(component, [](int, int) { return true; });
    Diagnostic &d = start(cycle, {});
    for (size_t i = 0; cycle.size() > 1 && i < cycle.size(); ++i)
      if (isShown(i, cycle.size()))
        note(d, cycle[i], cycle[(i + 1) % cycle.size()], {});
    hint(d);
  }

private:
  using Cycle = std::vector<int>; ///< each reads the next, the last one the first
  using Used = std::map<int, std::set<int>>;

  bool reads(int from, int to) const {
    auto it = graph_.reads.find(from);
    return it != graph_.reads.end() && it->second.count(to) > 0;
  }

  Lag lag(const PlacedRead &place, int from, int to, const Arrangement &by) {
    return lagOf(prover_, place, by.axes.at(from), by.axes.at(to), by.forward);
  }

  /// The first read of `to` by `from` that is in the way: least known to be earlier first.
  const PlacedRead *obstacle(int from, int to, const Arrangement &by, bool anywhere = false) {
    const PlacedRead *same = nullptr;
    for (const PlacedRead &place : graph_.places(from, to)) {
      if (isEarlierAround(place, from, to))
        continue;
      Lag one = lag(place, from, to, by);
      if (one == Lag::Later || one == Lag::Unknown)
        return &place;
      if (!same && one != Lag::Earlier)
        same = &place;
    }
    return anywhere ? nullptr : same;
  }

  size_t cost(int from, int to, const Arrangement &by) {
    if (!reads(from, to))
      return 0;
    const PlacedRead *place = obstacle(from, to, by);
    if (!place)
      return 0;
    Lag one = lag(*place, from, to, by);
    return one == Lag::Later || one == Lag::Unknown ? 100 : 1;
  }

  /// The tensors that `first` is connected with, each after one that it reads or that reads it.
  static std::vector<int> connected(int first, const std::map<int, std::set<int>> &neighbours) {
    std::vector<int> out{first};
    std::set<int> taken{first};
    for (size_t i = 0; i < out.size(); ++i)
      if (auto near = neighbours.find(out[i]); near != neighbours.end())
        for (int t : near->second)
          if (taken.insert(t).second)
            out.push_back(t);
    return out;
  }

  /// Of each tensor of the component those of it that it reads or that read it.
  std::map<int, std::set<int>> neighboursIn(const std::vector<int> &component) const {
    std::set<int> inside(component.begin(), component.end());
    std::map<int, std::set<int>> out;
    for (int t : component)
      if (auto it = graph_.reads.find(t); it != graph_.reads.end())
        for (int other : it->second)
          if (other != t && inside.count(other)) {
            out[t].insert(other);
            out[other].insert(t);
          }
    return out;
  }

  /// Axes chosen one tensor after the other, for each axis of the first.
  Arrangement arrange(const std::vector<int> &component, const Used &used, bool forward) {
    auto neighbours = neighboursIn(component);
    auto order = connected(component[0], neighbours);
    auto axesOf = [&](int t) {
      std::vector<int> out;
      auto u = used.find(t);
      for (int a = 0; a < static_cast<int>(program_.tensors[t].axes.size()); ++a)
        if (u == used.end() || !u->second.count(a))
          out.push_back(a);
      if (out.empty())
        out.push_back(-1);
      return out;
    };
    Arrangement best;
    for (int first : axesOf(order[0])) {
      Arrangement one;
      one.forward = forward;
      one.axes[order[0]] = first;
      one.cost = cost(order[0], order[0], one);
      for (size_t i = 1; i < order.size(); ++i) {
        int t = order[i], chosen = -1;
        size_t least = std::numeric_limits<size_t>::max();
        for (int a : axesOf(t)) {
          one.axes[t] = a;
          size_t sum = cost(t, t, one);
          for (int near : neighbours[t])
            if (one.axes.count(near)) // it has its axis already
              sum += cost(t, near, one) + cost(near, t, one);
          if (sum < least)
            least = sum, chosen = a;
        }
        one.axes[t] = chosen;
        one.cost += least;
      }
      if (one.cost < best.cost)
        best = std::move(one);
    }
    return best;
  }

  /// A shortest cycle along the reads that `along` lets through, from the tensor that stands first
  /// in the text; empty if there is none. With `through`, one that goes along that read.
  template <class Along>
  Cycle shortest(const std::vector<int> &component, Along along,
                 std::optional<std::pair<int, int>> through = std::nullopt) {
    std::set<int> inside(component.begin(), component.end());
    std::vector<int> starts(component.begin(), component.end());
    std::stable_sort(starts.begin(), starts.end(), [&](int a, int b) {
      return program_.tensors[a].span.begin < program_.tensors[b].span.begin;
    });
    if (through)
      starts = {through->first};
    std::map<int, std::vector<int>> readsOf; // each read is asked for once
    for (int t : component)
      if (auto it = graph_.reads.find(t); it != graph_.reads.end())
        for (int next : it->second)
          if (inside.count(next) && along(t, next))
            readsOf[t].push_back(next);
    Cycle best;
    for (int start : starts) {
      std::map<int, int> from;
      std::vector<int> queue{start};
      int last = -1;
      if (through && through->first == through->second)
        return {start};
      if (through)
        from[through->second] = start, queue = {through->second};
      for (size_t i = 0; i < queue.size() && last < 0; ++i) {
        for (int next : readsOf[queue[i]]) {
          if (next == start) {
            last = queue[i];
            break;
          }
          if (from.try_emplace(next, queue[i]).second)
            queue.push_back(next);
        }
      }
      if (last < 0)
        continue;
      Cycle cycle;
      for (int t = last; t != start; t = from.at(t))
        cycle.push_back(t);
      cycle.push_back(start);
      std::reverse(cycle.begin(), cycle.end());
      if (best.empty() || cycle.size() < best.size())
        best = std::move(cycle);
      if (best.size() == 1)
        break;
    }
    // From the one that stands first in the text.
    std::rotate(best.begin(),
                std::min_element(best.begin(), best.end(),
                                 [&](int a, int b) {
                                   return program_.tensors[a].span.begin <
                                          program_.tensors[b].span.begin;
                                 }),
                best.end());
    return best;
  }

  /// A cycle that keeps the loop of `by` from running: of reads that are all in the way, or of one
  /// that may be at any position and whatever leads back.
  Cycle hindrance(const std::vector<int> &component, const Used &used, const Arrangement &by) {
    Cycle cycle = shortest(component, [&](int a, int b) { return obstacle(a, b, by); });
    if (!cycle.empty() && !inPosition(cycle, used, by))
      return cycle;
    return through(component, [&](int from, int to) {
      return obstacle(from, to, by, /*anywhere=*/true) != nullptr;
    });
  }

  /// A shortest cycle along one of these reads, whatever leads back; empty if there is none.
  template <class These> Cycle through(const std::vector<int> &component, These these) {
    for (int from : component)
      for (int to : component)
        if (reads(from, to) && these(from, to))
          return shortest(component, [](int, int) { return true; }, std::make_pair(from, to));
    return {};
  }

  /// Whether a read is at an earlier position of a loop around (R4).
  bool isEarlierAround(const PlacedRead &place, int from, int to) {
    return std::any_of(around_.begin(), around_.end(), [&](const Arrangement &by) {
      return by.axes.count(from) && by.axes.count(to) && lag(place, from, to, by) == Lag::Earlier;
    });
  }

  /// Whether tensors read each other at the position that is computed or before, and have other
  /// axes: there may be a loop inside.
  bool inPosition(const std::vector<int> &part, const Used &used, const Arrangement &by) {
    constexpr size_t deepest = 4;
    for (int t : part) {
      auto taken = used.find(t);
      size_t loops = taken == used.end() ? 1 : taken->second.size() + 1;
      if (by.axes.at(t) < 0 || loops >= std::min(deepest, program_.tensors[t].axes.size()))
        return false;
      for (int other : part)
        if (reads(t, other) && obstacle(t, other, by, /*anywhere=*/true))
          return false;
    }
    return true;
  }

  /// The tensors of a component that reach a cycle, and are reached by it, along reads.
  template <class Along>
  std::vector<int> around(const Cycle &cycle, const std::vector<int> &component, Along along) {
    auto reached = [&](bool back) {
      std::set<int> out{cycle[0]};
      std::vector<int> open{cycle[0]};
      while (!open.empty()) {
        int t = open.back();
        open.pop_back();
        for (int other : component)
          if (!out.count(other) &&
              (back ? reads(other, t) && along(other, t) : reads(t, other) && along(t, other))) {
            out.insert(other);
            open.push_back(other);
          }
      }
      return out;
    };
    std::set<int> forth = reached(false), back = reached(true);
    std::vector<int> part;
    std::set_intersection(forth.begin(), forth.end(), back.begin(), back.end(),
                          std::back_inserter(part));
    return part;
  }

  bool explained(const std::vector<int> &component, const Used &used) {
    Arrangement forward = arrange(component, used, true),
                backward = arrange(component, used, false);
    auto inTheWay = [&](int a, int b) {
      return obstacle(a, b, forward) && obstacle(a, b, backward);
    };
    Cycle both = shortest(component, inTheWay);
    std::vector<int> part = both.empty() ? both : around(both, component, inTheWay);
    if (!part.empty() && inPosition(part, used, forward)) {
      Used more = used;
      for (int t : part)
        more[t].insert(forward.axes.at(t));
      around_.push_back(forward);
      if (explained(part, more))
        return true;
      around_.pop_back();
    }
    if (both.empty())
      both = through(component, [&](int a, int b) {
        return obstacle(a, b, forward, true) && obstacle(a, b, backward, true);
      });
    if (!both.empty()) {
      Diagnostic &d = start(both, forward);
      for (size_t i = 0; i < both.size(); ++i)
        if (isShown(i, both.size()))
          note(d, both[i], both[(i + 1) % both.size()], forward, &backward, both.size() == 1);
      hint(d);
      return true;
    }
    Cycle one = hindrance(component, used, forward), two = hindrance(component, used, backward);
    if (one.empty() || two.empty())
      return false;
    Diagnostic &d = start(one, forward);
    for (auto *cycle : {&one, &two})
      for (size_t i = 0; i < cycle->size(); ++i)
        if (isShown(i, cycle->size()))
          note(d, (*cycle)[i], (*cycle)[(i + 1) % cycle->size()],
               cycle == &one ? forward : backward);
    hint(d);
    return true;
  }

  /// Of a long cycle the two ends say what it is.
  static bool isShown(size_t place, size_t length) {
    constexpr size_t most = 12, first = 6, last = 4;
    return length <= most || place < first || place + last >= length;
  }

  Diagnostic &start(const Cycle &cycle, const Arrangement &by) {
    const std::string &first = program_.tensors[cycle[0]].label;
    std::string path;
    for (size_t i = 0; i < cycle.size(); ++i)
      if (isShown(i, cycle.size()))
        path += program_.tensors[cycle[i]].label + " -> ";
      else if (isShown(i - 1, cycle.size()))
        path += "... -> ";
    const PlacedRead *place = shown(cycle[0], cycle.size() > 1 ? cycle[1] : cycle[0], by);
    return diagnostics_.error(
        place && place->read->span ? place->read->span : program_.tensors[cycle[0]].span,
        cycle.size() == 1 ? first + " needs itself, and in no order of axes provably at earlier "
                                    "positions, or at later ones"
                          : "these equations need each other, and in no order of axes "
                            "provably at earlier positions, or at later ones: " +
                                path + first,
        "R1");
  }

  /// The read that stands for what `from` needs of `to`.
  const PlacedRead *shown(int from, int to, const Arrangement &by) {
    if (!by.axes.empty())
      if (const PlacedRead *place = obstacle(from, to, by))
        return place;
    auto &places = graph_.places(from, to);
    return places.empty() ? nullptr : &places[0];
  }

  static const char *where(Lag lag, bool forward) {
    switch (lag) {
    case Lag::Earlier:
      return forward ? ", at an earlier position" : ", at a later position";
    case Lag::Same:
      return ", at the same position";
    case Lag::EarlierOrSame:
      return forward ? ", at the same position or an earlier one"
                     : ", at the same position or a later one";
    case Lag::Later:
      return forward ? ", at a later position" : ", at an earlier position";
    case Lag::Unknown:
      return "";
    }
    return "";
  }

  void note(Diagnostic &d, int from, int to, const Arrangement &by,
            const Arrangement *other = nullptr, bool onlyDifferent = false) {
    const PlacedRead *place = shown(from, to, by);
    const PlacedRead *second = other ? shown(from, to, *other) : nullptr;
    if (place && second && lag(*place, from, to, by) == Lag::Same)
      second = place; // which is in the way in both directions
    if (onlyDifferent && second == place)
      return; // the error's own place
    std::string text =
        program_.tensors[from].label + " reads " + program_.tensors[to].label + " here";
    for (const PlacedRead *one : {place, second == place ? nullptr : second})
      if (one)
        d.note(one->read->span,
               text + (by.axes.empty() ? "" : where(lag(*one, from, to, by), by.forward)));
  }

  static void hint(Diagnostic &d) {
    d.hint("a recurrence reads what was computed before, as in h[t-1,o], with its start as an "
           "equation of its own, h[-1,o] = 0");
  }

  const Program &program_;
  Prover &prover_;
  const ReadGraph &graph_;
  Diagnostics &diagnostics_;
  std::vector<Arrangement> around_; ///< of loops around what is looked at
};

} // namespace

void sayCycle(const Program &program, Prover &prover, const ReadGraph &graph,
              const std::vector<int> &component, Diagnostics &diagnostics) {
  CycleReport(program, prover, graph, diagnostics).say(component);
}

} // namespace qkv
