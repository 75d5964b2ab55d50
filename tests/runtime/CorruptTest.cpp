// In: safetensors and packed files that are cut, patched or lie. Out: a message, never a crash.
// Holds: with sanitizers too; the mutations are the same in every run.
#include "Support.h"

#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <unistd.h>

using namespace qkv::rt;

namespace {

std::string entry(const char *name, const char *dtype, const char *shape, const char *offsets) {
  return format("\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":%s}", name, dtype, shape,
                offsets);
}

std::string nested(int depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(Corrupt, EachLieHasItsMessage) {
  auto one = [](const char *shape, const char *offsets) {
    return "{" + entry("x", "F32", shape, offsets) + "}";
  };
  const std::pair<std::string, const char *> cases[] = {
      {"", "not valid JSON"},
      {"[]", "not a JSON object"},
      {"3", "not a JSON object"},
      {"{\"x\":3}", "is not described by an object"},
      {"{\"x\":[]}", "is not described by an object"},
      {"{\"x\":{}}", "lacks one of dtype, shape and data_offsets"},
      {"{\"x\":{\"dtype\":\"F32\"", "not valid JSON"},
      {one("[1]", "[0,4]") + "x", "not valid JSON"},
      {one("[1]", "[0,8]"), "shape [1] of F32 is 4 bytes, but it has 8"},
      {one("[2]", "[0,4]"), "shape [2] of F32 is 8 bytes, but it has 4"},
      {one("[1]", "[8,4]"), "is at bytes 8 to 4"},
      {one("[1]", "[16,20]"), "but the data has 16 bytes"},
      {one("[1]", "[0,18446744073709551615]"), "but the data has 16 bytes"},
      {one("[1]", "[0]"), "are not two whole numbers"},
      {one("[1]", "[0,2,4]"), "are not two whole numbers"},
      {one("[1]", "[0,4.0]"), "are not two whole numbers"},
      {one("[-1]", "[0,4]"), "shape is not a list of whole numbers"},
      {one("[[1]]", "[0,4]"), "shape is not a list of whole numbers"},
      {one("1", "[0,4]"), "shape is not a list of whole numbers"},
      {one("[9223372036854775808]", "[0,4]"), "too large"},
      {one("[9223372036854775807]", "[0,4]"), "too large"},
      {one("[4294967296,4294967296]", "[0,4]"), "too large"},
      {one("[4294967296,2147483648,2]", "[0,0]"), "too large"},
      {"{\"x\":{\"dtype\":5,\"shape\":[1],\"data_offsets\":[0,4]}}", "dtype is not a string"},
      {"{\"x\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", "is there twice"},
      {"{" + entry("x", "F32", "[1]", "[0,4]") + "," + entry("x", "F32", "[1]", "[4,8]") + "}",
       "tensor \"x\" is there twice"},
      {"{" + entry("x", "F32", "[2]", "[0,8]") + "," + entry("y", "F32", "[1]", "[4,8]") + "}",
       "tensors \"x\" and \"y\" overlap"},
      {"{\"__metadata__\":" + nested(100000) + "}", nullptr},
      {nested(100000), "not a JSON object"}};
  for (auto &[header, expected] : cases) {
    TestFolder folder;
    qkv_error error = emptyError();
    writeFile(folder / "t", safetensorsBytes(header, std::string(16, 'd')));
    bool opened = Safetensors::open(folder / "t", &error) != nullptr;
    EXPECT_EQ(opened, expected == nullptr) << header.substr(0, 100) << error.text;
    if (expected)
      EXPECT_NE(std::string(error.text).find(expected), std::string::npos)
          << header.substr(0, 100) << "\n"
          << error.text;
  }
}

TEST(Corrupt, LengthsOfTheHeader) {
  TestFolder folder;
  for (std::string bytes : {std::string(), std::string("1234567"), std::string(8, '\xFF'),
                            std::string("\x09\0\0\0\0\0\0\0{}", 10),
                            std::string("\0\0\0\0\0\0\0\x80{}", 10), std::string(8, '\0')}) {
    qkv_error error = emptyError();
    writeFile(folder / "t", bytes);
    EXPECT_FALSE(Safetensors::open(folder / "t", &error));
    EXPECT_NE(std::string(error.text).find("not a valid safetensors file"), std::string::npos);
  }
}

/// Reads every tensor's first and last byte, as a model would.
int touch(const Checkpoint &file) {
  int sum = 0;
  for (auto &tensor : file.tensors())
    if (tensor.bytes)
      sum += tensor.data[0] + tensor.data[tensor.bytes - 1];
  return sum;
}

TEST(Corrupt, ALongHeaderIsToldTheLimit) {
  TestFolder folder;
  std::string file = folder / "t";
  writeFile(file, std::string("\x01\xE1\xF5\x05\0\0\0\0", 8)); // 100000001
  ASSERT_EQ(truncate(file.c_str(), 100'000'100), 0);
  qkv_error error = emptyError();
  EXPECT_FALSE(Safetensors::open(file, &error));
  EXPECT_STREQ(error.text, (file + " is not a valid safetensors file: its header has 100000001 "
                                   "bytes, at most 100000000 are allowed")
                               .c_str());
}

TEST(Corrupt, MutatedSafetensors) {
  std::string good = safetensorsBytes(
      "{\"__metadata__\":{\"k\":\"v\"}," + entry("a.weight", "F32", "[2,2]", "[0,16]") + "," +
          entry("b", "BF16", "[3]", "[16,22]") + "," + entry("c", "I64", "[]", "[22,30]") + "}",
      std::string(30, 'd'));
  std::mt19937 random(1);
  int opened = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = good;
    mutate(bytes, random, good.size());
    qkv_error error = emptyError();
    if (auto file = Safetensors::fromBytes(bytes.data(), bytes.size(), "t", &error)) {
      ++opened;
      touch(*file);
    } else {
      EXPECT_NE(error.text[0], 0);
    }
  }
  EXPECT_GT(opened, 100) << "most mutations are caught before anything interesting";
}

TEST(Corrupt, MutatedPackedFiles) {
  TestFolder folder;
  TestModel test;
  test.params = {{"a", {2, 3}}, {"layer.0.b", {5}}, {"c", {}}};
  const qkv_model &model = test.model();
  std::vector<float> values(16, 1.5f);
  qkv_error error = emptyError();
  ASSERT_TRUE(writeSafetensors(folder / "w",
                               {{"a", Dtype::F32, {2, 3}, values.data()},
                                {"layer.0.b", Dtype::F32, {5}, values.data()},
                                {"c", Dtype::F32, {}, values.data()}},
                               &error));
  qkv_weights *weights = qkv_weights_open(&model, (folder / "w").c_str(), nullptr, &error);
  ASSERT_TRUE(weights) << error.text;
  ASSERT_TRUE(packWeights(model, *weights, folder / "p", &error)) << error.text;
  qkv_weights_close(weights);
  std::string good = readFile(folder / "p");
  std::mt19937 random(2);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = good;
    mutate(bytes, random, 200);
    if (bytes.size() > 100 && round % 2)
      memcpy(bytes.data(), "QKVPACK4", 8);
    qkv_weights read;
    ASSERT_TRUE(read.packed.copy(bytes.data(), bytes.size()));
    if (isPacked(read.packed, 0) && openPacked(model, read, 0, "m", &error)) {
      volatile float sum = 0;
      for (int i = 0; i < 6; ++i)
        sum = sum + static_cast<float *>(read.params[0])[i];
    }
  }
}

} // namespace
