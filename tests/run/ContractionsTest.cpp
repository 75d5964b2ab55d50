// Contractions of weights in whole runs. Holds: a row's bits depend neither on how many rows there
// are, nor on threads, nor on who packed the weights and when.
#include "tests/run/Support.h"

#include "compiler/Compilation.h"
#include "compiler/native/Jit.h"

#include <cstring>
#include <gtest/gtest.h>
#include <sys/stat.h>

using namespace qkv;
using namespace qkv::test;

namespace {

// A matrix whose panels are summed in chunks, whose last panel is not full; heads; a table that is
// gathered and contracted.
const char *const model = R"(size S = dynamic(max: 70)
index i < S, o < 150, c < 1500, h < 3, d < 40, v < 90

model rows(x[i,c], token[i] : int) -> (y[i,o], q[h,i,d], p[i,v]) {
  param W[o,c] = "w", Wq[h,d,o] = "q", E[v,o] = "e"
  y[i,o]   = sum[c](W[o,c] * x[i,c])
  q[h,i,d] = sum[o](Wq[h,d,o] * y[i,o])
  e[i,o]   = y[i,o] + E[token[i], o]
  p[i,v]   = sum[o](E[v,o] * e[i,o])
}
)";

struct Contractions : testing::Test {
  std::unique_ptr<Checked> checked = checkText(model, "rows.qkv");
  const Program &program = *checked->program;
  Trial trial;

  Contractions() {
    TrialOptions options;
    options.sizes["S"] = 70;
    trial = makeTrial(program, options);
  }

  /// The trial's first rows.
  Trial first(int64_t rows) {
    Trial out = trial;
    out.sizes = {rows};
    for (auto &[number, values] : out.inputs) {
      int64_t each = values.count() / values.shape[0];
      values.shape[0] = rows;
      if (values.type == Type::Float)
        values.floats.resize(rows * each);
      else
        values.ints.resize(rows * each);
    }
    return out;
  }
};

class Elements : public Contractions, public testing::WithParamInterface<int> {};

TEST_P(Elements, rowsDoNotDependOnTheirNumber) {
  std::string error;
  auto compilation = Compilation::begin(program, "native", error, {.element = GetParam()});
  auto native = compilation ? compilation->native(error) : nullptr;
  auto jit = native ? JitModel::create(std::move(native), "native", error) : nullptr;
  ASSERT_TRUE(jit) << error;
  roundParams(jit->model(), trial);
  Computed all = compute(jit->model(), program, trial);
  ASSERT_EQ(all.failure, "");
  Oracle oracle = expect(program, first(7), resultTensors(program));
  for (int64_t rows = 1; rows < 70; ++rows) {
    Computed some = compute(jit->model(), program, first(rows));
    ASSERT_EQ(some.failure, "");
    if (rows == 7)
      EXPECT_EQ(differs(program, oracle, some), "");
    for (size_t r = 0; r < all.results.size(); ++r) {
      const Values &few = some.results[r], &many = all.results[r];
      int64_t outer = few.shape.size() == 3 ? few.shape[0] : 1;
      int64_t fewEach = few.count() / outer, manyEach = many.count() / outer;
      for (int64_t at = 0; at < outer; ++at)
        ASSERT_EQ(memcmp(&few.floats[at * fewEach], &many.floats[at * manyEach],
                         fewEach * sizeof few.floats[0]),
                  0)
            << program.results[r].name << " of " << rows << " rows";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Elements, testing::Values(QKV_F32, QKV_BF16, QKV_F16),
                         [](const auto &info) {
                           return info.param == QKV_F32    ? "f32"
                                  : info.param == QKV_BF16 ? "bf16"
                                                           : "f16";
                         });

// A matrix of a recurrence that no second cache of the usual size holds: its panels are taken
// forward and backward in turn.
TEST(Recurrence, panelsInEitherOrder) {
  auto checked = checkText(R"(size T = dynamic(max: 8)
index t < T, o < 800, k < 800
model recur(x[t,o]) -> h[t,o] {
  param W[o,k] = "w"
  h[-1,o] = 0
  h[t,o]  = tanh(x[t,o] + sum[k](W[o,k] * h[t-1,k]))
}
)",
                           "recur.qkv");
  const Program &program = *checked->program;
  TrialOptions options;
  options.sizes["T"] = 3;
  Trial trial = makeTrial(program, options);
  std::string error;
  auto compilation = Compilation::begin(program, "native", error);
  auto native = compilation ? compilation->native(error) : nullptr;
  auto jit = native ? JitModel::create(std::move(native), "native", error) : nullptr;
  ASSERT_TRUE(jit) << error;
  Computed computed = compute(jit->model(), program, trial);
  ASSERT_EQ(computed.failure, "");
  EXPECT_EQ(differs(program, expect(program, trial, resultTensors(program)), computed), "");
}

TEST_F(Contractions, programsAndThreadsAgreeBitForBit) {
  Folder folder;
  writeFile(folder / "rows.qkv", model);
  writeInputs(program, trial, folder / "in");
  writeWeights(program, trial, folder / "w");
  auto shell = [&](const std::string &command) {
    Ran ran = run("cd '" + folder.path() + "' && " + command);
    EXPECT_EQ(ran.code, 0) << command << "\n" << ran.err;
  };
  const std::string qkv = std::string("'") + QKV_DRIVER + "' ";
  for (std::string type : {"f32", "bf16"}) {
    const std::string packed = "rows.qkv --weights-type " + type, how = packed + " --weights w";
    shell("QKV_THREADS=1 " + qkv + "run " + how + " --input in --output one");
    std::string one = readFile(folder / "one");
    ASSERT_FALSE(one.empty());
    shell("QKV_THREADS=2 " + qkv + "run " + how + " --input in --output two");
    EXPECT_EQ(one, readFile(folder / "two"));
    shell(qkv + "build " + how + " -o rows");
    shell("./rows --input in --output three");
    EXPECT_EQ(one, readFile(folder / "three"));
    // What is packed is read by all who read weights.
    shell(qkv + "run " + packed + " --weights rows.weights --input in --output four");
    EXPECT_EQ(one, readFile(folder / "four"));
    shell(qkv + "interpret rows.qkv --weights rows.weights --input in --output five");
    if (type == "bf16") {
      struct stat status;
      stat((folder / "rows.weights").c_str(), &status);
      // 3 panels of 1500 columns of 64, 3 heads of 48 positions, 2 panels; and the table.
      EXPECT_LT(status.st_size, 2 * (192 * 1500 + 3 * 48 * 150 + 128 * 150) + 2 * 4096);
    }
  }
}

} // namespace
