// One mapping, in large pages where the system gives them. Each of them is a fault, and a row of
// the table in which the processor looks up addresses: matrices that begin and end inside one
// share it, while memory of their own would leave the ends of each to small pages.
#include "runtime/checkpoint/LargeBlock.h"

#include <cstdint>
#include <sys/mman.h>

namespace qkv::rt {
namespace {

constexpr size_t largePage = 2 << 20, line = 64;

} // namespace

LargeBlock::~LargeBlock() {
  if (mapped)
    munmap(mapped, mappedBytes);
}

void LargeBlock::reserve(size_t bytes) {
  if (mapped || bytes < 2 * largePage || bytes > SIZE_MAX / 2)
    return;
  mappedBytes = bytes + largePage;
  void *memory = mmap(nullptr, mappedBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return;
  mapped = static_cast<char *>(memory);
  next = mapped + -reinterpret_cast<uintptr_t>(mapped) % largePage;
  end = next + bytes;
  madvise(next, bytes, MADV_HUGEPAGE);
}

void *LargeBlock::take(size_t bytes) {
  size_t rounded = (bytes + line - 1) / line * line;
  if (rounded < bytes || rounded > static_cast<size_t>(end - next))
    return nullptr;
  void *part = next;
  next += rounded;
  return part;
}

} // namespace qkv::rt
