// Several sequences at once: whatever its mates are, each gets the bytes and the errors it gets
// alone. (Of compiled models: `verify` and the random programs; here of programs and their files.)
#include "tests/run/Models.h"
#include "tests/run/Support.h"

#include <gtest/gtest.h>
#include <sstream>

using namespace qkv;
using namespace qkv::test;

namespace {

// Answers lines by an encoder-decoder with attention, all of whose weights are generated. A byte
// above 'w' leaves the table, which only the run can see.
const char *const answersModel = R"(use nn
size S = dynamic(max: 12), T = stream(max: 9), V = 258, C = 7, H = 5, Bytes = 120
index j < S, t < T, v < V, u < Bytes, c < C, o < H
fn near(q[t,o], k[j,o], v[j,o]) -> y[t,o] {
  a[t,j] = softmax[j](sum[o](q[t,o] * k[j,o]) where j <= 2 * t + 1)
  y[t,o] = sum[j](a[t,j] * v[j,o])
}
model answers(source[j] : token, tokens[t] : token) -> logits[t,v] {
  param bytes[u,c] = "bytes", E[v,c] = "tokens", W[v,o] = "out", b[v] = "bias"
  x[j,c] = bytes[source[j],c]
  y[t,c] = E[tokens[t],c]
  h = CELL(x, O: H) from "encoder."
  s = CELL(y, O: H) from "decoder."
  m = near(s, h, h)
  logits[t,v] = sum[o](W[v,o] * (s[t,o] + m[t,o])) + b[v]
}
)";

std::string answersWith(const std::string &cell) {
  std::string text = answersModel;
  for (size_t at; (at = text.find("CELL")) != std::string::npos;)
    text.replace(at, 4, cell);
  return text;
}

// Empty, of equal and other lengths, too long, and with a byte outside of the table.
const char *const lines = "abc\n\nde\nfgh\nabcdefghijklm\nxyz\nij\nabc\nabcdefghijkl\nklm\nq\nrst\n"
                          "z\nnopqrs\nhgfedc\naaa\nbbb\n";

struct Batch : testing::Test {
  Folder folder;
  Ran shell(const std::string &command, const std::string &input = "") {
    return test::run("cd '" + folder.path() + "' && " + command, input);
  }
  Ran qkv(const std::string &arguments, const std::string &input = "") {
    return shell(std::string("'") + QKV_DRIVER + "' " + arguments, input);
  }
  /// The model in m.qkv, its weights in w.safetensors.
  std::unique_ptr<Checked> prepare(const std::string &text, uint64_t seed = 1) {
    writeFile(folder / "m.qkv", text);
    auto checked = checkText(text, "m.qkv");
    EXPECT_TRUE(checked->program) << checked->diagnostics;
    if (checked->program) {
      TrialOptions options;
      options.seed = seed;
      writeWeights(*checked->program, makeTrial(*checked->program, options),
                   folder / "w.safetensors");
    }
    return checked;
  }
};

class BatchOfLines : public Batch, public testing::WithParamInterface<const char *> {};

TEST_P(BatchOfLines, sameAnswersWhateverTheMates) {
  ASSERT_TRUE(prepare(answersWith(GetParam()))->program);
  ASSERT_EQ(qkv("build m.qkv --weights w.safetensors -o plain").code, 0);
  Ran built = qkv("build m.qkv --weights w.safetensors --with-batch -o batched");
  ASSERT_EQ(built.code, 0) << built.err;
  auto withoutName = [](std::string text, const std::string &name) {
    for (size_t at; (at = text.find(name + ":")) != std::string::npos;)
      text.erase(at, name.size() + 1);
    return text;
  };
  Ran alone = shell("./plain", lines);
  EXPECT_EQ(alone.code, 1);
  EXPECT_NE(alone.err.find("line 5: 13 bytes, S holds at most 12"), std::string::npos) << alone.err;
  EXPECT_NE(alone.err.find("line 6: "), std::string::npos) << alone.err;
  EXPECT_NE(alone.err.find("line 13: "), std::string::npos) << alone.err;
  for (const char *program : {"./plain", "./batched"})
    for (int batch : {1, 2, 7, 32})
      for (int threads : {1, 3}) {
        Ran ran = shell(std::string(program) + " --batch " + std::to_string(batch) + " --threads " +
                            std::to_string(threads),
                        lines);
        SCOPED_TRACE(std::string(program) + " --batch " + std::to_string(batch));
        EXPECT_EQ(ran.code, 1);
        EXPECT_EQ(ran.out, alone.out);
        EXPECT_EQ(withoutName(ran.err, program + 2), withoutName(alone.err, "plain"));
      }
  Ran jit = qkv("run m.qkv --weights w.safetensors --batch 32", lines);
  EXPECT_EQ(jit.code, 1);
  EXPECT_EQ(jit.out, alone.out);
}

INSTANTIATE_TEST_SUITE_P(Cells, BatchOfLines, testing::Values("rnn", "gru", "lstm"));

// A prompt a line where there is no source: all of one length begin together, and end apart.
TEST_F(Batch, prompts) {
  prepare(counterModel);
  ASSERT_EQ(qkv("build m.qkv --with-batch -o c").code, 0);
  std::string input = "a\nbc\nd\n\nefghijklm\nno\nabcdefghijklmn\np\n";
  Ran one = shell("./c --batch 1 --max-tokens 5", input);
  EXPECT_NE(one.err.find("line 7: "), std::string::npos) << one.err;
  for (const char *batch : {"2", "7", "32"}) {
    Ran ran = shell(std::string("./c --max-tokens 5 --batch ") + batch, input);
    EXPECT_EQ(ran.out, one.out);
    EXPECT_EQ(ran.err, one.err);
  }
}

// Results over data-dependent positions, one that depends on no input, a check.
const char *const functionModel = R"(size T = dynamic(max: 40), D = 6
index t < T, d < D, e < D
model m(x[t,d], back[t] : int, scale) -> (y[t,d], total, ramp[t], first[d]) {
  param W[d,e] = "w"
  y[-1,d] = 0
  y[t,d] = tanh(sum[e](W[d,e] * y[t-1,e]) + x[t,d] + x[back[t],d] * scale)
  total = sum[t,d](y[t,d])
  ramp[t] = t / T
  first[d] = W[d,0]
}
)";

struct BatchOfFiles : Batch {
  std::unique_ptr<Checked> checked;
  /// Sequences of lengths 5, 3, 5, 5, 1, 3, 5; inN and outN.
  void SetUp() override {
    checked = prepare(functionModel);
    ASSERT_TRUE(checked->program);
    ASSERT_EQ(qkv("build m.qkv --weights w.safetensors --with-batch -o m").code, 0);
    for (size_t n = 0; n < lengths.size(); ++n)
      writeSequence(n);
  }
  void writeSequence(size_t n, int64_t back = 0) {
    TrialOptions options;
    options.seed = 10 + n;
    options.sizes["T"] = lengths[n];
    Trial trial = makeTrial(*checked->program, options);
    if (back)
      trial.inputs[checked->program->inputs[1]].ints[lengths[n] - 1] = back;
    writeInputs(*checked->program, trial, folder / ("in" + std::to_string(n)));
  }
  std::string files(size_t count) {
    std::string text = " --batch " + std::to_string(count);
    for (size_t n = 0; n < count; ++n)
      text += " --input in" + std::to_string(n) + " --output out" + std::to_string(n);
    return text;
  }
  const std::vector<int64_t> lengths{5, 3, 5, 5, 1, 3, 5};
};

TEST_F(BatchOfFiles, sameFilesWhateverTheMates) {
  std::vector<std::string> alone;
  for (size_t n = 0; n < lengths.size(); ++n) {
    ASSERT_EQ(shell("./m --input in" + std::to_string(n) + " --output alone").code, 0);
    alone.push_back(readFile(folder / "alone"));
  }
  for (size_t count : {1, 2, 7})
    for (std::string how : {std::string("./m"), std::string("'") + QKV_DRIVER +
                                                    "' run m.qkv --weights w.safetensors"}) {
      SCOPED_TRACE(how + files(count));
      shell("rm -f out*");
      Ran ran = shell(how + files(count));
      ASSERT_EQ(ran.code, 0) << ran.err;
      for (size_t n = 0; n < count; ++n)
        EXPECT_EQ(readFile(folder / ("out" + std::to_string(n))), alone[n]) << n;
    }
}

TEST_F(BatchOfFiles, aFailingCheckIsItsOwn) {
  writeSequence(2, 77);
  writeSequence(5, -1);
  Ran ran = shell("./m" + files(7));
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("m.qkv:6:"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("input in2: index of x along t is 77, outside 0 <= index < 5"),
            std::string::npos)
      << ran.err;
  EXPECT_NE(ran.err.find("input in5: index of x along t is -1, outside 0 <= index < 3"),
            std::string::npos)
      << ran.err;
  EXPECT_EQ(ran.err.find("in0"), std::string::npos) << ran.err;
  EXPECT_EQ(ran.err.find("in4"), std::string::npos) << ran.err;
  EXPECT_EQ(shell("ls out*").out, "out0\nout1\nout3\nout4\nout6\n"); // what succeeded is there
}

// The interface of a library: sequences behind each other in memory.
TEST_F(Batch, cInterface) {
  prepare(attentionModel);
  writeFile(folder / "main.c", R"(
#include "attn.h"
#include <stdio.h>
#include <string.h>
int main(void) {
  enum { N = 5, T = 3, D = 4 };
  float x[N * T * D], alone[N * T * D], together[N * T * D];
  attn_error error = {sizeof error};
  attn_model *model = attn_open(NULL, &error);
  attn_session *session = attn_session_open(model, &error);
  attn_arguments arguments = {sizeof arguments};
  int i, status = 0;
  for (i = 0; i < N * T * D; ++i)
    x[i] = (float)(i * 7 % 11) * 0.125f;
  arguments.T = T;
  for (i = 0; i < N; ++i) {
    arguments.x = x + i * T * D;
    arguments.y = alone + i * T * D;
    status |= attn_run(session, &arguments, &error);
  }
  arguments.x = x;
  arguments.y = together;
  status |= attn_run_batch(session, N, &arguments, &error);
  printf("%d %d\n", status, memcmp(alone, together, sizeof alone));
  status = attn_run_batch(session, 0, &arguments, &error);
  printf("%d %s\n", status, error.text);
  attn_session_close(session);
  attn_close(model);
  return 0;
}
)");
  ASSERT_EQ(qkv("build m.qkv --shared --with-batch --weights w.safetensors").code, 0);
  Ran built = shell("cc -std=c99 -Wall -Wextra -Wno-missing-field-initializers -Werror main.c -o "
                    "main -L. -lattn -Wl,-rpath,$PWD");
  ASSERT_EQ(built.code, 0) << built.err;
  EXPECT_EQ(shell("./main").out, "0 0\n-1 0 sequences, expected 1 to 1048576\n");
  Ran names = shell("nm -D --defined-only libattn.so | sed 's/.* //' | sort | tr '\\n' ' '");
  EXPECT_EQ(names.out, "attn_close attn_open attn_run attn_run_batch attn_session_close "
                       "attn_session_open ");
}

} // namespace
