// One sequence of a model over a stream: what it keeps, and the calls that take it on.
//
// In: a model with code for its steps (qkv_stream), a sequence's sizes. Out: calls of the session
// and of steps, ready for qkv_run. Holds: a step that fails changes nothing that is kept; what a
// sequence keeps is the same whether it is called alone or among others.
#pragma once

#include "runtime/streams/KeptBuffer.h"
#include "runtime/tensors/Batch.h"
#include "runtime/tensors/Room.h"

#include <memory>
#include <vector>

namespace qkv::rt {

class StreamState {
public:
  /// `sizes` are the model's; that of the stream does not count. The model has a stream. What is
  /// kept counts in `room`, which lives longer; null: there is no bound.
  StreamState(const qkv_model &model, std::vector<int64_t> sizes, Room *room = nullptr);
  StreamState(const StreamState &) = delete;
  StreamState &operator=(const StreamState &) = delete;
  ~StreamState();

  /// Room for what is kept, and the call that computes it before the first step. `inputs` are the
  /// model's; those over the stream do not count. `results`, where not null, gets those of the
  /// session's results that are the model's, by number among the session's. A model whose sequences
  /// keep nothing has no session: then `call.results` is null. False with *error set.
  bool begin(void *const *inputs, void *const *results, Sequence &call, qkv_error *error);

  /// The same, run: `results` are the model's, of which those that need no position are written.
  /// False with *error set.
  bool start(const qkv_weights *weights, void *const *inputs, void *const *results,
             qkv_error *error);

  /// The call of a part for the next `fresh` positions. `inputs`: the model's, of which those over
  /// the stream hold these positions alone; `results`: a pointer for each of the part's results
  /// behind those that are kept, null: not wanted. Pointers stay valid until the next call is made.
  /// False with *error set.
  bool step(qkv_part part, int64_t fresh, void *const *inputs, void *const *results, Sequence &call,
            qkv_error *error);
  /// The next positions are part of the sequence though no call computes anything of them.
  void pass(int64_t fresh);
  /// The last step's call has been run: its positions are part of the sequence.
  void stepped();

  int64_t positions() const { return past; }
  const std::vector<int64_t> &modelSizes() const { return own; }
  /// The most positions that the stream has.
  int64_t most() const;
  /// Bytes that are kept now.
  size_t bytes() const;
  /// Becomes what another sequence of the same model is; histories share their memory. False with
  /// *error set.
  bool copy(const StreamState &other, qkv_error *error);
  /// Remembers what has no past as it is now, and again behind each `every` positions; 0: no more.
  /// Only the latest few are remembered, and one of no positions where this is asked before any.
  void snapshots(int64_t every);
  /// Goes back to the first `count` positions, or to the latest place before them that is
  /// remembered where something that is kept has no past. Returns the positions that there are
  /// then; -1 with *error set and nothing changed where there is no such place.
  int64_t rewind(int64_t count, qkv_error *error);

  /// Extents of each of a part's inputs and results for the next `fresh` positions.
  bool shapes(qkv_part part, int64_t fresh, std::vector<std::vector<int64_t>> &inputs,
              std::vector<std::vector<int64_t>> &results, qkv_error *error) const;
  /// How many of a step's results are kept.
  static int32_t keptResults(const qkv_stream &stream);

private:
  /// What has no past as it was: a state that is written anew each time, a window.
  struct Snapshot {
    struct Part {
      std::vector<char> bytes;
      size_t dropped = 0;
    };
    int64_t position = 0;
    std::vector<Part> parts; // of what is kept; without bytes where a history has them
  };

  const qkv_model &part(qkv_part which) const { return *stream.parts[which]; }
  void sizesFor(int64_t before, int64_t fresh, std::vector<int64_t> &sizes) const;
  std::vector<int64_t> sizesFor(int64_t before, int64_t fresh) const {
    std::vector<int64_t> out;
    return sizesFor(before, fresh, out), out;
  }
  bool hasPast(int32_t k) const { return stream.kept[k].next < 0 || history[k]; }
  bool grows() const; ///< something that is kept
  bool account(size_t bytes, qkv_error *error);
  void takeSnapshot();

  const qkv_model &model;
  const qkv_stream &stream;
  Room *room;
  size_t accounted = 0;                 // bytes that this sequence has of the room
  std::vector<int64_t> own;             // the model's sizes
  int64_t past = 0, pending = 0;        // positions; those of the call that was made
  std::vector<KeptBuffer> kept, second; // what is kept; where what does not grow is written next
  std::vector<size_t> keptBytes, rowBytes, pendingBytes;
  std::vector<bool> history; // grows, and nothing of it is ever left out
  int64_t every = 0;         // positions between snapshots
  std::vector<std::shared_ptr<const Snapshot>> remembered; // by position
  std::vector<char> count;
  // Of the call that was made.
  std::vector<int64_t> sizes;
  std::vector<void *> inputs, results;
  std::vector<std::vector<int64_t>> in, out; // their extents
};

} // namespace qkv::rt
