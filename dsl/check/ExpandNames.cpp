// Names from outside the equations: "h.{l}." | gguf "blk.{l}." (F2, C5).
//
// In: texts with {...}, one without a format and those of formats. Out: names with their numbers
// in.
#include "dsl/check/CompileTime.h"
#include "dsl/syntax/Parser.h"

#include <algorithm>
#include <set>

namespace qkv::sema {

// The pieces of "a.{l+1}.b": text and, in braces, expressions.
static std::vector<std::pair<bool, std::string>> splitText(const std::string &text) {
  std::vector<std::pair<bool, std::string>> out;
  size_t at = 0;
  while (at < text.size()) {
    size_t open = text.find('{', at);
    size_t close = open == std::string::npos ? open : text.find('}', open);
    if (close == std::string::npos) {
      out.push_back({false, text.substr(at)});
      break;
    }
    if (open > at)
      out.push_back({false, text.substr(at, open - at)});
    out.push_back({true, text.substr(open + 1, close - open - 1)});
    at = close + 1;
  }
  return out;
}

std::vector<std::string> CompileTime::textLetters(const std::string &text,
                                                  const std::vector<ast::Name> &among) {
  std::vector<std::string> out;
  for (auto &letter : among) {
    bool inside = false;
    for (auto &[braces, piece] : splitText(text)) {
      if (!braces)
        continue;
      // As a word of its own.
      for (size_t p = piece.find(letter.text); p != std::string::npos;
           p = piece.find(letter.text, p + 1)) {
        auto word = [](char c) {
          return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || (c & 0x80);
        };
        size_t end = p + letter.text.size();
        if ((p == 0 || !word(piece[p - 1])) && (end == piece.size() || !word(piece[end])))
          inside = true;
      }
    }
    if (inside)
      out.push_back(letter.text);
  }
  return out;
}

std::optional<std::string> CompileTime::expandText(const std::string &text, Span span, Scope *scope,
                                                   FileScope &file, const Positions &letters) {
  std::string out;
  for (auto &[braces, piece] : splitText(text)) {
    if (!braces) {
      out += piece;
      continue;
    }
    // The grammar reads it as the value of a size.
    const Source *source =
        sources_.add(span.source ? span.source->path() : "", "size x = " + piece + "\n");
    Diagnostics inner;
    ast::File parsed = parse(*source, inner);
    if (inner.hasErrors() || parsed.statements.size() != 1 ||
        parsed.statements[0].declarations.size() != 1) {
      error(span, "{" + piece + "} is not an integer expression", "F2");
      return std::nullopt;
    }
    Scope local;
    local.parent = scope;
    Body none;
    local.body = scope ? scope->body : &none;
    for (auto &[name, value] : letters)
      local.constants[name] = ofSize(Size(value));
    size_t count = diagnostics_.errorCount();
    auto value = constant(*parsed.statements[0].declarations[0].value, &local, file);
    if (diagnostics_.errorCount() != count)
      return std::nullopt; // said
    if (value && value->kind == Constant::Kind::Text) {
      out += value->text;
      continue;
    }
    auto number =
        value && value->kind == Constant::Kind::Int ? value->size.constant() : std::nullopt;
    if (!number) {
      error(span, "{" + piece + "} is not an integer or a text known at compile time", "F2");
      return std::nullopt;
    }
    out += std::to_string(*number);
  }
  return out;
}

// Format names of pages, as checkpoints call themselves (runtime's Checkpoint::formatName).
bool CompileTime::knownFormat(const ast::Name &format, const std::set<std::string> &before) {
  if (format.text != "gguf") {
    error(format.span, "there is no format of checkpoints named " + format.text, "C5")
        .hint("the name without a format is that of safetensors; the other format is gguf");
    return false;
  }
  if (before.count(format.text)) {
    error(format.span, format.text + " is said twice", "C5");
    return false;
  }
  return true;
}

std::optional<ByFormat> CompileTime::expandFormats(const std::string &text, Span span,
                                                   const std::vector<ast::FormatText> &formats,
                                                   Scope *scope, FileScope &file,
                                                   const Positions &letters) {
  ByFormat out;
  auto plain = expandText(text, span, scope, file, letters);
  if (!plain)
    return std::nullopt;
  out[""] = *plain;
  std::set<std::string> before;
  for (const ast::FormatText &one : formats) {
    if (!knownFormat(one.format, before))
      return std::nullopt;
    before.insert(one.format.text);
    auto name = expandText(one.text, one.span, scope, file, letters);
    if (!name)
      return std::nullopt;
    out[one.format.text] = *name;
  }
  return out;
}

const std::string &nameIn(const ByFormat &names, const std::string &format) {
  auto own = names.find(format);
  return own == names.end() ? names.at("") : own->second;
}

ByFormat behind(const ByFormat &prefix, const ByFormat &names) {
  ByFormat out;
  for (const ByFormat *some : {&prefix, &names})
    for (auto &[format, name] : *some)
      out[format] = nameIn(prefix, format) + nameIn(names, format);
  return out;
}

} // namespace qkv::sema
