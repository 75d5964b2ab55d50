// Intermediate tensors as results: which a name means, what is computed of them, and that the
// model's own results keep their bits.
#include "compiler/trace/Trace.h"
#include "compiler/description/Description.h"
#include "runtime/checkpoint/Safetensors.h"
#include "runtime/program/Trace.h"
#include "runtime/tensors/TraceNames.h"
#include "tests/run/Support.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace qkv;
using namespace qkv::test;

namespace {

/// Attention in a repeat and outside of one, a recurrence with a start outside of it, a function
/// under a guard, a table.
const char *const layers = R"(
size T = dynamic(max: 96), C = 32, H = 2, D = C / H, L = 2
index i < T, j < T, c < C, h < H, d < D, o < C
fn scale(a) -> b { b = 2 * a }
block look(x[i,c]) -> z[i,c] {
  index j < extent(i)
  param W[h,d,c] = "query", U[h,d,c] = "key"
  query[h,i,d] = sum[c](W[h,d,c] * x[i,c])
  key[h,i,d]   = sum[c](U[h,d,c] * x[i,c])
  score[h,i,j] = sum[d](query[h,i,d] * key[h,j,d]) / sqrt(D)
  alpha[h,i,j] = softmax[j](score[h,i,j] where j <= i)
  z[i,(h,d)]   = sum[j](alpha[h,i,j] * key[h,j,d])
}
model layers(x[i,c]) -> y[i,c] {
  angle[i,c] = i / 10 ^ (c / C)
  placed[i,c] = x[i,c] + sin(angle[i,c])
  x = placed
  repeat l < L {
    found = look(x) from "layers.{l}.self."
    again = look(found) from "layers.{l}.again."
    x = x + again
  }
  s[-1,c] = 0
  s[i,c]  = tanh(x[i,c] + 0.5 * s[i-1,c])
  far[i,c] = if i >= 3 then scale(s[i-3,c]) else 0
  y[i,c] = s[i,c] + far[i,c]
}
)";

std::optional<Program> traced(const Program &program, const std::string &names,
                              std::string &error) {
  return trace::traceOf(program, rt::traceNames(names), error);
}

/// The results of a trace, with their shapes; or the error.
std::string resultsOf(const std::string &names, const char *text = layers) {
  auto checked = checkText(text, "m.qkv");
  EXPECT_TRUE(checked->program) << checked->diagnostics;
  std::string out;
  std::optional<Program> trace = traced(*checked->program, names, out);
  if (!trace)
    return out;
  for (const Result &result : trace->results) {
    out += (out.empty() ? "" : " ") + result.name + "[";
    for (const Axis &axis : trace->tensors[result.tensor].axes)
      out += (out.back() == '[' ? "" : ",") + axis.name + "<" + axis.extent.text(trace->atoms);
    out += "]";
  }
  return out;
}

TEST(Trace, namesMeanTheirLastWords) {
  for (auto [asked, name, means] : {std::tuple("alpha", "alpha", true),
                                    {"alpha", "encoder.alpha", true},
                                    {"encoder.alpha", "a.encoder.alpha", true},
                                    {"coder.alpha", "encoder.alpha", false},
                                    {"encoder.alpha", "alpha", false},
                                    {"x", "x#2", true},
                                    {"x#2", "x#2", true},
                                    {"x#3", "x#2", false},
                                    {"layers.*.x", "e.layers.3.x", true},
                                    {"layers.*.x", "e.layers.x", false},
                                    {"layers.3.x", "e.layers.*.x", false},
                                    {"*", "e.x", true},
                                    {"", "x", true}})
    EXPECT_EQ(rt::meansTensor(asked, name), means) << asked << " " << name;
  EXPECT_EQ(rt::traceNames("a,b.c,,d"), (std::vector<std::string>{"a", "b.c", "d"}));
}

TEST(Trace, stepsOfARepeatAreOneResult) {
  EXPECT_EQ(resultsOf("self.alpha"), "layers.*.self.alpha[l<2,h<2,i<T,j<T]");
  EXPECT_EQ(resultsOf("alpha"),
            "layers.*.again.alpha[l<2,h<2,i<T,j<T] layers.*.self.alpha[l<2,h<2,i<T,j<T]");
  EXPECT_EQ(resultsOf("layers.1.self.alpha"), "layers.1.self.alpha[h<2,i<T,j<T]");
  EXPECT_EQ(resultsOf("layers.1.*.alpha"), "layers.1.self.alpha[h<2,i<T,j<T] "
                                           "layers.1.again.alpha[h<2,i<T,j<T]");
  EXPECT_EQ(resultsOf("s,s,angle"), "s[i<T,c<32] angle[i<T,c<32]");
  EXPECT_EQ(resultsOf("x"), "*.x[l<2,_0<T,_1<32] x#2[_0<T,_1<32]");
}

TEST(Trace, unknownNamesAreErrors) {
  EXPECT_EQ(resultsOf("alhpa"), "model layers has no tensor alhpa; did you mean alpha?");
  EXPECT_EQ(resultsOf("slef.alpha"), "model layers has no tensor slef.alpha; did you mean "
                                     "layers.*.again.alpha?");
  EXPECT_EQ(resultsOf("layers.2.self.alpha").substr(0, 50),
            "model layers has no tensor layers.2.self.alpha; di");
  EXPECT_EQ(resultsOf("nothing_like_it"), "model layers has no tensor nothing_like_it");
  EXPECT_EQ(resultsOf("W"), "W is a parameter: what can be traced is what equations define");
}

/// Every stage of the trace's program computes what the interpreter does; and a name means the
/// values that the interpreter has for the tensor itself.
TEST(Trace, agreesWithTheInterpreter) {
  auto checked = checkText(layers, "m.qkv");
  ASSERT_TRUE(checked->program) << checked->diagnostics;
  const Program &program = *checked->program;
  std::string error;
  std::optional<Program> trace =
      traced(program, "alpha,self.z,x,s,far,angle,layers.1.self.query", error);
  ASSERT_TRUE(trace) << error;
  TrialOptions wanted;
  wanted.sizes["T"] = 40; // (fewer keys are no fused attention)
  Trial trial = makeTrial(program, wanted);
  for (const char *only : {"equations", "kernels"}) {
    VerifyOptions options;
    options.only = {only};
    VerifyReport report = verify(*trace, trial, options);
    EXPECT_FALSE(report.stages.empty());
    for (const StageReport &stage : report.stages)
      EXPECT_TRUE(stage.same) << stage.stage << ": " << stage.failure
                              << (stage.difference ? stage.difference->text : "");
  }
  auto tensor = [&](const std::string &name) {
    for (size_t t = 0; t < program.tensors.size(); ++t)
      if (program.tensors[t].name == name)
        return static_cast<int>(t);
    ADD_FAILURE() << "no tensor " << name;
    return 0;
  };
  auto result = [&](const std::string &name) {
    for (const Result &one : trace->results)
      if (one.name == name)
        return one.tensor;
    ADD_FAILURE() << "no result " << name;
    return 0;
  };
  std::vector<Values> own, shown;
  interpret(program, trial, {tensor("layers.1.self.alpha"), tensor("s")}, own);
  interpret(*trace, trial, {result("layers.*.self.alpha"), result("s")}, shown);
  ASSERT_EQ(own.size(), 2u);
  ASSERT_EQ(shown.size(), 2u);
  size_t half = shown[0].floats.size() / 2; // step 1
  EXPECT_EQ(std::vector<double>(shown[0].floats.begin() + half, shown[0].floats.end()),
            own[0].floats);
  EXPECT_EQ(shown[1].floats, own[1].floats);
}

const char *const counter = R"(
size T = stream(max: 40), S = dynamic(max: 40), V = 258
index i < T, j < S, v < V
model counter(source[j] : token, tokens[i] : token) -> logits[i,v] {
  param W[v] = "w"
  score[i,j] = 0.01 * source[j] * (tokens[i] % 7)
  alpha[i,j] = softmax[j](score[i,j])
  read[i]    = sum[j](alpha[i,j] * W[source[j]])
  far[i]     = sum[u](W[tokens[u]] where u <= i)
  index u < T
  logits[i,v] = if v == (tokens[i] + 1) % 256 then 1 + 0 * read[i] else if tokens[i] == 101 and v == 257 then 2 else 0.001 * far[i]
}
)";

struct Commands : testing::Test {
  Folder folder;
  std::unique_ptr<Checked> model = checkText(layers, "layers.qkv");
  Trial trial;

  Commands() {
    EXPECT_TRUE(model->program) << model->diagnostics;
    writeFile(folder / "layers.qkv", layers);
    writeFile(folder / "counter.qkv", counter);
    TrialOptions wanted;
    wanted.sizes["T"] = 40;
    trial = makeTrial(*model->program, wanted);
    writeInputs(*model->program, trial, folder / "in.safetensors");
    writeWeights(*model->program, trial, folder / "w.safetensors");
    auto other = checkText(counter, "counter.qkv");
    EXPECT_TRUE(other->program) << other->diagnostics;
    writeWeights(*other->program, makeTrial(*other->program, {}), folder / "c.safetensors");
  }
  Ran shell(const std::string &command, const std::string &input = "") const {
    return test::run("cd '" + folder.path() + "' && " + command, input);
  }
  Ran qkv(const std::string &arguments, const std::string &input = "") const {
    return shell("'" QKV_DRIVER "' " + arguments, input);
  }
  /// The elements of a tensor in a file that was written.
  std::vector<float> floats(const std::string &file, const std::string &name) const {
    qkv_error error = {};
    error.size = sizeof error;
    auto opened = rt::Safetensors::open(folder / file, &error);
    const rt::FileTensor *tensor = opened ? opened->find(name) : nullptr;
    EXPECT_TRUE(tensor) << file << " has no " << name << " " << error.text;
    if (!tensor)
      return {};
    const auto *data = reinterpret_cast<const float *>(tensor->data);
    return {data, data + tensor->count()};
  }
  static double distance(const std::vector<float> &a, const std::vector<float> &b) {
    double most = a.size() == b.size() && !a.empty() ? 0 : INFINITY;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
      most = std::max(most, double(std::abs(a[i] - b[i])));
    return most;
  }
};

TEST_F(Commands, resultsKeepTheirBitsAndTraceIsRight) {
  std::string io = " --weights w.safetensors --input in.safetensors --output ";
  std::string names = " --trace alpha,s,far";
  for (const std::string &command :
       {"run layers.qkv" + io + "plain", "run layers.qkv" + io + "traced" + names,
        "interpret layers.qkv" + io + "meant" + names,
        std::string(
            "build layers.qkv --weights w.safetensors --traceable alpha,s,far -o layers")}) {
    Ran ran = qkv(command);
    ASSERT_EQ(ran.code, 0) << command << ran.err;
  }
  ASSERT_EQ(shell("./layers --input in.safetensors --output built --trace s,again.alpha").code, 0);
  ASSERT_EQ(shell("./layers --input in.safetensors --output own").code, 0);
  for (const char *file : {"traced", "built", "own"})
    EXPECT_EQ(distance(floats(file, "y"), floats("plain", "y")), 0) << file;
  for (const char *name : {"layers.*.self.alpha", "layers.*.again.alpha", "s", "far"})
    EXPECT_LE(distance(floats("traced", name), floats("meant", name)), 2e-6) << name;
  for (const char *name : {"layers.*.again.alpha", "s"})
    EXPECT_EQ(distance(floats("built", name), floats("traced", name)), 0) << name;
  EXPECT_EQ(readFile(folder / "built").find("far"), std::string::npos);
  EXPECT_EQ(readFile(folder / "own").find("alpha"), std::string::npos);
}

TEST_F(Commands, textIsTracedWhole) {
  std::string weights = " --weights c.safetensors", names = " --trace alpha,far --output ";
  Ran plain = qkv("run counter.qkv --prompt ab" + weights, "xyz\n");
  Ran traced = qkv("run counter.qkv --prompt ab" + weights + names + "t", "xyz\n");
  EXPECT_EQ(plain.code, 0) << plain.err;
  EXPECT_EQ(traced.code, 0) << traced.err;
  EXPECT_EQ(traced.out, plain.out);
  Ran meant = qkv("interpret counter.qkv --prompt ab" + weights + names + "m", "xyz\n");
  EXPECT_EQ(meant.out, plain.out) << meant.err;
  EXPECT_LE(distance(floats("t", "alpha"), floats("m", "alpha")), 2e-6);
  EXPECT_LE(distance(floats("t", "far"), floats("m", "far")), 2e-5);
  // The file has what was read and written, and can be run again.
  Ran again = qkv("run counter.qkv --input t --output again --trace far" + weights);
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(distance(floats("again", "far"), floats("t", "far")), 0);
  // Text in a built program; the program's own text is the same with and without.
  ASSERT_EQ(qkv("build counter.qkv --traceable alpha -o counter" + weights).code, 0);
  EXPECT_EQ(shell("./counter --prompt ab --trace alpha --output b", "xyz\n").out, plain.out);
  EXPECT_EQ(shell("./counter --prompt ab", "xyz\n").out, plain.out);
  EXPECT_EQ(distance(floats("b", "alpha"), floats("t", "alpha")), 0);
}

TEST_F(Commands, mistakes) {
  std::string w = " --weights w.safetensors", c = " --weights c.safetensors";
  for (const auto &[command, code, text] :
       {std::tuple("run layers.qkv --input in.safetensors --trace alhpa" + w, 1,
                   "layers.qkv: model layers has no tensor alhpa; did you mean alpha?"),
        {"build layers.qkv --traceable alhpa -o l" + w, 1, "did you mean alpha?"},
        {"build layers.qkv --traceable alpha --shared -o l.so" + w, 2,
         "--traceable goes with programs"},
        {"run counter.qkv --trace alpha" + c, 2, "--trace of text needs one --output FILE"},
        {"run counter.qkv --trace alpha --batch 2 --output t" + c, 2, "it goes with no --batch"},
        {"run counter.qkv --trace alpha --output t" + c, 1,
         "--trace is for one line, standard input has more"}}) {
    Ran ran = qkv(command, "abc\ndef\n");
    EXPECT_EQ(ran.code, code) << command;
    EXPECT_NE(ran.err.find(text), std::string::npos) << command << "\n" << ran.err;
  }
}

/// What a built program says of names that it was not built to trace.
TEST(Trace, ofABuiltProgram) {
  auto checked = checkText(layers, "m.qkv");
  ASSERT_TRUE(checked->program) << checked->diagnostics;
  std::string error;
  std::optional<Program> trace = traced(*checked->program, "alpha,s", error);
  ASSERT_TRUE(trace) << error;
  ModelInMemory model(describe(*checked->program, usedParams(*checked->program)));
  ModelInMemory other(describe(*trace, usedParams(*checked->program)));
  rt::Options options;
  options.trace = {"alpha"};
  EXPECT_EQ(rt::untraceable(model.model(), options),
            "model layers was built without --traceable: it has no --trace");
  options.traced = &other.model();
  EXPECT_EQ(rt::untraceable(model.model(), options), "");
  options.trace = {"self.alpha", "layers.*.again.alhpa"};
  EXPECT_EQ(rt::untraceable(model.model(), options),
            "--trace layers.*.again.alhpa means none of what model layers was built to trace "
            "(layers.*.again.alpha, layers.*.self.alpha, s); did you mean layers.*.again.alpha?");
}

} // namespace
