// What grows, in 16 bits. In: a stream's parts. Out: the same, where what is kept, what it becomes
// and what it begins with have fewer bits. Holds: what a step reads of a position does not depend
// on whether the position came in this step or in one before.
#include "compiler/streams/DeriveStream.h"

#include <algorithm>

namespace qkv::streams {

void keepInHalf(Stream &stream, Half half) {
  for (const State &state : stream.states) {
    if (!growsInPlace(state.kind) || stream.step.tensors[state.input].type != Type::Float)
      continue;
    // (What the model itself gives is of f32.)
    bool given = std::any_of(stream.results.begin(), stream.results.end(), [&](const auto &r) {
      return r.tensor == (r.session ? state.begin : state.next);
    });
    if (given)
      continue;
    for (Program *part : {&stream.step, &stream.last})
      for (int t : {state.input, state.next})
        if (t < static_cast<int>(part->tensors.size()))
          part->tensors[t].half = half;
    stream.session.tensors[state.begin].half = half;
  }
}

} // namespace qkv::streams
