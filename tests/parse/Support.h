// A source, what parsing it gave, and what was said: for tests of a few lines.
#pragma once

#include "Tree.h"
#include "dsl/syntax/Formatter.h"
#include "dsl/syntax/Parser.h"

#include <memory>
#include <sstream>
#include <string>

namespace qkv::test {

struct Parsed {
  std::unique_ptr<Source> source;
  Diagnostics diagnostics;
  ast::File file;

  explicit Parsed(std::string text)
      : source(std::make_unique<Source>("m.qkv", std::move(text))),
        file(parse(*source, diagnostics)) {}

  std::string rendered() const {
    std::ostringstream out;
    diagnostics.render(out, false);
    return out.str();
  }
};

/// The tree of a whole file, or what is wrong with it.
inline std::string treeOf(const std::string &text) {
  Parsed parsed(text);
  return parsed.diagnostics.all().empty() ? tree(parsed.file) : parsed.rendered();
}

/// The tree of an expression.
inline std::string expr(const std::string &text) {
  Parsed parsed("x = " + text + "\n");
  if (!parsed.diagnostics.all().empty())
    return parsed.rendered();
  return parsed.file.statements.size() == 1 ? tree(parsed.file.statements[0].value)
                                            : "not one statement";
}

/// What was said: "line:column [rule] message" a line, with "; hint: ..." behind it.
inline std::string errors(const std::string &text) {
  Parsed parsed(text);
  std::string out;
  for (const Diagnostic &d : parsed.diagnostics.all()) {
    Source::Position p = parsed.source->position(d.span.begin);
    out +=
        std::to_string(p.line) + ":" + std::to_string(p.column) + " [" + d.rule + "] " + d.message;
    for (const std::string &hint : d.hints)
      out += "; hint: " + hint;
    out += '\n';
  }
  return out;
}

inline std::string formatted(const std::string &text) {
  Source source("m.qkv", text);
  Diagnostics diagnostics;
  std::optional<std::string> result = format(source, diagnostics);
  if (result)
    return *result;
  std::ostringstream out;
  diagnostics.render(out, false);
  return out.str();
}

} // namespace qkv::test
