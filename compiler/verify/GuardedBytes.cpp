// In: bytes. Out: their copy, its end at the end of a page, the next page without any access.
#include "compiler/verify/GuardedBytes.h"

#include <cstring>
#include <new>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace qkv {

GuardedBytes::GuardedBytes(const char *bytes, size_t count) : size_(count) {
  auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  size_t readable = (count + page - 1) / page * page;
  mapped_ = readable + page;
  void *memory =
      mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, /*fd=*/-1, 0);
  if (memory == MAP_FAILED)
    throw std::bad_alloc();
  base_ = static_cast<char *>(memory);
  data_ = base_ + readable - count;
  if (count > 0)
    memcpy(data_, bytes, count);
  mprotect(base_ + readable, page, PROT_NONE);
}

GuardedBytes::GuardedBytes(GuardedBytes &&other) noexcept
    : base_(std::exchange(other.base_, nullptr)), data_(other.data_), mapped_(other.mapped_),
      size_(other.size_) {}

GuardedBytes::~GuardedBytes() {
  if (base_)
    munmap(base_, mapped_);
}

} // namespace qkv
