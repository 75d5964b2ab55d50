// In: calls of models. Out: results, or the run's error. Holds: nothing of a run is seen by
// another.
#include "Support.h"

#include "runtime/tensors/Cpu.h"

#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

using namespace qkv::rt;

namespace {

/// Checks each of a million indices; those at multiples of `step` fail.
TestModel checking(int64_t step) {
  TestModel test;
  test.sites = {{"m.qkv", 3, 14, 6, "index of wte along v", 0},
                {"m.qkv", 5, 2, 1, "divisor of //", 1},
                {nullptr, 6, 1, 1, nullptr, 0}};
  test.entry = [step](qkv_context *context, auto...) {
    struct Argument {
      qkv_context *context;
      int64_t step;
    } argument = {context, step};
    qkv_parallel_for(
        context, 100000, 100,
        [](void *pointer, int64_t begin, int64_t end) {
          auto *argument = static_cast<Argument *>(pointer);
          for (int64_t i = begin; i < end; ++i)
            if (i % argument->step == argument->step - 1)
              qkv_check_failed(argument->context, 0, 1000 + i, 258);
        },
        &argument);
    qkv_check_failed(context, 1, 0, 0);
  };
  return test;
}

TEST(Run, TheFirstFailedCheckWhateverTheThreads) {
  setThreads(4);
  TestModel test = checking(30);
  const qkv_model &model = test.model();
  for (int round = 0; round < 50; ++round) {
    qkv_error error = emptyError();
    ASSERT_EQ(qkv_run(&model, QKV_WHOLE, nullptr, nullptr, nullptr, nullptr, &error), -1);
    ASSERT_EQ(errorText(error, "p"), "m.qkv:3:14: error: index of wte along v is 1029, outside "
                                     "0 <= index < 258 [A1]");
    ASSERT_EQ(error.length, 6);
  }
}

TEST(Run, WeightsThatChangeWhileTheyAreInUse) {
  struct sigaction before = {}; // (a sanitizer has one of its own)
  sigaction(SIGBUS, nullptr, &before);
  TestFolder folder;
  std::string file = folder / "w";
  qkv_error error = emptyError();
  float values[] = {1, 2, 3, 4}, seen = 0;
  TestModel test;
  test.params = {{"w", {4}}};
  test.entry = [&](qkv_context *, const int64_t *, void *const *, void *const *params,
                   void *const *) { seen = static_cast<float *>(params[0])[0]; };
  const qkv_model &model = test.model();
  auto run = [&](const qkv_weights *weights) {
    return qkv_run(&model, QKV_WHOLE, weights, nullptr, nullptr, nullptr, &error);
  };
  for (bool packed : {false, true}) {
    ASSERT_TRUE(writeSafetensors(file, {{"w", Dtype::F32, {4}, values}}, &error));
    qkv_weights *weights = qkv_weights_open(&model, file.c_str(), nullptr, &error);
    ASSERT_TRUE(weights) << error.text;
    if (packed) {
      ASSERT_TRUE(packWeights(model, *weights, file, &error));
      qkv_weights_close(weights);
      weights = qkv_weights_open(&model, file.c_str(), nullptr, &error);
      ASSERT_TRUE(weights) << error.text;
    }
    EXPECT_EQ(run(weights), 0) << error.text;
    // A new file in its place is another file.
    ASSERT_TRUE(writeSafetensors(file, {{"w", Dtype::F32, {4}, values}}, &error));
    EXPECT_EQ(run(weights), 0) << error.text;
    qkv_weights_close(weights);
    weights = qkv_weights_open(&model, file.c_str(), nullptr, &error);
    ASSERT_TRUE(weights) << error.text;
    usleep(20000); // times of files are counted in ticks
    std::string bytes = readFile(file);
    int open = ::open(file.c_str(), O_WRONLY);
    pwrite(open, bytes.data(), bytes.size(), 0);
    close(open);
    EXPECT_EQ(run(weights), -1);
    EXPECT_EQ(errorText(error, "p"), file + ": error: the weights were written to or cut short "
                                            "while they were in use: open them again");
    EXPECT_EQ(truncate(file.c_str(), 0), 0);
    EXPECT_EQ(run(weights), -1);
    qkv_weights_close(weights);
  }
  // All of it converted: the file may go.
  uint16_t half[] = {0x3C00, 0, 0, 0}; // 1
  ASSERT_TRUE(writeSafetensors(file, {{"w", Dtype::F16, {4}, half}}, &error));
  qkv_weights *weights = qkv_weights_open(&model, file.c_str(), nullptr, &error);
  EXPECT_EQ(truncate(file.c_str(), 0), 0);
  EXPECT_EQ(run(weights), 0) << error.text;
  EXPECT_EQ(seen, 1);
  qkv_weights_close(weights);
  // A library leaves the signals of its program alone.
  struct sigaction after = {};
  sigaction(SIGBUS, nullptr, &after);
  EXPECT_EQ(after.sa_handler, before.sa_handler);
}

TEST(Run, AZeroDivisor) {
  TestModel test = checking(1 << 30);
  qkv_error error = emptyError();
  EXPECT_EQ(qkv_run(&test.model(), QKV_WHOLE, nullptr, nullptr, nullptr, nullptr, &error), -1);
  EXPECT_EQ(errorText(error, "p"), "m.qkv:5:2: error: the divisor of // is 0 [T2]");
}

TEST(Run, RunsAtOnceHaveErrorsOfTheirOwn) {
  TestModel good, bad = checking(10);
  good.entry = [](auto...) {};
  const qkv_model &goodModel = good.model(), &badModel = bad.model();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int round = 0; round < 50; ++round) {
        qkv_error error = emptyError();
        int code = qkv_run(t % 2 ? &goodModel : &badModel, QKV_WHOLE, nullptr, nullptr, nullptr,
                           nullptr, &error);
        wrong += code != (t % 2 ? 0 : -1);
      }
    });
  for (auto &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Run, OnlyGeneratorsHaveALastPosition) {
  TestModel test;
  test.entry = [](auto...) {};
  qkv_error error = emptyError();
  EXPECT_EQ(qkv_run(&test.model(), QKV_LAST, nullptr, nullptr, nullptr, nullptr, &error), -1);
  EXPECT_STREQ(error.text, "model test is not a generator");
}

/// A library's model whose weights are cut while its entry runs: it says so, the program lives.
void cutWhileItRuns(const std::string &file) {
  std::vector<float> values(1 << 16, 1.0f);
  qkv_error error = emptyError();
  if (!writeSafetensors(file, {{"w", Dtype::F32, {1 << 16}, values.data()}}, &error))
    _exit(2);
  TestModel test;
  test.params = {{"w", {1 << 16}}};
  float first = 0, last = 1;
  test.entry = [&](qkv_context *, const int64_t *, void *const *, void *const *params,
                   void *const *) {
    first = static_cast<const float *>(params[0])[0];
    if (truncate(file.c_str(), 4096) != 0)
      _exit(3);
    last = static_cast<const float *>(params[0])[(1 << 16) - 1];
  };
  qkv_handle *handle = qkv_open(&test.model(), file.c_str(), &error);
  qkv_session *session = handle ? qkv_session_open(handle, &error) : nullptr;
  size_t arguments[4] = {sizeof arguments};
  if (!session || qkv_session_run(session, arguments, &error, QKV_WHOLE) != -1)
    _exit(4);
  bool says = strstr(error.text, "were written to or cut short while they were in use") != nullptr;
  _exit(says && first == 1 && last == 0 ? 0 : 5);
}

TEST(Run, LibrariesOutliveWeightsThatAreCut) {
  TestFolder folder;
  EXPECT_EXIT(cutWhileItRuns(folder / "w"), testing::ExitedWithCode(0), "");
}

// What is none of ours goes where it went before.
TEST(Run, OtherBusErrorsGoToTheHandlerBefore) {
  TestFolder folder;
  auto fault = [&](bool handler) {
    if (handler)
      signal(SIGBUS, [](int) { _exit(7); });
    else
      signal(SIGBUS, SIG_DFL); // (a sanitizer has one of its own)
    TestModel test;
    qkv_open(&test.model(), nullptr, nullptr);
    writeFile(folder / "other", std::string(8192, 'x'));
    int descriptor = open((folder / "other").c_str(), O_RDWR);
    auto *map =
        static_cast<volatile char *>(mmap(nullptr, 8192, PROT_READ, MAP_SHARED, descriptor, 0));
    if (ftruncate(descriptor, 0) != 0)
      _exit(3);
    _exit(map[5000]);
  };
  EXPECT_EXIT(fault(true), testing::ExitedWithCode(7), "");
  EXPECT_EXIT(fault(false), testing::KilledBySignal(SIGBUS), "");
}

TEST(Run, AnotherVersionOfTheInterface) {
  TestModel test;
  test.model();
  qkv_error error = emptyError();
  // Older ones, and one to come: nothing else of their structs is read.
  for (int32_t version : {1, 2, 3, 4, 99}) {
    test.description.abi = version;
    test.description.entries = nullptr;
    test.description.params = nullptr;
    test.description.param_count = test.description.entry_count = 1 << 30;
    std::string says = "model test was compiled for version " + std::to_string(version) +
                       " of the runtime's interface, this is version " + std::to_string(QKV_ABI) +
                       ": compile it again";
    EXPECT_EQ(qkv_weights_open(&test.description, "any", nullptr, &error), nullptr);
    EXPECT_EQ(error.text, says);
    error = emptyError();
    EXPECT_EQ(qkv_open(&test.description, "any", &error), nullptr);
    EXPECT_EQ(error.text, says);
    error = emptyError();
    EXPECT_EQ(qkv_run(&test.description, QKV_WHOLE, nullptr, nullptr, nullptr, nullptr, &error),
              -1);
    EXPECT_EQ(error.text, says);
  }
}

TEST(Run, AShorterErrorOfAnOlderCaller) {
  alignas(qkv_error) char room[sizeof(qkv_error) + 8];
  memset(room, 'x', sizeof room);
  auto *error = reinterpret_cast<qkv_error *>(room);
  error->size = sizeof(qkv_error) - 100;
  fail(error, std::string(5000, 'a'));
  EXPECT_EQ(room[sizeof(qkv_error) - 100], 'x') << "nothing behind the caller's struct is written";
}

TEST(Run, LongTextsEndAtAWholeCharacter) {
  qkv_error error = emptyError();
  std::string text = "a";
  for (int i = 0; i < 1000; ++i)
    text += "年";
  fail(&error, text);
  std::string kept = error.text;
  ASSERT_TRUE(kept.ends_with("..."));
  EXPECT_EQ((kept.size() - 4) % 3, 0u);
}

#if defined(__x86_64__)
TEST(Run, TheCallersFloatingPointModeComesBack) {
  TestModel test;
  unsigned inside = 0;
  test.entry = [&](auto...) { inside = _mm_getcsr(); };
  unsigned before = _mm_getcsr();
  EXPECT_EQ(qkv_run(&test.model(), QKV_WHOLE, nullptr, nullptr, nullptr, nullptr, nullptr), 0);
  EXPECT_EQ(inside & 0x8040, 0x8040u);
  EXPECT_EQ(_mm_getcsr(), before);
}

TEST(Run, CpuFeaturesUnderBothSpellings) {
  EXPECT_EQ(lackingFeatures(nullptr), "");
  EXPECT_EQ(lackingFeatures("sse2  fxsr cmov"), "");
  EXPECT_EQ(lackingFeatures("sse2 no_such_thing"), "no_such_thing");
  for (const char *name : {"avx2", "fma", "avx512f", "avx512_vnni", "f16c", "bmi2", "sse4_1"})
    EXPECT_EQ(lackingFeatures(name).empty(),
              readFile("/proc/cpuinfo").find(std::string(" ") + name + " ") != std::string::npos)
        << name;
  EXPECT_EQ(lackingFeatures("sse4.1"), lackingFeatures("sse4_1").empty() ? "" : "sse4.1");
}
#endif

TEST(Memory, theLargestFreedBlockWaits) {
  void *large = qkv_alloc(1 << 20), *small = qkv_alloc(100);
  qkv_free(large);
  qkv_free(small);
  EXPECT_NE(qkv_alloc(100), large); // too good for it
  EXPECT_EQ(qkv_alloc(1 << 20), large);
}

TEST(Memory, blocksOfSeveralSizesWait) {
  void *large = qkv_alloc(1 << 20), *small = qkv_alloc(1 << 17);
  for (int turn = 0; turn < 3; ++turn) {
    qkv_free(large);
    qkv_free(small);
    EXPECT_EQ(qkv_alloc(1 << 17), small);
    EXPECT_EQ(qkv_alloc(1 << 20), large);
  }
}

} // namespace
