// In: command lines of `qkv tokenize` and `qkv weights`. Out: what they print, and exit codes.
#include "runtime/tokenize/Fields.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <sys/wait.h>

using qkv::rt::Json;

namespace {

struct Answer {
  int code;
  std::string text; ///< both outputs
};

class Commands : public testing::Test {
protected:
  void SetUp() override {
    char name[] = "/tmp/qkv-test-XXXXXX";
    folder = mkdtemp(name);
    std::ostringstream text;
    text << std::ifstream(std::string(QKV_FIGURES) + "/bpe-ignore-merges.json").rdbuf();
    write("tokenizer.json", Json::parse(text.str())["tokenizer"].dump());
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  void write(const std::string &name, const std::string &bytes) {
    std::ofstream(folder + "/" + name, std::ios::binary).write(bytes.data(), bytes.size());
  }
  Answer run(const std::string &arguments, const std::string &input = "") {
    write("in", input);
    std::string command = "cd " + folder + " && " QKV_PROGRAM " " + arguments + " < in 2>&1";
    FILE *pipe = popen(command.c_str(), "r");
    Answer answer;
    for (int c; (c = fgetc(pipe)) != EOF;)
      answer.text += static_cast<char>(c);
    answer.code = WEXITSTATUS(pclose(pipe));
    return answer;
  }
  std::string folder;
};

TEST_F(Commands, TokenizeThereAndBack) {
  for (std::string text : {std::string("Hello, the newest \xF0\x9F\x91\x8D\n"), std::string(""),
                           std::string("\xFF\0\xC3", 3)}) {
    Answer tokens = run("tokenize --weights .", text);
    EXPECT_EQ(tokens.code, 0) << tokens.text;
    EXPECT_TRUE(tokens.text.ends_with("\n"));
    Answer back = run("tokenize --weights tokenizer.json --decode -", tokens.text);
    EXPECT_EQ(back.code, 0);
    EXPECT_EQ(back.text, text);
  }
}

TEST_F(Commands, TokenizeAsJson) {
  Answer plain = run("tokenize --weights . --json", "a<|end|>");
  Answer special = run("tokenize --weights . --json --special", "a<|end|>");
  Json with = Json::parse(special.text), without = Json::parse(plain.text);
  EXPECT_EQ(with["texts"], (Json{"<s>", "a", "<|end|>"}));
  EXPECT_GT(without["tokens"].size(), 2u);
  EXPECT_EQ(without["texts"][0], "a");
  Answer text = run("tokenize --weights . --decode --json", with["tokens"].dump());
  EXPECT_EQ(Json::parse(text.text)["text"], "a");
  text = run("tokenize --weights . --decode --json --special", with["tokens"].dump());
  EXPECT_EQ(Json::parse(text.text)["text"], "<s>a<|end|>");
}

TEST_F(Commands, TokenizeSaysWhatIsWrong) {
  auto fails = [&](const std::string &arguments, int code, const char *why,
                   const std::string &input = "") {
    Answer answer = run(arguments, input);
    EXPECT_EQ(answer.code, code) << arguments;
    EXPECT_NE(answer.text.find(why), std::string::npos) << answer.text;
  };
  fails("tokenize", 2, "--weights");
  fails("tokenize --weights - -", 2, "cannot both be standard input");
  fails("tokenize --weights nowhere", 1, "cannot open nowhere");
  fails("tokenize --weights /tmp/..", 1, "has no tokenizer.json");
  fails("tokenize --weights . --decode", 1, "\"x1\" is no token, expected numbers from 0", "5 x1");
  fails("tokenize --weights . --decode", 1, "is no token", "99999999999999999999");
  write("bad.json", "{\"model\":{\"type\":\"Odd\"}}");
  fails("tokenize --weights bad.json", 1, "its type Odd is not known");
  write("bad.gguf", "GGUF");
  fails("tokenize --weights bad.gguf", 1, "not a valid GGUF file");
  fails("tokenize --weights " QKV_BLOCKS, 1, "it has no tokenizer");
}

TEST_F(Commands, WeightsOfBothFormats) {
  std::ostringstream blocks;
  blocks << std::ifstream(QKV_BLOCKS, std::ios::binary).rdbuf();
  std::string contents = blocks.str();
  Answer plain = run("weights " QKV_BLOCKS), json = run("weights - --json", contents);
  EXPECT_EQ(plain.code, 0);
  EXPECT_NE(plain.text.find("q4_k.weight    Q4_K    [3,256]  432 bytes\n"), std::string::npos)
      << plain.text;
  EXPECT_NE(plain.text.find("GGUF, 51 tensors,"), std::string::npos) << plain.text;
  Json all = Json::parse(json.text);
  EXPECT_EQ(all["format"], "GGUF");
  EXPECT_EQ(all["tensors"][0],
            (Json{{"name", "q4_0.weight"}, {"type", "Q4_0"}, {"shape", {3, 32}}, {"bytes", 54}}));
  std::string header =
      R"({"__metadata__":{"by":"me"},"x":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}})";
  write("m.safetensors",
        std::string(1, static_cast<char>(header.size())) + std::string(7, '\0') + header + "abcd");
  Answer other = run("weights m.safetensors");
  EXPECT_EQ(other.text, "by = \"me\"\n\nx  F16  [2]  4 bytes\nsafetensors, 1 tensor, 4 bytes\n");
  EXPECT_EQ(run("weights tokenizer.json").code, 1);
  EXPECT_EQ(run("weights").code, 2);
}

} // namespace
