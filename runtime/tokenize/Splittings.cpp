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

const Splitting *splittingByName(std::string_view name) {
  static const std::vector<Splitting> all = {
      {{"gpt-2", "phi-2", "mpt", "olmo", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de",
        "roberta-bpe", "gigachat"},
       {ByteLevel::wordsPattern()}},
      {{"llama3", "llama-v3", "llama-bpe"}, {QKV_WORDS(R"(\p{N}{1,3})")}, true, true},
      {{"dbrx", "smaug-bpe"}, {QKV_WORDS(R"(\p{N}{1,3})")}},
      {{"qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan"}, {QKV_WORDS(R"(\p{N})")}},
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
       true}};
  for (const Splitting &one : all)
    if (std::find(one.names.begin(), one.names.end(), name) != one.names.end())
      return &one;
  return nullptr;
}

} // namespace qkv::rt
