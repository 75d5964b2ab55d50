// Elements: where they are, which piece defines them, what was computed already.
//
// In: tensors with bound sizes. Out: the element at a position, computed at most once (but for
// a value that happens to look like an empty cell). Inputs and parameters are only pointed to.
#include "dsl/interpret/InterpreterMachine.h"
#include "dsl/interpret/RoundHalf.h"

#include <alloca.h>
#include <cstdlib>

namespace qkv::interpret {

// Up to this many positions an array remembers them (its pages exist once touched).
static constexpr int64_t kDense = int64_t(1) << 26;

static uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

size_t KeyHash::operator()(const Key &key) const {
  uint64_t h = key.size();
  for (int64_t v : key)
    h = mix(h + 0x9e3779b97f4a7c15ULL + static_cast<uint64_t>(v));
  return h;
}

size_t SparseCells::slotOf(int64_t position) const {
  size_t mask = entries_.size() - 1, i = mix(static_cast<uint64_t>(position)) & mask;
  while (entries_[i].position != -1 && entries_[i].position != position)
    i = (i + 1) & mask;
  return i;
}

const uint64_t *SparseCells::find(int64_t position) const {
  if (entries_.empty())
    return nullptr;
  const Entry &e = entries_[slotOf(position)];
  return e.position == position ? &e.cell : nullptr;
}

void SparseCells::insert(int64_t position, uint64_t cell) {
  if (2 * (used_ + 1) > entries_.size()) {
    std::vector<Entry> old(std::max<size_t>(64, 2 * entries_.size()));
    old.swap(entries_);
    for (const Entry &e : old)
      if (e.position != -1)
        entries_[slotOf(e.position)] = e;
  }
  Entry &e = entries_[slotOf(position)];
  used_ += e.position == -1;
  e = {position, cell};
}

Machine::Machine(const Program &program, std::map<int, Values> inputs,
                 std::function<const Values *(int)> params, InterpretOptions options)
    : program(program), rounding(options.precision), options(std::move(options)), leftOut_(program),
      inputs_(std::move(inputs)), params_(std::move(params)) {
  std::map<int, std::vector<int64_t>> shapes;
  for (auto &[tensor, values] : inputs_)
    shapes[tensor] = values.shape;
  bindError = bindSizes(program, shapes, sizes);
  if (bindError.empty())
    layOut();
}

Machine::~Machine() {
  for (TensorState &t : tensors)
    std::free(t.cells);
}

void Machine::layOut() {
  for (const Tensor &tensor : program.tensors) {
    TensorState &t = tensors.emplace_back();
    t.tensor = &tensor;
    t.number = static_cast<int>(tensors.size()) - 1;
    t.integral = tensor.type != Type::Float;
    t.computed = tensor.kind == Tensor::Kind::Equation;
    t.narrow = !t.computed && !t.integral && rounding.single();
    for (const Axis &axis : tensor.axes) {
      TensorState::AxisState a;
      a.before = t.computed ? axis.before : 0;
      a.extent = std::max<int64_t>(0, axis.extent.evaluate(program.atoms, sizes));
      a.total = a.before + a.extent + (t.computed ? axis.after : 0);
      a.stride = 0;
      t.axes.push_back(a);
    }
    for (size_t i = t.axes.size(); i-- > 0;) {
      t.axes[i].stride = t.count;
      if (t.count >= 0 && __builtin_mul_overflow(t.count, t.axes[i].total, &t.count))
        t.count = -1;
    }
    if (t.computed)
      all_ += std::max<int64_t>(0, t.count);
  }
}

void Machine::give(TensorState &t, const Values &values) {
  const std::string &name = t.tensor->name;
  const char *kind = t.tensor->kind == Tensor::Kind::Param ? "parameter " : "input ";
  size_t found = t.integral ? values.ints.size() : values.floats.size();
  if (t.count < 0 || found != static_cast<size_t>(t.count))
    throw Failure{{t.tensor->span,
                   kind + name + " has " + std::to_string(found) +
                       (t.integral ? " whole" : " float") + " values, expected " +
                       std::to_string(t.count),
                   ""}};
  t.floats = values.floats.data();
  t.ints = values.ints.data();
}

// A parameter that the checkpoint does not have.
void Machine::fallBack(TensorState &t) {
  const ParamSource &source = t.tensor->param;
  if (t.count < 0 || source.fallback == ParamSource::Fallback::None)
    throw Failure{{t.tensor->span, "parameter " + t.tensor->name + " is missing", ""}};
  if (source.fallback == ParamSource::Fallback::Tensor) {
    TensorState &other = tensors[source.tensor];
    if (other.count != t.count || other.integral != t.integral)
      throw Failure{{t.tensor->span,
                     "parameter " + t.tensor->name + " and what stands in for it, " +
                         other.tensor->name + ", have different shapes",
                     ""}};
    if (!other.computed) {
      prepare(other);
      t.floats = other.floats;
      t.ints = other.ints;
      return;
    }
    for (int64_t i = 0; i < t.count; ++i) {
      uint64_t bits = element(other, i);
      if (t.integral)
        t.own.ints.push_back(intOf(bits));
      else
        t.own.floats.push_back(floatOf(bits));
    }
  } else if (t.integral) {
    t.own.ints.assign(t.count, static_cast<int64_t>(source.number));
  } else {
    t.own.floats.assign(t.count, source.number);
  }
  give(t, t.own);
}

void Machine::prepare(TensorState &t) {
  if (t.ready)
    return;
  if (!t.computed) {
    if (t.tensor->kind == Tensor::Kind::Input) {
      auto found = inputs_.find(t.number);
      if (found == inputs_.end())
        throw Failure{{t.tensor->span, "input " + t.tensor->name + " is missing", "C1"}};
      give(t, found->second);
    } else if (const Values *values = params_ ? params_(t.number) : nullptr) {
      give(t, *values);
    } else {
      fallBack(t);
    }
    t.ready = true;
    return;
  }
  if (t.count < 0)
    throw Failure{
        {t.tensor->span, "tensor " + t.tensor->name + " has more than 2^63 elements", ""}};
  t.pieces.clear();
  for (const Piece &piece : t.tensor->pieces) {
    PieceState &state = t.pieces.emplace_back();
    resolvePiece(*this, t, piece, state);
    t.slots = std::max(t.slots, state.slots);
  }
  if (t.count <= kDense)
    t.cells = static_cast<uint64_t *>(std::calloc(std::max<int64_t>(1, t.count), 8));
  t.ready = true;
}

uint64_t Machine::at(TensorState &t, int64_t offset) {
  if (t.computed)
    return element(t, offset);
  prepare(t);
  if (t.integral)
    return bitsOf(t.ints[offset]);
  return bitsOf(t.narrow ? nearestSingle(t.floats[offset]) : t.floats[offset]);
}

// Before an element is computed that others wait for. One that waits for itself is found where
// it is met again while it is the one that is marked.
void Machine::descend(TensorState &t, int64_t offset) {
  if (static_cast<const char *>(__builtin_frame_address(0)) < stackLimit_)
    throw Failure{{t.tensor->span,
                   "the elements of " + t.tensor->name +
                       " depend on each other too deeply for the interpreter",
                   ""}};
  ++depth_;
  if (markDepth_ != 0 && markTensor_ == &t && markOffset_ == offset)
    throw Failure{{t.tensor->span, "an element of " + t.tensor->name + " depends on itself", "R1"}};
  if ((depth_ & (depth_ - 1)) == 0) {
    markTensor_ = &t;
    markOffset_ = offset;
    markDepth_ = depth_;
  }
}

// The first piece in order that has the position at an offset (P1, P3), or null. `position` has
// room for the position, and the frame of its letters behind it.
PieceState *Machine::pieceAt(TensorState &t, int64_t offset, int64_t *position) {
  size_t rank = t.axes.size();
  std::fill(position, position + rank + static_cast<size_t>(t.slots), 0);
  int64_t *frame = position + rank;
  for (size_t i = 0; i < rank; ++i) {
    const TensorState::AxisState &a = t.axes[i];
    position[i] = offset / a.stride % a.total - a.before;
  }
  for (PieceState &piece : t.pieces) {
    bool matches = true;
    for (size_t i = 0; i < rank && matches; ++i) {
      const PieceState::Index &index = piece.indices[i];
      if (index.slot < 0) {
        matches = position[i] == index.position;
      } else {
        matches = position[i] >= 0 && position[i] < index.position;
        frame[index.slot] = position[i];
      }
    }
    if (matches)
      return &piece;
  }
  return nullptr;
}

uint64_t Machine::compute(TensorState &t, int64_t offset) {
  if (!t.ready) {
    prepare(t);
    if (!t.cells)
      return element(t, offset); // (asked for as if it were an array)
  }
  descend(t, offset);
  size_t rank = t.axes.size();
  size_t room = rank + static_cast<size_t>(t.slots);
  auto *position = static_cast<int64_t *>(alloca((room + 1) * sizeof(int64_t)));
  int64_t *frame = position + rank;
  if (PieceState *piece = pieceAt(t, offset, position)) {
    uint64_t bits = 0;
    if (!piece->guard || integer(*piece->guard, frame))
      bits =
          t.integral ? bitsOf(integer(*piece->value, frame)) : bitsOf(number(*piece->value, frame));
    if (t.tensor->half != Half::None)
      bits = bitsOf(roundedTo(t.tensor->half, floatOf(bits)));
    uint64_t cell = bits ^ TensorState::kEmpty;
    if (t.cells)
      t.cells[offset] = cell;
    else
      t.sparse.insert(offset, cell);
    if (depth_-- == markDepth_)
      markDepth_ = 0;
    if ((++done_ & 0xfff) == 0)
      tick();
    return bits;
  }
  std::string text;
  for (size_t i = 0; i < rank; ++i)
    text += (i ? "," : "") + std::to_string(position[i]);
  throw Failure{
      {t.tensor->span,
       "the checked equations are broken: none gives " + t.tensor->name + "[" + text + "]", "P1"}};
}

void Machine::tick() {
  if (!options.progress)
    return;
  auto now = std::chrono::steady_clock::now();
  if (now - lastTick_ < std::chrono::milliseconds(100))
    return;
  lastTick_ = now;
  options.progress(std::min(1.0, static_cast<double>(done_) / static_cast<double>(all_)));
}

} // namespace qkv::interpret
