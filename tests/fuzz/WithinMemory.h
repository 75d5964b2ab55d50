// What reads hostile input asks for no more memory than that is worth: it runs in a process of its
// own, in which no more than so many bytes beyond what is there now can be had.
#pragma once

#include "tests/fuzz/Slowdown.h"

#include <cstdio>
#include <functional>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace qkv::test {

/// Empty, or how the process ended otherwise than by itself. `bytes`: of address space, also what
/// is never touched; in builds with sanitizers, which reserve terabytes and put fences around each
/// piece, four times as many of memory that is used.
inline std::string withinMemory(size_t bytes, const std::function<void()> &run) {
  long pages = 0;
  if (FILE *file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%ld", &pages) != 1)
      pages = 0;
    std::fclose(file);
  }
  rusage before{}, after{};
  bytes *= slowdown == 1 ? 1 : 4;
  getrusage(RUSAGE_SELF, &before);
  pid_t child = fork();
  if (child == 0) {
    rlim_t most = static_cast<rlim_t>(pages) * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + bytes;
    rlimit space{most, most}, core{0, 0};
    setrlimit(RLIMIT_CORE, &core);
    if (slowdown == 1)
      setrlimit(RLIMIT_AS, &space);
    run();
    getrusage(RUSAGE_SELF, &after);
    // (The parent's own peak is none of the child's.)
    _exit(static_cast<size_t>(after.ru_maxrss) * 1024 >
                  static_cast<size_t>(before.ru_maxrss) * 1024 + bytes
              ? 2
              : 0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child)
    return "there is no process";
  if (WIFSIGNALED(status))
    return "ended by signal " + std::to_string(WTERMSIG(status));
  return WEXITSTATUS(status) == 0 ? "" : "used more memory";
}

} // namespace qkv::test
