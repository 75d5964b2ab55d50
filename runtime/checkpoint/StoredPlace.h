// Where the elements of a parameter stand in a stored tensor (rule C5): "attn_q.weight"[h, 2 * (d %
// K) + d // K, c] as a text, and where that leads in a tensor of some shape.
//
// In: indices between ` ; `, each a StoredText over the parameter's axes, with the word `part`
// behind it where it may read a part of its axis. Out: offsets of elements. Holds: whatever the
// text, what is inside the tensor's shape alone is read; adjacent axes may be merged in the tensor,
// as anywhere.
#pragma once

#include "runtime/checkpoint/StoredText.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qkv::rt {

class StoredPlace {
public:
  /// Nothing where the text is no place of a parameter of `rank` axes.
  static std::optional<StoredPlace> parse(std::string_view text, int32_t rank);

  /// How far an index reaches over all settings of the parameter's axes.
  struct Reach {
    int64_t least = 0, most = -1;
    bool divides = true;   ///< false: somewhere it divides by zero
    bool part = false;     ///< may read a part of its axis
    bool countable = true; ///< false: of too many positions to be looked at
    int64_t extent() const { return most + 1; }
    bool sound() const { return divides && countable && least >= 0; }
  };
  std::vector<Reach> reaches(const std::vector<int64_t> &shape) const;
  /// Whether an index of that reach takes every value from its least to its most.
  bool covers(size_t index, const std::vector<int64_t> &shape, const Reach &reach) const;

  /// Finds where the indices stand in a tensor of shape `found`: `strides`, one for each index.
  /// False with `why`, the shape that is wanted, where they do not fit.
  bool fit(const std::vector<int64_t> &shape, const std::vector<int64_t> &found,
           std::vector<int64_t> &strides, std::string &why) const;

  const std::vector<StoredText> &indices() const { return list; }

private:
  std::vector<StoredText> list;
  std::vector<bool> parts;
};

} // namespace qkv::rt
