// A model over a stream, some positions at a time.
//
// In: the step of a model, whole inputs, the lengths of the chunks and something that computes
// tensors of a program (the interpreter, or compiled code). Out: the model's results: rows put
// together along their axis, the others as they are after the last chunk.
#pragma once

#include "compiler/streams/DeriveStream.h"
#include "dsl/interpret/Interpreter.h"

#include <functional>

namespace qkv::streams {

/// Computes tensors of stream.step, stream.last or stream.session from inputs by tensor. Nothing,
/// or the check that failed.
using Evaluate = std::function<std::optional<RunError>(
    const Program &program, const std::map<int, Values> &inputs, const std::vector<int> &tensors,
    std::vector<Values> &out)>;

struct ChunkedRun {
  std::vector<Values> results; ///< in the order of the model's
  std::optional<RunError> failure;
};

/// `inputs` are the model's, by tensor; `sizes` its sizes by atom. The chunks add up to T.
ChunkedRun runInChunks(const Program &model, const Stream &stream,
                       const std::map<int, Values> &inputs, const std::vector<int64_t> &sizes,
                       const std::vector<int64_t> &chunks, const Evaluate &evaluate);

} // namespace qkv::streams
