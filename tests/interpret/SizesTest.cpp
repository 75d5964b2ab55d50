// C1: inputs bind the dynamic sizes, and what is said where they do not agree.
#include "tests/interpret/Run.h"

using namespace qkv;
using namespace qkv::test;

namespace {

struct Inputs {
  ProgramBuilder b;
  int T = b.dynamic("T", 512, true), S = b.dynamic("S", 16);
  ProgramBuilder::Index i = b.letter("i", Size::atom(T)), j = b.letter("j", Size::atom(S)),
                        n = b.letter("n", Size::atom(T) + Size(1)), c = b.letter("c", 3);
  int x = b.input("x", Type::Float, {i, c}), y = b.input("y", Type::Float, {j, i});
  int z = b.input("z", Type::Float, {n}), scale = b.input("scale", Type::Float, {});

  std::vector<int64_t> sizes;
  std::string bind(std::vector<int64_t> xs, std::vector<int64_t> ys, std::vector<int64_t> zs,
                   std::vector<int64_t> ss = {}) {
    return bindSizes(b.program, {{x, xs}, {y, ys}, {z, zs}, {scale, ss}}, sizes);
  }
};

TEST(Sizes, AreBoundByInputs) {
  Inputs in;
  EXPECT_EQ(in.bind({7, 3}, {2, 7}, {8}), "");
  EXPECT_EQ(in.sizes[in.T], 7);
  EXPECT_EQ(in.sizes[in.S], 2);
  EXPECT_EQ(in.bind({7, 3}, {2, 7}, {8}, {1}), "");
}

TEST(Sizes, Disagreement) {
  Inputs in;
  EXPECT_EQ(in.bind({7, 3}, {2, 6}, {8}), "input y has 6 positions along i, but input x has 7 "
                                          "positions along i: both are size T");
  EXPECT_EQ(in.bind({7, 3}, {2, 7}, {9}), "input z has 9 positions along n, expected T + 1 = 8");
  EXPECT_EQ(in.bind({7, 4}, {2, 7}, {8}), "input x has 4 positions along c, expected 3");
  EXPECT_EQ(in.bind({7, 3}, {17, 7}, {8}),
            "input y has 17 positions along j, but size S is between 1 and 16");
  EXPECT_EQ(in.bind({0, 3}, {2, 7}, {8}),
            "input x has 0 positions along i, but size T is between 1 and 512");
  EXPECT_EQ(in.bind({7}, {2, 7}, {8}), "input x has shape [7], expected 2 axes [i,c]");
  EXPECT_EQ(in.bind({7, 3}, {2, 7}, {8}, {2}), "input scale has shape [2], expected [] or [1]");
}

TEST(Sizes, ErrorsStopTheRun) {
  Inputs in;
  int r = in.b.equation("r", Type::Float, {}, in.b.read(in.scale, {}));
  Outcome o = run(in.b, r, {{in.x, floats({7, 3}, std::vector<double>(21))}});
  EXPECT_FALSE(o.ok);
  EXPECT_EQ(o.error.rule, "C1");
  EXPECT_EQ(o.error.message, "input y is missing");
}

} // namespace
