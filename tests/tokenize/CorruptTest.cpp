// In: tokenizers and texts that are anything. Out: a message or tokens, never a crash; bytes that
// come back as they were.
#include "runtime/Error.h"
#include "runtime/checkpoint/Gguf.h"
#include "runtime/tokenize/Fields.h"
#include "runtime/tokenize/TextTokenizer.h"
#include "tests/fuzz/WithinMemory.h"

#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <sstream>

using namespace qkv::rt;

namespace {

Json figures(const char *name) {
  std::ostringstream text;
  text << std::ifstream(std::string(QKV_FIGURES) + "/" + name).rdbuf();
  return Json::parse(text.str())["tokenizer"];
}

std::unique_ptr<TextTokenizer> make(const Json &json) {
  std::string why;
  auto tokenizer = readTokenizerJson(json.dump(), why);
  EXPECT_TRUE(tokenizer) << why;
  return tokenizer;
}

TEST(TokenizeBytes, WhatIsNoUtf8ComesBack) {
  std::mt19937 random(5);
  for (const char *name : {"bpe-bytes.json", "bpe-byte-fallback.json"}) {
    auto tokenizer = make(figures(name));
    for (int round = 0; round < 300; ++round) {
      std::string bytes, why;
      for (size_t count = random() % 20; count > 0; --count)
        bytes += static_cast<char>(random() % 3 ? random() : "aé日"[random() % 6]);
      // (Of this one a space at the front of each stretch of text is put there, and goes one time.)
      if (std::string(name) == "bpe-byte-fallback.json" && bytes != replaceInvalid(bytes))
        bytes = std::string(1, static_cast<char>(0x80 + random() % 64));
      if (!bytes.empty() && bytes[0] == ' ')
        continue;
      std::vector<int64_t> tokens;
      ASSERT_TRUE(tokenizer->encode(bytes, SpecialNone, tokens, why)) << why;
      EXPECT_EQ(tokenizer->decode(tokens, true), bytes);
    }
  }
}

TEST(TokenizeBytes, WithoutBytesItIsTheReplacementCharacter) {
  auto tokenizer = make(figures("wordlevel.json"));
  std::vector<int64_t> bad, good;
  std::string why;
  ASSERT_TRUE(tokenizer->encode("the \xE6\x97 fox\xFF\xFE", SpecialNone, bad, why));
  ASSERT_TRUE(
      tokenizer->encode("the \xEF\xBF\xBD fox\xEF\xBF\xBD\xEF\xBF\xBD", SpecialNone, good, why));
  EXPECT_EQ(bad, good);
}

TEST(TokenizeBytes, SpecialTokensOnlyWhereAskedFor) {
  auto tokenizer = make(figures("bpe-bytes.json"));
  std::vector<int64_t> with, without;
  std::string why;
  ASSERT_TRUE(tokenizer->encode("a<|end|>", SpecialInside, with, why));
  ASSERT_TRUE(tokenizer->encode("a<|end|>", SpecialNone, without, why));
  EXPECT_EQ(with.size(), 2u);
  EXPECT_GT(without.size(), 2u);
  EXPECT_EQ(tokenizer->decode(with, false), "a");
  EXPECT_EQ(tokenizer->decode(with, true), "a<|end|>");
  EXPECT_EQ(tokenizer->decode(without, false), "a<|end|>");
}

TEST(TokenizeBytes, WhatIsNotKnownIsAnError) {
  Json good = figures("bpe-bytes.json");
  auto fails = [&](auto change, const char *expected) {
    Json json = good;
    change(json);
    std::string why;
    EXPECT_FALSE(readTokenizerJson(json.dump(), why)) << expected;
    EXPECT_NE(why.find(expected), std::string::npos) << why << "\n" << expected;
  };
  fails([](Json &j) { j = Json::array(); }, "it is not an object");
  fails([](Json &j) { j.erase("model"); }, "it has no model");
  fails([](Json &j) { j["extra"] = 1; }, "its field extra is not known");
  fails([](Json &j) { j["model"]["extra"] = 1; }, "its field extra is not known");
  fails([](Json &j) { j["model"]["type"] = "Other"; }, "its type Other is not known");
  fails([](Json &j) { j["model"]["dropout"] = 0.5; }, "dropout");
  fails([](Json &j) { j["model"]["vocab"] = 3; }, "vocab is not an object");
  fails([](Json &j) { j["model"]["vocab"]["x"] = -1; }, "is no number of a token");
  fails([](Json &j) { j["model"]["vocab"]["x"] = 1 << 30; }, "is no number of a token");
  fails([](Json &j) { j["model"]["merges"][0] = "a"; }, "a merge is not two texts");
  fails([](Json &j) { j["model"]["merges"][0] = "a zz"; }, "is not in the vocabulary");
  fails([](Json &j) { j["model"]["merges"][0] = 3; }, "neither a text nor a pair");
  fails([](Json &j) { j["pre_tokenizer"]["type"] = "Odd"; },
        "its pre_tokenizer is of type \"Odd\"");
  fails([](Json &j) { j["pre_tokenizer"]["extra"] = 1; }, "its field extra is not known");
  fails([](Json &j) { j["normalizer"] = {{"type", "Odd"}}; }, "its normalizer is of type \"Odd\"");
  fails([](Json &j) { j["decoder"] = {{"type", "Odd"}}; }, "its decoder is of type \"Odd\"");
  fails([](Json &j) { j["post_processor"] = {{"type", "Odd"}}; }, "its type Odd is not known");
  fails([](Json &j) { j["added_tokens"][0]["id"] = "x"; }, "id is not a whole number");
  fails(
      [](Json &j) {
        j["post_processor"] = {
            {"type", "BertProcessing"}, {"cls", {"<x>", 999}}, {"sep", {"<x>", 999}}};
      },
      "the token 999, which is to stand around a text");
  fails(
      [](Json &j) {
        j["pre_tokenizer"] = {
            {"type", "Split"}, {"pattern", {{"Regex", "(a"}}}, {"behavior", "Isolated"}};
      },
      "the regular expression (a is not understood");
  fails(
      [](Json &j) {
        j["pre_tokenizer"] = {
            {"type", "Split"}, {"pattern", {{"Regex", "[a&&b]"}}}, {"behavior", "Isolated"}};
      },
      "intersection of classes");
  fails(
      [](Json &j) {
        j["pre_tokenizer"] = {
            {"type", "Split"}, {"pattern", {{"String", "a"}}}, {"behavior", "Odd"}};
      },
      "its behavior Odd is not known");
  fails(
      [](Json &j) {
        Json deep = {{"type", "NFC"}};
        for (int i = 0; i < 40; ++i)
          deep = {{"type", "Sequence"}, {"normalizers", {deep}}};
        j["normalizer"] = deep;
      },
      "too deep");
  std::string why;
  EXPECT_FALSE(readTokenizerJson("{\"a\":", why));
  EXPECT_EQ(why, "it is not JSON");
  EXPECT_FALSE(readTokenizerJson(std::string(100000, '['), why));
}

/// The keys of a GGUF that make a tokenizer, each of another type than it is read as.
TEST(TokenizeBytes, KeysOfOtherTypesThanRead) {
  auto number = [](auto value) {
    return std::string(reinterpret_cast<const char *>(&value), sizeof value);
  };
  auto text = [&](const std::string &value) { return number(uint64_t(value.size())) + value; };
  auto key = [&](const std::string &name, uint32_t type, const std::string &bytes) {
    return text("tokenizer.ggml." + name) + number(type) + bytes;
  };
  auto list = [&](const std::string &name, uint32_t type, uint64_t count,
                  const std::string &bytes) {
    return key(name, 9, number(type) + number(count) + bytes);
  };
  std::string model = key("model", 8, text("llama")),
              tokens = list("tokens", 8, 2, text("a") + text("b")),
              scores = list("scores", 6, 2, number(1.0f) + number(2.0f));
  auto says = [&](const std::vector<std::string> &keys, const char *expected) {
    std::string bytes =
        "GGUF" + number(uint32_t(3)) + number(int64_t(0)) + number(int64_t(keys.size()));
    for (const std::string &one : keys)
      bytes += one;
    FileBytes file;
    ASSERT_TRUE(file.copy(bytes.data(), bytes.size()));
    qkv_error error = {};
    error.size = sizeof error;
    auto checkpoint = Gguf::fromFile(std::move(file), "t", &error);
    ASSERT_TRUE(checkpoint) << error.text;
    std::string why;
    EXPECT_FALSE(readTokenizerKeys(checkpoint->metadata(), why)) << expected;
    EXPECT_NE(why.find(expected), std::string::npos) << why << "\n" << expected;
  };
  says({key("model", 4, number(uint32_t(1))), tokens, scores}, "model");
  says({model, key("tokens", 8, text("a")), scores}, "tokens is no list");
  says({model, list("tokens", 4, 2, number(uint64_t(0))), scores}, "tokens is no list of texts");
  says({model, tokens}, "it has no tokenizer.ggml.scores");
  says({model, tokens, list("scores", 8, 2, text("1") + text("2"))}, "scores has not an f32");
  says({model, tokens, list("scores", 5, 2, number(uint64_t(0)))}, "scores has not an f32");
  says({model, tokens, list("scores", 6, 1, number(1.0f))}, "scores has not an f32");
  says({model, tokens, scores, list("token_type", 6, 2, number(uint64_t(0)))},
       "token_type has not a number for each token");
  says({model, tokens, scores, list("token_type", 5, 1, number(int32_t(1)))},
       "token_type has not a number for each token");
  says({model, tokens, scores, key("bos_token_id", 8, text("a"))}, "is no token of the vocabulary");
  says({model, tokens, scores, key("bos_token_id", 4, number(uint32_t(2)))},
       "is no token of the vocabulary");
  says({model, tokens, scores, key("add_bos_token", 4, number(uint32_t(1)))},
       "neither true nor false");
}

/// What is small takes little memory, whatever it says.
TEST(TokenizeBytes, NothingTakesMemory) {
  std::vector<std::string> texts = {std::string(1 << 20, '['),
                                    "{\"model\":" + std::string(1 << 20, '{')};
  auto with = [&](auto change) {
    Json json = figures("bpe-bytes.json");
    change(json);
    texts.push_back(json.dump());
  };
  with([](Json &j) { j["model"]["vocab"]["x"] = 1 << 30; });
  with([](Json &j) { j["model"]["vocab"]["x"] = 9223372036854775807; });
  with([](Json &j) { j["added_tokens"][0]["id"] = 1 << 30; });
  with([](Json &j) { j["truncation"] = {{"max_length", 1 << 30}}; });
  with([](Json &j) {
    j["pre_tokenizer"] = {
        {"type", "Split"}, {"pattern", {{"Regex", "a{65535}{65535}"}}}, {"behavior", "Isolated"}};
  });
  for (const std::string &text : texts)
    EXPECT_EQ(qkv::test::withinMemory(128 << 20,
                                      [&text] {
                                        std::string why;
                                        if (auto tokenizer = readTokenizerJson(text, why))
                                          tokenizer->decode({0, 1 << 30, -1}, true);
                                      }),
              "")
        << text.substr(0, 100);
}

/// An expression that takes exponentially many steps ends with a message.
TEST(TokenizeBytes, AnExpressionThatNeverEnds) {
  Json json = figures("bpe-bytes.json");
  json["pre_tokenizer"] = {{"type", "Split"},
                           {"pattern", {{"Regex", "(?:a|aa)+(?:a|aa)+(?:a|aa)+$"}}},
                           {"behavior", "Isolated"}};
  auto tokenizer = make(json);
  std::vector<int64_t> tokens;
  std::string why;
  EXPECT_FALSE(tokenizer->encode(std::string(60, 'a') + "b", SpecialNone, tokens, why));
  EXPECT_NE(why.find("takes too many steps"), std::string::npos) << why;
}

TEST(TokenizeBytes, MutatedTokenizersAreReadOrRefused) {
  std::mt19937 random(9);
  int read = 0;
  for (const char *name : {"wordpiece.json", "bpe-suffix.json", "unigram.json"}) {
    std::string good = figures(name).dump();
    for (int round = 0; round < 700; ++round) {
      std::string bytes = good, why;
      for (int edits = 1 + static_cast<int>(random() % 2); edits > 0; --edits) {
        size_t at = random() % std::min<size_t>(bytes.size(), random() % 2 ? 800 : bytes.size());
        switch (random() % 4) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.erase(at, 1 + random() % 5);
          break;
        case 2:
          bytes.insert(at, "9");
          break;
        default:
          bytes.resize(random() % 8 ? bytes.size() : at);
        }
      }
      auto tokenizer = readTokenizerJson(bytes, why);
      if (!tokenizer) {
        EXPECT_FALSE(why.empty());
        continue;
      }
      ++read;
      std::vector<int64_t> tokens;
      if (tokenizer->encode("the lower Fox, 日本 <s>\xFF", SpecialInside | SpecialAround, tokens,
                            why))
        tokenizer->decode(tokens, true);
    }
  }
  EXPECT_GT(read, 50) << "most mutations are caught before anything interesting";
}

} // namespace
