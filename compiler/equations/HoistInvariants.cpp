// What every step of a repeat computes alike is computed once, before the repeat.
//
// In: equations, steps of repeats marked as regions. Out: tensors that all steps define with the
// same meaning, reading nothing of their step, stand outside as one: masks, tables of
// positions. What only some steps define alike stays: steps must remain alike to be one function.
#include "compiler/equations/Expressions.h"
#include "compiler/equations/Rewrite.h"

#include <algorithm>

namespace qkv::equations {

namespace {

class Hoist {
public:
  explicit Hoist(Prepared &prepared) : prepared_(prepared), program_(prepared.program) {}

  void run() {
    std::map<std::pair<int, int>, std::vector<int>> repeats; // (repeat, parent) -> steps
    for (size_t r = 0; r < program_.regions.size(); ++r)
      repeats[{program_.regions[r].repeat, program_.regions[r].parent}].push_back(
          static_cast<int>(r));
    bool changed = true;
    while (changed) {
      changed = false;
      std::set<int> live = liveTensors(program_);
      byRegion_.clear();
      for (int t : live)
        if (program_.tensors[t].kind == Tensor::Kind::Equation)
          byRegion_[program_.tensors[t].region].push_back(t);
      for (auto &[key, steps] : repeats)
        if (steps.size() > 1)
          changed |= hoist(key.second, steps);
    }
  }

private:
  bool outside(int region, int parent) const { // whether `region` is `parent` or around it
    if (region < 0)
      return true;
    for (int r = parent; r >= 0; r = program_.regions[r].parent)
      if (r == region)
        return true;
    return false;
  }

  /// The meaning of a tensor, if it depends on nothing inside of the repeat.
  std::optional<std::string> meaning(int tensor, int parent) {
    const Tensor &t = program_.tensors[tensor];
    std::string out = t.constant ? "!" : "";
    out += typeName(t.type);
    bool free = true;
    std::map<int, int> letters;
    auto number = [&](int l) { return letters.try_emplace(l, letters.size()).first->second; };
    Text text(
        program_, [&](int l) { return "l" + std::to_string(number(l)); },
        [&](int read) {
          free = free && outside(program_.tensors[read].region, parent) && read != tensor;
          return "t" + std::to_string(read);
        },
        [&](const Expr &step) {
          free = free && outside(step.region, parent);
          return "s" + std::to_string(step.region);
        });
    for (const Axis &a : t.axes)
      out += "[" + a.extent.text(program_.atoms) + "," + std::to_string(a.before) + "," +
             std::to_string(a.after);
    for (const Piece &p : t.pieces) {
      for (const PieceIndex &i : p.indices)
        out += i.letter < 0 ? ";" + i.position.text(program_.atoms)
                            : ";l" + std::to_string(number(i.letter)) + ":" +
                                  program_.letters[i.letter].extent.text(program_.atoms);
      text.write(p.value, out);
    }
    auto checks = prepared_.checks.find(tensor);
    if (checks != prepared_.checks.end())
      for (const Check &c : checks->second) {
        out += "?" + c.what + std::to_string(c.piece);
        text.write(c.value, out);
        for (auto &condition : c.conditions)
          text.write(condition, out);
      }
    if (!free)
      return std::nullopt;
    return out;
  }

  bool hoist(int parent, const std::vector<int> &steps) {
    std::map<std::string, std::vector<int>> same;
    std::map<std::string, int> inSteps;
    for (int step : steps) {
      std::set<std::string> here;
      for (int t : byRegion_[step])
        if (auto text = meaning(t, parent)) {
          same[*text].push_back(t);
          here.insert(*text);
        }
      for (auto &text : here)
        ++inSteps[text];
    }
    std::map<int, int> replaced;
    for (auto &[text, tensors] : same) {
      if (inSteps[text] != static_cast<int>(steps.size()))
        continue;
      program_.tensors[tensors[0]].region = parent;
      for (size_t i = 1; i < tensors.size(); ++i) {
        replaced[tensors[i]] = tensors[0];
        prepared_.checks.erase(tensors[i]);
      }
    }
    if (replaced.empty())
      return false;
    Mapper mapper([&](const ExprPtr &e) -> ExprPtr {
      auto found = e->kind == Expr::Kind::Read ? replaced.find(e->tensor) : replaced.end();
      if (found == replaced.end())
        return e;
      auto copy = std::make_shared<Expr>(*e);
      copy->tensor = found->second;
      return copy;
    });
    for (Tensor &t : program_.tensors)
      for (Piece &p : t.pieces) {
        p.value = mapper(p.value);
        p.guard = mapper(p.guard);
      }
    for (auto &[tensor, checks] : prepared_.checks)
      for (Check &c : checks) {
        c.value = mapper(c.value);
        for (ExprPtr &condition : c.conditions)
          condition = mapper(condition);
      }
    for (Result &r : program_.results)
      if (auto found = replaced.find(r.tensor); found != replaced.end())
        r.tensor = found->second;
    return true;
  }

  Prepared &prepared_;
  Program &program_;
  std::map<int, std::vector<int>> byRegion_;
};

} // namespace

void hoistInvariants(Prepared &prepared) { Hoist(prepared).run(); }

} // namespace qkv::equations
