// See Habits.h. Each table lists words of one meaning beside what is said of them.
#include "dsl/syntax/Habits.h"

#include "dsl/syntax/Lexical.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace qkv::habits {

namespace {

struct Entry {
  const char *words; ///< with spaces between them
  const char *hint;
};

const Entry statements[] = {
    {"let var val auto local global set mut my double float int real void",
     "an equation has no word before it: y[t] = ..."},
    {"def func function fun proc sub lambda defn", "a function is fn name(x[i]) -> y[i] { ... }"},
    {"import include using require with", "use nn brings in the library nn"},
    {"for foreach while loop do forall",
     "an equation holds for every value of its letters; steps are repeat l < 3 { ... }"},
    {"return yield out output",
     "a result has its name in the signature, -> y[t], and an equation: y[t] = ..."},
    {"print println printf assert echo", "what a model's signature names is its result"},
    {"class struct type enum interface module namespace package object",
     "definitions are fn, block and model"},
    {"input placeholder tensor", "inputs are the arguments of model name(x[t]) -> y[t] { ... }"},
    {"elif elseif switch case match when cond",
     "a choice is an expression: y[t] = if ... then ... else ..."},
};

const Entry names[] = {
    {"None null nil NULL undefined NaN nan NAN",
     "every element has a value: if ... then ... else 0"},
    {"pi Pi PI \u03C0", "a constant: const pi = 3.141592653589793"},
    {"e", "e ^ x is exp(x)"},
    {"Infinity infinity INFINITY", "infinity is inf"},
    {"pow power Power", "a power is x ^ y"},
    {"ln Ln Log", "log(x) is the natural logarithm"},
    {"log2 log10", "log(x) / log(2)"},
    {"exp2", "2 ^ x"},
    {"square", "x ^ 2"},
    {"reciprocal inv", "1 / x"},
    {"len length size shape ndim numel count_nonzero dim",
     "extent(t) is the number of values of a letter"},
    {"matmul dot mm bmm einsum tensordot inner outer mul matvec vdot",
     "a product of tensors is a sum over a letter: sum[k](a[i,k] * b[k,j])"},
    {"transpose permute swapaxes T reshape view flatten squeeze unsqueeze expand rearrange",
     "indices say it: y[j,i] = x[i,j]"},
    {"concat cat stack concatenate hstack vstack vcat hcat append",
     "one letter runs over both parts: if n < E then x[n] else y[n - E]"},
    {"split chunk slice narrow", "an index with a number added reads a part: y[n] = x[E + n]"},
    {"zeros ones full fill eye zeros_like ones_like", "an equation gives it: y[i] = 0"},
    {"arange range linspace iota", "the value of a letter is its position: y[i] = i"},
    {"array tensor Tensor list tuple", "an equation gives each element: y[0] = ..., y[1] = ..."},
    {"cumsum scan accumulate prefix_sum",
     "a running sum is sum[j](x[j] where j <= i), or a recurrence y[i] = y[i-1] + x[i]"},
    {"cumprod", "a running product is prod[j](x[j] where j <= i)"},
    {"cummax", "a running maximum is max[j](x[j] where j <= i)"},
    {"argsort sort topk top_k",
     "rank[j](s[j]) is an element's place in the order; where rank[j](s[j]) < K chooses K"},
    {"select ifelse iif cond", "a choice is if ... then ... else ..."},
    {"mask masked_fill tril triu causal_mask",
     "what is left out is said by a guard: softmax[j](s[i,j] where j <= i)"},
    {"clip clamp", "min(max(x, low), high)"},
    {"sign sgn", "if x > 0 then 1 else if x < 0 then -1 else 0"},
    {"float double cast astype bool", "ints become floats where they meet one; a comparison is a "
                                      "bool"},
    {"int trunc", "floor, ceil and round give ints"},
    {"maximum Max", "the greater of two is max(a, b), the greatest of a row max[j](...)"},
    {"minimum Min", "the lesser of two is min(a, b), the least of a row min[j](...)"},
    {"fabs magnitude", "abs(x)"},
    {"mod fmod rem remainder", "the remainder is a % b"},
    {"div floordiv idiv", "the quotient rounded down is a // b"},
    {"avg average Mean", "the mean is mean[j](...)"},
    {"product Prod", "the product is prod[j](...)"},
    {"lse logsum log_sum_exp", "logsumexp[j](...)"},
    {"log_softmax logsoftmax", "x[j] - logsumexp[k](x[k])"},
    {"softmin", "softmax[j](-x[j])"},
    {"any all count exists forall", "sum[j](if ... then 1 else 0) counts where a condition holds"},
    {"norm norm2 l2norm", "sqrt(sum[j](x[j] ^ 2))"},
    {"var std variance stddev", "a variance is mean[j]((x[j] - m) ^ 2), with m = mean[j](x[j])"},
    {"embedding gather take index_select lookup", "an embedding is an access: wte[tokens[i],c]"},
    {"scatter scatter_add segment_sum bincount",
     "a scatter is a sum with a guard: y[k] = sum[j](x[j] where place[j] == k)"},
    {"one_hot onehot", "if tokens[i] == v then 1 else 0"},
    {"integral \u222B", "sum[j](...)"},
    {"map vmap reduce fold apply", "a function is mapped over letters by slices: y[t] = f(x[t])"},
    {"lambda", "a function has a name: fn f(x) -> y { y = x + 1 }"},
    {"case switch match when", "a choice is if ... then ... else ..."},
};

struct Character {
  int32_t code;
  const char *hint;
};

const Character characters[] = {
    {'@', "a matrix product is a sum: sum[k](a[i,k] * b[k,j])"},
    {'?', "a choice is written: if ... then ... else ..."},
    {'.', "there are no methods, modules or ranges: f(x), x[i + 1], index i < 4"},
    {'\\', "signs have words here: sum[j](...), sqrt(x), x[i], a / b"},
    {'$', "a name has no sign before it"},
    {'`', "a name has no quotes"},
    {'~', "'not' negates a bool, '-' a number"},
    {0xB2, "a power is written with '^': x ^ 2"},
    {0xB3, "a power is written with '^': x ^ 3"},
    {0x221E,
     "what takes no part in a reduction is left out by a guard: softmax[j](s[j] where ...)"},
    {0x2192, "a definition's result is written '->'"},
    {0x2190, "a definition is written with '='"},
    {0x21A6, "a definition's result is written '->'"},
    {0x2208, "a letter gets its range by index i < T"},
    {0x2200, "an equation holds for every value of its letters"},
    {0xF7, "a quotient is written with '/'"},
    {0x2215, "a quotient is written with '/'"},
    {0x2297, "a product is written with '*'"},
    {0x2299, "a product is written with '*'"},
    {0x2032, "a name is made of letters, digits and '_'"},
    {0x22A4, "indices in another order say it: y[j,i] = x[i,j]"},
    {0x2016, "a norm is sqrt(sum[j](x[j] ^ 2))"},
    {0x2264, "'at most' is written '<='"},
    {0x2026, "every index is written"},
    {0x2228, "write 'or'"},
    {0x2227, "write 'and'"},
    {0xAC, "write 'not'"},
};

template <size_t n> std::string find(const Entry (&entries)[n], const std::string &word) {
  for (const Entry &entry : entries) {
    std::string_view words = entry.words;
    for (size_t at = 0; at < words.size();) {
      size_t end = std::min(words.find(' ', at), words.size());
      if (words.substr(at, end - at) == word)
        return entry.hint;
      at = end + 1;
    }
  }
  return "";
}

std::string lower(const std::string &word) {
  std::string out = word;
  for (char &c : out)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  return out;
}

} // namespace

std::string statement(const std::string &word) {
  if (std::string hint = find(statements, word); !hint.empty())
    return hint;
  std::string small = lower(word);
  return small != word && lexical::isReservedWord(small) ? "'" + small + "' is written small" : "";
}

std::string name(const std::string &word) {
  std::string small = lower(word);
  if (small != word && lexical::isReservedWord(small))
    return "'" + small + "' is written small";
  return find(names, word);
}

std::string character(int32_t code) {
  for (const Character &c : characters)
    if (c.code == code)
      return c.hint;
  return "";
}

} // namespace qkv::habits
