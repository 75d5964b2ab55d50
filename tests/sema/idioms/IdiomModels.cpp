#include "tests/sema/idioms/IdiomModels.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

namespace qkv::test {

std::vector<std::string> modelsOf(const std::string &folder) {
  std::vector<std::string> names;
  for (auto &entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".qkv")
      names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

std::string textOf(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::unique_ptr<Checked> checkText(const std::string &path, const std::string &text) {
  auto out = std::make_unique<Checked>();
  const Source *source = out->sources.add(path, text);
  Diagnostics diagnostics;
  out->program = check(*source, out->sources, {}, diagnostics);
  std::ostringstream said;
  diagnostics.render(said, false);
  out->said = said.str();
  return out;
}

namespace {

/// Values that f32 holds exactly: multiples of 1/64 in [-1, 1).
Values generate(const Program &program, const Tensor &tensor, const std::vector<int64_t> &sizes,
                int64_t ints, std::mt19937_64 &random) {
  Values v;
  v.type = tensor.type;
  for (auto &axis : tensor.axes)
    v.shape.push_back(axis.extent.evaluate(program.atoms, sizes));
  int64_t count = v.count();
  for (int64_t i = 0; i < count; ++i) {
    uint64_t bits = random() >> 16;
    if (v.type == Type::Float)
      v.floats.push_back(static_cast<double>(bits % 128) / 64 - 1);
    else
      v.ints.push_back(static_cast<int64_t>(bits % (v.type == Type::Bool ? 2 : ints)));
  }
  return v;
}

} // namespace

Trial runGenerated(const Program &program, int64_t size, Precision precision, uint64_t seed) {
  Trial run;
  std::vector<int64_t> sizes(program.atoms.count(), 0);
  for (int atom : program.dynamicSizes) {
    sizes[atom] = std::clamp(size, program.atoms[atom].min, program.atoms[atom].max);
    run.sizes[program.atoms[atom].name] = sizes[atom];
  }
  // Ints from fewer and fewer until all checks at run time hold.
  for (int64_t ints : {6, 4, 3, 2, 1}) {
    std::mt19937_64 random(seed);
    std::map<int, Values> inputs, params;
    for (int id : program.inputs)
      inputs[id] = generate(program, program.tensors[id], sizes, ints, random);
    for (size_t id = 0; id < program.tensors.size(); ++id)
      if (program.tensors[id].kind == Tensor::Kind::Param)
        params[static_cast<int>(id)] = generate(program, program.tensors[id], sizes, 1, random);
    InterpretOptions options;
    options.precision = precision;
    Interpreter interpreter(program, inputs, [&](int id) { return &params.at(id); }, options);
    run.results.clear();
    run.failure.clear();
    for (auto &result : program.results) {
      RunError error;
      if (!interpreter.evaluate(result.tensor, run.results[result.name], error)) {
        run.failure = error.message + " [" + error.rule + "]";
        break;
      }
    }
    for (auto &[id, v] : inputs)
      run.inputs[program.tensors[id].name] = v;
    for (auto &[id, v] : params)
      run.params[program.tensors[id].param.stored.at(0).names.at(0)] = v;
    if (run.failure.empty())
      break;
  }
  return run;
}

} // namespace qkv::test
