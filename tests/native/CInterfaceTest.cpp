// The C interface: programs in C and C++ around models, as shared libraries and as objects.
#include "compiler/description/Header.h"
#include "compiler/native/Link.h"
#include "tests/run/Models.h"
#include "tests/run/Support.h"

#include <gtest/gtest.h>

using namespace qkv;
using namespace qkv::test;

namespace {

// Two models in one program; prints what both compute, and their errors.
const char *const program = R"(
#include "attn.h"
#include "lookup.h"
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
  attn_error error;
  lookup_error error2;
  attn_model *model;
  attn_session *session;
  attn_arguments arguments;
  lookup_model *model2;
  lookup_session *session2;
  lookup_arguments arguments2;
  float x[12], y[12], table[15], y2[6];
  int64_t n[2];
  uint8_t big[2];
  int i, status;
  for (i = 0; i < 12; ++i)
    x[i] = (float)(i % 5) * 0.25f;
  for (i = 0; i < 15; ++i)
    table[i] = (float)i;
  memset(&error, 0, sizeof error);
  memset(&error2, 0, sizeof error2);
  error.size = sizeof error;
  error2.size = sizeof error2;

  model = attn_open("nowhere.safetensors", &error);
  printf("%d %d\n", model == NULL, strstr(error.text, "nowhere.safetensors") != NULL);
  model = attn_open(argc > 1 ? argv[1] : NULL, &error);
  if (!model) {
    printf("open: %s\n", error.text);
    return 1;
  }
  session = attn_session_open(model, &error);
  memset(&arguments, 0, sizeof arguments);
  arguments.size = sizeof arguments;
  arguments.x = x;
  arguments.y = y;
  arguments.T = 65;
  status = attn_run(session, &arguments, &error);
  printf("%d %s\n", status, error.text);
  arguments.T = 3;
  arguments.x = NULL;
  status = attn_run(session, &arguments, &error);
  printf("%d %s\n", status, error.text);
  arguments.x = x;
  printf("%d", attn_run(session, &arguments, &error));
  for (i = 0; i < 12; ++i)
    printf(" %.5f", y[i]);
  printf("\n");
  attn_session_close(session);
  attn_close(model);

  model2 = lookup_open(NULL, &error2);
  session2 = lookup_session_open(model2, &error2);
  memset(&arguments2, 0, sizeof arguments2);
  arguments2.size = sizeof arguments2;
  arguments2.T = 2;
  arguments2.n = n;
  arguments2.table = table;
  arguments2.y = y2;
  arguments2.big = big;
  n[0] = 4;
  n[1] = 1;
  status = lookup_run(session2, &arguments2, &error2);
  printf("%d %g %g %d %d\n", status, y2[0], y2[5], big[0], big[1]);
  n[1] = 5;
  arguments2.big = NULL;
  status = lookup_run(session2, &arguments2, &error2);
  printf("%d %s:%d %s\n", status, error2.file, (int)error2.line, error2.text);
  lookup_session_close(session2);
  lookup_close(model2);
  return 0;
}
)";

struct CInterface : testing::Test {
  Folder folder;
  std::string expected;

  CInterface() {
    writeFile(folder / "attn.qkv", attentionModel);
    writeFile(folder / "lookup.qkv", lookupModel);
    writeFile(folder / "main.c", program);
    writeFile(folder / "main.cpp", program);
    auto checked = checkText(attentionModel, "attn.qkv");
    EXPECT_TRUE(checked->program) << checked->diagnostics;
    Trial trial = makeTrial(*checked->program, {});
    writeWeights(*checked->program, trial, folder / "w.safetensors");
    trial.sizes = {3};
    Values &x = trial.inputs[checked->program->inputs[0]];
    x.shape = {3, 4};
    x.floats.clear();
    for (int i = 0; i < 12; ++i)
      x.floats.push_back(i % 5 * 0.25);
    Oracle oracle = expect(*checked->program, trial, resultTensors(*checked->program));
    for (double y : oracle.values[0].exact.floats)
      values.push_back(y);
  }
  Ran shell(const std::string &command) {
    return test::run("cd '" + folder.path() + "' && " + command);
  }
  Ran qkv(const std::string &arguments) {
    return shell(std::string("'") + QKV_DRIVER + "' " + arguments);
  }
  void expectRight(const Ran &ran) {
    ASSERT_EQ(ran.code, 0) << ran.out << ran.err;
    std::vector<std::string> lines;
    std::istringstream text(ran.out);
    for (std::string line; std::getline(text, line);)
      lines.push_back(line);
    ASSERT_EQ(lines.size(), 6u) << ran.out;
    EXPECT_EQ(lines[0], "1 1");
    EXPECT_EQ(lines[1], "-1 size T is 65, expected 1 to 64 [A4]");
    EXPECT_EQ(lines[2], "-1 input x is null");
    std::istringstream numbers(lines[3]);
    int code = -1;
    numbers >> code;
    EXPECT_EQ(code, 0);
    for (double value : values) {
      double got = 0;
      numbers >> got;
      EXPECT_NEAR(got, value, 2e-5);
    }
    EXPECT_EQ(lines[4], "0 24 10 1 0");
    EXPECT_EQ(lines[5].rfind("-1 lookup.qkv:5 ", 0), 0u) << lines[5];
    EXPECT_NE(lines[5].find("is 5"), std::string::npos) << lines[5];
  }
  std::vector<double> values;
};

TEST_F(CInterface, twoSharedLibrariesInC) {
  ASSERT_EQ(qkv("build attn.qkv --shared --weights w.safetensors").code, 0);
  Ran built = qkv("build lookup.qkv --shared");
  ASSERT_EQ(built.code, 0) << built.err;
  Ran compiled =
      shell("cc -std=c99 -Wall -Wextra -Wno-missing-field-initializers -pedantic -Werror "
            "main.c -o main -L. -lattn -llookup -Wl,-rpath,$PWD");
  ASSERT_EQ(compiled.code, 0) << compiled.err;
  // Weights beside the library, then by name.
  expectRight(shell("./main"));
  expectRight(shell("mkdir sub && cp main sub/prog && cd sub && ./prog"));
  expectRight(shell("./main w.safetensors"));
  // Nothing but the interface is seen.
  Ran names = shell("nm -D --defined-only libattn.so | sed 's/.* //' | sort");
  EXPECT_EQ(names.out, "attn_close\nattn_open\nattn_run\nattn_session_close\nattn_session_open\n");
}

TEST_F(CInterface, weightsInsideTheLibrary) {
  ASSERT_EQ(qkv("build attn.qkv --shared --weights w.safetensors --embed-weights").code, 0);
  ASSERT_EQ(qkv("build lookup.qkv --shared").code, 0);
  ASSERT_EQ(shell("test ! -e libattn.so.weights && cc main.c -o main -L. -lattn -llookup "
                  "-Wl,-rpath,$PWD")
                .code,
            0);
  expectRight(shell("./main"));
}

TEST_F(CInterface, twoObjectsInCpp) {
  ASSERT_EQ(qkv("build attn.qkv --object").code, 0);
  ASSERT_EQ(qkv("build lookup.qkv --object").code, 0);
  Ran archive = qkv("--runtime");
  ASSERT_EQ(archive.code, 0) << archive.err;
  Ran compiled = shell("c++ -std=c++11 -Wall -Wextra -Werror main.cpp attn.o lookup.o \"$('" +
                       std::string(QKV_DRIVER) + "' --runtime)\" -lm -lpthread -o main");
  ASSERT_EQ(compiled.code, 0) << compiled.err;
  expectRight(shell("./main w.safetensors"));
  Ran names = shell("nm --defined-only -g attn.o | sed 's/.* //' | sort");
  EXPECT_EQ(names.out, "attn_close\nattn_open\nattn_run\nattn_session_close\nattn_session_open\n");
}

// Names that are words of C, C++ or libc, and those of the runtime.
TEST_F(CInterface, awkwardNames) {
  const char *const text = R"(
size long = dynamic(max: 9), class = 2
index i < long, double < class
model MODEL(auto[i,double], x[double], new[i] : int) -> (x[double], while[i], T) {
  x = x * 2
  while[i] = new[i]
  T = 1.5
}
)";
  for (const char *name : {"main", "malloc", "qkv", "free", "int", "été", "expf", "memcpy"}) {
    SCOPED_TRACE(name);
    std::string model = text;
    model.replace(model.find("MODEL"), 5, name);
    writeFile(folder / "m.qkv", model);
    Ran built = qkv("build m.qkv --object -o m.o --header m.h");
    ASSERT_EQ(built.code, 0) << built.err << model;
    std::string prefix = std::string(name) == "qkv" ? std::string("model_") + name : name;
    std::string source =
        "#include \"m.h\"\n#include <stdio.h>\nint main(void) {\n  " + prefix +
        "_error e = {0};\n  e.size = sizeof e;\n  " + prefix + "_model *m = " + prefix +
        "_open(0, &e);\n  printf(\"%d\\n\", m != 0);\n  " + prefix + "_close(m);\n  return 0;\n}\n";
    writeFile(folder / "u.c", source);
    writeFile(folder / "u.cpp", source);
    Ran asC = shell("cc -Wall -Wno-missing-field-initializers u.c m.o \"$('" +
                    std::string(QKV_DRIVER) + "' --runtime)\" -lm -lpthread -o u && ./u");
    EXPECT_EQ(asC.out, "1\n") << asC.err;
    Ran asCpp = shell("c++ -c u.cpp -o u.o");
    EXPECT_EQ(asCpp.code, 0) << asCpp.err;
    EXPECT_EQ(qkv("build m.qkv -o prog").code, 0);
    EXPECT_EQ(shell("./prog --help").code, 0);
  }
}

// Names that C keeps for itself, and names that meet in the struct.
TEST(Header, namesThatCannotBeMembers) {
  const char *const names[] = {"_T",   "__x",      "_Bool", "___",    "_",     "int",
                               "size", "INT8_MAX", "T_MAX", "typeof", "size_T"};
  std::string sizes, letters, inputs, sum;
  for (size_t i = 0; i < std::size(names); ++i) {
    std::string k = std::to_string(i);
    if (std::string(names[i]) == "_" || std::string(names[i]) == "size")
      continue; // words of the language
    sizes += std::string(sizes.empty() ? "size " : ", ") + names[i] + " = dynamic(max: 10)";
    letters += std::string(letters.empty() ? "index " : ", ") + "i" + k + " < " + names[i];
    inputs += std::string(inputs.empty() ? "" : ", ") +
              (names[i] == std::string("_T") ? "__x" : "x" + k) + "[i" + k + "]";
  }
  auto checked = checkText(sizes + "\n" + letters + "\nmodel m(" + inputs +
                               ") -> (__x[i0], _Y[i0]) {\n  __x = __x * 2\n  _Y[i0] = __x[i0]\n}\n",
                           "m.qkv");
  ASSERT_TRUE(checked->program) << checked->diagnostics;
  std::string text = header(describe(*checked->program, {}));
  for (const char *member :
       {"int64_t size_T;", "int64_t size_x;", "int64_t size_Bool;", "int64_t int_size;",
        "int64_t INT8_MAX_size;", "int64_t T_MAX;", "int64_t size_T_size;", "const float *in_x;",
        "float *out_x;", "float *out_Y;"})
    EXPECT_NE(text.find(member), std::string::npos) << member << "\n" << text;
  Folder folder;
  writeFile(folder / "m.h", text);
  writeFile(folder / "m.c", "#include \"m.h\"\nint main(void) { return 0; }\n");
  std::string in = "cd '" + folder.path() + "' && ";
  Ran c = run(in + "cc -std=c99 -Wall -Wextra -pedantic -Werror -c m.c");
  EXPECT_EQ(c.code, 0) << c.err << text;
  Ran cxx = run(in + "c++ -std=c++11 -x c++ -Wall -Wextra -pedantic -Werror -c m.c");
  EXPECT_EQ(cxx.code, 0) << cxx.err << text;
}

} // namespace
