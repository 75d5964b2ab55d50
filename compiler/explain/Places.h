// What a location says. In: a location of any shape (names around spans, several fused). Out: names
// of equations and lines of the model file.
#pragma once

#include <string>
#include <vector>

namespace mlir {
class Location;
class ModuleOp;
} // namespace mlir

namespace qkv {

/// A line of a source file: the model's own, or one that it uses.
struct Place {
  std::string file;
  int line = 0; ///< 0: unknown
  auto operator<=>(const Place &) const = default;
};

/// The name of an equation and where it stands.
struct NamedPlace {
  std::string name;
  Place place;
};

/// The first name in it: an equation's; empty if there is none.
std::string nameOf(mlir::Location location);
/// All names in it, each with the first place under it.
std::vector<NamedPlace> namesOf(mlir::Location location);
/// The first place in it.
Place placeOf(mlir::Location location);
/// The file of the model that a module was made of; empty where the module does not say.
std::string modelFile(mlir::ModuleOp module);
/// The first name, or "line 7" where there is none.
std::string nameOrLineOf(mlir::Location location);

} // namespace qkv
