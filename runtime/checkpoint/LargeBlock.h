// Memory for much that lives equally long. In: how much at most. Out: parts of it. Holds: parts
// lie behind one another in large pages; nothing of it is real before it is touched.
#pragma once

#include <cstddef>

namespace qkv::rt {

class LargeBlock {
public:
  LargeBlock() = default;
  LargeBlock(const LargeBlock &) = delete;
  ~LargeBlock();

  /// Room for `bytes`, once. None where that is little, or where the system has none to give:
  /// then take() has nothing.
  void reserve(size_t bytes);
  /// A part for `bytes`, aligned to a cache line; null if the rest is smaller.
  void *take(size_t bytes);

private:
  char *mapped = nullptr, *next = nullptr, *end = nullptr;
  size_t mappedBytes = 0;
};

} // namespace qkv::rt
