// In: programs as users have them, linked by cc around models written by hand. Out: their output,
// messages and exit codes. Holds: 0 done, 1 failed, 2 misuse; files whole or not at all.
#include "Support.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace qkv::rt;

namespace {

std::string toy(const char *name) { return std::string(QKV_TOYS) + "/toy-" + name; }

class Program : public testing::Test {
protected:
  void SetUp() override {
    float w[15], table[] = {0, 10, 20, 30, 40};
    for (int i = 0; i < 15; ++i)
      w[i] = static_cast<float>(i);
    qkv_error error = emptyError();
    ASSERT_TRUE(writeSafetensors(
        weights, {{"lin.weight", Dtype::F32, {5, 3}, w}, {"table", Dtype::F32, {5}, table}},
        &error));
    writeInput("in", {4, 0, 1});
    writeInput("in2", {2});
    writeInput("bad", {0, 300, -7});
  }
  void writeInput(const char *name, std::vector<int64_t> ids) {
    float x[] = {1, 2, 3};
    ASSERT_TRUE(writeSafetensors(
        folder / name,
        {{"ids", Dtype::I64, {int64_t(ids.size())}, ids.data()}, {"x", Dtype::F32, {3}, x}},
        nullptr));
  }
  Finished run(std::vector<std::string> arguments, const char *program = "function") {
    arguments.insert(arguments.begin(), toy(program));
    return runCommand(arguments);
  }
  std::vector<float> result(const std::string &path) {
    auto file = Safetensors::open(path, nullptr);
    EXPECT_TRUE(file);
    auto &y = *file->find("y");
    auto *values = reinterpret_cast<const float *>(y.data);
    return {values, values + y.count()};
  }
  TestFolder folder;
  std::string weights = folder / "w.safetensors";
};

TEST_F(Program, FilesInFilesOut) {
  Finished f = run({"--weights", weights, "--input", folder / "in", "--output", folder / "out"});
  EXPECT_EQ(f.code, 0) << f.err;
  EXPECT_EQ(f.out + f.err, "");
  EXPECT_EQ(result(folder / "out"), (std::vector<float>{120, 8, 36}));
  std::string first = readFile(folder / "out");
  Finished again = run({"--weights", weights, "--input", folder / "in", "--output", "-"});
  EXPECT_EQ(again.out, first) << "same input, same bytes out";
}

TEST_F(Program, ResultsAsText) {
  Finished f = run({"--weights=" + weights, "--input", folder / "in", "--threads", "1"});
  EXPECT_EQ(f.out, "y float[3]\n[120, 8, 36]\n") << f.err;
}

TEST_F(Program, ABatch) {
  Finished f = run({"--weights", weights, "--batch", "2", "--input", folder / "in", "--input",
                    folder / "in2", "--output", folder / "a", "--output", folder / "b"});
  EXPECT_EQ(f.code, 0) << f.err;
  EXPECT_EQ(result(folder / "a"), (std::vector<float>{120, 8, 36}));
  EXPECT_EQ(result(folder / "b"), (std::vector<float>{64}));
  f = run({"--weights", weights, "--batch", "2", "--input", folder / "in", "--input",
           folder / "bad", "--output", folder / "c", "--output", folder / "d"});
  EXPECT_EQ(f.code, 1);
  EXPECT_EQ(f.err, "toy.qkv:7:12: error: input " + (folder / "bad") +
                       ": index of table along p is -7, outside 0 <= index < 5 [A1]\n");
  EXPECT_EQ(result(folder / "c"), (std::vector<float>{120, 8, 36})) << "those that succeed";
  EXPECT_FALSE(exists(folder / "d"));
  f = run({"--weights", weights, "--batch", "3", "--input", folder / "in", "--input",
           folder / "gone", "--input", folder / "in2"});
  EXPECT_EQ(f.code, 1);
  EXPECT_EQ(f.out, "y float[3]\n[120, 8, 36]\n\ny float[1]\n[64]\n");
  EXPECT_NE(f.err.find("input " + (folder / "gone") + ": cannot open"), std::string::npos) << f.err;
}

/// Runs the program until it waits for its second input, a pipe; then `change`s a file.
Finished changeWhileInUse(std::vector<std::string> arguments, const std::string &pipe,
                          const std::string &second, const std::function<void()> &change) {
  mkfifo(pipe.c_str(), 0600);
  pid_t feeder = fork();
  if (feeder == 0) {
    int to = open(pipe.c_str(), O_WRONLY); // returns when the program opens it to read
    change();
    writeAll(to, second.data(), second.size());
    _exit(0);
  }
  Finished finished = runCommand(arguments);
  waitpid(feeder, nullptr, 0);
  return finished;
}

TEST_F(Program, FilesThatAreCutShortWhileInUse) {
  std::string second = readFile(folder / "in2");
  std::vector<std::string> command = {
      toy("function"), "--threads",   "4",       "--weights",    weights, "--batch", "2",
      "--input",       folder / "in", "--input", folder / "pipe"};
  Finished f = changeWhileInUse(command, folder / "pipe", second,
                                [&] { truncate((folder / "in").c_str(), 0); });
  EXPECT_EQ(f.code, 1) << "not a signal";
  EXPECT_EQ(f.err,
            "toy-function: error: " + (folder / "in") + " was cut short while it was in use\n");
  SetUp();
  f = changeWhileInUse(command, folder / "pipe", second, [&] { truncate(weights.c_str(), 0); });
  EXPECT_EQ(f.code, 1);
  EXPECT_NE(f.err.find("written to or cut short while they were in use"), std::string::npos)
      << f.err;
  EXPECT_EQ(f.out, "\n\n");
  SetUp();
  f = changeWhileInUse(command, folder / "pipe", second, [] {});
  EXPECT_EQ(f.code, 0) << f.err;
}

TEST_F(Program, FailuresAre1) {
  auto fails = [&](std::vector<std::string> arguments, const std::string &message,
                   const char *program = "function") {
    Finished f = run(arguments, program);
    EXPECT_EQ(f.code, 1);
    EXPECT_EQ(f.out, "");
    EXPECT_NE(f.err.find(message), std::string::npos) << f.err;
  };
  std::string in = folder / "in";
  fails({"--weights", weights, "--input", folder / "bad", "--output", folder / "out"},
        "toy.qkv:7:12: error: index of table along p is -7, outside 0 <= index < 5 [A1]");
  EXPECT_FALSE(exists(folder / "out"));
  fails({"--input", in}, "there are no weights");
  fails({"--weights", folder / "gone", "--input", in}, "error: cannot open");
  fails({"--weights", in, "--input", in}, "toy.qkv:3:9: error: parameter W:");
  fails({"--weights", weights, "--input", weights}, "inputs not in the file: ids, x");
  fails({"--weights", weights, "--input", in, "--output", "/dev/full"}, "No space left on device");
  fails({"--weights", weights, "--input", in, "--output", folder / "no/out"}, "No such file");
  fails({"--weights", weights, "--input", in}, "this one lacks qkv_unheard_of; build it again",
        "other-cpu");
}

TEST_F(Program, MisuseIs2) {
  auto misused = [&](std::vector<std::string> arguments, const std::string &message,
                     const char *program = "function") {
    Finished f = run(arguments, program);
    EXPECT_EQ(f.code, 2) << message;
    EXPECT_EQ(f.err, "toy-" + std::string(program) + ": error: " + message + "; see toy-" +
                         program + " --help\n");
  };
  misused({}, "model toy needs --input FILE");
  misused({"--frobnicate"}, "unknown option \"--frobnicate\"");
  misused({"--input"}, "--input needs a value");
  misused({"stray"}, "unexpected argument \"stray\"");
  misused({"--threads", "0"}, "--threads is \"0\", expected a whole number from 1 to 512");
  misused({"--input", "a", "--input", "b"}, "2 --input need --batch 2");
  misused({"--input", "a", "--batch", "2"}, "--batch 2 needs as many --input, 1 are there");
  misused({"--input", "a", "--output", "b", "--output", "c"}, "2 --output for 1 --input");
  misused({"--input", "a", "--prompt", "p"},
          "model toy is a function, not a generator: it takes no --prompt");
  misused({"--output", "o"},
          "--output goes with --input or --trace; text is written to standard output", "echo");
  misused({"--logits", "some"}, "--logits FILE is for one --prompt, not for lines", "echo");
  misused({"--logits", "some", "--batch", "2"}, "--logits FILE is for one --prompt, not for lines",
          "decoder");
  misused({"--logits", "some", "--input", "a"},
          "--logits FILE goes with text: results of --input are in --output", "decoder");
}

TEST_F(Program, HelpAndVersion) {
  Finished help = run({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char *line : {"  ids              int[T]\n", "  x                float[3]\n",
                           "  y                float[T]\n", "  T                1 to 8\n",
                           "  toy-function --input in.safetensors --output out.safetensors\n"})
    EXPECT_NE(help.out.find(line), std::string::npos) << line << help.out;
  EXPECT_EQ(run({"--version"}).out, "toy-function: model toy, compiled by qkv 0.1.0\n");
  EXPECT_NE(run({"--help"}, "echo").out.find("  tokens           token[T]\n"), std::string::npos);
}

TEST_F(Program, WeightsBesideAndInside) {
  std::string program = folder / "prog";
  writeFile(program, readFile(toy("function")));
  chmod(program.c_str(), 0755);
  writeFile(program + ".weights", readFile(weights));
  std::vector<std::string> command = {program, "--input", folder / "in2"};
  EXPECT_EQ(runCommand(command).out, "y float[1]\n[64]\n");

  TestModel test;
  test.params = {{"W", {5, 3}, {"lin.weight"}}, {"table", {5}}};
  qkv_error error = emptyError();
  qkv_weights *open = qkv_weights_open(&test.model(), weights.c_str(), nullptr, &error);
  ASSERT_TRUE(open) << error.text;
  ASSERT_TRUE(packWeights(test.model(), *open, program + ".weights", &error)) << error.text;
  EXPECT_EQ(runCommand(command).out, "y float[1]\n[64]\n");
  unlink((program + ".weights").c_str());
  EXPECT_EQ(runCommand(command).code, 1);
  ASSERT_TRUE(embedWeights(test.model(), *open, program, &error)) << error.text;
  EXPECT_EQ(runCommand(command).out, "y float[1]\n[64]\n");
  qkv_weights_close(open);
}

TEST_F(Program, ALineAnswersALine) {
  std::string in = "abc\n\n3rd May\n", out = "abc\n\n3rd May\n";
  for (std::vector<std::string> options :
       {std::vector<std::string>{}, {"--batch", "2"}, {"--batch", "50", "--threads", "3"}}) {
    options.insert(options.begin(), toy("echo"));
    Finished f = runCommand(options, in);
    EXPECT_EQ(f.code, 0) << f.err;
    EXPECT_EQ(f.out, out);
  }
  EXPECT_EQ(runCommand({toy("echo")}, "last line").out, "last line\n");
  EXPECT_EQ(runCommand({toy("echo")}, "").out, "");
  EXPECT_EQ(runCommand({toy("echo"), "--max-tokens", "2"}, "abc\n").out, "ab\n");
  EXPECT_EQ(runCommand({toy("echo")}, "\xE5\xB9\xB4\n").out, "\xE5\xB9\xB4\n");
}

TEST_F(Program, LinesThatCannotBeAnswered) {
  Finished f = runCommand({toy("echo"), "--batch", "2"}, "ab\n12345678901\nc!d\nxy\n");
  EXPECT_EQ(f.code, 1);
  EXPECT_EQ(f.out, "ab\n\n\nxy\n") << "the n-th line out belongs to the n-th line in";
  EXPECT_EQ(f.err, "toy-echo: error: line 2: 11 bytes, S holds at most 10\n"
                   "echo.qkv:3:5: error: line 3: index of table along p is 33, outside 0 <= index "
                   "< 32 [A1]\n");
}

TEST_F(Program, PromptsAreContinued) {
  EXPECT_EQ(run({"--prompt", "w"}, "decoder").out, "xyz\n") << "until the end token";
  EXPECT_EQ(run({"--prompt", "a"}, "decoder").out, "bcdefghijk\n") << "until the stream is full";
  EXPECT_EQ(run({"--prompt", "a", "--max-tokens", "3"}, "decoder").out, "bcd\n");
  EXPECT_EQ(run({"--prompt", "", "--max-tokens", "2"}, "decoder").out, "ab\n");
  EXPECT_EQ(runCommand({toy("decoder"), "--max-tokens", "2"}, "m").out, "no\n");
  EXPECT_EQ(runCommand({toy("decoder"), "--batch", "2"}, "x\nw\ny\n").out, "yz\nxyz\nz\n");
  Finished f = run({"--prompt", "123456789012"}, "decoder");
  EXPECT_EQ(f.code, 1);
  EXPECT_EQ(f.err, "toy-decoder: error: the prompt makes a stream of 13 tokens, T holds at most "
                   "12\n");
}

TEST_F(Program, ASmallVocabularyHasNoStart) {
  EXPECT_EQ(run({"--prompt", "x", "--max-tokens", "4"}, "small").out, "yz{|\n");
  Finished f = run({"--prompt", ""}, "small");
  EXPECT_EQ(f.code, 1);
  EXPECT_NE(f.err.find("has no start token"), std::string::npos) << f.err;
  f = run({"--prompt", "\xE5"}, "small");
  EXPECT_NE(f.err.find("the prompt has byte 229, outside the vocabulary of 128"),
            std::string::npos);
}

TEST_F(Program, AGeneratorWithInputsIsAFunction) {
  std::vector<int64_t> tokens = {256, 97}, source = {104, 105};
  ASSERT_TRUE(writeSafetensors(
      folder / "g",
      {{"tokens", Dtype::I64, {2}, tokens.data()}, {"source", Dtype::I64, {2}, source.data()}},
      nullptr));
  Finished f = run({"--input", folder / "g", "--output", folder / "o", "--logits", "all"}, "echo");
  EXPECT_EQ(f.code, 0) << f.err;
  auto file = Safetensors::open(folder / "o", nullptr);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->find("logits")->shape, (std::vector<int64_t>{2, 258}));
}

TEST_F(Program, AClosedStandardOutput) {
  pid_t child = fork();
  if (child == 0) {
    close(1);
    close(2);
    execl(toy("decoder").c_str(), "decoder", "--prompt", "w", nullptr);
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

} // namespace
