// qkv: models in index notation, checked, run and compiled.
//
// In: a command line. Out: an exit code: 0 done, 1 failed, 2 misuse. What is said to people goes
// to standard error; results go to standard output or to files.
#include "tools/qkv/Commands.h"
#include "tools/qkv/Report.h"

#include "compiler/native/Link.h"
#include "runtime/File.h"

#include <CLI/CLI.hpp>
#include <llvm/Config/llvm-config.h>
#include <llvm/Support/ErrorHandling.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace qkv::driver;

static int printRuntime() {
  std::string error, archive = qkv::runtimeArchive(error);
  return archive.empty() ? fail("qkv", error) : print("qkv", archive + "\n");
}

/// A compiler's heap is many megabytes of small pieces, and each small page of it a fault: the
/// heap grows far ahead, in large pages, and keeps what is freed. What is not touched costs
/// nothing.
static void useLargePages() {
#ifdef __GLIBC__
  rlimit limit = {};
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    return; // what is not touched counts there, too
  constexpr size_t ahead = 128 << 20, largePage = 2 << 20;
  mallopt(M_TOP_PAD, ahead);
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
  mallopt(M_MMAP_THRESHOLD, 16 << 20); // (or it would stay small, now that the others are set)
  free(malloc(1 << 20));               // grows it now
  auto *end = static_cast<char *>(sbrk(0));
  auto *aligned = end - reinterpret_cast<uintptr_t>(end) % largePage;
  madvise(aligned - ahead, ahead, MADV_HUGEPAGE);
#endif
}

/// What is wrong with the command line; of a command or an option that is not there, which one may
/// have been meant.
static std::string notExpected(const CLI::App &app, const CLI::App &chosen, int argc, char **argv,
                               const CLI::ParseError &error) {
  std::string message = plain(error.what()), word, near;
  std::vector<std::string> names;
  if (!dynamic_cast<const CLI::ExtrasError *>(&error))
    return message;
  if (&chosen == &app && argc > 1 && argv[1][0] != '-') {
    word = argv[1];
    message = "there is no command " + word;
    for (const CLI::App *command : app.get_subcommands(nullptr))
      names.push_back(command->get_name());
  } else {
    for (const CLI::Option *option : chosen.get_options())
      for (const std::string &name : option->get_lnames())
        names.push_back("--" + name);
    for (int i = 1; i < argc && word.empty(); ++i) {
      std::string one = std::string(argv[i]).substr(0, std::string(argv[i]).find('='));
      if (one.size() > 2 && one.starts_with("--") &&
          std::find(names.begin(), names.end(), one) == names.end())
        word = one;
    }
  }
  if (!word.empty())
    near = qkv::nearest(word, names);
  return message + (near.empty() ? "" : "; did you mean " + near + "?");
}

/// Where no handler can be reached (LLVM has no exceptions): a message, not an abort.
[[noreturn]] static void endWith(const char *what, const char *why) {
  fail("qkv", std::string(what) + why);
  _exit(1);
}

static void sayWhyItEnds() {
  std::set_terminate([] {
    try {
      if (std::exception_ptr thrown = std::current_exception())
        std::rethrow_exception(thrown);
    } catch (const std::bad_alloc &) {
      endWith("not enough memory", "");
    } catch (const std::exception &error) {
      endWith("a defect of qkv, please report it: ", error.what());
    } catch (...) {
      endWith("a defect of qkv, please report it", "");
    }
    endWith("a defect of qkv, please report it", "");
  });
  llvm::install_bad_alloc_error_handler(
      [](void *, const char *, bool) { endWith("not enough memory", ""); });
  llvm::install_fatal_error_handler([](void *, const char *reason, bool) {
    endWith("a defect of qkv, please report it: ", reason);
  });
}

int main(int argc, char **argv) {
  useLargePages();
  sayWhyItEnds();
  qkv::rt::catchCutFiles("qkv");
  CLI::App app{"qkv: a model file becomes a native program", "qkv"};
  app.set_version_flag("--version", "qkv " QKV_VERSION " (LLVM " LLVM_VERSION_STRING ")");
  app.set_help_flag("-h,--help", "print this help");
  app.require_subcommand(0, 1);
  bool runtime = false;
  app.add_flag("--runtime", runtime, "print the path of libqkv_rt.a, which objects link with");
  app.footer("Each command has a help of its own with examples: qkv build --help");
  int code = 0;
  addCheck(app, code);
  addFmt(app, code);
  addInterpret(app, code);
  addRun(app, code);
  addBuild(app, code);
  addVerify(app, code);
  addIr(app, code);
  addExplain(app, code);
  addState(app, code);
  addBench(app, code);
  addWeights(app, code);
  addTokenize(app, code);
  addEmbed(app, code);
  addChat(app, code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success &success) {
    // Help and version are asked for; that they are there is no error.
    return app.exit(success, std::cout, std::cerr) == 0 && std::cout.flush() ? 0 : 1;
  } catch (const CLI::ParseError &error) {
    std::string command = "qkv";
    const CLI::App *chosen = &app;
    for (const CLI::App *one : app.get_subcommands()) {
      command += " " + one->get_name();
      chosen = one;
    }
    return misuse(command, notExpected(app, *chosen, argc, argv, error));
  } catch (const std::bad_alloc &) {
    return fail("qkv", "not enough memory");
  } catch (const std::exception &error) {
    return fail("qkv", std::string("a defect of qkv, please report it: ") + error.what());
  }
  if (runtime)
    return printRuntime();
  return app.get_subcommands().empty() ? misuse("qkv", "a command is missing") : code;
}
