// Every case of figures/: the interpreter in double precision, the compiled model where there is
// a compiler, each against the values of another framework.
#include "tests/reference/Figures.h"
#include "dsl/check/Checker.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <sstream>
#include <unistd.h>

using namespace qkv;
using namespace qkv::reference;

namespace {

const std::string folder = QKV_REFERENCE "/figures/";

class Figure : public testing::TestWithParam<std::string> {
protected:
  std::string file(const char *ending) const { return folder + GetParam() + ending; }
  /// The weights' path, or empty: the case has none.
  std::string weights() const {
    std::string path = file(".weights.safetensors");
    return std::filesystem::exists(path) ? path : "";
  }
};

// The figures are computed in float64 and stored as f32; constants of the model are rounded once
// to f32 (T3).
TEST_P(Figure, interpreted) {
  Sources sources;
  std::string problem;
  const Source *source = sources.open(file(".qkv"), problem);
  ASSERT_TRUE(source) << problem;
  Diagnostics diagnostics;
  auto program = check(*source, sources, {}, diagnostics);
  std::ostringstream said;
  diagnostics.render(said, false);
  ASSERT_TRUE(program && diagnostics.all().empty()) << said.str();

  auto stored = weights().empty() ? nullptr : openTensors(weights());
  auto params = paramsOf(*program, stored.get());
  auto inputs = inputsOf(*program, *openTensors(file(".input.safetensors")));
  auto expected = openTensors(file(".expected.safetensors"));
  Interpreter interpreter(*program, std::move(inputs),
                          [&](int tensor) { return &params.at(tensor); });
  EXPECT_EQ(program->results.size(), expected->tensors().size());
  for (const Result &result : program->results) {
    const rt::FileTensor *wanted = expected->find(result.name);
    ASSERT_TRUE(wanted) << result.name;
    Values got;
    RunError error;
    ASSERT_TRUE(interpreter.evaluate(result.tensor, got, error))
        << result.name << ": " << error.message;
    EXPECT_LE(errorOf(got, valuesOf(*wanted, Type::Float)), 2e-6) << result.name;
  }
}

#ifdef QKV_DRIVER
TEST_P(Figure, compiled) {
  std::string output =
      testing::TempDir() + "qkv-" + GetParam() + "-" + std::to_string(getpid()) + ".safetensors";
  std::string command = "'" QKV_DRIVER "' run '" + file(".qkv") + "' --input '" +
                        file(".input.safetensors") + "' --output '" + output + "'";
  if (!weights().empty())
    command += " --weights '" + weights() + "'";
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  auto got = openTensors(output), expected = openTensors(file(".expected.safetensors"));
  std::filesystem::remove(output);
  EXPECT_EQ(got->tensors().size(), expected->tensors().size());
  for (const rt::FileTensor &wanted : expected->tensors()) {
    const rt::FileTensor *result = got->find(wanted.name);
    ASSERT_TRUE(result) << wanted.name;
    EXPECT_LE(errorOf(valuesOf(*result, Type::Float), valuesOf(wanted, Type::Float)), 1e-5)
        << wanted.name;
  }
}
#endif

std::string testName(const testing::TestParamInfo<std::string> &info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Reference, Figure, testing::ValuesIn(modelsOf(folder)), testName);

} // namespace
