// What the passes are told of processors.
#include "compiler/passes/Target.h"
#include "compiler/pipeline/Pipeline.h"

#include <gtest/gtest.h>

using qkv::describeTarget;

namespace {

TEST(Target, followsFromTheNamesFeatures) {
  struct {
    const char *cpu;
    int lanes, registers;
    bool fma;
  } targets[] = {
      {"x86-64", 4, 16, false}, {"x86-64-v2", 4, 16, false},        {"x86-64-v3", 8, 16, true},
      {"haswell", 8, 16, true}, {"skylake-avx512", 16, 32, true},   {"znver4", 16, 32, true},
      {"knl", 8, 16, true},     {"no-such-processor", 4, 16, false}};
  for (const auto &target : targets) {
    qkv::TargetDescription description = describeTarget(target.cpu);
    EXPECT_EQ(description.lanes, target.lanes) << target.cpu;
    EXPECT_EQ(description.registers, target.registers) << target.cpu;
    EXPECT_EQ(description.fma, target.fma) << target.cpu;
    EXPECT_EQ(description.preferredWidth(), target.lanes == 16 ? 512 : 0) << target.cpu;
    EXPECT_EQ(description.accumulators(), target.registers == 32 ? 24 : 12) << target.cpu;
    EXPECT_EQ(description.queryRows(), target.registers == 32 ? 8 : 4) << target.cpu;
    EXPECT_EQ(description.cpu, target.cpu);
    EXPECT_EQ(description.baseline, "x86-64");
    EXPECT_EQ(description.triple.substr(0, 6), "x86_64");
    EXPECT_TRUE(description.features.empty());
  }
}

TEST(Target, nativeHasANameAndFeatures) {
  qkv::TargetDescription description = describeTarget("native");
  EXPECT_NE(description.cpu, "native");
  EXPECT_FALSE(description.features.empty());
}

TEST(Stages, haveNamesInOrder) {
  for (const char *name : {"graph", "fused", "kernels", "llvm"})
    EXPECT_STREQ(qkv::stageName(*qkv::stageByName(name)), name);
  EXPECT_FALSE(qkv::stageByName("asm"));
  EXPECT_TRUE(qkv::stagePasses(qkv::Stage::Graph, qkv::Stage::Graph, {}).empty());
}

TEST(Stages, passesNameTheProcessor) {
  qkv::PipelineOptions options;
  options.cpu = "haswell";
  bool named = false;
  for (const std::string &passes : qkv::stagePasses(qkv::Stage::Graph, qkv::Stage::Llvm, options)) {
    EXPECT_EQ(passes.find("CPU"), std::string::npos);
    named |= passes.find("cpu=haswell") != std::string::npos;
  }
  EXPECT_TRUE(named);
}

} // namespace
