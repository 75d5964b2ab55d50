// qkv embed: texts to vectors.
#include "tools/qkv/Commands.h"
#include "tools/qkv/ModelFile.h"
#include "tools/qkv/Pooling.h"
#include "tools/qkv/Report.h"

#include "compiler/description/Description.h"
#include "compiler/native/Jit.h"
#include "runtime/Error.h"
#include "runtime/Threads.h"
#include "runtime/checkpoint/Metadata.h"
#include "runtime/program/Program.h"
#include "runtime/tensors/Batch.h"
#include "runtime/tokenize/CheckpointText.h"

#include <CLI/CLI.hpp>

#include <cmath>

namespace qkv::driver {
namespace {

struct Options : ModelOptions {
  std::vector<std::string> texts, inputs;
  std::string output, tokenizer;
  int64_t together = 16;
  int threads = 0;
  bool json = false;
};

/// A text on its way.
struct Embedded {
  std::string text;
  std::vector<int64_t> tokens;
  rt::Call call;
  std::vector<float> vector;
  bool failed = false;
  qkv_error error = newError();
};

/// Where a model has what is asked of it, by number.
struct Places {
  int32_t states = -1; ///< a result [tokens, width]
  int32_t vector = -1; ///< a result [width]
};

/// False with `why` set: the model is none of texts, or has nothing to pool.
bool findPlaces(const qkv_model &model, const Pooling &pooling, Places &places, std::string &why) {
  std::string name = std::string("model ") + model.name;
  if (model.input_count != 1 || model.inputs[0].rank != 1 || !model.inputs[0].token ||
      model.inputs[0].axes[0].size < 0) {
    why = name + " does not take the tokens of one text alone";
    return false;
  }
  int32_t positions = model.inputs[0].axes[0].size;
  for (int32_t i = 0; i < model.result_count; ++i) {
    const qkv_value &result = model.results[i];
    if (result.type != QKV_FLOAT)
      continue;
    if (result.rank == 2 && result.axes[0].size == positions && places.states < 0)
      places.states = i;
    if (result.rank == 1 && result.axes[0].size < 0 && places.vector < 0)
      places.vector = i;
  }
  if (model.generator_input >= 0)
    why = name + " gives logits, not states: it is for text (qkv run)";
  else if (pooling.kind == Pooling::Kind::Page && places.vector < 0)
    why = name + " has no result that is one vector, and the checkpoint says no way of pooling";
  else if (pooling.kind != Pooling::Kind::Page && places.states < 0)
    why = name + " has no result that is a vector for each token";
  return why.empty();
}

/// Its tokens, and room for what is computed of it.
void prepare(const qkv_model &model, const rt::Tokenizer &tokenizer, const Pooling &pooling,
             Embedded &one) {
  std::string why;
  if (!tokenizer.encode(one.text, rt::SpecialAround, one.tokens, why)) {
    one.failed = !rt::fail(&one.error, "it has " + why);
    return;
  }
  auto count = static_cast<int64_t>(one.tokens.size());
  if (pooling.most > 0 && count > pooling.most) {
    one.failed = !rt::fail(&one.error, rt::format("it has %lld tokens, the checkpoint is for at "
                                                  "most %lld (sentence_bert_config.json)",
                                                  static_cast<long long>(count),
                                                  static_cast<long long>(pooling.most)));
    return;
  }
  one.failed = !rt::bindSizes(model, {{count}}, one.call, &one.error);
  if (one.failed)
    return;
  one.call.inputs = {one.tokens.data()};
  rt::makeResults(model, one.call);
}

void embed(const qkv_model &model, const qkv_weights *weights, const Pooling &pooling,
           const Places &places, std::vector<Embedded> &texts) {
  std::vector<rt::Sequence> sequences;
  std::vector<Embedded *> callers;
  for (Embedded &one : texts)
    if (!one.failed) {
      sequences.push_back(
          {one.call.sizes.data(), one.call.inputs.data(), one.call.results.data(), &one.error});
      callers.push_back(&one);
    }
  rt::runSequences(model, weights, sequences);
  for (size_t i = 0; i < callers.size(); ++i) {
    Embedded &one = *callers[i];
    if ((one.failed = sequences[i].failed))
      continue;
    auto result =
        static_cast<size_t>(pooling.kind == Pooling::Kind::Page ? places.vector : places.states);
    const std::vector<int64_t> &shape = one.call.resultShapes[result];
    const auto *values = static_cast<const float *>(one.call.results[result]);
    if (pooling.kind == Pooling::Kind::Page)
      one.vector.assign(values, values + shape[0]);
    else
      one.vector = pooled(pooling, values, shape[0], shape[1]);
    if (pooling.normalize)
      normalizeVector(one.vector);
  }
}

/// As few digits as give the number back.
std::string numberText(float value, bool json) {
  if (!std::isfinite(value))
    return json ? "null" : value != value ? "nan" : value > 0 ? "inf" : "-inf";
  std::string text;
  for (int digits = 6; digits <= 9; ++digits)
    if (std::strtof((text = rt::format("%.*g", digits, static_cast<double>(value))).c_str(),
                    nullptr) == value)
      break;
  return text;
}

std::string linesText(const std::vector<Embedded> &texts, bool json) {
  std::string text;
  for (const Embedded &one : texts) {
    text += json && one.failed ? "null" : json ? "[" : "";
    for (size_t i = 0; i < one.vector.size(); ++i)
      text += (i ? json ? "," : " " : "") + numberText(one.vector[i], json);
    text += json && !one.failed ? "]\n" : "\n";
  }
  return text;
}

/// The texts: those of the command line, else the lines of files, else of standard input. False
/// after reporting.
bool readTexts(const Options &options, std::vector<std::string> &texts) {
  texts = options.texts;
  std::vector<std::string> files = options.inputs;
  if (files.empty() && texts.empty())
    files.push_back("-");
  for (const std::string &path : files) {
    qkv_error error = newError();
    rt::FileBytes file;
    if (!file.open(path, &error)) {
      fail(options.command, error);
      return false;
    }
    std::string_view rest(file.data(), file.size());
    while (!rest.empty()) {
      size_t end = std::min(rest.find('\n'), rest.size());
      texts.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return true;
}

/// One tensor of all vectors. 0 or 1 after reporting.
int writeVectors(const Options &options, const std::vector<float> &all, size_t texts) {
  auto count = static_cast<int64_t>(texts);
  auto width = count ? static_cast<int64_t>(all.size()) / count : 0;
  qkv_error error = newError();
  rt::OutputFile file;
  if (file.open(options.output, &error) &&
      rt::writeSafetensors(file, {{"embeddings", rt::Dtype::F32, {count, width}, all.data()}},
                           &error) &&
      file.commit(&error))
    return 0;
  return fail(options.command, error);
}

/// All texts, some at a time. A text that fails does not keep the others from being answered, but
/// is in no file. The exit code.
int embedAll(const qkv_model &model, const qkv_weights *weights, const rt::Tokenizer &tokenizer,
             const Pooling &pooling, const Options &options) {
  Places places;
  std::string why;
  if (!findPlaces(model, pooling, places, why))
    return fail(options.command, options.file + ": " + why);
  std::vector<std::string> lines;
  if (!readTexts(options, lines))
    return 1;
  std::vector<float> all;
  int code = 0;
  auto window = static_cast<size_t>(options.together);
  for (size_t at = 0; at < lines.size(); at += window) {
    std::vector<Embedded> some(std::min(window, lines.size() - at));
    for (size_t i = 0; i < some.size(); ++i) {
      some[i].text = lines[at + i];
      prepare(model, tokenizer, pooling, some[i]);
    }
    embed(model, weights, pooling, places, some);
    for (size_t i = 0; i < some.size(); ++i) {
      if (some[i].failed)
        code = fail(options.command, rt::format("text %zu: %s", at + i + 1, some[i].error.text));
      all.insert(all.end(), some[i].vector.begin(), some[i].vector.end());
    }
    if (options.output.empty() && print(options.command, linesText(some, options.json)))
      return 1;
  }
  return code || options.output.empty() ? code : writeVectors(options, all, lines.size());
}

/// What stands with the weights: the tokens of texts, and how states become a vector. 0 or the exit
/// code.
int readTextFiles(const Options &options, std::unique_ptr<rt::Tokenizer> &tokenizer,
                  Pooling &pooling) {
  qkv_error error = newError();
  rt::TextFiles files;
  if (!rt::findTextFiles(options.weights, options.tokenizer, files, &error))
    return fail(options.command, error);
  if (files.empty() || files.find(rt::bytesFile))
    return fail(options.command,
                "there is no tokenizer with the weights (--tokenizer PATH names one)");
  if (!(tokenizer = rt::readTextTokens(files, &error)) ||
      !findPooling(options.weights, pooling, &error))
    return fail(options.command, error);
  return 0;
}

/// All that can be wrong is looked at before code is made, which takes longest.
int run(Options options) {
  int code = 0;
  std::unique_ptr<ModelFile> file;
  std::unique_ptr<JitModel> model;
  std::unique_ptr<rt::Tokenizer> tokenizer;
  Pooling pooling;
  if (!options.texts.empty() && options.inputs.empty())
    options.together = std::min(options.together, static_cast<int64_t>(options.texts.size()));
  options.batch = options.together > 1;
  {
    Progress progress("compiling " + options.file);
    std::unique_ptr<Compilation> compilation = openCompilation(options, file, code);
    if (!compilation)
      return code;
    if (options.weights.empty())
      return misuse(options.command, "texts are made of tokens, which the checkpoint says: "
                                     "--weights PATH");
    if (!options.output.empty()) {
      std::vector<rt::NamedFile> outputs{{"--output", options.output}};
      if ((code = checkOutputs(options, *file, outputs)))
        return code;
    }
    if ((code = readTextFiles(options, tokenizer, pooling)))
      return code;
    model = compileInMemory(*compilation, options, {QKV_WHOLE, QKV_BATCH}, code);
    if (!model)
      return code;
  }
  qkv_error error = newError();
  if (options.threads > 0)
    rt::setThreads(options.threads);
  std::unique_ptr<qkv_weights, void (*)(qkv_weights *)> weights(
      qkv_weights_open(&model->model(), options.weights.c_str(), nullptr, &error),
      qkv_weights_close);
  if (!weights)
    return fail(options.command, error);
  return embedAll(model->model(), weights.get(), *tokenizer, pooling, options);
}

} // namespace

void addEmbed(CLI::App &app, int &code) {
  auto options = std::make_shared<Options>();
  options->command = "qkv embed";
  CLI::App *command = app.add_subcommand("embed", "texts to vectors");
  addModelOptions(*command, *options, /*dumps=*/false, /*cpu=*/true);
  addWeightsType(*command, *options);
  command->add_option("text", options->texts, "texts (default: the lines of standard input)")
      ->type_name("TEXT");
  command
      ->add_option("--weights", options->weights, "a safetensors file, a folder of them, or a GGUF")
      ->type_name("PATH");
  command
      ->add_option("--input", options->inputs,
                   "a file whose lines are texts; - is standard input; may be given several times")
      ->allow_extra_args(false)
      ->take_all()
      ->type_name("FILE");
  command
      ->add_option("--output", options->output,
                   "safetensors: embeddings[text, width]; - is standard output (default: a line "
                   "of numbers for each text)")
      ->type_name("FILE");
  command->add_flag("--json", options->json, "a line is a list of JSON");
  command
      ->add_option("--batch", options->together,
                   "at most N texts at once (16); the vectors are the same for every N")
      ->check(CLI::Range(int64_t(1), int64_t(QKV_MAX_SEQUENCES)))
      ->type_name("N");
  command
      ->add_option("--tokenizer", options->tokenizer,
                   "a tokenizer.json, a folder with one, a GGUF (default: with the weights)")
      ->type_name("PATH");
  command->add_option("--threads", options->threads, "cores to use (default: all; or QKV_THREADS)")
      ->check(CLI::Range(1, 512))
      ->type_name("N");
  command->footer(
      "How the states of a text's tokens become one vector, and whether that has length 1, is what "
      "the checkpoint\nsays: modules.json and what it names (sentence-transformers), a GGUF's "
      "pooling_type; else what the\npage has as its vector.\n\n"
      "examples:\n"
      "  qkv embed minilm/ 'a text' 'another one'\n"
      "  qkv embed bge.gguf --input lines.txt --output vectors.safetensors\n"
      "  qkv embed minilm/ --json < lines.txt");
  command->callback([options, &code] { code = run(*options); });
}

} // namespace qkv::driver
