// In: a body and a range. Out: the body run over pieces of the range on several cores. Holds: a
// worker that lost its core delays the piece it took and nothing else; it may wake after the
// region, find nothing to take, and touch nothing.
#include "runtime/Threads.h"
#include "runtime/Error.h"

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstdlib>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/futex.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace qkv::rt {
namespace {

constexpr int maxThreads = 512;
constexpr int idleSpins = 4000; // about 0.1 ms: the gap between two regions of one run
constexpr int callerSpins = 2000;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

void futexWait(std::atomic<uint32_t> &word, uint32_t value) {
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

void futexWake(std::atomic<uint32_t> &word, int count) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

/// The region that runs. A ticket is (region number << 32 | units not taken): taking a piece, a
/// run of units, is a compare-and-swap on it, which fails for a worker that still believes in an
/// old region; so the fields it read with the ticket are the region's own exactly when it succeeds.
struct Pool {
  alignas(64) std::atomic<uint64_t> ticket{0};
  std::atomic<int64_t> count{0};
  std::atomic<uint32_t> units{0};  // the range divided as finely as its grain allows
  std::atomic<uint32_t> shares{0}; // a piece is what is left divided by this
  std::atomic<Body> body{nullptr};
  std::atomic<void *> argument{nullptr};
  alignas(64) std::atomic<uint32_t> undone{0}; // units not finished; the caller waits on it
  std::atomic<uint32_t> callerSleeps{0};
  alignas(64) std::atomic<uint32_t> wake{0}; // counts regions; idle workers wait on it
  std::atomic<uint32_t> sleepers{0};
  alignas(64) std::atomic<bool> busy{false};
  std::atomic<int> wanted{0}; // threads asked for; 0: not asked
  int started = 0;            // workers; guarded by busy
  bool prepared = false;
};
Pool pool;

/// Takes and runs one piece; false if there is none. Pieces become smaller as less is left: the
/// first are long runs of neighbours, and at the end threads wait for each other's last unit.
bool runPiece() {
  uint64_t ticket = pool.ticket.load(std::memory_order_acquire);
  while (uint32_t left = static_cast<uint32_t>(ticket)) {
    int64_t count = pool.count.load(std::memory_order_relaxed);
    uint32_t units = pool.units.load(std::memory_order_relaxed);
    uint32_t shares = pool.shares.load(std::memory_order_relaxed);
    Body body = pool.body.load(std::memory_order_relaxed);
    void *argument = pool.argument.load(std::memory_order_relaxed);
    uint32_t taken = std::max<uint32_t>(1, left / std::max<uint32_t>(1, shares));
    if (!pool.ticket.compare_exchange_weak(ticket, ticket - taken, std::memory_order_acq_rel,
                                           std::memory_order_acquire))
      continue;
    int64_t each = count / units, longer = count % units;
    auto start = [&](int64_t unit) { return unit * each + std::min<int64_t>(unit, longer); };
    int64_t first = units - left;
    body(argument, start(first), start(first + taken));
    if (pool.undone.fetch_sub(taken) == taken && pool.callerSleeps.load())
      futexWake(pool.undone, 1);
    return true;
  }
  return false;
}

bool work() { return static_cast<uint32_t>(pool.ticket.load(std::memory_order_seq_cst)) != 0; }

void *worker(void *) {
  FlushDenormals mode;
  for (;;) {
    while (runPiece()) {
    }
    int spins = 0;
    while (!work() && ++spins < idleSpins)
      pause();
    if (work())
      continue;
    pool.sleepers.fetch_add(1);
    uint32_t seen = pool.wake.load();
    if (!work())
      futexWait(pool.wake, seen);
    pool.sleepers.fetch_sub(1);
  }
  return nullptr;
}

/// In a child of fork() the workers are gone: it starts its own at its first region.
void forgetWorkers() {
  pool.started = 0;
  pool.sleepers = 0;
  pool.ticket = pool.ticket.load() >> 32 << 32;
  pool.undone = 0;
  pool.busy = false;
}

void start(int workers) {
  if (!pool.prepared) {
    pool.prepared = true;
    pthread_atfork(nullptr, nullptr, forgetWorkers);
  }
  // The program's signals are the business of the program's own threads; what a thread does wrong
  // itself (to read a mapped file where it was cut off) is told to itself.
  sigset_t all, before;
  sigfillset(&all);
  for (int own : {SIGBUS, SIGSEGV, SIGFPE, SIGILL})
    sigdelset(&all, own);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (pool.started < workers) {
    pthread_t thread;
    if (pthread_create(&thread, nullptr, worker, nullptr) != 0) {
      // With fewer workers all pieces are done all the same; it is not tried again at each region.
      pool.wanted = pool.started + 1;
      break;
    }
    pthread_detach(thread);
    ++pool.started;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

int usableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    return CPU_COUNT(&set);
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? static_cast<int>(online) : 1;
}

/// What QKV_THREADS says; 0: nothing, -1: no number of threads.
int threadsAsked() {
  const char *text = getenv("QKV_THREADS");
  if (!text || !*text)
    return 0;
  char *end = nullptr;
  long asked = strtol(text, &end, 10);
  return *end == 0 && asked >= 1 && asked <= maxThreads ? static_cast<int>(asked) : -1;
}

} // namespace

bool checkThreads(qkv_error *error) {
  return threadsAsked() >= 0 ||
         fail(error, format("QKV_THREADS is %s, expected a whole number from 1 to %d",
                            quote(getenv("QKV_THREADS")).c_str(), maxThreads));
}

int threadCount() {
  int wanted = pool.wanted.load(std::memory_order_relaxed);
  if (wanted == 0) {
    int asked = threadsAsked();
    wanted = asked > 0 ? asked : std::clamp(usableCores(), 1, maxThreads);
    int none = 0;
    if (!pool.wanted.compare_exchange_strong(none, wanted))
      wanted = none;
  }
  return wanted;
}

void setThreads(int count) { pool.wanted = std::clamp(count, 1, maxThreads); }

void parallelFor(int64_t count, int64_t grain, Body body, void *argument) {
  if (count <= 0)
    return;
  int64_t units = std::min<int64_t>(grain > 1 ? count / grain : count, INT_MAX);
  int threads = units > 1 ? threadCount() : 1;
  if (threads == 1 || pool.busy.exchange(true, std::memory_order_acquire))
    return body(argument, 0, count);
  if (pool.started < threads - 1)
    start(threads - 1);
  pool.count.store(count, std::memory_order_relaxed);
  pool.units.store(units, std::memory_order_relaxed);
  // The first piece is half of a thread's share: the other half is there for what comes late.
  pool.shares.store(2 * threads, std::memory_order_relaxed);
  pool.body.store(body, std::memory_order_relaxed);
  pool.argument.store(argument, std::memory_order_relaxed);
  pool.undone.store(units, std::memory_order_relaxed);
  uint64_t region = (pool.ticket.load(std::memory_order_relaxed) >> 32) + 1;
  pool.ticket.store(region << 32 | static_cast<uint64_t>(units));
  pool.wake.fetch_add(1);
  if (pool.sleepers.load())
    futexWake(pool.wake, static_cast<int>(std::min<int64_t>(units - 1, INT_MAX)));
  while (runPiece()) {
  }
  for (int spins = 0; pool.undone.load(std::memory_order_acquire) && spins < callerSpins; ++spins)
    pause();
  if (pool.undone.load(std::memory_order_acquire)) {
    pool.callerSleeps.store(1);
    while (uint32_t left = pool.undone.load())
      futexWait(pool.undone, left);
    pool.callerSleeps.store(0);
  }
  pool.busy.store(false, std::memory_order_release);
}

#if defined(__x86_64__)
FlushDenormals::FlushDenormals() : saved(_mm_getcsr()) { _mm_setcsr(saved | 0x8040); }
FlushDenormals::~FlushDenormals() { _mm_setcsr(static_cast<unsigned>(saved)); }
#elif defined(__aarch64__)
FlushDenormals::FlushDenormals() {
  asm volatile("mrs %0, fpcr" : "=r"(saved));
  asm volatile("msr fpcr, %0" ::"r"(saved | 1u << 24));
}
FlushDenormals::~FlushDenormals() { asm volatile("msr fpcr, %0" ::"r"(saved)); }
#else
FlushDenormals::FlushDenormals() : saved(0) {}
FlushDenormals::~FlushDenormals() {}
#endif

} // namespace qkv::rt
