// Runs modules of the `graph` stage in this process: through the pipeline, and through the
// plain loops that are the oracle.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace qkv::test {

/// A tensor's elements: f32, i64 or bool, one of the three filled.
struct Buffer {
  char type = 'f'; ///< 'f', 'i', 'b'
  std::vector<int64_t> shape;
  std::vector<float> floats;
  std::vector<int64_t> ints;
  std::vector<uint8_t> bools;
  int64_t count() const;
  void *data();
};

/// A tensor or result argument of the entry, after its attributes:
/// `test.dims = [s, ...]`, for each dynamic extent the number of the size argument plus 16
/// times what is added to it; `test.below = n`, integers in [0, n) (n = 0: the first size);
/// `test.scale = x`, floats in [-x, x].
struct Argument {
  Buffer sample;
  std::vector<int64_t> fixed; ///< extents, -1 where dynamic
  std::vector<int64_t> dims;
  int64_t below = 8;
  double scale = 1;
  bool result = false;
};

enum class Lowering {
  Pipeline, ///< all of it
  Plain,    ///< no fusion, plain loops, libm
  Replayed, ///< all of it, each stage printed, parsed in a fresh context and continued
};

struct Counts {
  int64_t live = 0, peak = 0, allocations = 0; ///< bytes, bytes, calls
  std::vector<std::array<int64_t, 3>> failed;  ///< site, value, bound
  int64_t parallel = 0;
};

/// A compiled module with one entry.
class Module {
public:
  Module(const std::string &text, Lowering lowering, const std::string &cpu = "native");
  ~Module();

  /// Inputs of these sizes, the same for equal seeds.
  std::vector<Buffer> inputs(const std::vector<int64_t> &sizes, uint64_t seed = 1) const;
  std::vector<Buffer> run(const std::vector<int64_t> &sizes, std::vector<Buffer> inputs);
  /// The same, timed: the least seconds of `rounds`.
  double time(const std::vector<int64_t> &sizes, std::vector<Buffer> inputs, int rounds);
  /// The inputs of the last run as the code left them.
  const std::vector<Buffer> &lastInputs() const;
  static Counts &counts();

private:
  struct Data;
  std::unique_ptr<Data> data_;
};

std::string readFile(const std::string &path);

/// Whether this machine runs code for a processor of this name.
bool hostRuns(const std::string &cpu);

/// The text of a module through the stages up to `to`.
std::string stageText(const std::string &text, const std::string &to, const std::string &cpu);

} // namespace qkv::test
