// Every reduction becomes a tensor over exactly the letters it depends on.
//
// In: a program as the checker leaves it. Out: Prepared. What must hold:
//   - a tensor that is split off depends on no more letters than its value does, so what does
//     not change along a recurrence leaves it (R3); inside a recurrence it has the axis of
//     that recurrence as well;
//   - the conditions around it stay behind: elsewhere its value is not used, and reads that
//     need them are kept inside their axes by IR generation. Inside a recurrence they are its
//     guard, for the proof that it reads what was computed before;
//   - tensors of the same meaning are made once.
#include "compiler/equations/Splitter.h"

#include "dsl/proof/Proof.h"

#include <algorithm>

namespace qkv::equations {

using K = Expr::Kind;

Splitter::Splitter(Program program, bool cautious, std::set<int> kept)
    : program_(std::move(program)), cautious_(cautious), kept_(std::move(kept)),
      loops_(program_.tensors.size()), bounds_(program_), made_(program_) {
  if (!program_.tensors.empty())
    leftOut_.may(0); // what tensors are before they are rewritten
}

static void collectLoops(const std::vector<ScheduleNode> &nodes, int &count,
                         std::vector<LoopAxes> &out) {
  for (const ScheduleNode &node : nodes) {
    if (node.tensor >= 0)
      continue;
    int loop = count++;
    for (auto &[tensor, axis] : node.axes)
      out[tensor][loop] = axis;
    collectLoops(node.children, count, out);
  }
}

Prepared Splitter::run() {
  Diagnostics diagnostics;
  auto nodes = schedule(program_, diagnostics);
  if (!nodes)
    return {std::move(program_), {}, {}, {}, {}, {}, {}, {}}; // the caller asks again: a cycle
  int loops = 0;
  collectLoops(*nodes, loops, loops_);
  std::set<int> live;
  std::function<void(const std::vector<ScheduleNode> &)> visit = [&](auto &list) {
    for (const ScheduleNode &n : list) {
      if (n.tensor >= 0)
        live.insert(n.tensor);
      visit(n.children);
    }
  };
  visit(*nodes);
  for (int t : live)
    for (size_t p = 0; p < program_.tensors[t].pieces.size() && !kept_.count(t); ++p)
      splitPiece(t, static_cast<int>(p));
  return {std::move(program_), std::move(checks_), {}, {}, {}, {}, {}, {}};
}

void Splitter::splitPiece(int tensor, int piece) {
  tensor_ = tensor;
  piece_ = piece;
  order_.clear();
  scope_.clear();
  conditions_.clear();
  contexts_.clear();
  done_.clear();
  context_ = 0;
  const Piece p = program_.tensors[tensor].pieces[piece];
  for (const PieceIndex &i : p.indices)
    if (i.letter >= 0)
      order_.push_back(i.letter);
  scope_.insert(order_.begin(), order_.end());
  ExprPtr guard = p.guard ? rewrite(p.guard) : nullptr;
  if (guard) {
    conditions_ = conjuncts(guard);
    context_ = static_cast<int>(contexts_.size()) + 1;
    contexts_[{0, guard}] = context_;
  }
  bool constant = program_.tensors[tensor].constant;
  ExprPtr value;
  if (p.value->kind == K::Weighted)
    value = weighted(p.value);
  else if (p.value->kind == K::Reduce && p.value->constant == constant)
    value = rewriteReduction(p.value, /*root=*/true);
  else
    value = rewrite(p.value);
  Piece &out = program_.tensors[tensor].pieces[piece];
  out.value = value;
  out.guard = guard;
}

/// A division whose divisor may be 0 (T2). The checker has proved what can be for ints.
static bool dividesByZero(const Expr &e) {
  if (e.kind != K::Apply || (e.op != Op::FloorDiv && e.op != Op::Mod))
    return false;
  if (e.type == Type::Float)
    return e.args[1]->kind != K::Float || e.args[1]->number == 0;
  return !e.checked.empty() && e.checked[0] &&
         (e.args[1]->kind != K::Int || e.args[1]->integer == 0);
}

// Nodes below which nothing is to be done stay as they are.
bool Splitter::interesting(const ExprPtr &e) {
  if (!e)
    return false;
  auto found = interesting_.find(e);
  if (found != interesting_.end())
    return found->second;
  bool result = e->kind == K::Reduce || e->kind == K::Weighted || expensive(e) ||
                dividesByZero(*e) || skips(e) ||
                (e->kind == K::Read &&
                 std::find(e->checked.begin(), e->checked.end(), true) != e->checked.end());
  for (auto &a : e->args)
    result = result || interesting(a);
  interesting_[e] = result;
  return result;
}

bool Splitter::expensive(const ExprPtr &e) {
  if (!e)
    return false;
  auto found = expensive_.find(e);
  if (found != expensive_.end())
    return found->second;
  bool result = false;
  if (e->kind == K::Apply)
    result = isCostly(e->op) || (e->op == Op::Div && e->args[1]->kind != K::Float);
  for (auto &a : e->args)
    result = result || expensive(a);
  expensive_[e] = result;
  return result;
}

double Splitter::nominal(const Size &size) const {
  std::vector<int64_t> values(program_.atoms.count(), 0);
  for (int a = 0; a < program_.atoms.count(); ++a)
    values[a] = std::max<int64_t>(1, program_.atoms[a].max / 4);
  return static_cast<double>(std::max<int64_t>(1, size.evaluate(program_.atoms, values)));
}

double Splitter::nominal(const std::set<int> &letters) const {
  double product = 1;
  for (int l : letters)
    product *= nominal(program_.letters[l].extent);
  return product;
}

ExprPtr Splitter::under(const ExprPtr &condition, const std::function<ExprPtr()> &fn) {
  if (!condition)
    return fn();
  size_t count = conditions_.size();
  int outer = context_;
  for (auto &c : conjuncts(condition))
    conditions_.push_back(c);
  context_ = contexts_.try_emplace({outer, condition}, contexts_.size() + 1).first->second;
  ExprPtr result = fn();
  conditions_.resize(count);
  context_ = outer;
  return result;
}

ExprPtr Splitter::rewrite(const ExprPtr &e) {
  if (!interesting(e))
    return e;
  auto key = std::make_pair(e, context_ * 8 + inConstant_ * 4 + inTable_ * 2 + settled_);
  auto found = done_.find(key);
  if (found != done_.end())
    return found->second;

  // T3: what is expensive and depends on letters alone is a table, made once, rounded once.
  // Other work that fewer letters determine is done once for the rest. The largest such
  // expression is taken, not its parts.
  const char *lift = nullptr;
  const std::set<int> letters = free_.of(e);
  if (e->type == Type::Float && e->kind != K::Read && !letters.empty() && expensive(e)) {
    auto dynamic =
        std::count_if(letters.begin(), letters.end(), [&](int l) { return isDynamic(l); });
    if (e->constant)
      lift = !inTable_ && !program_.tensors[tensor_].constant && dynamic <= 1 ? "table" : lift;
    else if (!settled_ && nominal(scope_) >= 8 * nominal(letters))
      lift = "part";
  }
  bool isTable = e->constant && !inTable_ && e->type == Type::Float && e->kind != K::Read &&
                 expensive(e) && !program_.tensors[tensor_].constant;
  if (isTable)
    if (ExprPtr table = differenceTable(e))
      return done_[key] = table;
  bool outerConstant = inConstant_, outerTable = inTable_, outerSettled = settled_;
  inConstant_ |= e->constant;
  inTable_ |= lift && e->constant;
  settled_ |= lift != nullptr;
  ExprPtr result = rewriteNode(e);
  inConstant_ = outerConstant;
  inTable_ = outerTable;
  settled_ = outerSettled;
  if (lift && result->kind != K::Read)
    result = extract(result, lift);
  done_[key] = result;
  return result;
}

// f(i - j) becomes t[i - j + J - 1] with t[u] = f(u - (J - 1)).
ExprPtr Splitter::differenceTable(const ExprPtr &e) {
  // Of the letters that are subtracted from each other, the first two; of others no length.
  int first = -1, second = -1;
  forEachNode(e, [&](const Expr &n) {
    if (first < 0 && n.kind == K::Apply && n.op == Op::Sub && n.args[0]->kind == K::Letter &&
        n.args[1]->kind == K::Letter) {
      first = n.args[0]->letter;
      second = n.args[1]->letter;
    }
  });
  constexpr double manyPairs = 1024; // of known letters: fewer are a table as they are
  if (first < 0 || isDynamic(first) != isDynamic(second) ||
      (!isDynamic(first) && nominal({first, second}) < manyPairs) ||
      std::any_of(
          free_.of(e).begin(), free_.of(e).end(),
          [&](int l) { return isDynamic(l) && l != first && l != second; }))
    return nullptr;
  bool alone = true, simple = true;
  std::set<const Expr *> differences;
  forEachNode(e, [&](const Expr &n) {
    simple = simple && n.kind != K::Reduce && n.kind != K::Weighted &&
             std::find(n.checked.begin(), n.checked.end(), true) == n.checked.end();
    if (n.kind == K::Apply && n.op == Op::Sub && n.args[0]->kind == K::Letter &&
        n.args[0]->letter == first && n.args[1]->kind == K::Letter && n.args[1]->letter == second) {
      differences.insert(&n);
      return;
    }
    for (auto &a : n.args)
      alone = alone && !(a && a->kind == K::Letter && (a->letter == first || a->letter == second));
  });
  if (!simple || !alone || first == second)
    return nullptr;
  Size last = program_.letters[second].extent - Size(1);
  program_.letters.push_back({program_.letters[first].name + program_.letters[second].name,
                              program_.letters[first].extent + last});
  int both = static_cast<int>(program_.letters.size()) - 1;
  Mapper mapper([&](const ExprPtr &n) -> ExprPtr {
    return differences.count(n.get()) ? apply(Op::Sub, {letter(both), size(last)}, n->span) : n;
  });
  order_.push_back(both);
  bool outerConstant = inConstant_;
  ExprPtr table = extract(mapper(e), "table");
  inConstant_ = outerConstant;
  order_.pop_back();
  ExprPtr at = apply(
      Op::Add, {apply(Op::Sub, {letter(first), letter(second)}, e->span), size(last)}, e->span);
  return substitute(table, {{both, at}});
}

ExprPtr Splitter::rewriteNode(const ExprPtr &e) {
  switch (e->kind) {
  case K::Reduce:
    return rewriteReduction(e, /*root=*/false);
  case K::Weighted:
    return weighted(e);
  case K::Read:
    return rewriteRead(e);
  case K::If: {
    ExprPtr condition = rewrite(e->args[0]);
    ExprPtr otherwise = apply(Op::Not, {condition}, condition->span);
    return withArgs(e, {condition, under(condition, [&] { return rewrite(e->args[1]); }),
                        under(otherwise, [&] { return rewrite(e->args[2]); })});
  }
  case K::Apply:
    if (e->op == Op::And || e->op == Op::Or) {
      ExprPtr first = rewrite(e->args[0]);
      ExprPtr holds = e->op == Op::And ? first : apply(Op::Not, {first}, first->span);
      return withArgs(e, {first, under(holds, [&] { return rewrite(e->args[1]); })});
    }
    if (dividesByZero(*e))
      return rewriteDivision(e);
    if (skips(e))
      return rewriteProduct(e);
    break;
  default:
    break;
  }
  std::vector<ExprPtr> args;
  for (auto &a : e->args)
    args.push_back(rewrite(a));
  return withArgs(e, std::move(args));
}

// A checked index becomes a check before the equation, and an index inside the bounds.
ExprPtr Splitter::rewriteRead(const ExprPtr &e) {
  auto out = std::make_shared<Expr>(*e);
  for (size_t i = 0; i < e->args.size(); ++i) {
    out->args[i] = rewrite(e->args[i]);
    if (i >= e->checked.size() || !e->checked[i])
      continue;
    const Tensor &target = program_.tensors[e->tensor]; // rewriting makes tensors, and moves them
    const Axis &axis = target.axes[i];
    Check check;
    check.value = out->args[i];
    check.bound = axis.extent;
    if (static_cast<int>(i) < e->own) {
      check.before = axis.before;
      check.after = axis.after;
    }
    check.span = e->args[i]->span ? e->args[i]->span : e->span;
    check.what = "index of " + target.label + " along " + axis.name;
    ExprPtr last = size(axis.extent + Size(check.after - 1));
    out->args[i] =
        apply(Op::Max, {apply(Op::Min, {check.value, last}, check.span), integer(-check.before)},
              check.span);
    addCheck(std::move(check));
    out->checked[i] = false;
  }
  return out;
}

// a // b with b possibly 0: checked before; computed with 1 instead.
ExprPtr Splitter::rewriteDivision(const ExprPtr &e) {
  auto out = std::make_shared<Expr>(*e);
  out->args = {rewrite(e->args[0]), rewrite(e->args[1])};
  out->checked.assign(1, false);
  ExprPtr divisor = out->args[1];
  bool isInt = e->type == Type::Int;
  ExprPtr isZero = apply(Op::Equal, {divisor, isInt ? integer(0) : number(0)}, e->span);
  Check check;
  check.kind = 1;
  check.value = isInt ? divisor : choose(isZero, integer(0), integer(1), e->span);
  check.span = e->span;
  check.what = std::string("divisor of ") + opName(e->op);
  addCheck(std::move(check));
  out->args[1] = choose(isZero, isInt ? integer(1) : number(1), divisor, e->span);
  return out;
}

void Splitter::addCheck(Check check) {
  check.piece = piece_;
  check.conditions = conditions_;
  std::set<int> letters = free_.of(check.value);
  for (auto &c : check.conditions) {
    const std::set<int> &more = free_.of(c);
    letters.insert(more.begin(), more.end());
  }
  for (int l : order_)
    if (letters.count(l))
      check.letters.push_back(l);
  std::string meaning = std::to_string(tensor_) + "/" + std::to_string(piece_) + check.what + "/";
  Text text(
      program_, [](int l) { return std::to_string(l); }, [](int t) { return std::to_string(t); },
      [](const Expr &step) { return std::to_string(step.region); });
  text.write(check.value, meaning);
  for (auto &c : check.conditions)
    text.write(c, meaning);
  if (checked_.insert(meaning).second)
    checks_[tensor_].push_back(std::move(check));
}

std::map<int, int> Splitter::loopsOf(const ExprPtr &e) {
  std::map<int, int> out;
  forEachNode(e, [&](const Expr &n) {
    if (n.kind == K::Read)
      for (auto &[loop, axis] : loops_[n.tensor])
        if (auto mine = loops_[tensor_].find(loop); mine != loops_[tensor_].end())
          out.insert(*mine);
  });
  return out;
}

ExprPtr Splitter::finish(const ExprPtr &e, const char *suffix, bool root) {
  if (!root || e->constant != program_.tensors[tensor_].constant)
    return extract(e, suffix);
  // In place, if that computes nothing twice: not for letters that it does not depend on, not
  // at each step of a recurrence that it has no part in.
  const std::set<int> &letters = free_.of(e);
  for (const PieceIndex &i : program_.tensors[tensor_].pieces[piece_].indices)
    if (i.letter >= 0 && !letters.count(i.letter))
      return extract(e, suffix);
  if (loopsOf(e).size() != loops_[tensor_].size())
    return extract(e, suffix);
  return e;
}

ExprPtr Splitter::extract(const ExprPtr &e, const char *suffix) {
  std::set<int> letters = free_.of(e);
  std::map<int, int> loops = loopsOf(e);
  if (!loops.empty() && cautious_)
    for (auto &c : conditions_) {
      const std::set<int> &more = free_.of(c);
      letters.insert(more.begin(), more.end());
    }
  const Tensor &from = program_.tensors[tensor_];
  const Piece &piece = from.pieces[piece_];
  std::set<int> loopAxes;
  for (auto &[loop, axis] : loops)
    loopAxes.insert(axis);

  // The axes: those of the equation first (the letters of a call stay in front), then letters
  // of the reductions around.
  NewTensors::Origin origin{tensor_, piece_, suffix};
  std::vector<NewAxis> axes;
  std::set<int> placed;
  LoopAxes memberOf;
  for (size_t a = 0; a < piece.indices.size(); ++a) {
    const PieceIndex &index = piece.indices[a];
    bool looped = loopAxes.count(static_cast<int>(a));
    if (index.letter >= 0 ? !letters.count(index.letter) && !looped : !looped)
      continue;
    if (looped)
      for (auto &[loop, axis] : loops)
        if (axis == static_cast<int>(a))
          memberOf[loop] = static_cast<int>(axes.size());
    if (static_cast<int>(a) < from.lifted)
      ++origin.lifted;
    if (index.letter >= 0) {
      placed.insert(index.letter);
      axes.push_back(
          {index.letter, {}, {from.axes[a].name, program_.letters[index.letter].extent, 0, 0}});
      continue;
    }
    Axis axis = from.axes[a];
    if (auto known = index.position.constant()) { // no more of the axis than that position
      axis.extent = Size(std::max<int64_t>(*known + 1, 0));
      axis.before = std::max<int64_t>(-*known, 0);
      axis.after = 0;
    }
    axes.push_back({-1, index.position, std::move(axis)});
  }
  for (int l : order_)
    if (letters.count(l) && placed.insert(l).second)
      axes.push_back({l, {}, {program_.letters[l].name, program_.letters[l].extent, 0, 0}});

  ExprPtr guard;
  if (!loops.empty())
    for (auto &c : conditions_) {
      const std::set<int> &more = free_.of(c);
      if (std::includes(letters.begin(), letters.end(), more.begin(), more.end()))
        guard = both(guard, c);
    }
  // Rounded where it meets data (T3): inside a table of doubles it stays a double.
  origin.constant = e->constant && (from.constant || inConstant_ || e->kind == K::Reduce);
  size_t count = program_.tensors.size();
  ExprPtr out = made_.make(origin, axes, e, guard);
  if (program_.tensors.size() > count)
    loops_.push_back(std::move(memberOf));
  return out;
}

void splitReductions(Prepared &prepared) {
  Prepared before = std::move(prepared);
  std::set<int> kept = before.firsts;
  for (auto &[chosen, taken] : before.chosen)
    kept.insert(chosen);
  prepared = Splitter(before.program, /*cautious=*/false, kept).run();
  Diagnostics diagnostics;
  if (!schedule(prepared.program, diagnostics))
    prepared = Splitter(std::move(before.program), /*cautious=*/true, std::move(kept)).run();
  prepared.notes = std::move(before.notes);
  prepared.chosen = std::move(before.chosen);
  prepared.firsts = std::move(before.firsts);
}

} // namespace qkv::equations
