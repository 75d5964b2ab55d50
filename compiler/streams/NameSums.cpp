// Sums of a position's own get a name (Rearrange.h). In: a program. Out: the same with more
// tensors. Holds: nothing is computed that was not, and no check is moved: such a sum reads whole
// axes.
#include "compiler/streams/Rearrange.h"

#include "compiler/equations/NewTensors.h"
#include "compiler/streams/Dependents.h"
#include "compiler/streams/Positions.h"

#include <algorithm>

namespace qkv::streams {

using namespace equations;
using K = Expr::Kind;

namespace {

class Namer {
public:
  explicit Namer(Program &program)
      : program_(program), tensors_(program), inputs_(dependents(program, program.inputs)) {}

  void run() {
    size_t count = program_.tensors.size();
    for (size_t t = 0; t < count; ++t) {
      if (program_.tensors[t].kind != Tensor::Kind::Equation || program_.tensors[t].constant)
        continue;
      for (size_t p = 0; p < program_.tensors[t].pieces.size(); ++p) {
        origin_ = {static_cast<int>(t), static_cast<int>(p), "part", 0, false};
        std::set<int> scope;
        for (const PieceIndex &index : program_.tensors[t].pieces[p].indices)
          if (index.letter >= 0)
            scope.insert(index.letter);
        done_.clear();
        ExprPtr value = program_.tensors[t].pieces[p].value;
        ExprPtr named = walk(value, scope);
        program_.tensors[t].pieces[p].value = named;
      }
    }
  }

private:
  bool grows(int letter) const { return growsWith(program_, program_.letters[letter].extent); }

  ExprPtr walk(const ExprPtr &e, const std::set<int> &scope) {
    if (!e || e->args.empty())
      return e;
    auto known = done_.find(e);
    if (known != done_.end())
      return known->second;
    if (ExprPtr read = named(e, scope))
      return done_[e] = read;
    std::set<int> inner = scope;
    inner.insert(e->letters.begin(), e->letters.end());
    std::vector<ExprPtr> args;
    for (size_t i = 0; i < e->args.size(); ++i)
      args.push_back(walk(e->args[i], binds(*e, i) ? inner : scope));
    return done_[e] = withArgs(e, std::move(args));
  }

  /// The read of a sum's own tensor, or null.
  ExprPtr named(const ExprPtr &e, const std::set<int> &scope) {
    if (e->kind != K::Reduce || e->args[1] || e->reduction == Reduction::Softmax ||
        e->reduction == Reduction::ArgMax || e->constant)
      return nullptr;
    const std::set<int> &free = letters_.of(e);
    int growing = 0;
    for (int l : free)
      growing += grows(l);
    bool repeated =
        std::any_of(scope.begin(), scope.end(), [&](int l) { return grows(l) && !free.count(l); });
    if (!repeated || growing > 1 || !readsWhole(e))
      return nullptr;
    std::vector<NewAxis> axes;
    for (int l : free)
      axes.push_back({l, {}, {program_.letters[l].name, program_.letters[l].extent, 0, 0}});
    return tensors_.make(origin_, axes, e);
  }

  /// Whether a sum reads something that an input has a part in, and every read is at letters that
  /// go over the whole axis, or at numbers.
  bool readsWhole(const ExprPtr &e) const {
    bool whole = true, input = false;
    forEachNode(e, [&](const Expr &n) {
      if (n.kind == K::If || n.kind == K::Size || n.kind == K::Step)
        whole = false;
      if (n.kind != K::Read)
        return;
      input = input || inputs_[static_cast<size_t>(n.tensor)];
      const Tensor &t = program_.tensors[n.tensor];
      for (size_t a = 0; a < n.args.size(); ++a) {
        const ExprPtr &arg = n.args[a];
        bool letterOfAxis =
            arg->kind == K::Letter && program_.letters[arg->letter].extent == t.axes[a].extent;
        bool number = arg->kind == K::Int && arg->integer >= 0;
        whole = whole && (letterOfAxis || number);
      }
    });
    return whole && input;
  }

  Program &program_;
  NewTensors tensors_;
  std::vector<bool> inputs_;
  FreeLetters letters_;
  NewTensors::Origin origin_{};
  std::unordered_map<ExprPtr, ExprPtr> done_; ///< of the piece at hand
};

} // namespace

void nameSums(Program &program) { Namer(program).run(); }

} // namespace qkv::streams
