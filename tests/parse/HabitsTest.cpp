// What is said to people who write another language: one message each, with what to write here.
#include "Support.h"

#include <gtest/gtest.h>

namespace qkv::test {
namespace {

struct Case {
  const char *text, *said;
};

class Habits : public testing::TestWithParam<Case> {};

TEST_P(Habits, HaveOneMessageAndAHint) {
  EXPECT_EQ(errors(GetParam().text), std::string(GetParam().said) + "\n");
}

// Reductions
INSTANTIATE_TEST_SUITE_P(
    Reductions, Habits,
    testing::Values(
        Case{"y[t] = sotfmax[s](w[s])",
             "1:8 [G7] there is no reduction named sotfmax; hint: did you mean softmax?"},
        Case{"y[t] = sum[s](sotfmax[s](w[s]) * x[s])",
             "1:15 [G7] there is no reduction named sotfmax; hint: did you mean softmax?"},
        Case{"y = if any[c](x[c] > 0) then 1 else 0",
             "1:8 [G7] there is no reduction named any; hint: sum[j](if ... then 1 else 0) counts "
             "where a condition holds"},
        Case{"y[i] = cumsum[i](w[i])",
             "1:8 [G7] there is no reduction named cumsum; hint: a running sum is sum[j](x[j] "
             "where j <= i), or a recurrence y[i] = y[i-1] + x[i]"},
        Case{"y[t] = Sum[c](x[t,c])",
             "1:8 [G7] there is no reduction named Sum; hint: 'sum' is written small"},
        Case{"y[t] = sum[s](w[s] if s <= t)",
             "1:20 [G4] what takes part in a reduction is said by 'where'; hint: write sum[s](... "
             "where ...)"},
        Case{"y[t] = softmax[s](w[s], s <= t)",
             "1:23 [G4] a reduction takes one expression; hint: a guard at its end says what takes "
             "part: softmax[s](... where ...)"},
        Case{"y[t] = sum[c < C](x[t,c])",
             "1:14 [G7] a reduction names the letters it runs over, and nothing else; hint: a "
             "letter's range comes from an index, what takes part from a guard: sum[j](... where "
             "j < 3)"},
        Case{"y[t] = sum[0](x[t,c])",
             "1:12 [G7] a reduction names the letters it runs over, and nothing else; hint: a "
             "letter's range comes from an index, what takes part from a guard: sum[j](... where "
             "j < 3)"},
        Case{"y[t] = sum[c] x[t,c]",
             "1:15 [G7] expected '(' after ']', found 'x'; hint: write sum[c](...)"},
        Case{"y[t] = softmax[s](w[s])[t]",
             "1:24 [E2] only a tensor's name and a call take indices; hint: an equation of its own "
             "gives it a name: a[t] = ..."}));

// Choices, loops, definitions
INSTANTIATE_TEST_SUITE_P(
    Statements, Habits,
    testing::Values(
        Case{"y[t] = x[t] if w[t] > 0 else 0",
             "1:13 [G2] an 'if' stands before both of its branches; hint: write: if ... then ... "
             "else ..."},
        Case{"y[t] = w[t] > 0 ? x[t] : 0", "1:17 [G8] '?' has no meaning in the language; hint: a "
                                           "choice is written: if ... then ... else ..."},
        Case{"let y[t] = x[t]", "1:1 [G1] no statement begins with 'let' here; hint: an equation "
                                "has no word before it: y[t] = ..."},
        Case{
            "for t in range(T) { y[t] = x[t] }",
            "1:1 [G1] no statement begins with 'for' here; hint: an equation holds for every value "
            "of its letters; steps are repeat l < 3 { ... }"},
        Case{"while (true) { y = x }",
             "1:1 [G1] no statement begins with 'while' here; hint: an equation holds for every "
             "value of its letters; steps are repeat l < 3 { ... }"},
        Case{"return y", "1:1 [G1] no statement begins with 'return' here; hint: a result has its "
                         "name in the signature, -> y[t], and an equation: y[t] = ..."},
        Case{"import nn",
             "1:1 [G1] no statement begins with 'import' here; hint: use nn brings in the library "
             "nn"},
        Case{
            "from nn import linear",
            "1:1 [G1] a statement cannot begin with 'from'; hint: use nn brings in the library nn"},
        Case{"use \"nn\"", "1:5 [G10] expected a name after 'use', found a string; hint: write use "
                           "nn"},
        Case{"Model m(x[t]) -> y[t] { y = x }",
             "1:1 [G1] no statement begins with 'Model' here; hint: 'model' is written small"},
        Case{"if t > 0 { y = x } else { y = z }",
             "1:1 [G1] a statement cannot begin with 'if'; hint: a choice is an expression: y[t] = "
             "if ... then ... else ..."},
        Case{"fn f(x) -> y { x * 2 }",
             "1:18 [G1] expected '=' after 'x', found '*'; hint: a statement is an equation, also "
             "the last of a body: y = x * ..."},
        Case{"fn f(x) = x * 2",
             "1:9 [] expected '->' after ')', found '='; hint: a definition names "
             "its result: fn f(x[i]) -> y[i] { ... }"},
        Case{"size = 3", "1:1 [G7] 'size' is reserved and cannot be a name; hint: size N = 3 "
                         "declares a size"},
        Case{"index = 3", "1:1 [G7] 'index' is reserved and cannot be a name; hint: index i < T "
                          "declares a letter"},
        Case{"n++", "1:2 [E1] there is no '++'; hint: rebind the name: n = n + 1"},
        Case{"// hello", "1:1 [G1] a statement cannot begin with '//'; hint: a comment begins with "
                         "'#'"},
        Case{"-- hello", "1:1 [G1] a statement cannot begin with '-'; hint: a comment begins with "
                         "'#'"}));

// Indices, ranges, signs
INSTANTIATE_TEST_SUITE_P(
    Indices, Habits,
    testing::Values(
        Case{"y[t] = x[t][c+1]", "1:12 [E2] the indices of an element stand in one pair of "
                                 "brackets; hint: write x[t,c+1]"},
        Case{"y[t] = x[:, 0]",
             "1:10 [E2] there are no slices with ':'; hint: a letter reads all of an axis, x[t,0], "
             "and a part with a number added: y[n] = x[n + 1]"},
        Case{"y(t) = w[t]", "1:2 [G10] a tensor's indices stand in brackets; hint: write y[t] = "
                            "..."},
        Case{"y[t] = sum_{c} x[t,c]",
             "1:12 [G10] indices stand in brackets; hint: write x[t], sum[c](...)"},
        Case{"y[t] = \\sum_c x[t,c]",
             "1:8 [G8] '\\' has no meaning in the language; hint: signs have words here: "
             "sum[j](...), sqrt(x), x[i], a / b"},
        Case{"y[t] = |w[t]|", "1:8 [G2] there are no bars around a value; hint: a magnitude is "
                              "abs(x)"},
        Case{"y[t] = w'[t]", "1:9 [G10] a name has no prime; hint: a name is made of letters, "
                             "digits and '_'"},
        Case{"y = x.shape[0]", "1:6 [G8] '.' has no meaning in the language; hint: there are no "
                               "methods, modules or ranges: f(x), x[i + 1], index i < 4"},
        Case{"y[t] = 1[t > 0] * w[t]", "1:9 [E2] only a tensor's name and a call take indices; "
                                       "hint: 0 or 1 by a condition is if ... then 1 else 0"},
        Case{"y[t] = 2w[t]",
             "1:8 [G10] '2w' is neither a number nor a name; hint: numbers are written 12, 0.5 or "
             "1e-5; a name begins with a letter, a product has a '*'"},
        Case{"y = [1, 2]", "1:5 [G2] a tensor is no list of values; hint: an equation gives each "
                           "element: y[0] = ..., y[1] = ..."},
        Case{"index q <= 4", "1:9 [G5] a letter gets its range with '<'; hint: write index q < T + "
                             "1: the range leaves out its end"},
        Case{"index q in 0..4", "1:13 [G8] '.' has no meaning in the language; hint: there are no "
                                "methods, modules or ranges: f(x), x[i + 1], index i < 4"},
        Case{"index 0 <= q < 4", "1:7 [G5] expected a letter after 'index', found '0'; hint: a "
                                 "range begins at 0: index i < T"},
        Case{"y <- x", "1:3 [G10] a definition is written with '='"},
        Case{"model m(x: [T, C]) -> y { y = x }",
             "1:12 [T1] expected a type (float, int, bool or token) after ':', found '['; hint: an "
             "argument has its letters behind its name: x[t,c]"},
        Case{"y = einsum(\"tc,oc->to\", x, W)",
             "1:12 [G2] a string is no argument: it stands only in config(...), from and param; "
             "hint: a product of tensors is a sum over a letter: sum[k](a[i,k] * b[k,j])"}));

} // namespace
} // namespace qkv::test
