// The text of a template -> tokens (Lexer.h).
#include "runtime/template/Lexer.h"

#include "runtime/Error.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>

namespace qkv::jinja {
namespace {

bool isSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool startsName(char c) {
  return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80);
}

void appendCharacter(std::string &out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
  } else if (c < 0x10000) {
    out += {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3F)),
            static_cast<char>(0x80 | (c & 0x3F))};
  } else {
    out += {static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 0x3F)),
            static_cast<char>(0x80 | (c >> 6 & 0x3F)), static_cast<char>(0x80 | (c & 0x3F))};
  }
}

class Lexer {
public:
  Lexer(const std::string &source, std::vector<Token> &out, std::string &why) : out(out), why(why) {
    // Lines end in \n; the last one's end goes.
    for (size_t i = 0; i < source.size(); ++i)
      if (source[i] != '\r')
        text += source[i];
      else if (i + 1 >= source.size() || source[i + 1] != '\n')
        text += '\n';
    if (!text.empty() && text.back() == '\n')
      text.pop_back();
  }

  bool run() {
    while (at < text.size())
      if (!data())
        return false;
    add(Token::Kind::End, "");
    return true;
  }

private:
  bool wrong(const std::string &what) {
    why = rt::format("line %d: %s", line, what.c_str());
    return false;
  }
  bool here(std::string_view what) const { return text.compare(at, what.size(), what) == 0; }
  void skip(size_t count) {
    for (; count > 0 && at < text.size(); --count)
      line += text[at++] == '\n';
  }
  void skipSpaces() {
    while (at < text.size() && isSpace(text[at]))
      skip(1);
  }
  Token &add(Token::Kind kind, std::string letters) {
    Token token;
    token.kind = kind;
    token.text = std::move(letters);
    token.line = line;
    out.push_back(std::move(token));
    return out.back();
  }

  bool data();
  bool comment();
  bool raw(bool &was);
  bool inside(bool print);
  bool end(bool print, bool &ended);
  bool stringToken();
  bool numberToken();
  bool markToken();

  /// Behind the end of a tag or a comment: its line's end goes, or all whitespace.
  void behind(char sign) {
    if (sign == '-')
      skipSpaces();
    else if (sign != '+' && at < text.size() && text[at] == '\n')
      skip(1);
    fresh = at > 0 && text[at - 1] == '\n';
  }

  std::string text;
  size_t at = 0;
  int line = 1;
  bool fresh = true; ///< a line begins here
  std::vector<Token> &out;
  std::string &why;
};

/// Text up to the next tag, and what the tag is.
bool Lexer::data() {
  size_t open = at;
  while (open < text.size() &&
         !(text[open] == '{' && open + 1 < text.size() &&
           (text[open + 1] == '{' || text[open + 1] == '%' || text[open + 1] == '#')))
    ++open;
  std::string before = text.substr(at, open - at);
  if (open == text.size()) {
    if (!before.empty())
      add(Token::Kind::Data, before);
    skip(before.size());
    return true;
  }
  char kind = text[open + 1], sign = open + 2 < text.size() ? text[open + 2] : ' ';
  if (sign != '-' && sign != '+')
    sign = ' ';
  if (sign == '-') {
    size_t last = before.size();
    while (last > 0 && isSpace(before[last - 1]))
      --last;
    before.resize(last);
  } else if (sign != '+' && kind != '{') {
    size_t start = before.rfind('\n') + 1; // (0 where there is none)
    if ((start > 0 || fresh) && before.find_first_not_of(" \t", start) == before.npos)
      before.resize(start);
  }
  if (!before.empty())
    add(Token::Kind::Data, before);
  skip(open - at);
  skip(sign == ' ' ? 2 : 3);
  fresh = false;
  if (kind == '#')
    return comment();
  bool was = false;
  if (kind == '%' && !raw(was))
    return false;
  return was || inside(kind == '{');
}

bool Lexer::comment() {
  size_t close = text.find("#}", at);
  if (close == text.npos)
    return wrong("a comment has no end");
  char sign = close > at ? text[close - 1] : ' ';
  skip(close + 2 - at);
  behind(sign);
  return true;
}

/// {% raw %} to {% endraw %} is text. `was`: this is one.
bool Lexer::raw(bool &was) {
  auto tag = [&](size_t from, std::string_view name, size_t &end, char &sign) {
    size_t i = from;
    auto spaces = [&] {
      while (i < text.size() && isSpace(text[i]))
        ++i;
    };
    spaces();
    if (text.compare(i, name.size(), name) != 0)
      return false;
    i += name.size();
    spaces();
    sign = i < text.size() && (text[i] == '-' || text[i] == '+') ? text[i++] : ' ';
    end = i + 2;
    return text.compare(i, 2, "%}") == 0;
  };
  size_t end;
  char sign;
  if (!tag(at, "raw", end, sign))
    return true;
  was = true;
  skip(end - at);
  behind(sign);
  for (size_t open = text.find("{%", at); open != text.npos; open = text.find("{%", open + 2)) {
    char front = open + 2 < text.size() ? text[open + 2] : ' ';
    bool hasSign = front == '-' || front == '+';
    if (!tag(open + (hasSign ? 3 : 2), "endraw", end, sign))
      continue;
    std::string inner = text.substr(at, open - at);
    if (front == '-') {
      while (!inner.empty() && isSpace(inner.back()))
        inner.pop_back();
    } else if (front != '+') {
      size_t start = inner.rfind('\n') + 1;
      if ((start > 0 || fresh) && inner.find_first_not_of(" \t", start) == inner.npos)
        inner.resize(start);
    }
    if (!inner.empty())
      add(Token::Kind::Data, inner);
    skip(end - at);
    behind(sign);
    return true;
  }
  return wrong("raw has no end");
}

/// Whether the print or the tag ends here.
bool Lexer::end(bool print, bool &ended) {
  std::string_view close = print ? "}}" : "%}";
  bool sign = text[at] == '-' || (!print && text[at] == '+');
  ended = text.compare(at + sign, 2, close) == 0;
  if (!ended)
    return true;
  char mark = sign ? text[at] : ' ';
  add(print ? Token::Kind::PrintEnd : Token::Kind::TagEnd, "");
  skip(sign ? 3 : 2);
  if (print) {
    if (mark == '-')
      skipSpaces();
    fresh = at > 0 && text[at - 1] == '\n';
  } else {
    behind(mark);
  }
  return true;
}

bool Lexer::inside(bool print) {
  add(print ? Token::Kind::PrintBegin : Token::Kind::TagBegin, "");
  std::string open; // brackets
  for (;;) {
    skipSpaces();
    if (at >= text.size())
      return wrong("a tag has no end");
    bool ended = false;
    if (open.empty() && !end(print, ended))
      return false;
    if (ended)
      return true;
    char c = text[at];
    if (c == '"' || c == '\'') {
      if (!stringToken())
        return false;
    } else if (isDigit(c)) {
      if (!numberToken())
        return false;
    } else if (startsName(c)) {
      size_t stop = at;
      while (stop < text.size() && (startsName(text[stop]) || isDigit(text[stop])))
        ++stop;
      add(Token::Kind::Name, text.substr(at, stop - at));
      skip(stop - at);
    } else {
      if (c == '(' || c == '[' || c == '{')
        open += c;
      else if (c == ')' || c == ']' || c == '}') {
        char pair = c == ')' ? '(' : c == ']' ? '[' : '{';
        if (open.empty() || open.back() != pair)
          return wrong(std::string("unexpected ") + c);
        open.pop_back();
      }
      if (!markToken())
        return false;
    }
  }
}

bool Lexer::stringToken() {
  char mark = text[at];
  std::string value;
  size_t i = at + 1;
  auto code = [&](size_t digits, int base) {
    uint32_t number = 0;
    size_t count = 0;
    for (; count < digits && i + 1 < text.size(); ++count) {
      char c = text[i + 1];
      int digit = isDigit(c)                                ? c - '0'
                  : isxdigit(static_cast<unsigned char>(c)) ? (c | 32) - 'a' + 10
                                                            : 99;
      if (digit >= base)
        break;
      number = number * static_cast<uint32_t>(base) + static_cast<uint32_t>(digit);
      ++i;
    }
    if ((base == 16 && count < digits) || number > 0x10FFFF ||
        (number >= 0xD800 && number < 0xE000))
      return wrong("a text has an escape that is no character");
    appendCharacter(value, number);
    return true;
  };
  for (; i < text.size() && text[i] != mark; ++i) {
    if (text[i] != '\\' || i + 1 >= text.size()) {
      value += text[i];
      continue;
    }
    char c = text[++i];
    constexpr std::string_view from = "abfnrtv", to = "\a\b\f\n\r\t\v";
    if (size_t known = from.find(c); known != from.npos) {
      value += to[known];
    } else if (c == '\\' || c == '\'' || c == '"') {
      value += c;
    } else if (c == 'x' || c == 'u' || c == 'U') {
      if (!code(c == 'x' ? 2 : c == 'u' ? 4 : 8, 16))
        return false;
    } else if (c >= '0' && c <= '7') {
      --i;
      if (!code(3, 8))
        return false;
    } else if (c != '\n') {
      value += {'\\', c};
    }
  }
  if (i >= text.size())
    return wrong("a text has no end");
  add(Token::Kind::Text, value);
  skip(i + 1 - at);
  return true;
}

bool Lexer::numberToken() {
  std::string digits;
  size_t i = at;
  auto take = [&] {
    for (; i < text.size() &&
           (isDigit(text[i]) || (text[i] == '_' && i > at && isDigit(text[i - 1])));
         ++i)
      if (text[i] != '_')
        digits += text[i];
  };
  take();
  bool real = false;
  if (i + 1 < text.size() && text[i] == '.' && isDigit(text[i + 1])) {
    real = true;
    digits += text[i++];
    take();
  }
  size_t e = i;
  if (e < text.size() && (text[e] == 'e' || text[e] == 'E')) {
    size_t sign = e + 1 < text.size() && (text[e + 1] == '+' || text[e + 1] == '-') ? 2 : 1;
    if (e + sign < text.size() && isDigit(text[e + sign])) {
      real = true;
      digits += text.substr(e, sign);
      i = e + sign;
      take();
    }
  }
  Token &token = add(real ? Token::Kind::Float : Token::Kind::Int, digits);
  const char *end = digits.data() + digits.size();
  if (real)
    std::from_chars(digits.data(), end, token.number);
  else if (std::from_chars(digits.data(), end, token.whole).ec != std::errc())
    return wrong("the number " + digits.substr(0, 40) + " is too large");
  skip(i - at);
  return true;
}

bool Lexer::markToken() {
  for (std::string_view mark :
       {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"})
    if (here(mark)) {
      add(Token::Kind::Mark, std::string(mark));
      skip(mark.size());
      return true;
    }
  return wrong("unexpected " + rt::quote(text.substr(at, 1)));
}

} // namespace

bool tokens(const std::string &source, std::vector<Token> &out, std::string &why) {
  return Lexer(source, out, why).run();
}

} // namespace qkv::jinja
