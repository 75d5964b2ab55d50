// The outside of the interpreter: binding of sizes (C1), whole tensors and single elements.
//
// In: a checked program, values of its inputs, a source of parameters. Out: values, or the
// check that failed. Evaluation runs on a thread with a stack that is large enough for an
// element whose recurrence is demanded from its end; the caller waits for it.
#include "dsl/interpret/Interpreter.h"

#include "dsl/DeepStack.h"
#include "dsl/interpret/InterpreterMachine.h"

namespace qkv {

using namespace interpret;

int64_t Values::count() const {
  int64_t n = 1;
  for (int64_t extent : shape)
    n *= extent;
  return n;
}

struct Interpreter::State {
  Machine machine;
  DeepStack stack{size_t(4) << 30, size_t(16) << 20};

  /// Runs fn; false with `error` where a check fails.
  template <class Fn> bool guarded(RunError &error, Fn fn) {
    try {
      if (!machine.bindError.empty())
        throw Failure{{machine.program.span, machine.bindError, "C1"}};
      // An element's computation must not begin in the lowest eighth: the rest is for the
      // expression it is in.
      bool ran = stack.run([&](const char *base) {
        machine.begin(base + stack.size() / 8);
        fn();
      });
      if (!ran)
        throw Failure{{{}, "no memory for the interpreter's stack", ""}};
      return true;
    } catch (const Failure &failure) {
      error = failure.error;
    } catch (const std::bad_alloc &) {
      error = {machine.program.span, "no memory is left for the interpreter", ""};
    }
    return false;
  }

  // A constant becomes an f32 where it is a result (T3).
  double result(const TensorState &t, uint64_t bits) const {
    double x = floatOf(bits);
    return machine.rounding.single() && t.tensor->constant ? nearestSingle(x) : x;
  }
};

Interpreter::Interpreter(const Program &program, std::map<int, Values> inputs,
                         std::function<const Values *(int tensor)> params, InterpretOptions options)
    : state_(new State{{program, std::move(inputs), std::move(params), std::move(options)}}) {}

Interpreter::~Interpreter() = default;

const std::vector<int64_t> &Interpreter::sizes() const { return state_->machine.sizes; }

bool Interpreter::evaluate(int tensor, Values &out, RunError &error) {
  Machine &m = state_->machine;
  return state_->guarded(error, [&] {
    TensorState &t = m.tensors.at(tensor);
    m.prepare(t);
    out = {};
    out.type = t.tensor->type;
    for (const TensorState::AxisState &a : t.axes)
      out.shape.push_back(a.extent);
    int64_t count = out.count();
    (t.integral ? out.ints.reserve(count) : out.floats.reserve(count));
    size_t rank = t.axes.size();
    std::vector<int64_t> position(rank, 0);
    for (int64_t k = 0; k < count; ++k) {
      int64_t offset = 0;
      for (size_t i = 0; i < rank; ++i)
        offset += (position[i] + t.axes[i].before) * t.axes[i].stride;
      uint64_t bits = m.at(t, offset);
      if (t.integral)
        out.ints.push_back(intOf(bits));
      else
        out.floats.push_back(state_->result(t, bits));
      for (size_t i = rank; i-- > 0;) {
        if (++position[i] < t.axes[i].extent)
          break;
        position[i] = 0;
      }
    }
    if (m.options.progress)
      m.options.progress(1);
  });
}

bool Interpreter::element(int tensor, const std::vector<int64_t> &index, double &out,
                          RunError &error) {
  Machine &m = state_->machine;
  return state_->guarded(error, [&] {
    TensorState &t = m.tensors.at(tensor);
    const std::string &name = t.tensor->name;
    if (index.size() != t.axes.size())
      throw Failure{{t.tensor->span,
                     name + " has " + std::to_string(t.axes.size()) + " axes, the element " +
                         std::to_string(index.size()) + " indices",
                     "E2"}};
    m.prepare(t);
    int64_t offset = 0;
    for (size_t i = 0; i < index.size(); ++i) {
      const TensorState::AxisState &a = t.axes[i];
      if (index[i] < 0 || index[i] >= a.extent)
        throw Failure{{t.tensor->span,
                       "index of " + name + " along " + t.tensor->axes[i].name + " is " +
                           std::to_string(index[i]) + ", outside 0 <= index < " +
                           std::to_string(a.extent),
                       "A1"}};
      offset += (index[i] + a.before) * a.stride;
    }
    uint64_t bits = m.at(t, offset);
    out = t.integral ? static_cast<double>(intOf(bits)) : state_->result(t, bits);
  });
}

std::string bindSizes(const Program &program, const std::map<int, std::vector<int64_t>> &shapes,
                      std::vector<int64_t> &sizes) {
  sizes.assign(program.atoms.count(), 0);
  auto shapeText = [](const std::vector<int64_t> &shape) {
    std::string s = "[";
    for (size_t i = 0; i < shape.size(); ++i)
      s += (i ? "," : "") + std::to_string(shape[i]);
    return s + "]";
  };
  auto place = [&](const Tensor &t, size_t axis, int64_t found) {
    return "input " + t.name + " has " + std::to_string(found) +
           (found == 1 ? " position" : " positions") + " along " + t.axes[axis].name;
  };
  // The axis that bound a size: for the message where another disagrees.
  std::map<int, std::string> boundBy;
  for (int input : program.inputs) {
    const Tensor &t = program.tensors[input];
    auto found = shapes.find(input);
    if (found == shapes.end())
      return "input " + t.name + " is missing";
    const std::vector<int64_t> &shape = found->second;
    if (t.axes.empty() && shape == std::vector<int64_t>{1})
      continue;
    if (shape.size() != t.axes.size()) {
      std::string axes;
      for (const Axis &a : t.axes)
        axes += (axes.empty() ? "" : ",") + a.name;
      return "input " + t.name + " has shape " + shapeText(shape) + ", expected " +
             (t.axes.empty() ? "[] or [1]"
                             : std::to_string(t.axes.size()) +
                                   (t.axes.size() == 1 ? " axis [" : " axes [") + axes + "]");
    }
    for (size_t i = 0; i < shape.size(); ++i)
      for (int a : program.dynamicSizes) {
        const SizeAtom &atom = program.atoms[a];
        if (t.axes[i].extent != Size::atom(a))
          continue;
        if (shape[i] < atom.min || shape[i] > atom.max)
          return place(t, i, shape[i]) + ", but size " + atom.name + " is between " +
                 std::to_string(atom.min) + " and " + std::to_string(atom.max);
        if (!boundBy.count(a)) {
          sizes[a] = shape[i];
          boundBy[a] = place(t, i, shape[i]);
        } else if (sizes[a] != shape[i]) {
          return place(t, i, shape[i]) + ", but " + boundBy[a] + ": both are size " + atom.name;
        }
      }
  }
  for (int a : program.dynamicSizes)
    if (!boundBy.count(a))
      return "no input has an axis of size " + program.atoms[a].name + " that would bind it";
  for (int input : program.inputs) {
    const Tensor &t = program.tensors[input];
    for (size_t i = 0; i < t.axes.size(); ++i) {
      const Size &extent = t.axes[i].extent;
      int64_t expected = extent.evaluate(program.atoms, sizes), given = shapes.at(input)[i];
      if (expected != given)
        return place(t, i, given) + ", expected " +
               (extent.isConstant() ? "" : extent.text(program.atoms) + " = ") +
               std::to_string(expected);
    }
  }
  return {};
}

} // namespace qkv
