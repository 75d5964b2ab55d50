// Lines of standard input (InputLines.h).
#include "runtime/program/InputLines.h"

#include <cerrno>
#include <cstring>
#include <poll.h>
#include <unistd.h>

namespace qkv::rt {

bool InputLines::next(std::string &line) {
  while (!arrived(line))
    if (!more()) {
      line = buffer.substr(start);
      start = searched = buffer.size();
      return !line.empty();
    }
  return true;
}

bool InputLines::arrived(std::string &line) {
  size_t end = buffer.find('\n', searched);
  if (end == buffer.npos) {
    searched = buffer.size();
    return false;
  }
  line = buffer.substr(start, end - start);
  start = searched = end + 1;
  return true;
}

bool InputLines::ready(std::string &line) {
  for (;;) {
    if (arrived(line))
      return true;
    pollfd input = {0, POLLIN, 0};
    if (ended || poll(&input, 1, 0) <= 0)
      return false;
    ended = !more();
  }
}

bool InputLines::more() {
  buffer.erase(0, start);
  searched -= start;
  start = 0;
  char piece[1 << 16];
  ssize_t got;
  do
    got = read(0, piece, sizeof piece);
  while (got < 0 && errno == EINTR);
  if (got < 0)
    why = strerror(errno);
  if (got > 0)
    buffer.append(piece, got);
  return got > 0;
}

} // namespace qkv::rt
