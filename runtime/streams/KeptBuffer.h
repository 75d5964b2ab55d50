// Memory for what a sequence keeps of one tensor.
//
// In: how many bytes it can become. Out: a place that does not move. Holds: addresses are reserved
// at once, memory is taken as it is written and given back in front (few bytes aside, which are
// taken at once); so rows are added in place, whatever a stream's maximum is.
#pragma once

#include "runtime/qkv.h"

#include <cstddef>

namespace qkv::rt {

class KeptBuffer {
public:
  KeptBuffer() = default;
  KeptBuffer(const KeptBuffer &) = delete;
  KeptBuffer(KeptBuffer &&other) noexcept;
  KeptBuffer &operator=(KeptBuffer &&other) noexcept;
  ~KeptBuffer();

  /// Addresses for `most` bytes; what was here is gone. False with *error set where there are none.
  bool reserve(size_t most, qkv_error *error);
  size_t most() const { return room; }
  /// Where what is kept begins.
  char *begin() const { return memory + front; }
  size_t dropped() const { return front; }
  /// Leaves out bytes in front, and gives memory back.
  void drop(size_t bytes);
  /// What is kept is `bytes` again that began behind `dropped` others.
  void restore(const char *bytes, size_t count, size_t dropped);
  /// The first `bytes` of another are kept here at the same place of as large a reserve. False with
  /// *error set.
  bool copy(const KeptBuffer &other, size_t bytes, qkv_error *error);

private:
  void release();

  char *memory = nullptr;
  size_t room = 0, front = 0;
};

} // namespace qkv::rt
