// What is said about a model, whole: place, rule, sentence, notes and hints.
#include "dsl/check/Checker.h"

#include <gtest/gtest.h>

namespace qkv {
namespace {

std::string at(Span span) {
  auto place = span.source->position(span.begin);
  return std::to_string(place.line) + ":" + std::to_string(place.column);
}

/// One line for each error, and for each of its notes and hints.
std::string said(const std::string &text) {
  Sources sources;
  const Source *source = sources.add("model.qkv", text);
  Diagnostics diagnostics;
  check(*source, sources, {}, diagnostics);
  std::string out;
  for (auto &d : diagnostics.all()) {
    out += at(d.span) + " [" + d.rule + "] " + d.message + "\n";
    for (auto &n : d.notes)
      out += "  " + at(n.span) + " " + n.message + "\n";
    for (auto &h : d.hints)
      out += "  hint: " + h + "\n";
  }
  return out;
}

const char *const positions = "size T = dynamic(max: 64)\nindex t < T, j < T\n";
const char *const notEarlier =
    ", and in no order of axes provably at earlier positions, or at later ones";
const char *const startHint =
    "  hint: a recurrence reads what was computed before, as in h[t-1,o], "
    "with its start as an equation of its own, h[-1,o] = 0\n";

// A read that is strictly earlier is no part of the cycle.
TEST(R1, ShowsTheShortestCycleOfReadsThatAreInTheWay) {
  EXPECT_EQ(said(std::string(positions) + "model m(x[t]) -> h[t] {\n"
                                          "  h[-1] = 0; g[-1] = 0\n"
                                          "  h[t] = tanh(x[t] + h[t-1] + g[t-1])\n"
                                          "  g[t] = h[t] + k[t]\n"
                                          "  k[t] = g[t] * 2\n}\n"),
            "6:17 [R1] these equations need each other" + std::string(notEarlier) +
                ": g -> k -> g\n  6:17 g reads k here, at the same position\n"
                "  7:10 k reads g here, at the same position\n" +
                startHint);
}

// Of several reads of one tensor the one in the way is marked, and both where each is in the way of
// one direction.
TEST(R1, MarksTheReadThatIsInTheWay) {
  auto model = [](const std::string &equation) {
    return said(std::string(positions) +
                "model m(x[t]) -> h[t] {\n  h[-1] = 0; h[T] = 0\n  h[t] = " + equation + "\n}\n");
  };
  std::string itself = " [R1] h needs itself" + std::string(notEarlier) + "\n";
  EXPECT_EQ(model("h[t-1] + h[t] + x[t]"), "5:19" + itself + startHint);
  EXPECT_EQ(model("h[t-1] + h[t+1] + x[t]"), "5:19" + itself +
                                                 "  5:19 h reads h here, at a later position\n"
                                                 "  5:10 h reads h here, at an earlier position\n" +
                                                 startHint);
}

// A read that may be anywhere closes a cycle with reads that are earlier.
TEST(R1, ShowsWhatLeadsBackToAReadOfAnyPosition) {
  EXPECT_EQ(said(std::string(positions) + "model m(x[t]) -> h[t] {\n  h[-1] = 0; z[-1] = 0\n"
                                          "  h[t] = h[t-1] + z[t-1] + x[t]\n"
                                          "  z[t] = sum[j](h[j] where j != t)\n}\n"),
            "5:19 [R1] these equations need each other" + std::string(notEarlier) +
                ": h -> z -> h\n  5:19 h reads z here, at an earlier position\n"
                "  6:17 z reads h here\n" +
                startHint);
}

std::string hints(const std::string &text) {
  std::string out, all = said(text);
  for (size_t at = all.find("  hint: "); at != std::string::npos; at = all.find("  hint: ", at + 1))
    out += all.substr(at + 8, all.find('\n', at) - at - 7);
  return out;
}

TEST(A1, IndicesInAnotherOrder) {
  auto model = [](const std::string &letters) {
    return hints("size H = 4, C = 16, D = 5\nindex h < H, part < 3, c < C, d < D, p < 3, k < H\n"
                 "model m(x[c]) -> q[part,h,d] {\n  param W[" +
                 letters + "] = \"w\"\n  q[part,h,d] = sum[c](W[h,part,c,d] * x[c])\n}\n");
  };
  EXPECT_EQ(model("part,h,d,c"), "the indices in the order of its definition: W[part,h,d,c]\n");
  EXPECT_EQ(model("p,k,c,d"), "with two indices exchanged it fits: W[part,h,c,d]\n");
  // No order fits: the letter and the axis are told.
  EXPECT_EQ(model("p,part,c,d"), "h ranges over 4, and index 1 of W over 3\n"
                                 "a guard gives it: if h < 3 then ... else 0\n");
}

TEST(A1, ARecurrenceWithoutItsStartOrEnd) {
  auto model = [](const std::string &equations) {
    return hints(std::string(positions) + "model m(x[t]) -> h[t] {\n" + equations + "}\n");
  };
  EXPECT_EQ(model("h[t] = x[t] + h[t-1]\n"),
            "a recurrence has its start as an equation of its own: h[-1] = 0\n");
  EXPECT_EQ(model("h[-1] = 0\nh[t] = x[t] + h[t-1] + h[t-3]\n"),
            "a recurrence has its start as an equation of its own: h[-2] = 0, h[-3] = 0\n");
  EXPECT_EQ(model("h[t] = x[t] + h[t+1]\n"),
            "a recurrence has its end as an equation of its own: h[T] = 0\n");
  EXPECT_EQ(model("index c < 4\ng[t,c] = x[t] * h[t]\nh[t] = g[t-1,0]\n"),
            "a recurrence has its start as an equation of its own: g[-1,c] = 0\n");
  // No recurrence: a guard, or a value there; an input has none.
  EXPECT_EQ(model("g[t] = x[t]\nh[t] = g[t-1]\n"),
            "a guard gives it: if 0 <= t-1 then ... else 0\n"
            "or a value there, by an equation of its own: g[-1] = 0\n");
  EXPECT_EQ(model("h[t] = sum[j](x[j-1])\n"),
            "a guard gives it: where 0 <= j-1 at the end of the reduction, or if 0 <= j-1 then ... "
            "else 0\n");
  EXPECT_EQ(model("h[t] = x[-1]\n"),
            "a negative position does not count from the end: the last is T - 1\n");
}

TEST(A1, NamesTheArgumentInsideACall) {
  EXPECT_EQ(said(std::string(positions) + "fn diff(u[t]) -> z[t] { z[t] = u[t] - u[t-1] }\n"
                                          "fn more(w[t]) -> y[t] { y = diff(w) }\n"
                                          "model m(x[t]) -> h[t] { h = more(x) }\n"),
            "3:41 [A1] index t-1 of u may be below 0: nothing here says 0 <= t-1\n"
            "  5:9 here it is x, handed to this call\n"
            "  hint: a guard gives it: if 0 <= t-1 then ... else 0\n");
}

// Names and habits of other languages.
TEST(Habits, FunctionsAndValuesOfOtherLanguages) {
  auto model = [](const std::string &value) {
    return said(std::string(positions) + "model m(x[t]) -> h[t] {\n  h[t] = " + value + "\n}\n");
  };
  EXPECT_EQ(model("if True then x[t] else 0"),
            "4:13 [] there is nothing named True here\n  hint: 'true' is written small\n");
  EXPECT_EQ(model("pow(x[t], 2)"),
            "4:10 [] there is no function named pow\n  hint: a power is x ^ y\n");
  EXPECT_EQ(model("x(t)"), "4:10 [L1] x is a tensor: it is read with [ ]\n  hint: write x[t]\n");
  EXPECT_EQ(model("x[t / 2]"), "4:12 [T1] an int is wanted here, and this is a float\n"
                               "  hint: '/' makes a float; '//' divides and rounds down\n");
  EXPECT_EQ(said(std::string(positions) + "model m(x[t]) -> h[t] { h = matmul(x, h) }\n"),
            "3:29 [] there is no function named matmul\n"
            "  hint: a product of tensors is a sum over a letter: sum[k](a[i,k] * b[k,j])\n");
}

TEST(F1, SizesByPositionAreGivenByName) {
  EXPECT_EQ(hints(std::string(positions) +
                  "fn f(x[t], y[t], size N, const e = 1) -> z[t] { z[t] = x[t] * N + y[t] * e }\n"
                  "model m(x[t]) -> h[t] { h = f(x, x, 8, 0.5) }\n"),
            "sizes, constants and functions are given by name: f(x, x, N: 8, e: 0.5)\n");
  EXPECT_EQ(hints(std::string(positions) +
                  "fn f(x[t], y[t], size N) -> z[t] { z[t] = x[t] * N + y[t] }\n"
                  "model m(x[t]) -> h[t] { h = f(x, N: 8) }\n"),
            "its tensors stand in this order: f(x, y)\n");
}

TEST(F4, AnArgumentOfMoreIndicesIsHandedOverInSlices) {
  std::string text = std::string(positions) + "index h < 2, c < 3\n"
                                              "fn f(x[i,c]) -> z[i,c] { z[i,c] = x[i,c] * 2 }\n";
  EXPECT_EQ(hints(text + "model m(q[h,t,c]) -> y[h,t,c] { y = f(q) }\n"),
            "a slice hands over the rest, for each value of its letters: y[h] = f(q[h])\n");
}

TEST(L2, SaysByWhatALetterOrSizeIsHidden) {
  EXPECT_EQ(said(std::string(positions) + "model m(x[t], w[t]) -> h[j] {\n"
                                          "  t[j] = w[j]\n  h[j] = t[j] + x[j]\n}\n"),
            "3:11 [L7] the signature of a model uses declared letters, and t is none\n"
            "  4:3 t is a tensor of this body, and hides the letter of the file\n"
            "  hint: another name, and t stays the letter\n");
  EXPECT_EQ(
      hints("size T = dynamic(max: 64)\nindex t < T\nmodel m(x[T]) -> h[t] { h[t] = x[t] }\n"),
      "T is a size; the letter t ranges over it\n");
}

TEST(E2, AScatterOnTheLeft) {
  EXPECT_EQ(said(std::string(positions) + "model m(x[t], p[t] : int) -> h[t] {\n"
                                          "  h[p[t]] = x[t]\n}\n"),
            "4:5 [E2] an index on the left is a letter or a number known at compile time, and an "
            "element of p is a value\n"
            "  hint: the right side says what goes where: h[k] = sum[j](... where p[j] == k)\n");
}

TEST(E1, AStepThatNeedsTheOneBefore) {
  EXPECT_EQ(said(std::string(positions) + "model m(x[t]) -> h[t] {\n"
                                          "  repeat l < 3 { s = if l == 0 then x else s }\n"
                                          "  h = x\n}\n"),
            "4:18 [E1] s is defined by itself\n"
            "  hint: there is no s before the first step: make it above the repeat\n");
}

TEST(A4, TheMaxOfASize) {
  auto size = [](const std::string &max) {
    return said("size T = dynamic(max: " + max +
                ")\nindex t < T\nmodel m(x[t]) -> h[t] { h[t] = x[t] }\n");
  };
  EXPECT_EQ(size("9223372036854775807"),
            "1:23 [A4] the max of a size is at most 2^40, and this is 9223372036854775807\n");
  EXPECT_EQ(size("2^63-1"),
            "1:23 [] the max of a size is an integer known at compile time, and this is beyond 64 "
            "bits\n");
  EXPECT_EQ(size("0"), "1:23 [A4] the max of a size is an integer of at least 1\n");
}

// The configuration: what Python writes is read, and what is no object is said with its place.
TEST(C2, WhatAConfigurationIs) {
  auto with = [](const std::string &config) {
    Sources sources;
    const Source *source =
        sources.add("model.qkv", "const a = config(\"a\", 3), b = config(\"b\", 4)\nindex t < 2\n"
                                 "model m(x[t]) -> h[t] { h[t] = x[t] * a * b }\n");
    Diagnostics diagnostics;
    CheckOptions options;
    options.config = config;
    options.configPath = "config.json";
    check(*source, sources, options, diagnostics);
    std::string out;
    for (auto &d : diagnostics.all())
      out += at(d.span) + " " + d.message + "\n";
    return out;
  };
  EXPECT_EQ(with("{\"a\": Infinity, \"b\": -Infinity, \"c\": [NaN, \"Infinity \\\" NaN\"]}"), "");
  EXPECT_EQ(with("{}"), "");
  const std::string the = "1:18 the configuration config.json ";
  EXPECT_EQ(with(""), the + "is empty\n");
  EXPECT_EQ(with(" \n"), the + "is empty\n");
  EXPECT_EQ(with("[]"), the + "is no object of names and values, but a list\n");
  EXPECT_EQ(with("null"), the + "is no object of names and values, but null\n");
  EXPECT_EQ(with("NaN"), the + "is no object of names and values, but a text\n");
  EXPECT_EQ(with("{\n  \"c\": NaN, \"a\": 3,\n  \"b\": Infinite\n}"),
            the + "is not JSON (line 3, column 8)\n");
}

} // namespace
} // namespace qkv
