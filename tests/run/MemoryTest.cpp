// What `explain` says a run takes at once, against what a run takes: every block that compiled code
// asks the runtime for is counted.
#include "tests/run/Support.h"

#include "compiler/Compilation.h"
#include "compiler/native/Jit.h"

#include <gtest/gtest.h>

#include <map>
#include <mutex>

namespace {

std::mutex guard;
std::map<void *, size_t> live;
size_t now = 0, most = 0;

} // namespace

// The linker hands over calls of qkv_alloc and qkv_free (--wrap, in CMakeLists.txt).
extern "C" {
void *__real_qkv_alloc(size_t bytes);
void __real_qkv_free(void *block);

void *__wrap_qkv_alloc(size_t bytes) {
  void *block = __real_qkv_alloc(bytes);
  std::lock_guard lock(guard);
  live[block] = bytes;
  now += bytes;
  most = std::max(most, now);
  return block;
}

void __wrap_qkv_free(void *block) {
  {
    std::lock_guard lock(guard);
    if (auto found = live.find(block); found != live.end()) {
      now -= found->second;
      live.erase(found);
    }
  }
  __real_qkv_free(block);
}
}

namespace qkv::test {
namespace {

/// The bytes that a run takes at once at most, over what was there before.
size_t measuredPeak(const Program &program, const std::vector<int64_t> &sizes) {
  std::string error;
  auto compilation = Compilation::begin(program, "native", error);
  auto native = compilation ? compilation->native(error) : nullptr;
  auto model = native ? JitModel::create(std::move(native), "native", error) : nullptr;
  EXPECT_TRUE(model) << error;
  TrialOptions options;
  for (size_t i = 0; i < sizes.size(); ++i)
    options.sizes[program.atoms[program.dynamicSizes[i]].name] = sizes[i];
  Trial trial = makeTrial(program, options);
  size_t before;
  {
    std::lock_guard lock(guard);
    before = most = now;
  }
  Computed computed = compute(model->model(), program, trial);
  EXPECT_EQ(computed.failure, "");
  std::lock_guard lock(guard);
  return most - before;
}

PeakReport explainedPeak(const Program &program, const std::vector<int64_t> &sizes) {
  std::string error;
  auto compilation = Compilation::begin(program, "native", error);
  Explanation explanation;
  EXPECT_TRUE(compilation && compilation->explain({.sizes = sizes}, explanation, error)) << error;
  return explanation.peak;
}

// Models without parameters: what holds those is the runtime's.
const char *const models[] = {
    // a recurrence of two tensors
    R"(size T = dynamic(max: 900)
index t < T, c < 3
model m(x[t,c]) -> y[t] {
  h[-1,c] = 0
  g[-1,c] = 0
  h[t,c] = tanh(x[t,c] + g[t-1,c])
  g[t,c] = h[t,c] * 0.5 + h[t-1,c]
  y[t] = sum[c](h[t,c] * g[t,c])
}
)",
    // one small buffer; its size is no multiple of 64
    R"(size T = dynamic(max: 900)
index t < T, c < 3
model m(x[t,c]) -> (y[t,c], z) {
  s[t] = sum[c](x[t,c] * x[t,c])
  y[t,c] = x[t,c] / sqrt(1 + s[t])
  z = max[t](s[t])
}
)",
    // steps of a repeat, each with an arena of its own
    R"(size T = dynamic(max: 900)
index t < T, c < 13, e < 13
model m(x[t,c], w[c,e]) -> y[t,c] {
  y = x
  repeat l < 3 {
    u[t,c] = sum[e](w[c,e] * y[t,e])
    v[t] = logsumexp[c](u[t,c])
    z[t,c] = u[t,c] - v[t]
    y = z
  }
}
)",
    // attention: keys in blocks
    R"(size T = dynamic(max: 900), S = dynamic(max: 900)
index t < T, j < S, d < 20, e < 7
model m(q[t,d], k[j,d], v[j,e]) -> c[t,e] {
  n[j] = sum[d](k[j,d] ^ 2)
  s[t,j] = sum[d](q[t,d] * k[j,d] / sqrt(1 + n[j]))
  c[t,e] = sum[j](softmax[j](s[t,j]) * v[j,e])
}
)",
};

/// A state space: what reads its state at its own step is computed beside it.
const char *const stateSpace = R"(size T = dynamic(max: 900)
index t < T, d < 16, n < 64
model m(x[t,d], B[t,n], C[t,n]) -> (y[t,d], last[d,n]) {
  fade[t,d,n] = exp(-x[t,d] ^ 2 * (n + 1))
  h[-1,d,n] = 0
  h[t,d,n] = fade[t,d,n] * h[t-1,d,n] + B[t,n] * x[t,d]
  y[t,d] = sum[n](C[t,n] * h[t,d,n])
  last[d,n] = h[T-1,d,n]
}
)";

TEST(Memory, ofARecurrenceTheLatestIsKept) {
  auto checked = checkText(stateSpace, "m.qkv");
  ASSERT_TRUE(checked->program) << checked->diagnostics;
  constexpr int64_t step = 16 * 64 * 4;
  for (int64_t size : {7, 800}) {
    PeakReport peak = explainedPeak(*checked->program, {size});
    EXPECT_EQ(static_cast<size_t>(peak.bytes), measuredPeak(*checked->program, {size}));
    EXPECT_LT(peak.bytes, 4 * step + size * 16 * 4 * 2) << size; // not 800 steps
  }
}

TEST(Memory, peakIsThatOfARun) {
  for (const char *text : models) {
    auto checked = checkText(text, "m.qkv");
    ASSERT_TRUE(checked->program) << checked->diagnostics;
    const Program &program = *checked->program;
    for (int64_t size : {1, 7, 64, 131, 500}) {
      std::vector<int64_t> sizes;
      for (size_t i = 0; i < program.dynamicSizes.size(); ++i)
        sizes.push_back(size + static_cast<int64_t>(i));
      PeakReport peak = explainedPeak(program, sizes);
      EXPECT_TRUE(peak.known);
      EXPECT_GT(peak.bytes, 0);
      EXPECT_EQ(static_cast<size_t>(peak.bytes), measuredPeak(program, sizes))
          << "size " << size << "\n"
          << text;
    }
  }
}

} // namespace
} // namespace qkv::test
