// In: the compiled step of a model over a stream, and what is computed once for a sequence. Out:
// sequences that go on from what they keep: a token costs one step, whatever came before.
#pragma once

#include "runtime/text/Sequence.h"

#include <memory>
#include <vector>

namespace qkv::rt {

/// How a step is called. Inputs and results are numbers among those of its model.
struct StepModel {
  /// What a sequence keeps of one tensor.
  struct Kept {
    int32_t input = -1; ///< of the step
    int32_t next = -1;  ///< the step's result, or -1: it stays as it is
    int32_t begin = -1; ///< the result of the session
  };
  const qkv_model *step = nullptr, *session = nullptr; ///< session null: nothing is kept
  const qkv_weights *stepWeights = nullptr, *sessionWeights = nullptr;
  std::vector<Kept> kept;
  int32_t past = -1, fresh = -1; ///< sizes: positions before, and of this step
  int32_t count = -1;            ///< an input with an element for each position before, or -1
  int32_t tokens = -1;           ///< inputs
  int32_t source = -1, sessionSource = -1;
  int32_t sourceSize = -1, sessionSourceSize = -1;
  int64_t most = 0; ///< positions that the stream holds
  int64_t vocabulary = 0;
};

/// The step's first result is the logits of its last position.
class Stepped : public Sequences {
public:
  explicit Stepped(const StepModel &model) : model(model) {}
  std::unique_ptr<TokenSequence> begin(std::vector<int64_t> source,
                                       std::vector<int64_t> tokens) const override;
  void advance(const std::vector<TokenSequence *> &sequences) const override;
  bool together() const override;

private:
  const StepModel &model;
};

} // namespace qkv::rt
