// qkv weights: what a checkpoint holds.
#include "tools/qkv/Commands.h"
#include "tools/qkv/Report.h"
#include "tools/qkv/printing/Listing.h"

#include "runtime/Error.h"
#include "runtime/checkpoint/Checkpoint.h"

#include <CLI/CLI.hpp>

namespace qkv::driver {
namespace {

struct Options {
  std::string command = "qkv weights", path;
  bool json = false;
};

std::string jsonText(const rt::Checkpoint &file) {
  std::string text = "{\"format\":" + rt::jsonString(file.kind()) + ",\"metadata\":{";
  bool first = true;
  for (const rt::Metadatum &one : file.metadata().all()) {
    text += (first ? "" : ",") + rt::jsonString(one.key) + ":" +
            rt::metaJson(one.value, /*longest=*/UINT64_MAX);
    first = false;
  }
  text += "},\"tensors\":[";
  first = true;
  for (const rt::FileTensor &tensor : file.tensors()) {
    text += (first ? "" : ",");
    text += "\n{\"name\":" + rt::jsonString(tensor.name) +
            ",\"type\":" + rt::jsonString(tensor.typeName) + ",\"shape\":[";
    for (size_t axis = 0; axis < tensor.shape.size(); ++axis)
      text += (axis ? "," : "") + std::to_string(tensor.shape[axis]);
    text += "],\"bytes\":" + std::to_string(tensor.bytes) + "}";
    first = false;
  }
  return text + "\n]}\n";
}

int run(const Options &options) {
  qkv_error error = {};
  error.size = sizeof error;
  std::unique_ptr<rt::Checkpoint> file = rt::Checkpoint::open(options.path, &error);
  if (!file)
    return fail(options.command, error);
  return print(options.command, options.json ? jsonText(*file) : listingText(*file));
}

} // namespace

void addWeights(CLI::App &app, int &code) {
  auto options = std::make_shared<Options>();
  CLI::App *command =
      app.add_subcommand("weights", "what a checkpoint holds: tensors, types, shapes, metadata");
  command->set_help_flag("-h,--help", "print this help");
  command
      ->add_option(
          "checkpoint", options->path,
          "a safetensors or GGUF file, an index of shards, or a folder; - is standard input")
      ->required()
      ->type_name("CHECKPOINT");
  command->add_flag("--json", options->json, "print it as JSON, with lists of any length");
  command->footer("Shapes are row-major, as a model's parameters have them.\n\n"
                  "examples:\n"
                  "  qkv weights model.safetensors\n"
                  "  qkv weights qwen3-0.6b.gguf\n"
                  "  qkv weights gpt2/ --json");
  command->callback([options, &code] { code = run(*options); });
}

} // namespace qkv::driver
