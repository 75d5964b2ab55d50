// Sums over all positions so far that need no history (Rearrange.h). In: a program. Out: the same
// with recurrences for such sums. Holds: terms are added in order of their positions.
#include "compiler/streams/Rearrange.h"

#include "compiler/equations/Expressions.h"
#include "compiler/streams/Factors.h"
#include "compiler/streams/PagedSums.h"
#include "compiler/streams/Positions.h"
#include "compiler/streams/WrittenSums.h"
#include "dsl/proof/Proof.h"

#include <algorithm>

namespace qkv::streams {

using namespace equations;
using K = Expr::Kind;

namespace {

class Finder {
public:
  explicit Finder(Program &program) : program_(program), decays_(program), written_(program) {}

  std::set<int> run() {
    size_t count = program_.tensors.size();
    for (size_t t = 0; t < count; ++t) {
      if (program_.tensors[t].kind != Tensor::Kind::Equation)
        continue;
      for (size_t p = 0; p < program_.tensors[t].pieces.size(); ++p) {
        const Piece piece = program_.tensors[t].pieces[p];
        tensor_ = static_cast<int>(t);
        for (const PieceIndex &index : piece.indices)
          if (index.letter >= 0 && grows(index.letter)) {
            row_ = index.letter;
            done_.clear();
            program_.tensors[t].pieces[p].value = walk(program_.tensors[t].pieces[p].value);
          }
      }
    }
    return states_;
  }

private:
  bool grows(int letter) const { return growsWith(program_, program_.letters[letter].extent); }

  ExprPtr walk(const ExprPtr &e) {
    if (!e || e->args.empty())
      return e;
    auto known = done_.find(e);
    if (known != done_.end())
      return known->second;
    if (ExprPtr state = running(e))
      return done_[e] = state;
    if (auto sum = written_.of(e, tensor_, row_))
      if (ExprPtr paged = byPages(program_, *sum, states_))
        return done_[e] = paged;
    std::vector<ExprPtr> args;
    for (const ExprPtr &a : e->args)
      args.push_back(walk(a));
    return done_[e] = withArgs(e, std::move(args));
  }

  /// Whether a guard says that the key is at most the row, or before it, and nothing else but
  /// `only`, which does not see the row (null: nothing).
  bool soFar(const ExprPtr &guard, int key, bool &before, ExprPtr &only) {
    bool found = false;
    for (const ExprPtr &c : conjuncts(guard)) {
      if (!found && orders(c, key, before))
        found = true;
      else if (letters_.of(c).count(row_))
        return false;
      else
        only = both(only, c);
    }
    return found;
  }

  bool orders(const ExprPtr &guard, int key, bool &before) const {
    if (guard->kind != K::Apply || guard->args.size() != 2)
      return false;
    auto is = [](const ExprPtr &e, int letter) {
      return e->kind == K::Letter && e->letter == letter;
    };
    const ExprPtr &a = guard->args[0], &b = guard->args[1];
    before = guard->op == Op::Less || guard->op == Op::Greater;
    return ((guard->op == Op::LessEqual || guard->op == Op::Less) && is(a, key) && is(b, row_)) ||
           ((guard->op == Op::GreaterEqual || guard->op == Op::Greater) && is(a, row_) &&
            is(b, key));
  }

  ExprPtr running(const ExprPtr &e) {
    if (e->kind != K::Reduce || e->reduction != Reduction::Sum || e->type != Type::Float)
      return nullptr;
    int key = -1;
    for (int l : e->letters)
      if (grows(l)) {
        if (key >= 0)
          return nullptr;
        key = l;
      }
    ExprPtr only;
    RunningSum parts;
    parts.tensor = tensor_;
    parts.row = row_;
    parts.key = key;
    parts.span = e->span;
    if (key < 0 || program_.letters[key].extent != program_.letters[row_].extent ||
        !soFar(e->args[1], key, parts.before, only) || seesOthers(only, e->letters))
      return nullptr;
    for (int l : e->letters)
      if (l != key)
        parts.inner.push_back(l);
    if (!split(e->args[0], key, parts, 3))
      return nullptr;
    // What a condition leaves out is not read (A6): each factor is 0 there.
    if (only && parts.keys.empty())
      parts.keys.push_back(number(1));
    if (only)
      for (ExprPtr &f : parts.keys)
        f = choose(only, f, number(0), e->span);
    // What falls up to the row before only: the state that the row before left, for all factors.
    auto early = std::count_if(parts.decays.begin(), parts.decays.end(),
                               [](const Decay &d) { return d.early; });
    if (early && (!parts.before || early != static_cast<std::ptrdiff_t>(parts.decays.size())))
      return nullptr;
    return stateOf(e, parts);
  }

  /// Whether a condition depends on a letter that grows, but the sum's own.
  bool seesOthers(const ExprPtr &only, const std::vector<int> &own) {
    if (!only)
      return false;
    const std::set<int> &free = letters_.of(only);
    return std::any_of(free.begin(), free.end(), [&](int l) {
      return grows(l) && std::find(own.begin(), own.end(), l) == own.end();
    });
  }

  /// Sorts the factors of a sum's body; false where one needs row and key together.
  bool split(const ExprPtr &body, int key, RunningSum &parts, int deepest) {
    std::vector<ExprPtr> factors;
    allFactorsOf(body, factors);
    for (const ExprPtr &f : factors) {
      const std::set<int> &free = letters_.of(f);
      bool row = free.count(row_) > 0, ofKey = free.count(key) > 0;
      if (!ofKey) {
        parts.rows.push_back(f);
      } else if (!row) {
        parts.keys.push_back(f);
      } else if (auto decay = decays_.of(f, row_, key)) {
        parts.decays.push_back(*decay);
      } else {
        // A sum over further letters of such a product, perhaps by its name.
        ExprPtr inside = deepest <= 0         ? nullptr
                         : f->kind == K::Read ? definitionOf(program_, f)
                                              : f;
        if (!inside)
          return false;
        if (inside->kind == K::Reduce && inside->reduction == Reduction::Sum && !inside->args[1]) {
          for (int l : inside->letters) {
            if (grows(l))
              return false;
            parts.inner.push_back(l);
          }
          inside = inside->args[0];
        } else if (inside == f) {
          return false;
        }
        if (!split(inside, key, parts, deepest - 1))
          return false;
      }
    }
    return true;
  }

  /// The state of the row before as the next row sees it. What falls by data may not be asked of
  /// the first row: no term of the sum does.
  ExprPtr fallen(const RunningSum &parts, std::vector<ExprPtr> decay, const ExprPtr &state,
                 const ExprPtr &row) {
    decay.push_back(state);
    ExprPtr product = productOf(decay);
    if (std::all_of(parts.decays.begin(), parts.decays.end(),
                    [](const Decay &d) { return d.same; }))
      return product;
    return choose(apply(Op::Greater, {row, integer(0)}, state->span), product, equations::number(0),
                  state->span);
  }

  /// The letters along which the state goes: every one of the key's factors, and of the decay, but
  /// the key's. Nothing where that is no less than a history.
  std::optional<std::set<int>> stateLetters(const RunningSum &parts,
                                            const std::vector<ExprPtr> &decay) {
    std::set<int> along;
    for (const auto *list : {&parts.keys, &decay})
      for (const ExprPtr &f : *list)
        along.insert(letters_.of(f).begin(), letters_.of(f).end());
    along.erase(parts.key);
    along.erase(row_);
    if (std::any_of(along.begin(), along.end(), [&](int l) { return grows(l); }))
      return std::nullopt;
    double perPosition = 0;
    for (const ExprPtr &f : parts.keys)
      perPosition += valuesOfPosition(program_, letters_.of(f));
    double positions = static_cast<double>(program_.atoms[program_.stream].max);
    if (valuesOfPosition(program_, along) > perPosition * positions / 2)
      return std::nullopt;
    return along;
  }

  ExprPtr stateOf(const ExprPtr &e, const RunningSum &parts) {
    const int key = parts.key;
    std::vector<ExprPtr> decay;
    for (const Decay &d : parts.decays)
      decay.push_back(d.step);
    auto along = stateLetters(parts, decay);
    if (!along)
      return nullptr;
    if (ExprPtr paged = byPages(program_, parts, states_))
      return paged;

    Tensor t;
    const Tensor &origin = program_.tensors[tensor_];
    t.name = origin.name + ".sum" + (states_.empty() ? "" : std::to_string(states_.size()));
    t.label = t.name;
    t.type = Type::Float;
    t.region = origin.region;
    t.instance = origin.instance;
    t.span = e->span;
    Piece first, general;
    first.span = general.span = e->span;
    std::unordered_map<int, ExprPtr> renamed;
    std::vector<ExprPtr> before, now;
    auto axis = [&](int l) {
      program_.letters.push_back(program_.letters[l]);
      int own = static_cast<int>(program_.letters.size()) - 1;
      renamed[l] = letter(own);
      t.axes.push_back({program_.letters[l].name, program_.letters[l].extent, 0, 0});
      general.indices.push_back({own, {}});
      return letter(own);
    };
    ExprPtr position = axis(row_);
    renamed[key] = position;
    t.axes[0].before = 1;
    before.push_back(apply(Op::Sub, {position, integer(1)}, e->span));
    now.push_back(letter(row_));
    for (int l : *along) {
      before.push_back(axis(l));
      now.push_back(letter(l));
    }
    first.indices = general.indices;
    first.indices[0] = {-1, Size(-1)};
    for (size_t a = 1; a < first.indices.size(); ++a) {
      program_.letters.push_back(program_.letters[first.indices[a].letter]);
      first.indices[a].letter = static_cast<int>(program_.letters.size()) - 1;
    }
    first.value = number(0);
    int number = static_cast<int>(program_.tensors.size());
    t.pieces = {first, general};
    program_.tensors.push_back(t);
    std::vector<ExprPtr> old;
    for (const ExprPtr &f : decay)
      old.push_back(substitute(f, renamed));
    ExprPtr earlier =
        fallen(parts, std::move(old), read(program_, number, before, e->span), position);
    program_.tensors[number].pieces[1].value =
        apply(Op::Add, {earlier, substitute(productOf(parts.keys), renamed)}, e->span);
    states_.insert(number);
    // What the row asks of it.
    std::vector<ExprPtr> asked = parts.rows;
    if (parts.before)
      now[0] = apply(Op::Sub, {letter(row_), integer(1)}, e->span);
    ExprPtr state = read(program_, number, now, e->span);
    bool falls = parts.before && !std::any_of(parts.decays.begin(), parts.decays.end(),
                                              [](const Decay &d) { return d.early; });
    asked.push_back(falls ? fallen(parts, decay, state, letter(row_)) : state);
    ExprPtr value = productOf(asked);
    return parts.inner.empty() ? value
                               : reduce(Reduction::Sum, parts.inner, value, nullptr, e->span);
  }

  Program &program_;
  int tensor_ = -1, row_ = -1;
  std::set<int> states_;
  FreeLetters letters_;
  Decays decays_;
  WrittenSums written_;
  std::unordered_map<ExprPtr, ExprPtr> done_; ///< of the piece and row at hand
};

} // namespace

std::set<int> runningSums(Program &program) { return Finder(program).run(); }

} // namespace qkv::streams
