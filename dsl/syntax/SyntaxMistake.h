// A mismatch and what stands around it: what SyntaxErrors.cpp and SyntaxHabits.cpp word.
//
// In: the place of a mismatch and what the grammar wanted there. Out: questions about the tokens
// before and behind it, and the start of a diagnostic. For those two files alone.
#pragma once

#include "dsl/syntax/Grammar.h"

#include <string>

namespace qkv::grammar {

using lexical::Kind;

/// A token as it was written, in quotes; "this" if it is long.
std::string written(const Token &token);
/// The same, or "the end of the line", "a string".
std::string describe(const Token &token);

class Mistake {
public:
  Mistake(const Mismatch &mismatch, Place first, Diagnostics &diagnostics)
      : mismatch_(mismatch), diagnostics_(diagnostics), wanted_(mismatch.wanted), first_(first),
        at_(mismatch.at), found_(*at_) {}

protected:
  bool wants(const char *what) const { return wanted_ == what; }
  bool wantsName() const {
    return wants("a name") || wants("a letter") || wants("an argument") || wants("a result");
  }
  bool beginsStatement(Place at) const {
    return at == first_ || at[-1].kind == Kind::StatementEnd || at[-1].kind == Kind::LeftBrace ||
           at[-1].kind == Kind::RightBrace;
  }
  bool atStart() const { return beginsStatement(at_); }
  /// The token `back` places before, or the end of the file.
  Kind before(int back = 1) const {
    return at_ - first_ < back ? Kind::EndOfFile : at_[-back].kind;
  }
  Kind after() const { return found_.kind == Kind::EndOfFile ? Kind::EndOfFile : at_[1].kind; }

  /// A statement that ends too early is marked right behind its last token.
  Span place() const;
  Diagnostic &error(std::string message, const char *rule) {
    return diagnostics_.error(place(), std::move(message), rule);
  }
  /// The bracket that is open here, or null.
  Place opener() const;
  /// Whether a token of this statement has been reported: what follows from that is not said.
  bool reported() const;

  const Mismatch &mismatch_;
  Diagnostics &diagnostics_;
  const std::string &wanted_;
  Place first_, at_;
  const Token &found_;
};

/// Says what a mismatch is where it is the notation of another language (SyntaxHabits.cpp).
bool explainHabit(const Mismatch &mismatch, Place first, Diagnostics &diagnostics);

} // namespace qkv::grammar
