// In: checkpoints in the shapes that people store. Out: a model's parameters, or a message that
// says what to do. Holds: language.md, "Parameters".
#include "Support.h"

#include "tests/fuzz/Slowdown.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <numeric>

using namespace qkv::rt;

namespace {

struct Stored {
  std::string name;
  std::vector<int64_t> shape;
  Dtype type = Dtype::F32;
};

/// Opens a model's weights from tensors that count 0, 1, 2, ... each.
class Checkpoint {
public:
  Checkpoint(TestModel &test, const std::vector<Stored> &stored) {
    std::vector<float> values(4096);
    std::iota(values.begin(), values.end(), 0.0f);
    std::vector<uint16_t> narrow;
    for (float value : values) {
      uint32_t bits;
      memcpy(&bits, &value, 4);
      narrow.push_back(bits >> 16);
    }
    std::vector<NewTensor> tensors;
    for (auto &s : stored)
      tensors.push_back(
          {s.name, s.type, s.shape,
           s.type == Dtype::BF16 ? static_cast<void *>(narrow.data()) : values.data()});
    path = folder / "model.safetensors";
    EXPECT_TRUE(writeSafetensors(path, tensors, &error)) << error.text;
    weights = qkv_weights_open(&test.model(), path.c_str(), nullptr, &error);
  }
  ~Checkpoint() {
    if (weights)
      qkv_weights_close(weights);
  }
  float *operator[](int param) const {
    return static_cast<float *>(qkv_weights_params(weights)[param]);
  }
  /// The message, with the folder's name taken out.
  std::string text() const {
    std::string text = error.text;
    for (size_t at; (at = text.find(folder.path + "/")) != text.npos;)
      text.erase(at, folder.path.size() + 1);
    return text;
  }
  TestFolder folder;
  std::string path;
  qkv_error error = emptyError();
  qkv_weights *weights = nullptr;
};

TEST(Weights, ShapesThatFit) {
  using Shape = std::vector<int64_t>;
  const std::pair<Shape, Shape> good[] = {{{12, 64, 768}, {12, 64, 768}},
                                          {{12, 64, 768}, {768, 768}},
                                          {{12, 64, 768}, {12, 49152}},
                                          {{12, 64, 768}, {589824}},
                                          {{3}, {3, 1}},
                                          {{3}, {1, 3, 1}},
                                          {{1, 3}, {3}},
                                          {{}, {1}},
                                          {{}, {}},
                                          {{1}, {}},
                                          {{2, 1, 3}, {2, 3}},
                                          {{2, 3}, {2, 1, 3}},
                                          {{2, 1, 3}, {6}},
                                          {{4, 1}, {1, 4}}};
  for (auto &[wanted, found] : good)
    EXPECT_TRUE(shapeFits(wanted, found)) << shapeText(wanted) << shapeText(found);
  const std::pair<Shape, Shape> bad[] = {{{12, 64, 768}, {768, 64, 12}},
                                         {{768}, {12, 64}},
                                         {{2, 3}, {3, 2}},
                                         {{2, 3}, {2}},
                                         {{2}, {2, 3}},
                                         {{}, {2}},
                                         {{2, 3}, {4, 3}},
                                         {{3}, {0}},
                                         {{2, 3}, {6, 0}},
                                         {{1}, {0}}};
  for (auto &[wanted, found] : bad)
    EXPECT_FALSE(shapeFits(wanted, found)) << shapeText(wanted) << shapeText(found);
}

TEST(Weights, FloatsAreUsedInPlaceAndOthersConverted) {
  TestModel test;
  test.params = {{"a", {2, 3}}, {"b", {4}}};
  Checkpoint checkpoint(test, {{"a", {6}}, {"b", {4}, Dtype::BF16}});
  ASSERT_TRUE(checkpoint.weights) << checkpoint.error.text;
  EXPECT_EQ(checkpoint[0][5], 5);
  EXPECT_EQ(checkpoint[1][3], 3);
  EXPECT_EQ(checkpoint.weights->owned.size(), 1u) << "only the one that is not f32";
}

TEST(Weights, ShapesThatDoNotFit) {
  TestModel test;
  test.params = {{"q", {4, 16, 8}}};
  Checkpoint plain(test, {{"q", {4, 16}}});
  EXPECT_EQ(plain.text(), "parameter q: tensor \"q\" in model.safetensors has shape [4,16], "
                          "expected [4,16,8]");
  EXPECT_EQ(errorText(plain.error, "p").substr(0, 20), "test.qkv:7:9: error:");
  Checkpoint turned(test, {{"q", {8, 64}}});
  EXPECT_EQ(turned.text(),
            "parameter q: tensor \"q\" in model.safetensors has shape [8,64], expected [4,16,8]; "
            "transposed to [64,8] it would fit: write the letters in the order of the checkpoint");
}

TEST(Weights, WrongType) {
  TestModel test;
  test.params = {{"q", {2}}};
  Checkpoint checkpoint(test, {{"q", {2}, Dtype::I32}});
  EXPECT_EQ(checkpoint.text(), "parameter q: tensor \"q\" in model.safetensors is of type \"I32\", "
                               "expected F64, F32, F16 or BF16 [T1]");
}

TEST(Weights, AllMissingOnesInOneMessage) {
  TestModel test;
  test.params = {{"h.0.attn.weight", {2}}, {"bias", {1}}, {"x", {1}}};
  Checkpoint one(test, {{"model.h.0.attn.weight", {2}}, {"bias", {1}}, {"x", {1}}});
  EXPECT_EQ(one.text(), "parameter h.0.attn.weight: model.safetensors has no tensor "
                        "\"h.0.attn.weight\" (did you mean \"model.h.0.attn.weight\"?)");
  Checkpoint two(test, {{"h.0.attn.weigth", {2}}, {"x", {1}}});
  EXPECT_EQ(two.text(), "model.safetensors lacks 2 tensors of parameters: \"h.0.attn.weight\" "
                        "(did you mean \"h.0.attn.weigth\"?), \"bias\"");
  test.params.clear();
  for (int i = 0; i < 11; ++i)
    test.params.push_back({format("param_number_%d", i), {1}});
  Checkpoint many(test, {});
  EXPECT_NE(many.text().find("\"param_number_7\" and 3 more"), std::string::npos) << many.text();
}

TEST(Weights, StackedLettersInNames) {
  TestModel test;
  // Letters e (2) and f (2) are in the name; f is not the next axis after e.
  test.params = {{"lead", {2, 3}, {"w.0", "w.1"}, {0}},
                 {"apart", {2, 3, 2}, {"w.0", "w.1", "v.0", "v.1"}, {0, 2}}};
  Checkpoint checkpoint(test, {{"w.0", {3}}, {"w.1", {3}}, {"v.0", {3}}, {"v.1", {3, 1}}});
  ASSERT_TRUE(checkpoint.weights) << checkpoint.error.text;
  for (int e = 0; e < 2; ++e)
    for (int u = 0; u < 3; ++u) {
      EXPECT_EQ(checkpoint[0][e * 3 + u], u);
      for (int f = 0; f < 2; ++f)
        EXPECT_EQ(checkpoint[1][(e * 3 + u) * 2 + f], u);
    }
}

TEST(Weights, StackedSettingsGoWhereTheyBelong) {
  TestModel test;
  test.params = {{"w", {2, 2}, {"w.0", "w.1"}, {1}}};
  TestFolder folder;
  float zero[] = {1, 2}, one[] = {3, 4};
  qkv_error error = emptyError();
  ASSERT_TRUE(writeSafetensors(
      folder / "w", {{"w.0", Dtype::F32, {2}, zero}, {"w.1", Dtype::F32, {2}, one}}, &error));
  qkv_weights *weights = qkv_weights_open(&test.model(), (folder / "w").c_str(), nullptr, &error);
  ASSERT_TRUE(weights) << error.text;
  auto *w = static_cast<float *>(qkv_weights_params(weights)[0]);
  EXPECT_EQ(std::vector<float>(w, w + 4), (std::vector<float>{1, 3, 2, 4}));
  qkv_weights_close(weights);
}

TEST(Weights, Fallbacks) {
  TestModel test;
  test.params = {{"head", {2, 3}, {}, {}, 1, 1},
                 {"wte", {2, 3}},
                 {"bias", {4}, {}, {}, 2, 0, 0.5},
                 {"chain", {4}, {}, {}, 1, 2},
                 {"there", {3}, {}, {}, 2, 0, 9}};
  Checkpoint checkpoint(test, {{"wte", {2, 3}}, {"there", {3}}});
  ASSERT_TRUE(checkpoint.weights) << checkpoint.error.text;
  EXPECT_EQ(checkpoint[0], checkpoint[1]) << "a tied parameter shares the memory";
  EXPECT_EQ(checkpoint[2][3], 0.5f);
  EXPECT_EQ(checkpoint[3], checkpoint[2]);
  EXPECT_EQ(checkpoint[4][2], 2) << "what is in the file goes before the fallback";
}

TEST(Weights, AStackWithHolesDoesNotFallBack) {
  TestModel test;
  test.params = {{"w", {2, 3}, {"w.0", "w.1"}, {0}, 2, 0, 0.0}};
  Checkpoint holes(test, {{"w.0", {3}}});
  EXPECT_EQ(holes.text(), "parameter w: model.safetensors has no tensor \"w.1\" (did you mean "
                          "\"w.0\"?)");
  Checkpoint none(test, {});
  ASSERT_TRUE(none.weights) << none.error.text;
  EXPECT_EQ(none[0][5], 0);
}

TEST(Weights, AModelWithoutParametersNeedsNone) {
  TestModel test;
  qkv_error error = emptyError();
  qkv_weights *weights = qkv_weights_open(&test.model(), nullptr, nullptr, &error);
  ASSERT_TRUE(weights) << error.text;
  qkv_weights_close(weights);
  test.params = {{"w", {2}}};
  EXPECT_FALSE(qkv_weights_open(&test.model(), nullptr, nullptr, &error));
  EXPECT_NE(std::string(error.text).find("name them with --weights"), std::string::npos)
      << error.text;
}

/// Bytes of memory now, and the most since the last call.
std::pair<int64_t, int64_t> memoryNowAndMost() {
  std::string status = readFile("/proc/self/status");
  auto kilobytes = [&](const char *name) {
    size_t at = status.find(name);
    return at == status.npos ? -1 : std::atoll(status.c_str() + at + strlen(name)) * 1024;
  };
  std::pair<int64_t, int64_t> out{kilobytes("VmRSS:"), kilobytes("VmHWM:")};
  std::ofstream("/proc/self/clear_refs") << "5"; // the peak begins anew
  return out;
}

/// Opening takes the memory of what is held and some MB, whatever the file has its numbers in and
/// however they are held: neither the tensor as f32 nor the file's bytes are there as a whole.
TEST(Weights, OpeningHoldsNothingTwice) {
  if (qkv::test::slowdown > 1)
    GTEST_SKIP() << "memory is the sanitizer's here";
  constexpr int64_t rows = 3072, columns = 4096, some = 24 << 20;
  TestFolder folder;
  std::vector<uint16_t> brain(rows * columns, 0x3F80);
  std::string header =
      "{\"w\":{\"dtype\":\"BF16\",\"shape\":[3072,4096],\"data_offsets\":[0,25165824]}}";
  writeFile(folder / "w", safetensorsBytes(header, bytesOf(brain)));
  brain = {};
  qkv_held panels = heldAs(QKV_BF16);
  panels.panel_width = 16;
  qkv_held across = panels;
  across.panel_axis = 1;
  TestParam turned{"w", {columns, rows}};
  turned.place = "a1 ; a0";
  for (const qkv_held &held : {heldAs(QKV_F32), heldAs(QKV_BF16), panels, across})
    for (bool turn : {false, true}) {
      if (turn && held.panel_axis == 0)
        continue; // (Across the file's rows is slow: one layout says it.)
      TestModel test;
      test.params = {turn ? turned : TestParam{"w", {rows, columns}}};
      test.params[0].held = held;
      const qkv_model &model = test.model();
      int64_t before = memoryNowAndMost().first;
      if (before < 0)
        GTEST_SKIP() << "nothing says how much memory is used";
      qkv_error error = emptyError();
      qkv_weights *weights = qkv_weights_open(&model, (folder / "w").c_str(), nullptr, &error);
      ASSERT_TRUE(weights) << error.text;
      int64_t file = turn ? rows * columns * 2 : 0; // (its pages, until all is read)
      EXPECT_LT(memoryNowAndMost().second - before, heldBytes(model.params[0]) + some + file)
          << held.element << " " << held.panel_width << " " << turn;
      qkv_weights_close(weights);
    }
}

} // namespace
