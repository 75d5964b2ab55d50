// In: the steps of a tokenizer.json. Out: what does them.
#include "runtime/tokenize/ReadSteps.h"

#include <array>

namespace qkv::rt {
namespace {

constexpr int deepest = 16; // of steps inside of steps

std::string typeOf(const Json &json) {
  if (!json.is_object())
    return "";
  auto found = json.find("type");
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

template <typename T>
std::unique_ptr<T> unknownType(const char *what, const Json &json, std::string &why) {
  if (why.empty())
    why = std::string("its ") + what + " is of type " +
          Json(typeOf(json).substr(0, 100)).dump(-1, ' ', false, Json::error_handler_t::replace) +
          ", which is not known";
  return nullptr;
}

/// Reads each of a list of steps.
template <typename Whole, typename Read>
std::unique_ptr<Whole> readAll(Fields &fields, const char *name, Read read, std::string &why,
                               int depth) {
  auto all = std::make_unique<Whole>();
  const Json *list = fields.need(name);
  if (list && !list->is_array())
    fields.wrong(std::string(name) + " is not a list");
  if (depth > deepest)
    fields.wrong("its steps lie too deep inside of each other");
  if (!fields.done())
    return nullptr;
  for (const Json &one : *list) {
    all->steps.push_back(read(one, why, depth + 1));
    if (!all->steps.back())
      return nullptr;
  }
  return all;
}

bool readPattern(Fields &fields, Pattern &pattern, std::string &why) {
  const Json *json = fields.need("pattern");
  if (!json)
    return false;
  Fields inner(*json, "a pattern", why);
  const Json *text = inner.find("String"), *regex = inner.find("Regex");
  if (!!text == !!regex)
    return inner.wrong("it is neither a String nor a Regex");
  const Json *value = text ? text : regex;
  if (!value->is_string())
    return inner.wrong("it is not a text");
  if (!inner.done())
    return false;
  pattern.text = value->get<std::string>();
  if (regex)
    pattern.regex = Regex::compile(pattern.text, why);
  return why.empty();
}

bool readBehavior(Fields &fields, Behavior &behavior, const char *otherwise) {
  constexpr std::pair<const char *, Behavior> names[] = {
      {"Removed", Behavior::Removed},
      {"Isolated", Behavior::Isolated},
      {"MergedWithPrevious", Behavior::MergedWithPrevious},
      {"MergedWithNext", Behavior::MergedWithNext},
      {"Contiguous", Behavior::Contiguous}};
  std::string name = fields.text("behavior", otherwise);
  for (auto &[known, value] : names)
    if (name == known) {
      behavior = value;
      return true;
    }
  return fields.wrong("its behavior " + name.substr(0, 100) + " is not known");
}

Metaspace::Prefix readPrefix(Fields &fields) {
  std::string scheme = fields.text("prepend_scheme", "always");
  bool never = !fields.flag("add_prefix_space", true);
  if (scheme != "always" && scheme != "first" && scheme != "never")
    fields.wrong("its prepend_scheme " + scheme.substr(0, 100) + " is not known");
  return never || scheme == "never" ? Metaspace::Prefix::Never
         : scheme == "first"        ? Metaspace::Prefix::First
                                    : Metaspace::Prefix::Always;
}

/// The bytes that a text in base 64 stands for; false if it is none.
bool fromBase64(const std::string &text, std::string &bytes) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<int, 256> values;
  values.fill(-1);
  for (size_t i = 0; i < digits.size(); ++i)
    values[static_cast<unsigned char>(digits[i])] = static_cast<int>(i);
  uint32_t bits = 0;
  int count = 0;
  for (unsigned char c : text) {
    if (c == '=')
      break;
    if (values[c] < 0)
      return false;
    bits = bits << 6 | static_cast<uint32_t>(values[c]);
    if ((count += 6) >= 8)
      bytes += static_cast<char>(bits >> (count -= 8) & 255);
  }
  return true;
}

template <typename T, typename... Arguments>
std::unique_ptr<T> finish(Fields &fields, std::unique_ptr<T> step) {
  return fields.done() ? std::move(step) : nullptr;
}

} // namespace

std::unique_ptr<Normalizer> readNormalizer(const Json &json, std::string &why, int depth) {
  std::string type = typeOf(json);
  Fields fields(json, "its normalizer " + type.substr(0, 40), why);
  fields.ignore({"type"});
  auto plain = [&](auto step) -> std::unique_ptr<Normalizer> {
    return finish<Normalizer>(fields, std::move(step));
  };
  if (type == "Sequence")
    return readAll<NormalizeAll>(fields, "normalizers", readNormalizer, why, depth);
  if (type == "NFC")
    return plain(std::make_unique<UnicodeForm>(NormalForm::C));
  if (type == "NFD")
    return plain(std::make_unique<UnicodeForm>(NormalForm::D));
  if (type == "NFKC")
    return plain(std::make_unique<UnicodeForm>(NormalForm::KC));
  if (type == "NFKD")
    return plain(std::make_unique<UnicodeForm>(NormalForm::KD));
  if (type == "Lowercase")
    return plain(std::make_unique<EachCharacter>(EachCharacter::Lowercase));
  if (type == "StripAccents")
    return plain(std::make_unique<EachCharacter>(EachCharacter::StripAccents));
  if (type == "Nmt")
    return plain(std::make_unique<EachCharacter>(EachCharacter::Nmt));
  if (type == "ByteLevel")
    return plain(std::make_unique<EachCharacter>(EachCharacter::ByteCharacters));
  if (type == "BertNormalizer") {
    auto step = std::make_unique<BertNormalizer>();
    step->clean = fields.flag("clean_text", true);
    step->spaceIdeographs = fields.flag("handle_chinese_chars", true);
    step->lower = fields.flag("lowercase", true);
    step->strip = fields.flag("strip_accents", step->lower);
    return plain(std::move(step));
  }
  if (type == "Strip") {
    auto step = std::make_unique<StripSpaces>();
    step->left = fields.flag("strip_left", true);
    step->right = fields.flag("strip_right", true);
    return plain(std::move(step));
  }
  if (type == "Prepend") {
    auto step = std::make_unique<Prepend>();
    step->text = fields.text("prepend");
    return plain(std::move(step));
  }
  if (type == "Replace") {
    auto step = std::make_unique<Replace>();
    readPattern(fields, step->pattern, why);
    step->content = fields.text("content");
    return plain(std::move(step));
  }
  if (type == "Precompiled") {
    auto step = std::make_unique<CharacterMap>();
    std::string bytes, text = fields.text("precompiled_charsmap");
    if (text.empty()) // none: nothing is mapped
      return plain(std::make_unique<NormalizeAll>());
    if (!fromBase64(text, bytes) || !step->read(bytes))
      fields.wrong("precompiled_charsmap is no map of characters");
    return plain(std::move(step));
  }
  return unknownType<Normalizer>("normalizer", json, why);
}

std::unique_ptr<SplitAt> splitAtWords(const char *pattern, std::string &why) {
  auto step = std::make_unique<SplitAt>();
  step->pattern.text = pattern;
  step->pattern.regex = Regex::compile(pattern, why);
  return step->pattern.regex ? std::move(step) : nullptr;
}

std::unique_ptr<PreTokenizer> readPreTokenizer(const Json &json, std::string &why, int depth) {
  std::string type = typeOf(json);
  Fields fields(json, "its pre_tokenizer " + type.substr(0, 40), why);
  fields.ignore({"type"});
  auto plain = [&](auto step) -> std::unique_ptr<PreTokenizer> {
    return finish<PreTokenizer>(fields, std::move(step));
  };
  if (type == "Sequence")
    return readAll<SplitAll>(fields, "pretokenizers", readPreTokenizer, why, depth);
  if (type == "ByteLevel") {
    auto step = std::make_unique<ByteLevel>();
    step->addPrefixSpace = fields.flag("add_prefix_space", true);
    if (fields.flag("use_regex", true))
      step->words = splitAtWords(ByteLevel::wordsPattern(), why);
    fields.ignore({"trim_offsets"});
    return plain(std::move(step));
  }
  if (type == "Split") {
    auto step = std::make_unique<SplitAt>();
    readPattern(fields, step->pattern, why);
    readBehavior(fields, step->behavior, "Isolated");
    step->invert = fields.flag("invert", false);
    return plain(std::move(step));
  }
  if (type == "Metaspace") {
    auto step = std::make_unique<Metaspace>();
    step->replacement = fields.text("replacement", step->replacement);
    step->prefix = readPrefix(fields);
    step->splits = fields.flag("split", true);
    fields.ignore({"str_rep"});
    return plain(std::move(step));
  }
  if (type == "Whitespace")
    return plain(std::make_unique<Whitespace>());
  if (type == "WhitespaceSplit")
    return plain(std::make_unique<SplitCharacters>(isSpace, Behavior::Removed));
  if (type == "BertPreTokenizer") {
    auto all = std::make_unique<SplitAll>();
    all->steps.push_back(std::make_unique<SplitCharacters>(isSpace, Behavior::Removed));
    all->steps.push_back(std::make_unique<SplitCharacters>(isPunctuation, Behavior::Isolated));
    return plain(std::move(all));
  }
  if (type == "Punctuation") {
    Behavior behavior = Behavior::Isolated;
    readBehavior(fields, behavior, "Isolated");
    return plain(std::make_unique<SplitCharacters>(isPunctuation, behavior));
  }
  if (type == "Digits") {
    bool each = fields.flag("individual_digits", false);
    return plain(std::make_unique<SplitCharacters>(isNumeric, each ? Behavior::Isolated
                                                                   : Behavior::Contiguous));
  }
  if (type == "CharDelimiterSplit") {
    auto step = std::make_unique<SplitAt>();
    step->pattern.text = fields.text("delimiter");
    step->behavior = Behavior::Removed;
    return plain(std::move(step));
  }
  return unknownType<PreTokenizer>("pre_tokenizer", json, why);
}

std::unique_ptr<Decoder> readDecoder(const Json &json, std::string &why, int depth) {
  std::string type = typeOf(json);
  Fields fields(json, "its decoder " + type.substr(0, 40), why);
  fields.ignore({"type"});
  auto plain = [&](auto step) -> std::unique_ptr<Decoder> {
    return finish<Decoder>(fields, std::move(step));
  };
  if (type == "Sequence")
    return readAll<DecodeAll>(fields, "decoders", readDecoder, why, depth);
  if (type == "ByteLevel") {
    fields.ignore({"add_prefix_space", "trim_offsets", "use_regex"});
    return plain(std::make_unique<DecodeByteLevel>());
  }
  if (type == "ByteFallback")
    return plain(std::make_unique<DecodeByteFallback>());
  if (type == "Fuse")
    return plain(std::make_unique<DecodeFuse>());
  if (type == "Replace") {
    auto step = std::make_unique<DecodeReplace>();
    readPattern(fields, step->replace.pattern, why);
    step->replace.content = fields.text("content");
    return plain(std::move(step));
  }
  if (type == "Strip") {
    auto step = std::make_unique<DecodeStrip>();
    step->content = fields.text("content", " ");
    step->start = fields.whole("start", 0, 1 << 20);
    step->stop = fields.whole("stop", 0, 1 << 20);
    return plain(std::move(step));
  }
  if (type == "Metaspace") {
    auto step = std::make_unique<DecodeMetaspace>();
    step->replacement = fields.text("replacement", step->replacement);
    step->prefixed = readPrefix(fields) != Metaspace::Prefix::Never;
    fields.ignore({"split", "str_rep"});
    return plain(std::move(step));
  }
  if (type == "WordPiece") {
    auto step = std::make_unique<DecodeWordPiece>();
    step->prefix = fields.text("prefix", "##");
    step->cleanup = fields.flag("cleanup", true);
    return plain(std::move(step));
  }
  if (type == "BPEDecoder") {
    auto step = std::make_unique<DecodeSuffix>();
    step->suffix = fields.text("suffix", "</w>");
    return plain(std::move(step));
  }
  return unknownType<Decoder>("decoder", json, why);
}

} // namespace qkv::rt
