// What a checkpoint holds, for people.
#include "tools/qkv/printing/Listing.h"

#include "runtime/Error.h"

#include <algorithm>

namespace qkv::driver {

std::string listingText(const rt::Checkpoint &file) {
  std::string text;
  for (const rt::Metadatum &one : file.metadata().all()) {
    std::string value = one.value.type == rt::MetaType::Text ? rt::quote(one.value.text)
                                                             : rt::metaJson(one.value, 8);
    if (one.value.type == rt::MetaType::List && one.value.count > 8)
      value =
          "a list of " + std::to_string(one.value.count) + ", " + rt::metaTypeText(one.value.items);
    text += rt::quote(one.key).substr(1);
    text.back() = ' '; // the quotation mark
    text += "= " + value + "\n";
  }
  if (!text.empty())
    text += "\n";
  size_t name = 0, type = 0, bytes = 0;
  for (const rt::FileTensor &tensor : file.tensors()) {
    name = std::max(name, std::min<size_t>(rt::quote(tensor.name).size() - 2, 60));
    type = std::max(type, tensor.typeName.size());
    bytes += tensor.bytes;
  }
  for (const rt::FileTensor &tensor : file.tensors()) {
    std::string quoted = rt::quote(tensor.name);
    text += rt::format("%-*s  %-*s  %s  %zu bytes\n", static_cast<int>(name),
                       quoted.substr(1, quoted.size() - 2).c_str(), static_cast<int>(type),
                       rt::quote(tensor.typeName).substr(1, tensor.typeName.size()).c_str(),
                       rt::shapeText(tensor.shape).c_str(), tensor.bytes);
  }
  return text + rt::format("%s, %zu tensor%s, %zu bytes\n", file.kind(), file.tensors().size(),
                           file.tensors().size() == 1 ? "" : "s", bytes);
}

} // namespace qkv::driver
