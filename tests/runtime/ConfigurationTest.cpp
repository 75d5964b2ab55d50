// In: what a page read when it was compiled, and configurations of weights. Out: agreement, or the
// key and both values. Holds: a key is found here where the compiler finds it.
#include "Support.h"

#include "runtime/checkpoint/Json.h"
#include "tests/fuzz/WithinMemory.h"

#include <ctime>
#include <gtest/gtest.h>

using namespace qkv::rt;

namespace {

/// Empty if all agree.
std::string disagreement(std::vector<TestSetting> settings, const std::string &text) {
  TestModel test;
  test.settings = std::move(settings);
  qkv_error error = emptyError();
  if (checkSettings(test.model(), {text, "ck/config.json"}, &error))
    return "";
  EXPECT_STREQ(error.file, "ck/config.json");
  return error.text;
}

void expectSays(const std::string &text, const std::vector<const char *> &parts) {
  for (const char *part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << "expected: " << part << "\nsaid: " << text;
}

TEST(Settings, NumbersAreComparedAsNumbers) {
  for (const char *text : {"10000", "10000.0", "1e4", "100.0e2"})
    EXPECT_EQ(disagreement({{"a", "10000", nullptr}}, std::string("{\"a\": ") + text + "}"), "");
  expectSays(disagreement({{"a", "10000", nullptr}}, "{\"a\": 500000.0}"),
             {"\"a\" is 500000.0", "compiled with 10000:"});
  // Beyond what doubles tell apart.
  EXPECT_NE(disagreement({{"a", "9007199254740993", nullptr}}, "{\"a\": 9007199254740992}"), "");
  EXPECT_NE(disagreement({{"a", "true", nullptr}}, "{\"a\": false}"), "");
  EXPECT_NE(disagreement({{"a", "1", nullptr}}, "{\"a\": true}"), "");
  EXPECT_NE(disagreement({{"a", "1", nullptr}}, "{\"a\": \"1\"}"), "");
  EXPECT_NE(disagreement({{"a", "1", nullptr}}, "{\"a\": {\"b\": 1}}"), "");
  EXPECT_EQ(disagreement({{"a", "-Infinity", nullptr}}, "{\"a\": -Infinity}"), "");
  EXPECT_NE(disagreement({{"a", "-Infinity", nullptr}}, "{\"a\": Infinity}"), "");
  EXPECT_EQ(disagreement({{"a", "NaN", nullptr}}, "{\"b\": [\"NaN\", NaN], \"a\": NaN}"), "");
}

TEST(Settings, WhatIsAbsentIsTheDefault) {
  EXPECT_EQ(disagreement({{"a", nullptr, "5"}}, "{}"), "");
  EXPECT_EQ(disagreement({{"a", nullptr, "5"}}, "{\"a\": null}"), "");
  EXPECT_EQ(disagreement({{"a", nullptr, "5"}}, "{\"a\": 5}"), "");
  expectSays(disagreement({{"a", nullptr, "5"}}, "{\"a\": 6}"),
             {"\"a\" is 6", "compiled with 5, its default"});
  EXPECT_EQ(disagreement({{"a", "5", "5"}}, "{}"), "");
  expectSays(disagreement({{"a", "6", "5"}}, "{}"),
             {"has no \"a\", which stands for 5", "compiled with 6"});
  expectSays(disagreement({{"a", "6", nullptr}}, "{}"), {"has no \"a\"", "compiled with 6"});
  EXPECT_EQ(disagreement({{"a", "6", nullptr}}, ""), "") << "no configuration says nothing";
}

TEST(Settings, KeysLeadThroughMembersAndLists) {
  auto at = [](const char *key, const std::string &text) {
    std::vector<std::optional<std::string>> values;
    std::string why;
    EXPECT_TRUE(parseSettings(text, {key}, values, why)) << why;
    return values[0].value_or("none");
  };
  std::string text = R"({"a": {"b": [7, {"c": 8}, null, [9]], "b.x": 1}, "a.d": 2, "n": {"": 3}})";
  EXPECT_EQ(at("a.b.0", text), "7");
  EXPECT_EQ(at("a.b.1.c", text), "8");
  EXPECT_EQ(at("a.b.2", text), "none");
  EXPECT_EQ(at("a.b.3.0", text), "9");
  EXPECT_EQ(at("a.b.4", text), "none");
  EXPECT_EQ(at("a.b", text), "a list");
  EXPECT_EQ(at("a.b.x", text), "none") << "a name with a dot counts in the whole alone";
  EXPECT_EQ(at("a.d", text), "2");
  EXPECT_EQ(at("n.", text), "3");
  EXPECT_EQ(at("c", text), "none");
  EXPECT_EQ(at("a.b", R"({"a.b": 1, "a": {"b": 2}})"), "1");
  EXPECT_EQ(at("a.b", R"({"a": {"b": 2}, "a.b": 1})"), "1");
  EXPECT_EQ(at("a.b", R"({"a": {"b": 2}, "a.b": null})"), "none");
  EXPECT_EQ(at("a.b", R"({"a": {"b": 2}, "a": {"c": 1}})"), "none");
  EXPECT_EQ(at("a", R"({"a": 1, "a": 2})"), "2");
}

TEST(Settings, ListsAndNamesWithDots) {
  auto at = [](const char *key, const std::string &text) {
    std::vector<std::optional<std::string>> values;
    std::string why;
    EXPECT_TRUE(parseSettings(text, {key}, values, why)) << why;
    return values[0].value_or("none");
  };
  EXPECT_EQ(at("a.length", R"({"a": [1, [2], {"length": 9}]})"), "3");
  EXPECT_EQ(at("a.length", R"({"a": []})"), "0");
  EXPECT_EQ(at("a.1.length", R"({"a": [1, [2, 3]]})"), "2");
  EXPECT_EQ(at("a.length", R"({"a": {"length": 4}})"), "4");
  EXPECT_EQ(at(".x.y.1", R"({".x.y": [5, 6], ".x": {"y": [7, 8]}})"), "6") << "the longest name";
  EXPECT_EQ(at(".x.y.1", R"({".x": {"y": [7, 8]}, ".x.y": [5, 6]})"), "6");
  EXPECT_EQ(at(".x.y.1", R"({".x": {"y": [7, 8]}, ".x.y": 5})"), "none");
  EXPECT_EQ(at(".x.y.length", R"({".x.y": [5, 6]})"), "2");
}

TEST(Settings, Texts) {
  EXPECT_EQ(disagreement({{"a", "\"yarn\"", nullptr}}, R"({"a": "yarn"})"), "");
  EXPECT_EQ(disagreement({{"a", "\"\\u000a\\\"\"", nullptr}}, R"({"a": "\n\""})"), "");
  EXPECT_EQ(disagreement({{"a", nullptr, "\"none\""}}, R"({"a": null})"), "");
  expectSays(disagreement({{"a", nullptr, "\"none\""}}, R"({"a": "yarn"})"),
             {"\"a\" is \"yarn\"", "compiled with \"none\", its default"});
}

TEST(Settings, AFormatHasAKeyOfItsOwn) {
  TestModel test;
  test.settings = {{"hidden_size", "8", nullptr, {{"gguf", ".embedding_length"}}}};
  qkv_error error = emptyError();
  const std::string text = R"({"hidden_size": 8, ".embedding_length": 9})";
  EXPECT_TRUE(checkSettings(test.model(), {text, "f", "safetensors"}, &error));
  EXPECT_FALSE(checkSettings(test.model(), {text, "f", "gguf"}, &error));
  expectSays(error.text, {"\".embedding_length\" is 9", "compiled with 8"});
}

TEST(Settings, WhatIsNoConfiguration) {
  for (const char *text : {" ", "[]", "null", "5", "{", "{\"a\": 1} x", "{\"a\": tru}"})
    expectSays(disagreement({{"a", "1", nullptr}}, text), {"not a valid configuration"});
  EXPECT_EQ(disagreement({}, "{"), "") << "nothing was read from it";
}

/// Whatever stands in it, reading it takes little time and memory.
TEST(Settings, HostileOnes) {
  std::string lists(300000, '['), objects, dots = "{",
                                           longName = "{\"" + std::string(1 << 20, 'a') + "\":1}";
  for (int i = 0; i < 100000; ++i)
    objects += "{\"a\":";
  for (int i = 0; i < 20000; ++i)
    dots += (i ? ",\"a." : "\"a.") + std::to_string(i) + "\":{\"b\":" + std::to_string(i) + "}";
  for (const std::string &text :
       {"{\"a\":" + lists, "{\"a\":" + lists + std::string(300000, ']') + "}", objects,
        objects + "1" + std::string(100000, '}'), dots + "}", longName,
        "{\"a\":" + std::string(1 << 20, '9') + "}",
        "{\"a\":\"" + std::string(1 << 20, '\\') + "\"}",
        "{\"a\":1e" + std::string(1000, '9') + "}"}) {
    auto begun = std::clock();
    EXPECT_EQ(
        qkv::test::withinMemory(
            size_t(256) << 20,
            [&text] { disagreement({{"a", "1", nullptr}, {"a.a.a.b", "1", nullptr}}, text); }),
        "")
        << text.substr(0, 100);
    disagreement({{"a", "1", nullptr}, {"a.a.a.b", "1", nullptr}}, text);
    EXPECT_LT(static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC, 5 * qkv::test::slowdown)
        << text.substr(0, 100);
  }
}

} // namespace
