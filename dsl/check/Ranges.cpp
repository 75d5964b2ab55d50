// Every index inside its axis: proved, marked to be checked when it runs, or an error (A1).
#include "dsl/check/Elaborator.h"
#include "dsl/proof/Proof.h"

#include <algorithm>

namespace qkv::sema {

static std::string sourceText(Span span) {
  if (!span.source || span.end <= span.begin || span.end > span.source->text().size())
    return "";
  std::string s = span.source->text().substr(span.begin, span.end - span.begin);
  if (s.size() > 60 || s.find('\n') != std::string::npos)
    return "";
  return s;
}

void checkRanges(Program &program, Diagnostics &diagnostics) {
  Prover prover(program);
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
        const Expr &ix = *read.args[i];
        std::string text = sourceText(ix.span);
        std::string extent = axis.extent.text(program.atoms);
        std::string what = text.empty() ? "this index" : "index " + text;
        std::string name = target.label;
        std::string message;
        if (below || above)
          message =
              what + " of " + name + " is outside of its axis, " +
              (below ? "below " + std::to_string(-before) : "at or above its extent " + extent);
        else if (!low)
          message = what + " of " + name + " may be below " + std::to_string(-before) +
                    ": nothing here says " +
                    (text.empty() ? "that it is not"
                                  : (before ? std::to_string(-before) : "0") + " <= " + text);
        else
          message =
              what + " of " + name + " may reach the extent " + extent +
              " of its axis: nothing here says " +
              (text.empty() ? "that it does not"
                            : text + " < " + extent + (after ? " + " + std::to_string(after) : ""));
        auto &d = diagnostics.error(ix.span ? ix.span : read.span, message, "A1");
        if (!text.empty() && !(below || above)) {
          std::string condition = !low ? "0 <= " + text : text + " < " + extent;
          if (!low && !high)
            condition = "0 <= " + text + " < " + extent;
          d.hint("a guard gives it: where " + condition + " in the reduction, or if " + condition +
                 " then ... else 0");
        }
        if (target.span)
          d.note(target.span, name + " is defined here");
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
