// qkv tokenize: text to tokens, tokens to text.
#include "tools/qkv/Commands.h"
#include "tools/qkv/Report.h"

#include "runtime/File.h"
#include "runtime/checkpoint/Metadata.h"
#include "runtime/tokenize/TextTokenizer.h"

#include <CLI/CLI.hpp>
#include <charconv>

namespace qkv::driver {
namespace {

struct Options {
  std::string command = "qkv tokenize", weights, input = "-";
  bool decode = false, special = false, json = false;
};

/// Numbers with anything but digits between them: what this command prints, and JSON's lists.
bool readTokens(const std::string &text, int64_t size, std::vector<int64_t> &tokens,
                std::string &why) {
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find_first_of(" \t\r\n,[]", at);
    std::string word = text.substr(at, end == text.npos ? end : end - at);
    at = end == text.npos ? text.size() : end + 1;
    if (word.empty())
      continue;
    int64_t token = -1;
    auto [stop, failed] = std::from_chars(word.data(), word.data() + word.size(), token);
    if (failed != std::errc() || stop != word.data() + word.size() || token < 0 || token >= size) {
      why = rt::jsonString(word.substr(0, 40)) + " is no token, expected numbers from 0 to " +
            std::to_string(size - 1);
      return false;
    }
    tokens.push_back(token);
  }
  return true;
}

std::string encoded(const rt::TextTokenizer &tokenizer, const std::vector<int64_t> &tokens,
                    bool json) {
  std::string text, texts;
  for (int64_t token : tokens) {
    text += (text.empty() ? "" : json ? "," : " ") + std::to_string(token);
    const std::string *own = json ? tokenizer.text(token) : nullptr;
    if (own)
      texts += (texts.empty() ? "" : ",") + rt::jsonString(*own);
  }
  return json ? "{\"tokens\":[" + text + "],\"texts\":[" + texts + "]}\n" : text + "\n";
}

int run(const Options &options) {
  qkv_error error = {};
  error.size = sizeof error;
  if (options.weights == "-" && options.input == "-")
    return misuse(options.command, "--weights - and the text cannot both be standard input");
  std::unique_ptr<rt::TextTokenizer> tokenizer = rt::openTokenizer(options.weights, &error);
  rt::FileBytes file;
  if (!tokenizer || !file.open(options.input, &error))
    return fail(options.command, error);
  std::string text(file.data(), file.size()), why;
  std::vector<int64_t> tokens;
  if (options.decode) {
    if (!readTokens(text, tokenizer->size(), tokens, why))
      return fail(options.command, why);
    std::string decoded = tokenizer->decode(tokens, options.special);
    return print(options.command,
                 options.json ? "{\"text\":" + rt::jsonString(decoded) + "}\n" : decoded);
  }
  unsigned special = options.special ? rt::SpecialAround | rt::SpecialInside : rt::SpecialNone;
  if (!tokenizer->encode(text, special, tokens, why))
    return fail(options.command, why);
  return print(options.command, encoded(*tokenizer, tokens, options.json));
}

} // namespace

void addTokenize(CLI::App &app, int &code) {
  auto options = std::make_shared<Options>();
  CLI::App *command =
      app.add_subcommand("tokenize", "text to the tokens of a vocabulary, and back");
  command->set_help_flag("-h,--help", "print this help");
  command->add_option("file", options->input, "the text, or the tokens; - is standard input")
      ->type_name("FILE")
      ->capture_default_str();
  command
      ->add_option("--weights", options->weights,
                   "a folder with tokenizer.json, that file itself, or a GGUF file")
      ->required()
      ->type_name("PATH");
  command->add_flag("--decode", options->decode, "tokens to text");
  command->add_flag("--special", options->special,
                    "special tokens, too: those around a text and those that are written in it; "
                    "with --decode those are printed");
  command->add_flag("--json", options->json, "print JSON");
  command->footer("All of the input is one text; its tokens are printed on a line. Tokens are read "
                  "with spaces, commas\nor lines between them. Text is written as it is, without a "
                  "line's end behind it.\n\n"
                  "examples:\n"
                  "  printf 'Once upon' | qkv tokenize --weights gpt2/\n"
                  "  qkv tokenize --weights llama.gguf --special --json story.txt\n"
                  "  echo 7454 2402 | qkv tokenize --weights gpt2/ --decode");
  command->callback([options, &code] { code = run(*options); });
}

} // namespace qkv::driver
