// In: a file with a grammar or a JSON schema; a tokenizer. Out: which tokens may come next in a
// text that fits.
#pragma once

#include "runtime/grammar/Constraint.h"
#include "runtime/qkv.h"
#include "runtime/text/Tokenizer.h"

namespace qkv::rt {

/// What generated text must be: at most one of two files.
struct TextForm {
  std::string grammar;    ///< GBNF; empty: none
  std::string jsonSchema; ///< empty: none
  bool given() const { return !grammar.empty() || !jsonSchema.empty(); }
};

/// For tokens below `count`. Null with *error set.
std::unique_ptr<Constraint> openConstraint(const TextForm &form, const Tokenizer &tokenizer,
                                           int64_t count, qkv_error *error);

} // namespace qkv::rt
