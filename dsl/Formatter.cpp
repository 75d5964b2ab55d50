#include "dsl/Formatter.h"
#include "dsl/Parser.h"
namespace qkv {
std::optional<std::string> format(const Source &source, Diagnostics &diagnostics) {
  parse(source, diagnostics);
  if (diagnostics.hasErrors())
    return std::nullopt;
  return source.text();
}
} // namespace qkv
