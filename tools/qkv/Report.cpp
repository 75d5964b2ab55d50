// What the driver says, and where.
#include "tools/qkv/Report.h"
#include "runtime/Error.h"
#include "runtime/File.h"

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <unistd.h>

namespace qkv::driver {
namespace {

void say(const std::string &text) { rt::writeAll(2, text.data(), text.size()); }

double now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

nlohmann::json place(Span span) {
  nlohmann::json out;
  if (!span)
    return out;
  Source::Position begin = span.source->position(span.begin), end = span.source->position(span.end);
  out["file"] = span.source->path();
  out["line"] = begin.line;
  out["column"] = begin.column;
  out["end_line"] = end.line;
  out["end_column"] = end.column;
  return out;
}

} // namespace

int fail(const std::string &command, const std::string &text) {
  say(command + ": error: " + text + "\n");
  return 1;
}

int fail(const std::string &command, const qkv_error &error) {
  say(rt::errorText(error, command.c_str()) + "\n");
  return 1;
}

int misuse(const std::string &command, const std::string &text) {
  say(command + ": error: " + text + "; see " + command + " --help\n");
  return 2;
}

void report(const Diagnostics &diagnostics) {
  std::ostringstream out;
  const char *plainWanted = getenv("NO_COLOR");
  diagnostics.render(out, isatty(2) && !(plainWanted && *plainWanted));
  say(out.str());
}

std::string json(const Diagnostics &diagnostics) {
  nlohmann::json list = nlohmann::json::array();
  for (const Diagnostic &d : diagnostics.all()) {
    nlohmann::json item = place(d.span);
    item["severity"] = d.severity == Severity::Error ? "error" : "warning";
    item["message"] = d.message;
    item["rule"] = d.rule;
    item["hints"] = d.hints;
    item["notes"] = nlohmann::json::array();
    for (const Diagnostic::Note &note : d.notes) {
      nlohmann::json other = place(note.span);
      other["message"] = note.message;
      item["notes"].push_back(other);
    }
    list.push_back(item);
  }
  return list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

int print(const std::string &command, const std::string &text) {
  std::string why = rt::writeAll(1, text.data(), text.size());
  return why.empty() ? 0 : fail(command, "cannot write standard output: " + why);
}

int writeOut(const std::string &command, const std::string &path, const std::string &text) {
  if (path == "-")
    return print(command, text);
  qkv_error error = {};
  error.size = sizeof error;
  rt::OutputFile file;
  if (file.open(path, &error) && file.write(text.data(), text.size(), &error) &&
      file.commit(&error))
    return 0;
  return fail(command, error);
}

std::string plain(std::string text) {
  // (Several lines are the parser's list of reasons.)
  while (!text.empty() && (text.back() == '\n' || text.back() == '.'))
    text.pop_back();
  for (char &c : text)
    if (c == '\n')
      c = ' ';
  if (text.size() > 1 && text[0] >= 'A' && text[0] <= 'Z' && !(text[1] >= 'A' && text[1] <= 'Z'))
    text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

Progress::Progress(std::string what)
    : what_(std::move(what)), terminal_(isatty(2) != 0), started_(now()) {}

Progress::~Progress() {
  if (shown_)
    say("\r\x1b[K");
}

void Progress::at(double share) { draw(share); }

void Progress::says(const std::string &what) {
  what_ = what;
  draw(-1);
}

void Progress::draw(double share) {
  double time = now();
  if (!terminal_ || time - started_ < 0.5 || (time - drawn_ < 0.1 && share >= 0))
    return;
  shown_ = true;
  drawn_ = time;
  std::string line = "\r\x1b[K" + what_;
  if (share >= 0) {
    const int width = 30;
    int full = static_cast<int>(share * width);
    line += " [" + std::string(full, '#') + std::string(width - full, ' ') + "] " +
            std::to_string(static_cast<int>(share * 100)) + " %";
  } else {
    line += " ...";
  }
  say(line);
}

} // namespace qkv::driver
