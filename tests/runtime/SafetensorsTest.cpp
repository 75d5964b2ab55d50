// In: safetensors files, good ones. Out: their tensors. Holds: the format as its authors describe
// it.
#include "Support.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace qkv::rt;

namespace {

std::unique_ptr<Safetensors> openBytes(const TestFolder &folder, const std::string &bytes,
                                       qkv_error &error) {
  writeFile(folder / "t.safetensors", bytes);
  return Safetensors::open(folder / "t.safetensors", &error);
}

TEST(Safetensors, WhatIsWrittenIsRead) {
  TestFolder folder;
  qkv_error error = emptyError();
  std::vector<float> a = {1, -2.5f, 3};
  std::vector<int64_t> b = {INT64_MIN, 7};
  std::vector<uint8_t> c = {1, 0, 1};
  std::string odd = "we\"ird\\\n\x01名";
  ASSERT_TRUE(writeSafetensors(folder / "t.safetensors",
                               {{"z", Dtype::F32, {3, 1}, a.data()},
                                {odd, Dtype::Bool, {3}, c.data()},
                                {"b", Dtype::I64, {2}, b.data()},
                                {"none", Dtype::F32, {0, 5}, nullptr},
                                {"number", Dtype::F32, {}, a.data()}},
                               &error))
      << error.text;
  EXPECT_EQ(namesIn(folder.path), std::vector<std::string>{"t.safetensors"});
  auto file = Safetensors::open(folder / "t.safetensors", &error);
  ASSERT_TRUE(file) << error.text;
  ASSERT_EQ(file->tensors().size(), 5u);
  EXPECT_EQ(file->tensors()[0].name, "z") << "the order is the one given";
  EXPECT_EQ(std::string(file->find("z")->data, 12), bytesOf(a));
  EXPECT_EQ(std::string(file->find("b")->data, 16), bytesOf(b));
  EXPECT_EQ(std::string(file->find(odd)->data, 3), bytesOf(c));
  EXPECT_EQ(file->find("none")->count(), 0);
  EXPECT_EQ(file->find("number")->count(), 1);
  EXPECT_EQ(file->find("absent"), nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file->find("z")->data) % 8, 0u);
}

TEST(Safetensors, AnEmptyFileOfTensors) {
  TestFolder folder;
  qkv_error error = emptyError();
  EXPECT_TRUE(openBytes(folder, safetensorsBytes("{}", ""), error)) << error.text;
  EXPECT_TRUE(openBytes(folder, safetensorsBytes("{\"__metadata__\":{\"a\":\"b\"}}  ", ""), error));
}

struct Case {
  const char *dtype;
  std::string bytes;
  int32_t type;
  std::vector<double> values;
};

TEST(Safetensors, EveryTypeOfT1) {
  const Case cases[] = {
      {"F64", bytesOf<double>({0.1, -1e300}), QKV_FLOAT, {0.1f, -INFINITY}},
      {"F32", bytesOf<float>({0.25f, 3}), QKV_FLOAT, {0.25, 3}},
      {"F16",
       bytesOf<uint16_t>({0x3C00, 0xC500, 0x0001, 0x7C00, 0x83FF}),
       QKV_FLOAT,
       {1, -5, 0x1p-24, INFINITY, -1023 * 0x1p-24}},
      {"BF16", bytesOf<uint16_t>({0x3F80, 0xC0A0}), QKV_FLOAT, {1, -5}},
      {"I64", bytesOf<int64_t>({-5, 1LL << 40}), QKV_INT, {-5, double(1LL << 40)}},
      {"I32", bytesOf<int32_t>({-5, 6}), QKV_INT, {-5, 6}},
      {"I16", bytesOf<int16_t>({-5, 6}), QKV_INT, {-5, 6}},
      {"I8", bytesOf<int8_t>({-5, 6}), QKV_INT, {-5, 6}},
      {"U8", bytesOf<uint8_t>({250, 6}), QKV_INT, {250, 6}},
      {"U16", bytesOf<uint16_t>({65535, 6}), QKV_INT, {65535, 6}},
      {"U32", bytesOf<uint32_t>({4294967295u, 6}), QKV_INT, {4294967295.0, 6}},
      {"BOOL", bytesOf<uint8_t>({0, 1, 7}), QKV_BOOL, {0, 1, 1}}};
  for (auto &c : cases) {
    TestFolder folder;
    qkv_error error = emptyError();
    auto file = openBytes(folder,
                          safetensorsBytes(format("{\"x\":{\"dtype\":\"%s\",\"shape\":[%zu],"
                                                  "\"data_offsets\":[0,%zu]}}",
                                                  c.dtype, c.values.size(), c.bytes.size()),
                                           c.bytes),
                          error);
    ASSERT_TRUE(file) << error.text;
    const FileTensor &x = *file->find("x");
    for (int32_t type : {QKV_FLOAT, QKV_INT, QKV_BOOL})
      EXPECT_EQ(accepts(type, x.type), type == c.type) << c.dtype;
    std::vector<char> room(c.values.size() * 8);
    convertElements(c.type, room.data(), x.type, x.data, x.count());
    for (size_t i = 0; i < c.values.size(); ++i) {
      double value = c.type == QKV_FLOAT ? reinterpret_cast<float *>(room.data())[i]
                     : c.type == QKV_INT ? double(reinterpret_cast<int64_t *>(room.data())[i])
                                         : room[i];
      EXPECT_EQ(value, c.values[i]) << c.dtype << " " << i;
    }
  }
}

TEST(Safetensors, AnUnknownTypeIsAnErrorOnlyWhenItsTensorIsAskedFor) {
  TestFolder folder;
  qkv_error error = emptyError();
  auto file = openBytes(folder,
                        safetensorsBytes("{\"x\":{\"dtype\":\"F8_E4M3\",\"shape\":[3],"
                                         "\"data_offsets\":[0,3]}}",
                                         "abc"),
                        error);
  ASSERT_TRUE(file) << error.text;
  EXPECT_EQ(file->find("x")->type, Dtype::Other);
  TestModel test;
  test.params = {{"x", {3}}};
  qkv_weights weights;
  EXPECT_FALSE(resolveParams(test.model(), *file, weights, &error));
  EXPECT_NE(std::string(error.text).find("of type \"F8_E4M3\", expected F64, F32, F16 or BF16"),
            std::string::npos)
      << error.text;
}

std::string oneTensor(const std::string &name, float value) {
  return safetensorsBytes("{\"" + name +
                              "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                          bytesOf<float>({value}));
}

TEST(Safetensors, AFolderOfShards) {
  TestFolder folder;
  qkv_error error = emptyError();
  EXPECT_FALSE(Safetensors::open(folder.path, &error));
  EXPECT_NE(std::string(error.text).find("has neither model.safetensors nor"), std::string::npos);
  writeFile(folder / "model-00001-of-00002.safetensors", oneTensor("a", 1));
  writeFile(folder / "model-00002-of-00002.safetensors", oneTensor("b", 2));
  std::string index = folder / "model.safetensors.index.json";
  writeFile(index, "{\"metadata\":{\"total_size\":8,\"x\":[1,{\"y\":null}]},\"weight_map\":{"
                   "\"b\":\"model-00002-of-00002.safetensors\","
                   "\"a\":\"model-00001-of-00002.safetensors\"}}");
  for (auto &path : {folder.path, folder.path + "/", index}) {
    auto file = Safetensors::open(path, &error);
    ASSERT_TRUE(file) << error.text;
    EXPECT_EQ(std::string(file->find("a")->data, 4), bytesOf<float>({1}));
    EXPECT_EQ(std::string(file->find("b")->data, 4), bytesOf<float>({2}));
  }
  // A single file in the folder goes before the index.
  writeFile(folder / "model.safetensors", oneTensor("c", 3));
  EXPECT_TRUE(Safetensors::open(folder.path, &error)->find("c"));
}

TEST(Safetensors, IndicesThatLie) {
  TestFolder folder;
  writeFile(folder / "s.safetensors", oneTensor("a", 1));
  const std::pair<const char *, const char *> cases[] = {
      {"[]", "it is not a JSON object"},
      {"{", "not valid JSON"},
      {"{}", "no weight_map"},
      {"{\"weight_map\":3}", "not an object of file names"},
      {"{\"weight_map\":{\"a\":{}}}", "not an object of file names"},
      {"{\"weight_map\":{\"a\":[\"s.safetensors\"]}}", "not an object of file names"},
      {"{\"weight_map\":{\"a\":\"../s.safetensors\"}}", "is not a file name"},
      {"{\"weight_map\":{\"a\":\"\"}}", "is not a file name"},
      {"{\"weight_map\":{\"b\":\"s.safetensors\"}}", "tensor \"b\" is not in \"s.safetensors\""},
      {"{\"weight_map\":{\"a\":\"gone.safetensors\"}}", "cannot open"},
      {"{\"weight_map\":{\"a\":\"s.safetensors\",\"a\":\"s.safetensors\"}}", "is there twice"}};
  for (auto &[text, expected] : cases) {
    qkv_error error = emptyError();
    writeFile(folder / "model.safetensors.index.json", text);
    EXPECT_FALSE(Safetensors::open(folder.path, &error)) << text;
    EXPECT_NE(std::string(error.text).find(expected), std::string::npos) << error.text;
  }
}

TEST(Safetensors, WritingReportsWhatFails) {
  TestFolder folder;
  qkv_error error = emptyError();
  float one = 1;
  std::vector<NewTensor> tensors = {{"a", Dtype::F32, {}, &one}};
  EXPECT_FALSE(writeSafetensors(folder / "no/such/folder", tensors, &error));
  EXPECT_NE(std::string(error.text).find("No such file or directory"), std::string::npos);
  EXPECT_FALSE(writeSafetensors("/dev/full", tensors, &error));
  EXPECT_NE(std::string(error.text).find("No space left"), std::string::npos) << error.text;
  EXPECT_TRUE(writeSafetensors("/dev/null", tensors, &error)) << error.text;
}

TEST(Safetensors, AnOutputThatIsNotCommittedLeavesNothing) {
  TestFolder folder;
  writeFile(folder / "out", "old");
  {
    OutputFile file;
    ASSERT_TRUE(file.open(folder / "out", nullptr));
    ASSERT_TRUE(file.write("new", 3, nullptr));
    EXPECT_EQ(readFile(folder / "out"), "old");
  }
  EXPECT_EQ(readFile(folder / "out"), "old");
  EXPECT_EQ(namesIn(folder.path), std::vector<std::string>{"out"});
  OutputFile file;
  ASSERT_TRUE(file.open(folder / "out", nullptr) && file.write("new", 3, nullptr) &&
              file.commit(nullptr));
  EXPECT_EQ(readFile(folder / "out"), "new");
  EXPECT_EQ(namesIn(folder.path), std::vector<std::string>{"out"});
}

} // namespace
