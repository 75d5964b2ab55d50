// What a model was made into: its kernels at the `fused` stage, its buffers at the `kernels` stage.
//
// In: a module on its way, numbers for its sizes. Out: plain data; no MLIR here. What holds:
// kernels stand in the order of their first run, those of a function that is called several times
// (a repeat's step) once, with the counts of all its calls; counts are of one run of the entry.
#pragma once

#include "compiler/explain/Places.h"
#include "runtime/qkv.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace mlir {
class ModuleOp;
} // namespace mlir

namespace qkv {

class Frame;

struct KernelReport {
  struct Equation {
    std::string name;
    Place place; ///< line 0: unknown
  };
  std::string name; ///< what its operations are called, at every stage
  std::string kind; ///< explain/Costs.h
  std::vector<Equation> equations;
  /// A form that was not taken, and what it would cost.
  struct Alternative {
    std::string form;
    double flops = 0, bytes = 0;
  };
  std::string form, why;
  double flops = 0, bytes = 0;
  double times = 0; ///< runs of it in one run of the entry
  std::vector<Alternative> alternatives;
};

struct BufferReport {
  std::string name, why;
  std::optional<double> bytes; ///< nothing: only a run can tell
};

/// Buffers that live at once; inputs, results, parameters and what threads have on their stacks are
/// not among them.
struct PeakReport {
  double bytes = 0;
  bool known = true; ///< false: there are buffers besides whose size only a run can tell
};

struct Explanation {
  std::string file; ///< the model's
  std::vector<KernelReport> kernels;
  std::vector<BufferReport> buffers;
  PeakReport peak;
};

/// Which run is meant.
struct ExplainOptions {
  std::vector<int64_t> sizes; ///< a number for each of the model's, in their order
  qkv_entry_kind entry = QKV_WHOLE;
  std::optional<qkv_part> part; ///< a part of how a stream is computed; then both are the part's
};

/// Where each equation that a module's locations name stands first. Fusion may lose some of them:
/// look at the stage before it.
std::map<std::string, Place> equationPlaces(mlir::ModuleOp module);

/// The kernels of a module at the `fused` stage.
std::vector<KernelReport> kernelsOf(mlir::ModuleOp module, const ExplainOptions &options,
                                    const std::map<std::string, Place> &places);

/// The buffers of a module at the `kernels` stage; `peak` is what lives at once at most.
std::vector<BufferReport> buffersOf(mlir::ModuleOp module, const ExplainOptions &options,
                                    PeakReport &peak);

/// The frame of the entry that is meant; nothing where there is none.
std::optional<Frame> entryFrame(mlir::ModuleOp module, const ExplainOptions &options);

/// Has the model's code say, at the `kernels` stage, which kernel it is about to run, by calls of
/// qkv_time_kernel(number). Returns the names; -1 says that none runs.
std::vector<std::string> timeKernels(mlir::ModuleOp module);

} // namespace qkv
