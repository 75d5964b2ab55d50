// In: a body and a range. Out: the body run over pieces of the range on several cores. Holds: each
// index exactly once; the call ends when the pieces are done, not when the workers have reported.
#pragma once

#include "runtime/qkv.h"

#include <cstdint>

namespace qkv::rt {

using Body = void (*)(void *argument, int64_t begin, int64_t end);

/// Runs body over [0, count) in pieces of at least `grain`. Callers that find the pool busy (other
/// threads, bodies themselves) run the whole range inline.
void parallelFor(int64_t count, int64_t grain, Body body, void *argument);

/// The same for a callable `f(begin, end)`.
template <typename F> void parallelFor(int64_t count, int64_t grain, F &&f) {
  parallelFor(
      count, grain,
      [](void *argument, int64_t begin, int64_t end) {
        (*static_cast<decltype(&f)>(argument))(begin, end);
      },
      &f);
}

/// Whether QKV_THREADS, if it is set, is a number of threads. False with *error set.
bool checkThreads(qkv_error *error);

/// Threads that compute, the caller's among them: the cores this process may use, unless
/// QKV_THREADS or setThreads says otherwise. From the first call of parallelFor it is fixed.
int threadCount();
void setThreads(int count);

/// Denormals count as zero while it lives (they cost softmaxes a factor of 20); then the
/// caller's mode is restored. The rounding direction is the caller's throughout.
class FlushDenormals {
public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals &) = delete;

private:
  uint64_t saved;
};

} // namespace qkv::rt
