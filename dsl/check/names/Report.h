// Errors of one elaboration, and how deep it is: what every part of the checker says a mistake
// with.
//
// In: a place and a sentence. Out: a diagnostic, and what the error makes doubtful: one equation,
// or what a name means.
#pragma once

#include "dsl/Program.h"
#include "dsl/syntax/Diagnostics.h"

#include <cstddef>
#include <string>
#include <utility>

namespace qkv::sema {

/// G9: how many operations may stand below one, in an expression with its calls written out.
constexpr size_t maxHeight = 2000;
/// How deep definitions and calls may follow from one another.
constexpr int maxLevels = 1000;
/// How many steps the repeats of a model have, and how many calls it makes.
constexpr size_t maxSteps = 10000, maxCalls = 50000;
/// Errors after which the rest is not looked at.
constexpr size_t maxErrors = 100;

class Report {
protected:
  explicit Report(Diagnostics &diagnostics) : diagnostics_(diagnostics) {}

  Diagnostic &error(Span at, std::string message, std::string rule = "") {
    failed_ = true;
    ++said_;
    unsure_ |= inside_ == 0;
    return diagnostics_.error(at, std::move(message), std::move(rule));
  }
  /// An error after which nothing more is looked at; said once.
  void errorTooDeep(Span at, std::string message, std::string rule) {
    failed_ = true;
    if (!std::exchange(tooDeep_, true))
      error(at, std::move(message), std::move(rule));
  }
  /// Whether the rest is not looked at.
  bool givenUp() const { return tooDeep_ || diagnostics_.errorCount() > maxErrors; }

  /// G9: while one is alive, elaboration is a level deeper; false, said once, beyond the limit.
  class Level {
  public:
    Level(Report &report, Span at);
    ~Level() { --report_.level_; }
    explicit operator bool() const { return ok_; }

  private:
    Report &report_;
    bool ok_;
  };
  /// While one is alive, an error is about one equation, and not about what names mean.
  class OneEquation {
  public:
    explicit OneEquation(Report &report) : report_(report) { ++report_.inside_; }
    ~OneEquation() { --report_.inside_; }

  private:
    Report &report_;
  };

  Diagnostics &diagnostics_;
  bool failed_ = false;
  size_t said_ = 0;      ///< errors, repeated ones too
  bool unsure_ = false;  ///< an error was about what a name means
  bool tooDeep_ = false; ///< said already (G9)

private:
  int inside_ = 0; ///< of OneEquation
  int level_ = 0;  ///< of Level
};

} // namespace qkv::sema
