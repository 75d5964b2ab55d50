// Reserved addresses (KeptBuffer.h).
#include "runtime/streams/KeptBuffer.h"

#include "runtime/Error.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <pthread.h>
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
/// Blocks that copies share have at least so many bytes: what is shorter is copied sooner.
static constexpr size_t block = size_t(256) << 10;

static size_t pageSize() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

/// Memory of nobody's yet, at `place` if that is given; null where there is none.
static char *freshMemory(char *place, size_t bytes, int sharing) {
  void *made = mmap(place, bytes, PROT_READ | PROT_WRITE,
                    sharing | MAP_ANONYMOUS | MAP_NORESERVE | (place ? MAP_FIXED : 0), -1, 0);
  return made == MAP_FAILED ? nullptr : static_cast<char *>(made);
}

/// Memory with the same bytes takes the place of what stands at `place`, at once. False with
/// nothing changed where there is none.
static bool replaceMemory(char *place, size_t bytes, size_t written, int sharing) {
  char *made = freshMemory(nullptr, bytes, sharing);
  if (!made)
    return false;
  memcpy(made, place, written);
  if (mremap(made, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place) != MAP_FAILED)
    return true;
  munmap(made, bytes);
  return false;
}

KeptBuffer::KeptBuffer(KeptBuffer &&other) noexcept { *this = std::move(other); }

KeptBuffer &KeptBuffer::operator=(KeptBuffer &&other) noexcept {
  std::swap(memory, other.memory);
  std::swap(room, other.room);
  std::swap(front, other.front);
  std::swap(blocks, other.blocks);
  return *this;
}

KeptBuffer::~KeptBuffer() { release(); }

void KeptBuffer::release() {
  if (room > small)
    munmap(memory, room);
  else
    qkv_free(memory);
  memory = nullptr;
  room = front = 0;
  blocks.clear();
}

bool KeptBuffer::reserve(size_t most, qkv_error *error) {
  size_t page = pageSize();
  most = std::max(most, size_t(1));
  if (most > SIZE_MAX - page)
    return fail(error, "a sequence would keep more than there are addresses");
  if (most > small)
    most = (most + page - 1) / page * page;
  char *made = most <= small ? static_cast<char *>(memset(qkv_alloc(most), 0, most))
                             : freshMemory(nullptr, most, MAP_PRIVATE);
  if (!made)
    return fail(error,
                format("no addresses for the %zu bytes that a sequence can come to keep", most));
  if (most > large)
    madvise(made + large, most - large, MADV_HUGEPAGE);
  release();
  memory = made;
  room = most;
  return true;
}

void KeptBuffer::drop(size_t bytes) {
  size_t page = pageSize();
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

/// Makes whole blocks of the first `bytes` such that another can have them. Where there is no
/// memory for it they stay what they are.
void KeptBuffer::shareable(size_t bytes) const {
  static std::atomic<uint64_t> numbers = 0;
  size_t begin = sharedEnd(), end = begin + (bytes - std::min(begin, bytes)) / block * block;
  if (end > begin && replaceMemory(memory + begin, end - begin, end - begin, MAP_SHARED))
    blocks.push_back({++numbers, end});
}

/// The other's blocks among the first `bytes` stand here, too. False where the kernel does not do
/// it: then there may be nothing at some addresses.
bool KeptBuffer::takeBlocks(const KeptBuffer &other, size_t bytes) {
  size_t same = 0;
  while (same < blocks.size() && same < other.blocks.size() && blocks[same].end <= bytes &&
         blocks[same].number == other.blocks[same].number &&
         blocks[same].end == other.blocks[same].end)
    ++same;
  size_t end = sharedEnd();
  blocks.resize(same);
  if (end > sharedEnd() && !freshMemory(memory + sharedEnd(), end - sharedEnd(), MAP_PRIVATE))
    return false;
  for (; same < other.blocks.size() && other.blocks[same].end <= bytes; ++same) {
    // (An old size of 0 asks for a second place of shared memory.)
    size_t begin = sharedEnd();
    if (mremap(other.memory + begin, 0, other.blocks[same].end - begin,
               MREMAP_MAYMOVE | MREMAP_FIXED, memory + begin) == MAP_FAILED)
      return false;
    blocks.push_back(other.blocks[same]);
  }
  return true;
}

bool KeptBuffer::copy(const KeptBuffer &other, size_t bytes, bool share, qkv_error *error) {
  if (room != other.room && !reserve(other.room, error))
    return false;
  size_t own = 0;
  if (share && bytes >= block) {
    // Several threads may copy one sequence. (The C++ library's mutex would bring its exceptions
    // along.)
    static pthread_mutex_t sharing = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&sharing);
    other.shareable(bytes);
    bool taken = takeBlocks(other, bytes);
    pthread_mutex_unlock(&sharing);
    if (taken)
      own = sharedEnd();
    else if (!reserve(other.room, error)) // all anew, and all is copied
      return false;
  } else if (!this->own(0, error)) {
    return false;
  }
  front = other.front;
  if (bytes > own)
    memcpy(begin() + own, other.begin() + own, bytes - own);
  return true;
}

bool KeptBuffer::own(size_t bytes, qkv_error *error) {
  size_t end = sharedEnd(), whole = bytes / pageSize() * pageSize();
  if (bytes >= end)
    return true;
  if (!replaceMemory(memory + whole, end - whole, bytes - whole, MAP_PRIVATE))
    return fail(error,
                format("no memory to go back to the first %zu bytes that a sequence keeps", bytes));
  while (!blocks.empty() && blocks.back().end > whole) {
    size_t begin = blocks.size() > 1 ? blocks[blocks.size() - 2].end : 0;
    if (begin >= whole) {
      blocks.pop_back();
    } else {
      blocks.back().end = whole;
      break;
    }
  }
  return true;
}

} // namespace qkv::rt
