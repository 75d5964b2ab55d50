// What is known at compile time: sizes, constants, ranges of letters, and the configuration (C2).
//
// In: expressions of integers, sizes, constants and extents, in a scope (null: the file's own) of a
// file. Out: their values, or nothing with a diagnostic.
#pragma once

#include "dsl/check/Checker.h"
#include "dsl/check/names/Names.h"

#include <nlohmann/json_fwd.hpp>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace qkv::sema {

Constant ofSize(Size s);
Constant ofNumber(double v);
Constant ofBool(bool v);
Constant ofText(std::string text);
bool isNumber(const Constant &c);
/// "a number", "a bool" or "a text".
const char *kindOf(const Constant &c);

class CompileTime : protected Names {
protected:
  CompileTime(Sources &sources, const CheckOptions &options, Diagnostics &diagnostics)
      : Names(diagnostics), sources_(sources), options_(options) {}

  std::optional<Constant> constant(const ast::Expr &e, Scope *scope, FileScope &file);
  /// An integer. `what` begins the sentence of the error.
  std::optional<Size> sizeOf(const ast::Expr &e, Scope *scope, FileScope &file, const char *what);
  /// `found`: the name is a size or a constant (with a value or an error).
  std::optional<Constant> namedConstant(const std::string &name, Scope *scope, FileScope &file,
                                        bool &found);
  /// `found`: the name is a letter.
  std::optional<Size> letterExtent(const std::string &name, Scope *scope, FileScope &file,
                                   bool &found);
  using Positions = std::map<std::string, int64_t>; ///< of letters
  /// A text with the numbers of its {...} in place.
  std::optional<std::string> expandText(const std::string &text, Span span, Scope *scope,
                                        FileScope &file, const Positions &letters);
  /// The same of the texts of all formats.
  std::optional<ByFormat> expandFormats(const std::string &text, Span span,
                                        const std::vector<ast::FormatText> &formats, Scope *scope,
                                        FileScope &file, const Positions &letters);
  /// Whether there is such a format, and it is none of those before.
  bool knownFormat(const ast::Name &format, const std::set<std::string> &before);
  /// Those of the letters that stand in a {...}.
  static std::vector<std::string> textLetters(const std::string &text,
                                              const std::vector<ast::Name> &among);

  Sources &sources_;
  const CheckOptions &options_;
  Program *program_ = nullptr;
  bool symbolic_ = false; ///< a definition that nothing calls is checked

private:
  std::optional<Constant> constantOf(const ast::Expr &e, Scope *scope, FileScope &file);
  std::optional<Constant> nameOf(const ast::Expr &e, Scope *scope, FileScope &file);
  std::optional<Constant> unaryOf(const ast::Expr &e, Scope *scope, FileScope &file);
  std::optional<Constant> binaryOf(const ast::Expr &e, Scope *scope, FileScope &file);
  std::optional<Constant> compareOf(const ast::Expr &e, Scope *scope, FileScope &file);
  std::optional<Constant> callOf(const ast::Expr &e, Scope *scope, FileScope &file);
  std::optional<Constant> ofIntegers(const std::string &op, const Size &x, const Size &y, Span at);
  std::optional<Constant> ofNumbers(const std::string &op, const Constant &x, const Constant &y,
                                    Span at);
  std::optional<Constant> functionOf(const std::string &f, const Constant &x, Span at);
  std::optional<bool> sameText(const Constant &a, const Constant &b, const std::string &op,
                               Span at);
  void noNumber(const Constant &c, Span at);
  std::optional<Constant> notKnown(Span at, const std::string &what);
  Size extremum(bool greatest, const Size &x, const Size &y);
  std::optional<Constant> combined(char op, const Size &x, const Size &y, Span at);
  std::optional<Constant> declared(const ast::Declaration &d, bool isSize, Scope *scope,
                                   FileScope &file);
  std::optional<Constant> dynamicSize(const ast::Declaration &d, Scope *scope, FileScope &file);
  std::optional<Constant> config(const ast::Expr &e, Scope *scope, FileScope &file);
  std::optional<Constant> configured(const ast::Expr &e, Scope *scope, FileScope &file,
                                     Setting &setting, bool &isThere);
  const nlohmann::json *configuration(Span at);
  std::string configPlace() const;

  std::shared_ptr<const nlohmann::json> configuration_; ///< read; null: it could not be
};

} // namespace qkv::sema
