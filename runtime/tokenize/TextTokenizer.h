// In: the parts of a tokenizer (normaliser, pre-tokenizer, model, decoder, added tokens). Out: text
// to tokens and back, as the reference implementation of tokenizer.json has it.
#pragma once

#include "runtime/text/Tokenizer.h"
#include "runtime/tokenize/AddedTokens.h"
#include "runtime/tokenize/Decode.h"
#include "runtime/tokenize/Model.h"
#include "runtime/tokenize/Normalize.h"
#include "runtime/tokenize/PreTokenize.h"

#include "runtime/qkv.h"

namespace qkv::rt {

class TextTokenizer : public Tokenizer {
public:
  std::unique_ptr<Normalizer> normalizer; ///< may be null, as what follows
  std::unique_ptr<PreTokenizer> preTokenizer;
  std::unique_ptr<TokenModel> model; ///< may not be null
  std::unique_ptr<Decoder> decoder;  ///< null: texts stand with spaces between them
  AddedTokens added;
  std::vector<int64_t> before, behind; ///< the special tokens around a whole text
  std::vector<int64_t> endings;        ///< the tokens that end a stream
  int64_t start = -1;                  ///< what a stream beside a source begins with
  bool byteLevel = false;              ///< the model sees bytes as characters
  bool rawBytes = false;               ///< the model takes any bytes, as they are

  /// Makes the rest work, once all parts are there. False with `why` set.
  bool prepare(std::string &why);

  bool encode(std::string_view text, unsigned special, std::vector<int64_t> &tokens,
              std::string &why) const override;
  std::string decode(const std::vector<int64_t> &tokens, bool special) const override;
  int64_t size() const override;
  bool ends(int64_t token) const override;
  bool shown(int64_t token) const override;
  int64_t sourceStart() const override { return start; }
  std::string about() const override;
  /// A text in which no special token is seen, also where they are looked for (SpecialInside); its
  /// tokens are those of the text as it was.
  std::string apart(std::string_view text) const;
  /// The token whose text this is, added ones first; -1 if there is none.
  int64_t find(std::string_view text) const;
  /// The text of a token as its vocabulary has it; null if there is none.
  const std::string *text(int64_t token) const;

private:
  struct Words;
  bool encodeValid(const std::string &text, bool first, bool special, Words &words,
                   std::vector<int64_t> &tokens, std::string &why) const;
  bool encodePiece(std::string text, bool first, bool special, Words &words,
                   std::vector<int64_t> &tokens, std::string &why) const;
  std::vector<int64_t> byteTokens; ///< a token for each byte; empty where there are none
};

/// A tokenizer.json, a folder with one, or a GGUF. Null with *error set.
std::unique_ptr<TextTokenizer> openTokenizer(const std::string &path, qkv_error *error);

/// From the text of a tokenizer.json. Null with `why` set.
std::unique_ptr<TextTokenizer> readTokenizerJson(std::string_view text, std::string &why);

class Metadata;
/// From a GGUF's keys. Null with `why` set.
std::unique_ptr<TextTokenizer> readTokenizerKeys(const Metadata &metadata, std::string &why);

} // namespace qkv::rt
