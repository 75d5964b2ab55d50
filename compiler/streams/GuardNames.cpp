// In: a program. Out: a tensor with a name of its own is computed where somebody reads it alone:
// `s[i,j] = ...` that is read as `softmax[j](s[i,j] where i - j < W)` needs keys of the last W
// positions, as the score would if it stood inside (rule 2 of arrivals: what results need under the
// guards on the way).
// Must hold: a guard is a condition that stands around every read of the tensor, over the letters
// of the read's own indices; no guard reads what depends on data, so no tensor comes to wait for
// itself.
#include "compiler/equations/Expressions.h"
#include "compiler/streams/Rearrange.h"
#include "dsl/proof/Proof.h"

#include <algorithm>
#include <map>
#include <set>

namespace qkv::streams {

using namespace equations;
using K = Expr::Kind;

namespace {

class GuardNames {
public:
  explicit GuardNames(Program &program) : program_(program), reads_(program.tensors.size()) {}

  void run() {
    std::set<int> live = liveTensors(program_);
    for (int t : live)
      for (size_t p = 0; p < program_.tensors[t].pieces.size(); ++p)
        for (const ExprPtr &root :
             {program_.tensors[t].pieces[p].value, program_.tensors[t].pieces[p].guard})
          collect(t, static_cast<int>(p), root, {});
    for (const Result &result : program_.results)
      kept_.insert(result.tensor);
    for (int t : live)
      guard(t);
  }

private:
  using Conditions = std::vector<ExprPtr>;
  struct Place {
    int reader, piece;
    ExprPtr read;
    Conditions under; ///< without what the reader's piece itself stands under
  };

  static Conditions with(Conditions conditions, const ExprPtr &more) {
    for (const ExprPtr &c : conjuncts(more))
      conditions.push_back(c);
    return conditions;
  }

  /// Nodes that are shared may stand under several conditions: each place counts.
  void collect(int reader, int piece, const ExprPtr &e, const Conditions &under) {
    if (!e || ++visited_ > mostVisited)
      return;
    if (e->kind == K::Read)
      reads_[e->tensor].push_back({reader, piece, e, under});
    for (size_t a = 0; a < e->args.size(); ++a) {
      Conditions own = under;
      if (e->kind == K::Reduce && a == 0 && e->args[1])
        own = with(own, e->args[1]);
      else if (e->kind == K::If && a == 1)
        own = with(own, e->args[0]);
      else if (e->kind == K::If && a == 2)
        own.push_back(apply(Op::Not, {e->args[0]}, e->span));
      collect(reader, piece, e->args[a], own);
    }
  }

  /// Gives the pieces of a tensor what stands around all of its reads, readers first.
  void guard(int t) {
    if (!done_.insert(t).second || visited_ > mostVisited)
      return;
    for (const Place &place : reads_[t])
      guard(place.reader);
    Tensor &tensor = program_.tensors[t];
    if (tensor.kind != Tensor::Kind::Equation || kept_.count(t) || reads_[t].empty() ||
        tensor.axes.empty())
      return;
    std::optional<std::map<std::string, ExprPtr>> common;
    for (const Place &place : reads_[t]) {
      std::map<std::string, ExprPtr> own = conditionsOf(place);
      if (!common)
        common = own;
      std::erase_if(*common, [&](auto &one) { return !own.count(one.first); });
      if (common->empty())
        return;
    }
    for (Piece &piece : tensor.pieces) {
      std::unordered_map<int, ExprPtr> letters;
      for (size_t a = 0; a < piece.indices.size(); ++a) {
        const PieceIndex &index = piece.indices[a];
        letters[axisLetter(a)] = index.letter >= 0 ? letter(index.letter) : size(index.position);
      }
      for (auto &[text, condition] : *common)
        piece.guard = both(piece.guard, substitute(condition, letters));
    }
  }

  /// A letter that stands for a position of an axis.
  static int axisLetter(size_t axis) { return -2 - static_cast<int>(axis); }

  /// What stands around a read, over the positions that it reads, by its text.
  std::map<std::string, ExprPtr> conditionsOf(const Place &place) {
    std::map<std::string, ExprPtr> out;
    std::unordered_map<int, ExprPtr> axes;
    for (size_t a = 0; a < place.read->args.size(); ++a) {
      const Expr &index = *place.read->args[a];
      if (index.kind == K::Letter)
        axes.try_emplace(index.letter, letter(axisLetter(a)));
    }
    Conditions all = with(place.under, program_.tensors[place.reader].pieces[place.piece].guard);
    for (const ExprPtr &condition : all) {
      bool own = true;
      for (int l : free_.of(condition))
        own = own && axes.count(l) > 0;
      forEachNode(condition, [&](const Expr &e) {
        own = own && e.kind != K::Reduce &&
              (e.kind != K::Read || program_.tensors[e.tensor].constant);
      });
      if (!own || free_.of(condition).empty())
        continue;
      ExprPtr over = substitute(condition, axes);
      std::string text;
      Text(program_, [](int l) { return "a" + std::to_string(l); }).write(over, text);
      out.emplace(std::move(text), over);
    }
    return out;
  }

  /// Beyond, an equation is left as it is: places of shared nodes can be very many.
  static constexpr size_t mostVisited = 4'000'000;

  Program &program_;
  std::vector<std::vector<Place>> reads_; ///< by tensor
  std::set<int> kept_, done_;
  FreeLetters free_;
  size_t visited_ = 0;
};

} // namespace

void guardNames(Program &program) { GuardNames(program).run(); }

} // namespace qkv::streams
