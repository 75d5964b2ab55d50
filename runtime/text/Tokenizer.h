// In: text. Out: tokens, and text from tokens. Holds: what is said here holds for every tokenizer;
// who generates text asks this alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qkv::rt {

/// Which special tokens encode() makes. What a person typed is encoded without SpecialInside, so
/// that it never becomes one.
enum : unsigned {
  SpecialNone = 0,
  SpecialBefore = 1, ///< those that stand before a whole text
  SpecialBehind = 2, ///< those that stand behind it
  SpecialAround = SpecialBefore | SpecialBehind,
  SpecialInside = 4, ///< those whose text stands in the text
};

/// Immutable once made; safe from several threads at once.
class Tokenizer {
public:
  virtual ~Tokenizer() = default;
  /// Appends the tokens of a text, which may be any bytes. False with `why` set where the text
  /// cannot be said in tokens.
  virtual bool encode(std::string_view text, unsigned special, std::vector<int64_t> &tokens,
                      std::string &why) const = 0;
  /// The text of tokens; tokens that are no text (special ones) are left out unless `special`.
  virtual std::string decode(const std::vector<int64_t> &tokens, bool special) const = 0;
  /// The tokens of a source, which a model reads to write another text. False with `why` set.
  virtual bool encodeSource(std::string_view text, std::vector<int64_t> &tokens,
                            std::string &why) const {
    return encode(text, SpecialAround, tokens, why);
  }
  /// How many tokens there are: each is less.
  virtual int64_t size() const = 0;
  /// Whether a stream is over with this token.
  virtual bool ends(int64_t token) const = 0;
  /// Whether a token is a part of a text: special ones are none, nor is what is no token.
  virtual bool shown(int64_t token) const = 0;
  /// The token that a stream beside a source begins with; -1: what stands before a text.
  virtual int64_t sourceStart() const { return -1; }
  /// What it is, for people.
  virtual std::string about() const = 0;
};

/// Bytes as tokens; 256 stands before a stream and 257 ends it, where the vocabulary has them.
class ByteTokenizer : public Tokenizer {
public:
  explicit ByteTokenizer(int64_t vocabulary) : vocabulary(vocabulary) {}
  bool encode(std::string_view text, unsigned special, std::vector<int64_t> &tokens,
              std::string &why) const override;
  std::string decode(const std::vector<int64_t> &tokens, bool special) const override;
  /// (What a source may hold is the matter of the model's own table of tokens.)
  bool encodeSource(std::string_view text, std::vector<int64_t> &tokens,
                    std::string &why) const override;
  int64_t size() const override { return vocabulary; }
  bool ends(int64_t token) const override;
  bool shown(int64_t token) const override;
  std::string about() const override { return "bytes"; }

private:
  bool hasSpecial() const;
  int64_t vocabulary;
};

} // namespace qkv::rt
