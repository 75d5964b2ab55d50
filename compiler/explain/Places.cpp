// Names and places of locations.
#include "compiler/explain/Places.h"

#include "compiler/description/Description.h"
#include "compiler/dialect/QkvDialect.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Location.h"

namespace qkv {

using namespace mlir;

Place placeOf(Location location) {
  Place place;
  location->walk([&](Location part) {
    auto range = dyn_cast<FileLineColRange>(part);
    if (!range)
      return WalkResult::advance();
    place = {range.getFilename().str(), static_cast<int>(range.getStartLine())};
    return WalkResult::interrupt();
  });
  return place;
}

std::vector<NamedPlace> namesOf(Location location) {
  std::vector<NamedPlace> names;
  location->walk([&](Location part) {
    if (auto named = dyn_cast<NameLoc>(part))
      names.push_back({named.getName().str(), placeOf(named.getChildLoc())});
    return WalkResult::advance();
  });
  return names;
}

std::string nameOf(Location location) {
  auto names = namesOf(location);
  return names.empty() ? "" : names.front().name;
}

std::string modelFile(ModuleOp module) {
  auto json = module->getAttrOfType<StringAttr>(descriptionAttribute);
  Description description;
  std::string error;
  return json && Description::fromJson(json.str(), description, error) ? description.file : "";
}

std::string nameOrLineOf(Location location) {
  std::string name = nameOf(location);
  return name.empty() ? "line " + std::to_string(placeOf(location).line) : name;
}

} // namespace qkv
