// JSON schemas: what fits is valid, what is not supported is refused with its path.
#include "runtime/grammar/Positions.h"
#include "runtime/grammar/ReadGrammar.h"

#include "tests/fuzz/WithinMemory.h"

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

TEST(Schema, SeveralAtOnce) {
  expect(
      R"({"allOf": [{"type": ["integer", "string"], "minimum": 3}, {"type": "number", "maximum": 5},
             {"maximum": 4, "title": "t"}]})",
      {"3", "4"}, {"2", "5", "3.5", "\"a\""});
  expect(R"({"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]},
             {"type": "object", "properties": {"a": {"minimum": 2}, "b": {"const": 1}}, "required": ["b"]}]})",
         {R"({"a":2,"b":1})", R"({"a": 30, "b": 1})"},
         {R"({"a":1,"b":1})", R"({"a":2})", R"({"b":1})"});
  // What one says of all others holds for the properties of the other.
  expect(
      R"({"allOf": [{"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "integer"}},
             {"type": "object", "properties": {"b": {}, "a": {"type": "null"}}}]})",
      {R"({"a":null,"b":1})", R"({"a":null,"b":1,"c":2})"},
      {R"({"b":"x"})", R"({"a":1})", R"({"c":null})"});
  expect(R"({"allOf": [{"type": "object", "properties": {"a": {}}, "additionalProperties": false},
             {"type": "object", "properties": {"b": {}}}]})",
         {R"({"a":1})", "{}"}, {R"({"b":1})", R"({"a":1,"b":1})"});
  expect(R"({"allOf": [{"type": "array", "prefixItems": [{"type": "integer"}], "maxItems": 3},
             {"type": "array", "items": {"type": ["number", "null"]}, "minItems": 1}]})",
         {"[1]", "[1,null,0.5]"}, {"[]", "[0.5]", "[1,2,3,4]", "[1,true]"});
  expect(R"({"allOf": [{"enum": [1, 2, "a"]}, {"enum": [2, "a", 3], "type": "integer"}]})", {"2"},
         {"1", "\"a\""});
  expect(R"({"allOf": [{"const": 4}, {"type": "integer"}]})", {"4"}, {"5"});
  // Words beside alternatives, and beside $ref.
  expect(
      R"({"anyOf": [{"minimum": 5}, {"maximum": 1}], "type": "integer", "minimum": 0, "maximum": 9})",
      {"0", "1", "5", "9"}, {"2", "4", "10"});
  expect(
      R"({"$ref": "#/$defs/n", "maximum": 3, "$defs": {"n": {"type": "integer", "minimum": 2}}})",
      {"2", "3"}, {"1", "4"});
  expect(
      R"({"$defs": {"base": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}},
             "oneOf": [{"allOf": [{"$ref": "#/$defs/base"}, {"properties": {"k": {"const": "x"}}, "required": ["k"]}]},
                       {"type": "null"}]})",
      {"null", R"({"id":1,"k":"x"})"}, {R"({"id":1})", R"({"k":"x"})"});
}

TEST(Schema, MultiplesAndNamesLikeAPattern) {
  for (int64_t step : {1, 2, 5, 7, 12, 100})
    for (const char *type : {"integer", "number"}) {
      std::string why, start = std::string(R"({"type": ")") + type + R"(", "multipleOf": )" +
                               std::to_string(step);
      auto all = schema(start + "}", why), above = schema(start + R"(, "minimum": 1})", why),
           near = schema(start + R"(, "minimum": -20, "exclusiveMaximum": 50})", why);
      ASSERT_TRUE(all && above && near) << why;
      for (int64_t i = -1300; i <= 1300; ++i) {
        ASSERT_EQ(fits(*all, std::to_string(i)), i % step == 0) << start << i;
        ASSERT_EQ(fits(*above, std::to_string(i)), i % step == 0 && i >= 1) << start << i;
        ASSERT_EQ(fits(*near, std::to_string(i)), i % step == 0 && i >= -20 && i < 50)
            << start << i;
      }
      EXPECT_FALSE(fits(*all, "-0") || fits(*all, "00") || fits(*all, "-"));
    }
  expect(
      R"({"type": "object", "properties": {"id": {"type": "integer"}}, "patternProperties": {"^x_[a-z]+$": {"type": "null"}},
             "required": ["id", "x_a"], "additionalProperties": false})",
      {R"({"id":1,"x_a":null})", R"({"id":1,"x_a":null,"x_bc":null})"},
      {R"({"id":1})", R"({"id":1,"x_a":2})", R"({"id":1,"x_a":null,"y":1})",
       R"({"id":1,"x_a":null,"x_B":null})"});
  expect(R"({"type": "array", "uniqueItems": true, "maxItems": 1})", {"[]", "[1]"}, {"[1,1]"});
}

TEST(Schema, WhatIsNotSupportedIsRefusedWithItsPath) {
  auto says = [](const std::string &text, const std::string &wanted) {
    std::string why;
    EXPECT_FALSE(schema(text, why)) << text;
    EXPECT_NE(why.find(wanted), why.npos) << text << "\n" << why;
  };
  says("{", "byte");
  says("[]", "a schema is");
  says(R"({"properties": {"a": {"minProperties": 2}}})",
       "\"#/properties/a/minProperties\": this keyword is not supported");
  says(R"({"type": "number", "multipleOf": 0.5})", "#/multipleOf");
  says(R"({"type": "integer", "multipleOf": 0})", "#/multipleOf");
  says(R"({"type": "integer", "multipleOf": 7, "minimum": 30})", "#/multipleOf");
  says(R"({"type": "array", "uniqueItems": true})", "#/uniqueItems");
  says(R"({"type": "text"})", "#/type");
  says(R"({"$ref": "#/$defs/none"})", "#/$ref");
  says(R"({"$ref": "https://example.org/x"})", "#/$ref");
  says(R"({"oneOf": [{"type": "integer"}, {"type": "number"}]})", "may hold at once");
  says(R"({"allOf": [{"pattern": "a"}, {"pattern": "b"}]})", "two of pattern");
  says(R"({"allOf": [{"not": {}}, {"type": "null"}]})", "#/not");
  says(R"({"allOf": []})", "#/allOf");
  says(R"({"allOf": [{"$ref": "#/x"}, {}]})", "leads to no schema");
  says(R"({"allOf": [{"$ref": "#"}, {}]})", "too many schemas");
  says(R"({"enum": [1], "minimum": 1})", "beside enum");
  says(R"({"allOf": [{"oneOf": [{"type": "integer"}, {"type": "number"}]}, {"minimum": 1}]})",
       "may hold at once");
  says(R"({"patternProperties": {"^a": {}, "^b": {}}})", "#/patternProperties");
  says(R"({"properties": {"ab": {}}, "patternProperties": {"^a": {}}})", "is of this form");
  says(R"x({"patternProperties": {"(?=a)": {}}})x", "#/patternProperties/(?=a)");
  says(R"({"allOf": [{"patternProperties": {"a": {}}}, {"properties": {"b": {}}}]})",
       "patternProperties beside");
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

/// A small schema or grammar takes little memory, whatever it says.
TEST(Schema, NothingTakesMemory) {
  std::vector<std::string> texts = {
      R"({"type": "string", "maxLength": 1000000000})",
      R"x({"type": "string", "pattern": "((((a{1000}){1000}){1000}){1000})"})x",
      R"({"type": "integer", "multipleOf": 100, "minimum": -999999999999999999, "maximum": 999999999999999999})",
      R"({"allOf": [{"$ref": "#"}, {"$ref": "#"}]})",
      R"({"properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#/properties/a"}]}}})"};
  std::string many = R"({"allOf": [)", deep = "{}";
  for (int i = 0; i < 30; ++i) {
    many += std::string(i ? "," : "") + R"({"anyOf": [{"minimum": )" + std::to_string(i) +
            R"(}, {"maximum": 1}]})";
    deep = R"({"allOf": [)" + deep + ",{}]}";
  }
  texts.push_back(many + "]}");
  texts.push_back(deep);
  for (const std::string &text : texts)
    EXPECT_EQ(qkv::test::withinMemory(size_t(256) << 20,
                                      [&text] {
                                        std::string why;
                                        schema(text, why);
                                      }),
              "")
        << text.substr(0, 100);
  for (const char *text :
       {"root ::= \"a\"{1000000000}", "root ::= ((((\"a\"{999}){999}){999}){999})"})
    EXPECT_EQ(qkv::test::withinMemory(size_t(256) << 20,
                                      [text] {
                                        GrammarError error;
                                        if (auto grammar = readGbnf(text, error))
                                          Automaton::make(*grammar, error.text);
                                      }),
              "")
        << text;
}

} // namespace
