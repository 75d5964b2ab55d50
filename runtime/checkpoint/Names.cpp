// In: a name that is not there. Out: the one that was probably meant. Holds: at most a few million
// steps a name.
#include "runtime/checkpoint/Names.h"

#include <algorithm>

namespace qkv::rt {

/// Whether one is the other behind a prefix that ends in a dot ("model.h.0.w" and "h.0.w").
static bool prefixed(std::string_view a, std::string_view b) {
  if (a.size() < b.size())
    std::swap(a, b);
  return !b.empty() && a.size() > b.size() && a.ends_with(b) && a[a.size() - b.size() - 1] == '.';
}

/// Edits (Levenshtein) between two names; more than `limit` counts as limit + 1.
static size_t edits(std::string_view a, std::string_view b, size_t limit) {
  size_t difference = a.size() > b.size() ? a.size() - b.size() : b.size() - a.size();
  if (difference > limit)
    return limit + 1;
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0], least = row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      size_t cost = std::min({row[j] + 1, row[j + 1] + 1, diagonal + (a[i] != b[j])});
      diagonal = row[j + 1];
      least = std::min(least, row[j + 1] = cost);
    }
    if (least > limit)
      return limit + 1;
  }
  return row[b.size()];
}

int64_t nearestName(const std::vector<std::string_view> &names, std::string_view wanted) {
  if (wanted.size() > 200)
    return -1;
  size_t limit = wanted.size() < 3 ? 0 : std::min<size_t>(wanted.size() / 3, 6), budget = 20000;
  int64_t best = -1;
  for (size_t i = 0; i < names.size(); ++i) {
    if (prefixed(names[i], wanted))
      return i;
    if (limit == 0 || budget == 0 || names[i].size() > 200)
      continue;
    --budget;
    size_t cost = edits(names[i], wanted, limit);
    if (cost <= limit) {
      best = i;
      limit = cost - 1;
    }
  }
  return best;
}

size_t utf8Length(std::string_view text) {
  auto byte = [&](size_t i) -> unsigned { return static_cast<unsigned char>(text[i]); };
  auto in = [&](size_t i, unsigned low, unsigned high) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  if (text.empty())
    return 0;
  unsigned lead = byte(0);
  if (lead < 0x80)
    return 1;
  if (lead >= 0xC2 && lead <= 0xDF)
    return in(1, 0x80, 0xBF) ? 2 : 0;
  unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (lead >= 0xE0 && lead <= 0xEF)
    return in(1, low, high) && in(2, 0x80, 0xBF) ? 3 : 0;
  if (lead >= 0xF0 && lead <= 0xF4)
    return in(1, low, high) && in(2, 0x80, 0xBF) && in(3, 0x80, 0xBF) ? 4 : 0;
  return 0;
}

} // namespace qkv::rt
