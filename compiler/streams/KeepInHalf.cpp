// What grows, in 16 bits. In: a stream's parts. Out: the same, where what is kept, what it becomes
// and what it begins with have fewer bits. Holds: what a step reads of a position does not depend
// on whether the position came in this step or in one before.
#include "compiler/equations/Expressions.h"
#include "compiler/streams/Dependents.h"
#include "compiler/streams/DeriveStream.h"

#include <algorithm>

namespace qkv::streams {

/// Whether a tensor's positions are computed from others of it: in a step the new ones are read as
/// they are computed, and those before would be read as they are kept.
static bool isRecurrence(const Program &model, int tensor) {
  std::vector<bool> dependent = dependents(model, {tensor});
  bool found = false;
  for (const Piece &piece : model.tensors[tensor].pieces)
    equations::forEachNode(piece.value, [&](const Expr &e) {
      found = found || (e.kind == Expr::Kind::Read && dependent[static_cast<size_t>(e.tensor)]);
    });
  return found;
}

void keepInHalf(Stream &stream, Half half) {
  for (const State &state : stream.states) {
    if (!growsInPlace(state.kind) || stream.step.tensors[state.input].type != Type::Float ||
        isRecurrence(stream.model, state.tensor))
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
