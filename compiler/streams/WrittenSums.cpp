// Recurrences that are running sums. In: a program. Out: WrittenSums.h. Holds: a recurrence whose
// values something else wants as they are stays what it is.
#include "compiler/streams/WrittenSums.h"

#include "compiler/streams/Factors.h"
#include "compiler/streams/Positions.h"
#include "dsl/proof/Proof.h"

#include <algorithm>

namespace qkv::streams {

using namespace equations;
using K = Expr::Kind;

namespace {

bool isZero(const ExprPtr &e) {
  return (e->kind == K::Float && e->number == 0) || (e->kind == K::Int && e->integer == 0) ||
         (e->kind == K::Convert && isZero(e->args[0]));
}

bool reads(const ExprPtr &root, int tensor) {
  bool found = false;
  forEachNode(root,
              [&](const Expr &e) { found = found || (e.kind == K::Read && e.tensor == tensor); });
  return found;
}

} // namespace

WrittenSums::WrittenSums(Program &program) : program_(program) {
  std::map<int, std::set<int>> chains;
  for (size_t t = 0; t < program_.tensors.size(); ++t) {
    std::set<int> chain{static_cast<int>(t)};
    if (auto found = recurrence(static_cast<int>(t), chain)) {
      found_[static_cast<int>(t)] = *found;
      chains[static_cast<int>(t)] = chain;
    }
  }
  for (const Result &result : program_.results)
    found_.erase(result.tensor);
  if (found_.empty())
    return;
  for (int t : liveTensors(program_))
    for (const Piece &piece : program_.tensors[t].pieces)
      for (const ExprPtr &root : {piece.value, piece.guard}) {
        if (!root)
          continue;
        std::set<const Expr *> asked;
        forEachNode(root, [&](const Expr &e) {
          if (ExprPtr read = readOf(e))
            asked.insert(read.get());
        });
        forEachNode(root, [&](const Expr &e) {
          auto at = e.kind == K::Read ? found_.find(e.tensor) : found_.end();
          if (at != found_.end() && !chains[e.tensor].count(t) && !asked.count(&e))
            at->second.read = true;
        });
      }
}

/// `chain`: gets the tensors by whose names it is computed.
std::optional<WrittenSums::Recurrence> WrittenSums::recurrence(int tensor, std::set<int> &chain) {
  const Tensor &t = program_.tensors[tensor];
  if (t.kind != Tensor::Kind::Equation || t.type != Type::Float || t.pieces.size() != 2)
    return std::nullopt;
  Recurrence out;
  const Piece *first = nullptr, *general = nullptr;
  for (const Piece &piece : t.pieces) {
    auto fixed = std::count_if(piece.indices.begin(), piece.indices.end(),
                               [](const PieceIndex &i) { return i.letter < 0; });
    (fixed == 0 ? general : first) = &piece;
    if (fixed > 1 || piece.guard)
      return std::nullopt;
  }
  if (!first || !general || !isZero(first->value))
    return std::nullopt;
  for (size_t a = 0; a < t.axes.size(); ++a) {
    if (first->indices[a].letter < 0) {
      out.axis = a;
      if (first->indices[a].position != Size(-1) || t.axes[a].extent != Size::atom(program_.stream))
        return std::nullopt;
    } else if (growsWith(program_, t.axes[a].extent)) {
      return std::nullopt;
    }
    out.letters.push_back(general->indices[a].letter);
  }
  ExprPtr value = general->value;
  for (int depth = 0; value && value->kind == K::Read && depth < 8; ++depth) {
    chain.insert(value->tensor);
    value = definitionOf(program_, value);
  }
  if (!value || !divide(value, tensor, out))
    return std::nullopt;
  return out;
}

/// fall * s[t-1] + taken, in either order.
bool WrittenSums::divide(const ExprPtr &value, int tensor, Recurrence &out) const {
  if (value->kind != K::Apply || value->op != Op::Add)
    return false;
  for (size_t side : {size_t(0), size_t(1)}) {
    std::vector<ExprPtr> factors;
    out.fall.clear();
    out.taken.clear();
    allFactorsOf(value->args[side], factors);
    int before = 0;
    bool fits = !reads(value->args[1 - side], tensor);
    for (const ExprPtr &f : factors) {
      if (f->kind != K::Read || f->tensor != tensor) {
        fits = fits && !reads(f, tensor);
        out.fall.push_back(f);
        continue;
      }
      ++before;
      for (size_t a = 0; a < f->args.size(); ++a) {
        auto at = letterPlus(f->args[a]);
        fits =
            fits && at && at->letter == out.letters[a] && at->rest == Size(a == out.axis ? -1 : 0);
      }
    }
    if (!fits || before != 1)
      continue;
    allFactorsOf(value->args[1 - side], out.taken);
    return true;
  }
  return false;
}

ExprPtr WrittenSums::readOf(const Expr &sum) const {
  if (sum.kind != K::Reduce || sum.reduction != Reduction::Sum || sum.args[1])
    return nullptr;
  std::vector<ExprPtr> factors;
  allFactorsOf(sum.args[0], factors);
  ExprPtr out;
  for (const ExprPtr &f : factors) {
    auto at = f->kind == K::Read ? found_.find(f->tensor) : found_.end();
    if (at == found_.end())
      continue;
    const ExprPtr &position = f->args[at->second.axis];
    if (out || position->kind != K::Letter ||
        program_.letters[position->letter].extent != Size::atom(program_.stream))
      return nullptr;
    out = f;
  }
  return out;
}

std::optional<RunningSum> WrittenSums::of(const ExprPtr &sum, int tensor, int row) {
  ExprPtr read = readOf(*sum);
  if (!read)
    return std::nullopt;
  const Recurrence &found = found_.at(read->tensor);
  const Tensor &state = program_.tensors[read->tensor], &reader = program_.tensors[tensor];
  if (found.read || read->args[found.axis]->letter != row || state.region != reader.region)
    return std::nullopt;
  RunningSum out;
  out.tensor = tensor;
  out.row = row;
  program_.letters.push_back(Letter(program_.letters[row]));
  out.key = static_cast<int>(program_.letters.size()) - 1;
  out.inner = sum->letters;
  out.span = sum->span;
  std::unordered_map<int, ExprPtr> ofRow, ofKey;
  for (size_t a = 0; a < found.letters.size(); ++a) {
    if (a != found.axis && letters_.of(read->args[a]).count(row))
      return std::nullopt;
    ofRow[found.letters[a]] = read->args[a];
    ofKey[found.letters[a]] = a == found.axis ? letter(out.key) : read->args[a];
  }
  std::vector<ExprPtr> factors;
  allFactorsOf(sum->args[0], factors);
  for (const ExprPtr &f : factors)
    if (f != read)
      out.rows.push_back(f);
  Decays decays(program_);
  for (const ExprPtr &f : found.fall)
    out.decays.push_back(decays.ofStep(substitute(f, ofRow), row));
  for (const ExprPtr &f : found.taken) {
    ExprPtr key = substitute(f, ofKey);
    (letters_.of(key).count(out.key) ? out.keys : out.rows).push_back(key);
  }
  return out;
}

} // namespace qkv::streams
