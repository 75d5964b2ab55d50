// In: GGUF files, true and false ones. Out: tensors, metadata, configurations; a message for each
// lie, never a crash.
#include "Support.h"

#include "runtime/checkpoint/Gguf.h"
#include "tests/fuzz/WithinMemory.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace qkv::rt;

namespace {

std::unique_ptr<Checkpoint> openBytes(const std::string &bytes, qkv_error &error) {
  TestFolder folder;
  error = emptyError();
  writeFile(folder / "t.gguf", bytes);
  return Checkpoint::open(folder / "t.gguf", &error);
}

std::string floats(std::vector<float> values) { return bytesOf(values); }

TEST(Gguf, MetadataOfEveryType) {
  std::string texts =
      GgufBytes::string("a") + GgufBytes::string("") + GgufBytes::string("\"\n\xFF");
  qkv_error error;
  auto file =
      openBytes(GgufBytes()
                    .text("general.architecture", "llama")
                    .key("u8", 0, numberBytes<uint8_t>(200))
                    .key("i8", 1, numberBytes<int8_t>(-3))
                    .key("u16", 2, numberBytes<uint16_t>(65535))
                    .key("i16", 3, numberBytes<int16_t>(-32768))
                    .key("u32", 4, numberBytes<uint32_t>(4000000000))
                    .key("i32", 5, numberBytes<int32_t>(-5))
                    .key("f32", 6, numberBytes<float>(1e-5f))
                    .key("yes", 7, numberBytes<uint8_t>(1))
                    .key("u64", 10, numberBytes<uint64_t>(18446744073709551615u))
                    .key("i64", 11, numberBytes<int64_t>(-9000000000))
                    .key("f64", 12, numberBytes<double>(0.1))
                    .key("inf", 6, numberBytes<float>(INFINITY))
                    .list("texts", 8, 3, texts)
                    .list("numbers", 5, 2, numberBytes<int32_t>(7) + numberBytes<int32_t>(-7))
                    .list("none", 6, 0, "")
                    .key("llama.block_count", 4, numberBytes<uint32_t>(22))
                    .bytes(),
                error);
  ASSERT_TRUE(file) << error.text;
  EXPECT_STREQ(file->kind(), "GGUF");
  const std::pair<const char *, const char *> values[] = {
      {"u8", "200"},          {"i8", "-3"},
      {"u16", "65535"},       {"i16", "-32768"},
      {"u32", "4000000000"},  {"i32", "-5"},
      {"f32", "1e-05"},       {"yes", "true"},
      {"f64", "0.1"},         {"u64", "18446744073709551615"},
      {"i64", "-9000000000"}, {"texts", "[\"a\",\"\",\"\\\"\\u000a\xEF\xBF\xBD\"]"},
      {"numbers", "[7,-7]"},  {"none", "[]"},
      {"inf", "Infinity"},    {"general.architecture", "\"llama\""}};
  for (auto &[key, expected] : values) {
    const MetaValue *value = file->metadata().find(key);
    ASSERT_TRUE(value) << key;
    EXPECT_EQ(metaJson(*value, 10), expected) << key;
  }
  EXPECT_EQ(file->metadata().find("u"), nullptr);
  EXPECT_EQ(metaJson(*file->metadata().find("texts"), 2), "\"a list of 3\"");
  std::string configuration = configurationText(file->metadata());
  EXPECT_NE(configuration.find("\"llama.block_count\":22,\".block_count\":22"), std::string::npos)
      << configuration;
}

TEST(Gguf, TensorsHaveTheirShapesRowMajor) {
  for (uint32_t version : {2u, 3u}) {
    GgufBytes bytes;
    bytes.version = version;
    bytes.tensor("a", {3, 2}, 0, floats({1, 2, 3, 4, 5, 6})).tensor("b", {}, 0, floats({7}));
    qkv_error error;
    auto file = openBytes(bytes.tensor("c", {0, 4}, 0, "").bytes(), error);
    ASSERT_TRUE(file) << error.text;
    const FileTensor *a = file->find("a");
    ASSERT_TRUE(a && file->find("b") && file->find("c"));
    EXPECT_EQ(a->shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(std::string(a->data, a->bytes), floats({1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(file->find("c")->shape, (std::vector<int64_t>{4, 0}));
    EXPECT_EQ(file->nearest("x.a")->name, "a");
  }
}

/// Figures made from the description of the format: figures/make_blocks.py.
TEST(Gguf, EveryTypeIsDecodedAsDescribed) {
  qkv_error error = emptyError();
  auto file = Checkpoint::open(QKV_FIGURES "/blocks.gguf", &error);
  ASSERT_TRUE(file) << error.text;
  std::vector<bool> seen(static_cast<size_t>(Dtype::Other));
  for (const FileTensor &tensor : file->tensors()) {
    if (!tensor.name.ends_with(".weight"))
      continue;
    seen[static_cast<size_t>(tensor.type)] = true;
    std::string stem = tensor.name.substr(0, tensor.name.size() - 7);
    const FileTensor *expected = file->find(stem + ".f32");
    ASSERT_TRUE(expected) << stem;
    int64_t count = expected->count();
    ASSERT_EQ(tensor.count(), count);
    std::vector<float> wanted(count), values(count);
    memcpy(wanted.data(), expected->data, count * 4);
    if (accepts(QKV_FLOAT, tensor.type)) {
      convertElements(QKV_FLOAT, values.data(), tensor.type, tensor.data, count);
      for (float &value : values)
        value *= tensor.factors.empty() ? 1 : tensor.factors[0];
    } else {
      std::vector<int64_t> whole(count);
      convertElements(QKV_INT, whole.data(), tensor.type, tensor.data, count);
      values.assign(whole.begin(), whole.end());
    }
    for (int64_t i = 0; i < count; ++i)
      ASSERT_EQ(values[i], wanted[i]) << stem << " " << i;
  }
  for (Dtype type :
       {Dtype::F64, Dtype::F16, Dtype::BF16, Dtype::I64, Dtype::I32, Dtype::I16, Dtype::I8})
    EXPECT_TRUE(seen[static_cast<size_t>(type)]) << dtypeText(type);
  for (size_t type = static_cast<size_t>(Dtype::Q4_0); type < seen.size(); ++type)
    EXPECT_TRUE(seen[type]) << dtypeText(static_cast<Dtype>(type));
}

TEST(Gguf, ParametersAreReadByName) {
  TestFolder folder;
  TestModel test;
  test.params = {{"w", {3, 32}, {"q4_0.weight"}}, {"n", {3, 64}, {"nvfp4.weight"}}};
  const qkv_model &model = test.model();
  qkv_error error = emptyError();
  qkv_weights *weights = qkv_weights_open(&model, QKV_FIGURES "/blocks.gguf", nullptr, &error);
  ASSERT_TRUE(weights) << error.text;
  auto file = Checkpoint::open(QKV_FIGURES "/blocks.gguf", &error);
  for (int i = 0; i < 2; ++i) {
    const FileTensor *expected = file->find(i ? "nvfp4.f32" : "q4_0.f32");
    std::vector<float> wanted(expected->count());
    memcpy(wanted.data(), expected->data, expected->bytes);
    for (size_t k = 0; k < wanted.size(); ++k) // (0 may have either sign)
      ASSERT_EQ(static_cast<float *>(weights->params[i])[k], wanted[k]) << i << " " << k;
  }
  qkv_weights_close(weights);
  for (auto [name, why] : {std::pair("q4_0.wieght", "did you mean \"q4_0.weight\"?"),
                           std::pair("i32.weight", "is of type \"I32\", expected F64, F32")}) {
    test.params = {{"w", {2, 3}, {name}}};
    error = emptyError();
    EXPECT_FALSE(qkv_weights_open(&test.model(), QKV_FIGURES "/blocks.gguf", nullptr, &error));
    EXPECT_NE(std::string(error.text).find(why), std::string::npos) << error.text;
  }
}

/// Rule C2, with a GGUF's keys in the place of config.json's.
TEST(Gguf, KeysAreTheConfiguration) {
  TestFolder folder;
  writeFile(folder / "m.gguf", GgufBytes()
                                   .text("general.architecture", "llama")
                                   .key("llama.block_count", 4, numberBytes<uint32_t>(22))
                                   .tensor("w", {1}, 0, floats({1}))
                                   .bytes());
  TestModel test;
  test.params = {{"w", {1}}};
  for (auto [key, value, good] :
       {std::tuple("llama.block_count", "22", true), std::tuple(".block_count", "22", true),
        std::tuple("llama.block_count", "23", false)}) {
    test.settings = {{key, value, nullptr}};
    qkv_error error = emptyError();
    qkv_weights *weights =
        qkv_weights_open(&test.model(), (folder / "m.gguf").c_str(), nullptr, &error);
    EXPECT_EQ(weights != nullptr, good) << error.text;
    if (weights)
      qkv_weights_close(weights);
    else
      EXPECT_NE(std::string(error.text).find("is 22, but model"), std::string::npos) << error.text;
  }
}

TEST(Gguf, SplitFiles) {
  TestFolder folder;
  auto part = [](uint16_t number, uint16_t count) {
    return GgufBytes()
        .key("split.no", 2, numberBytes(number))
        .key("split.count", 2, numberBytes(count))
        .key("split.tensors.count", 5, numberBytes<int32_t>(2));
  };
  writeFile(folder / "m-00001-of-00002.gguf", part(0, 2).tensor("a", {1}, 0, floats({1})).bytes());
  writeFile(folder / "m-00002-of-00002.gguf", part(1, 2).tensor("b", {1}, 0, floats({2})).bytes());
  qkv_error error = emptyError();
  auto file = Checkpoint::open(folder / "m-00001-of-00002.gguf", &error);
  ASSERT_TRUE(file) << error.text;
  EXPECT_TRUE(file->find("a") && file->find("b"));
  auto fails = [&](const char *name, const char *why) {
    EXPECT_FALSE(Checkpoint::open(folder / name, &error));
    EXPECT_NE(std::string(error.text).find(why), std::string::npos) << error.text;
  };
  fails("m-00002-of-00002.gguf", "give the first");
  writeFile(folder / "n.gguf", part(0, 2).bytes());
  fails("n.gguf", "ends in -00001-of-00002.gguf");
  writeFile(folder / "m-00002-of-00002.gguf", part(1, 2).tensor("a", {1}, 0, floats({2})).bytes());
  fails("m-00001-of-00002.gguf", "\"a\" is there twice");
  writeFile(folder / "m-00002-of-00002.gguf", part(1, 2).bytes());
  fails("m-00001-of-00002.gguf", "2 tensors, they have 1");
  unlink((folder / "m-00002-of-00002.gguf").c_str());
  fails("m-00001-of-00002.gguf", "cannot open");
}

using Lie = std::pair<std::string, const char *>; ///< a file, and what is said of it

std::vector<Lie> lies() {
  auto f32 = [](const char *name, std::vector<int64_t> extents, uint64_t offset) {
    return GgufBytes().tensorAt(name, extents, 0, offset).bytes();
  };
  auto alignment = [](uint32_t type, const std::string &bytes) {
    return GgufBytes().key("general.alignment", type, bytes).bytes();
  };
  GgufBytes old, future, foreign;
  old.version = 1;
  future.version = 4;
  foreign.version = 0x03000000;
  constexpr int64_t large = int64_t(1) << 62;
  std::string head = "GGUF" + numberBytes<uint32_t>(3);
  return {
      {"GGUF", "it ends in its version"},
      {"GGUF" + numberBytes<uint32_t>(3) + "12345", "it ends in its head"},
      {old.bytes(), "it is of version 1, only 2 and 3 are read"},
      {future.bytes(), "it is of version 4"},
      {foreign.bytes(), "big endian"},
      {head + numberBytes<int64_t>(0) + numberBytes<int64_t>(-1), "it would have -1 keys"},
      {head + numberBytes<int64_t>(0) + numberBytes<int64_t>(large), "keys, 0 bytes are left"},
      {head + numberBytes<int64_t>(-1) + numberBytes<int64_t>(0), "it would have -1 tensors"},
      {head + numberBytes<int64_t>(large) + numberBytes<int64_t>(0), "tensors, 0 bytes are left"},
      {head + numberBytes<int64_t>(0) + numberBytes<int64_t>(1) + numberBytes<uint64_t>(1 << 30) +
           std::string(64, 'k'),
       "a key would have 1073741824 bytes, 64 are left"},
      {GgufBytes().key("k", 8, numberBytes<uint64_t>(1 << 30)).bytes(),
       "the value of \"k\" would have 1073741824 bytes"},
      {GgufBytes().key("k", 13, "12345678").bytes(), "\"k\" is of type 13"},
      {GgufBytes().key("k", 0xFFFFFFFF, "12345678").bytes(), "\"k\" is of type 4294967295"},
      {GgufBytes().list("k", 13, 0, "").bytes(), "the list \"k\" is of type 13"},
      {GgufBytes().list("k", 9, 1, numberBytes<uint32_t>(4) + numberBytes<uint64_t>(0)).bytes(),
       "the list \"k\" holds lists"},
      {GgufBytes().list("k", 4, 1 << 30, "1234").bytes(), "would have 1073741824 items"},
      {GgufBytes().list("k", 10, uint64_t(1) << 61, "1234").bytes(), "items"},
      {GgufBytes().list("k", 8, 3, GgufBytes::string("a") + numberBytes<uint64_t>(1 << 30)).bytes(),
       "a text of the list \"k\" would have 1073741824 bytes"},
      {GgufBytes().text("k", "a").text("k", "b").bytes(), "key \"k\" is there twice"},
      {alignment(10, numberBytes<uint64_t>(32)), "general.alignment is of type u64, expected u32"},
      {alignment(8, GgufBytes::string("32")), "general.alignment is of type text"},
      {alignment(4, numberBytes<uint32_t>(1 << 30)), "general.alignment is 1073741824"},
      {alignment(4, numberBytes<uint32_t>(0)), "general.alignment is 0"},
      {alignment(4, numberBytes<uint32_t>(48)), "general.alignment is 48"},
      {f32("t", {1, 1, 1, 1, 1}, 0), "has 5 dimensions, at most 4"},
      {f32("t", {-1}, 0), "is too large"},
      {f32("t", {large}, 0), "is too large"},
      {f32("t", {int64_t(1) << 32, int64_t(1) << 32}, 0), "is too large"},
      {f32("t", {2}, 0), "has 8 bytes at byte 0 of the data, but the data has 0"},
      {GgufBytes().tensor("a", {1}, 0, floats({1})).tensorAt("t", {1}, 0, 64).bytes(),
       "at byte 64 of the data, but the data has 32"},
      {f32("t", {1}, ~uint64_t(31)), "but the data has 0"},
      {GgufBytes().tensor("a", {1}, 0, floats({1})).tensorAt("t", {1}, 0, 4).bytes(),
       "is at byte 4 of the data, expected a multiple of 32"},
      {GgufBytes()
           .tensor("a", {16}, 0, floats(std::vector<float>(16)))
           .tensorAt("t", {1}, 0, 32)
           .bytes(),
       "tensors \"a\" and \"t\" overlap"},
      {GgufBytes().tensor("a", {1}, 0, floats({1})).tensor("a", {1}, 0, floats({1})).bytes(),
       "tensor \"a\" is there twice"},
      {GgufBytes().tensorAt("t", {32}, 4, 0).bytes(), "tensor \"t\" is of type 4"},
      {GgufBytes().tensorAt("t", {32}, 1 << 30, 0).bytes(), "is of type 1073741824"},
      {GgufBytes().tensorAt("t", {48}, 2, 0).bytes(), "rows of 48 elements, but Q4_0"},
      {GgufBytes().tensor("n.weight", {64}, 40, std::string(36, '1')).bytes(),
       "there is no tensor \"n.scale\""},
      {GgufBytes()
           .tensor("n.weight", {64, 3}, 40, std::string(108, '1'))
           .tensor("n.scale", {2}, 0, floats({1, 2}))
           .bytes(),
       "is F32 [2], expected F32"}};
}

TEST(Gguf, EachLieHasItsMessage) {
  for (auto &[bytes, expected] : lies()) {
    qkv_error error;
    EXPECT_FALSE(openBytes(bytes, error)) << expected;
    EXPECT_NE(std::string(error.text).find(expected), std::string::npos) << error.text;
  }
}

/// A file of some hundred bytes takes no memory, whatever it says.
TEST(Gguf, NoLieTakesMemory) {
  for (auto &[bytes, expected] : lies())
    EXPECT_EQ(qkv::test::withinMemory(16 << 20,
                                      [&bytes] {
                                        qkv_error error;
                                        openBytes(bytes, error);
                                      }),
              "")
        << expected;
}

/// Tensors without elements are tensors; no parameter is read from them, however large the other
/// extents are.
TEST(Gguf, ExtentsOfNothing) {
  constexpr int64_t large = int64_t(1) << 62;
  TestFolder folder;
  writeFile(folder / "m", GgufBytes()
                              .tensorAt("a", {0, large, large}, 0, 0)
                              .tensorAt("b", {large, 0}, 2, 0)
                              .tensorAt("c", {0}, 40, 0)
                              .tensor("c.scale", {0}, 0, "")
                              .bytes());
  qkv_error error = emptyError();
  auto file = Checkpoint::open(folder / "m", &error);
  if (file) {
    EXPECT_EQ(file->find("a")->count(), 0);
    EXPECT_EQ(file->find("b")->bytes, 0u);
  } else {
    EXPECT_NE(std::string(error.text).find("c.scale"), std::string::npos) << error.text;
  }
  writeFile(folder / "m", GgufBytes().tensorAt("a", {0, large}, 0, 0).bytes());
  TestModel test;
  test.params = {{"w", {2, 3}, {"a"}}};
  EXPECT_FALSE(qkv_weights_open(&test.model(), (folder / "m").c_str(), nullptr, &error));
  EXPECT_NE(std::string(error.text).find("expected [2,3]"), std::string::npos) << error.text;
}

/// What is said is said in numbers that fit together: a key that is another kind of value than the
/// one that a page or a split checkpoint reads.
TEST(Gguf, KeysOfOtherTypesThanRead) {
  auto says = [](const GgufBytes &file, const char *expected) {
    TestFolder folder;
    qkv_error error = emptyError();
    writeFile(folder / "m-00001-of-00002.gguf", file.bytes());
    EXPECT_FALSE(Checkpoint::open(folder / "m-00001-of-00002.gguf", &error)) << expected;
    EXPECT_NE(std::string(error.text).find(expected), std::string::npos) << error.text;
  };
  says(GgufBytes().text("split.count", "2"), "split.count is no number of parts");
  says(GgufBytes().list("split.count", 2, 1, numberBytes<uint16_t>(2)), "split.count is no number");
  says(GgufBytes().key("split.count", 6, numberBytes<float>(2)), "split.count is no number");
  says(GgufBytes().key("split.count", 5, numberBytes<int32_t>(-2)), "split.count is no number");
  says(GgufBytes().key("split.count", 10, numberBytes<uint64_t>(~uint64_t(0))),
       "split.count is no");
  says(GgufBytes().key("split.count", 2, numberBytes<uint16_t>(2)).text("split.no", "0"),
       "is not the first part");
  // Another architecture's name in the place of a text has no keys of its own.
  qkv_error error = emptyError();
  auto file = openBytes(GgufBytes()
                            .list("general.architecture", 8, 1, GgufBytes::string("llama"))
                            .key("llama.block_count", 4, numberBytes<uint32_t>(2))
                            .bytes(),
                        error);
  ASSERT_TRUE(file) << error.text;
  EXPECT_EQ(configurationText(file->metadata()).find("\".block_count\""), std::string::npos);
}

TEST(Gguf, ATypeThatNoModelReadsIsListedAndRefused) {
  qkv_error error;
  TestFolder folder;
  writeFile(folder / "m", GgufBytes().tensor("w", {256}, 17, std::string(74, '1')).bytes());
  TestModel test;
  test.params = {{"w", {256}}};
  EXPECT_TRUE(Checkpoint::open(folder / "m", &error));
  error = emptyError();
  EXPECT_FALSE(qkv_weights_open(&test.model(), (folder / "m").c_str(), nullptr, &error));
  EXPECT_NE(std::string(error.text).find("is of type \"IQ2_XS\""), std::string::npos) << error.text;
}

TEST(Gguf, MutatedFilesAreReadOrRefused) {
  std::string good = GgufBytes()
                         .text("general.architecture", "llama")
                         .key("general.alignment", 4, numberBytes<uint32_t>(32))
                         .list("texts", 8, 2, GgufBytes::string("a") + GgufBytes::string("bc"))
                         .list("numbers", 6, 2, floats({1, 2}))
                         .tensor("a", {3, 2}, 0, floats({1, 2, 3, 4, 5, 6}))
                         .tensor("q", {32, 2}, 2, std::string(36, '7'))
                         .tensor("n.weight", {64}, 40, std::string(36, '1'))
                         .tensor("n.scale", {}, 0, floats({2}))
                         .bytes();
  std::mt19937 random(3);
  int opened = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = good;
    mutate(bytes, random, good.size());
    qkv_error error = emptyError();
    FileBytes file;
    ASSERT_TRUE(file.copy(bytes.data(), bytes.size()));
    if (!isGguf(file))
      continue;
    auto checkpoint = Gguf::fromFile(std::move(file), "t", &error);
    if (!checkpoint) {
      EXPECT_NE(error.text[0], 0);
      continue;
    }
    ++opened;
    volatile double sum = configurationText(checkpoint->metadata()).size();
    for (const FileTensor &tensor : checkpoint->tensors())
      if (tensor.bytes && accepts(QKV_FLOAT, tensor.type)) {
        std::vector<float> values(tensor.count());
        convertElements(QKV_FLOAT, values.data(), tensor.type, tensor.data, tensor.count());
        sum = sum + values.front() + values.back();
      }
  }
  EXPECT_GT(opened, 100) << "most mutations are caught before anything interesting";
}

} // namespace
