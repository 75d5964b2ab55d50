// Models of all kinds, unusual but legal: each checks, and runs in double and in f32.
#include "tests/sema/idioms/IdiomModels.h"

#include <gtest/gtest.h>

#include <cmath>

namespace qkv::test {
namespace {

class Idioms : public testing::TestWithParam<std::string> {};

TEST_P(Idioms, CheckAndRun) {
  std::string path = std::string(QKV_IDIOMS "/") + GetParam() + ".qkv";
  auto checked = checkText(path, textOf(path));
  ASSERT_TRUE(checked->program) << checked->said;
  EXPECT_EQ(checked->said, "");
  for (int64_t size : {1, 2, 5, 8}) {
    SCOPED_TRACE("sizes " + std::to_string(size));
    Trial exact = runGenerated(*checked->program, size, Precision::Double, 7);
    Trial single = runGenerated(*checked->program, size, Precision::Single, 7);
    ASSERT_EQ(exact.failure, "");
    ASSERT_EQ(single.failure, "");
    for (auto &[name, values] : exact.results) {
      const Values &other = single.results[name];
      ASSERT_EQ(values.shape, other.shape);
      EXPECT_EQ(values.ints, other.ints) << name;
      double largest = 1;
      for (double x : values.floats)
        largest = std::max(largest, std::fabs(x));
      for (size_t i = 0; i < values.floats.size(); ++i) {
        EXPECT_TRUE(std::isfinite(values.floats[i])) << name << " " << i;
        EXPECT_NEAR(values.floats[i], other.floats[i], 1e-4 * largest) << name << " " << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Idioms, testing::ValuesIn(modelsOf(QKV_IDIOMS)), [](auto &info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

} // namespace
} // namespace qkv::test
