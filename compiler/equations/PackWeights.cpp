// How parameters are held: in which panels, with which elements.
//
// In: equations whose sums are split off. Out: for each parameter that a sum multiplies the axis
// that lies in panels (qkv_held): a letter of the result, so that a vector of outputs is a vector
// in memory and all that is summed for it follows; and which parameters have narrow elements.
// Equations stay as they are: every reader, gathers among them, finds an element by its axes.
// Parameters that may stand in for each other (fallbacks) are held alike. What an attention kernel
// reads itself stays as it is.
#include "compiler/equations/Attention.h"
#include "compiler/equations/Expressions.h"
#include "compiler/equations/Rewrite.h"

#include <algorithm>

namespace qkv::equations {

using K = Expr::Kind;

namespace {

/// What the sums that read a parameter say for one axis of it.
struct Vote {
  double work = 0;
  int order = 0; ///< of the panel's number among the axes
};

class Chooser {
public:
  Chooser(int64_t width, int64_t lanes) : width_(width), lanes_(lanes) {}

  void read(const Program &program) {
    for (int t : liveTensors(program))
      for (const Piece &piece : program.tensors[t].pieces) {
        if (asWeightedSum(program, piece.value)) {
          forEachNode(piece.value, [&](const Expr &e) {
            if (e.kind == K::Read)
              plain_.insert(e.tensor);
          });
          continue;
        }
        if (piece.value->kind == K::Reduce && piece.value->reduction == Reduction::Sum)
          readSum(program, piece);
        forEachNode(piece.value, [&](const Expr &e) { readGathered(program, e); });
      }
    for (size_t t = 0; t < program.tensors.size(); ++t)
      if (const ParamSource &source = program.tensors[t].param;
          source.fallback == ParamSource::Fallback::Tensor)
        join(static_cast<int>(t), source.tensor);
  }

  /// Parameters that are contracted or gathered, and what is held alike.
  std::set<int> matrices(const Program &program) {
    std::set<int> leaders, out;
    for (int t : matrices_)
      leaders.insert(leader(t));
    for (int t : plain_)
      leaders.erase(leader(t));
    for (size_t t = 0; t < program.tensors.size(); ++t)
      if (program.tensors[t].kind == Tensor::Kind::Param &&
          leaders.count(leader(static_cast<int>(t))))
        out.insert(static_cast<int>(t));
    return out;
  }

  /// The parameters in panels; their elements are f32.
  std::map<int, qkv_held> panels(const Program &program) {
    std::map<int, std::map<int, Vote>> groups; // by one parameter of each, then by axis
    for (auto &[tensor, axes] : votes_)
      for (auto &[axis, vote] : axes)
        add(groups[leader(tensor)][axis], vote);
    for (int t : plain_)
      groups.erase(leader(t));
    std::map<int, qkv_held> panels;
    for (size_t t = 0; t < program.tensors.size(); ++t) {
      auto group = groups.find(leader(static_cast<int>(t)));
      if (program.tensors[t].kind != Tensor::Kind::Param || group == groups.end())
        continue;
      auto best = std::max_element(
          group->second.begin(), group->second.end(),
          [](const auto &a, const auto &b) { return a.second.work < b.second.work; });
      if (width_ == 0)
        continue;
      int64_t extent = *program.tensors[t].axes[best->first].extent.constant();
      int64_t vectors = std::min(width_, (extent + lanes_ - 1) / lanes_ * lanes_);
      qkv_held &held = panels[static_cast<int>(t)] = rt::heldAs(QKV_F32);
      held.panel_axis = best->first;
      held.panel_order = best->second.order;
      held.panel_width = static_cast<int32_t>(vectors);
    }
    return panels;
  }

private:
  static void add(Vote &to, const Vote &vote) {
    to.order = vote.work > to.work ? vote.order : to.order;
    to.work += vote.work;
  }

  /// All that is computed for it, sizes that only the run knows taken as one.
  static double work(const Program &program, const Piece &piece) {
    double out = 1;
    auto multiply = [&](int letter) {
      if (auto extent = program.letters[letter].extent.constant())
        out *= static_cast<double>(std::max<int64_t>(*extent, 1));
    };
    for (const PieceIndex &index : piece.indices)
      if (index.letter >= 0)
        multiply(index.letter);
    for (int letter : piece.value->letters)
      multiply(letter);
    return out;
  }

  void readSum(const Program &program, const Piece &piece) {
    std::vector<const Expr *> reads;
    forEachNode(piece.value->args[0], [&](const Expr &e) {
      if (e.kind == K::Read && !program.tensors[e.tensor].constant)
        reads.push_back(&e);
    });
    if (reads.size() < 2)
      return; // it is only added up
    for (const Expr *read : reads) {
      if (isMatrix(program, *read))
        matrices_.insert(read->tensor);
      vote(program, piece, *read);
    }
  }

  static bool isMatrix(const Program &program, const Expr &read) {
    const Tensor &tensor = program.tensors[read.tensor];
    return tensor.kind == Tensor::Kind::Param && tensor.type == Type::Float &&
           tensor.axes.size() >= 2;
  }

  /// A row whose number is a value: an embedding.
  void readGathered(const Program &program, const Expr &e) {
    if (e.kind != K::Read || !isMatrix(program, e))
      return;
    for (const ExprPtr &arg : e.args)
      forEachNode(arg, [&](const Expr &inner) {
        if (inner.kind == K::Read)
          matrices_.insert(e.tensor);
      });
  }

  /// A read W[.., o, .., c, ..] with o of the result and c summed is a vote for o: of several such
  /// letters for the last one of the result, whose outputs lie beside each other.
  void vote(const Program &program, const Piece &piece, const Expr &read) {
    const Tensor &tensor = program.tensors[read.tensor];
    if (tensor.kind != Tensor::Kind::Param || tensor.type != Type::Float)
      return;
    const std::vector<int> &summed = piece.value->letters;
    int axis = -1, place = -1, firstSummed = -1;
    for (size_t a = 0; a < read.args.size(); ++a) {
      auto extent = tensor.axes[a].extent.constant();
      if (!extent || *extent < 1)
        return;
      bool mentionsSummed = false;
      forEachNode(read.args[a], [&](const Expr &e) {
        mentionsSummed |= e.kind == K::Letter &&
                          std::find(summed.begin(), summed.end(), e.letter) != summed.end();
      });
      if (mentionsSummed && firstSummed < 0)
        firstSummed = static_cast<int>(a);
      if (read.args[a]->kind != K::Letter || *extent < lanes_)
        continue;
      for (size_t i = 0; i < piece.indices.size(); ++i)
        if (piece.indices[i].letter == read.args[a]->letter && static_cast<int>(i) > place) {
          place = static_cast<int>(i);
          axis = static_cast<int>(a);
        }
    }
    if (axis < 0 || firstSummed < 0)
      return;
    // What is summed lies between the panel's number and the position in it.
    int order = firstSummed - (axis < firstSummed ? 1 : 0);
    add(votes_[read.tensor][axis], {work(program, piece), order});
  }

  int leader(int tensor) {
    auto found = joined_.find(tensor);
    return found == joined_.end() ? tensor : leader(found->second);
  }
  void join(int a, int b) {
    a = leader(a);
    b = leader(b);
    if (a != b)
      joined_[std::max(a, b)] = std::min(a, b);
  }

  int64_t width_, lanes_;
  std::map<int, std::map<int, Vote>> votes_; // by parameter, then axis
  std::set<int> matrices_, plain_;
  std::map<int, int> joined_;
};

} // namespace

void packWeights(const std::vector<Prepared *> &entries, int64_t width, int64_t lanes,
                 int32_t element) {
  Chooser chooser(width, lanes);
  for (const Prepared *entry : entries)
    chooser.read(entry->program);
  // (All entries have the same parameters under the same numbers.)
  const Program &program = entries.front()->program;
  std::map<int, qkv_held> held = chooser.panels(program);
  std::set<int> narrow = element == QKV_F32 ? std::set<int>() : chooser.matrices(program);
  for (int t : narrow) {
    qkv_held with = rt::heldAs(element);
    if (auto panels = held.find(t); panels != held.end()) {
      with.panel_axis = panels->second.panel_axis;
      with.panel_order = panels->second.panel_order;
      with.panel_width = panels->second.panel_width;
    }
    held[t] = with;
  }
  for (Prepared *entry : entries)
    entry->held = held;
}

} // namespace qkv::equations
