// One model on its way through the stages, with MLIR out of sight.
//
// In: checked equations, or the text of any stage. Out: the text of any later stage, or the
// llvm::Module. Holds: a text is complete: what stage it is, where its lines come from and what a
// caller must know of the model stand in it, so that it compiles on in another process.
#pragma once

#include "compiler/explain/Explain.h"
#include "compiler/native/NativeModule.h"
#include "compiler/pipeline/Pipeline.h"
#include "dsl/Program.h"
#include "runtime/qkv.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace qkv {

/// Which part of a text is wanted; all of it by default.
struct TextPart {
  std::string function; ///< the operations of one function
  int line = 0;         ///< those that come from this line of the model file
  bool whole() const { return function.empty() && line == 0; }
};

/// Which code is made of a program.
struct Form {
  bool whole = true;         ///< the model's results at once
  unsigned parts = 0;        ///< of a model over a stream: bits by qkv_part
  bool batch = false;        ///< also for several sequences at once
  int32_t element = QKV_F32; ///< how matrices of weights are held
  Half cache = Half::None;   ///< how floats are kept that grow from step to step
  bool fuse = true;          ///< softmax-weighted sums as one kernel each; else by blocks of rows
  const Program *trace = nullptr; ///< what can be traced (compiler/trace), or null
};

class Compilation {
public:
  /// The `graph` stage of a program.
  static std::unique_ptr<Compilation> begin(const Program &program, const std::string &cpu,
                                            std::string &error, const Form &form = {});
  /// A module's text, MLIR or (where it says so) LLVM IR. Its stage is `from`, or what its
  /// attribute `qkv.stage` says. `name` is what messages call it.
  static std::unique_ptr<Compilation> parse(const std::string &text, const std::string &name,
                                            std::optional<Stage> from, const std::string &cpu,
                                            std::string &error);
  ~Compilation();

  /// Where it is. Stage::Llvm for LLVM IR too.
  Stage stage() const;
  bool isLlvmIr() const;
  /// Goes on to a stage; false with `error` where it is behind that, or a pass fails.
  bool advance(Stage to, std::string &error);
  /// Drops all entries but these, and what only they called. For code that lives for one run. A
  /// module that has none of them, or that is at the `llvm` stage, is left as it is.
  bool keepEntries(const std::vector<qkv_entry_kind> &kinds, std::string &error);
  /// The module as text. A part of it does not parse back.
  std::string text(const TextPart &part = {}) const;
  /// Goes on to the `kernels` stage and says on the way what the model was made into.
  bool explain(const ExplainOptions &options, Explanation &out, std::string &error);
  /// Goes on to the `kernels` stage and has the code call qkv_time_kernel (TimeKernels.cpp).
  bool timeKernels(std::vector<std::string> &names, std::string &error);
  /// Goes on to the llvm::Module. Call once.
  std::unique_ptr<NativeModule> native(std::string &error);
  /// What the module says of itself.
  bool description(Description &out, std::string &error) const;

private:
  struct Data;
  explicit Compilation(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;
};

} // namespace qkv
