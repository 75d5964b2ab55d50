// What a sequence keeps takes the memory that it needs, however much it may come to need.
#include "runtime/streams/KeptBuffer.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

namespace qkv::rt {
namespace {

/// Bytes of memory behind the first `bytes` of a buffer.
size_t resident(const KeptBuffer &buffer, size_t bytes) {
  size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages((bytes + page - 1) / page);
  EXPECT_EQ(mincore(buffer.begin(), bytes, pages.data()), 0);
  size_t count = 0;
  for (unsigned char one : pages)
    count += one & 1;
  return count * page;
}

TEST(KeptBuffer, aShortSequenceTakesLittle) {
  constexpr size_t most = size_t(64) << 20, rows = 128 << 10;
  KeptBuffer buffer;
  qkv_error error = {};
  error.size = sizeof error;
  ASSERT_TRUE(buffer.reserve(most, &error)) << error.text;
  memset(buffer.begin(), 1, rows);
  EXPECT_LE(resident(buffer, most), size_t(256) << 10);
  // And gives back what lies behind it.
  buffer.drop(rows);
  EXPECT_LE(resident(buffer, most - rows), size_t(8) << 10);
}

/// Bytes of memory that this process alone has, and its share of what others have, too; memory at
/// two of its addresses counts once.
size_t memoryInUse() {
  std::ifstream file("/proc/self/smaps_rollup");
  std::string word;
  while (file >> word)
    if (word == "Pss:" && file >> word)
      return std::stoull(word) << 10;
  return 0;
}

TEST(KeptBuffer, copiesShareMemory) {
  constexpr size_t most = size_t(256) << 20, rows = size_t(16) << 20;
  qkv_error error = {};
  error.size = sizeof error;
  KeptBuffer first;
  ASSERT_TRUE(first.reserve(most, &error)) << error.text;
  memset(first.begin(), 1, rows);
  size_t before = memoryInUse();
  if (!before)
    GTEST_SKIP() << "the kernel does not say what memory is in use";
  std::vector<KeptBuffer> copies(8);
  for (KeptBuffer &one : copies) {
    ASSERT_TRUE(one.copy(first, rows, /*share=*/true, &error)) << error.text;
    ASSERT_EQ(memcmp(one.begin(), first.begin(), rows), 0); // all of it has been read
  }
  EXPECT_LE(memoryInUse(), before + (size_t(4) << 20));
  // What is not to be shared is not.
  KeptBuffer alone;
  ASSERT_TRUE(alone.copy(first, rows, /*share=*/false, &error)) << error.text;
  alone.begin()[5] = 7;
  EXPECT_EQ(first.begin()[5], 1);
}

/// A buffer, and what must be in it.
struct Followed {
  KeptBuffer buffer;
  std::vector<char> rows;
};

TEST(KeptBuffer, noCopySeesWhatAnotherWrites) {
  constexpr size_t most = size_t(8) << 20;
  std::mt19937_64 random(5);
  qkv_error error = {};
  error.size = sizeof error;
  std::deque<Followed> all(1);
  ASSERT_TRUE(all[0].buffer.reserve(most, &error)) << error.text;
  auto pick = [&]() -> Followed & { return all[random() % all.size()]; };
  auto expectRight = [&](int turn) {
    for (size_t i = 0; i < all.size(); ++i)
      ASSERT_TRUE(std::equal(all[i].rows.begin(), all[i].rows.end(), all[i].buffer.begin()))
          << "buffer " << i << " behind turn " << turn;
  };
  for (int turn = 0; turn < 400; ++turn) {
    Followed &one = pick();
    size_t count = random() % 4 ? random() % 9000 : random() % (size_t(2) << 20);
    switch (random() % 4) {
    case 0: // more rows
    case 1: {
      size_t before = one.rows.size();
      one.rows.resize(std::min(before + count, most));
      for (size_t i = before; i < one.rows.size(); ++i)
        one.buffer.begin()[i] = one.rows[i] = static_cast<char>(random());
      break;
    }
    case 2: // back
      one.rows.resize(one.rows.size() - std::min(count, one.rows.size()));
      ASSERT_TRUE(one.buffer.own(one.rows.size(), &error)) << error.text;
      break;
    case 3: { // a copy, over another or new
      if (all.size() < 6) {
        all.emplace_back();
        ASSERT_TRUE(all.back().buffer.reserve(most, &error)) << error.text;
      }
      Followed &to = pick();
      if (&to == &one)
        break;
      ASSERT_TRUE(to.buffer.copy(one.buffer, one.rows.size(), random() % 8 != 0, &error))
          << error.text;
      to.rows = one.rows;
    }
    }
    if (HasFatalFailure())
      return;
    expectRight(turn);
    if (HasFatalFailure())
      return;
  }
}

} // namespace
} // namespace qkv::rt
