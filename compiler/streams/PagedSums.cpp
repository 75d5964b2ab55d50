// Running sums by pages. In: a running sum taken apart. Out: PagedSums.h.
#include "compiler/streams/PagedSums.h"

#include "compiler/streams/Factors.h"
#include "compiler/streams/Positions.h"
#include "dsl/proof/Proof.h"

#include <algorithm>

namespace qkv::streams {

using namespace equations;
using K = Expr::Kind;

namespace {

constexpr int64_t page = 64;
/// A matrix of d x e pays where d * e is at least so many times d + e. (Measured: by pages a prompt
/// of 12 heads of 64 x 64 takes 0.5 of the time, of 32 x 64 0.7, of 32 x 32 and 16 x 64 as long or
/// longer; a step from memory that is in the cache takes two to three times as long.)
constexpr double least = 20;
/// A decay below exp of this is 0 in f32. (A logarithm may be -inf, and -inf less -inf is no
/// number.)
constexpr double leastLogarithm = -110;

/// A product of factors as a tensor over positions.
struct Named {
  int tensor = -1;
  std::vector<int> letters; ///< an axis each; one of them the key
};

class Pages {
public:
  Pages(Program &program, const RunningSum &sum, std::set<int> &states)
      : program_(program), sum_(sum), states_(states) {}

  ExprPtr run() {
    if (!sort() || !pays())
      return nullptr;
    cumulate();
    keys_ = named(matrixRows_, "keys");
    values_ = named(matrixColumns_, "values");
    int state = makeState();
    ExprPtr row = letter(sum_.row), asked = productOf(inside_);
    ExprPtr earlier = decayed(decaysTo(row), readRows(makeEarlier(state)));
    ExprPtr whole = choose(apply(Op::GreaterEqual, {row, integer(page)}, sum_.span), earlier,
                           number(0), sum_.span);
    ExprPtr value = apply(Op::Add, {whole, ofPage(asked)}, sum_.span);
    std::vector<ExprPtr> factors = outside_;
    factors.push_back(value);
    return productOf(factors);
  }

private:
  // --- what is what

  std::set<int> lettersOf(const std::vector<ExprPtr> &factors) {
    std::set<int> out;
    for (const ExprPtr &f : factors) {
      const std::set<int> &more = letters_.of(f);
      out.insert(more.begin(), more.end());
    }
    out.erase(sum_.key);
    out.erase(sum_.row);
    return out;
  }

  /// Whether the weights of a head are one matrix.
  bool sort() {
    std::set<int> inner(sum_.inner.begin(), sum_.inner.end());
    auto hasInner = [&](const ExprPtr &f) {
      const std::set<int> &free = letters_.of(f);
      return std::any_of(free.begin(), free.end(), [&](int l) { return inner.count(l) > 0; });
    };
    for (const ExprPtr &f : sum_.keys)
      (hasInner(f) ? matrixRows_ : matrixColumns_).push_back(f);
    for (const ExprPtr &f : sum_.rows)
      (hasInner(f) ? inside_ : outside_).push_back(f);
    std::set<int> ofRows = lettersOf(matrixRows_), ofColumns = lettersOf(matrixColumns_),
                  asked = lettersOf(sum_.rows);
    std::vector<ExprPtr> steps;
    for (const Decay &d : sum_.decays) {
      if (d.early || (!d.same && !d.logarithm))
        return false;
      steps.push_back(d.step);
    }
    std::set<int> ofDecays = lettersOf(steps);
    for (const auto *set : {&ofRows, &ofColumns, &asked, &ofDecays})
      for (int l : *set)
        if (growsWith(program_, program_.letters[l].extent))
          return false;
    for (int l : ofRows)
      (inner.count(l) ? innerLetters_ : outer_).push_back(l);
    for (int l : ofColumns)
      if (!ofRows.count(l))
        (ofDecays.count(l) || asked.count(l) ? outer_ : valueLetters_).push_back(l);
    for (int l : ofDecays) {
      if (inner.count(l)) // a matrix of decays for each pair
        return false;
      if (!ofRows.count(l) && !ofColumns.count(l))
        outer_.push_back(l);
    }
    return true;
  }

  double extentOf(const std::vector<int> &letters) const {
    double out = 1;
    for (int l : letters)
      out *= program_.letters[l].extent.magnitude(program_.atoms);
    return out;
  }

  /// A matrix that is updated at each position is read and written; by pages it is read, and so are
  /// the keys and values of the page.
  bool pays() const {
    double d = extentOf(innerLetters_), e = extentOf(valueLetters_);
    return program_.letters[sum_.row].extent == Size::atom(program_.stream) &&
           program_.atoms[program_.stream].max > page && d * e >= least * (d + e);
  }

  // --- tensors

  struct Made {
    Tensor tensor;
    Piece general;
    std::unordered_map<int, ExprPtr> letters; ///< of the sum -> the tensor's own
  };

  Made begin(const char *suffix) {
    const Tensor &origin = program_.tensors[sum_.tensor];
    Made out;
    out.tensor.name = unused(origin.name + "." + suffix);
    out.tensor.label = out.tensor.name;
    out.tensor.type = Type::Float;
    out.tensor.region = origin.region;
    out.tensor.instance = origin.instance;
    out.tensor.span = out.general.span = sum_.span;
    return out;
  }

  std::string unused(const std::string &name) const {
    auto taken = [&](const std::string &text) {
      return std::any_of(program_.tensors.begin(), program_.tensors.end(),
                         [&](const Tensor &t) { return t.name == text; });
    };
    std::string out = name;
    for (int n = 1; taken(out); ++n)
      out = name + std::to_string(n);
    return out;
  }

  ExprPtr axis(Made &made, const std::string &name, const Size &extent) {
    program_.letters.push_back({name, extent});
    int own = static_cast<int>(program_.letters.size()) - 1;
    made.tensor.axes.push_back({name, extent, 0, 0});
    made.general.indices.push_back({own, {}});
    return letter(own);
  }

  void axes(Made &made, const std::vector<int> &letters) {
    for (int l : letters) {
      const Letter of = program_.letters[l];
      made.letters[l] = axis(made, of.name, of.extent);
    }
  }

  int add(Made made) {
    made.tensor.pieces.push_back(made.general);
    program_.tensors.push_back(std::move(made.tensor));
    return static_cast<int>(program_.tensors.size()) - 1;
  }

  /// A piece of zeros at the position before the first, along the first axis.
  void beginWithZero(Made &made) {
    Piece first = made.general;
    first.indices[0] = {-1, Size(-1)};
    for (size_t a = 1; a < first.indices.size(); ++a) {
      program_.letters.push_back(Letter(program_.letters[first.indices[a].letter]));
      first.indices[a].letter = static_cast<int>(program_.letters.size()) - 1;
    }
    first.value = number(0);
    made.tensor.axes[0].before = 1;
    made.tensor.pieces.push_back(std::move(first));
  }

  /// The elements of the tensor that is made next, at the letters of `made` but for the first axis.
  ExprPtr readSelf(const Made &made, const ExprPtr &position) {
    auto e = std::make_shared<Expr>();
    e->kind = K::Read;
    e->type = Type::Float;
    e->span = sum_.span;
    e->tensor = static_cast<int>(program_.tensors.size());
    e->args = {position};
    for (size_t a = 1; a < made.general.indices.size(); ++a)
      e->args.push_back(letter(made.general.indices[a].letter));
    e->checked.assign(e->args.size(), false);
    e->own = static_cast<int>(e->args.size());
    return e;
  }

  /// Factors of the keys as one tensor: itself, where it is one that is read whole.
  Named named(const std::vector<ExprPtr> &factors, const char *suffix) {
    if (factors.empty())
      return {};
    if (factors.size() == 1 && factors[0]->kind == K::Read && isWhole(*factors[0])) {
      Named out{factors[0]->tensor, {}};
      for (const ExprPtr &a : factors[0]->args)
        out.letters.push_back(a->letter);
      return out;
    }
    Named out;
    out.letters.push_back(sum_.key);
    for (int l : lettersOf(factors))
      if (!std::count(valueLetters_.begin(), valueLetters_.end(), l) &&
          !std::count(innerLetters_.begin(), innerLetters_.end(), l))
        out.letters.push_back(l);
    for (int l : lettersOf(factors))
      if (!std::count(out.letters.begin(), out.letters.end(), l))
        out.letters.push_back(l);
    Made made = begin(suffix);
    axes(made, out.letters);
    made.general.value = toFloat(substitute(productOf(factors), made.letters));
    out.tensor = add(std::move(made));
    return out;
  }

  bool isWhole(const Expr &read) const {
    const Tensor &t = program_.tensors[read.tensor];
    std::set<int> seen;
    for (size_t a = 0; a < read.args.size(); ++a)
      if (read.args[a]->kind != K::Letter || !seen.insert(read.args[a]->letter).second ||
          !runsOver(program_, read.args[a]->letter, t.axes[a]))
        return false;
    return t.type == Type::Float;
  }

  ExprPtr readNamed(const Named &named, const ExprPtr &position) {
    std::vector<ExprPtr> args;
    for (int l : named.letters)
      args.push_back(l == sum_.key ? position : letter(l));
    return read(program_, named.tensor, std::move(args), sum_.span);
  }

  // --- decays

  ExprPtr firstOf(const ExprPtr &block) {
    return apply(Op::Mul, {integer(page), block}, sum_.span);
  }

  ExprPtr positionIn(const ExprPtr &block, const ExprPtr &place) {
    return apply(Op::Add, {firstOf(block), place}, sum_.span);
  }

  /// The logarithms of what falls, summed from the page's start on.
  void cumulate() {
    std::vector<ExprPtr> logarithms;
    for (const Decay &d : sum_.decays)
      if (d.logarithm)
        logarithms.push_back(toFloat(d.logarithm));
    if (logarithms.empty())
      return;
    std::set<int> along = lettersOf(logarithms);
    std::vector<int> order{sum_.row};
    order.insert(order.end(), along.begin(), along.end());
    Made steps = begin("falls");
    axes(steps, order);
    ExprPtr value;
    for (const ExprPtr &e : logarithms) {
      ExprPtr step = choose(apply(Op::Less, {e, number(leastLogarithm)}, sum_.span),
                            number(leastLogarithm), e, sum_.span);
      value = value ? apply(Op::Add, {value, step}, sum_.span) : step;
    }
    steps.general.value =
        substitute(choose(apply(Op::Greater, {letter(sum_.row), integer(0)}, sum_.span), value,
                          number(0), sum_.span),
                   steps.letters);
    int falls = add(std::move(steps));

    Made made = begin("fallen");
    axes(made, order);
    beginWithZero(made);
    ExprPtr at = made.letters[sum_.row];
    ExprPtr before = readSelf(made, apply(Op::Sub, {at, integer(1)}, sum_.span));
    ExprPtr starts =
        apply(Op::Equal, {apply(Op::Mod, {at, integer(page)}, sum_.span), integer(0)}, sum_.span);
    std::vector<ExprPtr> args;
    for (int l : order)
      args.push_back(made.letters[l]);
    made.general.value = apply(
        Op::Add,
        {choose(starts, number(0), before, sum_.span), read(program_, falls, args, sum_.span)},
        sum_.span);
    fallen_.letters = order;
    std::replace(fallen_.letters.begin(), fallen_.letters.end(), sum_.row, sum_.key);
    fallen_.tensor = add(std::move(made));
  }

  /// Constant decays to a power.
  void powers(const ExprPtr &exponent, std::vector<ExprPtr> &out) {
    for (const Decay &d : sum_.decays)
      if (d.same)
        out.push_back(apply(Op::Pow, {toFloat(d.step), toFloat(exponent)}, sum_.span));
  }

  ExprPtr power(const ExprPtr &e) { return apply(Op::Exp, {e}, sum_.span); }

  /// From the page's start to a position, which takes part.
  std::vector<ExprPtr> decaysTo(const ExprPtr &position) {
    std::vector<ExprPtr> out;
    ExprPtr place = apply(Op::Mod, {position, integer(page)}, sum_.span);
    powers(apply(Op::Add, {place, integer(1)}, sum_.span), out);
    if (fallen_.tensor >= 0)
      out.push_back(power(readNamed(fallen_, position)));
    return out;
  }

  /// Behind a key, to a position of its page, which takes part; `distance`: of both.
  std::vector<ExprPtr> decaysBetween(const ExprPtr &key, const ExprPtr &position,
                                     const ExprPtr &distance) {
    std::vector<ExprPtr> out;
    powers(distance, out);
    if (fallen_.tensor >= 0)
      out.push_back(power(
          apply(Op::Sub, {readNamed(fallen_, position), readNamed(fallen_, key)}, sum_.span)));
    return out;
  }

  ExprPtr decayed(std::vector<ExprPtr> decays, const ExprPtr &value) {
    if (value)
      decays.push_back(value);
    return productOf(decays);
  }

  // --- the matrix

  /// Keys, or values with what falls behind them, page by page.
  ExprPtr paged(const std::vector<int> &letters, const std::vector<int> &last, const char *suffix,
                const ExprPtr &block, const ExprPtr &place,
                const std::function<ExprPtr(const ExprPtr &b, const ExprPtr &u)> &value) {
    Made made = begin(suffix);
    std::vector<ExprPtr> args{block};
    ExprPtr b = axis(made, "b", blocks());
    axes(made, letters);
    ExprPtr u = axis(made, "u", Size(page));
    axes(made, last);
    for (int l : letters)
      args.push_back(letter(l));
    args.push_back(place);
    for (int l : last)
      args.push_back(letter(l));
    made.general.value = substitute(value(b, u), made.letters);
    int tensor = add(std::move(made));
    return read(program_, tensor, std::move(args), sum_.span);
  }

  Size blocks() { return floorDiv(program_.letters[sum_.row].extent, Size(page), program_.atoms); }

  std::vector<int> without(const std::set<int> &letters, const std::vector<int> &list) {
    std::vector<int> out;
    for (int l : letters)
      if (!std::count(list.begin(), list.end(), l))
        out.push_back(l);
    return out;
  }

  int makeState() {
    program_.letters.push_back({"b", blocks()});
    ExprPtr block = letter(static_cast<int>(program_.letters.size()) - 1);
    program_.letters.push_back({"u", Size(page)});
    int at = static_cast<int>(program_.letters.size()) - 1;
    ExprPtr last = integer(page - 1);
    ExprPtr keys = paged(without(lettersOf(matrixRows_), innerLetters_), innerLetters_, "page.keys",
                         block, letter(at), [&](const ExprPtr &b, const ExprPtr &u) {
                           return readNamed(keys_, positionIn(b, u));
                         });
    std::vector<ExprPtr> ofValues = matrixColumns_;
    for (const Decay &d : sum_.decays)
      ofValues.push_back(d.step);
    ExprPtr values =
        paged(without(lettersOf(ofValues), valueLetters_), valueLetters_, "page.values", block,
              letter(at), [&](const ExprPtr &b, const ExprPtr &u) {
                ExprPtr position = positionIn(b, u);
                ExprPtr distance = apply(Op::Sub, {last, u}, sum_.span);
                return decayed(decaysBetween(position, positionIn(b, last), distance),
                               values_.tensor < 0 ? nullptr : readNamed(values_, position));
              });
    ExprPtr taken =
        reduce(Reduction::Sum, {at}, apply(Op::Mul, {keys, values}, sum_.span), nullptr, sum_.span);

    Made made = begin("sum");
    ExprPtr b = axis(made, "b", blocks());
    made.letters[block->letter] = b;
    for (const auto *list : {&outer_, &innerLetters_, &valueLetters_})
      axes(made, *list);
    beginWithZero(made);
    ExprPtr before = readSelf(made, apply(Op::Sub, {b, integer(1)}, sum_.span));
    if (!sum_.decays.empty())
      before = choose(
          apply(Op::Greater, {b, integer(0)}, sum_.span),
          decayed({substitute(productOf(decaysTo(positionIn(b, last))), made.letters)}, before),
          number(0), sum_.span);
    made.general.value = apply(Op::Add, {before, substitute(taken, made.letters)}, sum_.span);
    int state = add(std::move(made));
    states_.insert(state);
    return state;
  }

  /// What rows make of the matrix at their page's start.
  Named makeEarlier(int state) {
    Named out;
    std::set<int> all = lettersOf(inside_);
    all.insert(outer_.begin(), outer_.end());
    out.letters.push_back(sum_.row);
    for (int l : all)
      if (!std::count(sum_.inner.begin(), sum_.inner.end(), l))
        out.letters.push_back(l);
    out.letters.insert(out.letters.end(), valueLetters_.begin(), valueLetters_.end());
    Made made = begin("earlier");
    axes(made, out.letters);
    std::vector<ExprPtr> args{apply(
        Op::Sub, {apply(Op::FloorDiv, {letter(sum_.row), integer(page)}, sum_.span), integer(1)},
        sum_.span)};
    for (const auto *list : {&outer_, &innerLetters_, &valueLetters_})
      for (int l : *list)
        args.push_back(letter(l));
    std::vector<ExprPtr> factors = inside_;
    factors.push_back(read(program_, state, std::move(args), sum_.span));
    ExprPtr value = reduce(Reduction::Sum, sum_.inner, productOf(factors), nullptr, sum_.span);
    made.general.value = substitute(value, made.letters);
    out.tensor = add(std::move(made));
    return out;
  }

  ExprPtr readRows(const Named &earlier) {
    std::vector<ExprPtr> args;
    for (int l : earlier.letters)
      args.push_back(letter(l));
    return read(program_, earlier.tensor, std::move(args), sum_.span);
  }

  /// The sum over the keys of the row's own page.
  ExprPtr ofPage(const ExprPtr &asked) {
    ExprPtr row = letter(sum_.row), key = letter(sum_.key);
    ExprPtr score =
        reduce(Reduction::Sum, sum_.inner,
               apply(Op::Mul, {asked, readNamed(keys_, key)}, sum_.span), nullptr, sum_.span);
    std::vector<ExprPtr> factors{score};
    ExprPtr distance = apply(Op::Sub, {row, key}, sum_.span);
    for (const ExprPtr &d : decaysBetween(key, row, distance))
      factors.push_back(d);
    if (values_.tensor >= 0)
      factors.push_back(readNamed(values_, key));
    auto pageOf = [&](const ExprPtr &e) {
      return apply(Op::FloorDiv, {e, integer(page)}, sum_.span);
    };
    ExprPtr guard = both(apply(Op::Equal, {pageOf(key), pageOf(row)}, sum_.span),
                         apply(sum_.before ? Op::Less : Op::LessEqual, {key, row}, sum_.span));
    ExprPtr value = reduce(Reduction::Sum, {sum_.key}, productOf(factors), guard, sum_.span);
    Named out{-1, {sum_.row}};
    for (int l : lettersOf({value}))
      if (!std::count(valueLetters_.begin(), valueLetters_.end(), l))
        out.letters.push_back(l);
    out.letters.insert(out.letters.end(), valueLetters_.begin(), valueLetters_.end());
    Made made = begin("own");
    axes(made, out.letters);
    made.general.value = substitute(value, made.letters);
    out.tensor = add(std::move(made));
    return readRows(out);
  }

  Program &program_;
  const RunningSum &sum_;
  std::set<int> &states_;
  FreeLetters letters_;
  std::vector<ExprPtr> matrixRows_,
      matrixColumns_;                     ///< factors of the key, with inner letters or not
  std::vector<ExprPtr> inside_, outside_; ///< factors of the row, likewise
  std::vector<int> outer_, innerLetters_, valueLetters_; ///< of the matrix
  Named keys_, values_, fallen_;
};

} // namespace

ExprPtr byPages(Program &program, const RunningSum &sum, std::set<int> &states) {
  return Pages(program, sum, states).run();
}

} // namespace qkv::streams
