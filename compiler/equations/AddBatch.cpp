// A letter over several independent sequences, for whatever depends on an input.
//
// In: prepared equations of one sequence, and their order. Out: those of any number of sequences
// that share the values of the dynamic sizes: inputs, results and all between have a first axis
// over the sequences, and read the same sequence there; parameters, tables and what depends on no
// input stay as they are. What must hold:
//   - it is the last rewriting: sums are split and ordered as for one sequence, so each sequence
//     gets the bytes that it gets alone;
//   - the order stays: loops are along the axes that they were along.
#include "compiler/equations/Expressions.h"
#include "compiler/equations/OwnSizes.h"

#include "runtime/qkv.h"

namespace qkv::equations {

using K = Expr::Kind;

static void forEachRoot(const Prepared &prepared, int tensor,
                        const std::function<void(const ExprPtr &)> &visit) {
  for (const Piece &p : prepared.program.tensors[tensor].pieces)
    for (const ExprPtr &e : {p.value, p.guard})
      if (e)
        visit(e);
  auto checks = prepared.checks.find(tensor);
  if (checks == prepared.checks.end())
    return;
  for (const Check &c : checks->second) {
    visit(c.value);
    for (const ExprPtr &condition : c.conditions)
      visit(condition);
  }
}

std::vector<bool> dependingOnInputs(const Prepared &prepared, const OwnSizes *own) {
  const Program &program = prepared.program;
  std::vector<std::vector<int>> readers(program.tensors.size());
  for (size_t t = 0; t < program.tensors.size(); ++t)
    forEachRoot(prepared, static_cast<int>(t), [&](const ExprPtr &root) {
      forEachNode(root, [&](const Expr &e) {
        if (e.kind == K::Read)
          readers[e.tensor].push_back(static_cast<int>(t));
      });
    });
  std::vector<bool> out(program.tensors.size());
  std::vector<int> open = program.inputs;
  for (size_t t = 0; own && t < own->used.size(); ++t)
    if (own->used[t] && program.tensors[t].kind == Tensor::Kind::Equation)
      open.push_back(static_cast<int>(t));
  while (!open.empty()) {
    int t = open.back();
    open.pop_back();
    if (out[t])
      continue;
    out[t] = true;
    open.insert(open.end(), readers[t].begin(), readers[t].end());
  }
  return out;
}

namespace {

class Batch {
public:
  Batch(Prepared &prepared, const OwnSizes *own)
      : prepared_(prepared), program_(prepared.program),
        batched_(dependingOnInputs(prepared, own)) {}

  void run(std::vector<ScheduleNode> &nodes) {
    program_.batch = program_.atoms.add(
        {SizeAtom::Kind::Dynamic, "number of sequences", QKV_MAX_SEQUENCES, {}, {}});
    program_.dynamicSizes.insert(program_.dynamicSizes.begin(), program_.batch);
    for (size_t t = 0; t < batched_.size(); ++t)
      if (batched_[t])
        addAxis(static_cast<int>(t));
    shift(nodes);
    for (Result &result : program_.results)
      if (!batched_[result.tensor])
        repeat(result, nodes);
  }

private:
  int newLetter() {
    program_.letters.push_back({axisName, Size::atom(program_.batch)});
    return static_cast<int>(program_.letters.size()) - 1;
  }
  Axis axis() const { return {axisName, Size::atom(program_.batch), 0, 0}; }

  void addAxis(int tensor) {
    Tensor &t = program_.tensors[tensor];
    t.axes.insert(t.axes.begin(), axis());
    ++t.lifted;
    std::vector<int> letters; // of the pieces
    for (Piece &piece : t.pieces) {
      int fresh = newLetter();
      letters.push_back(fresh);
      piece.indices.insert(piece.indices.begin(), PieceIndex{fresh, {}});
      Mapper mapper = sameSequence(fresh);
      piece.value = mapper(piece.value);
      piece.guard = mapper(piece.guard);
    }
    auto checks = prepared_.checks.find(tensor);
    if (checks == prepared_.checks.end())
      return;
    for (Check &check : checks->second) {
      int l = letters[check.piece];
      Mapper mapper = sameSequence(l);
      FreeLetters free;
      check.value = mapper(check.value);
      bool depends = free.of(check.value).count(l);
      for (ExprPtr &condition : check.conditions) {
        condition = mapper(condition);
        depends |= free.of(condition).count(l) > 0;
      }
      if (depends)
        check.letters.insert(check.letters.begin(), l);
    }
  }

  /// Reads of batched tensors get the letter as their first index.
  Mapper sameSequence(int sequence) {
    return Mapper([this, at = letter(sequence)](const ExprPtr &e) -> ExprPtr {
      if (e->kind != K::Read || !batched_[e->tensor])
        return e;
      auto copy = std::make_shared<Expr>(*e);
      copy->args.insert(copy->args.begin(), at);
      if (!copy->checked.empty())
        copy->checked.insert(copy->checked.begin(), false);
      ++copy->own;
      return copy;
    });
  }

  void shift(std::vector<ScheduleNode> &nodes) {
    for (ScheduleNode &node : nodes) {
      for (auto &[tensor, axis] : node.axes)
        axis += batched_[tensor];
      shift(node.children);
    }
  }

  /// A result that is the same for all sequences is written for each.
  void repeat(Result &result, std::vector<ScheduleNode> &nodes) {
    const Tensor &from = program_.tensors[result.tensor];
    Tensor t;
    t.name = from.name + ".each";
    t.label = from.label;
    t.type = from.type;
    t.constant = from.constant;
    t.span = from.span;
    t.axes.push_back(axis());
    Piece piece;
    piece.span = from.span;
    piece.indices.push_back({newLetter(), {}});
    std::vector<ExprPtr> args;
    for (const Axis &a : from.axes) {
      program_.letters.push_back({a.name, a.extent});
      int l = static_cast<int>(program_.letters.size()) - 1;
      t.axes.push_back({a.name, a.extent, 0, 0});
      piece.indices.push_back({l, {}});
      args.push_back(letter(l));
    }
    piece.value = read(program_, result.tensor, std::move(args), from.span);
    t.pieces = {std::move(piece)};
    result.tensor = static_cast<int>(program_.tensors.size());
    program_.tensors.push_back(std::move(t));
    batched_.push_back(true);
    ScheduleNode node;
    node.tensor = result.tensor;
    nodes.push_back(std::move(node));
  }

  static constexpr const char *axisName = "sequence";

  Prepared &prepared_;
  Program &program_;
  std::vector<bool> batched_; // by tensor
};

} // namespace

void addBatch(Prepared &prepared, std::vector<ScheduleNode> &nodes, const OwnSizes *own) {
  Batch(prepared, own).run(nodes);
}

} // namespace qkv::equations
