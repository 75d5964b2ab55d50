// Products taken apart and put together. In: expressions. Out: factors, products.
#pragma once

#include "dsl/Program.h"

#include <vector>

namespace qkv::streams {

/// The factors of a product, also of a constant one: of 0.9^(i-j) * 0.5 the decay is one.
/// (equations::factorsOf leaves constants whole.)
void allFactorsOf(const ExprPtr &e, std::vector<ExprPtr> &out);

/// Their product; 1 where there are none.
ExprPtr productOf(const std::vector<ExprPtr> &factors);

} // namespace qkv::streams
