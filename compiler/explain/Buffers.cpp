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
#include <set>

namespace qkv {

using namespace mlir;

namespace {

/// Follows a run: what is allocated, what is freed, how much lives at most.
class Run {
public:
  explicit Run(std::vector<BufferReport> &buffers) : buffers_(buffers) {}
  double peak() const { return peak_; }

  void block(Block &block, Frame &frame) {
    for (Operation &op : block) {
      if (isa<memref::AllocOp>(op)) {
        double bytes = frame.bytes(op.getResult(0)).value_or(0);
        live_[op.getResult(0)] = bytes;
        now_ += bytes;
        peak_ = std::max(peak_, now_);
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
    buffer.name = nameOf(op.getLoc());
    if (buffer.name.empty())
      buffer.name = placeOf(op.getLoc());
    buffer.bytes = frame.bytes(op.getResult(0)).value_or(0);
    auto why = op.getAttrOfType<StringAttr>(whyAttribute);
    buffer.why = why ? why.str() : readers(op.getResult(0));
  }

  /// Memory that buffers are laid out in, here or in a function that it is handed to.
  static bool isArena(Value memory) {
    auto type = cast<MemRefType>(memory.getType());
    return type.getRank() == 1 && type.getElementType().isInteger(8) &&
           llvm::all_of(memory.getUsers(), [](Operation *user) {
             return isa<memref::ViewOp, memref::DeallocOp, func::CallOp>(user);
           });
  }

  /// Who touches it, as lines of the model.
  static std::string readers(Value buffer) {
    std::set<int> lines;
    for (Operation *user : buffer.getUsers())
      if (!isa<memref::DeallocOp>(user))
        if (int line = lineOf(user->getLoc()))
          lines.insert(line);
    std::string text;
    for (int line : lines)
      text += (text.empty() ? "" : ", ") + std::to_string(line);
    if (text.empty())
      return "handed from one kernel to another";
    return "handed from kernel to kernel: line" + std::string(lines.size() > 1 ? "s " : " ") + text;
  }

  std::vector<BufferReport> &buffers_;
  llvm::DenseMap<Value, double> live_;
  llvm::DenseSet<Operation *> noted_;
  double now_ = 0, peak_ = 0;
};

} // namespace

std::vector<BufferReport> buffersOf(ModuleOp module, const ExplainOptions &options, double &peak) {
  std::vector<BufferReport> buffers;
  Run run(buffers);
  if (std::optional<Frame> frame = entryFrame(module, options))
    for (Block &block : frame->function().getBody())
      run.block(block, *frame);
  peak = run.peak();
  return buffers;
}

} // namespace qkv
