// In: results. Out: their values as text for people. Holds: each float's shortest form that reads
// back the same; at most the edges of a large tensor.
#include "runtime/program/Program.h"

#include <cstdio>
#include <cstdlib>

namespace qkv::rt {
namespace {

constexpr int64_t manyElements = 1000, edge = 3;

std::string elementText(const NewTensor &tensor, int64_t index) {
  if (tensor.type == Dtype::Bool)
    return static_cast<const uint8_t *>(tensor.data)[index] ? "true" : "false";
  if (tensor.type == Dtype::I64)
    return format("%lld", static_cast<long long>(static_cast<const int64_t *>(tensor.data)[index]));
  float value = static_cast<const float *>(tensor.data)[index];
  std::string text;
  for (int digits = 6; digits <= 9; ++digits) {
    text = format("%.*g", digits, value);
    if (strtof(text.c_str(), nullptr) == value)
      break;
  }
  return text;
}

void printAxis(const NewTensor &tensor, size_t axis, int64_t offset, bool elide,
               std::string &text) {
  if (axis == tensor.shape.size()) {
    text += elementText(tensor, offset);
    return;
  }
  int64_t stride = 1, extent = tensor.shape[axis];
  for (size_t inner = axis + 1; inner < tensor.shape.size(); ++inner)
    stride *= tensor.shape[inner];
  bool last = axis + 1 == tensor.shape.size();
  std::string between = last ? ", " : ",\n" + std::string(axis + 1, ' ');
  text += "[";
  for (int64_t i = 0; i < extent; ++i) {
    if (i)
      text += between;
    if (elide && extent > 2 * edge && i == edge) {
      text += "..." + between;
      i = extent - edge;
    }
    printAxis(tensor, axis + 1, offset + i * stride, elide, text);
  }
  text += "]";
}

} // namespace

std::string valuesText(const NewTensor &tensor) {
  std::string text;
  if (elementCount(tensor.shape) == 0)
    return "[]";
  printAxis(tensor, 0, 0, elementCount(tensor.shape) > manyElements, text);
  return text;
}

} // namespace qkv::rt
