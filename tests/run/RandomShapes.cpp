// Equations of random models whose pieces and places are the point: what is read away from where
// it is written, beside pieces of their own, at strides, at a rate.
#include "tests/run/RandomGenerator.h"

#include <algorithm>

namespace qkv::random {

namespace {

/// t[0,b], t[i,b]: a position put in the place of the first letter.
std::string at(const std::string &name, const std::string &first,
               const std::vector<std::string> &rest) {
  std::string out = name + "[" + first;
  for (const std::string &letter : rest)
    out += "," + letter;
  return out + "]";
}

} // namespace

/// Sizes computed from the second one, which is often dynamic: some may be 0.
void Generator::makeDerivedSizes() {
  static const char *const letters[][3] = {{"e", "f", "g"}, {"l", "m", "n"}};
  const std::string t = p_.sizes_[1].name;
  int count = chance(45) ? 1 + chance(25) : 0;
  for (int i = 0; i < count; ++i) {
    SizeInfo size;
    size.name = "D" + std::to_string(i);
    size.dynamic = true;
    size.base = 1;
    size.letters.assign(letters[i], letters[i] + 3);
    switch (below(5)) {
    case 0:
      size.from = "(" + t + " + 1) // 2";
      size.stride = 2;
      break;
    case 1:
      size.from = t + " // 2";
      size.stride = 2;
      size.by = below(2);
      break;
    case 2:
      size.from = t + " // 3";
      size.stride = 3;
      size.by = below(3);
      break;
    case 3:
      size.from = t + " - 1";
      size.by = below(2);
      break;
    default: // longer than what it comes from
      size.from = t + " + " + std::to_string(1 + below(2));
      size.base = -1;
    }
    p_.sizes_.push_back(size);
  }
}

/// Pieces at one end, and a general one that reads several tensors, or one twice, at that shift.
void Generator::shiftedPieces() {
  std::vector<int> sizes{below(2)};
  int rank = 1 + below(3);
  while (static_cast<int>(sizes.size()) < rank)
    sizes.push_back(below(static_cast<int>(p_.sizes_.size())));
  std::string brackets, name = newName("p");
  Scope scope = scopeOf(sizes, brackets), rest(scope.begin() + 1, scope.end());
  std::vector<std::string> letters;
  for (const Bound &bound : rest)
    letters.push_back(bound.name);
  const SizeInfo &size = p_.sizes_[sizes[0]];
  int most = size.dynamic ? 1 : static_cast<int>(std::min<int64_t>(size.value, 2));
  int pieces = 1 + below(most);
  bool atEnd = chance(40);
  std::string form;
  std::vector<NodePtr> values;
  for (int piece = 0; piece < pieces; ++piece) {
    std::string place = atEnd ? "extent(" + scope[0].name + ") - " + std::to_string(piece + 1)
                              : std::to_string(piece);
    form += "  " + at(name, place, letters) + " = $" + std::to_string(piece) + "\n";
    values.push_back(floatValue(rest, 1));
  }
  scope[0].shift = atEnd ? pieces : -pieces;
  if (chance(30)) // one of the pieces was for a position nearer than the farthest read
    scope[0].shift = atEnd ? 1 : -1;
  static const char *const forms[] = {"$0 + $1", "$0 * $1", "$0 * $1 + $2", "$0 - $1 * $2",
                                      "($0 + $1) * ($2 - $0)"};
  NodePtr first = leaf(Kind::Float, scope), second = chance(30) ? first : leaf(Kind::Float, scope);
  values.push_back(node(Kind::Float, forms[below(5)], {first, second, floatValue(scope, 1)}));
  form += "  " + name + brackets + " = $" + std::to_string(pieces);
  define({name, Kind::Float, sizes}, form, values);
}

/// d[-1] and d[T] beside d[t], read from one position on.
void Generator::outsidePieces() {
  std::vector<int> sizes{below(2)};
  if (chance(50))
    sizes.push_back(below(static_cast<int>(p_.sizes_.size())));
  std::string brackets, name = newName("d"), out = newName("q");
  Scope scope = scopeOf(sizes, brackets), rest(scope.begin() + 1, scope.end());
  std::vector<std::string> letters;
  for (const Bound &bound : rest)
    letters.push_back(bound.name);
  std::string t = scope[0].name;
  NodePtr before = floatValue(rest, 1), behind = floatValue(rest, 1);
  std::string form = "  " + at(name, "-1", letters) + " = $0\n  " +
                     at(name, "extent(" + t + ")", letters) + " = $1\n  " + name + brackets +
                     " = $2\n  " + out + brackets + " = " + at(name, t + " - 1", letters) +
                     " - 0.5 * " + at(name, t + " + 1", letters) + " * " + name + brackets;
  define({out, Kind::Float, sizes}, form, {before, behind, floatValue(scope, 2)});
}

/// A recurrence whose first position is an equation, either way, and what it reads beside itself
/// stands at its own shift, too.
void Generator::recurrenceFromFirst() {
  std::vector<int> sizes{1};
  if (chance(70))
    sizes.push_back(0);
  std::string brackets, name = newName("r");
  Scope scope = scopeOf(sizes, brackets), rest(scope.begin() + 1, scope.end());
  std::vector<std::string> letters;
  for (const Bound &bound : rest)
    letters.push_back(bound.name);
  std::string t = scope[0].name;
  bool backward = chance(40);
  std::string first = backward ? "extent(" + t + ") - 1" : "0";
  std::string old = at(name, t + (backward ? " + 1" : " - 1"), letters);
  NodePtr start = floatValue(rest, 1);
  scope[0].shift = backward ? 1 : -1;
  static const char *const forms[] = {"tanh($0 + 0.5 * $1)", "0.5 * $0 + $1 * $1", "max($0, $1)",
                                      "sigmoid($1) * $0 + $2"};
  NodePtr step = node(Kind::Float, forms[below(4)],
                      {node(Kind::Float, old), leaf(Kind::Float, scope), floatValue(scope, 1)});
  define({name, Kind::Float, sizes},
         "  " + at(name, first, letters) + " = $0\n  " + name + brackets + " = $1", {start, step});
}

/// Windows: a letter runs over what lies around a place that moves by a stride.
void Generator::strided() {
  std::vector<TensorInfo> tensors;
  for (const TensorInfo &tensor : readable(Kind::Float))
    if (!tensor.sizes.empty() && tensor.sizes[0] == 1)
      tensors.push_back(tensor);
  if (tensors.empty())
    return plainEquation();
  TensorInfo from = any(tensors);
  int outer = below(static_cast<int>(p_.sizes_.size()));
  std::string brackets, name = newName("c");
  Scope scope = scopeOf({outer, 0}, brackets);
  std::string r = freeLetter(0, scope);
  int stride = 1 + below(3), rate = 1 + below(2), before = below(3);
  std::string place = std::to_string(stride) + " * " + scope[0].name + " + " +
                      std::to_string(rate) + " * " + r + " - " + std::to_string(before);
  Scope inner = scope;
  inner.push_back({r, 0});
  std::string element = from.name + "[" + place, unused;
  for (size_t axis = 1; axis < from.sizes.size(); ++axis) {
    std::string needs, place = index(from.sizes[axis], inner, needs);
    if (!needs.empty())
      return plainEquation();
    element += "," + place;
  }
  std::string where = " where 0 <= " + place + " < " + p_.sizes_[1].name + ")";
  static const char *const heads[] = {"sum", "sum", "mean", "max(-9.0, max", "min(9.0, min"};
  int head = below(5);
  define({name, Kind::Float, {outer, 0}},
         "  " + name + brackets + " = " + heads[head] + "[" + r + "]($0 * " + element + "]" +
             where + (head > 2 ? ")" : ""),
         {floatValue(inner, 1)});
}

/// Four or five axes, and sums over some of them.
void Generator::highRank() {
  std::vector<int> sizes;
  int rank = std::min(4 + below(2), 2 * static_cast<int>(p_.sizes_.size()));
  while (static_cast<int>(sizes.size()) < rank) {
    int size = below(static_cast<int>(p_.sizes_.size()));
    if (std::count(sizes.begin(), sizes.end(), size) < 2)
      sizes.push_back(size);
  }
  int64_t elements = 1;
  for (int size : sizes)
    elements *= p_.sizes_[size].from.empty() ? p_.sizes_[size].value : 12;
  if (elements > 20000)
    return plainEquation();
  std::string brackets, name = newName("u");
  Scope scope = scopeOf(sizes, brackets);
  define({name, Kind::Float, sizes}, "  " + name + brackets + " = $0", {floatValue(scope, 2)});
}

/// Joint reductions of two and three letters beside what they are made of.
void Generator::severalLetters() {
  std::string brackets, name = newName("z"), total = newName("s");
  std::vector<int> sizes{1, 0};
  Scope scope = scopeOf(sizes, brackets), all;
  std::string i = freeLetter(1, all);
  all.push_back({i, 1});
  std::string a = freeLetter(0, all);
  all.push_back({a, 0});
  std::string letters = i + "," + a;
  if (chance(40)) {
    int third = below(static_cast<int>(p_.sizes_.size()));
    all.push_back({freeLetter(third, all), third});
    letters += "," + all.back().name;
  }
  static const char *const heads[] = {"sum", "mean", "max(-9.0, max", "max(-20.0, logsumexp"};
  int head = below(4);
  static const char *const uses[] = {"exp(tanh($1) + tanh(0.1 * @))", "$1 * @", "$1 + @",
                                     "(if $2 then exp(min($1 + @, 2.0)) else $1)"};
  std::string use = uses[below(4)];
  for (size_t place; (place = use.find('@')) != std::string::npos;)
    use.replace(place, 1, total);
  define({name, Kind::Float, sizes},
         "  " + total + " = " + heads[head] + "[" + letters + "]($0)" + (head > 1 ? ")" : "") +
             "\n  " + name + brackets + " = " + use,
         {floatValue(all, 1), floatValue(scope, 1), boolValue(scope, 1)});
}

/// Two results that differ in one place: what is made once for all that mean the same must not be
/// made for these.
void Generator::nearlySame() {
  std::vector<int> sizes{1};
  std::string brackets, one = newName("t"), two = newName("t");
  Scope scope = scopeOf(sizes, brackets), inner = scope;
  std::string letter = freeLetter(0, scope);
  inner.push_back({letter, 0});
  NodePtr body = floatValue(inner, 1), other = floatValue(inner, 1);
  Equation equation;
  equation.defines = {{one, Kind::Float, sizes}, {two, Kind::Float, sizes}};
  equation.form = "  " + one + brackets + " = sum[" + letter + "]($0 * $1)\n  " + two + brackets +
                  " = sum[" + letter + "]($0 + $1) - " + one + brackets;
  equation.values = {body, other};
  p_.equations_.push_back(std::move(equation));
}

} // namespace qkv::random
