// Descriptions: made of programs, written, read back, as models in memory; extents.
#include "compiler/description/Description.h"
#include "compiler/description/Extent.h"
#include "tests/run/Models.h"
#include "tests/run/Support.h"

#include <gtest/gtest.h>

using namespace qkv;
using namespace qkv::test;

namespace {

int64_t value(const std::string &text, std::vector<int64_t> sizes) {
  auto extent = Extent::parse(text, sizes.size());
  EXPECT_TRUE(extent) << text;
  return extent ? extent->evaluate(sizes.data()) : -1;
}

TEST(Extent, evaluates) {
  EXPECT_EQ(value("7", {}), 7);
  EXPECT_EQ(value("s0 1 + 2 /", {6}), 3);
  EXPECT_EQ(value("-3 s0 *", {5}), -15);
  EXPECT_EQ(value("-7 2 /", {}), -4);
  EXPECT_EQ(value("-7 2 %", {}), 1);
  EXPECT_EQ(value("7 -2 /", {}), -4);
  EXPECT_EQ(value("7 -2 %", {}), -1);
  EXPECT_EQ(value("7 0 /", {}), 0);
  EXPECT_EQ(value("7 0 %", {}), 0);
  EXPECT_EQ(value("-9223372036854775808 -1 /", {}), INT64_MIN);
  EXPECT_EQ(value("9223372036854775807 1 +", {}), INT64_MIN);
}

TEST(Extent, refusesWhatIsNone) {
  for (const char *text : {"", "+", "1 2", "1 +", "s", "s1", "sx", "1x", "s0 s0 ^", "s-1",
                           "99999999999999999999", "1 2 + +"})
    EXPECT_FALSE(Extent::parse(text, 1)) << text;
}

TEST(Extent, saysWhatTheSizeSays) {
  SizeAtoms atoms;
  int t = atoms.add({SizeAtom::Kind::Dynamic, "T", 100, nullptr, nullptr});
  int s = atoms.add({SizeAtom::Kind::Dynamic, "S", 100, nullptr, nullptr});
  Size T = Size::atom(t), S = Size::atom(s);
  for (const Size &size :
       {Size(0), Size(5), T, T * S - Size(3) * T + 7, -S, floorDiv(T + 1, Size(2), atoms) * S,
        floorMod(T * T + 5, S, atoms) + floorDiv(floorMod(T, Size(7), atoms), Size(3), atoms),
        maximum(S - T, Size(0), atoms) * T + maximum(T - Size(3), S, atoms)})
    for (int64_t a : {1, 6, 13})
      for (int64_t b : {1, 4}) {
        std::vector<int64_t> values(atoms.count());
        values[t] = a;
        values[s] = b;
        EXPECT_EQ(value(extentText(size, atoms, {t, s}), {a, b}), size.evaluate(atoms, values))
            << size.text(atoms);
      }
}

std::string description(const char *text) {
  auto checked = checkText(text, "model.qkv");
  EXPECT_TRUE(checked->program) << checked->diagnostics;
  return describe(*checked->program, usedParams(*checked->program)).json();
}

TEST(Description, readsBack) {
  for (const char *model : {attentionModel, lookupModel, counterModel}) {
    std::string text = description(model), error;
    Description back;
    ASSERT_TRUE(Description::fromJson(text, back, error)) << error;
    EXPECT_EQ(back.json(), text);
  }
}

TEST(Description, refusesWhatDoesNotHoldTogether) {
  std::string text = description(attentionModel), error;
  Description out;
  auto with = [&](const std::string &from, const std::string &to) {
    std::string changed = text;
    size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    changed.replace(at, from.size(), to);
    return changed;
  };
  EXPECT_FALSE(Description::fromJson("", out, error));
  EXPECT_FALSE(Description::fromJson("[]", out, error));
  EXPECT_FALSE(Description::fromJson("{}", out, error));
  EXPECT_FALSE(Description::fromJson(with("\"extent\":\"s0\"", "\"extent\":\"s9\""), out, error));
  EXPECT_FALSE(Description::fromJson(with("\"size\":0", "\"size\":3"), out, error));
  EXPECT_FALSE(Description::fromJson(with("\"names\":[\"q.weight\"]", "\"names\":[]"), out, error));
  EXPECT_FALSE(Description::fromJson(with("\"fallback\":0", "\"fallback\":1"), out, error));
  EXPECT_FALSE(Description::fromJson(with("\"type\":0", "\"type\":7"), out, error));
  EXPECT_FALSE(Description::fromJson(with("\"kind\":\"whole\"", "\"kind\":\"part\""), out, error));
  EXPECT_NE(error.find("kind of entry"), std::string::npos) << error;
  EXPECT_FALSE(Description::fromJson(with("\"symbol\":\"", "\"symbol\":\"x"), out, error));
  EXPECT_NE(error.find("symbol of entry"), std::string::npos) << error;
  for (const char *other : {"[\"size\",1]", "[\"sequences\",0]", "[\"size\",0],[\"size\",0]"}) {
    EXPECT_FALSE(Description::fromJson(with("[\"size\",0]", other), out, error));
    EXPECT_NE(error.find("arguments of entry"), std::string::npos) << error;
  }
  EXPECT_FALSE(Description::fromJson(with("\"block\":[1,4]", "\"block\":[1,2]"), out, error));
  EXPECT_NE(error.find("is held"), std::string::npos) << error;
  EXPECT_FALSE(Description::fromJson(with("\"panels\":[0,0,0]", "\"panels\":[0,9,4]"), out, error));
  EXPECT_FALSE(Description::fromJson(with("\"type\":0", "\"type\":\"float\""), out, error));
}

TEST(Description, listsWhatIsRead) {
  auto checked = checkText("size D = 2\nindex d < D\nmodel m(x[d]) -> y[d] {\n"
                           "  param a[d] = \"a\", b[d] = \"b\" else c, c[d] = \"c\", e[d] = \"e\"\n"
                           "  u[d] = e[d]\n  y[d] = b[d] * x[d]\n}\n",
                           "model.qkv");
  ASSERT_TRUE(checked->program) << checked->diagnostics;
  Description d = describe(*checked->program, usedParams(*checked->program));
  ASSERT_EQ(d.params.size(), 2u);
  // A fallback stands before what falls back on it.
  EXPECT_EQ(d.params[0].name, "c");
  EXPECT_EQ(d.params[1].name, "b");
  EXPECT_EQ(d.params[1].fallback, 1);
  EXPECT_EQ(d.params[1].fallbackParam, 0);
  EXPECT_EQ(d.params[1].line, 4);
  EXPECT_EQ(d.params[1].column, 21);
}

TEST(ModelInMemory, isTheDescription) {
  auto checked = checkText(counterModel, "model.qkv");
  ASSERT_TRUE(checked->program);
  ModelInMemory memory(describe(*checked->program, {}));
  const qkv_model &model = memory.model();
  EXPECT_STREQ(model.name, "counter");
  EXPECT_EQ(model.generator_input, 0);
  EXPECT_EQ(model.generator_source, -1);
  ASSERT_EQ(model.size_count, 1);
  EXPECT_EQ(model.sizes[0].max, 12);
  EXPECT_EQ(model.sizes[0].stream, 1);
  int64_t size = 9, extents[3] = {};
  model.shapes(&model, &size, extents);
  EXPECT_EQ(extents[0], 9);
  EXPECT_EQ(extents[1], 9);
  EXPECT_EQ(extents[2], 128);
}

} // namespace
