// In: paths. Out: their bytes in memory; new files, whole or not at all. Holds: an output's name
// shows either its old content or all of the new one, whenever the program is stopped.
#pragma once

#include "runtime/qkv.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace qkv::rt {

/// The bytes of a file: mapped where that is possible, read (pipes, `-` for standard input)
/// where it is not.
class FileBytes {
public:
  FileBytes() = default;
  FileBytes(FileBytes &&other) noexcept;
  FileBytes &operator=(FileBytes &&other) noexcept;
  ~FileBytes();

  bool open(const std::string &path, qkv_error *error);
  /// Bytes that are in memory already, copied to an aligned place. False without memory.
  bool copy(const void *data, size_t size);
  /// Whether a mapped file is as it was when it was opened. One that was cut short since must not
  /// be read (SIGBUS), and one that was written to holds other numbers. Asks the kernel: half a
  /// microsecond.
  bool intact() const;
  const char *data() const { return bytes; }
  size_t size() const { return length; }
  /// Has the pages of a part of a mapped file at hand, in one call of the kernel: for what will be
  /// read whole, which would else wait at every sixteenth page.
  void fetch(const char *from, size_t size) const;
  /// Lets go of the memory of whole pages in a part of a mapped file; who reads them again waits
  /// for the file.
  void forget(const char *from, size_t size) const;

private:
  void release();
  char *bytes = nullptr;
  size_t length = 0;
  bool mapped = false;
  int descriptor = -1; // of a mapped file
  int64_t modified[2] = {};
};

/// For programs, not for libraries, since it changes what a signal does: to read a mapped file
/// where it was cut off meanwhile ends the program with `name: error: ...` and exit code 1.
void catchCutFiles(const char *name);

/// A file being written. Nothing shows at its path before commit(); `-` is standard output.
class OutputFile {
public:
  OutputFile() = default;
  OutputFile(const OutputFile &) = delete;
  OutputFile(OutputFile &&other) noexcept;
  ~OutputFile();

  /// `mode` as in open(2), lessened by the umask.
  bool open(const std::string &path, qkv_error *error, unsigned mode = 0666);
  bool write(const void *data, size_t size, qkv_error *error);
  /// Zero bytes up to a multiple of `alignment` from the file's start.
  bool pad(size_t alignment, qkv_error *error);
  bool commit(qkv_error *error);
  size_t written() const { return position; }

private:
  std::string path, temporary;
  int descriptor = -1;
  bool direct = false; // written in place: standard output, a device, a pipe
  size_t position = 0;
};

/// All of `data` to a descriptor, whatever pieces it takes. The text of the error, or empty.
std::string writeAll(int descriptor, const void *data, size_t size);

/// All that is left to read of a descriptor, appended. False with errno set.
bool readAll(int descriptor, std::string &text);

/// Why no new file can take the place of what is at `path`; empty if one can. A file that nobody
/// may write stays as it is, also where the user (root, the folder's owner) could replace it.
std::string whyUnwritable(const std::string &path);

bool isFolder(const std::string &path);
bool exists(const std::string &path);

/// The part up to and including the last `/`, and the part after it.
std::string_view folderOf(std::string_view path);
std::string_view baseOf(std::string_view path);

} // namespace qkv::rt
