// Reads a file statement by statement, and goes on behind what cannot be read (G1).
//
// In: the text of a file. Out: its syntax tree, without the statements and definitions that
// are not sound; each of those is a diagnostic. What must hold: every turn of a loop moves on.
#include "dsl/syntax/Grammar.h"
#include "dsl/syntax/Parser.h"

namespace qkv {

namespace {

using grammar::Mismatch;
using grammar::Misuse;
using grammar::Place;
using lexical::Kind;

/// A file with more errors than this is not a model file; the rest would not be read by anyone.
constexpr size_t maxErrors = 100;

bool isDefinition(Kind kind) {
  return kind == Kind::Fn || kind == Kind::Block || kind == Kind::Model;
}

class Reader {
public:
  Reader(const Source &source, const lexical::Tokens &scanned, Diagnostics &diagnostics,
         size_t errorsBefore)
      : diagnostics_(diagnostics), errorsBefore_(errorsBefore), first_(scanned.tokens.data()),
        at_(first_), last_(first_ + scanned.tokens.size() - 1) {
    file_.source = &source;
  }

  ast::File run() {
    while (goOn()) {
      Kind kind = at_->kind;
      if (kind == Kind::StatementEnd)
        ++at_;
      else if (kind == Kind::RightBrace)
        closeNothing();
      else if (kind == Kind::Use)
        use();
      else if (isDefinition(kind))
        definition();
      else
        statement(file_.statements);
    }
    return std::move(file_);
  }

private:
  bool goOn() {
    if (at_->kind == Kind::EndOfFile)
      return false;
    if (diagnostics_.errorCount() - errorsBefore_ <= maxErrors)
      return true;
    diagnostics_.error(at_->span, "too many errors: the rest of the file was not read");
    at_ = last_;
    return false;
  }

  /// Runs a rule. Where it does not fit, says so and stops at the place of the mistake.
  template <class Rule> bool attempt(Rule &&rule) {
    try {
      rule();
      return true;
    } catch (const Mismatch &mismatch) {
      grammar::explain(mismatch, first_, diagnostics_);
      at_ = std::max(at_, mismatch.at);
    } catch (const Misuse &misuse) {
      Diagnostic &error = diagnostics_.error(misuse.span, misuse.message, misuse.rule);
      if (!misuse.hint.empty())
        error.hint(misuse.hint);
      while (at_ < last_ && at_->span.begin < misuse.span.begin)
        ++at_;
    }
    return false;
  }

  void expect(Kind kind) {
    if (at_->kind != kind)
      throw Mismatch{at_, std::string("'") + lexical::spelling(kind) + "'"};
    ++at_;
  }

  void expectEnd() {
    if (at_->kind == Kind::StatementEnd)
      ++at_;
    else if (at_->kind != Kind::RightBrace && at_->kind != Kind::EndOfFile)
      throw Mismatch{at_, "the end of the statement"};
  }

  /// To the end of the statement, past whole bodies in braces.
  void skip(bool stopAtBrace = false) {
    while (at_ < last_ && at_->kind != Kind::StatementEnd && at_->kind != Kind::RightBrace) {
      if (at_->kind == Kind::LeftBrace && stopAtBrace)
        return;
      bool body = at_->match >= 0 && at_[0].match > at_ - first_ &&
                  first_[at_->match].kind == Kind::RightBrace;
      at_ = body ? first_ + at_->match + 1 : at_ + 1;
    }
  }

  void closeNothing() {
    if (missingBraces_ > 0)
      --missingBraces_;
    else
      diagnostics_.error(at_->span, "this '}' closes nothing");
    ++at_;
  }

  void use() {
    ast::Use use;
    if (attempt([&] {
          grammar::readUse(at_, last_ + 1, use);
          expectEnd();
        }))
      file_.uses.push_back(std::move(use));
    else
      skip();
  }

  void definition() {
    Place begin = at_;
    ast::Definition definition;
    definition.kind = ast::Definition::Kind::Fn;
    bool sound = attempt([&] { grammar::readSignature(at_, last_ + 1, definition); });
    sound = body(sound, definition.body) && sound;
    definition.span = join(begin->span, (at_ - 1)->span);
    if (isDefinition(at_->kind)) // its brace was missing
      return;
    if (!attempt([&] { expectEnd(); }))
      skip();
    else if (sound)
      file_.definitions.push_back(std::move(definition));
  }

  void statement(std::vector<ast::Statement> &into) {
    ast::Statement statement;
    statement.kind = ast::Statement::Kind::Equation;
    bool sound;
    if (at_->kind == Kind::Repeat) {
      Place begin = at_;
      statement.kind = ast::Statement::Kind::Repeat;
      statement.repeat = std::make_shared<ast::Repeat>();
      sound = attempt([&] { grammar::readRepeat(at_, last_ + 1, *statement.repeat); });
      sound = body(sound, statement.repeat->body) && sound;
      statement.span = join(begin->span, (at_ - 1)->span);
    } else {
      sound = attempt([&] { grammar::readStatement(at_, last_ + 1, statement); });
    }
    if (sound && attempt([&] { expectEnd(); })) {
      into.push_back(std::move(statement));
      return;
    }
    skip();
    // Something that no statement begins with: a token has to be left behind.
    if (at_->kind == Kind::RightBrace && depth_ == 0)
      return;
    if (at_->kind == Kind::StatementEnd)
      ++at_;
  }

  /// A body in braces. It is read for its errors even if what is before it was not sound, as
  /// long as its brace can be found.
  bool body(bool headSound, std::vector<ast::Statement> &into) {
    if (headSound)
      headSound = attempt([&] { expect(Kind::LeftBrace); });
    else
      skip(/*stopAtBrace=*/true);
    if (!headSound) {
      // Its author may have put `->` or the brace on lines of their own.
      while (at_->kind == Kind::StatementEnd &&
             (at_[1].kind == Kind::LeftBrace || at_[1].kind == Kind::Arrow)) {
        ++at_;
        skip(/*stopAtBrace=*/true);
      }
      if (at_->kind != Kind::LeftBrace)
        return false;
      ++at_;
    }
    Place brace = at_ - 1;
    ++depth_;
    bool closed = statements(brace, into);
    --depth_;
    return closed && headSound;
  }

  bool statements(Place brace, std::vector<ast::Statement> &into) {
    while (goOn() && !isDefinition(at_->kind)) {
      if (at_->kind == Kind::RightBrace) {
        ++at_;
        return true;
      }
      if (at_->kind == Kind::StatementEnd)
        ++at_;
      else if (at_->kind == Kind::Use) {
        diagnostics_.error(at_->span, "'use' stands outside of definitions", "L2");
        skip();
      } else
        statement(into);
    }
    if (diagnostics_.errorCount() - errorsBefore_ > maxErrors)
      return false;
    ++missingBraces_;
    Span place = at_->span;
    if (at_->kind == Kind::EndOfFile)
      place.begin = place.end = at_[-1].span.end;
    diagnostics_
        .error(place,
               "expected '}' to close the '{' of line " + std::to_string(brace->line) +
                   (at_->kind == Kind::EndOfFile ? ", but the file ends here"
                                                 : ": definitions stand outside of each other"))
        .note(brace->span, "this '{' is open");
    return false;
  }

  Diagnostics &diagnostics_;
  size_t errorsBefore_;
  ast::File file_;
  Place first_, at_, last_;
  int depth_ = 0;         // bodies around
  int missingBraces_ = 0; // reported; a '}' too many may come later
};

} // namespace

ast::File parse(const Source &source, Diagnostics &diagnostics) {
  size_t errorsBefore = diagnostics.errorCount();
  lexical::Tokens scanned = lexical::scan(source, diagnostics);
  return Reader(source, scanned, diagnostics, errorsBefore).run();
}

} // namespace qkv
