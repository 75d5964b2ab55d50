// In: the keys of a GGUF about its vocabulary. Out: a tokenizer. Holds: a model or a way of
// splitting that is not known is an error: another would give other tokens without a word.
#include "runtime/Error.h"
#include "runtime/checkpoint/Metadata.h"
#include "runtime/tokenize/ReadSteps.h"
#include "runtime/tokenize/Splittings.h"
#include "runtime/tokenize/TextTokenizer.h"

#include <algorithm>
#include <limits>

namespace qkv::rt {
namespace {

/// What a GGUF says of a token.
enum TokenType { Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, ByteToken = 6 };

class KeyReader {
public:
  KeyReader(const Metadata &metadata, std::string &why) : metadata(metadata), why(why) {}
  std::unique_ptr<TextTokenizer> read();

private:
  bool wrong(const std::string &text) {
    if (why.empty())
      why = text;
    return false;
  }
  const MetaValue *find(const char *name) const {
    return metadata.find(std::string("tokenizer.ggml.") + name);
  }
  const MetaValue *list(const char *name, bool needed);
  int64_t token(const char *name);
  bool flag(const char *name, bool otherwise);
  bool readTokens(TextTokenizer &tokenizer);
  bool readScored(TextTokenizer &tokenizer);
  bool readMerged(TextTokenizer &tokenizer);
  bool readWordPiece(TextTokenizer &tokenizer);
  bool readUnigram(TextTokenizer &tokenizer);
  bool readLongestMatch(TextTokenizer &tokenizer);
  bool readScores(std::vector<double> &scores);
  bool readCharacterMap(NormalizeAll &steps);
  std::string asWordPiece(std::string text, int64_t kind);
  std::string asBytes(const std::string &text);
  bool readAround(TextTokenizer &tokenizer);

  const Metadata &metadata;
  std::string &why;
  int64_t count = 0;
  bool addBos = false, addEos = false;
  bool wordPiece = false; ///< tokens stand otherwise in the file
  bool escaped = false;   ///< tokens are bytes, those that are no signs of ASCII with a backslash
  std::vector<int64_t> kinds; ///< of each token, where the file says it
};

const MetaValue *KeyReader::list(const char *name, bool needed) {
  const MetaValue *value = find(name);
  if (value && value->type != MetaType::List)
    wrong(format("tokenizer.ggml.%s is no list", name));
  else if (!value && needed)
    wrong(format("it has no tokenizer.ggml.%s", name));
  return value && value->type == MetaType::List ? value : nullptr;
}

/// A token by its number; -1 where there is none.
int64_t KeyReader::token(const char *name) {
  const MetaValue *value = find(name);
  if (!value)
    return -1;
  if (value->isWhole() && value->whole >= 0 && value->whole < count)
    return value->whole;
  // (All bits set stands for none.)
  if (value->type != MetaType::U32 || value->natural != UINT32_MAX)
    wrong(format("tokenizer.ggml.%s is no token of the vocabulary", name));
  return -1;
}

bool KeyReader::flag(const char *name, bool otherwise) {
  const MetaValue *value = find(name);
  if (value && value->type != MetaType::Bool)
    wrong(format("tokenizer.ggml.%s is neither true nor false", name));
  return value ? value->whole != 0 : otherwise;
}

bool KeyReader::readTokens(TextTokenizer &tokenizer) {
  const MetaValue *tokens = list("tokens", true), *types = list("token_type", false);
  if (!tokens)
    return false;
  if (tokens->items != MetaType::Text || tokens->count > uint64_t(Vocabulary::most))
    return wrong("tokenizer.ggml.tokens is no list of texts");
  if (types && (types->count != tokens->count || types->items != MetaType::I32))
    return wrong("tokenizer.ggml.token_type has not a number for each token");
  MetaItems texts(*tokens), kinds(types ? *types : MetaValue());
  for (MetaValue text, kind; texts.next(text); ++count) {
    std::string valid = replaceInvalid(text.text);
    bool typed = types && kinds.next(kind);
    this->kinds.push_back(typed ? kind.whole : int64_t(Normal));
    if (wordPiece)
      valid = asWordPiece(std::move(valid), this->kinds.back());
    if (escaped && this->kinds.back() == Normal)
      valid = asBytes(valid);
    tokenizer.model->vocabulary.add(valid, count);
    if (typed && (kind.whole == Control || kind.whole == UserDefined || kind.whole == Unknown)) {
      AddedToken added;
      added.token = count;
      added.content = valid;
      added.special = kind.whole != UserDefined;
      tokenizer.added.add(std::move(added));
    }
  }
  return true;
}

/// SentencePiece's BPE. A space stands before every text, and spaces are seen as U+2581.
bool KeyReader::readScored(TextTokenizer &tokenizer) {
  auto model = std::make_unique<ScoredBpe>();
  ScoredBpe &scored = *model;
  tokenizer.model = std::move(model);
  if (!readTokens(tokenizer))
    return false;
  const MetaValue *scores = list("scores", true);
  if (!scores)
    return false;
  if (scores->items != MetaType::F32 || scores->count != uint64_t(count))
    return wrong("tokenizer.ggml.scores has not an f32 for each token");
  MetaItems items(*scores);
  for (MetaValue item; items.next(item);)
    scored.scores.push_back(static_cast<float>(item.number));
  scored.unknown = token("unknown_token_id");
  auto steps = std::make_unique<NormalizeAll>();
  bool prefixed = flag("add_space_prefix", true);
  if (prefixed) {
    auto prepend = std::make_unique<Prepend>();
    prepend->text = " ";
    steps->steps.push_back(std::move(prepend));
  }
  auto spaces = std::make_unique<Replace>();
  spaces->pattern.text = " ";
  spaces->content = "\xE2\x96\x81";
  steps->steps.push_back(std::move(spaces));
  tokenizer.normalizer = std::move(steps);
  auto decoder = std::make_unique<DecodeAll>();
  auto seen = std::make_unique<DecodeReplace>();
  seen->replace.pattern.text = "\xE2\x96\x81";
  seen->replace.content = " ";
  decoder->steps.push_back(std::move(seen));
  decoder->steps.push_back(std::make_unique<DecodeByteFallback>());
  decoder->steps.push_back(std::make_unique<DecodeFuse>());
  if (prefixed) {
    auto strip = std::make_unique<DecodeStrip>();
    strip->start = 1;
    decoder->steps.push_back(std::move(strip));
  }
  tokenizer.decoder = std::move(decoder);
  addBos = true;
  return true;
}

/// BPE of bytes as characters.
bool KeyReader::readMerged(TextTokenizer &tokenizer) {
  auto model = std::make_unique<Bpe>();
  Bpe &bpe = *model;
  tokenizer.model = std::move(model);
  std::string_view name = metadata.text("tokenizer.ggml.pre");
  const Splitting *splitting = splittingByName(name);
  if (!splitting)
    return wrong(name.empty() ? "it does not say how text is split (tokenizer.ggml.pre)"
                              : "its way of splitting text (tokenizer.ggml.pre) is " + quote(name) +
                                    ", which is not known");
  bpe.ignoreMerges = splitting->ignoreMerges;
  addBos = splitting->addBos;
  const MetaValue *merges = list("merges", true);
  if (!readTokens(tokenizer) || !merges)
    return false;
  if (merges->items != MetaType::Text)
    return wrong("tokenizer.ggml.merges is no list of texts");
  bpe.reserveMerges(merges->count);
  MetaItems items(*merges);
  for (MetaValue item; items.next(item);) {
    size_t space = item.text.find(' ', 1);
    if (space == item.text.npos ||
        !bpe.addMerge(item.text.substr(0, space), item.text.substr(space + 1)))
      return wrong("the merge " + quote(item.text) + " is not of two tokens to a third");
  }
  auto steps = std::make_unique<SplitAll>();
  for (const char *pattern : splitting->patterns) {
    steps->steps.push_back(splitAtWords(pattern, why));
    if (!steps->steps.back())
      return false;
  }
  auto bytes = std::make_unique<ByteLevel>();
  bytes->addPrefixSpace = flag("add_space_prefix", false);
  steps->steps.push_back(std::move(bytes));
  tokenizer.preTokenizer = std::move(steps);
  tokenizer.decoder = std::make_unique<DecodeByteLevel>();
  tokenizer.byteLevel = true;
  return true;
}

/// The file has a word's beginning behind U+2581, and what goes on with one without its ##.
std::string KeyReader::asWordPiece(std::string text, int64_t kind) {
  constexpr std::string_view beginning = "\xE2\x96\x81";
  if (kind == Control || kind == Unknown || kind == UserDefined)
    return text;
  // (The file does not say whether text is lower-cased; where tokens have capitals, it is not.)
  if (std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; }) &&
      kind == Normal)
    wrong("its vocabulary has capitals, and the file does not say how text is prepared for it: "
          "name a "
          "tokenizer.json (--tokenizer)");
  return text.starts_with(beginning) ? text.substr(beginning.size()) : "##" + text;
}

/// BERT's: lower case, no accents, each sign and each ideograph a word.
bool KeyReader::readWordPiece(TextTokenizer &tokenizer) {
  auto model = std::make_unique<WordPiece>();
  WordPiece &pieces = *model;
  tokenizer.model = std::move(model);
  wordPiece = true;
  if (!readTokens(tokenizer))
    return false;
  int64_t unknown = token("unknown_token_id"), first = token("cls_token_id"),
          last = token("seperator_token_id"); // (as the format spells it)
  if (first < 0)
    first = token("bos_token_id");
  if (last < 0)
    last = token("eos_token_id");
  if (unknown < 0 || first < 0 || last < 0)
    return wrong("it does not name its tokens for what is unknown, before a text and behind one "
                 "(tokenizer.ggml.unknown_token_id, cls_token_id, seperator_token_id)");
  pieces.unknown = *pieces.vocabulary.text(unknown);
  tokenizer.before = {first};
  tokenizer.behind = {last};
  tokenizer.normalizer = std::make_unique<BertNormalizer>();
  auto words = std::make_unique<SplitAll>();
  words->steps.push_back(std::make_unique<SplitCharacters>(isSpace, Behavior::Removed));
  words->steps.push_back(std::make_unique<SplitCharacters>(isPunctuation, Behavior::Isolated));
  tokenizer.preTokenizer = std::move(words);
  tokenizer.decoder = std::make_unique<DecodeWordPiece>();
  return why.empty();
}

/// Those of special tokens and of bytes are no numbers: they are never found in a text.
bool KeyReader::readScores(std::vector<double> &scores) {
  const MetaValue *list = this->list("scores", true);
  if (!list)
    return false;
  if (list->items != MetaType::F32 || list->count != uint64_t(count))
    return wrong("tokenizer.ggml.scores has not an f32 for each token");
  MetaItems items(*list);
  for (MetaValue item; items.next(item);) {
    int64_t kind = kinds[scores.size()];
    bool plain = kind == Normal || kind == UserDefined;
    scores.push_back(plain ? item.number : std::numeric_limits<double>::quiet_NaN());
  }
  return true;
}

/// SentencePiece's map of characters: a list of bytes.
bool KeyReader::readCharacterMap(NormalizeAll &steps) {
  const MetaValue *list = this->list("precompiled_charsmap", false);
  if (!list || list->count == 0)
    return why.empty();
  std::string bytes;
  MetaItems items(*list);
  for (MetaValue item; items.next(item);)
    bytes += static_cast<char>(item.whole);
  auto map = std::make_unique<CharacterMap>();
  if ((list->items != MetaType::U8 && list->items != MetaType::I8) || !map->read(bytes))
    return wrong("tokenizer.ggml.precompiled_charsmap is no map of characters");
  steps.steps.push_back(std::move(map));
  return true;
}

/// SentencePiece's Unigram.
bool KeyReader::readUnigram(TextTokenizer &tokenizer) {
  auto model = std::make_unique<Unigram>();
  Unigram &unigram = *model;
  tokenizer.model = std::move(model);
  auto steps = std::make_unique<NormalizeAll>();
  std::vector<double> scores;
  if (!readTokens(tokenizer) || !readScores(scores) || !readCharacterMap(*steps))
    return false;
  unigram.unknown = token("unknown_token_id");
  unigram.byteFallback = std::count(kinds.begin(), kinds.end(), ByteToken) == 256;
  unigram.prepare(std::move(scores));
  if (flag("remove_extra_whitespaces", false))
    steps->steps.push_back(std::make_unique<SqueezeSpaces>());
  tokenizer.normalizer = std::move(steps);
  bool prefixed = flag("add_space_prefix", true);
  auto spaces = std::make_unique<Metaspace>();
  spaces->prefix = prefixed ? Metaspace::Prefix::Always : Metaspace::Prefix::Never;
  tokenizer.preTokenizer = std::move(spaces);
  auto decoder = std::make_unique<DecodeAll>();
  if (unigram.byteFallback)
    decoder->steps.push_back(std::make_unique<DecodeByteFallback>());
  auto seen = std::make_unique<DecodeMetaspace>();
  seen->prefixed = prefixed;
  decoder->steps.push_back(std::move(seen));
  tokenizer.decoder = std::move(decoder);
  addEos = true;
  return why.empty();
}

/// The bytes of a token of RWKV's: \\t, \\n, \\r and \\x1F are what they are elsewhere, another
/// sign behind a backslash is itself.
std::string KeyReader::asBytes(const std::string &text) {
  auto digit = [&](size_t at) {
    char c = at < text.size() ? text[at] : ' ';
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  std::string bytes;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\') {
      bytes += text[at];
      continue;
    }
    char kind = ++at < text.size() ? text[at] : '\0';
    if (kind == 'x' && digit(at + 1) >= 0 && digit(at + 2) >= 0) {
      bytes += static_cast<char>(digit(at + 1) * 16 + digit(at + 2));
      at += 2;
    } else if (kind == 'x' || kind == '\0') {
      wrong("the token " + quote(text) + " has a backslash that stands for no byte");
    } else {
      bytes += kind == 't' ? '\t' : kind == 'n' ? '\n' : kind == 'r' ? '\r' : kind;
    }
  }
  return bytes;
}

/// RWKV's. Nothing is done to a text before, and nothing stands around it.
bool KeyReader::readLongestMatch(TextTokenizer &tokenizer) {
  auto model = std::make_unique<LongestMatch>();
  LongestMatch &longest = *model;
  tokenizer.model = std::move(model);
  tokenizer.rawBytes = escaped = true;
  if (!readTokens(tokenizer))
    return false;
  longest.unknown = token("unknown_token_id");
  for (int64_t token = 0; token < count; ++token)
    if (kinds[token] == Normal && !longest.vocabulary.text(token)->empty())
      longest.add(token);
  tokenizer.decoder = std::make_unique<DecodeFuse>();
  return why.empty();
}

bool KeyReader::readAround(TextTokenizer &tokenizer) {
  int64_t bos = token("bos_token_id"), eos = token("eos_token_id");
  if (wordPiece) // (what stands around a text has keys of its own)
    return why.empty();
  if (flag("add_bos_token", addBos)) {
    if (bos < 0)
      return wrong("a token is to stand before each text, but there is no "
                   "tokenizer.ggml.bos_token_id");
    tokenizer.before.push_back(bos);
  }
  if (flag("add_eos_token", addEos)) {
    if (eos < 0)
      return wrong("a token is to stand behind each text, but there is no "
                   "tokenizer.ggml.eos_token_id");
    tokenizer.behind.push_back(eos);
  }
  for (int64_t one : {eos, token("eot_token_id"), token("eom_token_id")})
    if (one >= 0)
      tokenizer.endings.push_back(one);
  return why.empty();
}

std::unique_ptr<TextTokenizer> KeyReader::read() {
  auto tokenizer = std::make_unique<TextTokenizer>();
  std::string_view model = metadata.text("tokenizer.ggml.model");
  bool done = model == "gpt2"    ? readMerged(*tokenizer)
              : model == "llama" ? readScored(*tokenizer)
              : model == "bert"  ? readWordPiece(*tokenizer)
              : model == "t5"    ? readUnigram(*tokenizer)
              : model == "rwkv"  ? readLongestMatch(*tokenizer)
              : model.empty()
                  ? wrong("it has no tokenizer (tokenizer.ggml.model)")
                  : wrong("its tokenizer (tokenizer.ggml.model) is " + quote(model) +
                          ", which is not known; those of gpt2, llama, bert, t5 and rwkv are read");
  if (!done || !readAround(*tokenizer) || !why.empty())
    return nullptr;
  return tokenizer->prepare(why) ? std::move(tokenizer) : nullptr;
}

} // namespace

std::unique_ptr<TextTokenizer> readTokenizerKeys(const Metadata &metadata, std::string &why) {
  why.clear();
  return KeyReader(metadata, why).read();
}

} // namespace qkv::rt
