// Every index inside its axis: proved, marked to be checked when it runs, or an error (A1).
#include "dsl/check/Elaborator.h"
#include "dsl/check/RangeErrors.h"
#include "dsl/proof/Proof.h"

namespace qkv::sema {

void checkRanges(Program &program, Diagnostics &diagnostics) {
  Prover prover(program);
  RangeErrors errors(program, prover, diagnostics);
  for (const Tensor &tensor : program.tensors) {
    auto visit = [&](const ReadPlace &place) {
      const Expr &read = *place.read;
      const Tensor &target = program.tensors[read.tensor];
      for (size_t i = 0; i < read.args.size(); ++i) {
        const Axis &axis = target.axes[i];
        bool inside = static_cast<int>(i) < read.own;
        int64_t before = inside ? axis.before : 0, after = inside ? axis.after : 0;
        bool value = false;
        Linear index = prover.linear(read.args[i], value);
        Linear fromLow = index + Linear(before);
        Linear toHigh = prover.linear(axis.extent) + Linear(after - 1) - index;
        bool low = prover.provable(fromLow, *place.known);
        bool high = prover.provable(toHigh, *place.known);
        if (low && high)
          continue;
        if (prover.provable(Linear(-1), *place.known))
          continue; // the guards exclude each other: nothing is read here
        bool below = prover.provable(fromLow * -1 - Linear(1), *place.known);
        bool above = prover.provable(toHigh * -1 - Linear(1), *place.known);
        if (value && !below && !above) {
          const_cast<Expr &>(read).checked[i] = true;
          continue;
        }
        errors.say(place, {i, low, high, below, above, fromLow, toHigh, before, after});
        break;
      }
    };
    auto division = [&](const Expr &e, const std::vector<Facts> &known) {
      if (e.type != Type::Int)
        return;
      bool value = false;
      Linear divisor = prover.linear(e.args[1], value);
      if (!prover.provable(divisor - Linear(1), known) &&
          !prover.provable(divisor * -1 - Linear(1), known))
        const_cast<Expr &>(e).checked.assign(1, true);
    };
    forEachRead(prover, tensor, visit, division);
  }
}

} // namespace qkv::sema
