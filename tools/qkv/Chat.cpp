// qkv chat: a talk with a model, by the template of its checkpoint.
#include "tools/qkv/Commands.h"
#include "tools/qkv/ModelFile.h"
#include "tools/qkv/ProgramOptions.h"
#include "tools/qkv/Report.h"

#include "compiler/native/Jit.h"
#include "runtime/Threads.h"
#include "runtime/chat/ChatFormat.h"
#include "runtime/text/Generator.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <iostream>
#include <unistd.h>

namespace qkv::driver {
namespace {

struct Options : ModelOptions {
  rt::Options program;
  std::string system, templateFile;
  std::vector<std::string> values;
};

using Weights = std::unique_ptr<qkv_weights, void (*)(qkv_weights *)>;

/// The model, compiled for its steps. Null after reporting.
std::unique_ptr<JitModel> compile(Options &options, int &code) {
  options.whole = false;
  options.parts = 1u << QKV_SESSION | 1u << QKV_NEXT;
  Progress progress("compiling " + options.file);
  std::unique_ptr<ModelFile> file;
  std::unique_ptr<Compilation> compilation = openCompilation(options, file, code);
  if (!compilation)
    return nullptr;
  return compileInMemory(*compilation, options, {QKV_LAST}, code);
}

/// What the checkpoint says of text, with a template. Null after reporting.
std::unique_ptr<rt::CheckpointText> readText(const Options &options) {
  qkv_error error = newError();
  rt::TextFiles files;
  std::unique_ptr<rt::CheckpointText> text;
  if (!rt::findTextFiles(options.weights, options.program.tokenizer, files, &error)) {
    fail(options.command, error);
    return nullptr;
  }
  if (files.empty() || files.find(rt::bytesFile)) {
    fail(options.command, "there is no tokenizer with the weights, so there are no chats");
    return nullptr;
  }
  if (!(text = rt::readCheckpointText(files, &error))) {
    fail(options.command, error);
    return nullptr;
  }
  if (!options.templateFile.empty()) {
    rt::FileBytes file;
    if (!file.open(options.templateFile, &error)) {
      fail(options.command, error);
      return nullptr;
    }
    text->chatTemplate.assign(file.data(), file.size());
  }
  if (text->chatTemplate.empty()) {
    fail(options.command, files.place + ": the checkpoint has no chat template, so it is not known "
                                        "how a talk is written for it; --template FILE names one");
    return nullptr;
  }
  return text;
}

/// NAME=VALUE, as JSON where it is JSON, else as text. False: there is no name.
bool readValues(const std::vector<std::string> &given, jinja::Dict &values) {
  for (const std::string &one : given) {
    size_t equals = one.find('=');
    if (equals == one.npos || equals == 0)
      return false;
    jinja::Value value;
    if (!jinja::fromJson(std::string_view(one).substr(equals + 1), value))
      value = jinja::Value::text(one.substr(equals + 1));
    values.put(one.substr(0, equals), value);
  }
  return true;
}

/// A talk that goes on turn by turn; what the model has computed of it is kept.
class Talk {
public:
  Talk(const rt::Generator &generator, const rt::ChatFormat &format, const Options &options)
      : generator(generator), format(format), options(options) {
    if (!options.system.empty())
      turns.push_back({"system", options.system});
    stream.to = this;
    stream.emit = [](void *to, std::string_view text) {
      auto *talk = static_cast<Talk *>(to);
      talk->answer += text;
      talk->written = talk->written && print(talk->options.command, std::string(text)) == 0;
      std::cout.flush();
      return talk->written;
    };
  }

  /// Answers what was said. 0, or 1 after reporting: then it is as if it had not been said.
  int say(const std::string &text) {
    turns.push_back({"user", text});
    std::vector<int64_t> tokens;
    std::string why;
    time_t seconds = time(nullptr);
    std::tm now = {};
    localtime_r(&seconds, &now);
    answer.clear();
    int code = 0;
    if (!format.tokens(turns, now, tokens, why)) {
      code = fail(options.command, why);
    } else {
      size_t all = tokens.size();
      generator.resume(std::move(tokens), stream);
      if (!stream.failed)
        generator.run({&stream});
      if (stream.failed)
        code = fail(options.command, stream.error);
      if (options.program.stats && !stream.failed)
        std::cerr << rt::format("tokens: %zu of the talk so far, %lld generated; ended by: %s\n",
                                all, static_cast<long long>(stream.generated),
                                rt::endingText(stream.ending));
    }
    if (code == 0)
      turns.push_back({"assistant", answer});
    else
      turns.pop_back();
    written = written && print(options.command, "\n") == 0;
    std::cout.flush();
    return code;
  }
  bool written = true;

private:
  const rt::Generator &generator;
  const rt::ChatFormat &format;
  const Options &options;
  std::vector<rt::Turn> turns;
  rt::Stream stream;
  std::string answer;
};

int talk(const rt::Generator &generator, const rt::ChatFormat &format, const Options &options) {
  Talk talk(generator, format, options);
  if (options.program.hasPrompt)
    return talk.say(options.program.prompt);
  bool terminal = isatty(0) && isatty(2);
  int code = 0;
  for (std::string line; talk.written;) {
    if (terminal)
      std::cerr << "> " << std::flush;
    if (!std::getline(std::cin, line))
      break;
    code = std::max(code, talk.say(line));
  }
  return talk.written ? code : 1;
}

int run(Options options) {
  int code = 0;
  jinja::Dict values;
  if (!readValues(options.values, values))
    return misuse(options.command, "--set takes NAME=VALUE");
  if (options.program.interactive)
    return misuse(options.command, "--interactive is what a talk is already");
  if (options.program.generation.tokens)
    return misuse(options.command, "--tokens is not for talks, which are text");
  std::unique_ptr<JitModel> model = compile(options, code);
  if (!model)
    return code;
  qkv_error error = newError();
  if (options.program.threads > 0)
    rt::setThreads(options.program.threads);
  std::unique_ptr<rt::CheckpointText> text = readText(options);
  if (!text)
    return 1;
  std::string why;
  std::unique_ptr<rt::ChatFormat> format = rt::ChatFormat::make(*text, std::move(values), why);
  if (!format)
    return fail(options.command, "the chat template: " + why);
  Weights weights(qkv_weights_open(&model->model(), options.weights.c_str(), nullptr, &error),
                  qkv_weights_close);
  if (!weights)
    return fail(options.command, error);
  if (model->model().generator_input < 0 || model->model().generator_source >= 0)
    return fail(options.command, options.file + ": model " + model->model().name +
                                     " does not go on with one text, so it cannot chat");
  rt::Generator generator(model->model(), weights.get(), options.program.generation,
                          text->tokenizer.get());
  if (!generator.prepare(&error))
    return fail(options.command, error);
  return talk(generator, *format, options);
}

} // namespace

void addChat(CLI::App &app, int &code) {
  auto options = std::make_shared<Options>();
  options->command = "qkv chat";
  CLI::App *command =
      app.add_subcommand("chat", "talk with a model, by the chat template of its checkpoint");
  addModelOptions(*command, *options, /*dumps=*/true, /*cpu=*/true);
  addWeightsType(*command, *options);
  addCacheType(*command, *options);
  options->program.generation.snapshots = 512;
  addTextOptions(*command, options->program, options->weights);
  command->add_option("--system", options->system, "what the model is told first")
      ->type_name("TEXT");
  command
      ->add_option("--template", options->templateFile,
                   "a chat template (Jinja) in the place of the checkpoint's")
      ->type_name("FILE");
  command
      ->add_option("--set", options->values,
                   "a value for the template, as JSON or text; may be given several times")
      ->allow_extra_args(false)
      ->take_all()
      ->type_name("NAME=VALUE");
  command->footer(
      "Each line of standard input is a turn, and is answered; --prompt TEXT is the only one. "
      "What\n"
      "was computed of the talk is kept from turn to turn.\n\n"
      "examples:\n"
      "  qkv chat qwen3/\n"
      "  qkv chat qwen3/ --system 'Be brief.' --temperature 0.7 --set enable_thinking=false\n"
      "  qkv chat my-idea.qkv --weights llama/ --prompt 'Hello!'");
  command->callback([options, &code] { code = run(*options); });
}

} // namespace qkv::driver
