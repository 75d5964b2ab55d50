// The order of computation (R1). In: a program. Out: nodes in order; tensors that depend on
// each other become a loop over positions of one axis of each.
//
// For a loop every read between its tensors must be, provably, at an earlier position along
// the chosen axes, or at the same one of a tensor computed before. A cycle that stays within one
// position is a loop of its own along other axes, inside; what is read at an earlier position of
// the loop around does not count there (R4). Loops whose inner ones come from calls made at each
// position are looked for first.
#include "dsl/proof/Schedule.h"

#include "dsl/proof/Cycle.h"
#include "dsl/proof/Proof.h"

#include <algorithm>
#include <map>
#include <set>

namespace qkv {
namespace {

enum class Relation { None, Same, Strict }; // reads at: anywhere, at or before, before

/// What is asked of reads in a loop inside of another: those at an earlier position of that one do
/// not count.
struct Level {
  Level *around = nullptr; ///< null: the outermost
  std::map<int, int> axes; ///< of the loop around, by tensor
  bool forward = true;     ///< its direction
  std::map<std::pair<int, int>, std::vector<PlacedRead>> edges = {};
  std::map<std::tuple<int, int, int, int, bool>, Relation> relations = {};
};
using Used = std::map<int, std::set<int>>; // axes of loops around, by tensor

class Scheduler {
public:
  Scheduler(const Program &program, Diagnostics &diagnostics)
      : program_(program), diagnostics_(diagnostics), prover_(program) {}

  std::optional<std::vector<ScheduleNode>> run(std::vector<int> roots) {
    if (roots.empty())
      for (auto &r : program_.results)
        roots.push_back(r.tensor);
    collect(roots);
    std::vector<int> all(needed_.begin(), needed_.end());
    auto edge = [&](int from, int to) { return reads_[from].count(to) > 0; };
    std::vector<ScheduleNode> out;
    bool ok = true;
    for (auto &component : components(all, edge)) {
      if (component.size() == 1 && !edge(component[0], component[0])) {
        if (program_.tensors[component[0]].kind == Tensor::Kind::Equation)
          out.push_back(leaf(component[0]));
        continue;
      }
      ScheduleNode node;
      bool found = false;
      for (bool nested : {false, true}) {
        nested_ = nested;
        arrangements_ = 128;
        trials_ = 2 * (1000 + 100 * static_cast<int>(component.size()));
        Level level;
        if ((found = found || loop(component, level, {}, node)))
          break;
      }
      if (found) {
        out.push_back(std::move(node));
        continue;
      }
      ok = false;
      sayCycle(
          program_, prover_,
          {reads_,
           [this](int from, int to) -> const std::vector<PlacedRead> & { return edges(from, to); }},
          component, diagnostics_);
    }
    if (!ok)
      return std::nullopt;
    return out;
  }

private:
  static ScheduleNode leaf(int tensor) {
    ScheduleNode n;
    n.tensor = tensor;
    return n;
  }

  // Which tensors read which; the places are found again only for those in a cycle.
  void collect(const std::vector<int> &roots) {
    std::vector<int> work(roots.begin(), roots.end());
    while (!work.empty()) {
      int t = work.back();
      work.pop_back();
      if (!needed_.insert(t).second)
        continue;
      std::set<const Expr *> seen;
      std::vector<const Expr *> nodes;
      for (const Piece &p : program_.tensors[t].pieces) {
        nodes.push_back(p.value.get());
        nodes.push_back(p.guard.get());
      }
      auto &reads = reads_[t];
      while (!nodes.empty()) {
        const Expr *e = nodes.back();
        nodes.pop_back();
        if (!e || !seen.insert(e).second)
          continue;
        if (e->kind == Expr::Kind::Read && reads.insert(e->tensor).second)
          work.push_back(e->tensor);
        for (auto &a : e->args)
          nodes.push_back(a.get());
      }
    }
  }

  // Strongly connected components, what is read first (Tarjan, without recursion).
  template <class EdgeFn>
  std::vector<std::vector<int>> components(const std::vector<int> &nodes, EdgeFn edge) {
    std::set<int> inside(nodes.begin(), nodes.end());
    std::map<int, int> index, low;
    std::set<int> onStack;
    std::vector<int> stack;
    std::vector<std::vector<int>> out;
    int counter = 0;
    struct Frame {
      int node;
      std::vector<int> next;
      size_t at = 0;
    };
    auto successors = [&](int n) {
      std::vector<int> s;
      for (int m : reads_[n])
        if (inside.count(m) && edge(n, m))
          s.push_back(m);
      return s;
    };
    for (int root : nodes) {
      if (index.count(root))
        continue;
      std::vector<Frame> frames;
      auto push = [&](int n) {
        index[n] = low[n] = counter++;
        stack.push_back(n);
        onStack.insert(n);
        frames.push_back({n, successors(n)});
      };
      push(root);
      while (!frames.empty()) {
        Frame &f = frames.back();
        if (f.at < f.next.size()) {
          int m = f.next[f.at++];
          if (!index.count(m))
            push(m);
          else if (onStack.count(m))
            low[f.node] = std::min(low[f.node], index[m]);
          continue;
        }
        int n = f.node;
        frames.pop_back();
        if (!frames.empty())
          low[frames.back().node] = std::min(low[frames.back().node], low[n]);
        if (low[n] == index[n]) {
          std::vector<int> component;
          int m;
          do {
            m = stack.back();
            stack.pop_back();
            onStack.erase(m);
            component.push_back(m);
          } while (m != n);
          std::sort(component.begin(), component.end());
          out.push_back(component);
        }
      }
    }
    return out;
  }

  const std::vector<PlacedRead> &edges(int from, int to) {
    if (walked_.insert(from).second)
      forEachRead(prover_, program_.tensors[from], [&](const ReadPlace &p) {
        if (needed_.count(p.read->tensor) &&
            program_.tensors[p.read->tensor].kind == Tensor::Kind::Equation)
          edges_[{from, p.read->tensor}].push_back({p.piece, p.read, *p.known});
      });
    return edges_[{from, to}];
  }

  // The same in a loop inside: what is read at a position that the loop around has passed is left
  // out, what is not known to be so is at the same one.
  const std::vector<PlacedRead> &edges(Level &level, int from, int to) {
    if (!level.around)
      return edges(from, to);
    auto [at, fresh] = level.edges.try_emplace({from, to});
    if (!fresh)
      return at->second;
    int a = level.axes.at(from), b = level.axes.at(to);
    for (const PlacedRead &e : edges(*level.around, from, to)) {
      Lag lag = lagOf(prover_, e, a, b, level.forward);
      if (lag == Lag::Earlier)
        continue;
      at->second.push_back(e);
      if (lag == Lag::EarlierOrSame) {
        Facts same;
        same.all.push_back(lagForm(prover_, e, a, b, level.forward) * -1);
        at->second.back().known.push_back(std::move(same));
      }
    }
    return at->second;
  }

  // Where `from`, at a position along axis a, reads `to` along axis b.
  Relation relation(Level &level, int from, int a, int to, int b, bool forward) {
    auto key = std::make_tuple(from, a, to, b, forward);
    auto it = level.relations.find(key);
    if (it != level.relations.end())
      return it->second;
    Relation result = Relation::Strict;
    for (const PlacedRead &e : edges(level, from, to)) {
      Lag lag = lagOf(prover_, e, a, b, forward);
      if (lag == Lag::Earlier)
        continue;
      if (lag == Lag::Same || lag == Lag::EarlierOrSame) {
        result = Relation::Same;
        continue;
      }
      result = Relation::None;
      break;
    }
    return level.relations[key] = result;
  }

  bool loop(const std::vector<int> &component, Level &level, const Used &used, ScheduleNode &node) {
    for (bool forward : {true, false})
      if (assign(component, level, used, forward, node))
        return true;
    return false;
  }

  // The component so that each but the first reads or is read by one before it, with the places
  // of those.
  std::vector<std::pair<int, std::vector<int>>> neighbours(const std::vector<int> &component) {
    std::set<int> inside(component.begin(), component.end());
    std::map<int, std::vector<int>> touching;
    for (int t : component)
      for (int o : reads_[t])
        if (o != t && inside.count(o)) {
          touching[t].push_back(o);
          touching[o].push_back(t);
        }
    std::vector<std::pair<int, std::vector<int>>> out{{component[0], {}}};
    std::map<int, int> placed{{component[0], 0}};
    for (size_t i = 0; i < out.size(); ++i)
      for (int o : touching[out[i].first])
        if (placed.try_emplace(o, static_cast<int>(out.size())).second)
          out.push_back({o, {}});
    for (auto &[t, before] : out)
      for (int o : touching[t])
        if (placed[o] < placed[t])
          before.push_back(o);
    return out;
  }

  // Chooses an axis for each tensor so that no read is at a later position, and there is an order
  // within one position: p[t,1] = f(p[t,0]) is a loop along the second axis, not the first.
  bool assign(const std::vector<int> &component, Level &level, const Used &used, bool forward,
              ScheduleNode &node) {
    auto order = neighbours(component);
    std::vector<int> choice(order.size(), -1);
    std::map<int, int> axes;
    auto fits = [&](int t, int a, const std::vector<int> &before) {
      auto u = used.find(t);
      if (u != used.end() && u->second.count(a))
        return false;
      if (reads_[t].count(t) && relation(level, t, a, t, a, forward) == Relation::None)
        return false;
      for (int o : before)
        if ((reads_[t].count(o) && relation(level, t, a, o, axes[o], forward) == Relation::None) ||
            (reads_[o].count(t) && relation(level, o, axes[o], t, a, forward) == Relation::None))
          return false;
      return true;
    };
    size_t at = 0;
    while (true) {
      if (at == order.size()) {
        if (arrange(component, level, used, axes, forward, node))
          return true;
        if (--arrangements_ < 0)
          return false;
        --at;
      }
      auto &[t, before] = order[at];
      int rank = static_cast<int>(program_.tensors[t].axes.size()), a = choice[at] + 1;
      while (a < rank && !fits(t, a, before))
        ++a;
      if (--trials_ < 0)
        return false;
      if (a < rank) {
        choice[at] = axes[t] = a;
        if (++at < order.size())
          choice[at] = -1;
      } else if (at-- == 0) {
        return false;
      }
    }
  }

  // Orders the tensors within one position.
  bool arrange(const std::vector<int> &component, Level &level, const Used &used,
               const std::map<int, int> &axes, bool forward, ScheduleNode &node) {
    constexpr size_t deepest = 4;
    auto same = [&](int from, int to) {
      return relation(level, from, axes.at(from), to, axes.at(to), forward) != Relation::Strict;
    };
    ScheduleNode result;
    result.forward = forward;
    result.axes.assign(axes.begin(), axes.end());
    for (auto &part : components(component, same)) {
      if (part.size() == 1 && !(reads_[part[0]].count(part[0]) && same(part[0], part[0]))) {
        result.children.push_back(leaf(part[0]));
        continue;
      }
      Used more = used;
      Level within{&level, {}, forward};
      for (int t : part) {
        // (Of a call that is made at each position, if it can be.)
        if ((!nested_ && axes.at(t) >= program_.tensors[t].lifted) || more[t].size() >= deepest)
          return false;
        more[t].insert(axes.at(t));
        within.axes[t] = axes.at(t);
      }
      ScheduleNode inner;
      if (!loop(part, within, more, inner))
        return false;
      result.children.push_back(std::move(inner));
    }
    node = std::move(result);
    return true;
  }

  const Program &program_;
  Diagnostics &diagnostics_;
  Prover prover_;
  std::set<int> needed_;
  std::map<int, std::set<int>> reads_;
  std::set<int> walked_;
  std::map<std::pair<int, int>, std::vector<PlacedRead>> edges_;
  bool nested_ = false; ///< whether loops may be inside of others that are no call's
  /// What is left of the search for a component's loops, those inside of others among them.
  int arrangements_ = 0, trials_ = 0;
};

} // namespace

std::optional<std::vector<ScheduleNode>> schedule(const Program &program, Diagnostics &diagnostics,
                                                  const std::vector<int> &roots) {
  return Scheduler(program, diagnostics).run(roots);
}

} // namespace qkv
