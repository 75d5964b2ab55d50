// Steps of repeats among the nodes of the order, and what makes two of them one function.
#include "compiler/irgen/Outline.h"

#include "compiler/equations/Expressions.h"

#include <algorithm>

namespace qkv::irgen {

using K = Expr::Kind;

static void tensorsOf(const ScheduleNode &node, std::vector<int> &out) {
  if (node.tensor >= 0)
    out.push_back(node.tensor);
  for (auto &[tensor, axis] : node.axes)
    if (std::find(out.begin(), out.end(), tensor) == out.end())
      out.push_back(tensor);
  for (const ScheduleNode &child : node.children)
    if (child.tensor < 0)
      tensorsOf(child, out);
}

std::vector<int> tensorsOf(const ScheduleNode &node) {
  std::vector<int> out;
  tensorsOf(node, out);
  return out;
}

void nodesOf(const Item &item, std::vector<int> &out) {
  if (item.node >= 0)
    out.push_back(item.node);
  for (const Item &inside : item.items)
    nodesOf(inside, out);
}

void forEachUse(const Prepared &prepared, int tensor,
                const std::function<void(const Expr &)> &visit) {
  for (const Piece &p : prepared.program.tensors[tensor].pieces)
    for (const ExprPtr &e : {p.value, p.guard})
      if (e)
        forEachNode(e, visit);
  auto checks = prepared.checks.find(tensor);
  if (checks == prepared.checks.end())
    return;
  for (const Check &c : checks->second) {
    forEachNode(c.value, visit);
    for (auto &condition : c.conditions)
      forEachNode(condition, visit);
  }
}

namespace {

class Outliner {
public:
  Outliner(const Prepared &prepared, const std::vector<ScheduleNode> &nodes)
      : prepared_(prepared), program_(prepared.program), nodes_(nodes) {}

  std::vector<Item> run(const std::vector<int> &nodes, int parent) {
    std::set<int> apart; // regions that are not grouped
    for (;;) {
      // A group is a step below `parent`, or a node.
      std::vector<std::vector<int>> groups;
      std::vector<int> regions;
      std::map<int, int> groupOfRegion, groupOf;
      for (int n : nodes) {
        int region = regionBelow(n, parent);
        int group = static_cast<int>(groups.size());
        if (region >= 0 && !apart.count(region))
          group = groupOfRegion.try_emplace(region, group).first->second;
        if (group == static_cast<int>(groups.size())) {
          groups.emplace_back();
          regions.push_back(region >= 0 && !apart.count(region) ? region : -1);
        }
        groups[group].push_back(n);
        std::vector<int> tensors;
        tensorsOf(nodes_[n], tensors);
        for (int t : tensors)
          groupOf[t] = group;
      }
      auto order = sorted(groups, groupOf);
      if (order.size() == groups.size()) {
        std::vector<Item> out;
        for (int g : order) {
          Item item;
          if (regions[g] < 0) {
            item.node = groups[g][0];
          } else {
            item.region = regions[g];
            item.items = run(groups[g], regions[g]);
          }
          out.push_back(std::move(item));
        }
        return out;
      }
      // Steps in the circle are not functions.
      std::set<int> done(order.begin(), order.end());
      for (size_t g = 0; g < groups.size(); ++g)
        if (!done.count(static_cast<int>(g)) && regions[g] >= 0)
          apart.insert(regions[g]);
    }
  }

private:
  /// The step directly below `parent` that all tensors of a node are in, or -1.
  int regionBelow(int node, int parent) {
    std::vector<int> tensors;
    tensorsOf(nodes_[node], tensors);
    int common = -2;
    for (int t : tensors) {
      int r = program_.tensors[t].region;
      while (r >= 0 && program_.regions[r].parent != parent)
        r = program_.regions[r].parent;
      if (common != -2 && common != r)
        return -1;
      common = r;
    }
    return std::max(common, -1);
  }

  /// The groups in an order in which nothing is read too early, as far as there is one.
  std::vector<int> sorted(const std::vector<std::vector<int>> &groups,
                          const std::map<int, int> &groupOf) {
    std::vector<std::set<int>> needs(groups.size());
    for (size_t g = 0; g < groups.size(); ++g)
      for (int n : groups[g]) {
        std::vector<int> tensors;
        tensorsOf(nodes_[n], tensors);
        for (int t : tensors)
          forEachUse(prepared_, t, [&](const Expr &e) {
            if (e.kind != K::Read)
              return;
            auto other = groupOf.find(e.tensor);
            if (other != groupOf.end() && other->second != static_cast<int>(g))
              needs[g].insert(other->second);
          });
      }
    std::vector<int> order;
    std::vector<bool> done(groups.size());
    bool moved = true;
    while (moved) {
      moved = false;
      for (size_t g = 0; g < groups.size(); ++g) {
        if (done[g] ||
            !std::all_of(needs[g].begin(), needs[g].end(), [&](int n) { return done[n]; }))
          continue;
        done[g] = moved = true;
        order.push_back(static_cast<int>(g));
      }
    }
    return order;
  }

  const Prepared &prepared_;
  const Program &program_;
  const std::vector<ScheduleNode> &nodes_;
};

} // namespace

Plan plan(const Prepared &prepared, std::vector<ScheduleNode> nodes, const OwnSizes *own) {
  const Program &program = prepared.program;
  Plan out{prepared, std::move(nodes), {}, {}, {}, {}, {}, {}, {}};
  std::vector<int> all;
  for (size_t n = 0; n < out.nodes.size(); ++n)
    all.push_back(static_cast<int>(n));
  out.items = Outliner(prepared, out.nodes).run(all, -1);
  out.readers.resize(program.tensors.size());
  for (int t : liveTensors(program))
    forEachUse(prepared, t, [&](const Expr &e) {
      if (e.kind == K::Read && (out.readers[e.tensor].empty() || out.readers[e.tensor].back() != t))
        out.readers[e.tensor].push_back(t);
    });
  out.isResult.resize(program.tensors.size());
  for (const Result &r : program.results)
    out.isResult[r.tensor] = true;
  out.ofInput = equations::dependingOnInputs(prepared, own);
  return out;
}

namespace {

class StepWriter {
public:
  explicit StepWriter(const Plan &plan)
      : plan_(plan), prepared_(plan.prepared), program_(plan.prepared.program), nodes_(plan.nodes),
        text_(
            program_, [this](int l) { return letter(l); }, [this](int t) { return tensor(t); },
            [this](const Expr &e) { return step(e.region); }) {}

  StepText run(const Item &item) {
    region_ = item.region;
    std::vector<int> inside;
    collect(item, inside);
    for (int t : inside)
      own_.try_emplace(t, static_cast<int>(own_.size()));
    write(item);
    for (int t : inside) // what others read of it
      if (plan_.isResult[t] || std::any_of(plan_.readers[t].begin(), plan_.readers[t].end(),
                                           [&](int reader) { return !own_.count(reader); })) {
        out_.results.push_back(t);
        out_.text += "^" + std::to_string(own_[t]);
      }
    return std::move(out_);
  }

private:
  void collect(const Item &item, std::vector<int> &out) {
    if (item.node >= 0)
      tensorsOf(nodes_[item.node], out);
    for (const Item &i : item.items)
      collect(i, out);
  }

  void write(const Item &item) {
    out_.text += item.eachSequence ? "@(" : "";
    out_.text += item.region >= 0 ? "{" + (item.region == region_
                                               ? std::string()
                                               : std::to_string(program_.regions[item.region].step))
                                  : "";
    if (item.node >= 0)
      write(nodes_[item.node]);
    for (const Item &i : item.items)
      write(i);
    out_.text += item.region >= 0 ? "}" : item.eachSequence ? ")" : "";
  }

  void write(const ScheduleNode &node) {
    if (node.tensor >= 0) {
      define(node.tensor);
      return;
    }
    out_.text += node.forward ? "<+" : "<-";
    for (auto &[t, axis] : node.axes)
      out_.text += tensor(t) + "." + std::to_string(axis) + ",";
    for (const ScheduleNode &child : node.children)
      write(child);
    out_.text += ">";
  }

  void signature(int t) {
    const Tensor &tensor = program_.tensors[t];
    out_.text += std::string(typeName(tensor.type)) + (tensor.constant ? "!" : "") +
                 (plan_.ofInput[t] ? "" : "~") + "[";
    for (size_t i = 0; i < tensor.axes.size(); ++i) {
      const Axis &a = tensor.axes[i];
      out_.text += a.extent.text(program_.atoms) + ":" + std::to_string(a.before) + ":" +
                   std::to_string(a.after);
      if (auto kept = plan_.kept.find({t, static_cast<int>(i)}); kept != plan_.kept.end())
        out_.text += "%" + std::to_string(kept->second);
      out_.text += ",";
    }
    out_.text += "]";
    if (auto found = prepared_.held.find(t); found != prepared_.held.end()) {
      const qkv_held &held = found->second;
      for (int32_t part : {held.element, held.panel_axis, held.panel_order, held.panel_width})
        out_.text += "/" + std::to_string(part);
    }
  }

  void define(int t) {
    const Tensor &tensor = program_.tensors[t];
    out_.text += "\n" + this->tensor(t) + " " + tensor.label + " ";
    signature(t);
    for (const Piece &p : tensor.pieces) {
      out_.text += "=";
      for (const PieceIndex &i : p.indices)
        out_.text += i.letter < 0
                         ? i.position.text(program_.atoms) + ";"
                         : letter(i.letter) + "<" +
                               program_.letters[i.letter].extent.text(program_.atoms) + ";";
      text_.write(p.value, out_.text);
    }
    auto checks = prepared_.checks.find(t);
    if (checks == prepared_.checks.end())
      return;
    for (const Check &c : checks->second) {
      out_.text += "?" + std::to_string(c.piece) + c.what + "@" + std::to_string(c.span.begin);
      text_.write(c.value, out_.text);
      for (auto &condition : c.conditions)
        text_.write(condition, out_.text);
      for (int l : c.letters)
        out_.text += letter(l) + ",";
    }
  }

  std::string letter(int l) {
    return "l" + std::to_string(letters_.try_emplace(l, letters_.size()).first->second);
  }

  std::string tensor(int t) {
    if (auto mine = own_.find(t); mine != own_.end())
      return "t" + std::to_string(mine->second);
    auto [at, fresh] = outside_.try_emplace(t, static_cast<int>(outside_.size()));
    if (fresh) {
      out_.outside.push_back(t);
      out_.text += "(x";
      signature(t);
      out_.text += ")";
    }
    return "x" + std::to_string(at->second);
  }

  std::string step(int region) {
    // Steps inside are known numbers; that of this step and those around it are arguments.
    for (int r = region; r >= 0; r = program_.regions[r].parent)
      if (r == region_ && region != region_)
        return "n" + std::to_string(program_.regions[region].step);
    auto [at, fresh] = steps_.try_emplace(region, static_cast<int>(steps_.size()));
    if (fresh)
      out_.steps.push_back(region);
    return "s" + std::to_string(at->second);
  }

  const Plan &plan_;
  const Prepared &prepared_;
  const Program &program_;
  const std::vector<ScheduleNode> &nodes_;
  int region_ = -1;
  StepText out_;
  Text text_;
  std::map<int, int> own_, outside_, letters_, steps_;
};

} // namespace

StepText stepText(const Plan &plan, const Item &item) { return StepWriter(plan).run(item); }

} // namespace qkv::irgen
