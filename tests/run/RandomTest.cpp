// Random programs: interpreter, JIT and built executables agree; sequences that the JIT computes
// together get what they get alone, to the bit.
//
// QKV_RANDOM_COUNT: how many (default 320); QKV_RANDOM_SEED: the first seed (default 1). A failure
// prints its seed and the smallest program found that fails too.
#include "tests/run/RandomProgram.h"
#include "tests/run/Support.h"

#include "compiler/Compilation.h"
#include "compiler/native/CodeGen.h"
#include "compiler/native/Entries.h"
#include "compiler/native/Jit.h"
#include "compiler/native/Link.h"
#include "compiler/native/Machine.h"

#include <llvm/Target/TargetMachine.h>

#include <chrono>
#include <gtest/gtest.h>

using namespace qkv;
using namespace qkv::test;

namespace {

int setting(const char *name, int usual) {
  const char *text = getenv(name);
  return text ? atoi(text) : usual;
}

constexpr int groups = 8;
int seedsOf(int group, std::vector<uint64_t> &seeds) {
  int count = setting("QKV_RANDOM_COUNT", 320), first = setting("QKV_RANDOM_SEED", 1);
  for (int i = group; i < count; i += groups)
    seeds.push_back(static_cast<uint64_t>(first + i));
  return count;
}

/// Sizes too small for what is computed of them among others, and the largest.
TrialOptions trialOptions(const Program &p, uint64_t seed) {
  TrialOptions options;
  options.seed = seed;
  static constexpr int64_t sizes[] = {0, 1, 2, 1000};
  if (int64_t size = sizes[seed % 4])
    for (int atom : p.dynamicSizes)
      options.sizes[p.atoms[atom].name] = std::min(size, p.atoms[atom].max);
  return options;
}

/// Why a program is not right; empty if it is, or if it is no program.
struct Verdict {
  bool checks = false;
  std::string wrong;
};
Verdict judge(const random::Program &program) {
  Verdict verdict;
  auto checked = checkText(program.text(), "random.qkv");
  if (!checked->program)
    return verdict;
  verdict.checks = true;
  const Program &p = *checked->program;
  Trial trial = makeTrial(p, trialOptions(p, program.seed()));
  std::string error;
  auto compilation = Compilation::begin(p, "native", error, {.batch = true});
  auto native = compilation ? compilation->native(error) : nullptr;
  auto model = native ? JitModel::create(std::move(native), "native", error) : nullptr;
  if (!model) {
    verdict.wrong = "it does not compile: " + error;
    return verdict;
  }
  verdict.wrong = differs(p, expect(p, trial, resultTensors(p)), compute(model->model(), p, trial));
  if (verdict.wrong.empty())
    verdict.wrong = batchDiffers(model->model(), p, trial);
  return verdict;
}

/// The smallest program found in a while that is wrong too.
random::Program shrink(random::Program program) {
  using namespace std::chrono;
  auto end = steady_clock::now() + seconds(setting("QKV_SHRINK_SECONDS", 40));
  for (bool smaller = true; smaller && steady_clock::now() < end;) {
    smaller = false;
    size_t length = program.text().size();
    for (const random::Program &candidate : program.smaller()) {
      if (steady_clock::now() > end)
        break;
      if (candidate.text().size() > length)
        continue;
      Verdict verdict = judge(candidate);
      if (verdict.checks && !verdict.wrong.empty()) {
        smaller = candidate.text().size() < length || candidate.text() != program.text();
        program = candidate;
        break;
      }
    }
  }
  return program;
}

class Random : public testing::TestWithParam<int> {};

TEST_P(Random, jitAgreesWithTheInterpreter) {
  std::vector<uint64_t> seeds;
  seedsOf(GetParam(), seeds);
  for (uint64_t seed : seeds) {
    random::Program program(seed);
    Verdict verdict = judge(program);
    EXPECT_TRUE(verdict.checks) << "seed " << seed << " does not check\n" << program.text();
    if (verdict.wrong.empty())
      continue;
    random::Program small = shrink(program);
    ADD_FAILURE() << "seed " << seed << ": " << verdict.wrong
                  << "\nsmallest: " << judge(small).wrong << "\n"
                  << small.text();
  }
}

/// One program of a built executable.
struct Built {
  uint64_t seed;
  std::unique_ptr<Checked> checked;
  std::string name, object;
};

/// An object whose `main` is called NAME_main, so that several fit into one executable.
bool buildObject(Built &built, std::string &error) {
  auto compilation = Compilation::begin(*built.checked->program, "native", error);
  auto native = compilation ? compilation->native(error) : nullptr;
  auto machine = makeMachine("native", CodeUse::Object, error);
  if (!native || !machine || !addEntries(*native, error))
    return false;
  aimAt(*native->module, *machine);
  addMain(*native, addModel(*native, neededFeatures(*machine)));
  native->module->getFunction("main")->setName(built.name + "_main");
  aimAt(*native->module, *machine);
  optimize(*native->module, *machine, Effort::Full);
  built.object = generateCode(*native->module, *machine, CodeFile::Object, error);
  return !built.object.empty();
}

TEST_P(Random, executableAgreesWithTheInterpreter) {
  std::vector<uint64_t> seeds;
  seedsOf(GetParam(), seeds);
  Folder folder;
  std::vector<Built> all;
  std::string source = "#include <string.h>\n", table, objects, error;
  for (size_t i = 0; i < seeds.size(); i += 4) {
    Built built;
    built.seed = seeds[i];
    built.name = "m" + std::to_string(seeds[i]);
    built.checked = checkText(random::Program(seeds[i]).text(built.name), "random.qkv");
    ASSERT_TRUE(built.checked->program);
    if (!buildObject(built, error)) {
      ADD_FAILURE() << "seed " << seeds[i] << ": " << error;
      continue;
    }
    writeFile(folder / (built.name + ".o"), built.object);
    objects += " " + (folder / (built.name + ".o"));
    source += "int " + built.name + "_main(int, char **);\n";
    table += "  if (!strcmp(argv[1], \"" + built.name + "\"))\n    return " + built.name +
             "_main(argc - 1, argv + 1);\n";
    all.push_back(std::move(built));
  }
  writeFile(folder / "all.c",
            source + "int main(int argc, char **argv) {\n" + table + "  return 99;\n}\n");
  std::string archive = runtimeArchive(error);
  ASSERT_FALSE(archive.empty()) << error;
  Ran linked = run("cc '" + (folder / "all.c") + "'" + objects + " '" + archive +
                   "' -lm -lpthread -o '" + (folder / "all") + "'");
  ASSERT_EQ(linked.code, 0) << linked.err;
  for (const Built &built : all) {
    const Program &p = *built.checked->program;
    // Other inputs than the JIT's, and other sizes.
    Trial trial = makeTrial(p, trialOptions(p, built.seed + 1001));
    writeInputs(p, trial, folder / "in");
    writeWeights(p, trial, folder / "weights");
    std::string command = "'" + (folder / "all") + "' " + built.name + " --input '" +
                          (folder / "in") + "' --output '" + (folder / "out") + "'" +
                          (trial.params.empty() ? "" : " --weights '" + (folder / "weights") + "'");
    Ran ran = run(command);
    Oracle oracle = expect(p, trial, resultTensors(p));
    Computed computed;
    if (ran.code == 0)
      computed = readResults(p, folder / "out");
    else
      computed.failure = ran.err;
    EXPECT_EQ(differs(p, oracle, computed), "") << "seed " << built.seed << "\n"
                                                << random::Program(built.seed).text();
  }
}

INSTANTIATE_TEST_SUITE_P(Grid, Random, testing::Range(0, groups));

} // namespace
