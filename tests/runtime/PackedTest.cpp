// In: opened weights. Out: packed files, beside a program and behind it. Holds: they open by
// mapping alone, and only for the model they were made for.
#include "Support.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

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
    EXPECT_EQ(bytes.find("QKVPACK2"), 8192u);
    EXPECT_EQ(bytes.rfind("QKVPACK2"), 8192u);
    struct stat status;
    stat(program.c_str(), &status);
    EXPECT_EQ(status.st_mode & 0777, 0755u);
    expectGood(nullptr, program.c_str());
    expectGood(program.c_str(), nullptr);
  }
}

TEST_F(Packed, ForAnotherModel) {
  ASSERT_TRUE(packWeights(test.model(), *weights, folder / "p", &error));
  auto message = [&] {
    EXPECT_FALSE(qkv_weights_open(&test.model(), (folder / "p").c_str(), nullptr, &error));
    return std::string(error.text);
  };
  test.params[2].shape = {4};
  EXPECT_NE(message().find("has \"n\"[3] where test has \"n\"[4]"), std::string::npos)
      << error.text;
  test.params.pop_back();
  EXPECT_NE(message().find("has 3 parameters, test has 2"), std::string::npos) << error.text;
}

} // namespace
