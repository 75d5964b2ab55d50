// In: how a parameter is held (qkv_held) and its shape. Out: shapes and bytes in memory. Holds: the
// table of element types is here alone; a product that overflows is -1, never a smaller number.
#pragma once

#include "runtime/qkv.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace qkv::rt {

/// A row of the table of element types.
struct ElementType {
  const char *name; ///< as --weights-type takes it: "bf16"
  int32_t blockElements, blockBytes;
};

/// The row of a qkv_element; null for any other number.
const ElementType *elementType(int32_t element);

/// The qkv_element of a name; -1 for any other name.
int32_t elementNamed(std::string_view name);

/// Row-major, with the blocks of a qkv_element.
qkv_held heldAs(int32_t element);

/// Whether it is a layout at all, for a parameter of `rank` axes: a known element with the blocks
/// of its type, panels along one of the axes.
bool heldSound(const qkv_held &held, int64_t rank);

/// Whether it is row-major f32, as checkpoints mostly have it.
bool heldPlain(const qkv_held &held);

/// Whether parameters of equal shapes held in these ways have the same bytes.
bool heldAlike(const qkv_held &a, const qkv_held &b);

/// The extents in memory: those of `shape`, the axis in panels cut in two.
std::vector<int64_t> heldShape(const qkv_held &held, std::vector<int64_t> shape);

/// Elements in memory, padding of panels and blocks included; -1 if they leave 61 bits.
int64_t heldCount(const qkv_held &held, const std::vector<int64_t> &shape);

/// Bytes in memory; -1 if they leave 63 bits.
int64_t heldBytes(const qkv_held &held, const std::vector<int64_t> &shape);

/// The same of a parameter.
inline std::vector<int64_t> shapeOf(const qkv_param &param) {
  return {param.shape, param.shape + param.rank};
}
inline int64_t heldCount(const qkv_param &param) { return heldCount(param.held, shapeOf(param)); }
inline int64_t heldBytes(const qkv_param &param) { return heldBytes(param.held, shapeOf(param)); }

} // namespace qkv::rt
