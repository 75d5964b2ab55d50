// The stack's memory, the thread that has it, and what stands in for the thread.
#include "dsl/DeepStack.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>

namespace qkv {
namespace {

/// Address space that this process may still take; SIZE_MAX without a limit.
size_t addressesLeft() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return SIZE_MAX;
  unsigned long pages = 0;
  if (FILE *file = fopen("/proc/self/statm", "r")) {
    char text[128] = "";
    if (fgets(text, sizeof text, file))
      pages = strtoul(text, nullptr, 10); // the first number: all that is mapped
    fclose(file);
  }
  size_t used = pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

struct Call {
  const std::function<void(const char *)> &fn;
  const char *base;
  std::exception_ptr thrown;
};

void *body(void *argument) {
  Call &call = *static_cast<Call *>(argument);
  try {
    call.fn(call.base);
  } catch (...) {
    call.thrown = std::current_exception();
  }
  return nullptr;
}

/// makecontext hands over ints.
void bodyOfHalves(unsigned high, unsigned low) {
  body(reinterpret_cast<void *>(static_cast<uintptr_t>(high) << 32 | low));
}

bool runOnThread(char *base, size_t size, Call &call) {
  pthread_attr_t attributes;
  pthread_t thread;
  if (pthread_attr_init(&attributes) != 0)
    return false;
  bool started = pthread_attr_setstack(&attributes, base, size) == 0 &&
                 pthread_create(&thread, &attributes, body, &call) == 0;
  pthread_attr_destroy(&attributes);
  if (started)
    pthread_join(thread, nullptr);
  return started;
}

void runHere(char *base, size_t size, Call &call) {
  ucontext_t there, back;
  getcontext(&there);
  there.uc_stack.ss_sp = base;
  there.uc_stack.ss_size = size;
  there.uc_link = &back;
  auto address = reinterpret_cast<uintptr_t>(&call);
  makecontext(&there, reinterpret_cast<void (*)()>(bodyOfHalves), 2,
              static_cast<unsigned>(address >> 32), static_cast<unsigned>(address));
  swapcontext(&back, &there);
}

} // namespace

DeepStack::DeepStack(size_t most, size_t least) {
  constexpr size_t page = 1 << 16;
  size_t wanted = std::max(least, std::min(most, addressesLeft() / 2)) / page * page;
  for (size_ = wanted; size_ >= least; size_ = size_ / 2 / page * page) {
    void *memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory != MAP_FAILED) {
      base_ = static_cast<char *>(memory);
      return;
    }
  }
  size_ = 0;
}

DeepStack::~DeepStack() {
  if (base_)
    munmap(base_, size_);
}

bool DeepStack::run(const std::function<void(const char *)> &fn) {
  if (!base_)
    return false;
  Call call{fn, base_, nullptr};
  if (!runOnThread(base_, size_, call))
    runHere(base_, size_, call);
  madvise(base_, size_, MADV_DONTNEED);
  if (call.thrown)
    std::rethrow_exception(call.thrown);
  return true;
}

} // namespace qkv
