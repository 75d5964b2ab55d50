// In: text. Out: the tokens that stand in it as a whole (added ones, special ones), and the text
// between them.
#pragma once

#include "runtime/tokenize/Normalize.h"
#include "runtime/tokenize/Vocabulary.h"

#include <string>
#include <vector>

namespace qkv::rt {

struct AddedToken {
  int64_t token = 0;
  std::string content;
  bool special = false, singleWord = false;
  bool leftSpaces = false, rightSpaces = false; ///< spaces beside it are a part of it
  bool normalized = false;                      ///< it is looked for in normalised text
};

class AddedTokens {
public:
  /// A part of a text: a token, or text between tokens (token -1).
  struct Part {
    size_t begin, end;
    int64_t token;
  };
  void add(AddedToken token) { list.push_back(std::move(token)); }
  /// Makes split() work, once all are there. False with `why` set.
  bool prepare(const Normalizer *normalizer, std::string &why);
  /// Those that are (not) looked for in normalised text: at each place the longest of them, from
  /// left to right. `special`: special ones, too.
  std::vector<Part> split(const std::string &text, bool normalized, bool special) const;
  const std::vector<AddedToken> &all() const { return list; }
  /// Null if the token was not added.
  const AddedToken *find(int64_t token) const;

private:
  std::vector<AddedToken> list;
  Trie tries[2]; ///< [normalized] -> position in the list
  FlatMap byToken;
};

} // namespace qkv::rt
