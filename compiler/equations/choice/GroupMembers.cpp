// In: prepared equations and their order. Out: GroupMembers.h. What holds: a member has one
// equation for all of its positions, no checks, and is no result; it stands in no recurrence; where
// a row has no choice, nobody needs it.
#include "compiler/equations/choice/GroupMembers.h"

#include "compiler/equations/Expressions.h"

#include <algorithm>

namespace qkv::equations {

using K = Expr::Kind;

void tensorsOf(const ScheduleNode &node, std::vector<int> &out) {
  if (node.tensor >= 0)
    out.push_back(node.tensor);
  for (auto &[tensor, axis] : node.axes)
    out.push_back(tensor);
  for (const ScheduleNode &child : node.children)
    tensorsOf(child, out);
}

void needsOf(const Prepared &prepared, int tensor, std::set<int> &out) {
  for (const Piece &piece : prepared.program.tensors[tensor].pieces)
    for (const ExprPtr &e : {piece.value, piece.guard})
      if (e)
        forEachNode(e, [&](const Expr &n) {
          if (n.kind == K::Read)
            out.insert(n.tensor);
        });
  if (auto checks = prepared.checks.find(tensor); checks != prepared.checks.end())
    for (const Check &check : checks->second) {
      std::vector<ExprPtr> all = check.conditions;
      all.push_back(check.value);
      for (const ExprPtr &e : all)
        forEachNode(e, [&](const Expr &n) {
          if (n.kind == K::Read)
            out.insert(n.tensor);
        });
    }
}

namespace {

class MemberFinder {
public:
  MemberFinder(const Prepared &prepared, const std::vector<ScheduleNode> &nodes)
      : prepared_(prepared), program_(prepared.program), nodes_(nodes),
        ofInput_(dependingOnInputs(prepared)) {}

  std::map<int, Member> run() {
    findMembers();
    if (!members_.empty())
      setLevels();
    return std::move(members_);
  }

private:
  static bool at(const Expr &read, size_t count, const Piece &piece, std::vector<size_t> &axes);
  bool isSum(const ExprPtr &e, const Piece &piece, Member &member);
  static bool isNeededOfChoices(const Piece &piece, int chosen);
  bool isOfMembers(const ExprPtr &e, const Piece &piece, Member &member);
  void findMembers();
  void setLevels();

  const Prepared &prepared_;
  const Program &program_;
  const std::vector<ScheduleNode> &nodes_;
  std::vector<bool> ofInput_; ///< by tensor
  FreeLetters free_;
  std::map<int, Member> members_;
};

/// Whether the first `count` indices of a read are letters of the piece, each another: their axes.
bool MemberFinder::at(const Expr &read, size_t count, const Piece &piece,
                      std::vector<size_t> &axes) {
  axes.clear();
  for (size_t a = 0; a < count; ++a) {
    size_t found = piece.indices.size();
    for (size_t i = 0; i < piece.indices.size(); ++i)
      if (read.args[a]->kind == K::Letter && piece.indices[i].letter == read.args[a]->letter)
        found = i;
    if (found == piece.indices.size() || std::find(axes.begin(), axes.end(), found) != axes.end())
      return false;
    axes.push_back(found);
  }
  return true;
}

/// A sum of products with what depends on no input, at the position that each row chose: it is the
/// same for all rows, those of other sequences among them.
bool MemberFinder::isSum(const ExprPtr &e, const Piece &piece, Member &member) {
  if (e->kind != K::Reduce || e->reduction != Reduction::Sum || e->type != Type::Float)
    return false;
  bool found = false;
  forEachNode(e, [&](const Expr &n) {
    if (n.kind != K::Read || found || ofInput_[n.tensor])
      return;
    for (const ExprPtr &index : n.args) {
      if (index->kind != K::Read || !prepared_.chosen.count(index->tensor) ||
          !at(*index, index->args.size(), piece, member.axes))
        continue;
      member.chosen = index->tensor;
      found = true;
      for (const ExprPtr &other : n.args)
        if (other != index)
          for (size_t axis : member.axes)
            found = found && !free_.of(other).count(piece.indices[axis].letter);
    }
  });
  return found;
}

/// Whether a piece is needed where there is a choice, and nowhere else.
bool MemberFinder::isNeededOfChoices(const Piece &piece, int chosen) {
  for (const ExprPtr &c : conjuncts(piece.guard))
    if (c->kind == K::Apply && c->op == Op::GreaterEqual && c->args[0]->kind == K::Read &&
        c->args[0]->tensor == chosen && c->args[1]->kind == K::Int && c->args[1]->integer == 0)
      return true;
  return false;
}

/// What is computed element by element of members, at their own places, and needed of choices
/// alone: where there is none, a member has no value.
bool MemberFinder::isOfMembers(const ExprPtr &e, const Piece &piece, Member &member) {
  bool plain = e->type == Type::Float && piece.guard, found = false;
  forEachNode(e, [&](const Expr &n) {
    plain = plain && n.kind != K::Reduce && n.kind != K::Weighted;
    auto of = n.kind == K::Read ? members_.find(n.tensor) : members_.end();
    if (!plain || of == members_.end())
      return;
    Expr own = n; // its rows and number of the choice alone
    own.args.clear();
    for (size_t axis : of->second.axes)
      own.args.push_back(n.args[axis]);
    std::vector<size_t> axes;
    plain = at(own, own.args.size(), piece, axes) && (!found || axes == member.axes) &&
            (!found || of->second.chosen == member.chosen) &&
            isNeededOfChoices(piece, of->second.chosen);
    member.axes = axes;
    member.chosen = of->second.chosen;
    found = true;
  });
  return plain && found;
}

void MemberFinder::findMembers() {
  std::set<int> results, inOrder;
  for (const Result &r : program_.results)
    results.insert(r.tensor);
  for (const ScheduleNode &node : nodes_)
    inOrder.insert(node.tensor);
  for (const ScheduleNode &node : nodes_) {
    int t = node.tensor;
    if (t < 0 || prepared_.checks.count(t) || prepared_.chosen.count(t) || results.count(t))
      continue;
    const Tensor &tensor = program_.tensors[t];
    bool whole = tensor.pieces.size() == 1 && !tensor.constant;
    for (size_t a = 0; whole && a < tensor.axes.size(); ++a) {
      int l = tensor.pieces[0].indices[a].letter;
      whole = l >= 0 && runsOver(program_, l, tensor.axes[a]);
    }
    Member member;
    if (!whole || !(isSum(tensor.pieces[0].value, tensor.pieces[0], member) ||
                    isOfMembers(tensor.pieces[0].value, tensor.pieces[0], member)))
      continue;
    bool alike = true; // in all that it reads at a chosen position
    forEachNode(tensor.pieces[0].value, [&](const Expr &n) {
      if (n.kind == K::Read && prepared_.chosen.count(n.tensor)) {
        std::vector<size_t> axes;
        alike = alike && n.tensor == member.chosen &&
                at(n, n.args.size(), tensor.pieces[0], axes) && axes == member.axes;
      }
    });
    // (Choices of a recurrence are made a step at a time.)
    if (alike && inOrder.count(member.chosen))
      members_[t] = member;
  }
}

/// A member that needs another one through what is none is in a later loop.
void MemberFinder::setLevels() {
  std::set<int> chosen;
  for (auto &[tensor, member] : members_)
    chosen.insert(member.chosen);
  std::vector<std::pair<std::vector<int>, std::set<int>>> uses; // by node: its tensors, their needs
  for (const ScheduleNode &node : nodes_) {
    auto &[tensors, needs] = uses.emplace_back();
    tensorsOf(node, tensors);
    for (int t : tensors)
      needsOf(prepared_, t, needs);
  }
  for (int of : chosen) {
    std::map<int, int> behind; // of what is no member: the first level that may need it
    for (size_t n = 0; n < nodes_.size(); ++n) {
      auto own = members_.find(nodes_[n].tensor);
      bool isMember = own != members_.end() && own->second.chosen == of;
      int level = 0;
      for (int need : uses[n].second) {
        auto member = members_.find(need);
        if (member != members_.end() && member->second.chosen == of)
          level = std::max(level, member->second.level + !isMember);
        else if (auto other = behind.find(need); other != behind.end())
          level = std::max(level, other->second);
      }
      if (isMember)
        own->second.level = level;
      else if (level > 0)
        for (int t : uses[n].first)
          behind[t] = level;
    }
  }
}

} // namespace

std::map<int, Member> groupMembers(const Prepared &prepared,
                                   const std::vector<ScheduleNode> &nodes) {
  return MemberFinder(prepared, nodes).run();
}

} // namespace qkv::equations
