// A model over a stream that is run some positions at a time: its results are those of its step,
// put together. In: a compiled step. Out: a qkv_model, so that inputs and outputs come from the
// same code as a whole model's.
#pragma once

#include "compiler/description/Description.h"
#include "dsl/Program.h"
#include "tools/qkv/CompiledStream.h"

#include <mutex>
#include <string>

namespace qkv::driver {

class ChunkedModel {
public:
  /// Chunks of `chunk` positions; the last one may be shorter. All must outlive it.
  ChunkedModel(const Program &program, const CompiledStream &stream, int64_t chunk);
  qkv_model &model() { return memory_.model(); }

private:
  static void entry(qkv_context *context, const int64_t *sizes, void *const *inputs,
                    void *const *params, void *const *results);
  void run(qkv_context *context, const int64_t *sizes, void *const *inputs, void *const *results);
  void failed(qkv_context *context, const qkv_error &error);

  const Program &program_;
  const CompiledStream &stream_;
  int64_t chunk_;
  ModelInMemory memory_;
  std::mutex mutex_; ///< of what failed first
  bool hasFailed_ = false;
  std::string file_, text_;
  qkv_site site_ = {};
};

} // namespace qkv::driver
