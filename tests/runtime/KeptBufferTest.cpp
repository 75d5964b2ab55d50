// What a sequence keeps takes the memory that it needs, however much it may come to need.
#include "runtime/streams/KeptBuffer.h"

#include <cstring>
#include <gtest/gtest.h>
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

} // namespace
} // namespace qkv::rt
