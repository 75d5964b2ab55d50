// Where elements stand in stored tensors (StoredPlace.h).
#include "runtime/checkpoint/StoredPlace.h"

#include "runtime/Error.h"

#include <algorithm>

namespace qkv::rt {
namespace {

/// Whether an index has few enough values to be looked at one by one.
bool countable(const StoredText &index, const std::vector<int64_t> &shape) {
  constexpr int64_t most = int64_t(1) << 32;
  int64_t count = 1;
  for (size_t axis = 0; axis < shape.size(); ++axis)
    if (index.uses(static_cast<int32_t>(axis)) &&
        (__builtin_mul_overflow(count, std::max<int64_t>(shape[axis], 1), &count) || count > most))
      return false;
  return true;
}

/// Calls each(positions) for all settings of the axes that an index asks for; the others stand at
/// 0.
template <typename Each>
void overAxes(const StoredText &index, const std::vector<int64_t> &shape, Each each) {
  std::vector<int64_t> positions(shape.size());
  std::vector<size_t> axes;
  for (size_t axis = 0; axis < shape.size(); ++axis)
    if (index.uses(static_cast<int32_t>(axis))) {
      if (shape[axis] <= 0)
        return;
      axes.push_back(axis);
    }
  for (;;) {
    each(positions.data());
    size_t k = axes.size();
    while (k > 0 && ++positions[axes[k - 1]] == shape[axes[k - 1]])
      positions[axes[--k]] = 0;
    if (k == 0)
      return;
  }
}

/// All ways in which indices, adjacent ones merged, are the axes of a tensor.
class Splits {
public:
  Splits(const std::vector<StoredPlace::Reach> &reaches, std::vector<int64_t> found)
      : reaches(reaches), found(std::move(found)), extents(reaches.size()) {}

  /// The strides of each way that differs from the others.
  std::vector<std::vector<int64_t>> run() {
    add(0, 0);
    return std::move(ways);
  }

private:
  /// Puts the indices from `index` on into the axes from `axis` on.
  void add(size_t index, size_t axis) {
    if (++steps > mostSteps || ways.size() > 1)
      return;
    if (axis == found.size()) {
      // What is left stands on axes of 1.
      for (size_t i = index; i < reaches.size(); ++i) {
        if (reaches[i].extent() > 1)
          return;
        extents[i] = 1;
      }
      return finish();
    }
    int64_t known = 1; // the product of the run's extents, but for one that may be longer
    size_t part = reaches.size();
    for (size_t end = index; end < reaches.size(); ++end) {
      const StoredPlace::Reach &reach = reaches[end];
      extents[end] = std::max<int64_t>(reach.extent(), 1);
      if (reach.part && part < reaches.size())
        return; // two of them: which one is longer is not known
      if (reach.part)
        part = end;
      else if (__builtin_mul_overflow(known, extents[end], &known))
        return;
      if (known > found[axis])
        return;
      bool last = part == reaches.size() ? known == found[axis] : found[axis] % known == 0;
      if (!last || (part < reaches.size() && found[axis] / known < reaches[part].extent()))
        continue;
      if (part < reaches.size())
        extents[part] = found[axis] / known;
      std::vector<int64_t> kept = extents;
      add(end + 1, axis + 1);
      extents = std::move(kept);
      if (part < reaches.size())
        extents[part] = std::max<int64_t>(reaches[part].extent(), 1);
    }
  }

  void finish() {
    std::vector<int64_t> strides(reaches.size());
    int64_t stride = 1;
    for (size_t i = reaches.size(); i-- > 0;) {
      strides[i] = reaches[i].extent() > 1 ? stride : 0; // one that is always 0 says nothing
      stride *= extents[i];
    }
    if (std::find(ways.begin(), ways.end(), strides) == ways.end())
      ways.push_back(std::move(strides));
  }

  static constexpr int mostSteps = 100000;
  const std::vector<StoredPlace::Reach> &reaches;
  std::vector<int64_t> found, extents;
  std::vector<std::vector<int64_t>> ways;
  int steps = 0;
};

} // namespace

std::optional<StoredPlace> StoredPlace::parse(std::string_view text, int32_t rank) {
  StoredPlace out;
  for (;;) {
    size_t end = std::min(text.find(';'), text.size());
    std::string_view one = text.substr(0, end);
    while (!one.empty() && one.back() == ' ')
      one.remove_suffix(1);
    bool part = one.ends_with(" part");
    if (part)
      one.remove_suffix(5);
    std::optional<StoredText> index = StoredText::parse(one, rank, /*whole=*/true);
    if (!index || out.list.size() == 64)
      return std::nullopt;
    out.list.push_back(std::move(*index));
    out.parts.push_back(part);
    if (end == text.size())
      return out;
    text.remove_prefix(end + 1);
  }
}

std::vector<StoredPlace::Reach> StoredPlace::reaches(const std::vector<int64_t> &shape) const {
  std::vector<Reach> out;
  for (size_t i = 0; i < list.size(); ++i) {
    Reach reach;
    reach.part = parts[i];
    if (int32_t axis = list[i].axis(); axis >= 0) {
      reach.most = shape[axis] - 1;
      out.push_back(reach);
      continue;
    }
    reach.countable = countable(list[i], shape);
    if (!reach.countable) {
      out.push_back(reach);
      continue;
    }
    bool first = true;
    overAxes(list[i], shape, [&](const int64_t *positions) {
      std::optional<int64_t> value = list[i].at(positions);
      reach.divides &= value.has_value();
      reach.least = first ? value.value_or(0) : std::min(reach.least, value.value_or(0));
      reach.most = first ? value.value_or(0) : std::max(reach.most, value.value_or(0));
      first = false;
    });
    out.push_back(reach);
  }
  return out;
}

bool StoredPlace::covers(size_t index, const std::vector<int64_t> &shape,
                         const Reach &reach) const {
  if (list[index].axis() >= 0)
    return true;
  int64_t settings = 0;
  overAxes(list[index], shape, [&](const int64_t *) { ++settings; });
  if (!reach.sound() || reach.most - reach.least >= settings)
    return false;
  std::vector<bool> taken(reach.most - reach.least + 1);
  overAxes(list[index], shape,
           [&](const int64_t *at) { taken[*list[index].at(at) - reach.least] = true; });
  return std::find(taken.begin(), taken.end(), false) == taken.end();
}

bool StoredPlace::fit(const std::vector<int64_t> &shape, const std::vector<int64_t> &found,
                      std::vector<int64_t> &strides, std::string &why) const {
  std::vector<Reach> all = reaches(shape);
  std::vector<int64_t> wide = found;
  wide.erase(std::remove(wide.begin(), wide.end(), 1), wide.end());
  bool sound = std::all_of(all.begin(), all.end(), [](const Reach &r) { return r.sound(); });
  std::vector<std::vector<int64_t>> ways;
  if (sound)
    ways = Splits(all, std::move(wide)).run();
  if (ways.size() == 1) {
    strides = std::move(ways[0]);
    return true;
  }
  for (const Reach &r : all)
    why += (why.empty() ? "[" : ",") + format("%lld", static_cast<long long>(r.extent())) +
           (r.part ? " or more" : "");
  why += "]";
  if (!ways.empty())
    why += ", which fits it in more than one way: write the position along each stored axis as one "
           "expression";
  return false;
}

} // namespace qkv::rt
