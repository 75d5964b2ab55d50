// In: a name of a way of splitting text. Out: its regular expressions.
#include "runtime/tokenize/Splittings.h"

#include "runtime/tokenize/PreTokenize.h"

#include <algorithm>

namespace qkv::rt {

// Llama 3's: contractions in any case, a word with one sign before it, up to three digits, signs
// with the ends of lines behind them, spaces.
#define QKV_WORDS(digits)                                                                          \
  R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)" digits                               \
  R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"

// GPT-4o's: words that know about capitals.
#define QKV_CAPITALS                                                                               \
  R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
#define QKV_CAPITALS_2                                                                             \
  R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
#define QKV_CONTRACTED R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"

// BLOOM's: words between spaces and the signs that end them.
#define QKV_SENTENCES " ?[^(\\s|.,!?…。，、।۔،)]+"

const Splitting *splittingByName(std::string_view name) {
  static const std::vector<Splitting> all = {
      {{"gpt-2", "phi-2", "mpt", "olmo", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de",
        "roberta-bpe", "gigachat", "jais", "trillion", "granite-docling"},
       {ByteLevel::wordsPattern()}},
      {{"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"},
       {QKV_WORDS(R"(\p{N}{1,3})")},
       true,
       true},
      {{"dbrx", "smaug-bpe", "chatglm-bpe", "glm4"}, {QKV_WORDS(R"(\p{N}{1,3})")}},
      {{"qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez"}, {QKV_WORDS(R"(\p{N})")}},
      {{"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b"},
       {R"(\p{N})", ByteLevel::wordsPattern()}},
      {{"gpt-4o", "llama4"},
       {QKV_CAPITALS QKV_CONTRACTED "|" QKV_CAPITALS_2 QKV_CONTRACTED
                                    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+)"
                                    R"(|\s+(?!\S)|\s+)"}},
      {{"tekken"},
       {QKV_CAPITALS "|" QKV_CAPITALS_2
                     R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
       true,
       true},
      {{"qwen35"},
       {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N})"
        R"(| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
      {{"bloom", "poro-chat", "gpt3-finnish"}, {QKV_SENTENCES}},
      {{"viking"}, {QKV_SENTENCES, R"(\p{N})"}},
      {{"deepseek-coder"},
       {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", "[一-龥ࠀ-一가-퟿]+", R"(\p{N})"}},
      {{"deepseek-v3"},
       {R"(\p{N}{1,3})", "[一-龥぀-ゟ゠-ヿ]+",
        R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
        R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
      {{"falcon"}, {R"([\p{P}\$\+<=>\^~\|`]+)", ByteLevel::wordsPattern(), "[0-9][0-9][0-9]"}}};
  for (const Splitting &one : all)
    if (std::find(one.names.begin(), one.names.end(), name) != one.names.end())
      return &one;
  return nullptr;
}

} // namespace qkv::rt
