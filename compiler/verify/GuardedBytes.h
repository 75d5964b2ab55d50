// Memory for what compiled code reads. Holds: a read behind the last byte ends the process, so that
// it cannot pass unseen.
#pragma once

#include <cstddef>

namespace qkv {

/// A copy of some bytes, directly before a page that nobody may touch.
class GuardedBytes {
public:
  /// Throws std::bad_alloc.
  GuardedBytes(const char *bytes, size_t count);
  GuardedBytes(GuardedBytes &&other) noexcept;
  GuardedBytes &operator=(GuardedBytes &&) = delete;
  ~GuardedBytes();

  char *data() const { return data_; }
  size_t size() const { return size_; }

private:
  char *base_, *data_;
  size_t mapped_, size_;
};

} // namespace qkv
