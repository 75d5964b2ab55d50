// Nodes -> values: everything but reductions.
//
// In: a node and the frame of its letters. Out: its value, as `number` (floats) or `integer`
// (ints and bools), by the rules T2 and T3; a Failure where a check of A1 or T2 fails.
#include "dsl/interpret/InterpreterMachine.h"

namespace qkv::interpret {

static int64_t divideDown(int64_t a, int64_t b) {
  if (b == -1)
    return wrapSub(0, a);
  int64_t q = a / b;
  return q - (a % b != 0 && (a < 0) != (b < 0));
}

void Machine::outside(const Node &read, size_t axis, int64_t value) {
  const Tensor &t = *read.tensor->tensor;
  throw Failure{{read.source->span,
                 "index of " + (t.label.empty() ? t.name : t.label) + " along " +
                     t.axes[axis].name + " is " + std::to_string(value) +
                     ", outside 0 <= index < " + std::to_string(read.tensor->axes[axis].extent),
                 "A1"}};
}

void Machine::zeroDivisor(const Node &n) {
  throw Failure{{n.source->span,
                 std::string("the divisor of ") + (n.op == Op::Mod ? "%" : "//") + " is 0", "T2"}};
}

// Every read is checked, the proven ones too: a proof that does not hold shows itself here.
int64_t Machine::locate(const Node &read, int64_t *frame) {
  int64_t offset = 0;
  const TensorState::AxisState *axis = read.tensor->axes.data();
  size_t rank = read.args.size();
  for (size_t i = 0; i < rank; ++i) {
    int64_t p = index(*read.args[i], frame), q = wrapAdd(p, axis[i].before);
    if (static_cast<uint64_t>(q) >= static_cast<uint64_t>(axis[i].total))
      outside(read, i, p);
    offset += q * axis[i].stride;
  }
  return offset;
}

double Machine::load(TensorState &t, int64_t offset) {
  if (t.computed)
    return floatOf(element(t, offset));
  if (!t.ready)
    prepare(t);
  return t.narrow ? nearestSingle(t.floats[offset]) : t.floats[offset];
}

uint64_t Machine::remembered(const Node &n, int64_t *frame) {
  Memory &m = *n.memory;
  size_t count = m.slots.size();
  if (m.valid) {
    size_t i = 0;
    while (i < count && m.last[i] == frame[m.slots[i]])
      ++i;
    if (i == count)
      return m.bits;
  }
  Key key(count);
  for (size_t i = 0; i < count; ++i)
    key[i] = frame[m.slots[i]];
  uint64_t bits;
  auto found = m.table ? m.all.find(key) : m.all.end();
  if (found != m.all.end()) {
    bits = found->second;
  } else {
    const Node &inner = *n.a;
    bits = inner.integral ? bitsOf(integer(inner, frame)) : bitsOf(number(inner, frame));
    if (m.table) {
      if (m.all.size() >= (size_t(1) << 22))
        m.all.clear();
      m.all.emplace(key, bits);
    }
  }
  m.last = std::move(key);
  m.bits = bits;
  m.valid = true;
  return bits;
}

double Machine::number(const Node &n, int64_t *frame) {
  switch (n.code) {
  case Code::Number:
    return n.number;
  case Code::Read:
    return load(*n.tensor, locate(n, frame));
  case Code::Apply:
    return applyNumber(n, frame);
  case Code::If:
    return number(integer(*n.a, frame) ? *n.b : *n.c, frame);
  case Code::Reduce:
    return reduceNumber(n, frame);
  case Code::Softmax:
    return share(n, frame);
  case Code::Convert: {
    double x = static_cast<double>(integer(*n.a, frame));
    return n.single ? rounding.narrow(x) : x;
  }
  case Code::Narrow:
    return nearestSingle(number(*n.a, frame));
  case Code::Remember:
    return floatOf(remembered(n, frame));
  case Code::Integer:
  case Code::Letter:
  case Code::Shifted:
  case Code::Row:
  case Code::Rank:
    break;
  }
  return static_cast<double>(integer(n, frame));
}

int64_t Machine::integer(const Node &n, int64_t *frame) {
  switch (n.code) {
  case Code::Integer:
    return n.integer;
  case Code::Letter:
    return frame[n.slot];
  case Code::Shifted:
    return wrapAdd(frame[n.slot], n.integer);
  case Code::Read: {
    int64_t offset = locate(n, frame);
    TensorState &t = *n.tensor;
    if (t.computed)
      return intOf(element(t, offset));
    if (!t.ready)
      prepare(t);
    return t.ints[offset];
  }
  case Code::Apply:
    return applyInteger(n, frame);
  case Code::If:
    return integer(integer(*n.a, frame) ? *n.b : *n.c, frame);
  case Code::Reduce:
    return reduceInteger(n, frame);
  case Code::Rank:
    return rank(n, frame);
  case Code::Remember:
    return intOf(remembered(n, frame));
  case Code::Number:
  case Code::Convert:
  case Code::Narrow:
  case Code::Row:
  case Code::Softmax:
    break;
  }
  throw Failure{
      {n.source->span, "the checked equations are broken: a float where an int belongs", ""}};
}

double Machine::function(const Node &n, double x) const {
  if (n.op == Op::Neg)
    return -x;
  const Function *f = functionOf(n.op);
  if (!f)
    throw Failure{{n.source->span, "the checked equations are broken: no function of a float", ""}};
  double r = f->value(x, 0);
  return n.single ? rounding.narrow(r) : r;
}

double Machine::combine(const Node &n, double x, double y) {
  double r = 0;
  switch (n.op) {
  case Op::Add:
    return n.single ? rounding.add(x, y) : x + y;
  case Op::Sub:
    return n.single ? rounding.add(x, -y) : x - y;
  case Op::Mul:
    r = x * y;
    break;
  case Op::Div:
    r = x / y;
    break;
  case Op::Pow:
    r = std::pow(x, y);
    break;
  case Op::Min:
  case Op::Max:
    return functionOf(n.op)->value(x, y);
  case Op::FloorDiv:
    if (y == 0)
      zeroDivisor(n);
    // The quotient is rounded before floor: as one would compute it.
    r = x / y;
    return std::floor(n.single ? rounding.narrow(r) : r);
  case Op::Mod:
    if (y == 0)
      zeroDivisor(n);
    r = std::fmod(x, y);
    if (r != 0 && (r < 0) != (y < 0))
      return n.single ? rounding.add(r, y) : r + y;
    return r;
  default:
    throw Failure{{n.source->span, "the checked equations are broken: no operation of floats", ""}};
  }
  return n.single ? rounding.narrow(r) : r;
}

double Machine::applyNumber(const Node &n, int64_t *frame) {
  if (skipsProduct(n))
    if (const Node *factor = leftOutFactor(n, frame))
      return number(*factor, frame);
  double x = number(*n.a, frame);
  return n.b ? combine(n, x, number(*n.b, frame)) : function(n, x);
}

bool Machine::compare(const Node &n, int64_t *frame) {
  auto holds = [&](auto x, auto y) {
    switch (n.op) {
    case Op::Equal:
      return x == y;
    case Op::NotEqual:
      return x != y;
    case Op::Less:
      return x < y;
    case Op::LessEqual:
      return x <= y;
    case Op::Greater:
      return x > y;
    default:
      return x >= y;
    }
  };
  if (n.a->integral) {
    int64_t x = integer(*n.a, frame);
    return holds(x, integer(*n.b, frame));
  }
  double x = number(*n.a, frame);
  return holds(x, number(*n.b, frame));
}

int64_t Machine::applyInteger(const Node &n, int64_t *frame) {
  switch (n.op) {
  case Op::And:
    return integer(*n.a, frame) && integer(*n.b, frame);
  case Op::Or:
    return integer(*n.a, frame) || integer(*n.b, frame);
  case Op::Not:
    return !integer(*n.a, frame);
  case Op::Equal:
  case Op::NotEqual:
  case Op::Less:
  case Op::LessEqual:
  case Op::Greater:
  case Op::GreaterEqual:
    return compare(n, frame);
  default:
    break;
  }
  if (skipsProduct(n) && leftOutFactor(n, frame))
    return 0;
  const Function *f = functionOf(n.op);
  if (f && f->typing == Typing::Int)
    return n.a->integral ? integer(*n.a, frame) : wholeToInt(f->value(number(*n.a, frame), 0));
  int64_t x = integer(*n.a, frame);
  if (n.op == Op::Neg)
    return wrapSub(0, x);
  if (f && f->ofInts)
    return f->ofInts(x, n.b ? integer(*n.b, frame) : 0);
  if (!n.b)
    throw Failure{{n.source->span, "the checked equations are broken: no function of an int", ""}};
  int64_t y = integer(*n.b, frame);
  switch (n.op) {
  case Op::Add:
    return wrapAdd(x, y);
  case Op::Sub:
    return wrapSub(x, y);
  case Op::Mul:
    return wrapMul(x, y);
  case Op::FloorDiv:
    if (y == 0)
      zeroDivisor(n);
    return divideDown(x, y);
  case Op::Mod:
    if (y == 0)
      zeroDivisor(n);
    return wrapSub(x, wrapMul(divideDown(x, y), y));
  default:
    throw Failure{{n.source->span, "the checked equations are broken: no operation of ints", ""}};
  }
}

} // namespace qkv::interpret
