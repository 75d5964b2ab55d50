// What a location says. In: a location of any shape (names around spans, several fused). Out: names
// of equations and lines of the model file.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace mlir {
class Location;
} // namespace mlir

namespace qkv {

/// The first name in it: an equation's; empty if there is none.
std::string nameOf(mlir::Location location);
/// All names in it, each with the first line under it.
std::vector<std::pair<std::string, int>> namesOf(mlir::Location location);
/// The first line in it; 0 if there is none.
int lineOf(mlir::Location location);
/// "line 7", where no name is.
std::string placeOf(mlir::Location location);

} // namespace qkv
