// The library as a whole: it checks without a word, each function has a row in its table and a
// model in nn/, and those models check.
#include "dsl/check/Checker.h"
#include "dsl/syntax/Parser.h"
#include "tests/reference/Figures.h"

#include <gtest/gtest.h>
#include <regex>
#include <sstream>

using namespace qkv;
using namespace qkv::reference;

namespace {

/// The file's definitions; fails where the parser or the checker says anything.
ast::File checked(const std::string &path, Sources &sources) {
  std::string problem;
  const Source *source = sources.open(path, problem);
  EXPECT_TRUE(source) << problem;
  Diagnostics parsed, diagnostics;
  ast::File file = parse(*source, parsed);
  check(*source, sources, {}, diagnostics);
  std::ostringstream said;
  diagnostics.render(said, false);
  EXPECT_EQ(said.str(), "");
  return file;
}

bool has(const std::string &text, const std::string &pattern) {
  return std::regex_search(text, std::regex(pattern));
}

TEST(Library, checksWithoutAWord) {
  Sources sources;
  for (const char *file : {"/nn.qkv", "/recurrent.qkv"})
    checked(std::string(QKV_STD) + file, sources);
  for (const std::string &model : modelsOf(QKV_REFERENCE "/nn")) {
    SCOPED_TRACE(model);
    checked(QKV_REFERENCE "/nn/" + model + ".qkv", sources);
  }
}

TEST(Library, everyFunctionHasARowAndAModel) {
  Sources sources;
  std::string table = textOf(QKV_STD "/README.md"), models;
  for (const std::string &model : modelsOf(QKV_REFERENCE "/nn"))
    models += textOf(QKV_REFERENCE "/nn/" + model + ".qkv");
  std::vector<ast::Definition> definitions;
  for (const char *file : {"/nn.qkv", "/recurrent.qkv"})
    for (ast::Definition &definition : checked(std::string(QKV_STD) + file, sources).definitions)
      definitions.push_back(std::move(definition));
  EXPECT_GT(definitions.size(), 95u);
  for (const ast::Definition &definition : definitions) {
    const std::string &name = definition.name.text;
    EXPECT_TRUE(has(table, "`" + name + "[`(]")) << name << " is not in dsl/std/README.md";
    EXPECT_TRUE(has(models, "\\b" + name + "\\(")) << name << " is called by no model of nn/";
  }
}

// What is built into the programs is the file.
TEST(Library, isEmbedded) {
  for (const char *name : {"nn", "recurrent"}) {
    ASSERT_TRUE(standardLibrary(name));
    EXPECT_EQ(standardLibrary(name), textOf(std::string(QKV_STD) + "/" + name + ".qkv"));
  }
  EXPECT_FALSE(standardLibrary("nothing"));
}

} // namespace
