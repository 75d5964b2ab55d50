// What is 0 by a guard, element by element (A6).
//
// In: a node that may be. Out: whether it is; conditions and scores are evaluated for it, and what
// a softmax or an `if` leaves out is not.
#include "dsl/interpret/InterpreterMachine.h"

#include <alloca.h>

namespace qkv::interpret {

bool Machine::leftOut(const Node &n, int64_t *frame) {
  if (!n.mayBeOut)
    return false;
  switch (n.code) {
  case Code::Read:
    return elementLeftOut(*n.tensor, locate(n, frame));
  case Code::If: {
    bool yes = integer(*n.a, frame);
    return isZeroLiteral(n.source->args[yes ? 1 : 2]) || leftOut(yes ? *n.b : *n.c, frame);
  }
  case Code::Softmax:
    return rowLeavesOut(n, frame);
  case Code::Reduce:
    return reductionLeftOut(n, frame);
  case Code::Convert:
  case Code::Narrow:
    return leftOut(*n.a, frame);
  case Code::Remember: {
    Key key;
    for (int slot : n.memory->slots)
      key.push_back(frame[slot]);
    if (auto found = n.memory->leftOut.find(key); found != n.memory->leftOut.end())
      return found->second;
    bool out = leftOut(*n.a, frame);
    if (n.memory->leftOut.size() >= (size_t(1) << 20))
      n.memory->leftOut.clear();
    return n.memory->leftOut[key] = out;
  }
  case Code::Apply:
    if (n.op == Op::Add || n.op == Op::Sub)
      return leftOut(*n.a, frame) && leftOut(*n.b, frame);
    return leftOut(*n.a, frame) || (n.op == Op::Mul && leftOut(*n.b, frame));
  default:
    return false;
  }
}

bool Machine::elementLeftOut(TensorState &t, int64_t offset) {
  if (auto found = t.leftOut.find(offset); found != t.leftOut.end())
    return found->second;
  prepare(t);
  if (static_cast<const char *>(__builtin_frame_address(0)) < stackLimit_)
    throw Failure{{t.tensor->span,
                   "the elements of " + t.tensor->name +
                       " depend on each other too deeply for the interpreter",
                   ""}};
  size_t room = t.axes.size() + static_cast<size_t>(t.slots);
  auto *position = static_cast<int64_t *>(alloca((room + 1) * sizeof(int64_t)));
  PieceState *piece = pieceAt(t, offset, position);
  int64_t *frame = position + t.axes.size();
  bool out =
      piece && (!piece->guard || integer(*piece->guard, frame)) && leftOut(*piece->value, frame);
  return t.leftOut[offset] = out;
}

} // namespace qkv::interpret
