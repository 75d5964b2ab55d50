// Linear maps of what is kept move to the other side of the sum (Rearrange.h).
//
// In: a program. Out: the same, where k[h,j,d] = sum[c](W[h,d,c] * z[j,c]) is gone and z is read in
// its place:
//   sum[d](q[h,i,d] * k[h,j,d])  ->  sum[c](p[h,i,c] * z[j,c]),
//                                    p[h,i,c] = sum[d](q[h,i,d] * W[h,d,c])
//   sum[j](a[h,i,j] * k[h,j,d])  ->  sum[c](W[h,d,c] * r[h,i,c]),
//                                    r[h,i,c] = sum[j](a[h,i,j] * z[j,c])
// where a step at half the stream's greatest length costs less so.
#include "compiler/streams/Rearrange.h"

#include "compiler/equations/NewTensors.h"
#include "compiler/streams/Arrivals.h"
#include "compiler/streams/Factors.h"
#include "compiler/streams/Positions.h"
#include "dsl/proof/Proof.h"

#include <algorithm>
#include <map>

namespace qkv::streams {

using namespace equations;
using K = Expr::Kind;

namespace {

/// Nanoseconds on a core of today: bytes from memory at 12 GB/s, operations at 100 GFLOP/s.
constexpr double perByte = 1.0 / 12, perOperation = 1.0 / 100;

/// sum[inner](maps * read of `source` at the own position)
struct LinearMap {
  int tensor = -1, source = -1, axis = -1; ///< axis: of the tensor, over the stream
  std::vector<int> letters;                ///< of its piece, one an axis
  std::vector<int> inner;
  std::vector<ExprPtr> maps;
  ExprPtr read;
};

class Absorber {
public:
  explicit Absorber(Program &program)
      : program_(program), roles_(arrivals(program).roles), tensors_(program) {}

  void run() {
    std::map<int, std::vector<LinearMap>> bySource;
    for (int t : liveTensors(program_))
      if (auto map = mapOf(t); map && allReadsFit(*map))
        bySource[map->source].push_back(*map);
    for (auto &[source, maps] : bySource)
      if (cheaper(source, maps))
        for (const LinearMap &map : maps)
          absorb(map);
  }

private:
  bool grows(int letter) const { return growsWith(program_, program_.letters[letter].extent); }

  double elements(const std::vector<int> &letters) const {
    double out = 1;
    for (int l : letters)
      if (!grows(l))
        out *= program_.letters[l].extent.magnitude(program_.atoms);
    return out;
  }

  std::optional<LinearMap> mapOf(int tensor) {
    const Tensor &t = program_.tensors[tensor];
    if (t.kind != Tensor::Kind::Equation || t.pieces.size() != 1 || t.pieces[0].guard ||
        t.type != Type::Float || t.constant)
      return std::nullopt;
    for (const Result &r : program_.results)
      if (r.tensor == tensor)
        return std::nullopt;
    LinearMap map;
    map.tensor = tensor;
    for (size_t a = 0; a < t.axes.size(); ++a) {
      int l = t.pieces[0].indices[a].letter;
      if (l < 0 || t.axes[a].before || t.axes[a].after)
        return std::nullopt;
      map.letters.push_back(l);
      if (grows(l)) {
        if (map.axis >= 0)
          return std::nullopt;
        map.axis = static_cast<int>(a);
      }
    }
    const ExprPtr &sum = t.pieces[0].value;
    if (map.axis < 0 || sum->kind != K::Reduce || sum->reduction != Reduction::Sum || sum->args[1])
      return std::nullopt;
    map.inner = sum->letters;
    int position = map.letters[map.axis];
    std::vector<ExprPtr> factors;
    allFactorsOf(sum->args[0], factors);
    for (const ExprPtr &f : factors) {
      if (!letters_.of(f).count(position)) {
        map.maps.push_back(f);
        continue;
      }
      if (map.read || f->kind != K::Read || !plain(*f))
        return std::nullopt;
      map.read = f;
      map.source = f->tensor;
    }
    if (!map.read || map.maps.empty() ||
        std::any_of(map.inner.begin(), map.inner.end(), [&](int l) { return grows(l); }))
      return std::nullopt;
    return map;
  }

  static bool plain(const Expr &read) {
    return std::all_of(read.args.begin(), read.args.end(),
                       [](const ExprPtr &a) { return a->kind == K::Letter || a->kind == K::Int; });
  }

  /// The factor of a sum that is a read of the tensor, or null.
  static ExprPtr factorIn(const ExprPtr &e, int tensor) {
    if (e->kind != K::Reduce || e->reduction != Reduction::Sum)
      return nullptr;
    std::vector<ExprPtr> factors;
    allFactorsOf(e->args[0], factors);
    ExprPtr found;
    for (const ExprPtr &f : factors)
      if (f->kind == K::Read && f->tensor == tensor) {
        if (found)
          return nullptr;
        found = f;
      }
    return found;
  }

  /// Whether a sum can do without the tensor.
  bool fits(const ExprPtr &sum, const LinearMap &map, int rowLetter) {
    ExprPtr read = factorIn(sum, map.tensor);
    if (!read || !plain(*read) || read->args[map.axis]->kind != K::Letter ||
        read->args[map.axis]->letter == rowLetter)
      return false;
    auto bound = [&](int l) {
      return std::find(sum->letters.begin(), sum->letters.end(), l) != sum->letters.end();
    };
    if (bound(read->args[map.axis]->letter))
      return true; // values
    // Scores: some letter of the tensor is summed over here, and no guard knows it.
    for (const ExprPtr &a : read->args)
      if (a->kind == K::Letter && bound(a->letter))
        return !sum->args[1];
    return false;
  }

  bool allReadsFit(const LinearMap &map) {
    size_t reads = 0, fitting = 0;
    for (int t : liveTensors(program_))
      for (const Piece &piece : program_.tensors[t].pieces)
        for (const ExprPtr &root : {piece.value, piece.guard}) {
          if (!root)
            continue;
          std::vector<ExprPtr> open{root};
          std::set<const Expr *> seen;
          while (!open.empty()) {
            ExprPtr e = open.back();
            open.pop_back();
            if (!e || !seen.insert(e.get()).second)
              continue;
            reads += e->kind == K::Read && e->tensor == map.tensor;
            fitting += fits(e, map, rowLetter(t, piece));
            open.insert(open.end(), e->args.begin(), e->args.end());
          }
        }
    return reads > 0 && reads == fitting;
  }

  /// A step's cost for each position before it.
  bool cheaper(int source, const std::vector<LinearMap> &maps) const {
    double keep = 0, absorb = 0, ofSource = 1;
    for (const Axis &axis : program_.tensors[source].axes)
      if (!growsWith(program_, axis.extent))
        ofSource *= axis.extent.magnitude(program_.atoms);
    absorb += ofSource * 4 * perByte;
    for (const LinearMap &map : maps) {
      double own = elements(map.letters), inner = elements(map.inner);
      // Of the tensor's letters the innermost is summed over, or gone along, per position.
      double outer = own / std::max(1.0, lastExtent(map));
      keep += own * (4 * perByte + 2 * perOperation);
      absorb += outer * inner * 2 * perOperation;
    }
    // (The rows of a prompt do more work so: it must pay well.)
    return absorb < keep / 2;
  }

  double lastExtent(const LinearMap &map) const {
    for (size_t a = map.letters.size(); a-- > 0;)
      if (static_cast<int>(a) != map.axis)
        return program_.letters[map.letters[a]].extent.magnitude(program_.atoms);
    return 1;
  }

  void absorb(const LinearMap &map) {
    for (int t : liveTensors(program_))
      for (size_t p = 0; p < program_.tensors[t].pieces.size(); ++p) {
        origin_ = {t, static_cast<int>(p), "absorbed", 0, false};
        done_.clear();
        ExprPtr value = program_.tensors[t].pieces[p].value;
        ExprPtr without = walk(value, map);
        program_.tensors[t].pieces[p].value = without;
      }
  }

  /// The letter of the rows in a piece, or -1.
  int rowLetter(int tensor, const Piece &piece) const {
    bool rows = tensor < static_cast<int>(roles_.size()) && roles_[tensor].kind == Role::Rows;
    return rows ? piece.indices[roles_[tensor].row].letter : -1;
  }

  ExprPtr walk(const ExprPtr &e, const LinearMap &map) {
    if (!e || e->args.empty())
      return e;
    auto known = done_.find(e);
    if (known != done_.end())
      return known->second;
    std::vector<ExprPtr> args;
    for (const ExprPtr &a : e->args)
      args.push_back(walk(a, map));
    ExprPtr out = withArgs(e, std::move(args));
    const Piece &piece = program_.tensors[origin_.tensor].pieces[origin_.piece];
    bool fit = fits(out, map, rowLetter(origin_.tensor, piece));
    return done_[e] = fit ? moved(out, map) : out;
  }

  ExprPtr moved(const ExprPtr &sum, const LinearMap &map) {
    ExprPtr read = factorIn(sum, map.tensor);
    std::unordered_map<int, ExprPtr> at;
    std::vector<int> inner;
    for (size_t a = 0; a < map.letters.size(); ++a)
      at[map.letters[a]] = read->args[a];
    for (int l : map.inner) {
      program_.letters.push_back(program_.letters[l]);
      inner.push_back(static_cast<int>(program_.letters.size()) - 1);
      at[l] = letter(inner.back());
    }
    ExprPtr source = substitute(map.read, at);
    std::vector<ExprPtr> maps, factors, withKey, others;
    for (const ExprPtr &m : map.maps)
      maps.push_back(substitute(m, at));
    allFactorsOf(sum->args[0], factors);
    int key = read->args[map.axis]->letter;
    for (const ExprPtr &f : factors)
      if (f != read)
        (letters_.of(f).count(key) ? withKey : others).push_back(f);
    bool overKey = std::find(sum->letters.begin(), sum->letters.end(), key) != sum->letters.end();
    if (overKey) {
      withKey.push_back(source);
      ExprPtr weighted = reduce(Reduction::Sum, {key}, productOf(withKey), sum->args[1], sum->span);
      others.insert(others.end(), maps.begin(), maps.end());
      others.push_back(own(weighted));
      std::vector<int> letters = inner;
      for (int l : sum->letters)
        if (l != key)
          letters.push_back(l);
      return reduce(Reduction::Sum, letters, productOf(others), nullptr, sum->span);
    }
    // Letters that only the row's side knows are summed over there.
    std::vector<int> rowSide, letters = inner;
    for (int l : sum->letters) {
      bool ofKey = letters_.of(source).count(l) > 0;
      for (const ExprPtr &f : withKey)
        ofKey = ofKey || letters_.of(f).count(l);
      (ofKey ? letters : rowSide).push_back(l);
    }
    others.insert(others.end(), maps.begin(), maps.end());
    ExprPtr row = own(reduce(Reduction::Sum, rowSide, productOf(others), nullptr, sum->span));
    withKey.insert(withKey.begin(), row);
    withKey.push_back(source);
    return reduce(Reduction::Sum, letters, productOf(withKey), nullptr, sum->span);
  }

  /// The read of a tensor of its own.
  ExprPtr own(const ExprPtr &e) {
    std::vector<NewAxis> axes;
    for (int l : letters_.of(e))
      axes.push_back({l, {}, {program_.letters[l].name, program_.letters[l].extent, 0, 0}});
    return tensors_.make(origin_, axes, e);
  }

  Program &program_;
  std::vector<Role> roles_; ///< of the tensors that were there before
  NewTensors tensors_;
  FreeLetters letters_;
  NewTensors::Origin origin_{};
  std::unordered_map<ExprPtr, ExprPtr> done_; ///< of the piece at hand
};

} // namespace

void absorbMaps(Program &program) { Absorber(program).run(); }

} // namespace qkv::streams
