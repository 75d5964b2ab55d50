// Rows that chose the same position are computed together.
//
// In: prepared equations in order, with tensors of chosen positions, and sums that read what all
// rows share at the chosen position:
//
//   h[i,k,f] = sum[c](W[chosen[i,k],f,c] * x[i,c])
//
// Out: such sums, and what is computed of them element by element, as a loop of the order over the
// positions e that may be chosen; inside, over the choices p of that position:
//
//   xs[p,c] = x[order[p] // K, c]
//   h[p,f]  = sum[c](W[e,f,c] * xs[p,c])        begins[e] <= p < begins[e+1]
//
// Others read h[place[i,k],f]. What holds: each element is computed by the equation that it had;
// a loop has only tensors that need no others between them; checks and recurrences stay outside.
#include "compiler/equations/Expressions.h"
#include "compiler/equations/choice/GroupMembers.h"

#include "dsl/proof/Proof.h"

#include <algorithm>
#include <limits>

namespace qkv::equations {

using K = Expr::Kind;

namespace {

ScheduleNode leaf(int tensor) {
  ScheduleNode node;
  node.tensor = tensor;
  return node;
}

class Grouper {
public:
  Grouper(Prepared &prepared, std::vector<ScheduleNode> &nodes)
      : prepared_(prepared), program_(prepared.program), nodes_(nodes) {}

  void run() {
    members_ = groupMembers(prepared_, nodes_);
    if (members_.empty())
      return;
    std::map<std::tuple<int, int, int>, std::vector<int>> sets;
    for (auto &[tensor, member] : members_)
      sets[{member.chosen, member.level, program_.tensors[tensor].region}].push_back(tensor);
    std::set<int> readers = liveTensors(program_);
    for (auto &[key, tensors] : sets)
      makeGroup(std::get<0>(key), std::get<2>(key), tensors);
    for (auto &[tensor, member] : members_)
      rewriteMember(tensor);
    for (int t : readers)
      if (!members_.count(t))
        readPlaces(t);
    orderAgain();
  }

private:
  void makeGroup(int chosen, int region, const std::vector<int> &tensors);
  void makeOrder(Group &group, int region);
  void rewriteMember(int tensor);
  ExprPtr moved(const ExprPtr &e);
  ExprPtr gathered(const ExprPtr &e);
  ExprPtr atPlace(const ExprPtr &read) const;
  void readPlaces(int tensor);
  void orderAgain();
  int newLetter(const std::string &name, const Size &extent) {
    program_.letters.push_back({name, extent});
    return static_cast<int>(program_.letters.size()) - 1;
  }
  int add(Tensor t) {
    program_.tensors.push_back(std::move(t));
    return static_cast<int>(program_.tensors.size()) - 1;
  }

  Prepared &prepared_;
  Program &program_;
  std::vector<ScheduleNode> &nodes_;
  FreeLetters free_;
  std::map<int, Member> members_;               ///< as they were
  std::map<std::pair<int, int>, Group> orders_; ///< by tensor of chosen positions and region
  std::map<int, std::vector<int>> gathers_;     ///< by group: tensors of rows put in order
  std::map<std::string, int> gatherOf_;         ///< by meaning
  // The member that is being rewritten.
  int tensor_ = -1, number_ = -1, p_ = -1; ///< itself, its group, and the letter over choices
  bool sums_ = false;
  Tensor before_;
  std::unordered_map<int, ExprPtr> rows_; ///< the rows of the choice p, from its number
  std::unordered_map<ExprPtr, ExprPtr> done_;
};

/// The order of all choices, the place of each, and where those of a position begin. Their
/// equations say what they are; they are computed by counting.
void Grouper::makeOrder(Group &group, int region) {
  const Tensor chosen = program_.tensors[group.chosen];
  const Span span = chosen.span;
  Size all(1);
  for (const Axis &a : chosen.axes)
    all = all * a.extent;
  const Size extent = program_.tensors[prepared_.chosen.at(group.chosen)].axes.back().extent;
  auto letters = [&] {
    std::vector<int> out;
    for (const Axis &a : chosen.axes)
      out.push_back(newLetter(a.name, a.extent));
    return out;
  };
  auto reads = [&](int tensor, const std::vector<int> &at) {
    std::vector<ExprPtr> args;
    for (int l : at)
      args.push_back(letter(l));
    return read(program_, tensor, std::move(args), span);
  };
  auto tensor = [&](const char *suffix, std::vector<Axis> axes, const std::vector<int> &at,
                    ExprPtr value) {
    Tensor t;
    t.name = chosen.name + "." + suffix;
    t.label = chosen.label;
    t.type = Type::Int;
    t.region = region;
    t.instance = chosen.instance;
    t.span = span;
    t.axes = std::move(axes);
    Piece piece;
    for (int l : at)
      piece.indices.push_back({l, {}});
    piece.value = std::move(value);
    piece.span = span;
    t.pieces = {std::move(piece)};
    return add(std::move(t));
  };
  auto isChoice = [&](const ExprPtr &e) { return apply(Op::GreaterEqual, {e, integer(0)}, span); };
  // place = rank(-chosen where chosen >= 0): those of smaller positions first, then by number.
  std::vector<int> own = letters(), others = letters();
  ExprPtr other = reads(group.chosen, others);
  auto place = std::make_shared<Expr>(
      *reduce(Reduction::Rank, others, apply(Op::Neg, {other}, span), isChoice(other), span));
  for (int l : own)
    place->args.push_back(letter(l));
  group.place = tensor("place", chosen.axes, own, place);
  // order[p]: the number of the choice whose place p is.
  std::vector<int> at = letters();
  ExprPtr number = integer(0);
  for (size_t a = 0; a < at.size(); ++a)
    number =
        apply(Op::Add, {apply(Op::Mul, {number, size(chosen.axes[a].extent)}, span), letter(at[a])},
              span);
  int p = newLetter("p", all);
  ExprPtr here = apply(Op::Equal, {reads(group.place, at), letter(p)}, span);
  group.order =
      tensor("order", {{"p", all, 0, 0}}, {p}, reduce(Reduction::Max, at, number, here, span));
  // begins[e]: how many chose a smaller position.
  std::vector<int> counted = letters();
  int e = newLetter("e", extent + Size(1));
  ExprPtr what = reads(group.chosen, counted);
  ExprPtr before = both(isChoice(what), apply(Op::Less, {what, letter(e)}, span));
  group.begins = tensor("begins", {{"e", extent + Size(1), 0, 0}}, {e},
                        reduce(Reduction::Sum, counted, integer(1), before, span));
}

void Grouper::makeGroup(int chosen, int region, const std::vector<int> &tensors) {
  int number = static_cast<int>(prepared_.groups.size());
  auto [made, fresh] = orders_.try_emplace({chosen, region});
  if (fresh) {
    made->second.chosen = chosen;
    makeOrder(made->second, region);
  }
  Group group = made->second;
  const Tensor &taken = program_.tensors[prepared_.chosen.at(chosen)];
  int64_t most = 1;
  for (const Axis &a : program_.tensors[chosen].axes) {
    double extent = a.extent.magnitude(program_.atoms);
    most = extent > 1e15 || most > (int64_t(1) << 40) ? int64_t(1) << 40
                                                      : most * static_cast<int64_t>(extent);
  }
  group.letter = newLetter(taken.axes.back().name, taken.axes.back().extent);
  const std::string &name = program_.tensors[chosen].name;
  group.begin = program_.atoms.add(
      {SizeAtom::Kind::Dynamic, name + ".begin" + std::to_string(number), most, {}, {}, 0});
  group.count = program_.atoms.add(
      {SizeAtom::Kind::Dynamic, name + ".count" + std::to_string(number), most, {}, {}, 1});
  prepared_.groups.push_back(group);
  for (int t : tensors)
    prepared_.grouped[t] = number;
}

/// A read of a member by its rows and the number of the choice: at the place of that choice.
ExprPtr Grouper::atPlace(const ExprPtr &e) const {
  const std::vector<size_t> &axes = members_.at(e->tensor).axes;
  std::vector<ExprPtr> at, args;
  for (size_t axis : axes)
    at.push_back(e->args[axis]);
  args.push_back(read(program_, prepared_.groups[prepared_.grouped.at(e->tensor)].place,
                      std::move(at), e->span));
  for (size_t a = 0; a < e->args.size(); ++a)
    if (std::find(axes.begin(), axes.end(), a) == axes.end())
      args.push_back(e->args[a]);
  auto copy = std::make_shared<Expr>(*e);
  copy->checked.assign(args.size(), false);
  copy->args = std::move(args);
  copy->own = 0;
  return copy;
}

/// A read in a sum that depends on the rows: of a tensor that has them in order.
ExprPtr Grouper::gathered(const ExprPtr &e) {
  std::vector<int> over; // letters that it depends on beside the rows
  for (int l : free_.of(e))
    if (!rows_.count(l))
      over.push_back(l);
  std::vector<ExprPtr> args{letter(p_)};
  std::string meaning = std::to_string(number_);
  for (int l : over) {
    args.push_back(letter(l));
    meaning += "," + program_.letters[l].extent.text(program_.atoms);
  }
  const std::vector<PieceIndex> &indices = before_.pieces[0].indices;
  const std::vector<size_t> &axes = members_.at(tensor_).axes;
  Text text(program_, [&](int l) {
    if (auto at = std::find(over.begin(), over.end(), l); at != over.end())
      return "o" + std::to_string(at - over.begin());
    for (size_t a = 0; a < axes.size(); ++a)
      if (indices[axes[a]].letter == l)
        return "r" + std::to_string(a);
    return "l" + std::to_string(l);
  });
  text.write(e, meaning);
  auto [at, fresh] = gatherOf_.try_emplace(meaning, -1);
  if (!fresh)
    return read(program_, at->second, std::move(args), e->span);
  Tensor t;
  t.name = before_.name + ".rows" + std::to_string(gatherOf_.size());
  t.label = before_.label;
  t.type = e->type;
  t.region = before_.region;
  t.instance = before_.instance;
  t.span = e->span ? e->span : before_.span;
  Piece piece;
  piece.span = t.span;
  std::unordered_map<int, ExprPtr> here;
  auto axis = [&](const std::string &name, const Size &extent) {
    int l = newLetter(name, extent);
    piece.indices.push_back({l, {}});
    t.axes.push_back({name, extent, 0, 0});
    return letter(l);
  };
  ExprPtr own = axis("p", program_.letters[p_].extent);
  for (auto &[l, value] : rows_)
    here[l] = substitute(value, {{p_, own}});
  for (int l : over) {
    const Letter old = program_.letters[l];
    here[l] = axis(old.name, old.extent);
  }
  piece.value = substitute(e, here);
  t.pieces = {std::move(piece)};
  at->second = add(std::move(t));
  prepared_.grouped[at->second] = number_;
  gathers_[number_].push_back(at->second);
  return read(program_, at->second, std::move(args), e->span);
}

/// An expression of the member at hand, for the choice p.
ExprPtr Grouper::moved(const ExprPtr &e) {
  if (!e)
    return e;
  const std::set<int> &free = free_.of(e);
  if (std::none_of(free.begin(), free.end(), [&](int l) { return rows_.count(l) > 0; }))
    return e;
  if (auto found = done_.find(e); found != done_.end())
    return found->second;
  int chosen = prepared_.groups[number_].chosen;
  auto withMoved = [&] {
    std::vector<ExprPtr> args;
    for (const ExprPtr &a : e->args)
      args.push_back(moved(a));
    return withArgs(e, std::move(args));
  };
  auto own = [&](const Member &member) { // at the rows and the choice of the member at hand
    const std::vector<size_t> &axes = members_.at(tensor_).axes;
    for (size_t a = 0; a < axes.size(); ++a) {
      const ExprPtr &index = e->args[member.axes[a]];
      if (index->kind != K::Letter || index->letter != before_.pieces[0].indices[axes[a]].letter)
        return false;
    }
    return true;
  };
  ExprPtr out;
  auto member = e->kind == K::Read ? members_.find(e->tensor) : members_.end();
  if (e->kind == K::Letter) {
    out = rows_.at(e->letter);
  } else if (e->kind == K::Read && e->tensor == chosen) {
    out = letter(prepared_.groups[number_].letter);
  } else if (member != members_.end() && member->second.chosen == chosen && own(member->second)) {
    auto copy = std::make_shared<Expr>(*e);
    copy->args = {letter(p_)};
    for (size_t a = 0; a < e->args.size(); ++a)
      if (std::find(member->second.axes.begin(), member->second.axes.end(), a) ==
          member->second.axes.end())
        copy->args.push_back(moved(e->args[a]));
    copy->checked.assign(copy->args.size(), false);
    copy->own = 0;
    out = copy;
  } else if (member != members_.end()) {
    out = moved(atPlace(e));
  } else if (sums_ && e->kind == K::Read) {
    bool atChosen = false;
    forEachNode(e, [&](const Expr &n) {
      atChosen = atChosen || (n.kind == K::Read && n.tensor == chosen);
    });
    out = atChosen ? withMoved() : gathered(e);
  } else {
    out = withMoved();
  }
  return done_[e] = out;
}

void Grouper::rewriteMember(int tensor) {
  tensor_ = tensor;
  number_ = prepared_.grouped.at(tensor);
  const Group group = prepared_.groups[number_];
  before_ = program_.tensors[tensor];
  const Piece &piece = before_.pieces[0];
  const std::vector<size_t> &axes = members_.at(tensor).axes;
  const std::vector<Axis> chosenAxes = program_.tensors[group.chosen].axes;
  Size all = program_.tensors[group.order].axes[0].extent;
  p_ = newLetter("p", all);
  rows_.clear();
  done_.clear();
  ExprPtr rest = read(program_, group.order, {letter(p_)}, before_.span);
  for (size_t a = axes.size(); a-- > 0;) {
    ExprPtr extent = size(chosenAxes[a].extent);
    rows_[piece.indices[axes[a]].letter] =
        a == 0 ? rest : apply(Op::Mod, {rest, extent}, before_.span);
    if (a > 0)
      rest = apply(Op::FloorDiv, {rest, extent}, before_.span);
  }
  sums_ = piece.value->kind == K::Reduce;
  Piece now = piece;
  now.value = moved(piece.value);
  now.guard = nullptr;
  now.indices = {{p_, {}}};
  Tensor &t = program_.tensors[tensor];
  t.lifted = 0;
  t.axes = {{"p", all, 0, 0}};
  for (size_t a = 0; a < before_.axes.size(); ++a)
    if (std::find(axes.begin(), axes.end(), a) == axes.end()) {
      t.axes.push_back(before_.axes[a]);
      now.indices.push_back(piece.indices[a]);
    }
  t.pieces = {std::move(now)};
}

/// What others read of members is where the choice has its place.
void Grouper::readPlaces(int tensor) {
  Mapper mapper([&](const ExprPtr &e) {
    return e->kind == K::Read && members_.count(e->tensor) ? atPlace(e) : e;
  });
  for (Piece &piece : program_.tensors[tensor].pieces) {
    piece.value = mapper(piece.value);
    piece.guard = mapper(piece.guard);
  }
  if (auto checks = prepared_.checks.find(tensor); checks != prepared_.checks.end())
    for (Check &check : checks->second) {
      check.value = mapper(check.value);
      for (ExprPtr &condition : check.conditions)
        condition = mapper(condition);
    }
}

/// The members of a group become one loop, what they need comes before it.
void Grouper::orderAgain() {
  std::vector<ScheduleNode> all;
  std::map<int, size_t> loops;
  for (auto &[chosen, group] : orders_)
    for (int t : {group.place, group.order, group.begins})
      all.push_back(leaf(t));
  for (ScheduleNode &node : nodes_) {
    auto group = node.tensor >= 0 ? prepared_.grouped.find(node.tensor) : prepared_.grouped.end();
    if (group == prepared_.grouped.end()) {
      all.push_back(std::move(node));
      continue;
    }
    auto [at, fresh] = loops.try_emplace(group->second, all.size());
    if (fresh) {
      all.emplace_back();
      for (int t : gathers_[group->second]) {
        all.back().axes.push_back({t, 0});
        all.back().children.push_back(leaf(t));
      }
    }
    all[at->second].axes.push_back({node.tensor, 0});
    all[at->second].children.push_back(std::move(node));
  }
  std::map<int, size_t> nodeOf;
  for (size_t n = 0; n < all.size(); ++n) {
    std::vector<int> tensors;
    tensorsOf(all[n], tensors);
    for (int t : tensors)
      nodeOf[t] = n;
  }
  nodes_.clear();
  std::vector<int> state(all.size(), 0);
  std::function<void(size_t)> place = [&](size_t n) {
    if (state[n]++)
      return;
    std::vector<int> tensors;
    tensorsOf(all[n], tensors);
    for (int t : tensors) {
      std::set<int> needs;
      needsOf(prepared_, t, needs);
      if (auto group = prepared_.grouped.find(t); group != prepared_.grouped.end())
        needs.insert(prepared_.groups[group->second].begins);
      for (int other : needs)
        if (auto found = nodeOf.find(other); found != nodeOf.end() && found->second != n)
          place(found->second);
    }
    nodes_.push_back(std::move(all[n]));
  };
  for (size_t n = 0; n < all.size(); ++n)
    place(n);
}

} // namespace

void groupRows(Prepared &prepared, std::vector<ScheduleNode> &nodes) {
  if (!prepared.chosen.empty())
    Grouper(prepared, nodes).run();
}

} // namespace qkv::equations
