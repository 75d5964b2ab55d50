// Generated runs. Holds: the same program and seed give the same values on every machine.
#include "compiler/verify/Trial.h"
#include "compiler/description/Description.h"
#include "runtime/checkpoint/Panels.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace qkv {
namespace {

/// SplitMix64 (Steele, Lea, Flood 2014).
class Random {
public:
  explicit Random(uint64_t seed) : state(seed) {}
  uint64_t bits() {
    uint64_t z = (state += 0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  int64_t below(int64_t count) {
    return static_cast<int64_t>(bits() % static_cast<uint64_t>(std::max<int64_t>(count, 1)));
  }
  /// Nearly normal, of variance 1, within +-6: a sum of twelve.
  double normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i)
      sum += uniform();
    return sum;
  }

private:
  uint64_t state;
};

std::vector<int64_t> shapeOf(const Program &program, const Tensor &tensor,
                             const std::vector<int64_t> &atoms) {
  std::vector<int64_t> shape;
  for (const Axis &axis : tensor.axes)
    shape.push_back(axis.extent.evaluate(program.atoms, atoms));
  return shape;
}

/// For each int input, the least extent that it indexes, directly or through equations.
class IndexBounds {
public:
  IndexBounds(const Program &program, const std::vector<int64_t> &atoms)
      : program(program), atoms(atoms) {
    for (const Tensor &tensor : program.tensors)
      for (const Piece &piece : tensor.pieces) {
        visit(piece.value.get());
        visit(piece.guard.get());
      }
  }
  std::map<int, int64_t> bounds;

private:
  void visit(const Expr *e) {
    if (!e || !seen.insert(e).second)
      return;
    if (e->kind == Expr::Kind::Read)
      for (size_t i = 0; i < e->args.size(); ++i) {
        std::set<int> passed;
        limit(e->args[i].get(),
              program.tensors[e->tensor].axes[i].extent.evaluate(program.atoms, atoms), passed);
      }
    for (const ExprPtr &argument : e->args)
      visit(argument.get());
  }
  /// Every int input that an index's value comes from.
  void limit(const Expr *e, int64_t extent, std::set<int> &passed) {
    if (!e)
      return;
    if (e->kind == Expr::Kind::Read && passed.insert(e->tensor).second) {
      const Tensor &tensor = program.tensors[e->tensor];
      if (tensor.kind == Tensor::Kind::Input) {
        auto [at, first] = bounds.try_emplace(e->tensor, extent);
        if (!first)
          at->second = std::min(at->second, extent);
      }
      for (const Piece &piece : tensor.pieces)
        limit(piece.value.get(), extent, passed);
      return;
    }
    if (e->type == Type::Float)
      return;
    for (const ExprPtr &argument : e->args)
      limit(argument.get(), extent, passed);
  }

  const Program &program;
  const std::vector<int64_t> &atoms;
  std::set<const Expr *> seen;
};

Values generated(Random &random, Type type, std::vector<int64_t> shape, int64_t low, int64_t high,
                 double scale) {
  Values values;
  values.type = type;
  values.shape = std::move(shape);
  int64_t count = values.count();
  for (int64_t i = 0; i < count; ++i)
    if (type == Type::Float)
      values.floats.push_back(static_cast<float>(random.normal() * scale));
    else if (type == Type::Int)
      values.ints.push_back(low + random.below(high - low));
    else
      values.ints.push_back(random.below(2));
  return values;
}

std::vector<int64_t> chooseSizes(const Program &program, const TrialOptions &options,
                                 Random &random) {
  static constexpr int64_t usual[] = {7, 5, 11, 3, 13, 2};
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < program.dynamicSizes.size(); ++i) {
    const SizeAtom &atom = program.atoms[program.dynamicSizes[i]];
    int64_t size = usual[(i + random.below(2)) % 6];
    if (auto given = options.sizes.find(atom.name); given != options.sizes.end())
      size = given->second;
    sizes.push_back(std::clamp<int64_t>(size, atom.min, atom.max));
  }
  return sizes;
}

std::vector<int64_t> atomValues(const Program &program, const std::vector<int64_t> &sizes) {
  std::vector<int64_t> atoms(program.atoms.count());
  for (size_t i = 0; i < sizes.size(); ++i)
    atoms[program.dynamicSizes[i]] = sizes[i];
  return atoms;
}

/// How ints are drawn; the first that meets no failing check is taken.
struct Draw {
  int64_t low;
  double share; // of the bound
};

} // namespace

std::map<int, int64_t> indexBounds(const Program &program, const std::vector<int64_t> &sizes) {
  std::vector<int64_t> atoms = atomValues(program, sizes);
  return IndexBounds(program, atoms).bounds;
}

Trial makeTrial(const Program &program, const TrialOptions &options) {
  Random random(options.seed * 0x2545F4914F6CDD1D + 1);
  Trial trial;
  trial.sizes = chooseSizes(program, options, random);
  std::vector<int64_t> atoms = atomValues(program, trial.sizes);
  for (int number : usedParams(program)) {
    if (auto given = options.params.find(number); given != options.params.end()) {
      trial.params[number] = given->second;
      continue;
    }
    std::vector<int64_t> shape = shapeOf(program, program.tensors[number], atoms);
    // As weights are: sums over what they contract stay of the size of one term.
    double fanIn = 1;
    for (size_t axis = 1; axis < shape.size(); ++axis)
      fanIn *= static_cast<double>(shape[axis]);
    trial.params[number] =
        generated(random, Type::Float, shape, 0, 1, shape.size() > 1 ? 1 / std::sqrt(fanIn) : 0.5);
  }
  IndexBounds limits(program, atoms);
  constexpr Draw draws[] = {{0, 1}, {1, 1}, {0, 0.5}, {1, 0.5}, {0, 0.25}, {1, 0.25}, {0, 0}};
  std::vector<int> results;
  for (const Result &result : program.results)
    results.push_back(result.tensor);
  uint64_t inputSeed = random.bits();
  for (const Draw &draw : draws) {
    Random inputs(inputSeed);
    for (int number : program.inputs) {
      const Tensor &tensor = program.tensors[number];
      auto bound = limits.bounds.find(number);
      int64_t most = bound != limits.bounds.end() ? bound->second : 8;
      int64_t high = static_cast<int64_t>(static_cast<double>(most) * draw.share);
      int64_t low = std::min(draw.low, high > 0 ? high - 1 : 0);
      trial.inputs[number] = generated(inputs, tensor.type, shapeOf(program, tensor, atoms), low,
                                       std::max(high, low + 1), 1);
    }
    bool drawn = std::any_of(program.inputs.begin(), program.inputs.end(),
                             [&](int number) { return program.tensors[number].type == Type::Int; });
    if (!drawn)
      break;
    Interpreter interpreter(program, trial.inputs, [&](int tensor) {
      auto at = trial.params.find(tensor);
      return at == trial.params.end() ? nullptr : &at->second;
    });
    bool done = true;
    for (int tensor : results) {
      Values values;
      RunError error;
      done = done && interpreter.evaluate(tensor, values, error);
    }
    if (done)
      break;
  }
  return trial;
}

void roundParams(const qkv_model &model, Trial &trial) {
  size_t at = 0;
  for (auto &[number, values] : trial.params) {
    qkv_param flat = {}; // the same elements in a row
    int64_t count = values.count();
    flat.rank = 1;
    flat.shape = &count;
    flat.held = rt::heldAs(model.params[at++].held.element);
    std::vector<float> plain(values.floats.begin(), values.floats.end());
    std::vector<char> held(rt::heldBytes(flat));
    rt::writeHeld(flat, plain.data(), held.data());
    rt::readHeld(flat, held.data(), plain.data());
    values.floats.assign(plain.begin(), plain.end());
  }
}

std::map<size_t, RunError> interpret(const Program &program, const Trial &trial,
                                     const std::vector<int> &tensors, std::vector<Values> &out,
                                     const InterpretOptions &options) {
  Interpreter interpreter(
      program, trial.inputs,
      [&](int tensor) {
        auto at = trial.params.find(tensor);
        return at == trial.params.end() ? nullptr : &at->second;
      },
      options);
  out.assign(tensors.size(), {});
  std::map<size_t, RunError> failures;
  for (size_t i = 0; i < tensors.size(); ++i)
    if (RunError error; !interpreter.evaluate(tensors[i], out[i], error))
      failures[i] = error;
  return failures;
}

Oracle expect(const Program &program, const Trial &trial, const std::vector<int> &tensors,
              const std::function<void(double)> &progress) {
  Oracle oracle;
  oracle.values.resize(tensors.size());
  int run = 0;
  for (Precision precision :
       {Precision::Double, Precision::Single, Precision::SingleUp, Precision::SingleDown}) {
    InterpretOptions options;
    options.precision = precision;
    if (progress)
      options.progress = [&, run](double share) { progress((run + share) / 4); };
    std::vector<Values> values;
    std::map<size_t, RunError> failures = interpret(program, trial, tensors, values, options);
    if (precision == Precision::Double && !failures.empty()) {
      oracle.failure = failures.begin()->second;
      return oracle;
    }
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (precision == Precision::Double)
        oracle.values[i].exact = std::move(values[i]);
      else if (!failures.count(i)) // (in f32 alone an index jumped: the word of double counts)
        oracle.values[i].rounded.push_back(std::move(values[i]));
    }
    ++run;
  }
  return oracle;
}

} // namespace qkv
