// In: opened weights. Out: packed files, beside a program and behind it. Holds: they open by
// mapping alone, and only for the model they were made for.
#include "Support.h"

#include "runtime/checkpoint/Panels.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace qkv::rt;

namespace {

class Packed : public testing::Test {
protected:
  void SetUp() override {
    test.params = {{"a", {2, 3}}, {"tied", {6}, {}, {}, 1, 0}, {"n", {3}, {}, {}, 2, 0, 2.5}};
    float values[] = {1, 2, 3, 4, 5, 6};
    ASSERT_TRUE(
        writeSafetensors(folder / "w.safetensors", {{"a", Dtype::F32, {6}, values}}, &error));
    weights = qkv_weights_open(&test.model(), (folder / "w.safetensors").c_str(), nullptr, &error);
    ASSERT_TRUE(weights) << error.text;
  }
  void TearDown() override { qkv_weights_close(weights); }

  void expectGood(const char *path, const char *self) {
    qkv_weights *read = qkv_weights_open(&test.model(), path, self, &error);
    ASSERT_TRUE(read) << error.text;
    auto params = qkv_weights_params(read);
    EXPECT_EQ(static_cast<float *>(params[0])[5], 6);
    EXPECT_EQ(params[1], params[0]);
    EXPECT_EQ(static_cast<float *>(params[2])[2], 2.5f);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(params[0]) % 4096, 0u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(params[2]) % 64, 0u);
    EXPECT_TRUE(read->owned.empty()) << "nothing is copied";
    qkv_weights_close(read);
  }

  TestFolder folder;
  TestModel test;
  qkv_error error = emptyError();
  qkv_weights *weights = nullptr;
};

TEST_F(Packed, AFileOfItsOwn) {
  ASSERT_TRUE(packWeights(test.model(), *weights, folder / "p.weights", &error)) << error.text;
  expectGood((folder / "p.weights").c_str(), nullptr);
  expectGood(nullptr, (folder / "p").c_str()); // beside the program
}

TEST_F(Packed, BehindAProgram) {
  std::string program = folder / "p", image(5000, 'e');
  writeFile(program, image);
  chmod(program.c_str(), 0755);
  for (int again = 0; again < 2; ++again) { // the second time it replaces the first
    ASSERT_TRUE(embedWeights(test.model(), *weights, program, &error)) << error.text;
    std::string bytes = readFile(program);
    EXPECT_EQ(bytes.substr(0, image.size()), image);
    EXPECT_EQ(bytes.find("QKVPACK4"), 8192u);
    EXPECT_EQ(bytes.rfind("QKVPACK4"), 8192u);
    struct stat status;
    stat(program.c_str(), &status);
    EXPECT_EQ(status.st_mode & 0777, 0755u);
    expectGood(nullptr, program.c_str());
    expectGood(program.c_str(), nullptr);
  }
}

/// What the parameters are when the packed file is opened by this model; or what is wrong.
std::string opened(TestModel &test, const std::string &path) {
  qkv_error error = emptyError();
  const qkv_model &model = test.model();
  qkv_weights *weights = qkv_weights_open(&model, path.c_str(), nullptr, &error);
  if (!weights)
    return error.text;
  std::string text;
  for (int32_t i = 0; i < model.param_count; ++i) {
    std::vector<float> plain(elementCount(test.params[i].shape));
    readHeld(model.params[i], qkv_weights_params(weights)[i], plain.data());
    text += test.params[i].name;
    for (float value : plain)
      text += format(" %g", value);
    text += "\n";
  }
  qkv_weights_close(weights);
  return text;
}

void expectSays(const std::string &text, const std::vector<const char *> &parts) {
  for (const char *part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << "expected: " << part << "\nsaid: " << text;
}

// A page that changed after it was packed, as its compiled model sees it.
TEST_F(Packed, ForAnotherPage) {
  float values[] = {1, 2, 3, 4, 5, 6};
  ASSERT_TRUE(writeSafetensors(
      folder / "w", {{"one", Dtype::F32, {6}, values}, {"two", Dtype::F32, {3, 2}, values}},
      &error));
  TestModel packed;
  packed.params = {
      {"a", {2, 3}, {"one"}}, {"b", {3, 2}, {"two"}}, {"n", {3}, {"three"}, {}, 2, 0, 2.5}};
  qkv_weights *from = qkv_weights_open(&packed.model(), (folder / "w").c_str(), nullptr, &error);
  ASSERT_TRUE(from) << error.text;
  std::string file = folder / "p";
  ASSERT_TRUE(packWeights(packed.model(), *from, file, &error));
  qkv_weights_close(from);
  EXPECT_EQ(opened(packed, file), "a 1 2 3 4 5 6\nb 1 2 3 4 5 6\nn 2.5 2.5 2.5\n");

  TestModel page; // other letters, another order, fewer: by the checkpoint's names
  page.params = {{"weights", {3, 2}, {"two"}}, {"x", {2, 3}, {"one"}}};
  EXPECT_EQ(opened(page, file), "weights 1 2 3 4 5 6\nx 1 2 3 4 5 6\n");
  // The letter stays and means another tensor of that shape.
  page.params = {{"a", {2, 3}, {"two"}}};
  expectSays(opened(page, file), {"parameter a", "\"two\" as [3,2], expected [2,3]", "changed"});
  page.params = {{"a", {2, 3}, {"another"}}};
  expectSays(opened(page, file),
             {"without \"another\"", "a was made of \"one\" then", "qkv build --weights"});
  // The checkpoint's [6] may be split in any way; its [3,2] may not.
  page.params = {{"a", {3, 2}, {"one"}}, {"f", {6}, {"one"}}, {"d", {3, 1, 2}, {"two"}}};
  EXPECT_EQ(opened(page, file), "a 1 2 3 4 5 6\nf 1 2 3 4 5 6\nd 1 2 3 4 5 6\n");
  page.params = {{"a", {4}, {"one"}}};
  expectSays(opened(page, file), {"\"one\" as [2,3], expected [4]"});
  // Fallbacks are the page's: what the checkpoint lacks is known.
  page.params = {{"n", {3}, {"three"}, {}, 2, 0, -1}, {"a", {3}, {"three"}, {}, 1, 0}};
  EXPECT_EQ(opened(page, file), "n -1 -1 -1\na -1 -1 -1\n");
  page.params = {{"n", {3}, {"three"}}};
  expectSays(opened(page, file), {"parameter n", "has no tensor \"three\""});
  page.params = {{"n", {3}, {"four"}, {}, 2, 0, 0}};
  expectSays(opened(page, file), {"without \"four\""});
  // Held in another way: converted.
  page.params = {{"a", {2, 3}, {"one"}, {}, 0, 0, 0, {QKV_BF16, 1, 2, 0, 0, 4}}};
  EXPECT_EQ(opened(page, file), "a 1 2 3 4 5 6\n");
}

TEST_F(Packed, StacksAreOfTheSameLetters) {
  float values[] = {1, 2, 3, 4};
  ASSERT_TRUE(writeSafetensors(
      folder / "w", {{"w0", Dtype::F32, {2}, values}, {"w1", Dtype::F32, {2}, values + 2}},
      &error));
  TestModel packed, page;
  packed.params = {{"a", {2, 2}, {"w0", "w1"}, {0}}};
  qkv_weights *from = qkv_weights_open(&packed.model(), (folder / "w").c_str(), nullptr, &error);
  ASSERT_TRUE(from) << error.text;
  ASSERT_TRUE(packWeights(packed.model(), *from, folder / "p", &error));
  qkv_weights_close(from);
  EXPECT_EQ(opened(packed, folder / "p"), "a 1 2 3 4\n");
  page.params = {{"a", {2, 2}, {"w0", "w1"}, {1}}}; // transposed
  expectSays(opened(page, folder / "p"), {"without \"w0\", \"w1\""});
  page.params = {{"a", {2, 2}, {"w1", "w0"}, {0}}};
  expectSays(opened(page, folder / "p"), {"without \"w1\", \"w0\""});
  page.params = {{"a", {2, 2, 1}, {"w0", "w1"}, {0}}};
  expectSays(opened(page, folder / "p"), {"as [2,2], expected [2,2,1]"});
}

TEST_F(Packed, OfAnotherVersion) {
  std::string bytes(4096, 0);
  writeFile(folder / "p", "QKVPACK2" + bytes);
  expectSays(opened(test, folder / "p"), {"another version of qkv"});
}

TEST_F(Packed, HoldsTheConfiguration) {
  writeFile(folder / "config.json", "{\"theta\": 500000.0}");
  qkv_weights_close(weights);
  weights = qkv_weights_open(&test.model(), (folder / "w.safetensors").c_str(), nullptr, &error);
  ASSERT_TRUE(packWeights(test.model(), *weights, folder / "p", &error)) << error.text;
  unlink((folder / "config.json").c_str());
  Configuration found;
  ASSERT_TRUE(findConfiguration(folder / "p", found, &error));
  EXPECT_EQ(found.text, "{\"theta\": 500000.0}");
  EXPECT_EQ(found.path, folder / "p");
  test.settings = {{"theta", "500000", nullptr}};
  expectGood((folder / "p").c_str(), nullptr);
  test.settings = {{"theta", nullptr, "10000"}};
  expectSays(opened(test, folder / "p"), {"\"theta\" is 500000.0", "compiled with 10000"});
}

} // namespace
