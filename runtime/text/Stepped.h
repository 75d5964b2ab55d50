// In: a compiled generator with code for its steps. Out: sequences that go on from what they keep:
// a token costs one step, whatever came before.
#pragma once

#include "runtime/tensors/Room.h"
#include "runtime/text/Sequence.h"

#include <memory>
#include <vector>

namespace qkv::rt {

/// Whether a model has code for the logits of the next position.
bool stepsText(const qkv_model &model);

class Stepped : public Sequences {
public:
  /// Precondition: stepsText(model). A prompt is read so many positions at a time; all sequences
  /// keep at most so many bytes together, 0: no bound.
  Stepped(const qkv_model &model, const qkv_weights *weights, int64_t vocabulary, int64_t chunk,
          size_t mostBytes)
      : model(model), weights(weights), vocabulary(vocabulary), chunk(chunk), room(mostBytes) {}
  std::unique_ptr<TokenSequence> begin(std::vector<int64_t> source,
                                       std::vector<int64_t> tokens) const override;
  void advance(const std::vector<TokenSequence *> &sequences) const override;
  bool together() const override;
  bool mixes() const override;

private:
  const qkv_model &model;
  const qkv_weights *weights;
  int64_t vocabulary, chunk;
  mutable Room room;
};

} // namespace qkv::rt
