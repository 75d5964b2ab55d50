// Memory for what a sequence keeps of one tensor.
//
// In: how many bytes it can become. Out: a place that does not move. Holds: addresses are reserved
// at once, memory is taken as it is written and given back in front (few bytes aside, which are
// taken at once); so rows are added in place, whatever a stream's maximum is. Rows that never
// change are shared by copies: the same pages of memory stand at the addresses of each, and the
// code that reads them sees one row behind the other as ever.
#pragma once

#include "runtime/qkv.h"

#include <cstddef>
#include <cstdint>
#include <vector>

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
  /// The first `bytes` of another are kept here at the same place of as large a reserve. With
  /// `share` they never change and none was left out in front: whole blocks of them are the same
  /// memory in both. False with *error set; what was here is gone.
  bool copy(const KeptBuffer &other, size_t bytes, bool share, qkv_error *error);
  /// What is written behind the first `bytes` from now on is seen here alone. False with *error
  /// set and nothing changed.
  bool own(size_t bytes, qkv_error *error);

private:
  /// Memory that copies may have, too: from where the one before ends to `end`. Two buffers have
  /// the same memory there if the numbers are the same.
  struct Block {
    uint64_t number;
    size_t end;
  };

  void release();
  size_t sharedEnd() const { return blocks.empty() ? 0 : blocks.back().end; }
  void shareable(size_t bytes) const;
  bool takeBlocks(const KeptBuffer &other, size_t bytes);

  char *memory = nullptr;
  size_t room = 0, front = 0;
  mutable std::vector<Block> blocks; // from the front, without gaps
};

} // namespace qkv::rt
