// Every example, every model of the library's tests, and models of this folder: all stages against
// the interpreter.
#include "tests/run/Support.h"

#include <gtest/gtest.h>

using namespace qkv;
using namespace qkv::test;

namespace {

const std::string root = QKV_SOURCE;

std::vector<std::string> models() {
  std::vector<std::string> files;
  for (const char *folder : {"/examples", "/tests/sema/idioms", "/tests/reference/nn"})
    for (const std::string &file : filesIn(root + folder, ".qkv"))
      files.push_back(file.substr(root.size() + 1));
  return files;
}

class Examples : public testing::TestWithParam<std::string> {};

TEST_P(Examples, everyStageAgrees) {
  std::string path = root + "/" + GetParam();
  Sources sources;
  std::string error;
  const Source *source = sources.open(path, error);
  ASSERT_TRUE(source) << error;
  for (const std::string &name : modelNames(*source)) {
    SCOPED_TRACE(name);
    CheckOptions options;
    options.model = name;
    auto checked = checkText(source->text(), path, options);
    ASSERT_TRUE(checked->program) << checked->diagnostics;
    // (The ladder has many models, and those of a page are alike: that each stage goes on from its
    // text is shown of the first.)
    bool ladder = GetParam().starts_with("examples/");
    VerifyOptions verifying;
    if (ladder && name != modelNames(*source).front())
      verifying.only = {"equations", "step", "asm"};
    for (uint64_t seed : ladder ? std::vector<uint64_t>{1} : std::vector<uint64_t>{1, 2}) {
      TrialOptions wanted;
      wanted.seed = seed;
      Trial trial = makeTrial(*checked->program, wanted);
      VerifyReport report = verify(*checked->program, trial, verifying);
      for (const StageReport &stage : report.stages)
        EXPECT_TRUE(stage.same) << "seed " << seed << ", stage " << stage.stage << ": "
                                << stage.failure
                                << (stage.difference ? stage.difference->text : "");
      if (!report.same)
        break;
    }
  }
}

std::string testName(const testing::TestParamInfo<std::string> &info) {
  std::string name = info.param.substr(0, info.param.rfind('.'));
  for (char &c : name)
    if (!isalnum(static_cast<unsigned char>(c)))
      c = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, Examples, testing::ValuesIn(models()), testName);

} // namespace
