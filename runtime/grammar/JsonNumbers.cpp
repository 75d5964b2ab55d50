// Numbers within bounds, and texts in a format, as rules (JsonText.h).
#include "runtime/grammar/JsonText.h"

#include <algorithm>
#include <cstdlib>

namespace qkv::rt {

/// Texts of digits, both equally long, from one to the other.
int JsonText::digits(std::string_view least, std::string_view most) {
  if (least.empty())
    return grammar.bytes("");
  if (least == most)
    return grammar.bytes(std::string(least));
  size_t rest = least.size() - 1;
  if (least[0] == most[0])
    return grammar.sequence(
        {grammar.bytes(std::string(least.substr(0, 1))), digits(least.substr(1), most.substr(1))});
  std::string zeros(rest, '0'), nines(rest, '9');
  std::vector<int> forms;
  char from = least[0], to = most[0];
  if (least.substr(1) != zeros) {
    forms.push_back(
        grammar.sequence({grammar.bytes(std::string(1, from)), digits(least.substr(1), nines)}));
    ++from;
  }
  if (most.substr(1) != nines) {
    forms.push_back(
        grammar.sequence({grammar.bytes(std::string(1, to)), digits(zeros, most.substr(1))}));
    --to;
  }
  if (from <= to)
    forms.push_back(
        grammar.sequence({grammar.characters({{from, to}}),
                          grammar.repeat(grammar.characters({{'0', '9'}}),
                                         static_cast<int64_t>(rest), static_cast<int64_t>(rest))}));
  return grammar.choice(std::move(forms));
}

/// Whole numbers without a sign.
int JsonText::digitsFrom(uint64_t least, uint64_t most) {
  std::vector<int> forms;
  while (least <= most) {
    std::string from = std::to_string(least);
    std::string end = std::min(std::string(from.size(), '9'), std::to_string(most));
    if (std::to_string(most).size() > from.size())
      end = std::string(from.size(), '9');
    forms.push_back(digits(from, end));
    if (end.size() >= 19 || end == std::to_string(most))
      break;
    least = std::strtoull(end.c_str(), nullptr, 10) + 1;
  }
  return grammar.choice(std::move(forms));
}

/// What is asked of numbers without bounds: 16 digits. Beyond a bound that is larger, as many.
constexpr int64_t sixteenDigits = 9999999999999999;

static int64_t orLess(std::optional<int64_t> bound, std::optional<int64_t> other) {
  return bound ? *bound : std::min(-sixteenDigits, other ? *other : 0);
}
static int64_t orMore(std::optional<int64_t> bound, std::optional<int64_t> other) {
  return bound ? *bound : std::max(sixteenDigits, other ? *other : 0);
}

int JsonText::whole(std::optional<int64_t> least, std::optional<int64_t> most) {
  int64_t from = orLess(least, most), to = orMore(most, least);
  std::vector<int> forms;
  if (from <= to && to >= 0)
    forms.push_back(
        digitsFrom(static_cast<uint64_t>(std::max<int64_t>(from, 0)), static_cast<uint64_t>(to)));
  if (from <= to && from < 0)
    forms.push_back(grammar.sequence(
        {grammar.bytes("-"), digitsFrom(static_cast<uint64_t>(-std::min<int64_t>(to, -1)),
                                        static_cast<uint64_t>(-from))}));
  return grammar.choice(std::move(forms));
}

/// Numbers above 0 of at most 15 digits that `step` divides: a rule for each rest that the digits
/// so far leave, and how many may follow.
int JsonText::multiplesAbove0(int64_t step) {
  constexpr int digits = 15;
  std::vector<int> next(static_cast<size_t>(step)); // by the rest; none: no digit may follow
  auto after = [&](int64_t rest, int from, bool last) {
    std::vector<std::vector<CharacterRange>> to(static_cast<size_t>(step));
    for (int digit = from; digit < 10; ++digit)
      to[static_cast<size_t>((rest * 10 + digit) % step)].emplace_back('0' + digit, '0' + digit);
    std::vector<int> forms;
    for (int64_t r = 0; r < step; ++r) {
      auto &range = to[static_cast<size_t>(r)];
      if (range.empty() || (last && r != 0))
        continue;
      int digit = grammar.characters(range);
      forms.push_back(last ? digit : grammar.sequence({digit, next[static_cast<size_t>(r)]}));
    }
    return grammar.choice(std::move(forms));
  };
  for (int left = 1; left < digits; ++left) {
    std::vector<int> more(static_cast<size_t>(step));
    for (int64_t rest = 0; rest < step; ++rest) {
      int rule = grammar.declare("multiple");
      int form = after(rest, 0, left == 1);
      grammar.define(rule, rest == 0 ? grammar.optional(form) : form);
      more[static_cast<size_t>(rest)] = grammar.call(rule);
    }
    next = std::move(more);
  }
  return after(0, 1, false);
}

std::optional<int> JsonText::multiples(int64_t step, std::optional<int64_t> least,
                                       std::optional<int64_t> most) {
  constexpr int64_t mostListed = 1000, mostStep = 100;
  auto up = [&](int64_t n) { return n / step + (n % step > 0 ? 1 : 0); };
  auto down = [&](int64_t n) { return n / step - (n % step < 0 ? 1 : 0); };
  if (least && most) {
    int64_t from = up(*least), to = down(*most);
    std::vector<int> forms;
    if (from <= to && static_cast<uint64_t>(to) - static_cast<uint64_t>(from) < mostListed) {
      for (int64_t i = from; i <= to; ++i)
        forms.push_back(grammar.bytes(std::to_string(i * step)));
      return grammar.choice(std::move(forms));
    }
    return from > to ? std::optional(grammar.choice({})) : std::nullopt;
  }
  // The first multiple inside of the one bound is 0, or its neighbour.
  int64_t first = least ? up(*least) : most ? down(*most) : 0;
  if (step > mostStep || (least && first != 0 && first != 1) || (most && first != 0 && first != -1))
    return std::nullopt;
  std::vector<int> forms;
  if (first == 0)
    forms.push_back(grammar.bytes("0"));
  int above = multiplesAbove0(step);
  if (!most)
    forms.push_back(above);
  if (!least)
    forms.push_back(grammar.sequence({grammar.bytes("-"), above}));
  return grammar.choice(std::move(forms));
}

/// Digits behind a point that are not all zeros.
int JsonText::fraction() {
  return grammar.sequence({grammar.bytes("."),
                           grammar.repeat(grammar.characters({{'0', '9'}}), 0, 14),
                           grammar.characters({{'1', '9'}})});
}

int JsonText::number(std::optional<int64_t> least, bool leastItself, std::optional<int64_t> most,
                     bool mostItself) {
  int64_t from = orLess(least, most), to = orMore(most, least);
  std::vector<int> forms;
  forms.push_back(whole(from + (leastItself ? 0 : 1), to - (mostItself ? 0 : 1)));
  // Between n and n + 1, where both are within the bounds.
  if (from < to && to > 0)
    forms.push_back(grammar.sequence({digitsFrom(static_cast<uint64_t>(std::max<int64_t>(from, 0)),
                                                 static_cast<uint64_t>(to - 1)),
                                      fraction()}));
  if (from < to && from < 0)
    forms.push_back(grammar.sequence({grammar.bytes("-"),
                                      digitsFrom(static_cast<uint64_t>(-std::min<int64_t>(to, 0)),
                                                 static_cast<uint64_t>(-from - 1)),
                                      fraction()}));
  return grammar.choice(std::move(forms));
}

std::optional<int> JsonText::formatted(const std::string &format) {
  // (No 29th of February: it is not in every year.)
  std::string date = "[0-9]{4}-(((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01]))|((0[469]|11)-(0[1-9]|"
                     "[12][0-9]|30))|(02-(0[1-9]|1[0-9]|2[0-8])))";
  std::string time = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2["
                     "0-3]):[0-5][0-9])";
  std::string pattern;
  if (format == "date")
    pattern = date;
  else if (format == "time")
    pattern = time;
  else if (format == "date-time")
    pattern = date + "T" + time;
  else if (format == "uuid")
    pattern = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
  else if (format == "ipv4")
    pattern = "((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|"
              "[1-9]?[0-9])";
  else
    return std::nullopt;
  std::string why;
  return textLike("^" + pattern + "$", why);
}

} // namespace qkv::rt
