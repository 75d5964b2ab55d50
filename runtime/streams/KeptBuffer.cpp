// Reserved addresses (KeptBuffer.h).
#include "runtime/streams/KeptBuffer.h"

#include "runtime/Error.h"

#include <algorithm>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace qkv::rt {

/// Up to so many bytes memory is taken at once, from what is free already: short sequences, of
/// which there are many, would spend their time in the kernel.
static constexpr size_t small = size_t(64) << 10;
/// Behind so many bytes the kernel is asked for large pages. (In front of them a sequence that
/// stays short would have 2 MB cleared for the first row of each of its buffers.)
static constexpr size_t large = size_t(4) << 20;

KeptBuffer::KeptBuffer(KeptBuffer &&other) noexcept { *this = std::move(other); }

KeptBuffer &KeptBuffer::operator=(KeptBuffer &&other) noexcept {
  std::swap(memory, other.memory);
  std::swap(room, other.room);
  std::swap(front, other.front);
  return *this;
}

KeptBuffer::~KeptBuffer() { release(); }

void KeptBuffer::release() {
  if (room > small)
    munmap(memory, room);
  else
    qkv_free(memory);
}

bool KeptBuffer::reserve(size_t most, qkv_error *error) {
  size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  most = std::max(most, size_t(1));
  if (most > SIZE_MAX - page)
    return fail(error, "a sequence would keep more than there are addresses");
  if (most > small)
    most = (most + page - 1) / page * page;
  void *made = nullptr;
  if (most <= small)
    made = memset(qkv_alloc(most), 0, most);
  else
    made = mmap(nullptr, most, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                -1, 0);
  if (made == MAP_FAILED)
    return fail(error,
                format("no addresses for the %zu bytes that a sequence can come to keep", most));
  if (most > large)
    madvise(static_cast<char *>(made) + large, most - large, MADV_HUGEPAGE);
  release();
  memory = static_cast<char *>(made);
  room = most;
  front = 0;
  return true;
}

void KeptBuffer::drop(size_t bytes) {
  size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  size_t before = front / page * page;
  front += bytes;
  size_t after = front / page * page;
  if (room > small && after > before)
    madvise(memory + before, after - before, MADV_DONTNEED);
}

void KeptBuffer::restore(const char *bytes, size_t count, size_t dropped) {
  front = dropped;
  memcpy(begin(), bytes, count);
}

bool KeptBuffer::copy(const KeptBuffer &other, size_t bytes, qkv_error *error) {
  if (room != other.room && !reserve(other.room, error))
    return false;
  front = other.front;
  memcpy(begin(), other.begin(), bytes);
  return true;
}

} // namespace qkv::rt
