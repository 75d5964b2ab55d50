// Linking: which linker, which files, which flags.
#include "compiler/native/Link.h"
#include "runtime/File.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"

#include <cstdlib>
#include <optional>
#include <vector>

namespace qkv {
namespace {

namespace path = llvm::sys::path;

std::string join(const std::string &a, const std::string &b) { return a + "/" + b; }

bool writeFile(const std::string &to, const std::string &bytes, std::string &error) {
  qkv_error why = {};
  why.size = sizeof why;
  rt::OutputFile file;
  if (file.open(to, &why) && file.write(bytes.data(), bytes.size(), &why) && file.commit(&why))
    return true;
  error = std::string(why.file) + (why.file[0] ? ": " : "") + why.text;
  return false;
}

/// The files around a program that lld must be told and cc knows: crt1.o and the like.
struct CRuntime {
  std::string folder, loader;
};
std::optional<CRuntime> findCRuntime() {
  struct Place {
    const char *folder, *loader;
  };
  for (Place place : {Place{"/usr/lib/x86_64-linux-gnu", "/lib64/ld-linux-x86-64.so.2"},
                      Place{"/usr/lib64", "/lib64/ld-linux-x86-64.so.2"},
                      Place{"/usr/lib/aarch64-linux-gnu", "/lib/ld-linux-aarch64.so.1"},
                      Place{"/usr/lib", "/lib64/ld-linux-x86-64.so.2"}})
    if (rt::exists(join(place.folder, "Scrt1.o")) && rt::exists(place.loader))
      return CRuntime{place.folder, place.loader};
  return std::nullopt;
}

std::string program(std::initializer_list<const char *> names) {
  for (const char *name : names)
    if (auto found = llvm::sys::findProgramByName(name))
      return *found;
  return "";
}

/// The command, without the output's name. Empty with `error` set where nothing links here.
std::vector<std::string> command(const LinkOptions &options, const std::string &object,
                                 const std::string &archive, const std::string &exports,
                                 std::string &error) {
  bool shared = options.product == Product::SharedLibrary;
  std::vector<std::string> flags{"--gc-sections", "-z", "relro", "-z", "now", "-z", "noexecstack"};
  if (options.strip)
    flags.push_back("-s");
  if (shared)
    flags.insert(flags.end(), {"--version-script=" + exports, "-z", "defs"});
  std::vector<std::string> out;
  if (std::string cc = program({"cc", "gcc", "clang", "clang-22"}); !cc.empty()) {
    out = {cc, shared ? "-shared" : "-pie", object, archive, "-lm", "-lpthread"};
    for (const std::string &flag : flags)
      out.insert(out.end(), {"-Xlinker", flag});
    return out;
  }
  std::string lld = program({"ld.lld-22", "ld.lld", "ld"});
  std::optional<CRuntime> c = findCRuntime();
  if (lld.empty()) {
    error = "neither cc nor lld is there to link with: install a C compiler "
            "(apt-get install gcc libc6-dev) or lld (apt-get install lld-22 libc6-dev)";
    return out;
  }
  if (!c) {
    error = "cc is not there, and lld alone needs the start files of libc (Scrt1.o), which are "
            "not there either: install them (apt-get install libc6-dev)";
    return out;
  }
  out = {lld};
  out.insert(out.end(), flags.begin(), flags.end());
  auto start = [&](const char *name) { out.push_back(join(c->folder, name)); };
  if (shared)
    out.push_back("-shared");
  else
    out.insert(out.end(), {"-pie", "-dynamic-linker", c->loader, join(c->folder, "Scrt1.o")});
  start("crti.o");
  out.insert(out.end(), {object, archive, "-L" + c->folder, "-lm", "-lpthread", "-lc"});
  start("crtn.o");
  return out;
}

std::string firstLines(const std::string &file, size_t most) {
  auto text = llvm::MemoryBuffer::getFile(file);
  if (!text)
    return "";
  std::string out = (*text)->getBuffer().rtrim().str();
  return out.size() > most ? out.substr(0, most) + "..." : out;
}

} // namespace

TemporaryFolder::TemporaryFolder() {
  llvm::SmallString<128> made;
  if (!llvm::sys::fs::createUniqueDirectory("qkv", made))
    path_ = made.str().str();
}

TemporaryFolder::~TemporaryFolder() {
  // What stays behind among temporary files is no reason to fail.
  if (!path_.empty()) [[maybe_unused]]
    std::error_code ignored = llvm::sys::fs::remove_directories(path_);
}

std::string runtimeArchive(std::string &error) {
  std::vector<std::string> places;
  if (const char *given = getenv("QKV_RUNTIME_DIR")) {
    places.push_back(given);
  } else {
    std::string self = llvm::sys::fs::getMainExecutable(nullptr, nullptr);
    std::string prefix = path::parent_path(path::parent_path(self)).str();
    for (const char *folder : {"lib", "lib/qkv", "lib64/qkv", "lib/x86_64-linux-gnu/qkv"})
      places.push_back(join(prefix, folder));
  }
  std::string tried;
  for (const std::string &place : places) {
    std::string archive = join(place, "libqkv_rt.a");
    if (rt::exists(archive))
      return archive;
    tried += (tried.empty() ? "" : ", ") + place;
  }
  error = "the runtime libqkv_rt.a is not there (looked in " + tried +
          "); QKV_RUNTIME_DIR names its folder";
  return "";
}

bool canLink(std::string &error) {
  return !runtimeArchive(error).empty() && !command({}, "", "", "", error).empty();
}

bool link(const std::string &object, const std::string &output, const LinkOptions &options,
          std::string &error) {
  std::string archive = options.runtimeDirectory.empty()
                            ? runtimeArchive(error)
                            : join(options.runtimeDirectory, "libqkv_rt.a");
  if (archive.empty())
    return false;
  TemporaryFolder folder;
  if (folder.path().empty()) {
    error = "no folder for temporary files can be made; TMPDIR names where";
    return false;
  }
  std::string objectFile = join(folder.path(), "model.o"), said = join(folder.path(), "said"),
              exports = join(folder.path(), "exports");
  if (!writeFile(objectFile, object, error))
    return false;
  // Quoted: a name may hold any letter.
  std::string script = "{ global:";
  for (const std::string &name : options.exports)
    script += " \"" + name + "\";";
  if (options.product == Product::SharedLibrary &&
      !writeFile(exports, script + " local: *; };\n", error))
    return false;
  std::vector<std::string> words = command(options, objectFile, archive, exports, error);
  if (words.empty())
    return false;
  words.insert(words.end(), {"-o", output});
  std::vector<llvm::StringRef> arguments(words.begin(), words.end());
  std::optional<llvm::StringRef> redirects[] = {llvm::StringRef(""), llvm::StringRef(said),
                                                llvm::StringRef(said)};
  int code = llvm::sys::ExecuteAndWait(words[0], arguments, std::nullopt, redirects, 0, 0, &error);
  if (code == 0)
    return true;
  std::string why = firstLines(said, 4000);
  error = words[0] + " could not link " + output + (error.empty() ? "" : ": " + error) +
          (why.empty() ? "" : "\n" + why);
  return false;
}

} // namespace qkv
