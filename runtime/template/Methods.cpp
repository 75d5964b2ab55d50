// Methods of texts, dicts and lists.
#include "runtime/template/Render.h"

#include "runtime/Error.h"
#include "runtime/checkpoint/Names.h"
#include "runtime/tokenize/Unicode.h"

#include <utf8proc.h>

#include <algorithm>

namespace qkv::jinja {

using V = Value::Kind;

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> all;
  for (size_t at = 0; at < text.size();) {
    size_t length = std::max<size_t>(rt::utf8Length(text.substr(at)), 1);
    all.push_back(text.substr(at, length));
    at += length;
  }
  return all;
}

std::string upper(const std::string &text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    int32_t c = rt::nextCharacter(text, at);
    if (c == 0xDF) // the one letter of Latin-1 that becomes two
      out += "SS";
    else
      rt::appendCharacter(out, utf8proc_toupper(c));
  }
  return out;
}

namespace {

bool isSpace(std::string_view letter) {
  size_t at = 0;
  int32_t c = rt::nextCharacter(letter, at);
  return rt::isSpace(c) || (c >= 0x1C && c <= 0x1F);
}

bool isLetter(std::string_view letter) {
  size_t at = 0;
  utf8proc_category_t category = utf8proc_category(rt::nextCharacter(letter, at));
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool isDigit(std::string_view letter) {
  size_t at = 0;
  return utf8proc_category(rt::nextCharacter(letter, at)) == UTF8PROC_CATEGORY_ND;
}

/// Capitals where words begin, as str.title() sees words: runs of letters.
std::string titled(const std::string &text, bool first) {
  std::string out;
  bool inside = false, begun = false;
  for (std::string_view letter : characters(text)) {
    bool word = isLetter(letter);
    bool capital = first ? !begun : word && !inside;
    out += capital ? upper(std::string(letter)) : rt::lowercase(letter);
    inside = word;
    begun = true;
  }
  return out;
}

size_t countOf(std::string_view text, std::string_view part) {
  size_t count = 0;
  if (part.empty())
    return characters(text).size() + 1;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
    ++count;
  return count;
}

} // namespace

std::string strip(const std::string &text, const Value &which, bool left, bool right) {
  std::vector<std::string_view> letters = characters(text), gone;
  bool spaces = !which.is(V::Text);
  if (!spaces)
    gone = characters(which.text());
  auto goes = [&](std::string_view letter) {
    return spaces ? isSpace(letter) : std::find(gone.begin(), gone.end(), letter) != gone.end();
  };
  size_t begin = 0, end = letters.size();
  while (left && begin < end && goes(letters[begin]))
    ++begin;
  while (right && end > begin && goes(letters[end - 1]))
    --end;
  std::string out;
  for (size_t i = begin; i < end; ++i)
    out += letters[i];
  return out;
}

Value Render::method(const Value &of, const std::string &name, const Given &given) {
  if (broken)
    return {};
  if (of.is(V::Text))
    return textMethod(of.text(), name, given);
  if (of.is(V::Dict) || of.is(V::Namespace))
    return dictMethod(of, name, given);
  if (of.is(V::Loop))
    return callLoop(*of.loop(), name, given);
  std::vector<Value> v;
  if (of.isList() && (name == "index" || name == "count")) {
    if (!take(name.c_str(), given, {"value"}, v))
      return {};
    int64_t count = 0;
    for (size_t i = 0; i < of.list().size(); ++i)
      if (equal(of.list()[i], v[0])) {
        if (name == "index")
          return Value::of(static_cast<int64_t>(i));
        ++count;
      }
    return name == "count" ? Value::of(count) : failed("index(): the list has no such value");
  }
  if (of.isList() && name == "copy")
    return of;
  return failed(std::string("a value of type ") + kindName(of) + " has no " + rt::quote(name) +
                "() here");
}

Value Render::dictMethod(const Value &of, const std::string &name, const Given &given) {
  std::vector<Value> v;
  List all;
  if (of.is(V::Dict) && name == "get") {
    if (!take("get", given, {"key", "default"}, v))
      return {};
    const Value *found = v[0].is(V::Text) ? of.dict().find(v[0].text()) : nullptr;
    return found ? *found : v[1].is(V::Undefined) ? Value::none() : v[1];
  }
  if (of.is(V::Dict) && (name == "items" || name == "keys" || name == "values")) {
    if (!take(name.c_str(), given, {}, v))
      return {};
    for (const auto &[key, one] : of.dict().all())
      all.push_back(name == "keys"     ? Value::text(key)
                    : name == "values" ? one
                                       : Value::list({Value::text(key), one}, /*tuple=*/true));
    return step(static_cast<int64_t>(all.size())) ? Value::list(std::move(all)) : Value();
  }
  if (of.is(V::Dict) && name == "copy")
    return of;
  Value own = attribute(of, name);
  if (own.is(V::Macro))
    return callMacro(*own.macro(), given, nullptr);
  return failed(std::string("a value of type ") + kindName(of) + " has no " + rt::quote(name) +
                "() here");
}

/// split, rsplit, splitlines, partition, rpartition
Value Render::splitMethod(const std::string &all, const std::string &name, const Given &given) {
  std::vector<Value> v;
  List out;
  auto part = [&](std::string_view text) { out.push_back(Value::text(std::string(text))); };
  if (name == "splitlines") {
    if (!take("splitlines", given, {"keepends"}, v))
      return {};
    size_t begin = 0;
    while (begin < all.size()) {
      size_t end = std::min(all.find_first_of("\n\r\v\f", begin), all.size());
      size_t next = std::min(end + (all.compare(end, 2, "\r\n") == 0 ? 2 : 1), all.size());
      part(all.substr(begin, (flag(v[0], false) ? next : end) - begin));
      begin = next;
    }
    return Value::list(std::move(out));
  }
  bool parted = name == "partition" || name == "rpartition", back = name[0] == 'r';
  if (!take(name.c_str(), given, {"sep", "maxsplit"}, v))
    return {};
  int64_t most = -1;
  if (!number(v[1], -1, most))
    return {};
  if (v[0].is(V::Text) && v[0].text().empty())
    return failed("a text cannot be split at an empty one");
  if (parted) {
    if (!v[0].is(V::Text))
      return failed(name + "() takes a text");
    const std::string &mark = v[0].text();
    size_t at = back ? all.rfind(mark) : all.find(mark);
    if (at == all.npos)
      out = back ? List{Value::text(""), Value::text(""), Value::text(all)}
                 : List{Value::text(all), Value::text(""), Value::text("")};
    else
      out = {Value::text(all.substr(0, at)), v[0], Value::text(all.substr(at + mark.size()))};
    return Value::list(std::move(out), /*tuple=*/true);
  }
  if (v[0].is(V::Text)) {
    const std::string &mark = v[0].text();
    size_t begin = 0, end = all.size();
    if (back && most >= 0) {
      for (size_t at;
           most > 0 && end >= mark.size() && (at = all.rfind(mark, end - mark.size())) != all.npos;
           --most) {
        part(std::string_view(all).substr(at + mark.size(), end - at - mark.size()));
        end = at;
      }
      part(std::string_view(all).substr(0, end));
      std::reverse(out.begin(), out.end());
      return Value::list(std::move(out));
    }
    for (size_t at; most != 0 && (at = all.find(mark, begin)) != all.npos; --most) {
      part(std::string_view(all).substr(begin, at - begin));
      begin = at + mark.size();
    }
    part(std::string_view(all).substr(begin));
    return step(static_cast<int64_t>(out.size())) ? Value::list(std::move(out)) : Value();
  }
  if (back && most >= 0)
    return failed("rsplit() at spaces with a count is not supported");
  return words(all, most);
}

/// Parts between spaces, of which none stand at the ends; at most `most` cuts (-1: all).
Value Render::words(const std::string &all, int64_t most) {
  List out;
  auto part = [&](std::string_view text) { out.push_back(Value::text(std::string(text))); };
  std::string rest = strip(all, {}, true, false), word;
  bool more = true;
  for (std::vector<std::string_view> letters = characters(rest); more;) {
    size_t i = 0;
    while (i < letters.size() && !isSpace(letters[i]))
      ++i;
    if (letters.empty())
      break;
    if (most == 0) {
      std::string tail;
      for (std::string_view letter : letters)
        tail += letter;
      part(strip(tail, {}, false, true));
      break;
    }
    word.clear();
    for (size_t k = 0; k < i; ++k)
      word += letters[k];
    part(word);
    --most;
    while (i < letters.size() && isSpace(letters[i]))
      ++i;
    letters.erase(letters.begin(), letters.begin() + static_cast<std::ptrdiff_t>(i));
    if (!step(static_cast<int64_t>(letters.size() / 16)))
      return {};
  }
  return Value::list(std::move(out));
}

Value Render::replaceMethod(const std::string &all, const Given &given) {
  std::vector<Value> v;
  if (!take("replace", given, {"old", "new", "count"}, v))
    return {};
  int64_t most = -1;
  if (!v[0].is(V::Text) || !v[1].is(V::Text) || !number(v[2], -1, most))
    return failed("replace() takes two texts");
  const std::string &from = v[0].text(), &to = v[1].text();
  std::string out;
  size_t at = 0;
  if (from.empty()) {
    for (std::string_view letter : characters(all))
      if (out.size() <= limits.bytes)
        out += (most-- != 0 ? to : "") + std::string(letter);
    return text(out + (most != 0 ? to : ""));
  }
  for (size_t found; most != 0 && (found = all.find(from, at)) != all.npos; --most) {
    out.append(all, at, found - at);
    out += to;
    at = found + from.size();
    if (out.size() > limits.bytes)
      break;
  }
  out.append(all, at);
  return text(std::move(out));
}

Value Render::textMethod(const std::string &all, const std::string &name, const Given &given) {
  std::vector<Value> v;
  if (!step(static_cast<int64_t>(all.size() / 32)))
    return {};
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    if (!take(name.c_str(), given, {"chars"}, v))
      return {};
    return text(strip(all, v[0], name != "rstrip", name != "lstrip"));
  }
  if (name == "split" || name == "rsplit" || name == "splitlines" || name == "partition" ||
      name == "rpartition")
    return splitMethod(all, name, given);
  if (name == "upper" || name == "lower" || name == "title" || name == "capitalize") {
    if (!take(name.c_str(), given, {}, v))
      return {};
    return text(name == "upper"   ? upper(all)
                : name == "lower" ? rt::lowercase(all)
                                  : titled(all, name == "capitalize"));
  }
  if (name == "startswith" || name == "endswith") {
    if (!take(name.c_str(), given, {"prefix"}, v))
      return {};
    List some = v[0].is(V::Tuple) ? v[0].list() : List{v[0]};
    bool found = false;
    for (const Value &one : some) {
      if (!one.is(V::Text))
        return failed(name + "() takes a text");
      found =
          found || (name == "startswith" ? all.starts_with(one.text()) : all.ends_with(one.text()));
    }
    return Value::of(found);
  }
  if (name == "replace")
    return replaceMethod(all, given);
  if (name == "find" || name == "rfind" || name == "index" || name == "count") {
    if (!take(name.c_str(), given, {"part"}, v))
      return {};
    if (!v[0].is(V::Text))
      return failed(name + "() takes a text");
    if (name == "count")
      return Value::of(static_cast<int64_t>(countOf(all, v[0].text())));
    size_t at = name == "rfind" ? all.rfind(v[0].text()) : all.find(v[0].text());
    if (at == all.npos && name == "index")
      return failed("index(): the text has no such part");
    return Value::of(at == all.npos ? int64_t(-1)
                                    : static_cast<int64_t>(characters(all.substr(0, at)).size()));
  }
  if (name == "join") {
    List parts;
    std::string out;
    if (!take("join", given, {"items"}, v) || !items(v[0], parts))
      return {};
    for (size_t i = 0; i < parts.size() && out.size() <= limits.bytes; ++i) {
      if (!parts[i].is(V::Text))
        return failed("join() takes texts");
      out += (i ? all : "") + parts[i].text();
    }
    return text(std::move(out));
  }
  if (name == "removeprefix" || name == "removesuffix") {
    if (!take(name.c_str(), given, {"part"}, v) || !v[0].is(V::Text))
      return failed(name + "() takes a text");
    const std::string &part = v[0].text();
    if (name == "removeprefix")
      return text(all.starts_with(part) ? all.substr(part.size()) : all);
    return text(all.ends_with(part) ? all.substr(0, all.size() - part.size()) : all);
  }
  return letterMethod(all, name, given);
}

/// What concerns each letter of a text, or how many there are.
Value Render::letterMethod(const std::string &all, const std::string &name, const Given &given) {
  std::vector<Value> v;
  if (name == "ljust" || name == "rjust" || name == "center" || name == "zfill") {
    int64_t width = 0;
    if (!take(name.c_str(), given, {"width", "fill"}, v) || !number(v[0], 0, width))
      return {};
    if (width > 100000)
      return failed("a text of it is too long");
    auto count = static_cast<int64_t>(characters(all).size());
    auto missing = static_cast<size_t>(std::max<int64_t>(width - count, 0));
    char fill = name == "zfill"                               ? '0'
                : v[1].is(V::Text) && v[1].text().size() == 1 ? v[1].text()[0]
                                                              : ' ';
    // (As Python does it: the odd one goes left if the width is odd.)
    size_t left = name == "ljust"    ? 0
                  : name == "center" ? missing / 2 + (missing & static_cast<size_t>(width) & 1)
                                     : missing;
    return text(std::string(left, fill) + all + std::string(missing - left, fill));
  }
  std::vector<std::string_view> letters = characters(all);
  auto every = [&](auto holds) {
    return Value::of(!letters.empty() && std::all_of(letters.begin(), letters.end(), holds));
  };
  if (name == "isspace")
    return every([](std::string_view c) { return isSpace(c); });
  if (name == "isdigit" || name == "isnumeric" || name == "isdecimal")
    return every([](std::string_view c) { return isDigit(c); });
  if (name == "isalpha")
    return every([](std::string_view c) { return isLetter(c); });
  if (name == "isalnum")
    return every([](std::string_view c) { return isLetter(c) || isDigit(c); });
  if (name == "islower" || name == "isupper") {
    std::string low = rt::lowercase(all), high = upper(all);
    return Value::of(low != high && all == (name == "islower" ? low : high));
  }
  return failed("a text has no " + rt::quote(name) + "() here");
}

} // namespace qkv::jinja
