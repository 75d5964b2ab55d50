// In: bodies over ranges. Out: each index exactly once, on all threads. Holds: whoever calls, from
// wherever, and whatever happens to a worker meanwhile.
#include "Support.h"

#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

using namespace qkv::rt;

namespace {

class Threads : public testing::Test {
protected:
  void SetUp() override { setThreads(4); }
};

TEST_F(Threads, EachIndexExactlyOnce) {
  for (int64_t count : {0, 1, 2, 3, 7, 15, 16, 17, 1000, 12345})
    for (int64_t grain : {0, 1, 3, 64, 20000}) {
      std::vector<std::atomic<int>> seen(count);
      std::atomic<int64_t> shortest{count};
      parallelFor(count, grain, [&](int64_t begin, int64_t end) {
        if (end - begin < shortest)
          shortest = end - begin;
        for (int64_t i = begin; i < end; ++i)
          ++seen[i];
      });
      for (auto &times : seen)
        ASSERT_EQ(times, 1) << count << " " << grain;
      EXPECT_GE(shortest, std::min(count, grain));
    }
}

TEST_F(Threads, ManyRegions) {
  int64_t sum = 0;
  for (int round = 0; round < 20000; ++round) {
    std::atomic<int64_t> part{0};
    parallelFor(8, 1, [&](int64_t begin, int64_t end) { part += end - begin; });
    sum += part;
  }
  EXPECT_EQ(sum, 160000);
}

TEST_F(Threads, NestedRegionsRunInline) {
  std::atomic<int> sum{0};
  parallelFor(10, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      auto self = std::this_thread::get_id();
      parallelFor(10, 1, [&](int64_t from, int64_t to) {
        EXPECT_EQ(self, std::this_thread::get_id());
        sum += static_cast<int>(to - from);
      });
    }
  });
  EXPECT_EQ(sum, 100);
}

TEST_F(Threads, ConcurrentCallers) {
  std::vector<std::thread> callers;
  std::atomic<int64_t> sum{0};
  for (int caller = 0; caller < 4; ++caller)
    callers.emplace_back([&] {
      for (int round = 0; round < 2000; ++round)
        parallelFor(20, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
    });
  for (auto &caller : callers)
    caller.join();
  EXPECT_EQ(sum, 4 * 2000 * 20);
}

TEST_F(Threads, ABlockedWorkerDelaysItsPieceAlone) {
  // The first piece waits until all others are done: were pieces dealt out to workers beforehand,
  // or the region's end a matter of workers, this would not end.
  std::atomic<int> done{0};
  parallelFor(16, 1, [&](int64_t begin, int64_t end) {
    if (begin == 0)
      while (done < 16 - (end - begin))
        std::this_thread::yield();
    done += static_cast<int>(end - begin);
  });
  EXPECT_EQ(done, 16);
}

TEST_F(Threads, AWorkerThatComesLateTouchesNothing) {
  // Workers of a region with nothing left for them meet the next region's fields.
  for (int round = 0; round < 3000; ++round) {
    std::vector<int> seen(2 + round % 5);
    parallelFor(static_cast<int64_t>(seen.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        ++seen[i];
    });
    for (int times : seen)
      ASSERT_EQ(times, 1);
    if (round % 100 == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST_F(Threads, AChildOfForkHasAPoolOfItsOwn) {
  parallelFor(8, 1, [](int64_t, int64_t) {});
  pid_t child = fork();
  if (child == 0) {
    std::atomic<int64_t> sum{0};
    for (int round = 0; round < 100; ++round)
      parallelFor(8, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
    _exit(sum == 800 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

#if defined(__x86_64__)
TEST_F(Threads, DenormalsAreZeroOnEveryThread) {
  FlushDenormals mode;
  std::atomic<int> without{0};
  for (int round = 0; round < 50; ++round)
    parallelFor(64, 1, [&](int64_t, int64_t) { without += (_mm_getcsr() & 0x8040) != 0x8040; });
  EXPECT_EQ(without, 0);
}

TEST_F(Threads, TheModeOfTheCallerComesBack) {
  unsigned before = _mm_getcsr();
  _mm_setcsr((before & ~0x6000u) | 0x4000u); // rounding up
  {
    FlushDenormals mode;
    EXPECT_EQ(_mm_getcsr() & 0xE040, 0xC040u) << "flushing, and still rounding up";
  }
  EXPECT_EQ(_mm_getcsr() & 0xE040, 0x4000u);
  _mm_setcsr(before);
}
#endif

} // namespace
