// The tokenizer's files beside weights: found, packed as one text, and read from any bytes.
#include "Support.h"

#include "runtime/checkpoint/Gguf.h"
#include "runtime/checkpoint/TextFiles.h"

#include <cstring>
#include <gtest/gtest.h>

using namespace qkv::rt;

namespace {

std::string names(const TextFiles &files) {
  std::string all;
  for (const TextFiles::File &file : files.all())
    all += file.name + "=" + std::string(file.text) + ";";
  return all;
}

TEST(TextFiles, OneTextAndBack) {
  TextFiles files, again;
  files.put("a", std::string("x\0y", 3));
  files.put("", std::string());
  files.put("b", std::string("z"));
  files.put("a", std::string("w")); // in the place of the first
  std::string text = textFilesText(files);
  ASSERT_TRUE(readTextFiles(text, again));
  EXPECT_EQ(names(again), "=;b=z;a=w;");
  for (size_t length = 1; length < text.size(); ++length) {
    TextFiles cut;
    std::string part = text.substr(0, length);
    bool whole = readTextFiles(part, cut);
    EXPECT_TRUE(!whole || textFilesText(cut) == part) << length;
  }
  for (size_t at = 0; at < text.size(); ++at) {
    TextFiles other;
    std::string changed = text;
    changed[at] = static_cast<char>(0xFF);
    readTextFiles(changed, other);
  }
}

TEST(TextFiles, BesideTheWeights) {
  TestFolder folder;
  TextFiles none, some, elsewhere;
  qkv_error error = emptyError();
  writeFile(folder / "model.safetensors", "?");
  writeFile(folder / "config.json", "{}");
  ASSERT_TRUE(findTextFiles(folder.path, none, &error));
  EXPECT_TRUE(none.empty()); // a configuration alone says nothing of tokens
  writeFile(folder / "merges.txt", "");
  EXPECT_FALSE(findTextFiles(folder.path, none, &error));
  EXPECT_NE(std::string(error.text).find("tokenizer.json"), std::string::npos) << error.text;
  writeFile(folder / "tokenizer.json", "{1}");
  ASSERT_TRUE(findTextFiles(folder / "model.safetensors", some, &error)) << error.text;
  EXPECT_EQ(names(some), "tokenizer.json={1};config.json={};");
  // What ends a text is the model's matter, wherever the tokenizer is.
  TestFolder other;
  writeFile(other / "mine.json", "{2}");
  writeFile(other / "config.json", "{3}");
  ASSERT_TRUE(findTextFiles(folder.path, other / "mine.json", elsewhere, &error)) << error.text;
  EXPECT_EQ(names(elsewhere), "tokenizer.json={2};config.json={};");
}

/// The keys about the vocabulary, as a GGUF that says the same of it.
TEST(TextFiles, KeysOfAGguf) {
  Metadata keys;
  std::string texts("\2\0\0\0\0\0\0\0ab\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0c", 27);
  std::string numbers("\1\0\0\0\xFE\xFF\xFF\xFF", 8);
  MetaValue value;
  value.text = "llama";
  keys.add("general.architecture", value);
  value = {};
  value.type = MetaType::List;
  value.count = 3;
  value.bytes = texts.data();
  keys.add("tokenizer.ggml.tokens", value);
  value.items = MetaType::I32;
  value.count = 2;
  value.bytes = numbers.data();
  keys.add("tokenizer.ggml.token_type", value);
  for (auto [type, bytes] :
       {std::pair(MetaType::Bool, "\1"), std::pair(MetaType::I16, "\xFE\xFF"),
        std::pair(MetaType::U64, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"),
        std::pair(MetaType::F32, "\0\0\xC0\x3F"), std::pair(MetaType::F64, "\0\0\0\0\0\0\xF8\x3F")})
    keys.add(format("tokenizer.%s", metaTypeText(type)), metaNumber(type, bytes));
  keys.add("llama.block_count", metaNumber(MetaType::U8, "\7"));
  ASSERT_EQ(keys.sort(), nullptr);

  std::string file = vocabularyKeys(keys);
  FileBytes bytes;
  qkv_error error = emptyError();
  ASSERT_TRUE(bytes.copy(file.data(), file.size()));
  auto again = Gguf::fromFile(std::move(bytes), "keys", &error);
  ASSERT_TRUE(again) << error.text;
  EXPECT_EQ(again->metadata().find("llama.block_count"), nullptr);
  EXPECT_EQ(again->metadata().all().size(), keys.all().size() - 1);
  for (const Metadatum &one : again->metadata().all())
    EXPECT_EQ(
        metaJson(one.value, 9),
        metaJson(keys.find(one.key)->type == one.value.type ? *keys.find(one.key) : MetaValue(), 9))
        << one.key;
}

} // namespace
