// THE list of rewritings: the way from checked equations to equations that linalg can say.
//
// In: a program as the checker leaves it. Out: the same meaning, rewritten up to a chosen step.
// What must hold behind every step is checked here (CheckProgram.h), whoever asks.
#pragma once

#include "compiler/equations/Rewrite.h"

#include <functional>
#include <string_view>

namespace qkv::equations {

struct Rewriting {
  const char *name;
  const char *why; ///< it stands where it stands
  void (*apply)(Prepared &);
  bool fusion = false; ///< left out where weighted sums are not to be fused
};

/// All of them, in order.
const std::vector<Rewriting> &rewritings();

struct RewriteOptions {
  bool fuse = true;       ///< weighted sums become one equation each
  std::string_view until; ///< the name of the last step; empty: all
  /// Is shown the program behind each step.
  std::function<void(const Rewriting &step, const Prepared &)> behind;
};

/// Applies them in order. Throws Defect, with the step's name, where what one leaves is no program.
Prepared rewrite(Program program, const RewriteOptions &options);

} // namespace qkv::equations
