// How parameters lie in memory (Held.h).
#include "runtime/Held.h"

namespace qkv::rt {
namespace {

// By qkv_element.
constexpr ElementType types[] = {{"f32", 1, 4}, {"bf16", 1, 2}, {"f16", 1, 2}};
constexpr int32_t typeCount = sizeof types / sizeof types[0];

constexpr int32_t widestPanel = 1 << 16; // wider ones are no register tile of any processor

/// `count` in whole blocks; -1 where that overflows.
int64_t wholeBlocks(int64_t count, int64_t block) {
  return count > INT64_MAX - (block - 1) ? -1 : (count + block - 1) / block;
}

} // namespace

const ElementType *elementType(int32_t element) {
  return element >= 0 && element < typeCount ? &types[element] : nullptr;
}

int32_t elementNamed(std::string_view name) {
  for (int32_t element = 0; element < typeCount; ++element)
    if (name == types[element].name)
      return element;
  return -1;
}

qkv_held heldAs(int32_t element) {
  const ElementType &type = types[element];
  return {element, type.blockElements, type.blockBytes, 0, 0, 0};
}

bool heldSound(const qkv_held &held, int64_t rank) {
  const ElementType *type = elementType(held.element);
  auto isAxis = [&](int32_t axis) { return axis >= 0 && axis < rank; };
  return type && held.block_elements == type->blockElements &&
         held.block_bytes == type->blockBytes && held.panel_width >= 0 &&
         held.panel_width <= widestPanel &&
         (held.panel_width == 0 || (isAxis(held.panel_axis) && isAxis(held.panel_order)));
}

bool heldPlain(const qkv_held &held) { return held.panel_width == 0 && held.element == QKV_F32; }

bool heldAlike(const qkv_held &a, const qkv_held &b) {
  return a.element == b.element && a.panel_width == b.panel_width &&
         (a.panel_width == 0 || (a.panel_axis == b.panel_axis && a.panel_order == b.panel_order));
}

std::vector<int64_t> heldShape(const qkv_held &held, std::vector<int64_t> shape) {
  if (held.panel_width == 0)
    return shape;
  int64_t panels = wholeBlocks(shape[held.panel_axis], held.panel_width);
  shape.erase(shape.begin() + held.panel_axis);
  shape.insert(shape.begin() + held.panel_order, panels);
  shape.push_back(held.panel_width);
  return shape;
}

int64_t heldCount(const qkv_held &held, const std::vector<int64_t> &shape) {
  std::vector<int64_t> extents = heldShape(held, shape);
  if (!extents.empty() && held.block_elements > 1) {
    int64_t blocks = wholeBlocks(extents.back(), held.block_elements);
    if (__builtin_mul_overflow(blocks, int64_t(held.block_elements), &extents.back()))
      return -1;
  }
  int64_t count = 1;
  bool empty = false, large = false;
  for (int64_t extent : extents) {
    if (extent < 0)
      return -1;
    empty |= extent == 0;
    large |= __builtin_mul_overflow(count, extent, &count) || count > INT64_MAX / 4;
    if (large)
      count = 1; // a later axis may be empty: its product is 0 however large the others are
  }
  return empty ? 0 : large ? -1 : count;
}

int64_t heldBytes(const qkv_held &held, const std::vector<int64_t> &shape) {
  int64_t count = heldCount(held, shape), bytes = 0;
  if (count < 0 ||
      __builtin_mul_overflow(wholeBlocks(count, held.block_elements), held.block_bytes, &bytes))
    return -1;
  return bytes;
}

} // namespace qkv::rt
