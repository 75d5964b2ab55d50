// Names and lines of locations.
#include "compiler/explain/Places.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Location.h"

namespace qkv {

using namespace mlir;

int lineOf(Location location) {
  int line = 0;
  location->walk([&](Location part) {
    auto range = dyn_cast<FileLineColRange>(part);
    if (!range)
      return WalkResult::advance();
    line = static_cast<int>(range.getStartLine());
    return WalkResult::interrupt();
  });
  return line;
}

std::vector<std::pair<std::string, int>> namesOf(Location location) {
  std::vector<std::pair<std::string, int>> names;
  location->walk([&](Location part) {
    if (auto named = dyn_cast<NameLoc>(part))
      names.emplace_back(named.getName().str(), lineOf(named.getChildLoc()));
    return WalkResult::advance();
  });
  return names;
}

std::string nameOf(Location location) {
  auto names = namesOf(location);
  return names.empty() ? "" : names.front().first;
}

std::string placeOf(Location location) { return "line " + std::to_string(lineOf(location)); }

} // namespace qkv
