// In: files of inputs. Out: bound sizes and checked inputs, or what is wrong with them. Holds: C1
// and T1 of the language.
#include "Support.h"

#include <gtest/gtest.h>

using namespace qkv::rt;

namespace {

class Inputs : public testing::Test {
protected:
  Inputs() {
    test.sizes = {{"S", 6, 0, 1}, {"T", 4, 1, 1}};
    test.inputs = {{"x", QKV_FLOAT, {{"i", 0}, {"c", -1, 2}}},
                   {"ids", QKV_INT, {{"j", 0}}},
                   {"t", QKV_FLOAT, {{"t", 1}}},
                   {"scale", QKV_FLOAT}};
    test.results = {{"y", QKV_FLOAT, {{"i", 0}}}, {"ok", QKV_BOOL}};
  }
  struct Given {
    std::string name;
    std::vector<int64_t> shape;
    Dtype type = Dtype::F32;
  };
  std::vector<Given> good = {{"x", {3, 2}}, {"ids", {3}, Dtype::I32}, {"t", {2}}, {"scale", {1}}};

  bool bind(const std::vector<Given> &given) {
    std::vector<NewTensor> tensors;
    static const double zeros[64] = {};
    for (auto &g : given)
      tensors.push_back({g.name, g.type, g.shape, zeros});
    EXPECT_TRUE(writeSafetensors(folder / "in", tensors, &error));
    warnings.clear();
    call = std::make_unique<Call>();
    return bindInputs(test.model(), Safetensors::open(folder / "in", &error), *call, warnings,
                      &error);
  }
  /// The message without the file's name.
  std::string text() { return error.text; }

  TestModel test;
  TestFolder folder;
  qkv_error error = emptyError();
  std::string warnings;
  std::unique_ptr<Call> call;
};

TEST_F(Inputs, Good) {
  ASSERT_TRUE(bind(good)) << error.text;
  EXPECT_EQ(call->sizes, (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(call->resultShapes[0], (std::vector<int64_t>{3}));
  EXPECT_EQ(call->inputs.size(), 4u);
  EXPECT_EQ(call->owned.size(), 1u) << "only ids needs converting";
  EXPECT_EQ(warnings, "");
  good[3].shape = {};
  EXPECT_TRUE(bind(good)) << "a number is [] or [1]";
  good.push_back({"more", {1}});
  EXPECT_TRUE(bind(good));
  EXPECT_NE(warnings.find("warning: tensor \"more\" is not an input of test"), std::string::npos);
}

TEST_F(Inputs, SizesThatDisagree) {
  good[1].shape = {4};
  EXPECT_FALSE(bind(good));
  EXPECT_EQ(text(), "size S is 3 along i of input x, but 4 along j of input ids: they must agree "
                    "[C1]");
  EXPECT_EQ(std::string(error.file), folder / "in");
}

TEST_F(Inputs, SizesOutOfRange) {
  good[2].shape = {5};
  EXPECT_FALSE(bind(good));
  EXPECT_EQ(text(), "size T is 5 along t of input t, expected 1 to 4 [A4]");
  good[2].shape = {0};
  EXPECT_FALSE(bind(good));
  EXPECT_EQ(text(), "size T is 0 along t of input t, expected 1 to 4 [A4]");
}

TEST_F(Inputs, OtherExtentsAndRanks) {
  good[0].shape = {3, 3};
  EXPECT_FALSE(bind(good));
  EXPECT_EQ(text(), "input x has shape [3,3], expected [3,2]");
  good[0].shape = {3};
  EXPECT_FALSE(bind(good));
  EXPECT_EQ(text(), "input x has shape [3], expected 2 axes: [i,c]");
}

TEST_F(Inputs, TypesThatAreNotAccepted) {
  good[1].type = Dtype::F32;
  EXPECT_FALSE(bind(good));
  EXPECT_EQ(text(), "input ids is of type \"F32\", expected I64, I32, I16, I8, U8, U16 or U32 for "
                    "int [T1]");
}

TEST_F(Inputs, Missing) {
  good[1].name = "idz";
  good.erase(good.begin() + 2);
  EXPECT_FALSE(bind(good));
  EXPECT_EQ(text(), "inputs not in the file: ids (did you mean \"idz\"?), t");
}

TEST_F(Inputs, ASizeThatNothingBinds) {
  test.sizes.push_back({"U", 3, 0, 1});
  EXPECT_FALSE(bind(good));
  EXPECT_NE(text().find("size U is not the extent of any input"), std::string::npos);
}

} // namespace
