// In: what cc made of the archive. Out: what it needs, shows and weighs. Holds: libc alone, nothing
// shown but what a model shows, small, quick to start, two in one program.
#include "Support.h"

#include <algorithm>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

using namespace qkv::rt;

namespace {

std::string shell(const std::string &command) {
  Finished f = runCommand({"/bin/sh", "-c", command});
  EXPECT_EQ(f.code, 0) << command << f.err;
  return f.out;
}

const std::string toys = QKV_TOYS;

TEST(Link, ProgramsNeedLibcAlone) {
  std::string needed = shell("readelf -dW " + toys + "/toy-function | grep NEEDED");
  EXPECT_EQ(needed.find("libstdc++"), std::string::npos) << needed;
  EXPECT_EQ(needed.find("libgcc"), std::string::npos) << needed;
  EXPECT_EQ(needed.find("libc++"), std::string::npos) << needed;
}

TEST(Link, TheArchiveShowsTheInterfaceAlone) {
  std::string shown =
      shell("nm -g --defined-only " QKV_ARCHIVE " | grep ' [A-Z] ' | grep -v ' qkv_' | wc -l");
  EXPECT_EQ(shown, "0\n");
}

TEST(Link, SmallAndQuick) {
  TestFolder folder;
  shell("strip -o " + folder.path + "/p " + toys + "/toy-function");
  struct stat status;
  ASSERT_EQ(stat((folder / "p").c_str(), &status), 0);
  EXPECT_LE(status.st_size, 1 << 20);
  int64_t best = INT64_MAX;
  for (int round = 0; round < 100 && best > 10000; ++round) { // what else runs, delays some
    Finished f = runCommand({folder / "p", "--version"});
    EXPECT_EQ(f.code, 0);
    best = std::min(best, f.microseconds);
  }
#ifndef QKV_SANITIZED
  EXPECT_LE(best, 10000); // a sanitizer's address space costs fork() more than that
#endif
  RecordProperty("bytes", static_cast<int>(status.st_size));
  RecordProperty("microseconds", static_cast<int>(best));
}

using Function = int (*)(const char *, const int64_t *, int64_t, const float *, float *,
                         qkv_error *);

TEST(Link, TwoSharedLibrariesInOneProgram) {
  TestFolder folder;
  float w[15] = {}, x[] = {1, 2, 3}, y[2];
  for (int i = 0; i < 15; ++i)
    w[i] = 1;
  ASSERT_TRUE(writeSafetensors(folder / "w", {{"lin.weight", Dtype::F32, {5, 3}, w}}, nullptr));
  Function functions[2];
  const char *names[] = {"a", "b"};
  for (int i = 0; i < 2; ++i) {
    std::string path = toys + "/libtoy-" + names[i] + ".so";
    void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    ASSERT_TRUE(library) << dlerror();
    functions[i] =
        reinterpret_cast<Function>(dlsym(library, (std::string("toy_") + names[i]).c_str()));
    ASSERT_TRUE(functions[i]);
    EXPECT_FALSE(dlsym(library, "qkv_run") &&
                 dlsym(library, "qkv_run") != dlsym(RTLD_DEFAULT, "qkv_run"))
        << "the runtime inside is hidden";
    std::string shown = shell("nm -D --defined-only " + path + " | wc -l");
    EXPECT_EQ(shown, "1\n");
  }
  for (auto function : functions) {
    qkv_error error = emptyError();
    int64_t ids[] = {0, 4};
    EXPECT_EQ(function((folder / "w").c_str(), ids, 2, x, y, &error), 0) << error.text;
    EXPECT_EQ(y[1], 6.5f);
    ids[1] = 9;
    EXPECT_EQ(function((folder / "w").c_str(), ids, 2, x, y, &error), -1);
    EXPECT_EQ(errorText(error, "p"),
              "toy.qkv:7:12: error: index of table along p is 9, outside 0 <= index < 5 [A1]");
  }
}

TEST(Link, BesideAProgramInCpp) {
  // Its allocations and exceptions stay with its own library.
  TestFolder folder;
  writeFile(folder / "main.cpp",
            "#include <stdexcept>\n#include <string>\n#include <cstdio>\n"
            "extern \"C\" void *qkv_alloc(size_t); extern \"C\" void qkv_free(void *);\n"
            "int main() { try { throw std::runtime_error(std::string(99, 'x')); }\n"
            "  catch (std::exception &e) { qkv_free(qkv_alloc(5)); puts(e.what()); } }\n");
  shell("c++ " + (folder / "main.cpp") + " " QKV_ARCHIVE " -lm -lpthread -o " + (folder / "main"));
  EXPECT_EQ(shell(folder / "main"), std::string(99, 'x') + "\n");
}

} // namespace
