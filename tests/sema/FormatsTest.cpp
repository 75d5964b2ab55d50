// C2 and C5: texts and lists of the configuration, and how formats of checkpoints store parameters.
#include "dsl/check/Checker.h"

#include <gtest/gtest.h>

namespace qkv {
namespace {

/// A checked model, or its errors in `said`.
struct Checked {
  Checked(const std::string &text, const std::string &config = "", const std::string &format = "") {
    CheckOptions options;
    if (!config.empty())
      options.config = config;
    options.configFormat = format;
    program = check(*sources.add("model.qkv", text), sources, options, diagnostics);
    for (auto &d : diagnostics.all())
      said += d.message + " [" + d.rule + "]\n";
  }
  /// How the first parameter is stored: "format: names (stacked) @ place = value" a line.
  std::string stored() const {
    std::string out;
    for (const Tensor &t : program->tensors) {
      if (t.kind != Tensor::Kind::Param)
        continue;
      for (const StoredForm &form : t.param.stored) {
        out += form.format + ":";
        for (auto &name : form.names)
          out += " " + name;
        for (int axis : form.stacked)
          out += " (" + std::to_string(axis) + ")";
        out += (form.place.empty() ? "" : " @ " + form.place) +
               (form.value.empty() ? "" : " = " + form.value) + "\n";
      }
      break;
    }
    return out;
  }
  std::string settings() const {
    std::string out;
    for (const Setting &s : program->settings) {
      out += s.key;
      for (auto &one : s.keys)
        out += "|" + one.format + " " + one.key;
      out += "=" + s.value.value_or("absent") + " (" + s.fallback.value_or("none") + ") ";
    }
    return out;
  }
  Sources sources;
  Diagnostics diagnostics;
  std::unique_ptr<Program> program;
  std::string said;
};

/// The extent of the result's axis: sizes choose it.
int64_t extentOf(const std::string &sizes, const std::string &config,
                 const std::string &format = "") {
  Checked checked(sizes + "\nindex t < N\nmodel m(x[t]) -> y[t] { y[t] = x[t] }\n", config, format);
  EXPECT_TRUE(checked.program) << checked.said;
  return checked.program ? checked.program->tensors[0].axes[0].extent.constant().value_or(-1) : -1;
}

TEST(C2, TextsAreCompared) {
  const std::string sizes =
      "const kind = config(\"a.kind\", \"none\")\n"
      "size N = if kind == \"wide\" then 8 else if kind != \"none\" then 4 else 2";
  EXPECT_EQ(extentOf(sizes, ""), 2);
  EXPECT_EQ(extentOf(sizes, "{}"), 2);
  EXPECT_EQ(extentOf(sizes, R"({"a": {"kind": null}})"), 2);
  EXPECT_EQ(extentOf(sizes, R"({"a": {"kind": "wide"}})"), 8);
  EXPECT_EQ(extentOf(sizes, R"({"a": {"kind": "other"}})"), 4);
  // A text without a default, one chosen by another, one handed over as a constant.
  EXPECT_EQ(extentOf("size N = if config(\"k\") == \"\u00e9\" then 3 else 5", R"({"k": "\u00e9"})"),
            3);
  EXPECT_EQ(
      extentOf("size N = if config(\"k\", if 1 < 2 then \"a\" else \"b\") == \"a\" then 3 else 5",
               "{}"),
      3);
  Checked chosen("index t < 4\nblock part(x[t], const kind) -> y[t] {\n"
                 "  y = if kind == \"twice\" then 2 * x else x\n}\n"
                 "model m(x[t]) -> y[t] {\n  repeat l < 2 {\n"
                 "    x = part(x, kind: config(\"kinds[{l}]\", \"once\"))\n  }\n  y = x\n}\n",
                 R"({"kinds": ["twice", null]})");
  ASSERT_TRUE(chosen.program) << chosen.said;
  EXPECT_EQ(chosen.settings(), "kinds.0=\"twice\" (\"once\") kinds.1=absent (\"once\") ");
}

TEST(C2, TextsInEquationsAreKnown) {
  Checked checked("const kind = config(\"kind\", \"a\")\nindex t < 4\n"
                  "model m(x[t]) -> y[t] { y[t] = if x[t] > 0 and kind == \"a\" then 1 else 0 }\n");
  EXPECT_TRUE(checked.program) << checked.said;
}

TEST(C2, ListsHaveItemsAndALength) {
  EXPECT_EQ(extentOf("size N = config(\"a.l\").length", R"({"a": {"l": [5, 6, 7]}})"), 3);
  EXPECT_EQ(extentOf("size N = config(\"l.length\", 9)", R"({"l": [5, 6]})"), 2);
  EXPECT_EQ(extentOf("size N = config(\"l.length\", 9)", "{}"), 9);
  EXPECT_EQ(extentOf("size N = config(\"l.length\", 9)", R"({"l": {"length": 4}})"), 4);
  EXPECT_EQ(
      extentOf("size N = config(\"rope.sections[1]\", 3)", R"({"rope": {"sections": [5, 6]}})"), 6);
  EXPECT_EQ(extentOf("size N = config(\"rope.sections[7]\", 3)", R"({"rope": {}})"), 3);
  // A list that is there says it of all.
  Checked shorter("size N = config(\"rope.sections[2]\", 3)\nindex n < N\n"
                  "model m(x[n]) -> y[n] { y = x }\n",
                  R"({"rope": {"sections": [5, 6]}})");
  EXPECT_EQ(shorter.said,
            "\"rope.sections\" in the configuration has 2 items, \"rope.sections[2]\" is "
            "not one of them [C2]\n");
}

TEST(C2, WhatIsNotOfItsDefaultsKind) {
  auto said = [](const std::string &value, const std::string &config) {
    return Checked("const n = " + value +
                       "\nindex t < 4\n"
                       "model m(x[t]) -> y[t] { y = if n == n then x else 2 * x }\n",
                   config)
        .said;
  };
  EXPECT_EQ(said("config(\"a\", \"none\")", R"({"a": 3})"),
            "\"a\" in the configuration is a number, and its default is a text [C2]\n");
  EXPECT_EQ(said("config(\"a\", true)", R"({"a": 1})"),
            "\"a\" in the configuration is a number, and its default is a boolean [C2]\n");
  EXPECT_EQ(said("config(\"a\", 2)", R"({"a": true})"),
            "\"a\" in the configuration is a boolean, and its default is a number [C2]\n");
  EXPECT_EQ(said("config(\"a\", 3)", R"({"a": "three"})"),
            "\"a\" in the configuration is a text, not a number or a boolean [C2]\n");
  EXPECT_EQ(said("config(\"a\", 3)", R"({"a": [3]})"),
            "\"a\" in the configuration is a list, not a number or a boolean [C2]\n");
  EXPECT_EQ(said("config(\"a\").length", R"({"a": {"length": 3}})"),
            "\"a\" in the configuration is an object, and a list has a length [C2]\n");
}

TEST(C5, KeysDifferByFormat) {
  const std::string sizes = "size N = config(\"hidden_size\" | gguf \".embedding_length\", 7)";
  EXPECT_EQ(extentOf(sizes, R"({"hidden_size": 2, ".embedding_length": 3})", "safetensors"), 2);
  EXPECT_EQ(extentOf(sizes, R"({"hidden_size": 2, ".embedding_length": 3})", "gguf"), 3);
  EXPECT_EQ(extentOf(sizes, R"({"hidden_size": 2})", "gguf"), 7);
  EXPECT_EQ(extentOf("size N = config(\"b\" | gguf \".a.b[1]\", 7)", R"({".a.b": [3, 4]})", "gguf"),
            4);
  Checked checked(
      "const a = config(\"x\" | gguf \".y\", 7), b = config(\"l[2]\" | gguf \".l\").length\n"
      "index t < 4\nmodel m(x[t]) -> y[t] { y[t] = x[t] * a + b }\n",
      R"({".l": [1]})", "gguf");
  ASSERT_TRUE(checked.program) << checked.said;
  EXPECT_EQ(checked.settings(), "x|gguf .y=absent (7) l.2.length|gguf .l.length=1 (none) ");
}

std::string storedAs(const std::string &param, const std::string &from = "\"p.\"") {
  Checked checked("size D = 4, K = D / 2\nindex h < 2, d < D, c < 3\n"
                  "block part(x[h,d,c], const paired) -> y[h,d,c] {\n  param w[h,d,c] = " +
                  param + "\n  y[h,d,c] = x[h,d,c] * w[h,d,c]\n}\n" +
                  "model m(x[h,d,c]) -> y[h,d,c] { y = part(x, paired: true) from " + from +
                  " }\n");
  EXPECT_TRUE(checked.program) << checked.said;
  return checked.program ? checked.stored() : "";
}

TEST(C5, ParametersAreStoredByFormat) {
  EXPECT_EQ(storedAs("\"w\""), ": p.w\n");
  EXPECT_EQ(storedAs("\"w\" | gguf \"v\""), ": p.w\ngguf: p.v\n");
  EXPECT_EQ(storedAs("\"w\" | gguf \"v\"", "\"p.\" | gguf \"q.\""), ": p.w\ngguf: q.v\n");
  EXPECT_EQ(storedAs("\"w\"", "\"p.\" | gguf \"\""), ": p.w\ngguf: w\n");
  // Letters in the name of one format alone.
  EXPECT_EQ(storedAs("\"w.{h}\" | gguf \"v\""), ": p.w.0 p.w.1 (0)\ngguf: p.v\n");
  EXPECT_EQ(storedAs("\"w\" | gguf \"v.{h+1}\"[c, d]"), ": p.w\ngguf: p.v.1 p.v.2 (0) @ a2 ; a1\n");
  // Places: letters in another order, parts of an axis, pairs; a place that is none.
  EXPECT_EQ(storedAs("\"w\"[h, d, c]"), ": p.w\n");
  EXPECT_EQ(storedAs("\"w\"[(h,d), c]"), ": p.w @ a0 4 * a1 + ; a2\n");
  EXPECT_EQ(storedAs("\"w\"[1, d, 0 + h, c]"), ": p.w @ 1 part ; a1 ; a0 part ; a2\n");
  EXPECT_EQ(storedAs("\"w\"[h, 2 * (d % K) + d // K, c]"),
            ": p.w @ a0 ; 2 a1 2 % * a1 2 // + ; a2\n");
  EXPECT_EQ(storedAs("\"w\"[h, if paired then 2 * (d % K) + d // K else d, c]"),
            ": p.w @ a0 ; 2 a1 2 % * a1 2 // + ; a2\n");
  EXPECT_EQ(storedAs("\"w\"[h, if paired then d else 7, c]"), ": p.w\n");
  EXPECT_EQ(storedAs("\"w\"[h, d % D * (D / D) + d // D, c]"), ": p.w\n") << "it is d";
  EXPECT_EQ(storedAs("\"w\"[h, if d < K then d else D + K - 1 - d, c]"),
            ": p.w @ a0 ; a1 2 < a1 4 2 + 1 - a1 - if ; a2\n");
  // Values.
  EXPECT_EQ(storedAs("\"w\" | gguf \"w\" - 1"), ": p.w\ngguf: p.w = x 1 -\n");
  EXPECT_EQ(storedAs("-exp(\"A_log\") | gguf \"a\""), ": p.A_log = x exp neg\ngguf: p.a\n");
  EXPECT_EQ(storedAs("max(\"w\"[c,d,h], 0.5, D) / 1e-7"),
            ": p.w @ a2 ; a1 ; a0 = x 0.5 max 4 max 1e-07 /\n");
}

TEST(C5, TheSameTensorInAnotherWayIsAnotherParameter) {
  Checked checked(
      "index t < 4\nmodel m(x[t]) -> y[t] {\n"
      "  param a[t] = \"w\", b[t] = \"w\" + 1, c[t] = \"w\", d[t] = \"w\" | gguf \"v\"\n"
      "  y[t] = x[t] * a[t] * b[t] * c[t] * d[t]\n}\n");
  ASSERT_TRUE(checked.program) << checked.said;
  int params = 0;
  for (const Tensor &t : checked.program->tensors)
    params += t.kind == Tensor::Kind::Param;
  EXPECT_EQ(params, 3);
}

} // namespace
} // namespace qkv
