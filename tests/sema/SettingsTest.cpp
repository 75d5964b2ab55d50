// C2: what a model read of its configuration belongs to its program.
#include "dsl/check/Checker.h"

#include <gtest/gtest.h>

namespace qkv {
namespace {

/// What a model read, as "key=value (default)".
std::string settingsOf(const std::string &text, const std::string &config) {
  Sources sources;
  Diagnostics diagnostics;
  CheckOptions options;
  if (!config.empty())
    options.config = config;
  auto program = check(*sources.add("model.qkv", text), sources, options, diagnostics);
  std::string out;
  if (program)
    for (const Setting &s : program->settings)
      out += s.key + "=" + s.value.value_or("absent") + " (" + s.fallback.value_or("none") + ") ";
  return out;
}
TEST(C2, WhatWasReadBelongsToTheProgram) {
  std::string model =
      "size H = config(\"heads\", 2), K = config(\"kv\", H), D = config(\"width\", H * 2)\n"
      "const a = config(\"a\", -0.5), unused = config(\"unused\", 1), b = config(\"b\", true)\n"
      "index h < H\nmodel m(x[h]) -> y[h] {\n"
      "  y[h] = (if b then a else 0) * x[h] + K * D + config(\"heads\", 2)\n}";
  EXPECT_EQ(settingsOf(model, ""),
            "heads=absent (2) kv=absent (2) width=absent (4) a=absent (-0.5) "
            "unused=absent (1) b=absent (true) ");
  EXPECT_EQ(settingsOf(model, R"({"heads": 4, "width": 8.0, "a": 1e3, "b": false})"),
            "heads=4 (2) kv=absent (4) width=8.0 (none) a=1000.0 (-0.5) unused=absent (1) "
            "b=false (true) ");
  EXPECT_EQ(settingsOf("index i < 2\nmodel m(x[i]) -> y[i] {\n  y = x\n  repeat l < 2 {\n"
                       "    y = y * config(\"s.{l}\")\n  }\n}",
                       R"({"s": [3, 4]})"),
            "s.0=3 (none) s.1=4 (none) ");
}

} // namespace
} // namespace qkv
