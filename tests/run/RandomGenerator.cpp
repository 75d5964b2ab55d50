// The frame of random models and their expressions. (Kinds of equations: RandomEquations.cpp.)
#include "tests/run/RandomGenerator.h"

#include <algorithm>

namespace qkv::random {

/// SplitMix64 (Steele, Lea, Flood 2014).
uint64_t Generator::bits() {
  uint64_t z = (state_ += 0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

NodePtr Generator::node(Kind kind, std::string form, std::vector<NodePtr> children) {
  return std::make_shared<Node>(Node{kind, std::move(form), std::move(children)});
}

void Generator::run() {
  makeSizes();
  makeInputs();
  int count = 2 + below(4);
  for (int i = 0; i < count; ++i)
    if (chance(50))
      idiom();
    else
      addEquation();
  // The last one, and sometimes others.
  int last = static_cast<int>(p_.equations_.size()) - 1;
  for (int i = 0; i <= last; ++i)
    for (size_t which = 0; which < p_.equations_[i].defines.size(); ++which)
      if (i == last || chance(25))
        p_.results_.push_back({i, static_cast<int>(which)});
}

void Generator::makeSizes() {
  static const char *const letters[][3] = {
      {"a", "b", "c"}, {"i", "j", "k"}, {"u", "v", "w"}, {"p", "q", "r"}};
  static const int64_t values[] = {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33};
  int count = 2 + below(2);
  for (int i = 0; i < count; ++i) {
    SizeInfo size;
    size.dynamic = i == 1 ? chance(70) : i == 2 && chance(40);
    size.name = std::string(size.dynamic ? "T" : "N") + std::to_string(i);
    size.value = !size.dynamic          ? values[below(i == 0 ? 11 : 10)]
                 : i == 1 && chance(10) ? 60 + below(80)
                                        : 24;
    size.letters.assign(letters[i], letters[i] + 3);
    p_.sizes_.push_back(size);
  }
  makeDerivedSizes();
}

void Generator::makeInputs() {
  auto add = [&](Kind kind, std::vector<int> sizes, bool token = false) {
    static const char *const names[] = {"x", "n", "g"};
    p_.inputs_.push_back({newName(token ? "tok" : names[static_cast<int>(kind)]), kind,
                          std::move(sizes), true, token});
  };
  add(Kind::Float, {1, 0});
  // Every dynamic size is the extent of some input.
  if (p_.sizes_.size() > 2 && p_.sizes_[2].from.empty())
    add(Kind::Float, chance(50) ? std::vector<int>{2} : std::vector<int>{2, 0});
  if (chance(50))
    add(Kind::Int, {1});
  if (chance(40))
    add(Kind::Int, {1}, /*token=*/true);
  if (chance(30))
    add(Kind::Bool, {below(2)});
  if (chance(25))
    add(Kind::Float, {});
  int params = below(3);
  for (int i = 0; i < params; ++i) {
    std::vector<int> fixed;
    for (size_t s = 0; s < p_.sizes_.size(); ++s)
      if (!p_.sizes_[s].dynamic)
        fixed.push_back(static_cast<int>(s));
    std::vector<int> sizes{any(fixed)};
    if (chance(60))
      sizes.push_back(any(fixed));
    p_.params_.push_back({newName("w"), Kind::Float, sizes});
  }
}

std::vector<TensorInfo> Generator::readable(Kind kind) {
  std::vector<TensorInfo> out;
  auto add = [&](const TensorInfo &tensor) {
    if (tensor.kind == kind && !hidden_.count(tensor.name))
      out.push_back(tensor);
  };
  for (const TensorInfo &tensor : p_.inputs_)
    add(tensor);
  for (const TensorInfo &tensor : p_.params_)
    add(tensor);
  for (const Equation &equation : p_.equations_)
    for (const TensorInfo &tensor : equation.defines)
      add(tensor);
  return out;
}

std::string Generator::freeLetter(int size, const Scope &scope) {
  for (const std::string &letter : p_.sizes_[size].letters)
    if (std::none_of(scope.begin(), scope.end(), [&](const Bound &b) { return b.name == letter; }))
      return letter;
  return "";
}

Generator::Scope Generator::scopeOf(const std::vector<int> &sizes, std::string &brackets) {
  Scope scope;
  brackets.clear();
  for (int size : sizes) {
    scope.push_back({freeLetter(size, scope), size});
    brackets += (brackets.empty() ? "[" : ",") + scope.back().name;
  }
  if (!brackets.empty())
    brackets += "]";
  return scope;
}

std::vector<int> Generator::someSizes(int most) {
  std::vector<int> sizes;
  int count = chance(8) ? 3 + below(3) : below(most + 1);
  int64_t elements = 1;
  for (int i = 0; i < count; ++i) {
    sizes.push_back(below(static_cast<int>(p_.sizes_.size())));
    const SizeInfo &size = p_.sizes_[sizes.back()];
    elements *= size.from.empty() ? size.value : p_.sizes_[1].value;
    // Three letters run over each size.
    if (elements > 50000 || std::count(sizes.begin(), sizes.end(), sizes.back()) > 3)
      sizes.pop_back(), elements = 50000;
  }
  return sizes;
}

std::string Generator::index(int size, const Scope &scope, std::string &needs) {
  const SizeInfo &info = p_.sizes_[size];
  std::vector<std::string> same;
  for (const Bound &bound : scope)
    if (bound.size == size)
      same.push_back(bound.name);
  auto guard = [&](const std::string &condition) {
    needs += (needs.empty() ? "" : " and ") + condition;
  };
  for (const Bound &bound : scope) {
    if (bound.size == size && bound.shift && chance(60))
      return bound.name + (bound.shift < 0 ? " - " : " + ") + std::to_string(std::abs(bound.shift));
    const SizeInfo &own = p_.sizes_[bound.size];
    if (own.base == size && chance(60)) {
      std::string at =
          own.stride == 1 ? bound.name : std::to_string(own.stride) + " * " + bound.name;
      return own.by ? at + " + " + std::to_string(own.by) : at;
    }
  }
  if (!same.empty() && chance(60))
    return any(same);
  switch (below(8)) {
  case 0:
    if (!same.empty()) {
      // Backward from the end.
      const std::string &letter = any(same);
      return "extent(" + letter + ") - 1 - " + letter;
    }
    break;
  case 1:
    if (!same.empty()) {
      const std::string &letter = any(same);
      int lag = 1 + below(3);
      guard(letter + " >= " + std::to_string(lag));
      return letter + " - " + std::to_string(lag);
    }
    break;
  case 2:
    if (!same.empty()) {
      const std::string &letter = any(same);
      guard(letter + " + 1 < extent(" + letter + ")");
      return letter + " + 1";
    }
    break;
  case 3:
    if (!same.empty())
      return any(same) + " // " + std::to_string(2 + below(2));
    break;
  case 4:
    if (same.size() > 1) {
      guard(same[0] + " >= " + same[1]);
      return same[0] + " - " + same[1];
    }
    break;
  case 5:
    if (!scope.empty() && !info.dynamic)
      return any(scope).name + " % " + info.name;
    break;
  case 6:
    // By value: clamped, so that the check that stays is never true.
    for (const TensorInfo &tensor : readable(Kind::Int))
      if (tensor.exact && tensor.sizes.size() == 1)
        for (const Bound &bound : scope)
          if (bound.size == tensor.sizes[0]) {
            if (!info.from.empty())
              break; // it may be empty: no clamp helps
            std::string element = tensor.name + "[" + bound.name + "]";
            return tensor.token && chance(60)
                       ? element
                       : "min(max(" + element + ", 0), " + info.name + " - 1)";
          }
    break;
  default:
    break;
  }
  if (!same.empty())
    return any(same);
  if (!info.from.empty()) {
    std::string at = scope.empty() ? "0" : any(scope).name;
    guard(at + " < " + info.name);
    return at;
  }
  return info.dynamic || chance(50) ? "0" : std::to_string(below(static_cast<int>(info.value)));
}

NodePtr Generator::read(const TensorInfo &tensor, const Scope &scope) {
  std::string indices, needs;
  for (int size : tensor.sizes)
    indices += (indices.empty() ? "[" : ",") + index(size, scope, needs);
  std::string element = tensor.name + indices + (indices.empty() ? "" : "]");
  if (needs.empty())
    return node(tensor.kind, element);
  static const char *const other[] = {"0.25", "3", "false"};
  return node(tensor.kind, "(if " + needs + " then " + element + " else " +
                               other[static_cast<int>(tensor.kind)] + ")");
}

NodePtr Generator::leaf(Kind kind, const Scope &scope) {
  std::vector<TensorInfo> tensors = readable(kind);
  if (!tensors.empty() && chance(75))
    return read(any(tensors), scope);
  if (kind == Kind::Bool)
    return scope.empty() ? node(kind, chance(50) ? "true" : "false")
                         : node(kind, "(" + any(scope).name + " % 2 == 0)");
  if (kind == Kind::Int)
    return scope.empty() || chance(50) ? node(kind, std::to_string(below(9)))
                                       : node(kind, any(scope).name);
  static const char *const numbers[] = {"0.5",  "1.25", "-0.75", "2.0",   "0.1",
                                        "-1.5", "0.0",  "1.0",   "1e-20", "-40.0"};
  return node(kind, numbers[below(10)]);
}

NodePtr Generator::guard(const Scope &scope) { return boolValue(scope, 1); }

NodePtr Generator::reduction(Kind kind, const Scope &scope, int depth) {
  int size = below(static_cast<int>(p_.sizes_.size()));
  std::string letter = freeLetter(size, scope);
  if (letter.empty())
    return leaf(kind, scope);
  Scope inner = scope;
  inner.push_back({letter, size});
  std::string letters = letter;
  for (int more = 0; more < 2 && chance(25); ++more) {
    int second = below(static_cast<int>(p_.sizes_.size()));
    if (std::string name = freeLetter(second, inner); !name.empty()) {
      inner.push_back({name, second});
      letters += "," + name;
    }
  }
  bool guarded = chance(40);
  std::string where = guarded ? " where $1" : "";
  auto made = [&](const std::string &head, NodePtr body, const std::string &tail = "") {
    std::vector<NodePtr> children{std::move(body)};
    if (guarded)
      children.push_back(guard(inner));
    return node(kind, head + "[" + letters + "]($0" + where + ")" + tail, std::move(children));
  };
  if (kind == Kind::Bool)
    return boolValue(scope, 0);
  if (kind == Kind::Int) {
    if (chance(25)) {
      // argmax of inputs alone: two different right computations agree on it.
      for (const TensorInfo &tensor : p_.inputs_)
        if (tensor.kind == Kind::Float && !tensor.sizes.empty() && tensor.sizes[0] == size) {
          std::string indices = letter;
          for (size_t axis = 1; axis < tensor.sizes.size(); ++axis)
            indices += ",0";
          return node(kind, "argmax[" + letter + "](" + tensor.name + "[" + indices + "])");
        }
    }
    static const char *const heads[] = {"sum", "sum", "prod"};
    return made(heads[below(3)],
                node(Kind::Int, "min(max($0, -2), 2)", {intValue(inner, depth - 1)}));
  }
  switch (below(9)) {
  case 0:
    return made("mean", floatValue(inner, depth - 1));
  case 1:
    return node(kind, "max(-9.0, $0)", {made("max", floatValue(inner, depth - 1))});
  case 2:
    return node(kind, "min(9.0, $0)", {made("min", floatValue(inner, depth - 1))});
  case 3:
    return made("prod", node(Kind::Float, "(0.5 + sigmoid($0))", {floatValue(inner, depth - 1)}));
  case 4:
    return node(kind, "max(-20.0, $0)", {made("logsumexp", floatValue(inner, depth - 1))});
  case 5: {
    NodePtr score = floatValue(inner, depth - 1), weight = floatValue(inner, 0);
    if (chance(30)) // as good as left out, or left out
      score = node(Kind::Float,
                   chance(50) ? "(if $0 then $1 else -60.0)" : "(if $0 then $1 else log(0))",
                   {boolValue(inner, 1), score});
    std::vector<NodePtr> children{score, weight};
    if (guarded)
      children.push_back(guard(inner));
    return node(kind,
                "sum[" + letters + "](softmax[" + letters + "]($0" + (guarded ? " where $2" : "") +
                    ") * $1)",
                children);
  }
  default:
    return made("sum", floatValue(inner, depth - 1));
  }
}

NodePtr Generator::floatValue(const Scope &scope, int depth) {
  if (depth <= 0)
    return leaf(Kind::Float, scope);
  auto one = [&](const char *form) {
    return node(Kind::Float, form, {floatValue(scope, depth - 1)});
  };
  auto two = [&](const char *form) {
    return node(Kind::Float, form, {floatValue(scope, depth - 1), floatValue(scope, depth - 1)});
  };
  switch (below(31)) {
  case 24:
  case 25:
    return infinite(scope, depth);
  case 26: // huge, and what has a limit there
    return node(Kind::Float, chance(50) ? "tanh(1e12 * $0)" : "sigmoid(300.0 * $0)",
                {leaf(Kind::Float, scope)});
  case 27: // equal values
    return node(Kind::Float, "(0.25 + 0.0 * tanh($0))", {floatValue(scope, depth - 1)});
  case 28: { // the same element twice
    NodePtr once = floatValue(scope, depth - 1);
    return node(Kind::Float, chance(50) ? "tanh($0) * $1" : "($0 + 0.5 * $1)", {once, once});
  }
  case 0:
    return two("($0 + $1)");
  case 1:
    return two("($0 - $1)");
  case 2:
  case 3:
    return two("$0 * $1");
  case 4:
    return two("($0 / (1.5 + abs($1)))");
  case 5:
    return two("min($0, $1)");
  case 6:
    return two("max($0, $1)");
  case 7:
    return one("tanh($0)");
  case 8:
    return one("sigmoid($0)");
  case 9:
    return one("exp(tanh($0))");
  case 10:
    return one("sqrt(1 + abs($0))");
  case 11:
    return one("log(1.5 + abs($0))");
  case 12:
    return one("rsqrt(0.5 + abs($0))");
  case 13:
    return one("sin($0)");
  case 14:
    return one("cos($0)");
  case 15:
    return one("erf($0)");
  case 16:
    return one("(-$0)");
  case 17:
    return one("(tanh($0))^2");
  case 18:
    return node(
        Kind::Float, "(if $0 then $1 else $2)",
        {boolValue(scope, depth - 1), floatValue(scope, depth - 1), floatValue(scope, depth - 1)});
  case 19:
    return node(Kind::Float, "(0.125 * $0)", {intValue(scope, depth - 1)});
  default:
    return reduction(Kind::Float, scope, depth);
  }
}

/// What may be infinite, where it has a limit.
NodePtr Generator::infinite(const Scope &scope, int depth) {
  static const char *const limits[] = {"tanh($0)",
                                       "sigmoid($0)",
                                       "max(-9.0, min($0, 9.0))",
                                       "(1.0 / (2.0 + abs($0)))",
                                       "exp(min($0, 0.5))",
                                       "(if -5.0 < $0 < 5.0 then 0.5 else -0.25)"};
  static const char *const forms[] = {"(if $0 then $1 else log(0))", "(if $0 then $1 else -log(0))",
                                      "(if $0 then -log(0) else $1)",
                                      "($1 + (if $0 then 0 else log(0)))"};
  int limit = below(6);
  NodePtr inner;
  std::string letter;
  if (int size = below(static_cast<int>(p_.sizes_.size()));
      chance(50) && !(letter = freeLetter(size, scope)).empty()) {
    Scope within = scope;
    within.push_back({letter, size});
    static const char *const heads[] = {"max", "min", "logsumexp"};
    inner = node(Kind::Float, std::string(heads[below(3)]) + "[" + letter + "]($0 where $1)",
                 {floatValue(within, depth - 1), guard(within)});
    limit = below(5); // (a comparison might jump)
  } else {
    inner = node(Kind::Float, forms[below(4)],
                 {boolValue(scope, 1),
                  limit == 5 ? node(Kind::Float, "0.75") : floatValue(scope, depth - 1)});
  }
  return node(Kind::Float, limits[limit], {inner});
}

NodePtr Generator::intValue(const Scope &scope, int depth) {
  if (depth <= 0)
    return leaf(Kind::Int, scope);
  auto one = [&](const char *form) { return node(Kind::Int, form, {intValue(scope, depth - 1)}); };
  auto two = [&](const char *form) {
    return node(Kind::Int, form, {intValue(scope, depth - 1), intValue(scope, depth - 1)});
  };
  switch (below(12)) {
  case 0:
    return two("($0 + $1)");
  case 1:
    return two("($0 - $1)");
  case 2:
    return two("min($0, $1)");
  case 3:
    return two("max($0, $1)");
  case 4:
    return one("($0 // 3)");
  case 5:
    return one("($0 % 5)");
  case 6:
    return one("(-2 * $0)");
  case 7:
    return one("abs($0)");
  case 8:
    if (!scope.empty())
      return node(Kind::Int, "extent(" + any(scope).name + ")");
    return leaf(Kind::Int, scope);
  case 9: {
    static const char *const heads[] = {"floor", "ceil", "round"};
    std::vector<TensorInfo> inputs;
    for (const TensorInfo &tensor : p_.inputs_)
      if (tensor.kind == Kind::Float)
        inputs.push_back(tensor);
    return node(Kind::Int, std::string(heads[below(3)]) + "($0)", {read(any(inputs), scope)});
  }
  default:
    return reduction(Kind::Int, scope, depth);
  }
}

NodePtr Generator::boolValue(const Scope &scope, int depth) {
  if (depth <= 0)
    return leaf(Kind::Bool, scope);
  switch (below(8)) {
  case 0:
    return node(Kind::Bool, "($0 and $1)",
                {boolValue(scope, depth - 1), boolValue(scope, depth - 1)});
  case 1:
    return node(Kind::Bool, "($0 or $1)",
                {boolValue(scope, depth - 1), boolValue(scope, depth - 1)});
  case 2:
    return node(Kind::Bool, "(not $0)", {boolValue(scope, depth - 1)});
  case 3: {
    std::vector<TensorInfo> inputs;
    for (const TensorInfo &tensor : p_.inputs_)
      if (tensor.kind == Kind::Float)
        inputs.push_back(tensor);
    return node(Kind::Bool, "($0 > 0.25)", {read(any(inputs), scope)});
  }
  case 4:
    if (scope.size() > 1) {
      const std::string &a = any(scope).name, &b = any(scope).name;
      return node(Kind::Bool, "(" + a + " <= " + b + ")");
    }
    return leaf(Kind::Bool, scope);
  case 5:
    return node(Kind::Bool, "(-1 <= $0 < 3)", {intValue(scope, depth - 1)});
  default: {
    static const char *const forms[] = {"($0 < $1)", "($0 >= $1)", "($0 == $1)", "($0 != $1)"};
    return node(Kind::Bool, forms[below(4)],
                {intValue(scope, depth - 1), intValue(scope, depth - 1)});
  }
  }
}

NodePtr Generator::value(Kind kind, const Scope &scope, int depth) {
  return kind == Kind::Float ? floatValue(scope, depth)
         : kind == Kind::Int ? intValue(scope, depth)
                             : boolValue(scope, depth);
}

} // namespace qkv::random
