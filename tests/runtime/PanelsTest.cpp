// In: checkpoints. Out: parameters in panels, with narrow elements, packed and opened again. Holds:
// qkv.h says where each element is held; padding is zero; nothing but the last rounding is lost.
#include "Support.h"

#include "runtime/checkpoint/Panels.h"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <numeric>

using namespace qkv::rt;

namespace {

/// The element at row-major `index` as qkv.h says, in floats held as `param` says.
float heldAt(const qkv_param &param, const float *held, std::vector<int64_t> index) {
  std::vector<int64_t> shape(param.shape, param.shape + param.rank), at;
  int64_t lane = index[param.held.panel_axis] % param.held.panel_width,
          panel = index[param.held.panel_axis] / param.held.panel_width;
  int64_t panels =
      (shape[param.held.panel_axis] + param.held.panel_width - 1) / param.held.panel_width;
  index.erase(index.begin() + param.held.panel_axis);
  shape.erase(shape.begin() + param.held.panel_axis);
  index.insert(index.begin() + param.held.panel_order, panel);
  shape.insert(shape.begin() + param.held.panel_order, panels);
  index.push_back(lane);
  shape.push_back(param.held.panel_width);
  int64_t offset = 0;
  for (size_t axis = 0; axis < shape.size(); ++axis)
    offset = offset * shape[axis] + index[axis];
  return held[offset];
}

struct Case {
  const char *what;
  TestParam param;
};

class Panels : public testing::TestWithParam<Case> {};

TEST_P(Panels, HoldEveryElementWhereTheLayoutSays) {
  TestModel test;
  test.params = {GetParam().param};
  TestParam &p = test.params[0];
  int64_t count = elementCount(p.shape), named = p.stacked.empty() ? 1 : p.shape[p.stacked[0]];
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 1.0f);
  std::vector<NewTensor> tensors;
  for (int64_t k = 0; k < named; ++k) {
    if (named > 1)
      p.names.push_back("w" + std::to_string(k));
    tensors.push_back({named > 1 ? p.names[k] : p.name,
                       Dtype::F32,
                       {count / named},
                       values.data() + k * (count / named)});
  }
  TestFolder folder;
  qkv_error error = emptyError();
  ASSERT_TRUE(writeSafetensors(folder / "w", tensors, &error)) << error.text;
  const qkv_model &model = test.model();
  const qkv_param &param = model.params[0];
  qkv_weights *weights = qkv_weights_open(&model, (folder / "w").c_str(), nullptr, &error);
  ASSERT_TRUE(weights) << error.text;
  ASSERT_TRUE(packWeights(model, *weights, folder / "packed", &error)) << error.text;
  qkv_weights *packed = qkv_weights_open(&model, (folder / "packed").c_str(), nullptr, &error);
  ASSERT_TRUE(packed) << error.text;
  EXPECT_TRUE(packed->owned.empty()) << "nothing is copied";
  for (qkv_weights *opened : {weights, packed}) {
    auto *held = static_cast<const float *>(qkv_weights_params(opened)[0]);
    std::vector<int64_t> index(p.shape.size());
    for (int64_t at = 0; at < count; ++at) {
      int64_t rest = at;
      for (size_t axis = p.shape.size(); axis-- > 0; rest /= p.shape[axis])
        index[axis] = rest % p.shape[axis];
      ASSERT_EQ(heldAt(param, held, index), values[at]) << GetParam().what << " element " << at;
    }
    double sum = std::accumulate(held, held + heldCount(param), 0.0);
    EXPECT_EQ(sum, count * (count + 1) / 2.0) << "padding is zero";
  }
  // For a model that holds it row-major, as the interpreter does.
  test.params[0].held.panel_width = 0;
  qkv_weights *plain =
      qkv_weights_open(&test.model(), (folder / "packed").c_str(), nullptr, &error);
  ASSERT_TRUE(plain) << error.text;
  EXPECT_EQ(memcmp(qkv_weights_params(plain)[0], values.data(), count * sizeof(float)), 0);
  for (qkv_weights *opened : {weights, packed, plain})
    qkv_weights_close(opened);
}

/// Some rows at a time they are held as all at once.
TEST_P(Panels, RowsByThemselves) {
  TestModel test;
  test.params = {GetParam().param};
  for (int32_t element : {QKV_F32, QKV_BF16}) {
    qkv_held &held = test.params[0].held;
    qkv_held plain = heldAs(element);
    held.element = plain.element;
    held.block_elements = plain.block_elements;
    held.block_bytes = plain.block_bytes;
    const qkv_param &param = test.model().params[0];
    int64_t rows = param.shape[0], count = elementCount(shapeOf(param)), size = count / rows;
    std::vector<float> values(count);
    std::iota(values.begin(), values.end(), 1.0f);
    std::vector<char> whole(heldBytes(param), 'x');
    writeHeld(param, values.data(), whole.data());
    for (int64_t some : {1, 2, 1000}) {
      std::vector<char> parts(heldBytes(param), 'y');
      int64_t once = some * rowsOfPanel(param);
      for (int64_t begin = 0; begin < rows; begin += once) {
        int64_t end = std::min(begin + once, rows);
        std::vector<float> own(values.begin() + begin * size, values.begin() + end * size);
        writeHeldRows(param, own.data(), parts.data(), begin, end);
      }
      EXPECT_TRUE(parts == whole) << GetParam().what << " " << some;
    }
  }
}

TestParam held(std::vector<int64_t> shape, int32_t axis, int32_t block, int32_t width,
               std::vector<int32_t> stacked = {}) {
  TestParam param{"w", std::move(shape), {}, std::move(stacked)};
  param.held.panel_axis = axis;
  param.held.panel_order = block;
  param.held.panel_width = width;
  return param;
}

INSTANTIATE_TEST_SUITE_P(All, Panels,
                         testing::Values(Case{"rows", held({130, 70}, 0, 0, 64)},
                                         Case{"columns", held({70, 130}, 1, 0, 64)},
                                         Case{"whole panels", held({128, 3}, 0, 0, 64)},
                                         Case{"a short axis", held({4, 40, 9}, 1, 1, 48)},
                                         Case{"behind two axes", held({3, 5, 20}, 0, 1, 16)},
                                         Case{"in front of two", held({3, 5, 20}, 2, 0, 16)},
                                         Case{"stacked", held({3, 33, 7}, 1, 1, 16, {0})},
                                         Case{"one element", held({1, 1}, 0, 0, 16)}),
                         [](const auto &info) {
                           std::string name = info.param.what;
                           std::replace(name.begin(), name.end(), ' ', '_');
                           return name;
                         });

TEST(Elements, AreRoundedToNearest) {
  constexpr float inf = std::numeric_limits<float>::infinity();
  struct {
    float value;
    uint16_t brain, half;
  } rows[] = {
      {0, 0, 0},
      {-0.0f, 0x8000, 0x8000},
      {1, 0x3F80, 0x3C00},
      {-2.5f, 0xC020, 0xC100},
      {inf, 0x7F80, 0x7C00},
      {1 + 0x1p-8f, 0x3F80, 0x3C04},      // a tie: to even
      {1 + 3 * 0x1p-8f, 0x3F82, 0x3C0C},  // a tie: up to even
      {1 + 0x1p-11f, 0x3F80, 0x3C00},     // the same for halves
      {1 + 3 * 0x1p-11f, 0x3F80, 0x3C02}, //
      {65504, 0x4780, 0x7BFF},            // the largest half
      {65519.996f, 0x4780, 0x7BFF},       // rounds to it
      {65520, 0x4780, 0x7C00},            // the first that does not
      {0x1p-14f, 0x3880, 0x0400},         // the least normal half
      {0x1p-24f, 0x3380, 0x0001},         // the least of all
      {0x1p-25f, 0x3300, 0x0000},         // a tie: to even
      {0x1.8p-24f, 0x33C0, 0x0002},       // a tie: up to even
      {-0x1.ff8p-15f, 0xB880, 0x83FF},    // the largest subnormal half
      {3.4028235e38f, 0x7F80, 0x7C00},    // beyond both
  };
  for (auto &row : rows)
    for (int32_t element : {QKV_BF16, QKV_F16}) {
      int64_t one = 1;
      qkv_param param = {};
      param.rank = 1;
      param.shape = &one;
      param.held = heldAs(element);
      uint16_t bits;
      writeHeld(param, &row.value, &bits);
      EXPECT_EQ(bits, element == QKV_BF16 ? row.brain : row.half) << row.value << " " << element;
      float back, again;
      readHeld(param, &bits, &back);
      uint16_t same;
      writeHeld(param, &back, &same);
      EXPECT_EQ(same, bits);
      readHeld(param, &same, &again);
      EXPECT_EQ(memcmp(&back, &again, sizeof back), 0);
    }
}

TEST(Elements, AreNarrowInMemoryAndInPackedFiles) {
  TestModel test;
  test.params = {held({40, 3}, 0, 0, 16), {"tied", {40, 3}, {}, {}, 1, 0}};
  for (TestParam &param : test.params) {
    param.held = heldAs(QKV_BF16);
    param.held.panel_width = 16;
  }
  std::vector<float> values(120);
  std::iota(values.begin(), values.end(), 1.0f);
  TestFolder folder;
  qkv_error error = emptyError();
  ASSERT_TRUE(writeSafetensors(folder / "w", {{"w", Dtype::F32, {40, 3}, values.data()}}, &error));
  qkv_weights *weights = qkv_weights_open(&test.model(), (folder / "w").c_str(), nullptr, &error);
  ASSERT_TRUE(weights) << error.text;
  auto *held = static_cast<const uint16_t *>(qkv_weights_params(weights)[0]);
  EXPECT_EQ(qkv_weights_params(weights)[1], held);
  EXPECT_EQ(held[0], 0x3F80);      // 1
  EXPECT_EQ(held[1], 0x4080);      // 4 = [1, 0]
  EXPECT_EQ(held[3 * 16], 0x4244); // 49 = [16, 0]
  EXPECT_EQ(held[6 * 16 + 8], 0);  // behind the last row
  ASSERT_TRUE(packWeights(test.model(), *weights, folder / "packed", &error));
  EXPECT_LT(readFile(folder / "packed").size(), 4096u + 2 * 144 + 64);
  test.params[1].held.panel_width = 0;
  EXPECT_FALSE(qkv_weights_open(&test.model(), (folder / "w").c_str(), nullptr, &error));
  EXPECT_NE(std::string(error.text).find("is held in another way"), std::string::npos);
  qkv_weights_close(weights);
}

} // namespace
