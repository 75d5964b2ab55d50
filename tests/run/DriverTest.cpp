// The driver's command line: what it prints, which files it makes, how it says no.
#include "tests/run/Models.h"
#include "tests/run/Support.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

using namespace qkv;
using namespace qkv::test;

namespace {

const std::string qkvProgram = QKV_DRIVER;

struct Driver : testing::Test {
  Folder folder;
  std::string attention = folder / "attention.qkv", lookup = folder / "lookup.qkv",
              counter = folder / "counter.qkv", input = folder / "in.safetensors",
              weights = folder / "w.safetensors", output = folder / "out.safetensors";
  std::unique_ptr<Checked> model;
  Trial trial;

  Driver() {
    writeFile(attention, attentionModel);
    writeFile(lookup, lookupModel);
    writeFile(counter, counterModel);
    model = checkText(attentionModel, "attention.qkv");
    EXPECT_TRUE(model->program) << model->diagnostics;
    trial = makeTrial(*model->program, {});
    writeInputs(*model->program, trial, input);
    writeWeights(*model->program, trial, weights);
  }
  /// In the test's folder, so that messages and outputs are short.
  Ran qkv(const std::string &arguments, const std::string &standardInput = "") {
    return test::run("cd '" + folder.path() + "' && '" + qkvProgram + "' " + arguments,
                     standardInput);
  }
  Ran shell(const std::string &command, const std::string &standardInput = "") {
    return test::run("cd '" + folder.path() + "' && " + command, standardInput);
  }
  void expectRight(const std::string &path) {
    Oracle oracle = expect(*model->program, trial, resultTensors(*model->program));
    EXPECT_EQ(differs(*model->program, oracle, readResults(*model->program, path)), "");
  }
  bool exists(const std::string &name) {
    struct stat status;
    return stat((folder / name).c_str(), &status) == 0;
  }
  const std::string io = " --input in.safetensors --output out.safetensors";
  const std::string wio = " --weights w.safetensors" + io;
};

void expectSays(const Ran &ran, int code, const std::string &text) {
  EXPECT_EQ(ran.code, code) << ran.out << ran.err;
  EXPECT_NE((ran.err + ran.out).find(text), std::string::npos)
      << "expected: " << text << "\nsaid: " << ran.err << ran.out;
}

TEST_F(Driver, helpHasExamples) {
  expectSays(qkv("--help"), 0, "build");
  expectSays(qkv("--version"), 0, "qkv 0.");
  for (const char *command :
       {"check", "fmt", "interpret", "run", "build", "verify", "ir", "explain", "bench"})
    expectSays(qkv(std::string(command) + " --help"), 0, "examples:");
}

TEST_F(Driver, misuseIsTwo) {
  expectSays(qkv(""), 2, "a command is missing");
  expectSays(qkv("frobnicate"), 2, "there is no command frobnicate");
  expectSays(qkv("chekc attention.qkv"), 2, "there is no command chekc; did you mean check?");
  expectSays(qkv("check attention.qkv --weigths w"), 2, "did you mean --weights?");
  expectSays(qkv("check"), 2, "see qkv check --help");
  expectSays(qkv("check --nonsense attention.qkv"), 2, "--nonsense");
  expectSays(qkv("run attention.qkv" + io), 2, "--weights");
  expectSays(qkv("run attention.qkv --weights w.safetensors"), 2, "--input");
  expectSays(qkv("run attention.qkv --threads many" + wio), 2, "--threads");
  expectSays(qkv("ir --stage middle attention.qkv"), 2, "middle");
  expectSays(qkv("verify --size X=3 attention.qkv"), 2, "no dynamic size X");
  expectSays(qkv("verify --size T=99 attention.qkv"), 2, "1 to 64");
  expectSays(qkv("build attention.qkv"), 2, "--no-weights");
  expectSays(qkv("build attention.qkv --no-weights --object --shared"), 2, "exclude");
  expectSays(qkv("build attention.qkv --embed-weights"), 2, "--weights");
  expectSays(qkv("build attention.qkv --no-weights --cpu 8086"), 1, "8086");
}

TEST_F(Driver, check) {
  Ran good = qkv("check attention.qkv");
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_EQ(good.out + good.err, "");
  expectSays(qkv("check missing.qkv"), 1, "missing.qkv");
  writeFile(folder / "bad.qkv",
            "size D = 4\nindex d < D\nmodel m(x[d]) -> y[d] {\n  y[d] = z[d]\n}\n");
  Ran bad = qkv("check bad.qkv");
  expectSays(bad, 1, "bad.qkv:4:10: error:");
  EXPECT_EQ(bad.err.find('\x1b'), std::string::npos) << "colour without a terminal";
  expectSays(qkv("check - ", "model m(\n"), 1, "error:");
  // One sentence of what is no text.
  EXPECT_EQ(qkv("check w.safetensors").err,
            "qkv check: error: w.safetensors has no config.json, so nothing says what model it is "
            "of: name a model file with --weights w.safetensors\n");
  EXPECT_EQ(qkv("fmt w.safetensors").code, 1);
  expectSays(qkv("check '" + qkvProgram + "'"), 1, "is a program or an object file, not a model");
  auto list = nlohmann::json::parse(qkv("check --json bad.qkv").out);
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0]["line"], 4);
  EXPECT_EQ(list[0]["column"], 10);
  EXPECT_EQ(list[0]["severity"], "error");
  EXPECT_EQ(nlohmann::json::parse(qkv("check --json attention.qkv").out).size(), 0u);
}

TEST_F(Driver, checkReadsTheConfiguration) {
  writeFile(folder / "c.qkv", "size D = config(\"width\")\nindex d < D\nmodel m(x[d]) -> y[d] {\n"
                              "  y[d] = 2 * x[d]\n}\n");
  expectSays(qkv("check c.qkv"), 1, "width");
  writeFile(folder / "config.json", "");
  expectSays(qkv("check c.qkv --weights ."), 1, "config.json is empty");
  writeFile(folder / "config.json", "{\"other\": 1,\n \"width\": 3,}");
  expectSays(qkv("check c.qkv --weights ."), 1, "config.json is not JSON (line 2, column 13)");
  writeFile(folder / "config.json", "{\"temperature\": -Infinity, \"width\": 3}");
  EXPECT_EQ(qkv("check c.qkv --weights .").code, 0);
  writeFile(folder / "config.json", "{\"width\": 3}");
  EXPECT_EQ(qkv("check c.qkv --weights .").code, 0);
  EXPECT_EQ(qkv("check c.qkv --weights w.safetensors").code, 0);
}

TEST_F(Driver, fmt) {
  writeFile(folder / "f.qkv",
            "size  D=4\nindex d<D\nmodel m(x[d])->y[d]{\n y[d]=2*x[d] # twice\n}\n");
  Ran shown = qkv("fmt f.qkv");
  EXPECT_EQ(shown.code, 0);
  EXPECT_NE(shown.out.find("# twice"), std::string::npos);
  EXPECT_EQ(qkv("fmt -", readFile(folder / "f.qkv")).out, shown.out);
  expectSays(qkv("fmt --check f.qkv"), 1, "f.qkv");
  EXPECT_EQ(qkv("fmt -i f.qkv").code, 0);
  EXPECT_EQ(readFile(folder / "f.qkv"), shown.out);
  EXPECT_EQ(qkv("fmt --check f.qkv").code, 0);
  writeFile(folder / "broken.qkv", "model (\n");
  EXPECT_EQ(qkv("fmt -i broken.qkv").code, 1);
  EXPECT_EQ(readFile(folder / "broken.qkv"), "model (\n");
}

TEST_F(Driver, interpretRunAndBuildAgree) {
  Ran ran = qkv("interpret attention.qkv" + wio);
  ASSERT_EQ(ran.code, 0) << ran.err;
  expectRight(output);
  unlink(output.c_str());
  ran = qkv("run attention.qkv" + wio);
  ASSERT_EQ(ran.code, 0) << ran.err;
  expectRight(output);
  unlink(output.c_str());
  ran = qkv("build attention.qkv --weights w.safetensors");
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out + ran.err, "");
  EXPECT_TRUE(exists("attn.weights"));
  ran = shell("./attn" + io);
  ASSERT_EQ(ran.code, 0) << ran.err;
  expectRight(output);
}

TEST_F(Driver, builtProgramNeedsLibcAlone) {
  ASSERT_EQ(qkv("build attention.qkv --no-weights -o a").code, 0);
  Ran needed = shell("ldd ./a");
  EXPECT_EQ(needed.out.find("stdc++"), std::string::npos) << needed.out;
  EXPECT_EQ(needed.out.find("LLVM"), std::string::npos) << needed.out;
  expectSays(shell("./a --help"), 0, "attn");
  expectSays(shell("./a" + io), 1, "weights");
  EXPECT_EQ(shell("./a" + wio).code, 0);
  expectRight(output);
}

TEST_F(Driver, weightsInsideMoveAlong) {
  Ran ran = qkv("build attention.qkv --weights w.safetensors --embed-weights -o inside");
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_FALSE(exists("inside.weights"));
  ASSERT_EQ(shell("mkdir sub && mv inside sub/other && unset X && sub/other" + io).code, 0);
  expectRight(output);
}

TEST_F(Driver, buildsAreReproducible) {
  ASSERT_EQ(qkv("build attention.qkv --weights w.safetensors --embed-weights -o one").code, 0);
  ASSERT_EQ(qkv("build attention.qkv --weights w.safetensors --embed-weights -o two").code, 0);
  EXPECT_EQ(readFile(folder / "one"), readFile(folder / "two"));
}

TEST_F(Driver, processorsByName) {
  for (const char *cpu : {"x86-64", "haswell", "x86-64-v3"}) {
    SCOPED_TRACE(cpu);
    unlink(output.c_str());
    Ran ran = qkv(std::string("build attention.qkv --no-weights -o c --cpu ") + cpu);
    ASSERT_EQ(ran.code, 0) << ran.err;
    ran = shell("./c" + wio);
    ASSERT_EQ(ran.code, 0) << ran.err;
    expectRight(output);
  }
}

TEST_F(Driver, anyStageCompilesOn) {
  Ran straight = qkv("run attention.qkv --output straight" + std::string(" --weights w.safetensors "
                                                                         "--input in.safetensors"));
  ASSERT_EQ(straight.code, 0) << straight.err;
  for (const char *stage : {"graph", "fused", "kernels", "llvm", "llvm --ll"}) {
    SCOPED_TRACE(stage);
    unlink(output.c_str());
    std::string file = std::string(stage) == "llvm --ll" ? "dump.ll" : "dump.mlir";
    Ran dumped = qkv(std::string("ir attention.qkv --full -o ") + file + " --stage " + stage);
    ASSERT_EQ(dumped.code, 0) << dumped.err;
    Ran ran = qkv("run " + file + wio);
    ASSERT_EQ(ran.code, 0) << ran.err;
    expectRight(output);
    unlink(output.c_str());
    ran = qkv("run - " + wio, readFile(folder / file));
    ASSERT_EQ(ran.code, 0) << ran.err;
    expectRight(output);
    ASSERT_EQ(qkv("build --no-weights -o staged " + file).code, 0);
    ASSERT_EQ(shell("./staged" + wio).code, 0);
    expectRight(output);
  }
  // A dump goes on to later stages only.
  ASSERT_EQ(qkv("ir --full --stage kernels attention.qkv -o k.mlir").code, 0);
  EXPECT_EQ(qkv("ir --stage llvm k.mlir").code, 0);
  expectSays(qkv("ir --stage graph k.mlir"), 1, "stage kernels");
  writeFile(folder / "junk.mlir", "this is no module");
  expectSays(qkv("run junk.mlir" + wio), 1, "junk.mlir");
  writeFile(folder / "empty.mlir", "module {}");
  expectSays(qkv("run empty.mlir" + wio), 1, "qkv.stage");
  expectSays(qkv("run --from llvm empty.mlir" + wio), 1, "qkv.description");
}

// For people: the first line says so; no locations, short types, equations over what they became,
// the description at the end. What is read back must have been printed with --full.
TEST_F(Driver, shortFormsAreForPeople) {
  for (const char *stage : {"graph", "fused", "kernels", "llvm", "llvm --ll"}) {
    SCOPED_TRACE(stage);
    std::string mark = std::string(stage) == "llvm --ll" ? ";" : "//";
    Ran brief = qkv(std::string("ir attention.qkv --stage ") + stage);
    Ran full = qkv(std::string("ir attention.qkv --full --stage ") + stage);
    ASSERT_EQ(brief.code, 0) << brief.err;
    ASSERT_EQ(full.code, 0) << full.err;
    std::string first = brief.out.substr(0, brief.out.find('\n'));
    EXPECT_EQ(first.rfind(mark + " qkv ir: stage ", 0), 0u) << first;
    EXPECT_NE(first.find("the short form: for people; --full prints what compiles on"),
              std::string::npos);
    EXPECT_NE(full.out.substr(0, full.out.find('\n')).find("in full: compiles on from here"),
              std::string::npos);
    EXPECT_LT(brief.out.size(), full.out.size());
    for (const char *noise : {" loc(", "#loc", "!dbg", "qkv.description", "memref<", "vector<"})
      EXPECT_EQ(brief.out.find(noise), std::string::npos) << noise;
    EXPECT_NE(brief.out.find(mark + " line 5: score[i,j] = sum[d](q[i,d] * k[j,d]) / "
                                    "sqrt(extent(d))\n"),
              std::string::npos)
        << brief.out;
    size_t description = brief.out.find(mark + " ---- what a caller must know of the model\n");
    ASSERT_NE(description, std::string::npos);
    EXPECT_GT(description, brief.out.rfind("\n}"));
    EXPECT_NE(brief.out.find("\"generator_input\": -1", description), std::string::npos);
    for (const char *command : {"run", "build --no-weights", "explain", "ir --stage llvm"}) {
      std::string file = mark == ";" ? "short.ll" : "short.mlir";
      writeFile(folder / file, brief.out);
      std::string rest = std::string(command) == "run" ? wio : "";
      expectSays(qkv(std::string(command) + " " + file + rest), 1, "qkv ir --full");
      expectSays(qkv(std::string(command) + " - " + rest, brief.out), 1, "qkv ir --full");
    }
  }
  Ran part = qkv("ir attention.qkv --stage graph --line 5");
  writeFile(folder / "part.mlir", part.out);
  expectSays(qkv("run part.mlir" + wio), 1, "qkv ir --full");
  // Of the library: its own lines.
  writeFile(folder / "n.qkv", "use nn\nsize T = dynamic(max: 9)\nindex t < T, c < 4\n"
                              "model n(x[t,c]) -> y[t,c] {\n  y = rms_norm(x) from \"\"\n}\n");
  Ran library = qkv("ir n.qkv --stage graph");
  EXPECT_NE(library.out.find("nn.qkv:"), std::string::npos) << library.out;
  EXPECT_NE(library.out.find("rsqrt(mean[c](x[i,c] ^ 2) + eps)"), std::string::npos) << library.out;
}

TEST_F(Driver, astParsesBack) {
  Ran ast = qkv("ir --stage ast attention.qkv");
  ASSERT_EQ(ast.code, 0) << ast.err;
  EXPECT_NE(ast.out.find("# index i < T"), std::string::npos) << ast.out;
  EXPECT_NE(ast.out.find("softmax[j]"), std::string::npos);
  EXPECT_EQ(qkv("check -", ast.out).code, 0);
  EXPECT_NE(qkv("ir --stage ast attention.qkv --line 7").out.find("sum[j]"), std::string::npos);
}

TEST_F(Driver, partsOfAStage) {
  for (const char *stage : {"graph", "kernels", "llvm", "llvm --ll", "asm"}) {
    SCOPED_TRACE(stage);
    Ran whole = qkv(std::string("ir attention.qkv --stage ") + stage);
    Ran line = qkv(std::string("ir attention.qkv --line 5 --stage ") + stage);
    ASSERT_EQ(line.code, 0) << line.err;
    EXPECT_GT(line.out.size(), 20u);
    EXPECT_LT(line.out.size(), whole.out.size() / 2);
  }
  Ran function = qkv("ir attention.qkv --function attn --stage graph");
  expectSays(function, 0, "@attn");
  expectSays(qkv("ir attention.qkv --function nothing --stage graph"), 1, "no function nothing");
  // Line 2 declares letters: no code comes from it.
  expectSays(qkv("ir attention.qkv --line 2 --stage asm"), 1, "line 2");
  Ran assembly = qkv("ir attention.qkv --stage asm");
  EXPECT_NE(assembly.out.find("# attention.qkv:5: score[i,j] = sum[d]"), std::string::npos);
  writeFile(folder / "a.s", assembly.out);
  EXPECT_EQ(shell("cc -c a.s -o a.o").code, 0);
}

TEST_F(Driver, elements) {
  Ran one = qkv("interpret attention.qkv --weights w.safetensors --input in.safetensors "
                "--element 'y[2,1]' --element 'y[0,0]'");
  ASSERT_EQ(one.code, 0) << one.err;
  Oracle oracle = expect(*model->program, trial, resultTensors(*model->program));
  double y00 = oracle.values[0].exact.floats[0], y21 = oracle.values[0].exact.floats[9];
  double first = 0, second = 0;
  ASSERT_EQ(sscanf(one.out.c_str(), "y[2,1] = %lf\ny[0,0] = %lf", &first, &second), 2) << one.out;
  EXPECT_EQ(first, y21);
  EXPECT_EQ(second, y00);
  std::string start = "interpret attention.qkv --weights w.safetensors --input in.safetensors ";
  expectSays(qkv(start + "--element 'y[2]'"), 2, "2 indices");
  expectSays(qkv(start + "--element 'y[2,9]'"), 2, "outside 0 to 3");
  expectSays(qkv(start + "--element 'yy[2,1]'"), 2, "no tensor yy");
  expectSays(qkv(start + "--element 'y[two,1]'"), 2, "not a whole number");
}

TEST_F(Driver, textGeneration) {
  for (const char *how : {"run counter.qkv", "interpret counter.qkv"}) {
    Ran ran = qkv(std::string(how) + " --prompt abc --max-tokens 4");
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.out, "defg\n");
  }
  ASSERT_EQ(qkv("build counter.qkv").code, 0);
  EXPECT_EQ(shell("./counter --max-tokens 2", "xy").out, "z{\n");
  EXPECT_EQ(shell("./counter --batch 2 --max-tokens 1", "a\nb\nc\n").out, "b\nc\nd\n");
  expectSays(qkv("run attention.qkv --prompt x" + wio), 2, "not a generator");
}

TEST_F(Driver, runTimeErrorsNameThePlace) {
  auto checked = checkText(lookupModel, "lookup.qkv");
  ASSERT_TRUE(checked->program) << checked->diagnostics;
  Trial bad = makeTrial(*checked->program, {});
  bad.inputs[checked->program->inputs[0]].ints[1] = 77;
  writeInputs(*checked->program, bad, input);
  for (const char *how : {"run", "interpret"}) {
    Ran ran = qkv(std::string(how) + " lookup.qkv" + io);
    expectSays(ran, 1, "lookup.qkv:5:");
    expectSays(ran, 1, "77");
    EXPECT_FALSE(exists("out.safetensors"));
  }
  ASSERT_EQ(qkv("build lookup.qkv").code, 0);
  expectSays(shell("./lookup" + io), 1, "lookup.qkv:5:");
}

// T2: the same message of the same place, whatever computes it, for ints and floats. Where the
// division takes no part there is no error.
TEST_F(Driver, zeroDivisorsNameThePlace) {
  struct Case {
    const char *body, *message;
  };
  const Case cases[] = {
      {"y[i] = a[i] // b[i]", "z.qkv:4:10: error: the divisor of // is 0 [T2]"},
      {"y[i] = 1 + a[i] % b[i]", "z.qkv:4:14: error: the divisor of % is 0 [T2]"},
      {"y[i] = n[i] // m[i]", "z.qkv:4:10: error: the divisor of // is 0 [T2]"},
      {"y[i] = n[i] % m[i]", "z.qkv:4:10: error: the divisor of % is 0 [T2]"},
      {"y[i] = sum[j](a[j] // b[j] where j <= i)", "z.qkv:4:17: error: the divisor of // is 0"},
      {"y[i] = a[i] % (i - 2 + 0.0)", "z.qkv:4:10: error: the divisor of % is 0 [T2]"},
      {"y[i] = if b[i] != 0 then a[i] // b[i] else 7", ""},
      {"y[i] = if m[i] != 0 then n[i] % m[i] else 7", ""},
      {"y[i] = max[j](a[j] % b[j] where j < 2)", ""},
  };
  for (const Case &c : cases) {
    SCOPED_TRACE(c.body);
    std::string text = std::string("size T = dynamic(max: 8)\nindex i < T, j < T\n"
                                   "model z(a[i], b[i], n[i] : int, m[i] : int) -> y[i] {\n  ") +
                       c.body + "\n}\n";
    writeFile(folder / "z.qkv", text);
    auto checked = checkText(text, "z.qkv");
    ASSERT_TRUE(checked->program) << checked->diagnostics;
    const Program &program = *checked->program;
    TrialOptions five;
    five.sizes = {{"T", 5}};
    Trial zero = makeTrial(program, five);
    zero.inputs[program.inputs[1]].floats = {2, -3, 0, 0.5, 0};
    zero.inputs[program.inputs[3]].ints = {2, -3, 0, 1, 0};
    writeInputs(program, zero, input);
    unlink(output.c_str());
    Ran interpreted = qkv("interpret z.qkv" + io), jit = qkv("run z.qkv" + io);
    ASSERT_EQ(qkv("build z.qkv").code, 0);
    Ran built = shell("./z" + io);
    expectSays(interpreted, *c.message ? 1 : 0, c.message);
    for (const Ran *ran : {&jit, &built}) {
      EXPECT_EQ(ran->code, interpreted.code);
      EXPECT_EQ(ran->out, interpreted.out);
      EXPECT_EQ(ran->err, interpreted.err);
    }
  }
}

TEST_F(Driver, badFiles) {
  expectSays(qkv("run attention.qkv --weights nowhere.safetensors" + io), 1, "nowhere.safetensors");
  expectSays(qkv("run attention.qkv --weights w.safetensors --input w.safetensors"), 1, "x");
  writeFile(folder / "junk.safetensors", "not safetensors at all, whatever its name says");
  for (const char *what : {"--weights junk.safetensors --input in.safetensors",
                           "--weights w.safetensors --input junk.safetensors"})
    for (const char *how : {"run", "interpret"})
      expectSays(qkv(std::string(how) + " attention.qkv " + what), 1, "junk.safetensors");
  expectSays(qkv("build attention.qkv --weights junk.safetensors -o never"), 1, "junk.safetensors");
  EXPECT_FALSE(exists("never"));
  expectSays(qkv("build attention.qkv --no-weights -o missing/never"), 1, "missing/never");
  expectSays(qkv("build attention.qkv --no-weights -o ."), 1, "folder");
}

TEST_F(Driver, linksWithLldWhereThereIsNoCc) {
  ASSERT_EQ(shell("mkdir path && ln -s $(command -v ld.lld-22 || command -v ld.lld) path/ld.lld "
                  "|| true")
                .code,
            0);
  if (!exists("path/ld.lld"))
    GTEST_SKIP() << "no lld here";
  Ran ran = shell("PATH=$PWD/path '" + qkvProgram + "' build attention.qkv --no-weights -o l");
  ASSERT_EQ(ran.code, 0) << ran.err;
  ASSERT_EQ(shell("./l" + wio).code, 0);
  expectRight(output);
  ran = shell("PATH=$PWD/path '" + qkvProgram + "' build attention.qkv --shared -o l.so");
  EXPECT_EQ(ran.code, 0) << ran.err;
  expectSays(shell("mkdir none; PATH=$PWD/none '" + qkvProgram +
                   "' build attention.qkv --no-weights -o n"),
             1, "apt-get install");
  EXPECT_FALSE(exists("n"));
  expectSays(
      shell("QKV_RUNTIME_DIR=$PWD/none '" + qkvProgram + "' build attention.qkv --no-weights -o n"),
      1, "libqkv_rt.a");
}

TEST_F(Driver, verify) {
  Ran ran = qkv("verify attention.qkv --seed 3 --size T=9");
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_NE(ran.out.find("T=9"), std::string::npos);
  auto report = nlohmann::json::parse(qkv("verify counter.qkv --json").out);
  EXPECT_TRUE(report["same"]);
  EXPECT_EQ(report["stages"].size(), verifiedStages().size());
  EXPECT_EQ(qkv("verify attention.qkv --weights w.safetensors").code, 0);
}

} // namespace
