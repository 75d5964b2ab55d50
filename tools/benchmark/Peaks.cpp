// Peaks of this machine. Holds: the arithmetic has no memory in it, and enough independent sums to
// hide its latency; the memory is larger than any cache.
#include "tools/benchmark/Peaks.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>
#include <sys/mman.h>

namespace qkv::bench {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

constexpr int sums = 12; // a latency of 4 on two pipes needs 8; SSE has 16 registers for them

// One body for all widths: what differs is the type, and the target that a caller is compiled for.
template <typename Vector> [[gnu::always_inline]] inline float chains(int64_t rounds) {
  Vector sum[sums], scale, step;
  for (unsigned lane = 0; lane < sizeof(Vector) / sizeof(float); ++lane) {
    scale[lane] = 0.999f;
    step[lane] = 1e-3f;
    for (int i = 0; i < sums; ++i)
      sum[i][lane] = static_cast<float>(i + 1);
  }
  // Opaque: else what the loop does would be known before it runs.
  asm volatile("" : "+m"(scale), "+m"(step));
  for (int64_t round = 0; round < rounds; ++round)
    for (int i = 0; i < sums; ++i)
      sum[i] = sum[i] * scale + step;
  float total = 0;
  for (int i = 0; i < sums; ++i)
    total += sum[i][0];
  return total;
}

using Vector4 [[gnu::vector_size(16)]] = float;
using Vector8 [[gnu::vector_size(32)]] = float;
using Vector16 [[gnu::vector_size(64)]] = float;

#if defined(__x86_64__)
[[gnu::target("fma"), gnu::noinline]] float chains4(int64_t n) { return chains<Vector4>(n); }
[[gnu::target("avx2,fma"), gnu::noinline]] float chains8(int64_t n) { return chains<Vector8>(n); }
[[gnu::target("avx512f"), gnu::noinline]] float chains16(int64_t n) { return chains<Vector16>(n); }
#else
float chains4(int64_t n) { return chains<Vector4>(n); }
float chains8(int64_t n) { return chains<Vector8>(n); }
float chains16(int64_t n) { return chains<Vector16>(n); }
#endif

volatile float keptFloat;
volatile uint64_t keptBits;

} // namespace

int widestLanes() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") ? 16
         : __builtin_cpu_supports("fma")   ? (__builtin_cpu_supports("avx2") ? 8 : 4)
                                           : 0;
#else
  return 4;
#endif
}

double multiplyAdds(int lanes, int64_t rounds, double &flops) {
  flops = 2.0 * sums * lanes * static_cast<double>(rounds);
  double started = now();
  keptFloat = lanes == 16 ? chains16(rounds) : lanes == 8 ? chains8(rounds) : chains4(rounds);
  return now() - started;
}

double peakFlops(int lanes) {
  if (lanes == 0)
    return 0;
  double best = 0, flops = 0;
  for (int run = 0; run < 15; ++run) {
    double seconds = multiplyAdds(lanes, 400000, flops);
    best = std::max(best, flops / seconds);
  }
  return best;
}

ReadBuffer::ReadBuffer(int64_t bytes) : bytes_(bytes & ~int64_t(4095)) {
  void *memory = mmap(nullptr, static_cast<size_t>(bytes_), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    throw std::bad_alloc();
  data_ = static_cast<char *>(memory);
  madvise(data_, static_cast<size_t>(bytes_), MADV_HUGEPAGE);
  memset(data_, 1, static_cast<size_t>(bytes_));
}

ReadBuffer::~ReadBuffer() { munmap(data_, static_cast<size_t>(bytes_)); }

double ReadBuffer::read() const {
  using Line [[gnu::vector_size(64)]] = uint64_t;
  const auto *line = reinterpret_cast<const Line *>(data_);
  double started = now();
  Line a{}, b{}, c{}, d{};
  for (int64_t i = 0; i < bytes_ / 64; i += 4)
    a ^= line[i], b ^= line[i + 1], c ^= line[i + 2], d ^= line[i + 3];
  a ^= b ^ c ^ d;
  keptBits = a[0] ^ a[7];
  return now() - started;
}

double readBandwidth() {
  ReadBuffer buffer(int64_t(256) << 20);
  double best = 0;
  for (int pass = 0; pass < 7; ++pass)
    best = std::max(best, static_cast<double>(buffer.bytes()) / buffer.read());
  return best;
}

} // namespace qkv::bench
