// A reduction in terms of others, for whoever takes it apart (S1, S2).
#pragma once

#include "dsl/Program.h"

namespace qkv::equations {

/// The value of `mean`, a mean over its letters, whose sum is `total`; 0 of nothing. `counted` is
/// how many take part; null: all that its letters run over.
ExprPtr meanOf(const Program &program, const ExprPtr &mean, const ExprPtr &total, ExprPtr counted);

} // namespace qkv::equations
