// Reductions (S1, S2).
//
// In: a Reduce or Softmax node. Out: its value over the joint range of its letters, in
// row-major order, of the elements whose guard holds. The body is evaluated for stretches of
// the innermost letter at a time (`run`): the same operations on the same elements as one by
// one, without visiting each node again for each of them.
#include "dsl/interpret/InterpreterMachine.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace qkv::interpret {

static constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Powers of softmax rows are held up to this many; beyond, a share computes its own again.
static constexpr int64_t kKept = int64_t(1) << 25;

namespace {
// The letters of a reduction are put back afterwards: they may be bound around it as well.
struct Saved {
  Saved(const Node &n, int64_t *frame) : n_(n), frame_(frame) {
    for (size_t i = 0; i < n.loops.size(); ++i)
      (i < kInline ? few_[i] : many_.emplace_back()) = frame[n.loops[i].slot];
  }
  ~Saved() {
    for (size_t i = 0; i < n_.loops.size(); ++i)
      frame_[n_.loops[i].slot] = i < kInline ? few_[i] : many_[i - kInline];
  }
  static constexpr size_t kInline = 6;
  const Node &n_;
  int64_t *frame_;
  int64_t few_[kInline];
  std::vector<int64_t> many_;
};
} // namespace

// Calls fn(base, first, count) for stretches whose guard holds: the innermost letter runs over
// first .. first + count - 1, at most kChunk; base + letter is the number of the element in the
// joint range. The frame has the outer letters.
template <class Fn> void Machine::forEachRun(const Node &n, int64_t *frame, Fn fn) {
  for (const LoopLetter &l : n.loops) {
    if (l.extent <= 0)
      return;
    frame[l.slot] = 0;
  }
  const LoopLetter inner = n.loops.back();
  const Node *guard = n.b;
  bool varies = guard && guard->dependsOn(inner.slot);
  for (int64_t base = 0;; base += inner.extent) {
    if (!varies) {
      if (!guard || integer(*guard, frame))
        for (int64_t first = 0; first < inner.extent; first += kChunk)
          fn(base, first, std::min(kChunk, inner.extent - first));
    } else {
      int64_t first = 0;
      for (int64_t p = 0; p < inner.extent; ++p) {
        frame[inner.slot] = p;
        bool holds = integer(*guard, frame);
        if (first < p && (!holds || p - first == kChunk)) {
          fn(base, first, p - first);
          first = p;
        }
        if (!holds)
          first = p + 1;
      }
      if (first < inner.extent)
        fn(base, first, inner.extent - first);
    }
    size_t i = n.loops.size() - 1;
    while (i > 0 && ++frame[n.loops[i - 1].slot] == n.loops[i - 1].extent)
      frame[n.loops[--i].slot] = 0;
    if (i == 0)
      return;
  }
}

// A read along a stretch. False, with nothing done, where it is not a plain stride.
bool Machine::runRead(const Node &n, int64_t *frame, int slot, int64_t first, int64_t count,
                      double *out) {
  TensorState &t = *n.tensor;
  if (t.computed ? !t.cells : !t.ready) {
    if (t.ready)
      return false; // sparse
    prepare(t);
    if (t.computed && !t.cells)
      return false;
  }
  int64_t offset = 0, step = 0;
  frame[slot] = first;
  for (size_t i = 0; i < n.args.size(); ++i) {
    const Node &arg = *n.args[i];
    const TensorState::AxisState &axis = t.axes[i];
    bool moves = arg.dependsOn(slot);
    if (moves && !((arg.code == Code::Letter || arg.code == Code::Shifted) && arg.slot == slot))
      return false;
    int64_t q = wrapAdd(index(arg, frame), axis.before);
    uint64_t total = static_cast<uint64_t>(axis.total);
    if (static_cast<uint64_t>(q) >= total ||
        (moves && static_cast<uint64_t>(q) + static_cast<uint64_t>(count) > total))
      return false; // one of them fails: evaluated one by one, the first that does is named
    offset += q * axis.stride;
    step += moves ? axis.stride : 0;
  }
  if (!t.computed) {
    const double *from = t.floats + offset;
    if (t.narrow)
      for (int64_t k = 0; k < count; ++k)
        out[k] = nearestSingle(from[k * step]);
    else
      for (int64_t k = 0; k < count; ++k)
        out[k] = from[k * step];
    return true;
  }
  const uint64_t *cells = t.cells + offset;
  bool missing = false;
  for (int64_t k = 0; k < count; ++k) {
    uint64_t cell = cells[k * step];
    missing |= cell == 0;
    out[k] = floatOf(cell ^ TensorState::kEmpty);
  }
  if (missing)
    for (int64_t k = 0; k < count; ++k)
      out[k] = floatOf(element(t, offset + k * step));
  return true;
}

// combine() along a stretch; the common operations without asking which for each element.
void Machine::combineRun(const Node &n, int64_t count, double *out, const double *right) {
  auto each = [&](auto fn) {
    for (int64_t k = 0; k < count; ++k)
      out[k] = fn(out[k], right[k]);
  };
  bool directed = n.single && !rounding.nearest();
  if (n.op == Op::Mul && directed)
    return each([&](double x, double y) { return rounding.narrow(x * y); });
  if (n.op == Op::Add && directed)
    return each([&](double x, double y) { return rounding.add(x, y); });
  if (directed || (n.op != Op::Mul && n.op != Op::Add && n.op != Op::Sub))
    return each([&](double x, double y) { return combine(n, x, y); });
  if (n.op == Op::Mul)
    each([](double x, double y) { return x * y; });
  else if (n.op == Op::Add)
    each([](double x, double y) { return x + y; });
  else
    each([](double x, double y) { return x - y; });
  if (n.single)
    for (int64_t k = 0; k < count; ++k)
      out[k] = nearestSingle(out[k]);
}

// A product along a stretch; where a factor is left out, the other is not evaluated (A6).
void Machine::runProduct(const Node &n, int64_t *frame, int slot, int64_t first, int64_t count,
                         double *out) {
  const Node *factors[kChunk];
  for (int64_t k = 0; k < count; ++k) {
    frame[slot] = first + k;
    factors[k] = leftOutFactor(n, frame);
  }
  double right[kChunk];
  for (int64_t k = 0; k < count;) {
    int64_t end = k + 1;
    while (end < count && factors[end] == factors[k])
      ++end;
    if (factors[k]) {
      run(*factors[k], frame, slot, first + k, end - k, out + k);
    } else {
      run(*n.a, frame, slot, first + k, end - k, out + k);
      run(*n.b, frame, slot, first + k, end - k, right);
      combineRun(n, end - k, out + k, right);
    }
    k = end;
  }
}

// The float values of a node for a stretch of one letter.
void Machine::run(const Node &n, int64_t *frame, int slot, int64_t first, int64_t count,
                  double *out) {
  if (count > 1) {
    if (!n.dependsOn(slot)) {
      frame[slot] = first;
      std::fill(out, out + count, number(n, frame));
      return;
    }
    if (n.code == Code::Read && runRead(n, frame, slot, first, count, out))
      return;
    if (n.code == Code::Narrow) {
      run(*n.a, frame, slot, first, count, out);
      for (int64_t k = 0; k < count; ++k)
        out[k] = nearestSingle(out[k]);
      return;
    }
    if (skipsProduct(n) && n.depth < 256)
      return runProduct(n, frame, slot, first, count, out);
    // (A deep chain would put a buffer on the stack for each of its operations.)
    if (n.code == Code::Apply && n.depth < 256) {
      run(*n.a, frame, slot, first, count, out);
      if (!n.b) {
        for (int64_t k = 0; k < count; ++k)
          out[k] = function(n, out[k]);
        return;
      }
      double right[kChunk];
      run(*n.b, frame, slot, first, count, right);
      combineRun(n, count, out, right);
      return;
    }
  }
  for (int64_t k = 0; k < count; ++k) {
    frame[slot] = first + k;
    out[k] = number(n, frame);
  }
}

/// log sum_j exp(s_j) = m + log sum_j exp(s_j - m), m = max_j s_j, of scores that are not -inf.
template <typename Add, typename Narrow>
static double logSumExp(const std::vector<double> &scores, Add add, Narrow narrow) {
  double max = -kInfinity, sum = 0;
  for (double s : scores)
    if (s > max || s != s)
      max = s;
  if (scores.empty())
    return -kInfinity;
  for (double s : scores)
    sum = add(sum, narrow(std::exp(add(s, -max))));
  return add(max, narrow(std::log(sum)));
}

double Machine::reduceNumber(const Node &n, int64_t *frame) {
  Saved saved(n, frame);
  int slot = n.loops.back().slot;
  double values[kChunk];
  auto narrow = [&](double x) { return n.single ? rounding.narrow(x) : x; };
  auto add = [&](double x, double y) { return n.single ? rounding.add(x, y) : x + y; };
  auto forEach = [&](auto fn) {
    forEachRun(n, frame, [&](int64_t, int64_t first, int64_t count) {
      run(*n.a, frame, slot, first, count, values);
      fn(count);
    });
  };
  switch (n.reduction) {
  case Reduction::Sum:
  case Reduction::Mean: {
    double sum = 0;
    int64_t taken = 0;
    forEach([&](int64_t count) {
      taken += count;
      if (!n.single) {
        for (int64_t k = 0; k < count; ++k)
          sum += values[k];
      } else if (rounding.nearest()) {
        float s = static_cast<float>(sum);
        for (int64_t k = 0; k < count; ++k)
          s += static_cast<float>(values[k]);
        sum = s;
      } else {
        for (int64_t k = 0; k < count; ++k)
          sum = rounding.add(sum, values[k]);
      }
    });
    if (n.reduction == Reduction::Sum)
      return sum;
    return taken ? narrow(sum / static_cast<double>(taken)) : 0;
  }
  case Reduction::Prod: {
    double product = 1;
    forEach([&](int64_t count) {
      for (int64_t k = 0; k < count; ++k)
        product = narrow(product * values[k]);
    });
    return product;
  }
  case Reduction::Max:
  case Reduction::Min: {
    // What is not a number stays visible (C4).
    bool max = n.reduction == Reduction::Max;
    double best = max ? -kInfinity : kInfinity;
    forEach([&](int64_t count) {
      for (int64_t k = 0; k < count; ++k)
        if ((max ? values[k] > best : values[k] < best) || values[k] != values[k])
          best = values[k];
    });
    return best;
  }
  case Reduction::LogSumExp: {
    std::vector<double> scores;
    forEach([&](int64_t count) {
      std::copy_if(values, values + count, std::back_inserter(scores),
                   [](double x) { return x != -kInfinity; });
    });
    return logSumExp(scores, add, narrow);
  }
  case Reduction::ArgMax:
  case Reduction::ArgMin:
  case Reduction::Softmax:
  case Reduction::Rank:
    break;
  }
  throw Failure{{n.source->span, "the checked equations are broken: no reduction to a float", ""}};
}

int64_t Machine::reduceInteger(const Node &n, int64_t *frame) {
  Saved saved(n, frame);
  int slot = n.loops.back().slot;
  bool place = infoOf(n.reduction).typing == Typing::Int;
  auto isBetter = [&](auto x, auto than) {
    return n.reduction == Reduction::ArgMax ? x > than : x < than;
  };
  if (place && !n.a->integral) {
    double values[kChunk], best = 0;
    int64_t at = -1;
    forEachRun(n, frame, [&](int64_t, int64_t first, int64_t count) {
      run(*n.a, frame, slot, first, count, values);
      for (int64_t k = 0; k < count; ++k)
        if (values[k] == values[k] && (at < 0 || isBetter(values[k], best))) {
          at = first + k;
          best = values[k];
        }
    });
    return at;
  }
  int64_t at = -1, result = 0;
  if (n.reduction == Reduction::Prod)
    result = 1;
  else if (n.reduction == Reduction::Max)
    result = std::numeric_limits<int64_t>::min();
  else if (n.reduction == Reduction::Min)
    result = std::numeric_limits<int64_t>::max();
  forEachRun(n, frame, [&](int64_t, int64_t first, int64_t count) {
    for (int64_t p = first; p < first + count; ++p) {
      frame[slot] = p;
      int64_t v = integer(*n.a, frame);
      switch (n.reduction) {
      case Reduction::Sum:
        result = wrapAdd(result, v);
        break;
      case Reduction::Prod:
        result = wrapMul(result, v);
        break;
      case Reduction::Max:
        result = std::max(result, v);
        break;
      case Reduction::Min:
        result = std::min(result, v);
        break;
      case Reduction::ArgMax:
      case Reduction::ArgMin:
        if (at < 0 || isBetter(v, result)) {
          at = p;
          result = v;
        }
        break;
      default:
        throw Failure{
            {n.source->span, "the checked equations are broken: no reduction to an int", ""}};
      }
    }
  });
  return place ? at : result;
}

/// The row at the letters of the frame where it is remembered, or null; `key` takes its letters.
const Row *Machine::knownRow(const Node &n, Key &key, int64_t *frame) {
  Memory &m = *n.memory;
  // Elements of one row are asked for one after the other.
  bool again = m.lastRow != nullptr;
  for (size_t i = 0; i < m.slots.size() && again; ++i)
    again = m.lastRow->first[i] == frame[m.slots[i]];
  if (again)
    return &m.lastRow->second;
  key.resize(m.slots.size());
  for (size_t i = 0; i < key.size(); ++i)
    key[i] = frame[m.slots[i]];
  auto found = m.rows.find(key);
  if (found == m.rows.end())
    return nullptr;
  m.lastRow = &*found;
  return &found->second;
}

int64_t Machine::sizeOfRow(const Node &n) {
  int64_t size = 1;
  for (const LoopLetter &l : n.loops)
    if (__builtin_mul_overflow(size, std::max<int64_t>(l.extent, 0), &size) ||
        size > (int64_t(1) << 32))
      throw Failure{{n.source->span,
                     std::string("a row of this ") + reductionName(n.source->reduction) +
                         " is too long to be computed",
                     ""}};
  return size;
}

// A softmax's row: m = max_j s_j, e_j = exp(s_j - m), sum_j e_j, over the scores that take
// part: those the guard leaves in and that are not -inf.
const Row &Machine::rowOf(const Node &n, int64_t *frame) {
  Memory &m = *n.memory;
  Key key;
  if (const Row *known = knownRow(n, key, frame))
    return *known;
  Saved saved(n, frame);
  int slot = n.loops.back().slot;
  int64_t size = sizeOfRow(n);
  Row row;
  row.powers.assign(size, -kInfinity);
  row.max = -kInfinity;
  forEachRun(n, frame, [&](int64_t base, int64_t first, int64_t count) {
    double *scores = row.powers.data() + base + first;
    run(*n.a, frame, slot, first, count, scores);
    for (int64_t k = 0; k < count; ++k)
      if (scores[k] != -kInfinity) {
        row.empty = false;
        if (scores[k] > row.max || scores[k] != scores[k])
          row.max = scores[k];
      }
  });
  auto narrow = [&](double x) { return n.single ? rounding.narrow(x) : x; };
  auto add = [&](double x, double y) { return n.single ? rounding.add(x, y) : x + y; };
  for (double &p : row.powers) {
    if (p == -kInfinity) {
      p = -1;
      continue;
    }
    p = narrow(std::exp(add(p, -row.max)));
    row.sum = add(row.sum, p);
  }
  if (kept_ + size > kKept) {
    row.powers.clear();
    row.powers.shrink_to_fit();
  } else {
    kept_ += size;
  }
  m.lastRow = &*m.rows.emplace(std::move(key), std::move(row)).first;
  return m.lastRow->second;
}

/// Where in its row a share stands: `position` by letter, and the number in the joint range.
int64_t Machine::positionOf(const Node &n, Key &position, int64_t *frame) {
  position.resize(n.loops.size());
  int64_t flat = 0;
  for (size_t i = 0; i < position.size(); ++i) {
    position[i] = index(*n.args[i + 1], frame);
    int64_t extent = n.loops[i].extent;
    if (position[i] < 0 || position[i] >= extent)
      throw Failure{{n.source->span,
                     std::string("index of ") + reductionName(n.source->reduction) + " along " +
                         program.letters[n.source->letters[i]].name + " is " +
                         std::to_string(position[i]) + ", outside 0 <= index < " +
                         std::to_string(extent),
                     "A1"}};
    flat = flat * extent + position[i];
  }
  return flat;
}

double Machine::share(const Node &n, int64_t *frame) {
  const Node &row = *n.a;
  Key position;
  int64_t flat = positionOf(n, position, frame);
  const Row &r = rowOf(row, frame);
  if (r.empty)
    return 0;
  double power = 0;
  if (!r.powers.empty()) {
    power = r.powers[flat];
    if (power < 0)
      return 0;
  } else {
    Saved saved(row, frame);
    for (size_t i = 0; i < position.size(); ++i)
      frame[n.loops[i].slot] = position[i];
    if (row.b && !integer(*row.b, frame))
      return 0;
    double score = number(*row.a, frame);
    if (score == -kInfinity)
      return 0;
    double difference = n.single ? rounding.add(score, -r.max) : score - r.max;
    power = n.single ? rounding.narrow(std::exp(difference)) : std::exp(difference);
  }
  return n.single ? rounding.narrow(power / r.sum) : power / r.sum;
}

/// In the place of each score how many come before it: what is no number, then the greatest.
static void rankAll(Row &row, bool integral) {
  std::vector<int64_t> order;
  for (size_t i = 0; i < row.scores.size(); ++i)
    if (row.takesPart[i])
      order.push_back(static_cast<int64_t>(i));
  auto sort = [&](auto valueOf) {
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      auto x = valueOf(row.scores[a]), y = valueOf(row.scores[b]);
      return y == y && (x > y || x != x);
    });
  };
  if (integral)
    sort(intOf);
  else
    sort(floatOf);
  std::vector<uint64_t> ranks(row.scores.size(), bitsOf(std::numeric_limits<int64_t>::max()));
  for (size_t place = 0; place < order.size(); ++place)
    ranks[order[place]] = bitsOf(static_cast<int64_t>(place));
  row.scores = std::move(ranks);
}

const Row &Machine::rankedRow(const Node &n, int64_t *frame) {
  Memory &m = *n.memory;
  Key key;
  if (const Row *known = knownRow(n, key, frame))
    return *known;
  Saved saved(n, frame);
  int slot = n.loops.back().slot;
  int64_t size = sizeOfRow(n);
  Row row;
  row.scores.assign(size, 0);
  row.takesPart.assign(size, 0);
  forEachRun(n, frame, [&](int64_t base, int64_t first, int64_t count) {
    for (int64_t p = first; p < first + count; ++p) {
      frame[slot] = p;
      row.scores[base + p] =
          n.a->integral ? bitsOf(integer(*n.a, frame)) : bitsOf(number(*n.a, frame));
      row.takesPart[base + p] = 1;
    }
  });
  rankAll(row, n.a->integral);
  if (kept_ + size > kKept) {
    m.rows.clear();
    m.lastRow = nullptr;
  } else {
    kept_ += size;
  }
  m.lastRow = &*m.rows.emplace(std::move(key), std::move(row)).first;
  return m.lastRow->second;
}

// How many elements that take part are greater than this one, or equal and before it (S3).
int64_t Machine::rank(const Node &n, int64_t *frame) {
  Key position;
  int64_t at = positionOf(n, position, frame);
  return intOf(rankedRow(*n.a, frame).scores[at]);
}

/// Whether the guard of a softmax, or a score of -inf, leaves its element out.
bool Machine::rowLeavesOut(const Node &n, int64_t *frame) {
  const Node &row = *n.a;
  Key position;
  int64_t flat = positionOf(n, position, frame);
  const Row &r = rowOf(row, frame);
  if (r.empty || !r.powers.empty())
    return r.empty || r.powers[flat] < 0;
  Saved saved(row, frame);
  for (size_t i = 0; i < position.size(); ++i)
    frame[n.loops[i].slot] = position[i];
  return (row.b && !integer(*row.b, frame)) || number(*row.a, frame) == -kInfinity;
}

/// Whether all elements of a sum, or one of a product, are left out.
bool Machine::reductionLeftOut(const Node &n, int64_t *frame) {
  Saved saved(n, frame);
  int slot = n.loops.back().slot;
  bool all = true, one = false;
  forEachRun(n, frame, [&](int64_t, int64_t first, int64_t count) {
    for (int64_t k = 0; k < count; ++k) {
      frame[slot] = first + k;
      bool out = leftOut(*n.a, frame);
      all = all && out;
      one = one || out;
    }
  });
  return n.reduction == Reduction::Prod ? one : all;
}

} // namespace qkv::interpret
