// In: parameters whose formats store them in an order or as numbers of their own (rule C5). Out:
// the numbers that the model means, or what is wrong. Holds: what lies outside of a tensor is not
// read.
#include "Support.h"

#include "runtime/checkpoint/ReadStored.h"
#include "runtime/checkpoint/StoredPlace.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

using namespace qkv::rt;

namespace {

double valueOf(const std::string &text, double x) {
  auto parsed = StoredText::parse(text, 0, false);
  EXPECT_TRUE(parsed) << text;
  return parsed ? parsed->of(x) : NAN;
}
std::optional<int64_t> placeOf(const std::string &text, std::vector<int64_t> positions) {
  auto parsed = StoredText::parse(text, int32_t(positions.size()), true);
  EXPECT_TRUE(parsed) << text;
  return parsed ? parsed->at(positions.data()) : std::nullopt;
}

TEST(StoredText, Values) {
  EXPECT_EQ(valueOf("x", 2.5), 2.5);
  EXPECT_EQ(valueOf("x 1 -", 2.5), 1.5);
  EXPECT_EQ(valueOf("x exp neg", 1), -std::exp(1.0));
  EXPECT_EQ(valueOf("x neg log", -8), std::log(8.0));
  EXPECT_EQ(valueOf("x 0.5 max 1e-07 /", 0), 0.5 / 1e-07);
  EXPECT_EQ(valueOf("x 2 ^ 3 //", 4), 5);
  EXPECT_EQ(valueOf("x 3 %", -1), 2);
  EXPECT_EQ(valueOf("inf x min", 7), 7);
  EXPECT_EQ(valueOf("x 0 < 1 x if", -3), 1);
}

TEST(StoredText, Places) {
  EXPECT_EQ(placeOf("2 a1 2 % * a1 2 // +", {9, 3}), 3);
  EXPECT_EQ(placeOf("a0 -3 //", {7}), -3);
  EXPECT_EQ(placeOf("a0 -3 %", {7}), -2);
  EXPECT_EQ(placeOf("a0 0 //", {7}), std::nullopt);
  EXPECT_EQ(placeOf("a0 2 >= a0 7 != and a0 -1 if", {7}), -1);
  EXPECT_EQ(placeOf("a0 4 min 2 max abs", {1}), 2);
}

TEST(StoredText, WhatIsNone) {
  for (const char *text : {"", "x x", "+", "x +", "x 1 - -", "a0", "y", "0x10", "1,5", "x if",
                           "x exp exp2", "1e999x", "x;"})
    EXPECT_FALSE(StoredText::parse(text, 0, false)) << text;
  for (const char *text :
       {"x", "a2", "a-1", "a", "1.5", "a0 2 /", "a0 exp", "a0 floor", "99999999999999999999"})
    EXPECT_FALSE(StoredText::parse(text, 2, true)) << text;
  std::string deep = "x";
  for (int i = 0; i < 100; ++i)
    deep = "1 " + deep;
  for (int i = 0; i < 100; ++i)
    deep += " +";
  EXPECT_FALSE(StoredText::parse(deep, 0, false));
  for (const char *text : {"", ";", "a0 ;", "a0 ; ; a0", "a0 part part", "part", "a1"})
    EXPECT_FALSE(StoredPlace::parse(text, 1)) << text;
}

/// The strides of a place in a tensor, or the shape that is wanted.
std::string fit(const std::string &text, const std::vector<int64_t> &shape,
                const std::vector<int64_t> &found) {
  auto place = StoredPlace::parse(text, int32_t(shape.size()));
  EXPECT_TRUE(place) << text;
  std::vector<int64_t> strides;
  std::string why;
  return place && place->fit(shape, found, strides, why) ? shapeText(strides) : why;
}

TEST(StoredPlace, AdjacentAxesMayBeMerged) {
  EXPECT_EQ(fit("a0 ; a1 ; a2", {2, 3, 4}, {2, 3, 4}), "[12,4,1]");
  EXPECT_EQ(fit("a2 ; a0 ; a1", {2, 3, 4}, {4, 6}), "[6,3,1]");
  EXPECT_EQ(fit("a2 ; a0 ; a1", {2, 3, 4}, {24}), "[6,3,1]");
  EXPECT_EQ(fit("a0 ; 0 part ; a1", {2, 3}, {2, 1, 3}), "[3,0,1]");
  EXPECT_EQ(fit("a0 ; 1 part ; a1", {2, 3}, {12}), "[6,3,1]");
  EXPECT_EQ(fit("a0 ; 1 part ; a1", {2, 3}, {2, 6}), "[6,3,1]");
  EXPECT_EQ(fit("a0 ; 1 part ; a1", {2, 3}, {4, 3}), "[6,3,1]");
  EXPECT_EQ(fit("a0 2 + part ; a1", {2, 3}, {5, 3}), "[3,1]");
}

TEST(StoredPlace, WhatDoesNotFit) {
  EXPECT_EQ(fit("a0 ; a1 ; a2", {2, 3, 4}, {3, 3, 4}), "[2,3,4]");
  EXPECT_EQ(fit("a1 ; a0", {2, 3}, {2, 3}), "[3,2]");
  EXPECT_EQ(fit("a0 2 + part ; a1", {2, 3}, {3, 3}), "[4 or more,3]");
  EXPECT_EQ(fit("a0 ; 1 part ; a1", {2, 3}, {2, 3}), "[2,2 or more,3]");
  EXPECT_NE(fit("0 a0 + part ; 0 a1 + part", {2, 2}, {8}), "[2,1]") << "either may be longer";
  EXPECT_EQ(fit("a0 1 -", {2}, {2}), "[1]");
}

/// Opens a checkpoint of one tensor that counts 0, 1, 2, ..., and gives a parameter's numbers.
class Stored : public testing::Test {
protected:
  std::vector<float> open(const TestParam &param, const std::vector<int64_t> &found,
                          const std::string &file = "m.gguf") {
    float counted[1024];
    std::iota(counted, counted + 1024, 0.0f);
    int64_t count = elementCount(found);
    std::vector<int64_t> extents(found.rbegin(), found.rend());
    std::string bytes(reinterpret_cast<const char *>(counted), size_t(count) * sizeof(float));
    writeFile(folder / "m.gguf",
              GgufBytes().text("general.architecture", "x").tensor("v", extents, 0, bytes).bytes());
    EXPECT_TRUE(
        writeSafetensors(folder / "m.safetensors", {{"w", Dtype::F32, found, counted}}, &error));
    return openFile(param, file);
  }
  std::vector<float> openFile(const TestParam &param, const std::string &file) {
    test.params = {param};
    qkv_weights *weights =
        qkv_weights_open(&test.model(), (folder / file).c_str(), nullptr, &error);
    std::vector<float> out;
    if (weights) {
      auto *values = static_cast<float *>(qkv_weights_params(weights)[0]);
      out.assign(values, values + elementCount(param.shape));
      qkv_weights_close(weights);
    }
    return out;
  }
  static TestParam param(const std::vector<int64_t> &shape, const std::string &place,
                         const std::string &value = "") {
    return {"W",
            shape,
            {"w"},
            {},
            0,
            0,
            0,
            heldAs(QKV_F32),
            "",
            "",
            {{"gguf", {"v"}, {}, place, value}}};
  }
  using V = std::vector<float>;
  TestFolder folder;
  TestModel test;
  qkv_error error = emptyError();
};

TEST_F(Stored, EachFormatItsOwnWay) {
  TestParam turned = param({2, 3}, "a1 ; a0", "x 10 +");
  EXPECT_EQ(open(turned, {3, 2}), (V{10, 12, 14, 11, 13, 15}));
  EXPECT_EQ(open(turned, {2, 3}, "m.safetensors"), (V{0, 1, 2, 3, 4, 5}));
}

TEST_F(Stored, PairsPartsAndMergedAxes) {
  EXPECT_EQ(open(param({2, 4, 1}, "a0 ; 2 a1 2 % * a1 2 // + ; a2"), {8, 1}),
            (V{0, 2, 1, 3, 4, 6, 5, 7}));
  EXPECT_EQ(open(param({2, 2}, "1 part ; a0 ; a1"), {3, 2, 2}), (V{4, 5, 6, 7}));
  EXPECT_EQ(open(param({2, 2}, "a0 ; 2 part ; a1"), {12}), (V{4, 5, 10, 11}));
  EXPECT_EQ(open(param({4, 2}, "a0 2 // ; a1"), {2, 2}), (V{0, 1, 0, 1, 2, 3, 2, 3}));
  EXPECT_EQ(open(param({}, "3 part"), {5}), V{3});
  EXPECT_EQ(open(param({0}, "a0"), {0}), V{});
}

TEST_F(Stored, ASettingOfTheNamesLetters) {
  float values[] = {0, 1, 2, 3, 4, 5};
  ASSERT_TRUE(writeSafetensors(
      folder / "two.safetensors",
      {{"w.0", Dtype::F32, {3, 1}, values}, {"w.1", Dtype::F32, {3}, values + 3}}, &error));
  // The stacked letter is the last axis.
  EXPECT_EQ(openFile({"W", {3, 2}, {"w.0", "w.1"}, {1}}, "two.safetensors"), (V{0, 3, 1, 4, 2, 5}));
  TestParam turned{"W", {3, 2}, {"w.0", "w.1"}, {1}};
  turned.place = "2 a0 -";
  EXPECT_EQ(openFile(turned, "two.safetensors"), (V{2, 5, 1, 4, 0, 3}));
  turned.place = "a0 a1 + 3 %";
  EXPECT_EQ(openFile(turned, "two.safetensors"), (V{0, 4, 1, 5, 2, 3}));
}

/// Every order of three axes, by whole rows and across them, is the one that indices say.
TEST_F(Stored, BlocksAreDecoded) {
  std::string block = numberBytes<uint16_t>(0x3C00); // 1
  std::string bytes;
  for (int row = 0; row < 6; ++row) {
    bytes += block;
    for (int i = 0; i < 32; ++i)
      bytes += char(row * 16 + i % 16);
  }
  writeFile(folder / "q.gguf", GgufBytes().tensor("v", {32, 6}, 8, bytes).bytes());
  auto at = [](int row, int i) { return float(row * 16 + i % 16); };
  V across = openFile(param({32, 6}, "a1 ; a0"), "q.gguf"),
    along = openFile(param({2, 3, 32}, "a1 2 * a0 + ; a2", "x 2 *"), "q.gguf");
  ASSERT_EQ(across.size(), 192u) << error.text;
  ASSERT_EQ(along.size(), 192u) << error.text;
  for (int i = 0; i < 32; ++i)
    for (int row = 0; row < 6; ++row) {
      EXPECT_EQ(across[i * 6 + row], at(row, i));
      EXPECT_EQ(along[(row % 2 * 3 + row / 2) * 32 + i], 2 * at(row, i));
    }
}

TEST_F(Stored, TheShapeIsSaidAsTheFormatHasIt) {
  EXPECT_EQ(open(param({2, 4, 3}, "1 part ; a2 ; a0"), {2, 2, 3}), V{});
  EXPECT_STREQ(error.text + std::string(error.text).find("has shape"),
               "has shape [2,2,3], expected [2 or more,3,2]");
  TestParam bad = param({2}, "a1");
  EXPECT_EQ(open(bad, {2}), V{});
  EXPECT_NE(std::string(error.text).find("\"a1\" is no place"), std::string::npos) << error.text;
}

TEST_F(Stored, PackedFilesAreBoundToTheForm) {
  TestParam turned = param({2, 3}, "a1 ; a0", "x 10 +");
  V values = open(turned, {3, 2});
  test.params = {turned};
  qkv_weights *weights =
      qkv_weights_open(&test.model(), (folder / "m.gguf").c_str(), nullptr, &error);
  ASSERT_TRUE(weights);
  EXPECT_TRUE(packWeights(test.model(), *weights, folder / "p.weights", &error)) << error.text;
  qkv_weights_close(weights);
  EXPECT_EQ(openFile(turned, "p.weights"), values);
  for (TestParam other : {param({2, 3}, "a1 ; a0"), param({2, 3}, "", "x 10 +"),
                          param({3, 2}, "a0 ; a1", "x 10 +"), param({6}, "a0", "x 10 +")}) {
    EXPECT_EQ(openFile(other, "p.weights"), V{});
    EXPECT_NE(std::string(error.text).find("was packed without"), std::string::npos) << error.text;
  }
}

/// Some rows at a time are read as all at once, whatever the form is.
TEST(StoredRows, ByThemselves) {
  struct {
    TestParam param;
    std::vector<int64_t> found;
    Dtype type = Dtype::F32;
    bool apart = true;
  } cases[] = {
      {{"w", {6, 4, 2}}, {6, 8}},
      {{"w", {6, 4, 2}, {"v"}, {}, 0, 0, 0, heldAs(QKV_F32), "", "x 2 * 1 -"}, {48}},
      {{"w", {6, 4, 2}, {"v"}, {}, 0, 0, 0, heldAs(QKV_F32), "a2 ; a0 ; a1"}, {2, 6, 4}},
      {{"w",
        {6, 4, 2},
        {"v"},
        {},
        0,
        0,
        0,
        heldAs(QKV_F32),
        "a0 2 % 3 * a0 2 // + ; a1 ; a2",
        "x neg"},
       {6, 4, 2}},
      {{"w", {6, 4}, {"v"}, {}, 0, 0, 0, heldAs(QKV_F32), "a0 ; a1 3 + part"}, {6, 9}},
      {{"w", {3, 4, 2}, {"v", "v", "v"}, {0}}, {4, 2}},
      {{"w", {3, 2, 4}, {"v", "v", "v", "v", "v", "v"}, {0, 1}}, {4}},
      {{"w", {4, 3}, {"v", "v", "v"}, {1}}, {4}, Dtype::F32, false},
      {{"w", {64, 2, 4}}, {64, 8}, Dtype::F32},
      {{"w", {6, 32}}, {6, 32}, Dtype::Q8_0},
      {{"w", {12, 16}}, {6, 32}, Dtype::Q8_0}, // half a block each
      {{"w", {6, 32}, {"v"}, {}, 0, 0, 0, heldAs(QKV_F32), "a0 2 % 3 * a0 2 // + ; a1"},
       {6, 32},
       Dtype::Q8_0,
       false},
  };
  std::vector<float> counted(1024);
  std::iota(counted.begin(), counted.end(), 0.0f);
  std::string blocks;
  for (int i = 0; i < 34 * 6; ++i)
    blocks += i % 34 == 0 ? '\0' : i % 34 == 1 ? '\x3c' : static_cast<char>(i);
  for (auto &one : cases) {
    TestModel test;
    test.params = {one.param};
    const qkv_param &param = test.model().params[0];
    const qkv_stored &stored = storedIn(param, "safetensors");
    std::vector<FileTensor> own(stored.name_count);
    std::vector<const FileTensor *> tensors;
    for (size_t i = 0; i < own.size(); ++i) {
      own[i].type = one.type;
      own[i].shape = one.found;
      own[i].data = one.type == Dtype::F32
                        ? reinterpret_cast<const char *>(counted.data() + 100 * i)
                        : blocks.data();
      tensors.push_back(&own[i]);
    }
    int64_t rows = param.shape[0], count = elementCount(shapeOf(param)), size = count / rows;
    std::vector<float> whole(count, -7), parts(count, -8);
    readRows(param, stored, tensors, 0, rows, whole.data());
    for (int64_t step : {1, 4}) {
      int64_t once = rowsAtOnce(param, stored, tensors, step, 1);
      EXPECT_EQ(once < rows, one.apart && step < rows) << one.param.place;
      EXPECT_TRUE(once == rows || once % step == 0);
      for (int64_t begin = 0; begin < rows; begin += once)
        readRows(param, stored, tensors, begin, std::min(begin + once, rows),
                 parts.data() + begin * size);
      EXPECT_EQ(parts, whole) << one.param.place;
    }
  }
}

} // namespace
