// Line tables: addr2line and gdb name lines of the model.
#include "tests/run/Models.h"
#include "tests/run/Support.h"

#include <gtest/gtest.h>
#include <set>

using namespace qkv;
using namespace qkv::test;

namespace {

struct Debug : testing::Test {
  Folder folder;
  Debug() {
    // (More rows than a tile has: few rows are code of their own, and gdb stops in one of the two.)
    std::string text = attentionModel;
    text.replace(text.find("max: 64"), 7, "max: 200");
    writeFile(folder / "attention.qkv", text);
    Ran built = shell(std::string("'") + QKV_DRIVER + "' build attention.qkv --no-weights -o attn");
    EXPECT_EQ(built.code, 0) << built.err;
    auto checked = checkText(text, "attention.qkv");
    TrialOptions options;
    options.sizes["T"] = 150;
    Trial trial = makeTrial(*checked->program, options);
    writeInputs(*checked->program, trial, folder / "in.safetensors");
    writeWeights(*checked->program, trial, folder / "w.safetensors");
  }
  Ran shell(const std::string &command) {
    return test::run("cd '" + folder.path() + "' && " + command);
  }
};

TEST_F(Debug, addr2lineNamesModelLines) {
  if (shell("command -v addr2line && command -v objdump").code != 0)
    GTEST_SKIP() << "no addr2line here";
  // Every address of the model's code; the lines it comes from.
  Ran ran = shell("objdump -d --no-show-raw-insn attn | sed -n 's/^ *\\([0-9a-f]*\\):.*/\\1/p' | "
                  "addr2line -e attn | sort -u");
  ASSERT_EQ(ran.code, 0) << ran.err;
  for (int line : {5, 6, 7, 12, 13})
    EXPECT_NE(ran.out.find("attention.qkv:" + std::to_string(line)), std::string::npos)
        << "line " << line << "\n"
        << ran.out;
}

TEST_F(Debug, gdbStopsAtModelLines) {
  if (shell("command -v gdb").code != 0)
    GTEST_SKIP() << "no gdb here";
  // (Inside a container a debugger may not be allowed to switch address randomisation off.)
  Ran ran = shell("gdb -q -nx -batch -ex 'set startup-with-shell off' -ex 'set "
                  "disable-randomization off' -ex 'break attention.qkv:6' -ex run -ex 'info line' "
                  "-ex 'info source' -ex backtrace --args ./attn --weights w.safetensors --input "
                  "in.safetensors --output out.safetensors --threads 1");
  if (ran.err.find("ptrace") != std::string::npos)
    GTEST_SKIP() << "gdb may not trace here: " << ran.err;
  EXPECT_NE(ran.out.find("attention.qkv:6"), std::string::npos) << ran.out << ran.err;
  EXPECT_NE(ran.out.find("alpha[i,j] = softmax[j]"), std::string::npos) << ran.out << ran.err;
}

TEST_F(Debug, stripLeavesNoLines) {
  Ran built = shell(std::string("'") + QKV_DRIVER +
                    "' build attention.qkv --no-weights --strip -o bare && objdump -h bare");
  ASSERT_EQ(built.code, 0) << built.err;
  EXPECT_EQ(built.out.find(".debug_line"), std::string::npos);
}

} // namespace
