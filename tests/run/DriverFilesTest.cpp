// What the commands read and write: configurations that belong to a model, outputs that are inputs,
// batches of files, files that change while they are in use.
#include "tests/run/Models.h"
#include "tests/run/Support.h"

#include "runtime/checkpoint/Safetensors.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

using namespace qkv;
using namespace qkv::test;

namespace {

struct DriverFiles : testing::Test {
  Folder folder;

  Ran shell(const std::string &command, const std::string &standardInput = "") {
    return test::run("cd '" + folder.path() + "' && " + command, standardInput);
  }
  Ran qkv(const std::string &arguments) { return shell("'" QKV_DRIVER "' " + arguments); }
  void write(const std::string &name, const std::string &text) { writeFile(folder / name, text); }
  std::string read(const std::string &name) { return readFile(folder / name); }

  /// A file with one tensor of floats.
  void tensor(const std::string &file, const std::string &name, std::vector<float> values) {
    ASSERT_TRUE(rt::writeSafetensors(
        folder / file,
        {{name, rt::Dtype::F32, {static_cast<int64_t>(values.size())}, values.data()}}, nullptr));
  }
  /// The first number of a file with one result.
  float result(const std::string &name) {
    auto file = rt::Safetensors::open(folder / name, nullptr);
    float value = -1;
    if (file)
      memcpy(&value, file->tensors()[0].data, sizeof value);
    return value;
  }
};

void expectSays(const Ran &ran, int code, const std::vector<std::string> &texts) {
  EXPECT_EQ(ran.code, code) << ran.out << ran.err;
  for (const std::string &text : texts)
    EXPECT_NE((ran.err + ran.out).find(text), std::string::npos)
        << "expected: " << text << "\nsaid: " << ran.err << ran.out;
}

const char *const rotary = R"(const theta = config("rope.theta", 10000)
size D = config("width", 2), L = 2
index d < D
model m(x[d]) -> y[d] {
  param w[d] = "w"
  y[d] = x[d] * w[d] + theta
}
)";

struct Configured : DriverFiles {
  Configured() {
    write("m.qkv", rotary);
    tensor("in", "x", {0, 0});
    EXPECT_EQ(mkdir((folder / "old").c_str(), 0755) + mkdir((folder / "new").c_str(), 0755), 0);
    tensor("old/w.safetensors", "w", {1, 1});
    tensor("new/w.safetensors", "w", {1, 1});
    tensor("bare", "w", {1, 1});
    write("old/config.json", R"({"rope": {"theta": 500000.0}, "use_cache": true})");
  }
  const std::string io = " --input in --output out";
};

TEST_F(Configured, RunsReadWhatIsBesideTheirWeights) {
  for (const char *how : {"run", "interpret"}) {
    ASSERT_EQ(qkv(std::string(how) + " m.qkv --weights old/w.safetensors" + io).code, 0);
    EXPECT_EQ(result("out"), 500000);
    ASSERT_EQ(qkv(std::string(how) + " m.qkv --weights bare" + io).code, 0);
    EXPECT_EQ(result("out"), 10000);
  }
}

TEST_F(Configured, ProgramsRefuseAnotherConfiguration) {
  ASSERT_EQ(qkv("build m.qkv --no-weights -o defaults").code, 0);
  expectSays(shell("./defaults --weights old/w.safetensors" + io), 1,
             {"old/config.json", "\"rope.theta\" is 500000.0", "compiled with 10000", "C2"});
  EXPECT_EQ(shell("./defaults --weights bare" + io).code, 0);
  EXPECT_EQ(result("out"), 10000);
  write("new/config.json", R"({"rope": {"theta": 1e4}, "width": 2.0})");
  EXPECT_EQ(shell("./defaults --weights new/w.safetensors" + io).code, 0) << "numbers are numbers";
  write("new/config.json", R"({"width": 3})");
  expectSays(shell("./defaults --weights new/w.safetensors" + io), 1,
             {"\"width\" is 3", "compiled with 2, its default"});

  ASSERT_EQ(qkv("build m.qkv --weights old/w.safetensors -o old500").code, 0);
  EXPECT_EQ(shell("./old500" + io).code, 0); // packed, beside the program
  EXPECT_EQ(result("out"), 500000);
  EXPECT_EQ(shell("./old500 --weights bare" + io).code, 0) << "it says nothing";
  write("new/config.json", "{}");
  expectSays(shell("./old500 --weights new/w.safetensors" + io), 1,
             {"new/config.json", "has no \"rope.theta\", which stands for 10000",
              "compiled with 500000.0"});
  write("new/config.json", "{\"rope\": ");
  expectSays(shell("./old500 --weights new/w.safetensors" + io), 1,
             {"new/config.json", "not valid JSON"});
}

TEST_F(Configured, PackedWeightsCarryIt) {
  ASSERT_EQ(qkv("build m.qkv --weights old/w.safetensors -o old500").code, 0);
  ASSERT_EQ(shell("cp old500.weights p").code, 0);
  EXPECT_EQ(qkv("run m.qkv --weights p" + io).code, 0);
  EXPECT_EQ(result("out"), 500000);
  ASSERT_EQ(qkv("build m.qkv --no-weights -o defaults").code, 0);
  expectSays(shell("./defaults --weights p" + io), 1, {"p: error:", "\"rope.theta\" is 500000.0"});
  ASSERT_EQ(qkv("build m.qkv --weights p --embed-weights -o inside").code, 0);
  EXPECT_EQ(shell("./inside" + io).code, 0);
  EXPECT_EQ(result("out"), 500000);
  ASSERT_EQ(qkv("ir m.qkv --full --stage graph -o m.mlir").code, 0);
  expectSays(qkv("run m.mlir --weights p" + io), 1, {"\"rope.theta\" is 500000.0"});
}

TEST_F(Configured, PackedWeightsOfAChangedPage) {
  ASSERT_EQ(qkv("build m.qkv --weights bare").code, 0);
  std::string other = rotary;
  other.replace(other.find("= \"w\""), 5, "= \"v\"");
  write("m.qkv", other);
  expectSays(
      qkv("run m.qkv --weights m.weights" + io), 1,
      {"m.qkv:5:", "without \"v\"", "w was made of \"w\" then", "pack the checkpoint again"});
}

TEST_F(Configured, LibrariesRefuseItToo) {
  ASSERT_EQ(qkv("build m.qkv --shared -o libm1.so").code, 0);
  write("main.c", R"(#include "m.h"
#include <stdio.h>
int main(int argc, char **argv) {
  m_error error = {sizeof error};
  m_model *model = m_open(argv[1], &error);
  printf("%d %s: %s\n", model != NULL, error.file, error.text);
  return 0;
}
)");
  ASSERT_EQ(shell("cc main.c ./libm1.so -o main").code, 0);
  expectSays(shell("./main old/w.safetensors"), 0, {"0 old/config.json:", "is 500000.0"});
  expectSays(shell("./main bare"), 0, {"1 : "});
}

struct Outputs : DriverFiles {
  Outputs() {
    write("f.qkv", "use lib\nsize D = 2\nindex d < D\nmodel f(x[d]) -> y[d] {\n"
                   "  param w[d] = \"w\"\n  y[d] = twice(x[d]) * w[d]\n}\n");
    write("lib.qkv", "fn twice(a) -> b { b = a * 2 }\n");
    tensor("in", "x", {1, 2});
    tensor("w", "w", {3, 4});
    EXPECT_EQ(shell("mkdir ck && cp w ck/model.safetensors && echo {} > ck/config.json && "
                    "ln in hard && ln -s in soft && ln -s . here && cp in in2")
                  .code,
              0);
    listed = shell("ls -A").out;
  }
  void expectRefused(const std::string &command, const std::string &file, int code = 2) {
    SCOPED_TRACE(command);
    std::string before = read(file);
    expectSays(shell(command), code, {code == 2 ? "would overwrite what" : "cannot write"});
    EXPECT_EQ(read(file), before) << file << " is destroyed";
    EXPECT_EQ(shell("ls -A").out, listed);
  }
  const std::string driver = "'" QKV_DRIVER "' ";
  std::string listed;
};

TEST_F(Outputs, AreNoneOfTheInputs) {
  for (const char *how : {"run", "interpret"}) {
    std::string start = driver + how + " f.qkv --weights w --input in --output ";
    for (const char *output : {"in", "./in", "hard", "soft", "here/in", "$PWD/in"})
      expectRefused(start + output, "in");
    expectRefused(start + "w", "w");
    expectRefused(start + "f.qkv", "f.qkv");
    expectRefused(start + "lib.qkv", "lib.qkv");
    expectRefused(driver + how + " f.qkv --weights ck --input in --output ck/model.safetensors",
                  "ck/model.safetensors");
    expectRefused(driver + how + " f.qkv --weights ck --input in --output ck/config.json",
                  "ck/config.json");
    expectRefused(driver + how + " f.qkv --weights w --input - --output in < in", "in");
    // The output of one is the input of the other.
    expectRefused(driver + how +
                      " f.qkv --weights w --batch 2 --input in --output out --input in2"
                      " --output in",
                  "in");
    expectSays(shell(driver + how +
                     " f.qkv --weights w --batch 2 --input in --output out"
                     " --input in2 --output here/out"),
               2, {"are one file"});
  }
  std::string build = driver + "build f.qkv ";
  expectRefused(build + "--no-weights -o f.qkv", "f.qkv");
  expectRefused(build + "--no-weights -o here/lib.qkv", "lib.qkv");
  expectRefused(build + "--weights w -o w", "w");
  expectRefused(build + "--weights ck -o ck/model.safetensors", "ck/model.safetensors");
  expectRefused(build + "--shared --header f.qkv", "f.qkv");
  expectRefused(build + "--object --header lib.qkv", "lib.qkv");
  expectSays(qkv("build f.qkv --shared -o same.so --header ./same.so"), 2, {"are one file"});
  for (const char *stage : {"ast", "graph", "asm"})
    expectRefused(driver + "ir f.qkv -o f.qkv --stage " + stage, "f.qkv");
}

TEST_F(Outputs, PackedFilesAreNotTheirOwnOutput) {
  ASSERT_EQ(qkv("build f.qkv --weights w").code, 0);
  listed = shell("ls -A").out;
  expectRefused(driver + "build f.qkv --weights f.weights", "f.weights");
  expectRefused("./f --input in --output f.weights", "f.weights");
  expectRefused("./f --input in --output f", "f");
  expectRefused("./f --input in --output in", "in");
  EXPECT_EQ(qkv("build f.qkv --no-weights -o f").code, 0);
}

TEST_F(Outputs, ThatMayNotBeWritten) {
  ASSERT_EQ(shell("echo kept > kept && chmod 444 kept && mkdir dir").code, 0);
  listed = shell("ls -A").out;
  expectRefused(driver + "run f.qkv --weights w --input in --output kept", "kept", 1);
  expectRefused(driver + "interpret f.qkv --weights w --input in --output kept", "kept", 1);
  expectRefused(driver + "build f.qkv --weights w -o kept", "kept", 1);
  expectRefused(driver + "build f.qkv --shared --header kept", "kept", 1);
  expectRefused(driver + "ir f.qkv -o kept", "kept", 1);
  expectRefused(driver + "ir f.qkv -o dir", "kept", 1);
  expectRefused(driver + "ir f.qkv -o nowhere/f", "kept", 1);
  EXPECT_EQ(qkv("run f.qkv --weights w --input in --output /dev/null").code, 0);
}

TEST_F(Outputs, OfABatchThatCouldBeComputed) {
  write("bad", "no tensors");
  tensor("long", "x", {1, 2, 3});
  std::string pairs = " --batch 4 --input in --output 1 --input bad --output 2 --input long "
                      "--output 3 --input in2 --output 4";
  ASSERT_EQ(qkv("build f.qkv --weights w").code, 0);
  for (const std::string &how : {driver + "run f.qkv --weights w",
                                 driver + "interpret f.qkv --weights w", std::string("./f")}) {
    SCOPED_TRACE(how);
    Ran ran = shell(how + pairs);
    expectSays(ran, 1, {"input bad: ", "input long: "});
    EXPECT_EQ(result("1"), 6);
    EXPECT_EQ(result("4"), 6);
    EXPECT_EQ(shell("cat 2 3; rm 1 4").out, "");
  }
}

TEST_F(Outputs, InputsAreFiles) {
  ASSERT_EQ(shell("cp in ck/in.safetensors; cp in ck/model.safetensors").code, 0);
  expectSays(qkv("run f.qkv --weights w --input ck --output out"), 1, {"ck: it is a folder"});
  expectSays(qkv("interpret f.qkv --weights w --input ck --element 'y[0]'"), 1,
             {"ck: it is a folder"});
}

TEST_F(Outputs, ThreadsAreANumber) {
  ASSERT_EQ(qkv("build f.qkv --weights w").code, 0);
  for (const char *text : {"abc", "0", "-1", "513", "2x", "1.5", "99999999999999999999"}) {
    std::string set = std::string("QKV_THREADS=") + text + " ";
    expectSays(shell(set + "./f --input in"), 1, {"QKV_THREADS is \"", "from 1 to 512"});
    expectSays(shell(set + driver + "run f.qkv --weights w --input in"), 1, {"QKV_THREADS is \""});
  }
  EXPECT_EQ(shell("QKV_THREADS=2 ./f --input in").code, 0);
  EXPECT_EQ(shell("QKV_THREADS= ./f --input in").code, 0);
}

TEST_F(Outputs, WhatLinkingNeedsIsLookedForFirst) {
  write("broken.qkv", "model (");
  expectSays(shell("QKV_RUNTIME_DIR=$PWD/none " + driver + "build broken.qkv"), 1,
             {"libqkv_rt.a is not there"});
}

// What limits a process is no reason to abort: one thread is enough, and no memory is a message.
struct Limits : DriverFiles {
  Limits() {
    std::string terms;
    for (int i = 0; i < 900; ++i)
      terms += (i ? " + " : "") + std::string("x[d] * ") + std::to_string(i);
    write("f.qkv", "size D = 2\nindex d < D\nmodel f(x[d]) -> y[d] { y[d] = " + terms + " }\n");
    tensor("in", "x", {1, 2});
  }
  const std::string io = " f.qkv --input in --output out";
};

TEST_F(Limits, OneThreadIsEnough) {
  // Another user: root may always have another thread. (65534 is nobody; it may read the driver.)
  std::string limited = "chmod 777 . && prlimit --nproc=1 setpriv --reuid 65534 --clear-groups ";
  if (shell(limited + "'" QKV_DRIVER "' --version").code != 0)
    GTEST_SKIP() << "no other user here";
  for (const char *how : {"run", "interpret"}) {
    Ran ran = shell(limited + "'" QKV_DRIVER "' " + how + io);
    EXPECT_EQ(ran.code, 0) << how << ran.err;
    EXPECT_EQ(result("out"), 404550);
    EXPECT_EQ(shell("rm -f out").code, 0);
  }
}

TEST_F(Limits, LittleMemory) {
  for (const char *how : {"run", "interpret"}) {
    int done = 0;
    for (int megabytes : {1000, 600, 450, 400}) {
      Ran ran = shell("ulimit -v " + std::to_string(megabytes * 1000) + " && '" QKV_DRIVER "' " +
                      how + io);
      // (Below what its libraries need the loader says so, with 127.)
      bool said = ran.code == 1 && ran.err.find("memory") != std::string::npos;
      EXPECT_TRUE(ran.code == 0 || ran.code == 127 || said)
          << how << " with " << megabytes << " MB: " << ran.code << ran.err;
      done += ran.code == 0;
      EXPECT_TRUE(ran.code == 0 || megabytes < 600) << how << " with " << megabytes << ran.err;
    }
    EXPECT_GE(done, 2);
  }
}

} // namespace
