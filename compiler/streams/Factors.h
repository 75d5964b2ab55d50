// Products taken apart and put together, names written out. In: expressions. Out: factors,
// products, definitions.
#pragma once

#include "dsl/Program.h"

#include <vector>

namespace qkv::streams {

/// The factors of a product, also of a constant one: of 0.9^(i-j) * 0.5 the decay is one.
/// (equations::factorsOf leaves constants whole.)
void allFactorsOf(const ExprPtr &e, std::vector<ExprPtr> &out);

/// Their product; 1 where there are none.
ExprPtr productOf(const std::vector<ExprPtr> &factors);

/// What a read stands for: its tensor's one equation, with the read's indices for its letters. Null
/// of what is no read, and where the tensor has several equations or one for some elements alone.
ExprPtr definitionOf(const Program &program, const ExprPtr &e);

} // namespace qkv::streams
