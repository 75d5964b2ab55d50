// Compiles models and compares what they compute with the interpreter.
//
//   irgen-agree FILE... [--unfused] [--seed N] [--size NAME=N] [--weights-type bf16|f16]
//
// Each file is tried with several dynamic sizes, alone and among others of its sizes; exits with 1
// where one differs.
#include "compiler/Compilation.h"
#include "compiler/native/Jit.h"
#include "compiler/verify/Verify.h"

#include "dsl/check/Checker.h"

#include <iostream>

using namespace qkv;

namespace {

bool agrees(const std::string &file, const std::string &model, Sources &sources,
            const Source &source, uint64_t seed, const std::map<std::string, int64_t> &given,
            int32_t element, bool fuse) {
  Diagnostics diagnostics;
  CheckOptions options;
  options.model = model;
  auto program = check(source, sources, options, diagnostics);
  if (!program) {
    diagnostics.render(std::cerr, false);
    return false;
  }
  std::string error;
  auto fail = [&](const std::string &what) {
    std::cout << file << " " << program->name << ": " << what << "\n";
    return false;
  };
  auto compilation = Compilation::begin(*program, "native", error,
                                        {.batch = true, .element = element, .fuse = fuse});
  if (!compilation || !compilation->advance(Stage::Llvm, error))
    return fail(error);
  auto native = compilation->native(error);
  auto jit = native ? JitModel::create(std::move(native), "native", error) : nullptr;
  if (!jit)
    return fail(error);
  bool ok = true;
  for (int64_t size : {0, 1, 2, 7, 19, 63, 64, 65, 130}) {
    TrialOptions trialOptions;
    trialOptions.seed = seed + static_cast<uint64_t>(size);
    trialOptions.sizes = given;
    if (size > 0)
      for (int atom : program->dynamicSizes)
        trialOptions.sizes.try_emplace(
            program->atoms[atom].name,
            std::clamp(size, program->atoms[atom].min, program->atoms[atom].max));
    Trial trial = makeTrial(*program, trialOptions);
    roundParams(jit->model(), trial);
    std::vector<int> tensors;
    for (const Result &r : program->results)
      tensors.push_back(r.tensor);
    Oracle oracle = expect(*program, trial, tensors);
    Computed got = compute(jit->model(), *program, trial);
    std::string sizes;
    for (int64_t s : trial.sizes)
      sizes += " " + std::to_string(s);
    if (std::string why = batchDiffers(jit->model(), *program, trial); !why.empty())
      ok = fail("sizes" + sizes + ": " + why);
    if (oracle.failure) {
      if (got.failure.empty())
        ok = fail("sizes" + sizes + ": does not fail: " + oracle.failure->message);
      else if (got.failure.find(oracle.failure->message) == std::string::npos)
        std::cout << file << ": fails otherwise: " << got.failure << " / "
                  << oracle.failure->message << "\n";
      continue;
    }
    if (!got.failure.empty()) {
      ok = fail("sizes" + sizes + ": fails: " + got.failure);
      continue;
    }
    for (size_t r = 0; r < tensors.size(); ++r) {
      Comparison c = compare(oracle.values[r], got.results[r]);
      if (!c.same)
        ok = fail("sizes" + sizes + ": " + program->results[r].name +
                  indexText(oracle.values[r].exact.shape, c.at) + " is " + std::to_string(c.got) +
                  ", expected " + std::to_string(c.expected) + ", error " +
                  std::to_string(c.error) + " bound " + std::to_string(c.bound));
    }
    if (program->generatorInput >= 0) {
      Computed last = computeLast(jit->model(), *program, trial);
      const Values &all = got.results[0];
      if (!last.failure.empty() || last.results.empty()) {
        ok = fail("last: " + last.failure);
        continue;
      }
      int64_t count = last.results[0].count(), offset = all.count() - count;
      for (int64_t i = 0; i < count; ++i) {
        double a = all.floats[offset + i], b = last.results[0].floats[i];
        if (std::abs(a - b) > 1e-4 * (1 + std::abs(a))) {
          ok = fail("last position: " + std::to_string(b) + ", of all " + std::to_string(a));
          break;
        }
      }
    }
  }
  return ok;
}

} // namespace

int main(int argc, char **argv) {
  uint64_t seed = 1;
  int32_t element = QKV_F32;
  bool fuse = true;
  std::map<std::string, int64_t> sizes;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    std::string a = argv[i];
    if (a == "--seed" && i + 1 < argc) {
      seed = std::stoull(argv[++i]);
    } else if (a == "--weights-type" && i + 1 < argc) {
      element = std::string(argv[++i]) == "bf16" ? QKV_BF16 : QKV_F16;
    } else if (a == "--unfused") {
      fuse = false;
    } else if (a == "--size" && i + 1 < argc) {
      std::string s = argv[++i];
      sizes[s.substr(0, s.find('='))] = std::stoll(s.substr(s.find('=') + 1));
    } else {
      files.push_back(a);
    }
  }
  int failures = 0, count = 0;
  for (const std::string &file : files) {
    Sources sources;
    std::string error;
    const Source *source = sources.open(file, error);
    if (!source) {
      std::cerr << error << "\n";
      return 1;
    }
    for (const std::string &model : modelNames(*source)) {
      ++count;
      try {
        if (!agrees(file, model, sources, *source, seed, sizes, element, fuse))
          ++failures;
      } catch (const std::exception &e) {
        std::cout << file << " " << model << ": " << e.what() << "\n";
        ++failures;
      }
    }
  }
  std::cout << count - failures << " of " << count << " models agree\n";
  return failures ? 1 : 0;
}
