// Mismatches that are the notation of another language: Python's conditionals, slices and loops,
// indices in two brackets or in braces, a reduction's axis and mask as arguments.
//
// In: the place of a mismatch. Out: a diagnostic that says what is written here instead, or
// false, with nothing said, where it is nobody's habit. It only words a mismatch.
#include "dsl/syntax/Diagnostics.h"
#include "dsl/syntax/Habits.h"
#include "dsl/syntax/SyntaxMistake.h"

namespace qkv::grammar {

namespace {

bool isReduction(Kind kind) { return kind == Kind::Reduction || kind == Kind::MinMax; }

class Habit : Mistake {
public:
  using Mistake::Mistake;

  bool say() {
    return beginning() || reservedAsName() || calledElement() || indexedElement() ||
           conditional() || inReduction() || slice() || leftSide() || letterRange() || inBraces() ||
           value();
  }

private:
  /// The bracket that this one closes, or null.
  Place partner(Place closer) const {
    return closer->match >= 0 ? first_ + closer->match : nullptr;
  }
  std::string text(Place from, Place to) const { // of the tokens from, .., to
    return from->span.source->text().substr(from->span.begin, to->span.end - from->span.begin);
  }
  /// The reduction in whose parentheses or brackets this stands, or null.
  Place aroundReduction() const {
    Place open = opener();
    if (!open || open - first_ < 1)
      return nullptr;
    if (open->kind == Kind::LeftBracket)
      return isReduction(open[-1].kind) ? open - 1 : nullptr;
    if (open[-1].kind != Kind::RightBracket)
      return nullptr;
    Place letters = partner(open - 1);
    return letters && letters != first_ && isReduction(letters[-1].kind) ? letters - 1 : nullptr;
  }
  bool begins(int back) const { return at_ - first_ >= back && beginsStatement(at_ - back); }

  /// Words and signs that begin a statement elsewhere.
  bool beginning() {
    if (atStart() && !wants("the end of the statement")) {
      std::string message = "a statement cannot begin with " + describe(found_);
      switch (found_.kind) {
      case Kind::SlashSlash:
      case Kind::Slash:
      case Kind::Percent:
      case Kind::Minus:
      case Kind::Star:
      case Kind::String:
        error(message, "G1").hint("a comment begins with '#'");
        return true;
      case Kind::If:
        error(message, "G1").hint("a choice is an expression: y[t] = if ... then ... else ...");
        return true;
      case Kind::From:
        error(message, "G1").hint("use nn brings in the library nn");
        return true;
      default:
        return false;
      }
    }
    if (!wants("'='") || before() != Kind::Name || !begins(1) || found_.kind == Kind::LeftBracket)
      return false;
    std::string hint = habits::statement(at_[-1].text);
    if (hint.empty())
      return false;
    diagnostics_.error(at_[-1].span, "no statement begins with " + written(at_[-1]) + " here", "G1")
        .hint(hint);
    return true;
  }

  /// `size = 3`
  bool reservedAsName() {
    Kind word = before();
    if (!begins(1) || word < Kind::Size || word > Kind::Repeat ||
        (found_.kind != Kind::Assign && found_.kind != Kind::LeftBracket))
      return false;
    const char *use = word == Kind::Size     ? "size N = 3 declares a size"
                      : word == Kind::Const  ? "const eps = 1e-5 declares a constant"
                      : word == Kind::Index  ? "index i < T declares a letter"
                      : word == Kind::Param  ? "param W[o,c] = \"proj.weight\" declares a parameter"
                      : word == Kind::Repeat ? "repeat l < L { ... } repeats equations"
                      : word == Kind::Use    ? "use nn brings in a library"
                                             : "fn, block and model begin definitions";
    diagnostics_.error(at_[-1].span, written(at_[-1]) + " is reserved and cannot be a name", "G7")
        .hint(use);
    return true;
  }

  /// `cumsum[i](x[i])`: what stands before letters and a parenthesis is a reduction.
  bool calledElement() {
    if (found_.kind != Kind::LeftParen || before() != Kind::RightBracket || wants("'='"))
      return false;
    Place open = partner(at_ - 1);
    if (!open || open == first_ || open[-1].kind != Kind::Name) {
      error("only a function's name or a reduction's letters stand before '('", "G7");
      return true;
    }
    const Token &name = open[-1];
    Diagnostic &d = diagnostics_.error(name.span, "there is no reduction named " + name.text, "G7");
    auto words = lexical::wordsOf({Kind::Reduction, Kind::MinMax});
    if (std::string hint = habits::name(name.text); !hint.empty()) {
      d.hint(hint);
    } else if (std::string near = nearest(name.text, words); !near.empty()) {
      d.hint("did you mean " + near + "?");
    } else {
      std::string all;
      for (auto &word : words)
        all += (all.empty() ? "" : ", ") + word;
      d.hint("reductions are " + all + "; a function's result is indexed behind its arguments: " +
             name.text + "(...)" + text(open, at_ - 1));
    }
    return true;
  }

  /// `x[t][c]`, `(a + b)[t]`, `1[t > 0]`
  bool indexedElement() {
    Kind kind = before();
    bool number = kind == Kind::Integer || kind == Kind::Number;
    if (found_.kind != Kind::LeftBracket || wants("'='") || wants("an expression") ||
        (kind != Kind::RightBracket && kind != Kind::RightParen && !number))
      return false;
    Place open = number ? nullptr : partner(at_ - 1);
    if (open && open != first_ && kind == Kind::RightBracket && open[-1].kind == Kind::Name) {
      Diagnostic &d = error("the indices of an element stand in one pair of brackets", "E2");
      Place close = partner(at_);
      if (close && open + 1 < at_ - 1 && at_ + 1 < close)
        d.hint("write " + open[-1].text + "[" + text(open + 1, at_ - 2) + "," +
               text(at_ + 1, close - 1) + "]");
      return true;
    }
    error("only a tensor's name and a call take indices", "E2")
        .hint(number ? "0 or 1 by a condition is if ... then 1 else 0"
                     : "an equation of its own gives it a name: a[t] = ...");
    return true;
  }

  /// `x if c else y`, `sum[s](a if s <= t)`
  bool conditional() {
    if (found_.kind != Kind::If || wants("an expression") || at_ == first_ ||
        !lexical::endsOperand(before()))
      return false;
    Place around = aroundReduction(), open = opener();
    bool otherwise = false;
    for (Place p = at_; p->kind != Kind::EndOfFile && p->kind != Kind::StatementEnd &&
                        !(open && p == partner(open));
         ++p)
      otherwise |= p->kind == Kind::Else;
    if (around && !otherwise)
      error("what takes part in a reduction is said by 'where'", "G4")
          .hint("write " + text(around, open - 1) + "(... where ...)");
    else
      error("an 'if' stands before both of its branches", "G2")
          .hint("write: if ... then ... else ...");
    return true;
  }

  /// `softmax[j](s, mask)`, `sum[c < 4](x)`, `sum[0](x)`, `sum[c] x`
  bool inReduction() {
    if (wants("'('") && before() == Kind::RightBracket) {
      Place open = partner(at_ - 1);
      if (!open || open == first_ || !isReduction(open[-1].kind))
        return false;
      error("expected '(' after " + describe(at_[-1]) + ", found " + describe(found_), "G7")
          .hint("write " + text(open - 1, at_ - 1) + "(...)");
      return true;
    }
    Place around = aroundReduction();
    if (!around)
      return false;
    if (opener()->kind == Kind::LeftBracket && (wants("']'") || wants("a letter"))) {
      error("a reduction names the letters it runs over, and nothing else", "G7")
          .hint("a letter's range comes from an index, what takes part from a guard: " +
                text(around, around) + "[j](... where j < 3)");
      return true;
    }
    if (opener()->kind == Kind::LeftParen && wants("')'") && found_.kind == Kind::Comma) {
      error("a reduction takes one expression", "G4")
          .hint("a guard at its end says what takes part: " + text(around, opener() - 1) +
                "(... where ...)");
      return true;
    }
    return false;
  }

  /// `x[:,0]`, `x[1:3]`
  bool slice() {
    Place open = opener();
    if (found_.kind != Kind::Colon || !open || open->kind != Kind::LeftBracket)
      return false;
    error("there are no slices with ':'", "E2")
        .hint("a letter reads all of an axis, x[t,0], and a part with a number added: y[n] = x[n + "
              "1]");
    return true;
  }

  /// What stands between a name on the left and what defines it.
  bool leftSide() {
    if (!wants("'='"))
      return false;
    bool name = before() == Kind::Name && begins(1);
    Place close = found_.kind == Kind::LeftParen ? partner(at_) : nullptr;
    if (name && close && close[1].kind == Kind::Assign) {
      error("a tensor's indices stand in brackets", "G10")
          .hint("write " + at_[-1].text + "[" +
                (close > at_ + 1 ? text(at_ + 1, close - 1) : std::string()) + "] = ...");
      return true;
    }
    if ((found_.kind == Kind::Less && after() == Kind::Minus) || found_.kind == Kind::Colon) {
      error("a definition is written with '='", "G10");
      return true;
    }
    if (name && found_.kind == after() &&
        (found_.kind == Kind::Plus || found_.kind == Kind::Minus)) {
      error("there is no '" + text(at_, at_ + 1) + "'", "E1")
          .hint("rebind the name: " + at_[-1].text + " = " + at_[-1].text + " " + found_.text +
                " 1");
      return true;
    }
    if (name && lexical::isBinary(found_.kind) && found_.kind != Kind::Equal) {
      error("expected '=' after " + describe(at_[-1]) + ", found " + describe(found_), "G1")
          .hint("a statement is an equation, also the last of a body: y = " + at_[-1].text + " " +
                found_.text + " ...");
      return true;
    }
    return false;
  }

  /// `index i <= 4`, `index i in 0..4`, `index 0 <= i < 4`
  bool letterRange() {
    if (wants("'<'") && before() == Kind::Name &&
        (found_.kind == Kind::LessEqual || found_.kind == Kind::Name ||
         found_.kind == Kind::Colon)) {
      error("a letter gets its range with '<'", "G5")
          .hint("write index " + at_[-1].text +
                (found_.kind == Kind::LessEqual ? " < T + 1: the range leaves out its end"
                                                : " < T: the range begins at 0"));
      return true;
    }
    if (!wants("a letter") || before() != Kind::Index ||
        (found_.kind != Kind::Integer && found_.kind != Kind::Minus))
      return false;
    error("expected a letter after 'index', found " + describe(found_), "G5")
        .hint("a range begins at 0: index i < T");
    return true;
  }

  /// `x_{t}`, `[a, b]` as a value, `x: [T, C]`
  bool inBraces() {
    if (found_.kind == Kind::LeftBrace && before() == Kind::Name &&
        (wants("'='") || wants("')'") || wants("the end of the statement"))) {
      error("indices stand in brackets", "G10").hint("write x[t], sum[c](...)");
      return true;
    }
    if (found_.kind == Kind::LeftBracket && wants("an expression")) {
      error("a tensor is no list of values", "G2")
          .hint("an equation gives each element: y[0] = ..., y[1] = ...");
      return true;
    }
    if (found_.kind != Kind::LeftBracket || before() != Kind::Colon ||
        !wants("a type (float, int, bool or token)"))
      return false;
    error("expected " + wanted_ + " after ':', found '['", "T1")
        .hint("an argument has its letters behind its name: x[t,c]");
    return true;
  }

  /// Strings and words as values.
  bool value() {
    if (found_.kind == Kind::String && before() == Kind::Use) {
      error("expected a name after 'use', found a string", "G10").hint("write use nn");
      return true;
    }
    if (found_.kind == Kind::String && (wants("')'") || wants("an argument"))) {
      Place open = opener();
      std::string hint = open && open != first_ && open[-1].kind == Kind::Name
                             ? habits::name(open[-1].text)
                             : std::string();
      error("a string is no argument: it stands only in config(...), from and param", "G2")
          .hint(hint.empty() ? "a size or constant is given by name: f(x, N: 3)" : hint);
      return true;
    }
    if (before() != Kind::Name || found_.kind != Kind::Name ||
        (!wants("')'") && !wants("the end of the statement")))
      return false;
    std::string hint = habits::name(at_[-1].text);
    if (hint.empty())
      return false;
    diagnostics_.error(at_[-1].span, written(at_[-1]) + " has no meaning here", "G1").hint(hint);
    return true;
  }
};

} // namespace

bool explainHabit(const Mismatch &mismatch, Place first, Diagnostics &diagnostics) {
  return Habit(mismatch, first, diagnostics).say();
}

} // namespace qkv::grammar
