// In: paths. Out: their bytes; new files, whole or not at all. Holds: a new file has no name until
// it is complete where the file system can do that (O_TMPFILE), else a hidden temporary one.
#include "runtime/File.h"
#include "runtime/CutFiles.h"

#include "runtime/Error.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace qkv::rt {

std::string_view folderOf(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == path.npos ? std::string_view() : path.substr(0, slash + 1);
}

std::string_view baseOf(std::string_view path) { return path.substr(folderOf(path).size()); }

bool isFolder(const std::string &path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool exists(const std::string &path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0;
}

std::string whyUnwritable(const std::string &path) {
  struct stat status;
  if (stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode))
      return "it is a folder";
    if ((status.st_mode & 0222) == 0)
      return "it is read-only";
    return access(path.c_str(), W_OK) == 0 ? "" : strerror(errno);
  }
  if (errno != ENOENT)
    return strerror(errno);
  std::string folder(folderOf(path));
  if (stat(folder.empty() ? "." : folder.c_str(), &status) != 0)
    return format("folder %s: %s", folder.c_str(), strerror(errno));
  return access(folder.empty() ? "." : folder.c_str(), W_OK | X_OK) == 0
             ? ""
             : format("folder %s: %s", folder.empty() ? "." : folder.c_str(), strerror(errno));
}

std::string writeAll(int descriptor, const void *data, size_t size) {
  auto *from = static_cast<const char *>(data);
  while (size > 0) {
    ssize_t done = ::write(descriptor, from, size < (1u << 30) ? size : 1u << 30);
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      return done < 0 ? strerror(errno) : "nothing was written";
    from += done;
    size -= done;
  }
  return "";
}

bool readAll(int descriptor, std::string &text) {
  char piece[1 << 16];
  for (;;) {
    ssize_t got = ::read(descriptor, piece, sizeof piece);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return got == 0;
    text.append(piece, got);
  }
}

namespace {

/// Mapped files by their addresses, for the signal handler: it may not allocate or lock.
struct MappedFile {
  std::atomic<const char *> begin{nullptr};
  std::atomic<size_t> length{0};
  char path[256];
};
constexpr size_t mostMapped = 512; // of more the message does not say which
MappedFile mappedFiles[mostMapped];
char programName[64] = "qkv";

void rememberMapped(const char *begin, size_t length, const std::string &path) {
  static const char taken = 0;
  for (MappedFile &slot : mappedFiles) {
    const char *none = nullptr;
    if (!slot.begin.compare_exchange_strong(none, &taken))
      continue;
    size_t letters = std::min(path.size(), sizeof slot.path - 1);
    memcpy(slot.path, path.data(), letters);
    slot.path[letters] = 0;
    slot.length = length;
    slot.begin = begin;
    return;
  }
}

void forgetMapped(const char *begin) {
  for (MappedFile &slot : mappedFiles)
    if (slot.begin.load(std::memory_order_relaxed) == begin) {
      slot.length = 0;
      slot.begin = nullptr;
      return;
    }
}

void say(const char *text) { writeAll(2, text, strlen(text)); }

/// The mapped file around an address; null if it is none of ours.
const MappedFile *mappedAround(const char *at) {
  for (const MappedFile &slot : mappedFiles) {
    const char *begin = slot.begin;
    if (begin && at >= begin && at < begin + slot.length)
      return &slot;
  }
  return nullptr;
}

void endOnCutFile(int, siginfo_t *info, void *) {
  if (const MappedFile *file = mappedAround(static_cast<const char *>(info->si_addr))) {
    say(programName);
    say(": error: ");
    say(file->path);
    say(" was cut short while it was in use\n");
    _exit(1);
  }
  // None of ours: as if this handler were not there.
  signal(SIGBUS, SIG_DFL);
}

std::atomic<bool> outliving{false};
struct sigaction handlerBefore = {};
uintptr_t pageBytes = 4096;

/// Puts a page of zeros in the place of the one that the file no longer has.
void outliveCutFile(int number, siginfo_t *info, void *context) {
  int kept = errno;
  auto *at = static_cast<char *>(info->si_addr);
  if (mappedAround(at)) {
    char *page = at - reinterpret_cast<uintptr_t>(at) % pageBytes;
    void *zeros = mmap(page, pageBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    errno = kept;
    if (zeros != MAP_FAILED)
      return;
  }
  if (handlerBefore.sa_flags & SA_SIGINFO)
    handlerBefore.sa_sigaction(number, info, context);
  else if (handlerBefore.sa_handler == SIG_DFL || handlerBefore.sa_handler == SIG_IGN)
    signal(SIGBUS, SIG_DFL); // it comes again, and ends the program
  else
    handlerBefore.sa_handler(number);
}

} // namespace

void catchCutFiles(const char *name) {
  snprintf(programName, sizeof programName, "%s", name);
  struct sigaction action = {};
  action.sa_sigaction = endOnCutFile;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
}

void outliveCutFiles() {
  if (outliving.exchange(true))
    return;
  pageBytes = sysconf(_SC_PAGESIZE);
  sigaction(SIGBUS, nullptr, &handlerBefore); // before a fault can ask for it
  struct sigaction action = {};
  action.sa_sigaction = outliveCutFile;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK; // (a caller's small stack may have another one for it)
  sigaction(SIGBUS, &action, nullptr);
}

FileBytes::FileBytes(FileBytes &&other) noexcept { *this = std::move(other); }

FileBytes &FileBytes::operator=(FileBytes &&other) noexcept {
  std::swap(bytes, other.bytes);
  std::swap(length, other.length);
  std::swap(mapped, other.mapped);
  std::swap(descriptor, other.descriptor);
  std::swap(modified, other.modified);
  return *this;
}

FileBytes::~FileBytes() { release(); }

void FileBytes::release() {
  if (mapped) {
    forgetMapped(bytes);
    munmap(bytes, length);
    close(descriptor);
  } else {
    free(bytes);
  }
  descriptor = -1;
  bytes = nullptr;
  length = 0;
  mapped = false;
}

bool FileBytes::intact() const {
  struct stat status;
  return !mapped ||
         (fstat(descriptor, &status) == 0 && static_cast<size_t>(status.st_size) == length &&
          status.st_mtim.tv_sec == modified[0] && status.st_mtim.tv_nsec == modified[1]);
}

void FileBytes::fetch(const char *from, size_t size) const {
#ifdef MADV_POPULATE_READ // (A kernel before 5.14 does not know it: pages come as they are read.)
  uintptr_t page = sysconf(_SC_PAGESIZE), begin = reinterpret_cast<uintptr_t>(from) / page * page;
  if (mapped && size > 0)
    madvise(reinterpret_cast<void *>(begin), reinterpret_cast<uintptr_t>(from) + size - begin,
            MADV_POPULATE_READ);
#else
  (void)from, (void)size;
#endif
}

void FileBytes::forget(const char *from, size_t size) const {
  uintptr_t page = sysconf(_SC_PAGESIZE), begin = reinterpret_cast<uintptr_t>(from);
  uintptr_t end = (begin + size) / page * page;
  begin = (begin + page - 1) / page * page;
  if (mapped && begin < end)
    madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED);
}

bool FileBytes::copy(const void *data, size_t size) {
  release();
  if (size == 0)
    return true;
  // Tensors in it want an aligned start.
  bytes = static_cast<char *>(aligned_alloc(64, (size + 63) / 64 * 64));
  if (!bytes)
    return false;
  memcpy(bytes, data, size);
  length = size;
  return true;
}

bool FileBytes::open(const std::string &path, qkv_error *error) {
  release();
  bool standard = path == "-";
  int descriptor = standard ? 0 : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (descriptor < 0 || fstat(descriptor, &status) != 0) {
    std::string why = strerror(errno);
    if (descriptor > 0)
      close(descriptor);
    return fail(error, format("cannot open %s: %s", path.c_str(), why.c_str()));
  }
  std::string why;
  if (S_ISDIR(status.st_mode)) {
    why = "it is a folder";
  } else if (!standard && S_ISREG(status.st_mode) && status.st_size > 0) {
    void *map = mmap(nullptr, status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (map == MAP_FAILED) {
      why = strerror(errno);
    } else {
      bytes = static_cast<char *>(map);
      length = status.st_size;
      mapped = true;
      this->descriptor = std::exchange(descriptor, -1);
      modified[0] = status.st_mtim.tv_sec;
      modified[1] = status.st_mtim.tv_nsec;
      rememberMapped(bytes, length, path);
    }
  } else {
    std::string text;
    if (!readAll(descriptor, text)) {
      why = strerror(errno);
    } else if (!copy(text.data(), text.size())) {
      why = "not enough memory";
    }
  }
  if (!standard && descriptor >= 0)
    close(descriptor);
  return why.empty() || fail(error, format("cannot read %s: %s", path.c_str(), why.c_str()));
}

OutputFile::OutputFile(OutputFile &&other) noexcept {
  std::swap(path, other.path);
  std::swap(temporary, other.temporary);
  std::swap(descriptor, other.descriptor);
  std::swap(direct, other.direct);
  std::swap(position, other.position);
}

OutputFile::~OutputFile() {
  if (descriptor > 1)
    close(descriptor);
  if (!temporary.empty())
    unlink(temporary.c_str());
}

static std::string cannotWrite(const std::string &path, const std::string &why) {
  return format("cannot write %s: %s", path == "-" ? "standard output" : path.c_str(), why.c_str());
}

/// A hidden name beside `path` that no other process uses.
static std::string hiddenName(const std::string &path, int attempt) {
  std::string base = std::string(baseOf(path).substr(0, 200));
  return std::string(folderOf(path)) + "." + base + format(".%d.%d", int(getpid()), attempt);
}

bool OutputFile::open(const std::string &wanted, qkv_error *error, unsigned mode) {
  path = wanted;
  if (path == "-") {
    direct = true;
    descriptor = 1;
    return true;
  }
  if (std::string why = whyUnwritable(path); !why.empty())
    return fail(error, cannotWrite(path, why));
  // A link keeps being one: its target is what is replaced.
  char resolved[PATH_MAX];
  if (realpath(path.c_str(), resolved))
    path = resolved;
  struct stat status;
  if (stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    direct = true;
    descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    return descriptor >= 0 || fail(error, cannotWrite(path, strerror(errno)));
  }
  std::string folder(folderOf(path));
  descriptor =
      ::open(folder.empty() ? "." : folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
  for (int attempt = 0; descriptor < 0 && attempt < 100; ++attempt) {
    std::string name = hiddenName(path, attempt);
    descriptor = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (descriptor >= 0)
      temporary = name;
    else if (errno != EEXIST)
      break;
  }
  return descriptor >= 0 || fail(error, cannotWrite(path, strerror(errno)));
}

bool OutputFile::write(const void *data, size_t size, qkv_error *error) {
  std::string why = writeAll(descriptor, data, size);
  position += size;
  return why.empty() || fail(error, cannotWrite(path, why));
}

bool OutputFile::pad(size_t alignment, qkv_error *error) {
  static const char zeros[4096] = {};
  size_t missing = (alignment - position % alignment) % alignment;
  while (missing > 0) {
    size_t piece = missing < sizeof zeros ? missing : sizeof zeros;
    if (!write(zeros, piece, error))
      return false;
    missing -= piece;
  }
  return true;
}

bool OutputFile::commit(qkv_error *error) {
  if (direct) {
    int closing = std::exchange(descriptor, -1);
    // Network file systems and full disks may report what failed only here.
    if (closing > 1 && close(closing) != 0)
      return fail(error, cannotWrite(path, strerror(errno)));
    return true;
  }
  if (temporary.empty()) {
    std::string self = format("/proc/self/fd/%d", descriptor);
    int linked = -1;
    for (int attempt = 0; linked != 0 && attempt < 100; ++attempt) {
      temporary = hiddenName(path, attempt);
      linked = linkat(AT_FDCWD, self.c_str(), AT_FDCWD, temporary.c_str(), AT_SYMLINK_FOLLOW);
      if (linked != 0 && errno != EEXIST)
        break;
    }
    if (linked != 0) {
      temporary.clear();
      return fail(error, cannotWrite(path, strerror(errno)));
    }
  }
  int closing = std::exchange(descriptor, -1);
  if (close(closing) != 0 || rename(temporary.c_str(), path.c_str()) != 0)
    return fail(error, cannotWrite(path, strerror(errno)));
  temporary.clear();
  return true;
}

} // namespace qkv::rt
