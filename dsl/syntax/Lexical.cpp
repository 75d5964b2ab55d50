// Reads the characters of a file one after the other (G7, G8, G10).
//
// In: any bytes. Out: tokens without statement ends, which Layout.cpp adds. Each token is on
// one line. What must hold: a run of bytes that mean nothing is one diagnostic, not many.
#include "dsl/syntax/Lexical.h"

#include "dsl/functions/Functions.h"
#include "dsl/syntax/Habits.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <unordered_map>
#include <utf8proc.h>

namespace qkv::lexical {

namespace {

const std::unordered_map<std::string_view, Kind> &words() {
  static const std::unordered_map<std::string_view, Kind> table = [] {
    std::unordered_map<std::string_view, Kind> all = {
        {"size", Kind::Size},       {"const", Kind::Const},   {"index", Kind::Index},
        {"param", Kind::Param},     {"fn", Kind::Fn},         {"block", Kind::Block},
        {"model", Kind::Model},     {"use", Kind::Use},       {"repeat", Kind::Repeat},
        {"from", Kind::From},       {"if", Kind::If},         {"then", Kind::Then},
        {"else", Kind::Else},       {"and", Kind::And},       {"or", Kind::Or},
        {"not", Kind::Not},         {"where", Kind::Where},   {"true", Kind::True},
        {"false", Kind::False},     {"extent", Kind::Extent}, {"config", Kind::Config},
        {"dynamic", Kind::Dynamic}, {"stream", Kind::Stream}, {"inf", Kind::Infinity},
    };
    for (const ReductionInfo &r : reductions())
      all[r.name] = Kind::Reduction;
    for (const Function &f : functions())
      all[f.name] = reductionNamed(f.name) ? Kind::MinMax : Kind::Function;
    return all;
  }();
  return table;
}

/// A sign, what it means, and what to say if it is one of another language.
struct Sign {
  std::string_view written;
  Kind kind;
  std::string_view text;
  const char *message = nullptr;
  const char *rule = "";
  const char *hint = nullptr;
};

// Longer signs stand before those they begin with.
const Sign signs[] = {
    {"->", Kind::Arrow, "->"},
    {"//", Kind::SlashSlash, "//"},
    {"==", Kind::Equal, "=="},
    {"!=", Kind::NotEqual, "!="},
    {"<=", Kind::LessEqual, "<="},
    {">=", Kind::GreaterEqual, ">="},
    {"+=", Kind::Assign, "=", "there is no '+='", "E1", "rebind the name: x = x + ..."},
    {"-=", Kind::Assign, "=", "there is no '-='", "E1", "rebind the name: x = x - ..."},
    {"*=", Kind::Assign, "=", "there is no '*='", "E1", "rebind the name: x = x * ..."},
    {"/=", Kind::Assign, "=", "there is no '/='", "E1", "rebind the name: x = x / ..."},
    {":=", Kind::Assign, "=", "there is no ':='", "G10", "a definition is written with '='"},
    {"=>", Kind::GreaterEqual, ">=", "there is no '=>'", "G2",
     "'at least' is written '>=', a definition's result '->'"},
    {"<>", Kind::NotEqual, "!=", "there is no '<>'", "G2", "'not equal' is written '!='"},
    {"&&", Kind::And, "and", "there is no '&&'", "G2", "write 'and'"},
    {"||", Kind::Or, "or", "there is no '||'", "G2", "write 'or'"},
    {"**", Kind::Caret, "^", "there is no '**'", "G2", "a power is written with '^'"},
    {"&", Kind::And, "and", "there is no '&'", "G2", "write 'and'"},
    {"|", Kind::Or, "or", "there is no '|'", "G2", "write 'or'"},
    {"!", Kind::Not, "not", "there is no '!'", "G2", "write 'not'"},
    {"(", Kind::LeftParen, "("},
    {")", Kind::RightParen, ")"},
    {"[", Kind::LeftBracket, "["},
    {"]", Kind::RightBracket, "]"},
    {"{", Kind::LeftBrace, "{"},
    {"}", Kind::RightBrace, "}"},
    {",", Kind::Comma, ","},
    {":", Kind::Colon, ":"},
    {"=", Kind::Assign, "="},
    {"+", Kind::Plus, "+"},
    {"-", Kind::Minus, "-"},
    {"*", Kind::Star, "*"},
    {"/", Kind::Slash, "/"},
    {"%", Kind::Percent, "%"},
    {"^", Kind::Caret, "^"},
    {"<", Kind::Less, "<"},
    {">", Kind::Greater, ">"},
    {";", Kind::StatementEnd, ";"},
    // G8
    {"\u03A3", Kind::Reduction, "sum"},
    {"\u2211", Kind::Reduction, "sum"},
    {"\u220F", Kind::Reduction, "prod"},
    {"\u221A", Kind::Root, "sqrt"},
    {"\u00B7", Kind::Star, "*"},
    {"\u00D7", Kind::Star, "*"},
    {"\u2212", Kind::Minus, "-"},
    {"\u2264", Kind::LessEqual, "<="},
    {"\u2265", Kind::GreaterEqual, ">="},
    {"\u2260", Kind::NotEqual, "!="},
};

bool isDigit(char c) { return c >= '0' && c <= '9'; }

bool isLetter(int32_t code) {
  if (code < 0x80)
    return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z') || code == '_';
  if (code == 0x3A3) // the Greek capital sigma spells sum (G8)
    return false;
  switch (utf8proc_category(code)) {
  case UTF8PROC_CATEGORY_LU:
  case UTF8PROC_CATEGORY_LL:
  case UTF8PROC_CATEGORY_LT:
  case UTF8PROC_CATEGORY_LM:
  case UTF8PROC_CATEGORY_LO:
    return true;
  default:
    return false;
  }
}

bool continuesName(int32_t code) {
  if (code < 0)
    return false;
  if (isLetter(code) || (code >= '0' && code <= '9'))
    return true;
  if (code < 0x80)
    return false;
  // A mark belongs to the letter before it: NFC joins the two where it can.
  switch (utf8proc_category(code)) {
  case UTF8PROC_CATEGORY_ND:
  case UTF8PROC_CATEGORY_MN:
  case UTF8PROC_CATEGORY_MC:
    return true;
  default:
    return false;
  }
}

std::string normalised(std::string_view name) {
  std::string result(name);
  for (char c : name)
    if (static_cast<unsigned char>(c) >= 0x80) {
      utf8proc_uint8_t *nfc =
          utf8proc_NFC(reinterpret_cast<const utf8proc_uint8_t *>(result.c_str()));
      if (nfc)
        result = reinterpret_cast<const char *>(nfc);
      std::free(nfc);
      break;
    }
  return result;
}

/// How many characters and numbers are complained about in one file.
constexpr size_t maxReports = 50;

class Scanner {
public:
  Scanner(const Source &source, Diagnostics &diagnostics)
      : source_(source), text_(source.text()), diagnostics_(diagnostics) {}

  Tokens run() {
    at_ = source_.lineBegin(1);
    while (at_ < text_.size())
      next();
    push(Kind::EndOfFile, at_, "");
    return std::move(out_);
  }

private:
  /// A file of noise is said to be one, not described.
  Diagnostic &error(Span at, std::string message, const char *rule) {
    if (++reported_ <= maxReports)
      return diagnostics_.error(at, std::move(message), rule);
    silent_ = Diagnostic();
    return silent_;
  }

  Span from(uint32_t begin) const { return {&source_, begin, at_}; }

  Token &push(Kind kind, uint32_t begin, std::string text) {
    Token token;
    token.kind = kind;
    token.span = from(begin);
    token.text = std::move(text);
    token.line = line_;
    token.firstOnLine = newLine_;
    newLine_ = false;
    out_.tokens.push_back(std::move(token));
    return out_.tokens.back();
  }

  void next() {
    char c = text_[at_];
    if (c == '\n') {
      ++at_, ++line_;
      newLine_ = true;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      ++at_;
    } else if (c == '#') {
      comment();
    } else if (isDigit(c) || (c == '.' && at_ + 1 < text_.size() && isDigit(text_[at_ + 1]))) {
      number();
    } else if (c == '"' || c == '\'') {
      string(c);
    } else if (!length() && !sign() && !name()) {
      stray();
    }
  }

  /// Remembered, because a long line may hold many strings.
  uint32_t lineEnd() {
    if (lineEnd_ < at_ || lineEnd_ == 0) { // 0: not found yet
      size_t end = std::min(text_.find('\n', at_), text_.size());
      lineEnd_ = static_cast<uint32_t>(end > at_ && text_[end - 1] == '\r' ? end - 1 : end);
    }
    return lineEnd_;
  }

  /// Inside comments and strings every character is as good as another, except what is none.
  void checkBytes(uint32_t begin, uint32_t end, const char *where) {
    for (uint32_t i = begin; i < end;) {
      Character c = characterAt(text_, i);
      if (c.code <= 0) {
        error({&source_, i, i + 1},
              c.code == 0 ? std::string("a zero byte in ") + where
                          : std::string("this byte in ") + where + " is not UTF-8",
              "G8");
        return;
      }
      i += c.length;
    }
  }

  void comment() {
    uint32_t begin = at_;
    at_ = lineEnd();
    checkBytes(begin, at_, "a comment");
    out_.comments.push_back(from(begin));
  }

  void digits() {
    while (at_ < text_.size() && isDigit(text_[at_]))
      ++at_;
  }

  void number() {
    uint32_t begin = at_;
    bool whole = true, sound = true, readable = true;
    auto wrong = [&](std::string message, const char *hint) {
      if (sound)
        error(from(begin), std::move(message), "G10").hint(hint);
      sound = false;
    };
    auto peek = [&](uint32_t ahead) {
      return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
    };
    digits();
    if (peek(0) == '.' && peek(1) != '.') { // (0..4 is no number with a point)
      bool leading = at_ == begin;
      whole = false;
      ++at_;
      bool fraction = isDigit(peek(0));
      digits();
      if (leading)
        wrong("a number begins with a digit", "write 0.5 for .5");
      else if (!fraction)
        wrong("a digit follows the point of a number", "write 2.0 for 2.");
    }
    if (peek(0) == 'e' || peek(0) == 'E') {
      uint32_t sign = peek(1) == '+' || peek(1) == '-' ? 1 : 0;
      if (isDigit(peek(1 + sign))) {
        whole = false;
        at_ += 1 + sign;
        digits();
      }
    }
    if (at_ < text_.size() &&
        ((text_[at_] == '.' && !whole) || continuesName(characterAt(text_, at_).code))) {
      while (at_ < text_.size() &&
             (text_[at_] == '.' || continuesName(characterAt(text_, at_).code)))
        at_ += characterAt(text_, at_).length;
      readable = false;
      wrong(
          "'" + std::string(text_.substr(begin, at_ - begin)) + "' is neither a number nor a name",
          "numbers are written 12, 0.5 or 1e-5; a name begins with a letter, a product has a '*'");
    }
    std::string written(text_.substr(begin, at_ - begin));
    Token &token = push(!readable ? Kind::Bad
                        : whole   ? Kind::Integer
                                  : Kind::Number,
                        begin, written);
    if (!sound)
      return;
    const char *first = written.data(), *last = first + written.size();
    std::errc code = whole ? std::from_chars(first, last, token.integer).ec
                           : std::from_chars(first, last, token.number).ec;
    if (code != std::errc()) {
      token.number = 0;
      error(token.span,
            whole ? "this integer is beyond 64 bits (the largest is 9223372036854775807)"
                  : "this number is beyond what double precision holds",
            "G10");
    }
  }

  void string(char quote) {
    if (quote == '\'' && at_ > 0 && !out_.tokens.empty() && out_.tokens.back().kind == Kind::Name &&
        out_.tokens.back().span.end == at_) {
      uint32_t prime = at_++;
      error(from(prime), "a name has no prime", "G10")
          .hint("a name is made of letters, digits and '_'");
      push(Kind::Bad, prime, "'");
      return;
    }
    uint32_t begin = at_++;
    uint32_t end = lineEnd();
    size_t close = text_.substr(0, end).find(quote, at_);
    bool closed = close != std::string_view::npos;
    uint32_t stop = closed ? static_cast<uint32_t>(close) : end;
    std::string content(text_.substr(at_, stop - at_));
    checkBytes(at_, stop, "a string");
    at_ = closed ? stop + 1 : stop;
    if (quote == '\'') {
      if (!closed)
        at_ = begin + 1;
      error(from(begin), "a string stands in double quotes", "G10").hint("write \"...\"");
      push(closed ? Kind::String : Kind::Bad, begin, content);
      return;
    }
    if (!closed)
      error(from(begin), "this string has no '\"' at its end; a string stands on one line", "G10");
    push(Kind::String, begin, content);
  }

  /// .length behind a parenthesis.
  bool length() {
    constexpr std::string_view word = ".length";
    if (out_.tokens.empty() || newLine_ || out_.tokens.back().kind != Kind::RightParen ||
        !text_.substr(at_).starts_with(word))
      return false;
    size_t behind = at_ + word.size();
    if (behind < text_.size() && continuesName(characterAt(text_, behind).code))
      return false;
    uint32_t begin = at_;
    at_ = static_cast<uint32_t>(behind);
    push(Kind::Length, begin, std::string(word));
    return true;
  }

  /// A bar behind a string of the same statement: what another format has instead (C5).
  bool bar() {
    constexpr size_t farthest = 1000; // a file of bars takes no longer than another
    size_t count = out_.tokens.size();
    for (size_t back = 1; back <= std::min(count, farthest); ++back) {
      switch (out_.tokens[count - back].kind) {
      case Kind::String: {
        uint32_t begin = at_++;
        push(Kind::Bar, begin, "|");
        return true;
      }
      case Kind::Assign:
      case Kind::Arrow:
      case Kind::StatementEnd:
      case Kind::LeftBrace:
      case Kind::RightBrace:
        return false;
      default:
        break;
      }
    }
    return false;
  }

  bool sign() {
    if (text_[at_] == '|' && text_.substr(at_, 2) != "||" && bar())
      return true;
    for (const Sign &candidate : signs) {
      if (!text_.substr(at_).starts_with(candidate.written))
        continue;
      uint32_t begin = at_;
      at_ += static_cast<uint32_t>(candidate.written.size());
      if (candidate.written == "|" && magnitude(begin))
        return true;
      if (candidate.message)
        error(from(begin), candidate.message, candidate.rule).hint(candidate.hint);
      push(candidate.kind, begin, std::string(candidate.text));
      return true;
    }
    return false;
  }

  /// |x|: a bar where an operand begins, and the next one on its line.
  bool magnitude(uint32_t begin) {
    bool closes = barLine_ == line_;
    bool operand = !out_.tokens.empty() && !newLine_ && endsOperand(out_.tokens.back().kind);
    if (!closes && operand)
      return false;
    if (!closes)
      error(from(begin), "there are no bars around a value", "G2").hint("a magnitude is abs(x)");
    barLine_ = closes ? 0 : line_;
    push(Kind::Bad, begin, "|");
    return true;
  }

  bool name() {
    Character c = characterAt(text_, at_);
    if (c.code < 0 || !isLetter(c.code))
      return false;
    uint32_t begin = at_;
    do {
      at_ += c.length;
      if (at_ >= text_.size())
        break;
      c = characterAt(text_, at_);
    } while (continuesName(c.code));
    std::string text = normalised(text_.substr(begin, at_ - begin));
    auto word = words().find(text);
    Kind kind = text == "_" ? Kind::Drop : word != words().end() ? word->second : Kind::Name;
    push(kind, begin, std::move(text));
    return true;
  }

  /// Characters that begin no token, as far as they are of one sort.
  void stray() {
    uint32_t begin = at_;
    Character c = characterAt(text_, at_);
    at_ += c.length;
    if (c.code > 0 && utf8proc_category(c.code) == UTF8PROC_CATEGORY_ZS) {
      error(from(begin), "this " + codePoint(c.code) + " is not a plain space", "G8")
          .hint("write a plain space");
      return;
    }
    if (c.code <= 0) {
      while (at_ < text_.size() && characterAt(text_, at_).code == c.code)
        ++at_;
      error(from(begin), c.code == 0 ? "zero bytes are not text" : "this is not UTF-8 text", "G8");
      push(Kind::Bad, begin, "");
      return;
    }
    // A run of the same character is one mistake.
    while (at_ < text_.size() && characterAt(text_, at_).code == c.code)
      at_ += c.length;
    std::string_view character = text_.substr(begin, c.length);
    bool visible = c.code > 0x20 && c.code != 0x7F && utf8proc_charwidth(c.code) > 0;
    Diagnostic &diagnostic =
        error(from(begin),
              (visible ? "'" + std::string(character) + "'" +
                             (c.code < 0x80 ? "" : " (" + codePoint(c.code) + ")")
                       : "the character " + codePoint(c.code)) +
                  " has no meaning in the language",
              "G8");
    if (std::string hint = habits::character(c.code); !hint.empty())
      diagnostic.hint(hint);
    push(Kind::Bad, begin, std::string(character));
  }

  static std::string codePoint(int32_t code) {
    char buffer[16];
    std::snprintf(buffer, sizeof buffer, "U+%04X", static_cast<unsigned>(code));
    return buffer;
  }

  const Source &source_;
  std::string_view text_;
  Diagnostics &diagnostics_;
  Tokens out_;
  size_t reported_ = 0;
  Diagnostic silent_;
  uint32_t at_ = 0, line_ = 1, lineEnd_ = 0, barLine_ = 0;
  bool newLine_ = true;
};

} // namespace

bool isReservedWord(const std::string &word) { return words().count(word) > 0; }

std::vector<std::string> wordsOf(std::initializer_list<Kind> kinds) {
  std::vector<std::string> out;
  for (auto &[word, kind] : words())
    if (std::find(kinds.begin(), kinds.end(), kind) != kinds.end())
      out.emplace_back(word);
  std::sort(out.begin(), out.end());
  return out;
}

bool endsOperand(Kind kind) {
  switch (kind) {
  case Kind::Name:
  case Kind::Drop:
  case Kind::Integer:
  case Kind::Number:
  case Kind::Infinity:
  case Kind::String:
  case Kind::Length:
  case Kind::True:
  case Kind::False:
  case Kind::RightParen:
  case Kind::RightBracket:
  case Kind::Bad:
    return true;
  default:
    return false;
  }
}

const char *spelling(Kind kind) {
  for (const Sign &sign : signs)
    if (sign.kind == kind && !sign.message && kind != Kind::Reduction)
      return sign.text.data();
  switch (kind) {
  case Kind::EndOfFile:
    return "the end of the file";
  case Kind::Bad:
    return "something unreadable";
  case Kind::Name:
    return "a name";
  case Kind::Drop:
    return "_";
  case Kind::Integer:
    return "an integer";
  case Kind::Number:
    return "a number";
  case Kind::String:
    return "a string";
  case Kind::Bar:
    return "|";
  case Kind::Length:
    return ".length";
  case Kind::Reduction:
    return "a reduction";
  case Kind::MinMax:
    return "min or max";
  case Kind::Function:
    return "a function";
  default:
    break;
  }
  for (const auto &[word, of] : words())
    if (of == kind)
      return word.data();
  return "";
}

Tokens scan(const Source &source, Diagnostics &diagnostics) {
  Tokens result = Scanner(source, diagnostics).run();
  layOut(result.tokens, diagnostics);
  return result;
}

} // namespace qkv::lexical
