// Names of traced tensors (TraceNames.h).
#include "runtime/tensors/TraceNames.h"

namespace qkv::rt {
namespace {

/// Takes the last word off a dotted name.
std::string_view lastWord(std::string_view &name) {
  size_t dot = name.rfind('.');
  std::string_view word = name.substr(dot == name.npos ? 0 : dot + 1);
  name = dot == name.npos ? std::string_view() : name.substr(0, dot);
  return word;
}

bool meansWord(std::string_view asked, std::string_view word) {
  return asked == "*" || asked == word || asked == word.substr(0, word.find('#'));
}

} // namespace

std::vector<std::string> traceNames(std::string_view list) {
  std::vector<std::string> names;
  for (size_t at = 0; at <= list.size();) {
    size_t end = std::min(list.find(',', at), list.size());
    if (end > at)
      names.emplace_back(list.substr(at, end - at));
    at = end + 1;
  }
  return names;
}

bool meansTensor(std::string_view asked, std::string_view name) {
  while (!asked.empty()) {
    if (name.empty())
      return false;
    std::string_view one = lastWord(asked), other = lastWord(name);
    if (!meansWord(one, other))
      return false;
  }
  return true;
}

} // namespace qkv::rt
