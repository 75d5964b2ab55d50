// How many bytes the sequences of a session may keep together.
//
// In: what each sequence asks for before it keeps more. Out: whether that is there. Holds: the sum
// of what was given and not given back is never above the bound; several threads may ask.
#pragma once

#include <atomic>
#include <cstddef>

namespace qkv::rt {

class Room {
public:
  explicit Room(size_t most = 0) : bound(most) {}

  /// At most so many bytes from now on; 0: no bound. What is kept already stays.
  void limit(size_t most) { bound = most; }
  size_t most() const { return bound; }
  size_t used() const { return inUse; }

  /// True if there are so many bytes more, which are then in use.
  bool take(size_t bytes) {
    size_t before = inUse, limit = bound;
    do
      if (limit != 0 && (before > limit || bytes > limit - before))
        return false;
    while (!inUse.compare_exchange_weak(before, before + bytes));
    return true;
  }
  void give(size_t bytes) { inUse -= bytes; }

private:
  std::atomic<size_t> bound, inUse = 0;
};

} // namespace qkv::rt
