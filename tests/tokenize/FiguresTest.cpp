// In: figures of the reference implementation (make_figures.mjs), and real vocabularies with
// expected tokens. Out: the same tokens, the same texts.
#include "runtime/Error.h"
#include "runtime/File.h"
#include "runtime/tokenize/Fields.h"
#include "runtime/tokenize/ReadSteps.h"
#include "runtime/tokenize/Splittings.h"
#include "runtime/tokenize/TextTokenizer.h"
#include "tests/fuzz/Slowdown.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

using namespace qkv::rt;

namespace {

std::string contentsOf(const std::string &path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

/// All cases of one file. A file may name its vocabulary in place of holding it.
void compare(const std::string &path, int longest) {
  Json figures = Json::parse(contentsOf(path));
  std::string why;
  std::string source = figures.contains("file") ? contentsOf(figures["file"].get<std::string>())
                                                : figures["tokenizer"].dump();
  auto tokenizer = readTokenizerJson(source, why);
  ASSERT_TRUE(tokenizer) << path << ": " << why;
  int wrong = 0, count = 0;
  for (const Json &one : figures["cases"]) {
    ++count;
    auto text = one["text"].get<std::string>();
    std::vector<int64_t> plain, around;
    bool done = tokenizer->encode(text, SpecialInside, plain, why);
    if (one.contains("fails")) {
      EXPECT_FALSE(done) << path << ": " << Json(text).dump();
      continue;
    }
    ASSERT_TRUE(done) << why;
    ASSERT_TRUE(tokenizer->encode(text, SpecialInside | SpecialAround, around, why));
    std::string decoded = replaceInvalid(tokenizer->decode(plain, false));
    if (Json(plain) == one["plain"] && Json(around) == one["around"] &&
        Json(decoded) == one["decoded"])
      continue;
    if (++wrong <= longest)
      ADD_FAILURE() << path << "\n  text    " << Json(text).dump() << "\n  tokens  "
                    << Json(plain).dump() << "\n  wanted  " << one["plain"].dump() << "\n  around  "
                    << Json(around).dump() << "\n  wanted  " << one["around"].dump()
                    << "\n  decoded " << Json(decoded).dump() << "\n  wanted  "
                    << one["decoded"].dump();
  }
  EXPECT_EQ(wrong, 0) << "of " << count << " texts in " << path;
  EXPECT_GT(count, 0);
}

TEST(TokenizeFigures, OwnVocabulariesGiveTheTokensOfTheReference) {
  int files = 0;
  for (auto &entry : std::filesystem::directory_iterator(QKV_FIGURES)) {
    compare(entry.path(), 3);
    ++files;
  }
  EXPECT_GE(files, 17);
}

/// A vocabulary in a GGUF; beside it texts, and a line of expected tokens for each.
void compareWithTexts(const std::string &path, bool back) {
  qkv_error error = {};
  error.size = sizeof error;
  auto tokenizer = openTokenizer(path, &error);
  ASSERT_TRUE(tokenizer) << error.text;
  std::string texts = contentsOf(path + ".inp"), mark = "\n__ggml_vocab_test__\n", why;
  std::istringstream lines(contentsOf(path + ".out"));
  int count = 0;
  for (size_t at = 0; at <= texts.size();) {
    size_t end = texts.find(mark, at);
    std::string text = texts.substr(at, end == texts.npos ? end : end - at);
    at = end == texts.npos ? texts.size() + 1 : end + mark.size();
    std::string line;
    if (!std::getline(lines, line))
      break;
    std::istringstream numbers(line);
    std::vector<int64_t> wanted, tokens;
    for (int64_t token; numbers >> token;)
      wanted.push_back(token);
    ASSERT_TRUE(tokenizer->encode(text, SpecialInside, tokens, why)) << why;
    EXPECT_EQ(tokens, wanted) << Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
    if (back) {
      EXPECT_EQ(tokenizer->decode(tokens, true), text);
    }
    ++count;
  }
  EXPECT_GT(count, 30);
}

/// The folder QKV_TEST_DATA, or `tokenizers` in it; empty: there is none.
std::string givenFolder() {
  std::string folder = QKV_TEST_DATA;
  return folder.empty() || !std::filesystem::exists(folder + "/tokenizers")
             ? folder
             : folder + "/tokenizers";
}

void compareWithFile(const std::string &name) {
  std::string path = givenFolder() + "/" + name;
  if (givenFolder().empty() || !std::filesystem::exists(path))
    GTEST_SKIP() << "no " << name << ": set the CMake variable QKV_TEST_DATA to a folder with it";
  compareWithTexts(path, /*back=*/true);
}

/// All that are given: each GGUF of QKV_TEST_DATA with texts beside it, and QKV_TOKENIZE_FIGURES, a
/// folder that make_figures.mjs filled.
TEST(TokenizeFigures, GivenVocabularies) {
  int given = 0;
  if (!givenFolder().empty())
    for (auto &entry : std::filesystem::directory_iterator(givenFolder())) {
      std::string path = entry.path();
      if (!path.ends_with(".gguf") || !std::filesystem::exists(path + ".inp"))
        continue;
      SCOPED_TRACE(path);
      compareWithTexts(path, /*back=*/false);
      ++given;
    }
  if (const char *folder = getenv("QKV_TOKENIZE_FIGURES"))
    for (auto &entry : std::filesystem::directory_iterator(folder)) {
      compare(entry.path(), 4);
      ++given;
    }
  if (given == 0)
    GTEST_SKIP() << "neither QKV_TEST_DATA (CMake) nor QKV_TOKENIZE_FIGURES (environment) names a "
                    "folder with vocabularies";
}

TEST(TokenizeFigures, MergesInGguf) { compareWithFile("ggml-vocab-gpt-2.gguf"); }
TEST(TokenizeFigures, ScoresInGguf) { compareWithFile("ggml-vocab-llama-spm.gguf"); }

/// Words by the published expressions of each way; what they are was found by hand.
TEST(TokenizeFigures, WaysOfSplitting) {
  auto words = [](const char *name, const std::string &text) {
    std::vector<Piece> pieces{{text, true}};
    std::string why;
    const Splitting *splitting = splittingByName(name);
    EXPECT_TRUE(splitting) << name;
    for (const char *pattern : splitting->patterns)
      EXPECT_TRUE(splitAtWords(pattern, why)->split(pieces, why)) << name << why;
    std::vector<std::string> out;
    for (const Piece &piece : pieces)
      out.push_back(piece.text);
    return out;
  };
  using Words = std::vector<std::string>;
  EXPECT_EQ(words("deepseek-v3", "Abc 12345 日本語!foo\n"),
            (Words{"Abc", " ", "123", "45", " ", "日本語", "!foo", "\n"}));
  EXPECT_EQ(words("deepseek-coder", "a b1\n--x"), (Words{"a", " b", "1", "\n", "--", "x"}));
  EXPECT_EQ(words("bloom", "Hi, you (a|b)!"),
            (Words{"Hi", ",", " you", " (", "a", "|", "b", ")!"}));
  EXPECT_EQ(words("viking", "at 12."), (Words{"at", " ", "1", "2", "."}));
  EXPECT_EQ(words("qwen35", "ne\xCC\x81 12"), (Words{"ne\xCC\x81", " ", "1", "2"}));
  EXPECT_EQ(words("lfm2", "I'm 1234"), (Words{"I", "'m", " ", "123", "4"}));
  EXPECT_EQ(words("falcon", "a+=1234 b"), (Words{"a", "+=", "123", "4", " b"}));
  EXPECT_EQ(words("deepseek-llm", "Abc de 12345 日本!\n  x"),
            (Words{"Abc", " de", " ", "12345", " ", "日本", "!", "\n", " ", " x"}));
  EXPECT_EQ(words("deepseek-llm", "xy αβ აბ"), (Words{"xy", " αβ", " ", "აბ"}));
  EXPECT_EQ(words("superbpe", "1234567 a b"), (Words{"1", "234", "567", " a b"}));
  EXPECT_EQ(words("tiny_aya", "1234567"), (Words{"1", "234", "567"}));
  EXPECT_EQ(words("kimi-k2", "Hello世界abc 1234"),
            (Words{"Hello", "世界", "abc", " ", "123", "4"}));
  EXPECT_EQ(words("bailingmoe", "I'S ok12"), (Words{"I", "'S", " ok", "1", "2"}));
  EXPECT_EQ(words("seed-coder", "a.\nb"), (Words{"a", ".", "\n", "b"}));
  EXPECT_EQ(words("qwen2", "a.\nb"), (Words{"a", ".\n", "b"}));
  EXPECT_EQ(words("exaone-moe", "a b, c"), (Words{"a b", ",", " c"}));
  EXPECT_EQ(words("youtu", "한a12"), (Words{"한", "a", "1", "2"}));
  EXPECT_EQ(words("chameleon", "IMGIMGABZ x1"), (Words{"IMGIMGABZ", " x", "1"}));
  EXPECT_EQ(words("minicpm5", "a12345"), (Words{"a", "123", "45"}));
  EXPECT_EQ(words("laguna", "a \n b"), (Words{"a", " ", "\n", " b"}));
  EXPECT_EQ(words("jais-2", "a       b"), (Words{"a", "    ", "  ", " b"}));
  EXPECT_EQ(words("ufakzeka", "it'sa"), (Words{"it", "'sa"}));
  EXPECT_EQ(words("gpt-4o", "McDonald's 1234"), (Words{"Mc", "Donald's", " ", "123", "4"}));
  EXPECT_EQ(words("default", "a,12 1234"), (Words{"a", ",", "12", " ", "123", "4"}));
  // (Their vocabularies have no characters for bytes, or their words are not published.)
  for (const char *name : {"gemma4", "sarvam-moe", "whitespace", "afmoe", "anything"})
    EXPECT_FALSE(splittingByName(name)) << name;
}

/// A megabyte of words that differ, and a megabyte of one letter, which is one word.
TEST(TokenizeFigures, AMegabyteTakesLessThanASecond) {
  std::string path = std::string(QKV_FIGURES) + "/bpe-bytes.json", why;
  auto tokenizer = readTokenizerJson(Json::parse(contentsOf(path))["tokenizer"].dump(), why);
  ASSERT_TRUE(tokenizer) << why;
  std::string words, letters(1 << 20, 'l');
  for (uint32_t state = 1; words.size() < 1 << 20; state = state * 1664525 + 1013904223)
    words += "the newest " + std::to_string(state) + " lower\n";
  for (const std::string &text : {words, letters}) {
    std::vector<int64_t> tokens;
    std::clock_t begin = std::clock(); // of the processor: a busy machine does not count
    ASSERT_TRUE(tokenizer->encode(text, SpecialNone, tokens, why)) << why;
    double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    EXPECT_EQ(tokenizer->decode(tokens, true), text);
    EXPECT_LT(seconds, 1.0 * qkv::test::slowdown);
    RecordProperty("milliseconds", static_cast<int>(1000 * seconds));
  }
}

} // namespace
