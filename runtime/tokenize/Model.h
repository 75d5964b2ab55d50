// In: a word, as the pre-tokenizers left it. Out: its tokens.
#pragma once

#include "runtime/tokenize/Vocabulary.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qkv::rt {

/// How words become tokens. Immutable once made.
class TokenModel {
public:
  virtual ~TokenModel() = default;
  /// Appends a word's tokens. False with `why` set.
  virtual bool tokenize(std::string_view word, std::vector<int64_t> &tokens,
                        std::string &why) const = 0;
  Vocabulary vocabulary;

protected:
  /// The tokens <0x00> to <0xFF> of a text's bytes. False where one is not in the vocabulary.
  bool asBytes(std::string_view text, std::vector<int64_t> &tokens) const;
};

/// The text of a byte's token where bytes are what is left to say a text in.
std::string byteTokenText(unsigned char byte);

/// Byte pair encoding (Sennrich et al., 2016): neighbours are merged, the pair that was learned
/// first before all others, the leftmost of equals.
class Bpe : public TokenModel {
public:
  std::string prefix; ///< before every part of a word but the first
  std::string suffix; ///< behind the last part
  std::string unknown;
  bool fuseUnknown = false, byteFallback = false, ignoreMerges = false;

  /// A pair that is merged, in order of learning. False: one of the three is not in the vocabulary.
  bool addMerge(std::string_view left, std::string_view right);
  void reserveMerges(size_t count) { merges.reserve(count); }
  bool tokenize(std::string_view word, std::vector<int64_t> &tokens,
                std::string &why) const override;

private:
  bool split(std::string_view word, std::vector<int64_t> &parts, std::string &why) const;
  void merge(std::vector<int64_t> &parts) const;
  FlatMap merges; ///< left << 32 | right -> order << 32 | merged
  uint64_t mergeCount = 0;
};

/// What SentencePiece calls BPE: neighbours are merged to the token with the best score.
class ScoredBpe : public TokenModel {
public:
  std::vector<float> scores; ///< by token
  int64_t unknown = -1;
  bool tokenize(std::string_view word, std::vector<int64_t> &tokens,
                std::string &why) const override;
};

/// The likeliest way through a word (Kudo, 2018): the sum of the tokens' scores is largest.
class Unigram : public TokenModel {
public:
  /// Call once all tokens are in the vocabulary.
  void prepare(std::vector<double> scores);
  int64_t unknown = -1;
  bool byteFallback = false;
  bool tokenize(std::string_view word, std::vector<int64_t> &tokens,
                std::string &why) const override;

private:
  Trie trie;
  std::vector<double> scores;
  double unknownScore = 0;
};

/// The longest token first, from left to right (Schuster and Nakajima, 2012).
class WordPiece : public TokenModel {
public:
  std::string prefix = "##", unknown = "[UNK]";
  size_t longest = 100; ///< characters; a longer word is unknown
  bool tokenize(std::string_view word, std::vector<int64_t> &tokens,
                std::string &why) const override;
};

/// The longest token first, from left to right, of any bytes: RWKV's "world" vocabularies.
class LongestMatch : public TokenModel {
public:
  /// Call for each token that may be found in a text, once it is in the vocabulary.
  void add(int64_t token) { trie.add(*vocabulary.text(token), token); }
  int64_t unknown = -1; ///< stands for a byte that begins no token
  bool tokenize(std::string_view word, std::vector<int64_t> &tokens,
                std::string &why) const override;

private:
  Trie trie;
};

/// A word is a token.
class WordLevel : public TokenModel {
public:
  std::string unknown;
  bool tokenize(std::string_view word, std::vector<int64_t> &tokens,
                std::string &why) const override;
};

} // namespace qkv::rt
