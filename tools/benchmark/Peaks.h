// What the machine can do at most, measured now. In: a vector width, a number of bytes. Out:
// seconds. Nothing here calls the code that is measured against it.
#pragma once

#include <cstdint>

namespace qkv::bench {

/// f32 lanes of the widest vector registers that this processor has with multiply-add; 0: none.
int widestLanes();

/// Seconds for `rounds` of independent multiply-adds in registers, `lanes` (4, 8 or 16) at a time.
/// `flops` is what they do. The processor must have such vectors.
double multiplyAdds(int lanes, int64_t rounds, double &flops);

/// The best of several short runs, in FLOP/s; 0 without multiply-add.
double peakFlops(int lanes);

/// Memory to be read, in large pages where the kernel has them.
class ReadBuffer {
public:
  explicit ReadBuffer(int64_t bytes);
  ~ReadBuffer();
  ReadBuffer(const ReadBuffer &) = delete;
  /// Reads all of it, front to back, on this thread. Seconds.
  double read() const;
  int64_t bytes() const { return bytes_; }

private:
  char *data_;
  int64_t bytes_;
};

/// Bytes a second that one core reads from memory; the best of several passes.
double readBandwidth();

} // namespace qkv::bench
