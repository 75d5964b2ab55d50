// Buffers of the `kernels` stage. Holds: a buffer is an allocation, or a view of one where a plan
// laid several into it; what lives at once follows from where they are freed.
#include "compiler/dialect/QkvDialect.h"
#include "compiler/explain/Explain.h"
#include "compiler/explain/Frame.h"
#include "compiler/explain/Places.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/DenseSet.h"

#include <algorithm>
#include <map>
#include <set>

namespace qkv {

using namespace mlir;

namespace {

/// Follows a run: what is allocated, what is freed, how much lives at most.
class Run {
public:
  Run(std::vector<BufferReport> &buffers, const std::string &file)
      : buffers_(buffers), file_(file) {}
  PeakReport peak() const { return peak_; }

  void block(Block &block, Frame &frame) {
    for (Operation &op : block) {
      if (isa<memref::AllocOp>(op)) {
        std::optional<double> known = frame.bytes(op.getResult(0));
        peak_.known &= known.has_value();
        double bytes = known.value_or(0);
        live_[op.getResult(0)] = bytes;
        now_ += bytes;
        peak_.bytes = std::max(peak_.bytes, now_);
        note(op, frame);
      } else if (isa<memref::AllocaOp, memref::ViewOp>(op)) {
        note(op, frame);
      } else if (auto freed = dyn_cast<memref::DeallocOp>(op)) {
        auto held = live_.find(freed.getMemref());
        if (held != live_.end()) {
          now_ -= held->second;
          live_.erase(held);
        }
      } else if (auto call = dyn_cast<func::CallOp>(op)) {
        if (std::optional<Frame> callee = Frame::of(call, frame))
          block_(callee->function().getBody(), *callee);
      } else {
        for (Region &region : op.getRegions())
          block_(region, frame);
      }
    }
  }

private:
  void block_(Region &region, Frame &frame) {
    for (Block &inner : region)
      block(inner, frame);
  }

  /// Once, however often it runs.
  void note(Operation &op, Frame &frame) {
    if (!noted_.insert(&op).second)
      return;
    if (isArena(op.getResult(0)))
      return;
    BufferReport &buffer = buffers_.emplace_back();
    auto why = op.getAttrOfType<StringAttr>(whyAttribute);
    buffer.name = nameOrLineOf(op.getLoc());
    // Of one equation there may be several; where nothing says what each is for, they are numbered.
    if (int number = ++named_[buffer.name]; number > 1 && !why)
      buffer.name += " (" + std::to_string(number) + ")";
    buffer.bytes = frame.bytes(op.getResult(0));
    buffer.why = why ? why.str() : readers(op.getResult(0));
    if (isa<memref::AllocaOp>(op))
      buffer.why += ", on the stack of each thread";
  }

  /// Memory that buffers are laid out in, here or in a function that it is handed to.
  static bool isArena(Value memory) {
    auto type = cast<MemRefType>(memory.getType());
    return type.getRank() == 1 && type.getElementType().isInteger(8) &&
           llvm::all_of(memory.getUsers(), [](Operation *user) {
             return isa<memref::ViewOp, memref::DeallocOp, func::CallOp>(user);
           });
  }

  /// Who touches it: lines of the model, then of other files.
  std::string readers(Value buffer) const {
    std::map<std::string, std::set<int>> lines;
    for (Operation *user : buffer.getUsers())
      if (!isa<memref::DeallocOp>(user))
        if (Place place = placeOf(user->getLoc()); place.line)
          lines[place.file == file_ ? "" : place.file].insert(place.line);
    std::string text = "handed from kernel to kernel";
    const char *before = ": ";
    for (auto &[file, all] : lines) {
      text += before + (file.empty() ? "" : file + " ") + (all.size() > 1 ? "lines" : "line");
      for (int line : all)
        text += (line == *all.begin() ? " " : ", ") + std::to_string(line);
      before = "; ";
    }
    return text;
  }

  std::vector<BufferReport> &buffers_;
  llvm::DenseMap<Value, double> live_;
  llvm::DenseSet<Operation *> noted_;
  std::map<std::string, int> named_; // how many have a name
  const std::string &file_;          ///< the model's
  double now_ = 0;
  PeakReport peak_;
};

} // namespace

std::vector<BufferReport> buffersOf(ModuleOp module, const ExplainOptions &options,
                                    PeakReport &peak) {
  std::vector<BufferReport> buffers;
  std::string file = modelFile(module);
  Run run(buffers, file);
  if (std::optional<Frame> frame = entryFrame(module, options))
    for (Block &block : frame->function().getBody())
      run.block(block, *frame);
  peak = run.peak();
  return buffers;
}

} // namespace qkv
