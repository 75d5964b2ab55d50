// Row-major f32 <-> panels (qkv_held). Both ways are one walk over (element row-major, element
// held), a panel at a time; panels are divided among threads.
//
// Axes but the one in panels are [first.., later..], later ones behind the panel's number:
//   held[first.., panel, later.., lane] = plain[first.., later.. with panel * width + lane]
#include "runtime/checkpoint/Panels.h"

#include "runtime/Threads.h"
#include "runtime/checkpoint/Element.h"
#include "runtime/checkpoint/Safetensors.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace qkv::rt {
namespace {

uint32_t bitsOf(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/// To nearest, ties to even; a NaN stays one.
uint16_t toBrain(float value) {
  uint32_t bits = bitsOf(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
    return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

uint16_t toHalf(float value) {
  uint32_t bits = bitsOf(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u)
    return static_cast<uint16_t>(sign | 0x7E00);
  if (magnitude >= 0x477FF000u) // rounds to 2^16
    return static_cast<uint16_t>(sign | 0x7C00);
  if (magnitude >= 0x38800000u) // 2^-14: a normal half
    return static_cast<uint16_t>(sign |
                                 (magnitude - 0x38000000u + 0xFFF + (magnitude >> 13 & 1)) >> 13);
  // Subnormal: the nearest multiple of 2^-24, which the addition rounds to.
  float shifted;
  memcpy(&shifted, &magnitude, sizeof shifted);
  shifted += 0.5f; // its last place is 2^-24
  return static_cast<uint16_t>(sign | (bitsOf(shifted) - bitsOf(0.5f)));
}

/// How a parameter's elements lie, row-major and held.
struct Shape {
  int64_t panels, width, extent, stride; // of the axis in panels
  std::vector<int64_t> firsts, laters;   // offsets of the other axes' elements, row-major

  explicit Shape(const qkv_param &param) {
    std::vector<int64_t> strides(param.rank);
    int64_t product = 1;
    for (int32_t axis = param.rank - 1; axis >= 0; --axis) {
      strides[axis] = product;
      product *= param.shape[axis];
    }
    width = param.held.panel_width;
    extent = param.shape[param.held.panel_axis];
    stride = strides[param.held.panel_axis];
    panels = (extent + width - 1) / width;
    firsts = laters = {0};
    int32_t other = 0;
    for (int32_t axis = 0; axis < param.rank; ++axis) {
      if (axis == param.held.panel_axis)
        continue;
      std::vector<int64_t> &offsets = other++ < param.held.panel_order ? firsts : laters;
      std::vector<int64_t> more;
      more.reserve(offsets.size() * param.shape[axis]);
      for (int64_t offset : offsets)
        for (int64_t at = 0; at < param.shape[axis]; ++at)
          more.push_back(offset + at * strides[axis]);
      offsets = std::move(more);
    }
  }

  /// A part of the walk: where the first axis of the parameter is between two of its rows.
  struct Part {
    int64_t first, firstEnd, panel, panelEnd, later, laterEnd;
  };
  Part whole() const {
    return {0, static_cast<int64_t>(firsts.size()), 0, panels,
            0, static_cast<int64_t>(laters.size())};
  }
  Part rows(const qkv_param &param, int64_t begin, int64_t end) const {
    Part part = whole();
    int64_t all = param.shape[0];
    if (param.held.panel_axis == 0) {
      part.panel = begin / width;
      part.panelEnd = (end + width - 1) / width;
    } else if (param.held.panel_order > 0) {
      part.first = begin * (part.firstEnd / all);
      part.firstEnd = end * (part.firstEnd / all);
    } else {
      part.later = begin * (part.laterEnd / all);
      part.laterEnd = end * (part.laterEnd / all);
    }
    return part;
  }

  /// Calls each(plain, held) for every element, and filled(held) for those behind the extent.
  template <typename Each, typename Filled> void walk(Each each, Filled filled) const {
    walk(whole(), each, filled);
  }
  template <typename Each, typename Filled>
  void walk(const Part &part, Each each, Filled filled) const {
    int64_t panelElements = static_cast<int64_t>(laters.size()) * width;
    int64_t some = part.panelEnd - part.panel;
    int64_t grain = std::max<int64_t>(
        1, (1 << 16) / std::max<int64_t>(1, (part.laterEnd - part.later) * width));
    parallelFor((part.firstEnd - part.first) * some, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t first = part.first + i / some, panel = part.panel + i % some;
        int64_t at = first * panels + panel, plain = firsts[first] + panel * width * stride;
        int64_t held = at * panelElements, lanes = std::min(width, extent - panel * width);
        // Pieces that stay in the first cache whichever way they are read.
        constexpr int64_t piece = 64;
        for (int64_t from = part.later; from < part.laterEnd; from += piece) {
          int64_t to = std::min(from + piece, part.laterEnd);
          if (stride == 1)
            for (int64_t l = from; l < to; ++l)
              for (int64_t lane = 0; lane < lanes; ++lane)
                each(plain + laters[l] + lane, held + l * width + lane);
          else
            for (int64_t lane = 0; lane < lanes; ++lane)
              for (int64_t l = from; l < to; ++l)
                each(plain + laters[l] + lane * stride, held + l * width + lane);
          for (int64_t l = from; l < to; ++l)
            for (int64_t lane = lanes; lane < width; ++lane)
              filled(held + l * width + lane);
        }
      }
    });
  }
};

template <typename Each> void walkPlain(int64_t first, int64_t last, Each each) {
  parallelFor(last - first, 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t at = first + begin; at < first + end; ++at)
      each(at, at);
  });
}

int64_t rowsOf(const qkv_param &param) { return param.rank ? param.shape[0] : 1; }

template <typename To, typename Convert>
void holdAs(const qkv_param &param, const float *from, To *to, int64_t begin, int64_t end,
            Convert convert) {
  int64_t rows = rowsOf(param), size = rows ? elementCount(shapeOf(param)) / rows : 0;
  int64_t base = begin * size; // of what stands at `from`
  auto each = [&](int64_t plain, int64_t held) { to[held] = convert(from[plain - base]); };
  if (param.held.panel_width) {
    Shape shape(param);
    shape.walk(begin == 0 && end == rows ? shape.whole() : shape.rows(param, begin, end), each,
               [&](int64_t held) { to[held] = 0; });
  } else {
    walkPlain(base, end * size, each);
  }
}

} // namespace

int64_t rowsOfPanel(const qkv_param &param) {
  return param.held.panel_width && param.held.panel_axis == 0 ? param.held.panel_width : 1;
}

void writeHeld(const qkv_param &param, const float *from, void *to) {
  writeHeldRows(param, from, to, 0, rowsOf(param));
}

void writeHeldRows(const qkv_param &param, const float *from, void *to, int64_t begin,
                   int64_t end) {
  if (param.held.element == QKV_F32)
    holdAs(param, from, static_cast<float *>(to), begin, end, [](float value) { return value; });
  else
    holdAs(param, from, static_cast<uint16_t *>(to), begin, end,
           param.held.element == QKV_BF16 ? toBrain : toHalf);
}

void readHeld(const qkv_param &param, const void *from, float *to) {
  Dtype type = param.held.element == QKV_F32    ? Dtype::F32
               : param.held.element == QKV_BF16 ? Dtype::BF16
                                                : Dtype::F16;
  // (A type with blocks of several elements has a conversion of its own.)
  size_t size = param.held.block_bytes;
  auto each = [&](int64_t plain, int64_t held) {
    convertElements(QKV_FLOAT, to + plain, type, static_cast<const char *>(from) + held * size, 1);
  };
  if (param.held.panel_width)
    Shape(param).walk(each, [](int64_t) {});
  else
    walkPlain(0, heldCount(param), each);
}

} // namespace qkv::rt
