// Kinds of equations of random models.
#include "tests/run/RandomGenerator.h"

namespace qkv::random {

void Generator::define(TensorInfo tensor, std::string form, std::vector<NodePtr> values,
                       std::vector<std::string> functions) {
  p_.equations_.push_back(
      {{std::move(tensor)}, std::move(form), std::move(values), std::move(functions)});
}

void Generator::addEquation() {
  switch (below(25)) {
  case 10:
  case 11:
    return shiftedPieces();
  case 12:
    return outsidePieces();
  case 13:
    return recurrenceFromFirst();
  case 14:
    return strided();
  case 15:
    return highRank();
  case 16:
    return severalLetters();
  case 17:
    return nearlySame();
  case 0:
    return constantPieces();
  case 1:
    return recurrence();
  case 2:
    return backwardRecurrence();
  case 3:
    return twoStates();
  case 4:
    return allEarlier();
  case 5:
    return sliceCall();
  case 6:
    return elementFunction();
  case 7:
    return blockInRepeat();
  case 8:
    return wholeTensor();
  case 9:
    return attention();
  default:
    return plainEquation();
  }
}

void Generator::plainEquation() {
  static const Kind kinds[] = {Kind::Float, Kind::Float, Kind::Float, Kind::Int, Kind::Bool};
  Kind kind = kinds[below(5)];
  std::string brackets;
  std::vector<int> sizes = someSizes(3);
  Scope scope = scopeOf(sizes, brackets);
  std::string name = newName("t");
  define({name, kind, sizes}, "  " + name + brackets + " = $0", {value(kind, scope, 3)});
}

/// p[0,...] = ..., p[i,...] = ...
void Generator::constantPieces() {
  std::vector<int> sizes{below(2)};
  if (chance(60))
    sizes.push_back(below(static_cast<int>(p_.sizes_.size())));
  std::string brackets, name = newName("p");
  Scope scope = scopeOf(sizes, brackets), rest(scope.begin() + 1, scope.end());
  std::string at = "[0";
  for (const Bound &bound : rest)
    at += "," + bound.name;
  define({name, Kind::Float, sizes}, "  " + name + at + "] = $0\n  " + name + brackets + " = $1",
         {floatValue(rest, 2), floatValue(scope, 2)});
}

/// h[-1,o] = ..., h[t,o] = tanh(... h[t-1,...] ...)
void Generator::recurrence() {
  std::vector<int> sizes{1};
  if (chance(70))
    sizes.push_back(0);
  std::string brackets, name = newName("h");
  Scope scope = scopeOf(sizes, brackets), rest(scope.begin() + 1, scope.end());
  std::string t = scope[0].name, start = "[-1", before = "[" + t + " - 1";
  std::string mixed;
  for (const Bound &bound : rest) {
    start += "," + bound.name;
    before += "," + bound.name;
  }
  NodePtr old = node(Kind::Float, name + before + "]");
  if (!rest.empty() && chance(60)) {
    std::string other = freeLetter(rest[0].size, scope);
    Scope inner = scope;
    inner.push_back({other, rest[0].size});
    old = node(Kind::Float, "sum[" + other + "]($0 * " + name + "[" + t + " - 1," + other + "])",
               {floatValue(inner, 1)});
  }
  static const char *const forms[] = {"tanh($0 + $1)", "sigmoid($0) * 0.5 + 0.25 * $1",
                                      "(if $2 then $0 else 0.5 * $1)"};
  int form = below(3);
  std::vector<NodePtr> children{old, floatValue(scope, 2)};
  if (form == 2)
    children.push_back(boolValue(scope, 1));
  define({name, Kind::Float, sizes}, "  " + name + start + "] = $0\n  " + name + brackets + " = $1",
         {floatValue(rest, 1), node(Kind::Float, forms[form], children)});
}

void Generator::backwardRecurrence() {
  std::string brackets, name = newName("b");
  std::vector<int> sizes{1, 0};
  Scope scope = scopeOf(sizes, brackets);
  std::string t = scope[0].name, o = scope[1].name;
  define({name, Kind::Float, sizes},
         "  " + name + "[extent(" + t + ")," + o + "] = 0\n  " + name + brackets + " = $0",
         {node(Kind::Float, "tanh($0 + $1)",
               {node(Kind::Float, name + "[" + t + " + 1," + o + "]"), floatValue(scope, 2)})});
}

/// Two tensors that need each other.
void Generator::twoStates() {
  std::vector<int> sizes{1, 0};
  std::string brackets, c = newName("c"), h = newName("h");
  Scope scope = scopeOf(sizes, brackets);
  std::string t = scope[0].name, o = scope[1].name;
  std::string before = "[" + t + " - 1," + o + "]";
  Equation equation;
  equation.defines = {{c, Kind::Float, sizes}, {h, Kind::Float, sizes}};
  equation.form = "  " + c + "[-1," + o + "] = 0\n  " + h + "[-1," + o + "] = 0.25\n  " + c +
                  brackets + " = $0\n  " + h + brackets + " = $1";
  equation.values = {
      node(Kind::Float, "sigmoid($0) * $1 + sigmoid($2) * tanh($3)",
           {floatValue(scope, 1), node(Kind::Float, c + before), floatValue(scope, 1),
            node(Kind::Float, h + before)}),
      node(Kind::Float, "tanh(" + c + brackets + ") * sigmoid($0)", {floatValue(scope, 1)})};
  p_.equations_.push_back(std::move(equation));
}

/// All earlier positions.
void Generator::allEarlier() {
  std::string brackets, name = newName("e");
  std::vector<int> sizes{1};
  Scope scope = scopeOf(sizes, brackets);
  std::string t = scope[0].name, j = freeLetter(1, scope);
  define({name, Kind::Float, sizes}, "  " + name + brackets + " = $0",
         {node(Kind::Float, "tanh($0 + 0.25 * $1)",
               {floatValue(scope, 2), node(Kind::Float, "sum[" + j + "](" + name + "[" + j +
                                                            "] where " + j + " < " + t + ")")})});
}

/// A function mapped over letters by slices.
void Generator::sliceCall() {
  std::vector<TensorInfo> tensors;
  for (const TensorInfo &tensor : readable(Kind::Float))
    if (tensor.sizes.size() == 2)
      tensors.push_back(tensor);
  if (tensors.empty())
    return plainEquation();
  TensorInfo left = any(tensors);
  std::vector<TensorInfo> fitting;
  for (const TensorInfo &tensor : tensors)
    if (tensor.sizes[1] == left.sizes[1])
      fitting.push_back(tensor);
  TensorInfo right = any(fitting);
  std::string brackets, name = newName("s"), function = newName("fn");
  std::vector<int> sizes{left.sizes[0], right.sizes[0]};
  Scope scope = scopeOf(sizes, brackets);
  static const char *const bodies[] = {"sum[d](x[d] * y[d])", "max[d](x[d] + y[d])",
                                       "sum[d](softmax[d](x[d]) * y[d])",
                                       "mean[d](abs(x[d] - y[d]))"};
  std::string text = "fn " + function + "(x[d], y[d]) -> z {\n  z = " + bodies[below(4)] + "\n}";
  define({name, Kind::Float, sizes},
         "  " + name + brackets + " = " + function + "(" + left.name + "[" + scope[0].name + "], " +
             right.name + "[" + scope[1].name + "])",
         {}, {text});
}

/// A function of elements, used in an expression.
void Generator::elementFunction() {
  std::string brackets, name = newName("t"), function = newName("fn");
  std::vector<int> sizes = someSizes(2);
  Scope scope = scopeOf(sizes, brackets);
  std::string text = "fn " + function +
                     "(x, y) -> z {\n  u = x * sigmoid(y)\n  z = if x > y and "
                     "false then u else tanh(u) + 0.5 * x\n}";
  define({name, Kind::Float, sizes}, "  " + name + brackets + " = " + function + "($0, $1)",
         {floatValue(scope, 2), floatValue(scope, 1)}, {text});
}

/// A block with parameters, once a layer.
void Generator::blockInRepeat() {
  std::vector<TensorInfo> tensors;
  for (const TensorInfo &tensor : readable(Kind::Float))
    if (tensor.sizes.size() == 2 && !p_.sizes_[tensor.sizes[1]].dynamic)
      tensors.push_back(tensor);
  if (tensors.empty())
    return plainEquation();
  TensorInfo from = any(tensors);
  std::string name = newName("y"), block = newName("layer"), l = newName("l");
  std::string text = "block " + block +
                     "(x[t,d]) -> y[t,d] {\n  index e < extent(d)\n"
                     "  param w[d,e] = \"w\", b[d] = \"b\"\n"
                     "  y[t,d] = x[t,d] + tanh(sum[e](w[d,e] * x[t,e]) + b[d])\n}";
  define({name, Kind::Float, from.sizes},
         "  " + name + " = " + from.name + "\n  repeat " + l + " < " +
             std::to_string(1 + below(3)) + " {\n    " + name + " = " + block + "(" + name +
             ") from \"" + name + ".{" + l + "}.\"\n  }",
         {}, {text});
}

void Generator::wholeTensor() {
  std::vector<TensorInfo> tensors = readable(Kind::Float);
  TensorInfo left = any(tensors);
  std::vector<TensorInfo> same;
  for (const TensorInfo &tensor : tensors)
    if (tensor.sizes == left.sizes)
      same.push_back(tensor);
  TensorInfo right = any(same);
  std::string name = newName("t");
  define({name, Kind::Float, left.sizes},
         "  " + name + " = tanh(" + left.name + ") * 0.5 + " + right.name, {});
}

/// Scores, softmax under a mask, weighted values.
void Generator::attention() {
  std::vector<TensorInfo> tensors;
  for (const TensorInfo &tensor : readable(Kind::Float))
    if (tensor.sizes == std::vector<int>{1, 0})
      tensors.push_back(tensor);
  TensorInfo q = any(tensors), k = any(tensors), v = any(tensors);
  std::string name = newName("o"), alpha = newName("alpha");
  static const char *const masks[] = {"", " where j <= i", " where 0 <= i - j < 3",
                                      " where j < 2 or i - j < 2"};
  define({name, Kind::Float, {1, 0}},
         "  " + alpha + "[i,j] = softmax[j](sum[a](" + q.name + "[i,a] * " + k.name +
             "[j,a]) * 0.5" + masks[below(4)] + ")\n  " + name + "[i,a] = sum[j](" + alpha +
             "[i,j] * " + v.name + "[j,a])",
         {});
}

} // namespace qkv::random
