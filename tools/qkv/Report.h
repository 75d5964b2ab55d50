// What the driver says. In: messages of all kinds. Out: standard error, standard output.
#pragma once

#include "dsl/syntax/Diagnostics.h"
#include "runtime/qkv.h"

#include <string>

namespace qkv::driver {

/// `command: error: text`; returns 1.
int fail(const std::string &command, const std::string &text);
/// None so far, for the runtime to set.
inline qkv_error newError() {
  qkv_error error = {};
  error.size = sizeof error;
  return error;
}
/// An error of the runtime, with its place; returns 1.
int fail(const std::string &command, const qkv_error &error);
/// `command: error: text; see command --help`; returns 2.
int misuse(const std::string &command, const std::string &text);

/// Diagnostics on standard error, in colour on a terminal.
void report(const Diagnostics &diagnostics);
/// The same as JSON, a list of objects.
std::string json(const Diagnostics &diagnostics);

/// All of it, or `command: error: ...` and 1.
int print(const std::string &command, const std::string &text);
/// To a file, whole or not at all; `-` is standard output. 0 or 1.
int writeOut(const std::string &command, const std::string &path, const std::string &text);

/// The option parser's messages as ours: one line, lower case, no full stop.
std::string plain(std::string text);

/// A bar on standard error while something long goes on, on terminals only, after half a second.
class Progress {
public:
  explicit Progress(std::string what);
  ~Progress();
  Progress(const Progress &) = delete;
  void at(double share); ///< 0..1
  void says(const std::string &what);

private:
  void draw(double share);
  std::string what_;
  bool shown_ = false, terminal_;
  double started_, drawn_ = 0;
};

} // namespace qkv::driver
