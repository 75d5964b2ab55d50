// Stored tensors -> a parameter's numbers (ReadStored.h).
#include "runtime/checkpoint/ReadStored.h"

#include "runtime/Error.h"
#include "runtime/Held.h"
#include "runtime/Threads.h"
#include "runtime/checkpoint/StoredPlace.h"
#include "runtime/checkpoint/Weights.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>

namespace qkv::rt {
namespace {

bool isStacked(const qkv_stored &stored, int32_t axis) {
  return std::find(stored.stacked, stored.stacked + stored.stacked_count, axis) !=
         stored.stacked + stored.stacked_count;
}

/// Decodes elements [begin, end) of a tensor, whole blocks.
void decode(const FileTensor &tensor, int64_t begin, int64_t end, float *to) {
  Block block = blockOf(tensor.type);
  convertElements(QKV_FLOAT, to, tensor.type, tensor.data + begin / block.elements * block.bytes,
                  end - begin);
  if (tensor.factors.empty())
    return;
  // A factor stands for as many elements as lie behind one index of the first axis.
  int64_t each = tensor.count() / static_cast<int64_t>(tensor.factors.size());
  for (int64_t i = begin; i < end; ++i)
    to[i - begin] *= tensor.factors[i / each];
}

/// Elements [first, last), whole blocks, in parallel.
void decodeRange(const FileTensor &tensor, int64_t first, int64_t last, float *to) {
  int64_t block = blockOf(tensor.type).elements;
  parallelFor((last - first) / block, (1 << 16) / block, [&](int64_t begin, int64_t end) {
    decode(tensor, first + begin * block, first + end * block, to + begin * block);
  });
}

void decodeAll(const FileTensor &tensor, float *to) { decodeRange(tensor, 0, tensor.count(), to); }

/// Elements of a tensor by their offsets. Keeps the block that was read last, so that a row costs
/// each of its blocks once.
class Elements {
public:
  explicit Elements(const FileTensor &tensor)
      : tensor(tensor), block(blockOf(tensor.type).elements) {}

  /// `count` elements that lie side by side.
  void run(int64_t offset, int64_t count, float *to) {
    if (block == 1)
      return decode(tensor, offset, offset + count, to);
    for (int64_t i = 0; i < count;) {
      fetch((offset + i) / block);
      int64_t from = (offset + i) % block, take = std::min(count - i, block - from);
      memcpy(to + i, kept + from, take * sizeof(float));
      i += take;
    }
  }

private:
  void fetch(int64_t number) {
    if (number == last)
      return;
    decode(tensor, number * block, (number + 1) * block, kept);
    last = number;
  }

  static constexpr int64_t largest = 256; // elements of a block
  const FileTensor &tensor;
  int64_t block, last = -1;
  float kept[largest];
};

/// Where the elements of a parameter stand in one tensor: for some axes together a table of what
/// they add to the offset. Axes are together where an index asks for both.
class Offsets {
public:
  Offsets(const qkv_param &param, const qkv_stored &stored, const StoredPlace *place,
          const std::vector<int64_t> &found, std::vector<int64_t> fixed);

  /// The axes that are not in the name, and their extents.
  std::vector<int32_t> free;
  std::vector<int64_t> extents;

  /// `positions`: of the free axes.
  int64_t of(const int64_t *positions) const {
    int64_t offset = base;
    for (const Table &table : tables) {
      int64_t at = 0;
      for (size_t k = 0; k < table.axes.size(); ++k)
        at = at * extents[table.axes[k]] + positions[table.axes[k]];
      offset += table.adds[at];
    }
    if (large) {
      std::vector<int64_t> all = fixed;
      for (size_t k = 0; k < free.size(); ++k)
        all[free[k]] = positions[k];
      for (size_t i : direct)
        offset += strides[i] * place->indices()[i].at(all.data()).value_or(0);
    }
    return offset;
  }
  /// Whether elements that follow one another along the last free axis lie side by side.
  bool runs() const { return sideBySide; }

private:
  struct Table {
    std::vector<size_t> axes; ///< among the free ones
    std::vector<int64_t> adds;
  };
  void fill(Table &table, const std::vector<size_t> &indices);
  void group();

  static constexpr int64_t longest = int64_t(1) << 22; ///< a table; beyond it each element counts
  const StoredPlace *place;
  std::vector<int64_t> fixed, strides;
  std::vector<Table> tables;
  std::vector<size_t> direct;
  bool large = false, sideBySide = false;
  int64_t base = 0;
};

Offsets::Offsets(const qkv_param &param, const qkv_stored &stored, const StoredPlace *place,
                 const std::vector<int64_t> &found, std::vector<int64_t> fixed)
    : place(place), fixed(std::move(fixed)) {
  for (int32_t axis = 0; axis < param.rank; ++axis)
    if (!isStacked(stored, axis)) {
      free.push_back(axis);
      extents.push_back(param.shape[axis]);
    }
  if (place) {
    std::string unused;
    place->fit(shapeOf(param), found, strides, unused);
    group();
  } else {
    int64_t stride = 1;
    for (size_t k = free.size(); k-- > 0; stride *= extents[k]) {
      Table table{{k}, std::vector<int64_t>(extents[k])};
      for (int64_t i = 0; i < extents[k]; ++i)
        table.adds[i] = i * stride;
      tables.push_back(std::move(table));
    }
  }
  if (free.empty())
    return;
  size_t last = free.size() - 1;
  for (const Table &table : tables)
    if (std::find(table.axes.begin(), table.axes.end(), last) != table.axes.end()) {
      sideBySide = table.axes.size() == 1;
      for (size_t i = 1; i < table.adds.size() && sideBySide; ++i)
        sideBySide = table.adds[i] == table.adds[i - 1] + 1;
    }
}

void Offsets::fill(Table &table, const std::vector<size_t> &indices) {
  int64_t count = 1;
  for (size_t k : table.axes)
    count *= extents[k];
  table.adds.resize(count);
  std::vector<int64_t> all = fixed;
  for (int64_t n = 0; n < count; ++n) {
    int64_t rest = n;
    for (size_t k = table.axes.size(); k-- > 0; rest /= extents[table.axes[k]])
      all[free[table.axes[k]]] = rest % extents[table.axes[k]];
    for (size_t i : indices)
      table.adds[n] += strides[i] * place->indices()[i].at(all.data()).value_or(0);
  }
}

void Offsets::group() {
  std::vector<size_t> group(free.size()); // a number for each axis: that of its first one
  std::iota(group.begin(), group.end(), 0);
  auto axesOf = [&](const StoredText &index) {
    std::vector<size_t> axes;
    for (size_t k = 0; k < free.size(); ++k)
      if (index.uses(free[k]))
        axes.push_back(k);
    return axes;
  };
  for (const StoredText &index : place->indices()) {
    std::vector<size_t> joined, axes = axesOf(index);
    for (size_t k : axes)
      joined.push_back(group[k]);
    if (joined.empty())
      continue;
    size_t least = *std::min_element(joined.begin(), joined.end());
    for (size_t &one : group)
      if (std::find(joined.begin(), joined.end(), one) != joined.end())
        one = least;
  }
  for (size_t i = 0; i < place->indices().size(); ++i)
    if (axesOf(place->indices()[i]).empty())
      base += strides[i] * place->indices()[i].at(fixed.data()).value_or(0);
  for (size_t first = 0; first < free.size(); ++first) {
    Table table;
    std::vector<size_t> indices;
    int64_t count = 1;
    for (size_t k = first; k < free.size(); ++k)
      if (group[k] == first) {
        table.axes.push_back(k);
        if (__builtin_mul_overflow(count, extents[k], &count))
          count = longest + 1;
      }
    for (size_t i = 0; i < place->indices().size(); ++i)
      if (std::vector<size_t> axes = axesOf(place->indices()[i]);
          !axes.empty() && group[axes[0]] == first)
        indices.push_back(i);
    if (indices.empty())
      continue;
    if (count > longest) {
      direct.insert(direct.end(), indices.begin(), indices.end());
      large = true;
      continue;
    }
    fill(table, indices);
    tables.push_back(std::move(table));
  }
}

/// Reads the elements of one setting of the letters in the name, those of [first, last) of the
/// first letter that is not in it; `to` is where that one's 0 would stand.
void gather(const qkv_param &param, const Offsets &offsets, int64_t base, const FileTensor &tensor,
            float *to, int64_t first, int64_t last) {
  size_t rank = offsets.free.size();
  std::vector<int64_t> strides(param.rank), steps(rank);
  int64_t stride = 1, rows = 1;
  for (int32_t axis = param.rank - 1; axis >= 0; stride *= param.shape[axis--])
    strides[axis] = stride;
  for (size_t k = 0; k < rank; ++k)
    steps[k] = strides[offsets.free[k]];
  for (size_t k = 0; k + 1 < rank; ++k)
    rows *= offsets.extents[k];
  int64_t length = rank ? offsets.extents.back() : 1, step = rank ? steps.back() : 1;
  int64_t each = rank > 1 && offsets.extents[0] ? rows / offsets.extents[0] : 0,
          from = first * each;
  parallelFor(each ? (last - first) * each : rows,
              std::max<int64_t>(1, (1 << 16) / std::max<int64_t>(1, length)),
              [&](int64_t begin, int64_t end) {
                Elements elements(tensor);
                std::vector<int64_t> at(rank);
                for (int64_t row = from + begin; row < from + end; ++row) {
                  int64_t rest = row, out = base;
                  for (size_t k = rank ? rank - 1 : 0; k-- > 0; rest /= offsets.extents[k])
                    out += (at[k] = rest % offsets.extents[k]) * steps[k];
                  if (rank)
                    at[rank - 1] = 0;
                  if (offsets.runs() && step == 1) {
                    elements.run(offsets.of(at.data()), length, to + out);
                    continue;
                  }
                  for (int64_t i = 0; i < length; ++i) {
                    if (rank)
                      at[rank - 1] = i;
                    elements.run(offsets.of(at.data()), 1, to + out + i * step);
                  }
                }
              });
}

/// A tensor in blocks, as f32.
struct Decoded {
  explicit Decoded(const FileTensor &from)
      : values(static_cast<float *>(qkv_alloc(from.count() * sizeof(float)))) {
    decodeAll(from, values);
    tensor = from;
    tensor.factors.clear();
    tensor.type = Dtype::F32;
    tensor.data = reinterpret_cast<const char *>(values);
  }
  ~Decoded() { qkv_free(values); }
  Decoded(const Decoded &) = delete;
  float *values;
  FileTensor tensor;
};

} // namespace

const qkv_stored &storedIn(const qkv_param &param, std::string_view format) {
  for (int32_t i = 0; i < param.stored_count; ++i)
    if (format == param.stored[i].format)
      return param.stored[i];
  return param.stored[0];
}

bool storedPlain(const qkv_stored &stored) {
  return stored.stacked_count == 0 && !*stored.place && !*stored.value;
}

std::vector<int64_t> namedShape(const qkv_param &param, const qkv_stored &stored) {
  std::vector<int64_t> shape;
  for (int32_t axis = 0; axis < param.rank; ++axis)
    if (!isStacked(stored, axis))
      shape.push_back(param.shape[axis]);
  return shape;
}

bool storedFits(const qkv_param &param, const qkv_stored &stored, const std::vector<int64_t> &found,
                std::string &wanted) {
  if (*stored.place) {
    std::optional<StoredPlace> place = StoredPlace::parse(stored.place, param.rank);
    std::vector<int64_t> strides;
    return place && place->fit(shapeOf(param), found, strides, wanted);
  }
  std::vector<int64_t> shape = namedShape(param, stored);
  wanted = shapeText(shape);
  return shapeFits(shape, found);
}

std::string storedDefect(const qkv_param &param, const qkv_stored &stored) {
  if (*stored.place && !StoredPlace::parse(stored.place, param.rank))
    return format("%s is no place of a tensor's elements", quote(stored.place).c_str());
  if (*stored.value && !StoredText::parse(stored.value, 0, /*whole=*/false))
    return format("%s is no expression of a stored number", quote(stored.value).c_str());
  return "";
}

/// Whether the axes in the names come first, so that each tensor is a stretch of the parameter.
static bool stretches(const qkv_stored &stored) {
  bool leading = !*stored.place;
  for (int32_t k = 0; k < stored.stacked_count; ++k)
    leading &= stored.stacked[k] == k;
  return leading;
}

static int64_t rowCount(const qkv_param &param) { return param.rank ? param.shape[0] : 1; }

int64_t rowsAtOnce(const qkv_param &param, const qkv_stored &stored,
                   const std::vector<const FileTensor *> &tensors, int64_t step, int64_t most) {
  int64_t rows = rowCount(param), size = elementCount(shapeOf(param)) / std::max<int64_t>(rows, 1);
  int64_t block = blockOf(tensors[0]->type).elements, once = step;
  if (rows <= 1 || size == 0)
    return rows;
  if (stretches(stored)) {
    if (stored.stacked_count == 0)
      once = std::lcm(step, block / std::gcd(block, size));
  } else if (stored.stacked_count > 0 || param.rank < 2 || block > 1) {
    return rows; // (Blocks may have to be decoded as a whole.)
  }
  return std::min(rows, std::max<int64_t>(1, most / size / once) * once);
}

FileTensor bytesOfRows(const qkv_param &param, const qkv_stored &stored,
                       const std::vector<const FileTensor *> &tensors, int64_t begin, int64_t end) {
  FileTensor part;
  if (!stretches(stored) || stored.stacked_count > 0 || rowCount(param) == 0)
    return part;
  const FileTensor &tensor = *tensors[0];
  Block block = blockOf(tensor.type);
  int64_t size = elementCount(shapeOf(param)) / rowCount(param);
  part.data = tensor.data + begin * size / block.elements * block.bytes;
  part.bytes = static_cast<size_t>((end - begin) * size / block.elements * block.bytes);
  return part;
}

void readRows(const qkv_param &param, const qkv_stored &stored,
              const std::vector<const FileTensor *> &tensors, int64_t begin, int64_t end,
              float *to) {
  std::optional<StoredPlace> place;
  if (*stored.place)
    place = StoredPlace::parse(stored.place, param.rank);
  int64_t each = elementCount(namedShape(param, stored)), rows = rowCount(param);
  int64_t size = rows ? elementCount(shapeOf(param)) / rows : 0;
  auto settings = static_cast<int64_t>(tensors.size());
  if (stretches(stored) && stored.stacked_count == 0) {
    decodeRange(*tensors[0], begin * size, end * size, to);
  } else if (stretches(stored)) {
    int64_t per = rows ? settings / rows : 0;
    for (int64_t setting = begin * per; setting < end * per; ++setting)
      decodeAll(*tensors[static_cast<size_t>(setting)], to + (setting - begin * per) * each);
  }
  for (int64_t setting = 0; setting < settings && !stretches(stored); ++setting) {
    const FileTensor &tensor = *tensors[static_cast<size_t>(setting)];
    std::vector<int64_t> fixed(param.rank);
    int64_t rest = setting;
    for (int32_t k = stored.stacked_count - 1; k >= 0; --k) {
      int64_t extent = param.shape[stored.stacked[k]];
      fixed[stored.stacked[k]] = rest % extent;
      rest /= extent;
    }
    int64_t base = 0;
    for (int32_t axis = 0; axis < param.rank; ++axis)
      base = base * param.shape[axis] + fixed[axis];
    Offsets offsets(param, stored, place ? &*place : nullptr, tensor.shape, std::move(fixed));
    // (Where a letter is in the name all rows are read.)
    int64_t first = stored.stacked_count ? 0 : begin,
            last = stored.stacked_count ? (offsets.free.empty() ? 1 : offsets.extents[0]) : end;
    float *whole = to - begin * size;
    if (offsets.runs() || blockOf(tensor.type).elements == 1)
      gather(param, offsets, base, tensor, whole, first, last);
    else
      gather(param, offsets, base, Decoded(tensor).tensor, whole, first, last);
  }
  if (!*stored.value)
    return;
  std::optional<StoredText> value = StoredText::parse(stored.value, 0, /*whole=*/false);
  parallelFor((end - begin) * size, 1 << 12, [&](int64_t from, int64_t behind) {
    for (int64_t i = from; i < behind; ++i)
      to[i] = static_cast<float>(value->of(to[i]));
  });
}

} // namespace qkv::rt
