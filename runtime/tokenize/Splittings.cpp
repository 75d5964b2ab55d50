// In: a name of a way of splitting text. Out: its regular expressions.
#include "runtime/tokenize/Splittings.h"

#include "runtime/tokenize/PreTokenize.h"

#include <algorithm>

namespace qkv::rt {

// Llama 3's: contractions in any case, a word with one sign before it, up to three digits, signs
// with the ends of lines behind them, spaces.
#define QKV_SPACES R"(|\s+(?!\S)|\s+)"
#define QKV_WORDS_ALONE(digits)                                                                    \
  R"([^\r\n\p{L}\p{N}]?\p{L}+|)" digits R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+)"
#define QKV_CONTRACTIONS R"((?i:'s|'t|'re|'ve|'m|'ll|'d))"
#define QKV_WORDS(digits) QKV_CONTRACTIONS "|" QKV_WORDS_ALONE(digits) QKV_SPACES

// GPT-4o's: words that know about capitals.
#define QKV_CAPITALS                                                                               \
  R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
#define QKV_CAPITALS_2                                                                             \
  R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
#define QKV_CONTRACTED QKV_CONTRACTIONS "?"
#define QKV_CAPITAL_WORDS(digits)                                                                  \
  QKV_CAPITALS QKV_CONTRACTED "|" QKV_CAPITALS_2 QKV_CONTRACTED "|" digits                         \
                              R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+)" QKV_SPACES

// Kimi K2's: the same, with Chinese characters by themselves.
#define QKV_BUT_HAN(kinds) R"((?:(?!\p{Han})[\p{Lm}\p{Lo}\p{M})" kinds "])"
#define QKV_UPPER QKV_BUT_HAN(R"(\p{Lu}\p{Lt})")
#define QKV_LOWER QKV_BUT_HAN(R"(\p{Ll})")

// DeepSeek LLM's words of letters: those with two cases, as far as its vocabulary's makers listed
// them.
constexpr char casedWords[] =
    R"(\s?(?:(?![\x{560}-\x{588}\x{10C7}\x{10CD}\x{10D0}-\x{10FF}\x{1C80}-\x{1C8F}\x{2D00}-\x{2D2D})"
    R"(\x{A790}-\x{A7FF}\x{AB30}-\x{AB6F}\x{10570}-\x{105BF}\x{10D50}-\x{10D8F})"
    R"(\x{16E40}-\x{16EFF}\x{1D400}-\x{1D7FF}\x{1DF00}-\x{1DFFF}])[\p{Lu}\p{Ll}\p{Lt}])+)";

// Chinese, other scripts between U+0800 and it, Korean.
#define QKV_IDEOGRAPHS "[一-龥ࠀ-一가-퟿]+"

// BLOOM's: words between spaces and the signs that end them.
#define QKV_SENTENCES " ?[^(\\s|.,!?…。，、।۔،)]+"

static const std::vector<Splitting> &splittings() {
  static const std::vector<Splitting> all = {
      {{"gpt-2", "phi-2", "mpt", "olmo", "jina-es", "jina-de", "jina-v1-en", "jina-v2-es",
        "jina-v2-de", "jina-v2-code", "roberta-bpe", "gigachat", "jais", "trillion",
        "granite-docling", "a.x-4.0", "mellum", "modern-bert", "exaone4"},
       {ByteLevel::wordsPattern()}},
      {{"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
        "jina-v5-nano"},
       {QKV_WORDS(R"(\p{N}{1,3})")},
       true,
       true},
      {{"dbrx", "smaug-bpe", "chatglm-bpe", "glm4"}, {QKV_WORDS(R"(\p{N}{1,3})")}},
      {{"minicpm5"}, {R"(\p{N}{1,3})", QKV_WORDS(R"(\p{N}+)")}, true},
      {{"jais-2"},
       {QKV_CONTRACTIONS "|" QKV_WORDS_ALONE(R"(\p{N}{1,3})") //
        R"(|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S))"
        R"(|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s)"}},
      {{"qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez", "kormo", "f2llmv2",
        "solar-open", "grok-2"},
       {QKV_WORDS(R"(\p{N})")}},
      {{"laguna"}, {R"([^\n]+|\n+)", QKV_WORDS(R"(\p{N})")}},
      {{"ufakzeka"}, {QKV_WORDS_ALONE(R"(\p{N})") QKV_SPACES}},
      {{"seed-coder"},
       {QKV_CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s*[\r\n]+)" //
        QKV_SPACES}},
      {{"bailingmoe", "bailingmoe2", "llada-moe"},
       {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
        R"(|\s*[\r\n])" QKV_SPACES}},
      {{"exaone-moe"},
       {QKV_CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N})"
                         R"(| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n])" QKV_SPACES}},
      {{"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b",
        "mellum2"},
       {R"(\p{N})", ByteLevel::wordsPattern()}},
      {{"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"},
       {QKV_CAPITAL_WORDS(R"(\p{N}{1,3})")}},
      {{"granite-embed-multi-97m"}, {QKV_CAPITAL_WORDS(R"(\p{N}{1,3})")}, true},
      {{"tiny_aya", "cohere2moe"},
       {R"(\d{1,3}(?=(?:\d{3})*\b))", QKV_CAPITAL_WORDS(R"(\p{N}{1,3})")}},
      {{"youtu"},
       {"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|"
        "[一-龥぀-ゟ゠-ヿ]+",
        QKV_CAPITAL_WORDS(R"(\p{N})")},
       true},
      {{"kimi-k2"},
       {R"(\p{Han}+|[^\r\n\p{L}\p{N}]?)" QKV_UPPER "*" QKV_LOWER "+" QKV_CONTRACTED
        R"(|[^\r\n\p{L}\p{N}]?)" QKV_UPPER "+" QKV_LOWER "*" QKV_CONTRACTED
        R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+)" QKV_SPACES}},
      {{"tekken"},
       {QKV_CAPITALS "|" QKV_CAPITALS_2
                     R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+)" QKV_SPACES},
       true,
       true},
      {{"qwen35"},
       {QKV_CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N})"
                         R"(| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+)" QKV_SPACES}},
      {{"bloom", "poro-chat", "gpt3-finnish"}, {QKV_SENTENCES}},
      {{"viking"}, {QKV_SENTENCES, R"(\p{N})"}},
      {{"superbpe"}, {R"(\p{N}+)", R"((?=(?:\d{3})+(?!\d)))"}},
      {{"chameleon"},
       {"<sentinel:[0-9]+>", "IMGIMG[A-I]{1,4}Z", R"([\t\n]|    |  )", R"(\p{N})",
        R"([\p{P}!-/:-@\[-`{-~])", ByteLevel::wordsPattern()},
       false,
       true},
      {{"deepseek-llm"},
       {R"([\r\n])", casedWords, R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)", R"(\s+$)", QKV_IDEOGRAPHS,
        R"(\p{N}+)"}},
      {{"deepseek-coder"},
       {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", QKV_IDEOGRAPHS, R"(\p{N})"}},
      {{"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"},
       {R"(\p{N}{1,3})", "[一-龥぀-ゟ゠-ヿ]+",
        R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
        R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+)" QKV_SPACES}},
      {{"falcon"}, {R"([\p{P}\$\+<=>\^~\|`]+)", ByteLevel::wordsPattern(), "[0-9][0-9][0-9]"}},
      {{"default"},
       {R"([\p{P}\$\+<=>\^~\|]+)", ByteLevel::wordsPattern(), R"(\p{N}+)", "[0-9][0-9][0-9]"}}};
  return all;
}

const Splitting *splittingByName(std::string_view name) {
  for (const Splitting &one : splittings())
    if (std::find(one.names.begin(), one.names.end(), name) != one.names.end())
      return &one;
  return nullptr;
}

} // namespace qkv::rt
