// JSON schemas: what fits is valid, what is not supported is refused with its path.
#include "runtime/grammar/Positions.h"
#include "runtime/grammar/ReadGrammar.h"

#include <gtest/gtest.h>

using namespace qkv::rt;

namespace {

std::unique_ptr<Automaton> schema(const std::string &text, std::string &why) {
  GrammarError error;
  std::optional<Grammar> grammar = readJsonSchema(text, error);
  auto out = grammar ? Automaton::make(*grammar, error.text) : nullptr;
  why = error.text;
  return out;
}

bool fits(const Automaton &automaton, std::string_view text) {
  Positions positions(automaton);
  int at = positions.begin();
  for (char byte : text)
    at = positions.step(at, automaton.classOf(static_cast<unsigned char>(byte)));
  return positions.mayEnd(at);
}

void expect(const std::string &text, const std::vector<std::string> &fit,
            const std::vector<std::string> &others) {
  std::string why;
  auto automaton = schema(text, why);
  ASSERT_TRUE(automaton) << text << "\n" << why;
  for (const std::string &one : fit)
    EXPECT_TRUE(fits(*automaton, one)) << text << "\n" << one;
  for (const std::string &one : others)
    EXPECT_FALSE(fits(*automaton, one)) << text << "\n" << one;
}

TEST(Schema, Values) {
  expect("{}", {"null", "-0.5e+3", "[1, [], {}]", "{\"a\":\n  \"b\\n\\u00e9\"}", "\"\xC3\xA9\""},
         {"", "nul", "01", "1.", "[1,]", "{\"a\"}", "\"\n\"", "\"\\x\"", "\"\\ud800\"", "\"\xC3\"",
          "1 2", "{a: 1}"});
  expect("true", {"1"}, {""});
  expect(R"({"enum": [1, "a\"b", [1, {"x": null}]]})", {"1", R"("a\"b")", R"([1,{"x":null}])"},
         {"2", "\"a\"", "a"});
  expect(R"({"const": 2.5, "type": "number"})", {"2.5"}, {"2"});
  expect(R"({"enum": [1, "1"], "type": "string"})", {"\"1\""}, {"1"});
  expect(R"({"type": ["boolean", "null"]})", {"true", "null"}, {"0"});
  expect(R"({"anyOf": [{"type": "null"}, {"type": "integer"}]})", {"null", "7"}, {"7.5"});
}

TEST(Schema, Numbers) {
  for (auto [least, most] :
       {std::pair(0, 0), std::pair(-3, 12), std::pair(7, 10), std::pair(98, 1203),
        std::pair(-120, -99), std::pair(-1000, 1000), std::pair(1, 100)}) {
    std::string bounds =
        R"("minimum": )" + std::to_string(least) + R"(, "maximum": )" + std::to_string(most) + "}";
    std::string why;
    auto whole = schema(R"({"type": "integer", )" + bounds, why);
    auto number = schema(R"({"type": "number", )" + bounds, why);
    ASSERT_TRUE(whole && number) << why;
    for (int i = -1300; i <= 1300; ++i) {
      ASSERT_EQ(fits(*whole, std::to_string(i)), i >= least && i <= most) << bounds << i;
      ASSERT_EQ(fits(*number, std::to_string(i)), i >= least && i <= most) << bounds << i;
      // Between i and its neighbour away from 0.
      ASSERT_EQ(fits(*number, std::to_string(i) + ".05"),
                i >= 0 ? i >= least && i < most : i > least && i <= most)
          << bounds << i;
    }
    EXPECT_EQ(fits(*number, "-0.5"), least < 0 && most >= 0) << bounds;
  }
  expect(R"({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 6})", {"4", "5"},
         {"3", "6", "4.5"});
  expect(R"({"type": "number", "exclusiveMinimum": 3, "exclusiveMaximum": 6})",
         {"3.25", "4", "5.75"}, {"3", "6", "3.0", "2.9", "6.1"});
  expect(R"({"type": "integer", "minimum": 2.5})", {"3", "10"}, {"2"});
}

TEST(Schema, Texts) {
  expect(R"({"type": "string", "minLength": 2, "maxLength": 3})",
         {"\"ab\"", "\"\xC3\xA9\\n\\u0041\""}, {"\"a\"", "\"abcd\""});
  expect(R"({"type": "string", "pattern": "^[a-c]+(x|\\d{2})?$"})", {"\"ab\"", "\"c12\"", "\"ax\""},
         {"\"\"", "\"a1\"", "\"abxx\"", "\"d\""});
  expect(R"({"type": "string", "pattern": "b+$"})", {"\"abb\"", "\"b\""}, {"\"ba\""});
  expect(R"({"type": "string", "pattern": "^[^a-z\"]\\\\\\n$"})", {R"("A\\\n")"},
         {R"("a\\\n")", R"("\"\\\n")"});
  expect(R"({"type": "string", "format": "date"})", {"\"2024-12-31\"", "\"1999-06-30\""},
         {"\"2024-13-01\"", "\"1999-06-31\"", "\"99-06-30\""});
}

TEST(Schema, Lists) {
  expect(R"({"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3})",
         {"[1]", "[1, 2,3]"}, {"[]", "[1,2,3,4]", "[null]"});
  expect(
      R"({"type": "array", "prefixItems": [{"type": "null"}, {"type": "boolean"}], "items": false})",
      {"[]", "[null]", "[null,true]"}, {"[true]", "[null,true,1]"});
  expect(
      R"({"type": "array", "prefixItems": [{"type": "null"}], "items": {"type": "integer"}, "minItems": 2, "maxItems": 3})",
      {"[null,1]", "[null,1,2]"}, {"[]", "[null]", "[null,1,2,3]", "[1,1]"});
}

TEST(Schema, Objects) {
  expect(
      R"({"type": "object", "properties": {"a": {"type": "integer"}, "b": {}, "c": {"const": 1}}, "required": ["b"]})",
      {R"({"b":1})", R"({ "a": 1, "b": [] })", R"({"b":null,"c":1})", R"({"a":1,"b":2,"c":1})"},
      {"{}", R"({"a":1})", R"({"b":1,"c":2})", R"({"b":1,"x":2})", R"({"b":1,})", R"({,"b":1})"});
  expect(
      R"({"type": "object", "properties": {"ab": {"type": "null"}, "a": {"type": "null"}}, "additionalProperties": {"type": "integer"}})",
      {"{}", R"({"ab":null,"x":1})", R"({"abc":1,"b":2})", R"({"":3})"},
      {R"({"ab":1})", R"({"a":2})", R"({"x":null})", R"({"ab":null,"a":null,"a":1})",
       R"({"\u0061":1})"});
  expect(R"({"type": "object", "required": ["q"]})", {R"({"q":1})"}, {"{}"});
  expect(
      R"({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "additionalProperties": false}}})",
      {"{}", R"({"next":{"next":{}}})"}, {R"({"next":1})"});
  expect(
      R"({"oneOf": [{"type": "object", "properties": {"k": {"const": 1}}, "required": ["k"]}, {"type": "object", "properties": {"k": {"const": 2}}, "required": ["k"]}]})",
      {R"({"k":1})", R"({"k":2})"}, {R"({"k":3})"});
}

TEST(Schema, WhatIsNotSupportedIsRefusedWithItsPath) {
  auto says = [](const std::string &text, const std::string &wanted) {
    std::string why;
    EXPECT_FALSE(schema(text, why)) << text;
    EXPECT_NE(why.find(wanted), why.npos) << text << "\n" << why;
  };
  says("{", "byte");
  says("[]", "a schema is");
  says(R"({"properties": {"a": {"multipleOf": 2}}})",
       "\"#/properties/a/multipleOf\": this keyword is not supported");
  says(R"({"type": "array", "uniqueItems": true})", "#/uniqueItems");
  says(R"({"type": "text"})", "#/type");
  says(R"({"$ref": "#/$defs/none"})", "#/$ref");
  says(R"({"$ref": "https://example.org/x"})", "#/$ref");
  says(R"({"oneOf": [{"type": "integer"}, {"type": "number"}]})", "may hold at once");
  says(R"({"allOf": [{}, {}]})", "#/allOf");
  says(R"({"anyOf": [{}], "minLength": 1})", "beside anyOf");
  says(R"({"type": "string", "pattern": "(?=a)."})", "#/pattern");
  says(R"({"type": "string", "pattern": "\\bx"})", "escape");
  says(R"({"type": "string", "format": "email"})", "#/format");
  says(R"({"type": "string", "pattern": "a", "minLength": 2})", "together");
  says(R"({"type": "number", "minimum": 0.5})", "#/minimum");
  says(R"({"type": "string", "maxLength": 1000000000})", "too large");
  says("false", "never comes to an end");
  says(R"({"$ref": "#"})", "never comes to an end");
  std::string deep, why;
  for (int i = 0; i < 100000; ++i)
    deep += "{\"items\":";
  says(deep + "{}" + std::string(100000, '}'), "too deeply nested");
}

} // namespace
