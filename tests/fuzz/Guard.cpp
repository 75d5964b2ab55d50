#include "tests/fuzz/Guard.h"

#include "dsl/check/Checker.h"
#include "dsl/proof/Schedule.h"

#include <cmath>
#include <cstring>
#include <new>
#include <set>
#include <sstream>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace qkv::test {
namespace {

constexpr size_t kText = 1 << 16;
struct Shared {
  char note[kText], said[kText];
};
Shared *shared = nullptr;

void put(char *to, const std::string &text) {
  size_t n = std::min(text.size(), kText - 1);
  memcpy(to, text.data(), n);
  to[n] = 0;
}

} // namespace

void noteForCrash(const std::string &text) {
  if (shared)
    put(shared->note, text);
}

Guarded guarded(double seconds, const std::function<std::string()> &fn) {
  Guarded out;
  shared = static_cast<Shared *>(
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  if (shared == MAP_FAILED) {
    shared = nullptr;
    out.died = "no memory";
    return out;
  }
  pid_t child = fork();
  if (child == 0) {
    auto limit = static_cast<rlim_t>(std::ceil(seconds * slowdown));
    rlimit cpu{limit, limit};
    setrlimit(RLIMIT_CPU, &cpu);
    rlimit core{0, 0};
    setrlimit(RLIMIT_CORE, &core);
    rlimit memory{rlim_t(4) << 30, rlim_t(4) << 30};
    rlimit stack{rlim_t(120) << 20, rlim_t(120) << 20};
    if (slowdown == 1) // a sanitizer reserves terabytes, and its frames are larger
      setrlimit(RLIMIT_AS, &memory);
    else
      setrlimit(RLIMIT_STACK, &stack);
    try {
      put(shared->said, fn());
    } catch (const std::bad_alloc &) {
      _exit(2);
    } catch (const std::exception &e) {
      noteForCrash(std::string(shared->note) + "\nthrown: " + e.what());
      _exit(3);
    }
    _exit(0);
  }
  int status = 0;
  rusage usage{};
  wait4(child, &status, 0, &usage);
  // Its own time: what the kernel needs for its pages depends on who else runs.
  out.seconds = (static_cast<double>(usage.ru_utime.tv_sec) +
                 1e-6 * static_cast<double>(usage.ru_utime.tv_usec)) /
                slowdown;
  out.peak = int64_t(usage.ru_maxrss) * 1024;
  out.said = shared->said;
  if (WIFSIGNALED(status))
    out.died = std::string("ended by ") + strsignal(WTERMSIG(status));
  else if (WEXITSTATUS(status) == 2)
    out.died = "no memory was left";
  else if (WEXITSTATUS(status) != 0)
    out.died = "ended with code " + std::to_string(WEXITSTATUS(status));
  if (!out.died.empty())
    out.died += std::string("\n") + shared->note;
  munmap(shared, sizeof(Shared));
  shared = nullptr;
  return out;
}

std::string problemsOf(const std::string &text, std::string *says, const std::string &path) {
  Sources sources;
  const Source *source = sources.add(path, text);
  Diagnostics diagnostics;
  auto program = check(*source, sources, {}, diagnostics);
  std::ostringstream rendered;
  diagnostics.render(rendered, false);
  if (says)
    *says = rendered.str();
  auto inside = [](Span s) {
    return !s.source || (s.begin <= s.end && s.end <= s.source->text().size());
  };
  for (auto &d : diagnostics.all()) {
    if (d.severity == Severity::Error && !d.span.source)
      return "an error that is nowhere: " + d.message;
    if (d.message.empty())
      return "an error without a message";
    bool ok = inside(d.span);
    for (auto &n : d.notes)
      ok = ok && inside(n.span);
    if (!ok)
      return "a place outside of the file: " + d.message;
  }
  if (program && diagnostics.hasErrors())
    return "a program in spite of errors";
  if (!program)
    return "";
  Diagnostics order;
  auto nodes = schedule(*program, order);
  if (!nodes)
    return "a program without an order";
  return "";
}

} // namespace qkv::test
