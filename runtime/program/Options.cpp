// In: a command line; a model's description. Out: options; the text of --help. Holds: misuse is
// told from failure; nothing is printed here.
#include "runtime/program/Program.h"
#include "runtime/program/TextOptions.h"
#include "runtime/tensors/TraceNames.h"

#include <cstring>
#include <getopt.h>

namespace qkv::rt {
namespace {

enum {
  Weights = 1,
  Input,
  Output,
  Batch,
  Prompt,
  Chunk,
  Threads,
  Logits,
  Trace,
  Help,
  Version,
  Text
};

const option longOptions[] = {{"weights", required_argument, nullptr, Weights},
                              {"input", required_argument, nullptr, Input},
                              {"output", required_argument, nullptr, Output},
                              {"batch", required_argument, nullptr, Batch},
                              {"prompt", required_argument, nullptr, Prompt},
                              {"chunk", required_argument, nullptr, Chunk},
                              {"threads", required_argument, nullptr, Threads},
                              {"logits", required_argument, nullptr, Logits},
                              {"trace", required_argument, nullptr, Trace},
                              {"help", no_argument, nullptr, Help},
                              {"version", no_argument, nullptr, Version}};

/// These, and the text options: Text and the number in their table.
std::vector<option> allOptions() {
  std::vector<option> all(std::begin(longOptions), std::end(longOptions));
  for (size_t i = 0; i < textOptions().size(); ++i)
    all.push_back({textOptions()[i].name, textOptions()[i].value ? required_argument : no_argument,
                   nullptr, Text + static_cast<int>(i)});
  all.push_back({nullptr, 0, nullptr, 0});
  return all;
}

bool number(const char *name, const char *text, int64_t least, int64_t most, int64_t &value,
            std::string &why) {
  if (wholeNumber(text, least, most, value))
    return true;
  why = format("--%s is %s, expected a whole number from %lld to %lld", name, quote(text).c_str(),
               static_cast<long long>(least), static_cast<long long>(most));
  return false;
}

bool take(int which, const char *text, Options &options, std::string &why) {
  int64_t value = 0;
  if (which >= Text && which < Text + static_cast<int>(textOptions().size()))
    return takeTextOption(textOptions()[static_cast<size_t>(which - Text)], text, options, why);
  switch (which) {
  case Weights:
    options.hasWeights = true;
    options.weights = text;
    return true;
  case Input:
    options.inputs.push_back(text);
    return true;
  case Output:
    options.outputs.push_back(text);
    return true;
  case Batch:
    return number("batch", text, 1, QKV_MAX_SEQUENCES, options.batch, why);
  case Chunk:
    return number("chunk", text, 1, INT64_MAX, options.chunk, why);
  case Prompt:
    options.hasPrompt = true;
    options.prompt = text;
    return true;
  case Threads:
    if (!number("threads", text, 1, 512, value, why))
      return false;
    options.threads = static_cast<int>(value);
    return true;
  case Logits:
    // Text needs the last position's alone, a function computes all that it returns: both are
    // as asked in either case.
    if (strcmp(text, "all") != 0 && strcmp(text, "last") != 0)
      options.logits = text;
    return true;
  case Trace:
    for (std::string &name : traceNames(text))
      options.trace.push_back(std::move(name));
    return true;
  case Help:
  case 'h':
    options.help = true;
    return true;
  default:
    options.version = true;
    return true;
  }
}

std::string valueText(const qkv_value &value, const std::vector<int64_t> &small,
                      const std::vector<int64_t> &large, const qkv_model &model) {
  std::string text = value.token ? "token" : typeText(value.type);
  if (value.rank == 0)
    return text;
  text += "[";
  for (int32_t axis = 0; axis < value.rank; ++axis) {
    int32_t size = value.axes[axis].size;
    text += axis ? ", " : "";
    if (size >= 0)
      text += model.sizes[size].name;
    else if (small[axis] == large[axis])
      text += format("%lld", static_cast<long long>(small[axis]));
    else
      text += value.axes[axis].name;
  }
  return text + "]";
}

std::string signatureText(const qkv_model &model) {
  std::vector<int64_t> least, most;
  for (int32_t i = 0; i < model.size_count; ++i)
    most.push_back(model.sizes[i].max), least.push_back(model.sizes[i].min);
  std::vector<std::vector<int64_t>> inputs[2], results[2];
  // Extents that do not depend on a size are shown as numbers.
  if (!checkModel(model, nullptr) || !shapesOf(model, least, inputs[0], results[0], nullptr) ||
      !shapesOf(model, most, inputs[1], results[1], nullptr))
    return "";
  std::string text;
  auto list = [&](const char *title, const qkv_value *values, int32_t count, auto *shapes) {
    if (count)
      text += std::string("\n") + title + ":\n";
    for (int32_t i = 0; i < count; ++i)
      text += format("  %-16s %s\n", values[i].name,
                     valueText(values[i], shapes[0][i], shapes[1][i], model).c_str());
  };
  list("inputs", model.inputs, model.input_count, inputs);
  list("results", model.results, model.result_count, results);
  if (model.size_count)
    text += "\nsizes, taken from the inputs' shapes:\n";
  for (int32_t i = 0; i < model.size_count; ++i)
    text += format(
        "  %-16s %lld to %lld%s\n", model.sizes[i].name, static_cast<long long>(model.sizes[i].min),
        static_cast<long long>(model.sizes[i].max), model.sizes[i].stream ? ", a stream" : "");
  return text;
}

} // namespace

bool parseOptions(int argc, char **argv, Options &options, std::string &why) {
  if (argc > 0)
    options.program = baseOf(argv[0]);
  // Zero starts getopt afresh: a driver may have used it before.
  optind = 0;
  opterr = 0;
  std::vector<option> known = allOptions();
  for (;;) {
    int at = optind ? optind : 1;
    int which = getopt_long(argc, argv, "+:h", known.data(), nullptr);
    if (which == -1)
      break;
    if (which == ':') {
      why = format("%s needs a value", argv[optind - 1]);
      return false;
    }
    if (which == '?') {
      why = format("unknown option %s", quote(argv[at < argc ? at : argc - 1]).c_str());
      return false;
    }
    if (!take(which, optarg, options, why))
      return false;
  }
  if (optind < argc) {
    why = format("unexpected argument %s", quote(argv[optind]).c_str());
    return false;
  }
  return true;
}

std::string helpText(const qkv_model &model, const Options &options) {
  const char *program = options.program.c_str();
  bool generator = model.generator_input >= 0, source = model.generator_source >= 0;
  std::string text =
      format("usage: %s [options]\n\nModel %s, compiled by qkv.\n", program, model.name) +
      signatureText(model);
  text += "\nexamples:\n";
  if (source)
    text += format("  printf 'first line\\nsecond line\\n' | %s      # a line answers a line\n"
                   "  %s --batch 16 < lines.txt                   # 16 lines at a time\n",
                   program, program);
  else if (generator)
    text += format("  %s --prompt 'Once upon a time' --max-tokens 50\n"
                   "  %s < prompt.txt\n",
                   program, program);
  text += format("  %s%s --output out.safetensors\n", program,
                 model.input_count ? " --input in.safetensors" : "");
  text += "\noptions:\n";
  if (model.param_count)
    text += "  --weights PATH       a safetensors file, a folder of them, or a packed file\n"
            "                       (default: inside this program, or PROGRAM.weights)\n";
  if (model.input_count)
    text += "  --input FILE         inputs by name, safetensors; - for standard input\n";
  text += "  --output FILE        results, safetensors; - for standard output\n"
          "                       (default: printed as text)\n";
  text += generator ? "  --batch N            N lines at a time, or N --input and N --output\n"
                    : "  --batch N            N --input and N --output, computed at once\n";
  if (generator)
    text += "  --prompt TEXT        what the generated stream starts with\n"
            "  --logits WHICH       all, last: with --input all positions are computed;\n"
            "                       a FILE gets those of each token generated (safetensors)\n";
  if (generator)
    for (const TextOption &option : textOptions()) {
      std::string head = format("--%s%s%s", option.name, option.value ? " " : "",
                                option.value ? option.value : "");
      text += format("  %-22s %s\n", head.c_str(), option.help);
    }
  if (options.traced) {
    text +=
        "  --trace NAME,...     intermediate tensors as further results; of one line or prompt\n"
        "                       they go to --output FILE, with its tokens:\n";
    for (int32_t i = 0; i < options.traced->result_count; ++i)
      text += format("                         %s\n", options.traced->results[i].name);
  }
  if (model.stream)
    text += "  --chunk N            with --input: N positions of the stream at a time\n";
  text += "  --threads N          use N cores (default: all; or QKV_THREADS)\n"
          "  --version\n"
          "  --help\n";
  return text;
}

} // namespace qkv::rt
