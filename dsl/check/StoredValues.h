// What a param says of how a format stores it, as texts that run when weights are opened (C5):
// "attn_q.weight"[h, 2 * (d % K) + d // K, c] and -exp("A_log").
//
// In: the expression around a tensor's name, the param's letters and their ranges. Out: the texts
// that runtime's StoredPlace and StoredText read; both empty where the tensor is stored as it is.
// Holds: a place is inside a tensor's axes from 0 on, and takes all of an axis unless it says a
// first position.
#pragma once

#include "dsl/check/names/Names.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace qkv::sema {

class StoredValues {
public:
  /// A number that is known, or nothing after saying why it is not.
  using Evaluate = std::function<std::optional<Constant>(const ast::Expr &)>;
  using Say = std::function<Diagnostic &(Span, std::string)>;

  StoredValues(std::vector<std::string> letters, std::vector<int64_t> shape, Evaluate evaluate,
               Say say)
      : letters_(std::move(letters)), shape_(std::move(shape)), evaluate_(std::move(evaluate)),
        say_(std::move(say)) {}

  /// Where an element stands, by the brackets behind the name. `stacked`: the axes in the name.
  std::optional<std::string> place(const ast::Expr &tensor, const std::vector<int> &stacked);
  /// What an element is of the stored number.
  std::optional<std::string> value(const ast::Expr &whole, const ast::Expr &tensor);

private:
  using Text = std::optional<std::string>;
  int letter(const std::string &name) const;
  bool hasLetters(const ast::Expr &e) const;
  Text wholeText(const ast::Expr &e);
  Text wholeNumber(const ast::Expr &e);
  Text mergedText(const ast::Expr &e);
  Text valueText(const ast::Expr &e, const ast::Expr &tensor);
  Text callText(const ast::Expr &e, const std::function<Text(const ast::Expr &)> &operand,
                bool whole);
  std::string simplest(const std::string &index) const;
  bool isPart(const ast::Expr &index) const;
  bool check(const std::string &text, const ast::Expr &tensor);

  std::vector<std::string> letters_;
  std::vector<int64_t> shape_;
  Evaluate evaluate_;
  Say say_;
};

} // namespace qkv::sema
