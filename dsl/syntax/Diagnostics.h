// What is said to the author of a model: message, span, rule, hints, notes.
//
// The library collects; the driver prints (render). A message is lower case, without a
// full stop, in the language's own terms: what was found and what was expected.
#pragma once

#include "dsl/syntax/Source.h"

#include <iosfwd>
#include <string>
#include <unordered_map>
#include <vector>

namespace qkv {

enum class Severity { Error, Warning };

struct Diagnostic {
  Severity severity = Severity::Error;
  Span span;
  std::string message;
  std::string rule; ///< "E2", or empty
  struct Note {
    Span span; ///< may be nowhere: then the note stands alone
    std::string message;
  };
  std::vector<Note> notes;        ///< other places
  std::vector<std::string> hints; ///< what to write instead

  Diagnostic &note(Span at, std::string text) {
    notes.push_back({at, std::move(text)});
    return *this;
  }
  Diagnostic &hint(std::string text) {
    hints.push_back(std::move(text));
    return *this;
  }
};

/// Collects what is said in one run, without exact repeats (same span and message).
class Diagnostics {
public:
  /// The returned reference is valid until the next call.
  Diagnostic &error(Span at, std::string message, std::string rule = "");
  Diagnostic &warning(Span at, std::string message, std::string rule = "");
  bool hasErrors() const { return errors_ > 0; }
  size_t errorCount() const { return errors_; }
  const std::vector<Diagnostic> &all() const { return all_; }
  /// Sorted by place, as language.md shows them:
  ///   file:line:column: error: message [rule]
  ///      14 |   the source line
  ///         |       ^~~~~
  ///         = hint: ...
  /// Control characters and invalid UTF-8 of the source are shown as '?' or U+FFFD.
  void render(std::ostream &out, bool color) const;

private:
  Diagnostic &add(Severity severity, Span at, std::string message, std::string rule);

  std::vector<Diagnostic> all_;
  std::unordered_multimap<size_t, size_t> places_; // hash of place and message -> index in all_
  Diagnostic dropped_;
  size_t errors_ = 0;
};

/// The candidate nearest to `name` by edit distance, for "did you mean"; empty if none is near.
std::string nearest(const std::string &name, const std::vector<std::string> &candidates);

} // namespace qkv
