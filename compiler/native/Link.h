// Object files -> programs and shared libraries. In: the bytes of a model's object file. Out: a
// file that runs. Holds: links with `cc`, else with lld; the result needs libc and libm alone;
// the output's name shows nothing before the link is done.
#pragma once

#include <string>
#include <vector>

namespace qkv {

enum class Product { Executable, SharedLibrary };

struct LinkOptions {
  Product product = Product::Executable;
  /// The folder of libqkv_rt.a; empty: found from the running program's place (runtimeArchive).
  std::string runtimeDirectory;
  /// Shared library: the names it shows.
  std::vector<std::string> exports;
  bool strip = false; ///< no line tables
};

/// libqkv_rt.a: in QKV_RUNTIME_DIR, in ../lib or ../lib*/qkv beside the running program. Empty
/// with `error` set, naming the places, where there is none.
std::string runtimeArchive(std::string &error);

/// Whether the runtime's archive and a linker are there. False with `error`.
bool canLink(std::string &error);

/// Links `object` to the file `output`, which it may overwrite. False with `error` set.
bool link(const std::string &object, const std::string &output, const LinkOptions &options,
          std::string &error);

/// A folder of its own for files that are needed for a moment; gone with the object.
class TemporaryFolder {
public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder &) = delete;
  /// Empty where none could be made.
  const std::string &path() const { return path_; }

private:
  std::string path_;
};

} // namespace qkv
