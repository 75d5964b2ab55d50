// What went wrong, said in the language's terms.
//
// In: the place of a mismatch and what the grammar wanted there. Out: a diagnostic that names
// the rule, and where a habit from another language shows, what to write instead. What must
// hold: nothing here decides what is read; it only words it.
#include "dsl/syntax/SyntaxMistake.h"

namespace qkv::grammar {

namespace {

class Explanation : Mistake {
public:
  using Mistake::Mistake;

  void give() {
    if (reported() || unsoundString() || explainHabit(mismatch_, first_, diagnostics_))
      return;
    if (misplacedWord() || needsBrackets() || reservedName() || misplacedEquals() ||
        statementHead())
      return;
    if (wanted_ == "')'" || wanted_ == "']'")
      return unclosed();
    if (wanted_ == "the end of the statement")
      return unended();
    generic();
  }

private:
  /// The scanner has said already what is wrong with its quotes.
  bool unsoundString() const {
    const std::string &text = found_.span.source->text();
    return found_.kind == Kind::String &&
           (text[found_.span.begin] != '"' || found_.span.end - found_.span.begin < 2 ||
            text[found_.span.end - 1] != '"');
  }

  bool guardBefore() const {
    Place open = opener();
    if (!open)
      return false;
    int depth = 0;
    for (Place p = open + 1; p < at_; ++p) {
      depth += p->kind == Kind::LeftParen || p->kind == Kind::LeftBracket;
      depth -= p->kind == Kind::RightParen || p->kind == Kind::RightBracket;
      if (depth == 0 && p->kind == Kind::Where)
        return true;
    }
    return false;
  }

  /// `where`, `from`, `then`, `else`, `_` where they do not belong.
  bool misplacedWord() {
    switch (found_.kind) {
    case Kind::Where:
      if (guardBefore())
        error("a reduction has one guard", "G4").hint("join the two with 'and'");
      else
        error("'where' stands only at the end of a reduction", "G4")
            .hint("write: if ... then ... else 0");
      return true;
    case Kind::From:
      error("'from' belongs to a call: it follows the call's ')' or the [...] that indexes its "
            "result",
            "G6");
      return true;
    case Kind::Then:
    case Kind::Else:
      if (wants("'then'") || wants("'else'") || wants("an expression"))
        return false;
      error(written(found_) + " without an 'if' before it", "G2");
      return true;
    case Kind::Drop:
      error("'_' only drops a result: _, w = f(x)", "G10");
      return true;
    default:
      return false;
    }
  }

  /// A reduction or function without its brackets.
  bool needsBrackets() {
    if (!wants("an expression") && !wants("'='") && !wants("a name"))
      return false;
    Kind kind = found_.kind;
    if (kind != Kind::Reduction && kind != Kind::MinMax && kind != Kind::Function)
      return false;
    if (atStart() || (before() != Kind::Assign && wantsName()))
      return false;
    const std::string &word = found_.text;
    if (kind == Kind::Function) {
      error("'" + word + "' takes its argument in parentheses", "G7")
          .hint("write " + word + "(...)");
    } else if (kind == Kind::Reduction) {
      error("'" + word + "' is a reduction: it needs the letters it runs over", "G7")
          .hint("write " + word + "[j](...)");
    } else {
      error("'" + word + "' needs '[' as a reduction or '(' as a function", "G7")
          .hint("write " + word + "[j](...) or " + word + "(a, b)");
    }
    return true;
  }

  bool reservedName() {
    if (!lexical::isReserved(found_.kind))
      return false;
    bool assigned = atStart() && (after() == Kind::Assign || after() == Kind::LeftBracket ||
                                  after() == Kind::Comma);
    bool labelled =
        after() == Kind::Colon && (before() == Kind::LeftParen || before() == Kind::Comma);
    if (!wantsName() && !wants("an expression") && !assigned && !labelled)
      return false;
    bool operand = wants("an expression") && !labelled;
    error(written(found_) +
              (operand ? " is reserved and is no value" : " is reserved and cannot be a name"),
          "G7");
    return true;
  }

  /// `=` and `==` mixed up.
  bool misplacedEquals() {
    if (wants("'='") && found_.kind == Kind::Equal) {
      error("'==' compares; a definition is written with '='", "G2");
      return true;
    }
    if (found_.kind != Kind::Assign || atStart())
      return false;
    if (wants("'<'")) {
      error("a letter gets its range with '<'", "G5").hint("write index i < T");
      return true;
    }
    if (wants("']'") || wants("'->'"))
      return false;
    Place open = opener();
    if (wants("')'") && before() == Kind::Name && open && open != first_ &&
        open[-1].kind == Kind::Name) {
      error("arguments are given by name with ':'", "F1").hint("write " + at_[-1].text + ": ...");
      return true;
    }
    error("'=' defines; '==' compares", "G2");
    return true;
  }

  /// What no statement begins with, and what follows a name other than `=`.
  bool statementHead() {
    if (atStart() && !wants("the end of the statement")) {
      error("a statement cannot begin with " + describe(found_), "G1");
      return true;
    }
    if (wants("'='") && before() == Kind::Drop && found_.kind == Kind::LeftBracket) {
      error("'_' drops a result and takes no indices", "G10");
      return true;
    }
    if (!wants("'='") || found_.kind != Kind::LeftParen)
      return false;
    error("a call stands on the right side of an equation", "F1").hint("write y = f(x)");
    return true;
  }

  void unclosed() {
    Place open = opener();
    Kind kind = before();
    if (open && open == at_ - 1 && wants("')'") && found_.kind != Kind::StatementEnd &&
        found_.kind != Kind::EndOfFile)
      return generic("an argument or ')'", "G2");
    if (!open || kind == Kind::EndOfFile)
      return generic(wanted_, "G1");
    std::string closer = wants("')'") ? "'('" : "'['";
    Diagnostic &diagnostic = error("expected " + wanted_ + " to close the " + closer + " of line " +
                                       std::to_string(open->line) + ", found " + describe(found_),
                                   "G1");
    if (open->line != found_.line)
      diagnostic.note(open->span, "this " + closer + " is open");
    neighbours(diagnostic);
  }

  void unended() {
    if (found_.kind == Kind::RightParen || found_.kind == Kind::RightBracket) {
      error("this " + describe(found_) + " closes nothing", "G1");
      return;
    }
    if (before() == Kind::RightBrace) {
      error("expected the end of the line after '}', found " + describe(found_), "G1")
          .hint("begin a new line, or write ';' between them");
      return;
    }
    Diagnostic &diagnostic =
        error("expected the end of the statement, found " + describe(found_), "G1");
    neighbours(diagnostic);
  }

  /// Two operands side by side.
  void neighbours(Diagnostic &diagnostic) {
    for (Place p = at_; p != first_ && p[-1].line == found_.line; --p)
      if (p[-1].kind == Kind::SlashSlash && p[-1].firstOnLine) {
        diagnostic.hint("a comment begins with '#'; '//' divides and rounds down");
        return;
      }
    Kind kind = found_.kind;
    bool operand = kind == Kind::Name || kind == Kind::Integer || kind == Kind::Number ||
                   kind == Kind::Infinity || kind == Kind::LeftParen || kind == Kind::Reduction ||
                   kind == Kind::Function;
    if (at_ != first_ && operand && lexical::endsOperand(before()) && at_[-1].line == found_.line)
      diagnostic.hint("a product is written with '*'");
  }

  /// Whether the statement begins with this word.
  bool atStatement(Kind word) const {
    Place p = at_;
    while (!beginsStatement(p))
      --p;
    return p->kind == word;
  }

  void generic() {
    const char *rule = wants("an expression") || wants("'then'") || wants("'else'") ? "G2"
                       : wantsName()                                                ? "G10"
                       : wants("'<'")                                               ? "G5"
                                                                                    : "";
    generic(wanted_, rule);
  }

  void generic(const std::string &wanted, const char *rule) {
    std::string message = "expected " + wanted;
    if (!atStart())
      message += " after " + describe(at_[-1]);
    message += ", found " + describe(found_);
    Diagnostic &diagnostic = error(message, rule);
    Kind next = found_.kind == Kind::StatementEnd ? after() : Kind::EndOfFile;
    if ((wants("'->'") && next == Kind::Arrow) || (wants("'{'") && next == Kind::LeftBrace))
      diagnostic.hint("put " + wanted_ +
                      " at the end of this line: a line that could end a "
                      "statement does");
    else if (wants("'->'"))
      diagnostic.hint("a definition names its result: fn f(x[i]) -> y[i] { ... }");
    else if (wants("'<'") && found_.kind == Kind::Comma)
      diagnostic.hint("each letter has its range: index i < T, j < T");
    else if (wants("'else'"))
      diagnostic.hint("an 'if' has both branches: if ... then ... else 0");
    else if (wants("a string") && before() == Kind::Assign)
      diagnostic.hint("a parameter is named by a string: param W[o,c] = \"proj.weight\"");
    else if (wants("'then'"))
      diagnostic.hint("write: if ... then ... else ...");
    else if (wants("'='") && atStatement(Kind::Param))
      diagnostic.hint("a parameter is named by a string: param W[o,c] = \"proj.weight\"");
    else if (wants("'='") && atStatement(Kind::Size))
      diagnostic.hint("a size has a value: size N = 3, size T = dynamic(max: 64)");
    else if (wants("'max'"))
      diagnostic.hint("write size S = dynamic(max: 512)");
  }
};

} // namespace

void explain(const Mismatch &mismatch, Place first, Diagnostics &diagnostics) {
  Explanation(mismatch, first, diagnostics).give();
}

} // namespace qkv::grammar
