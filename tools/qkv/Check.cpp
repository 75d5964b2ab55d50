// qkv check: are the equations sound?
#include "tools/qkv/Commands.h"
#include "tools/qkv/Families.h"
#include "tools/qkv/ModelFile.h"
#include "tools/qkv/Report.h"

#include <CLI/CLI.hpp>

namespace qkv::driver {
namespace {

struct Options : ModelOptions {
  bool json = false;
};

int run(Options options) {
  Sources sources;
  std::string error;
  if (int code = usePageOf(options))
    return code;
  const Source *source = openSource(sources, options.file, error);
  if (!source)
    return fail(options.command, error);
  std::vector<std::string> models{options.model};
  if (options.model.empty()) {
    // All of them; none: the definitions alone.
    models = modelNames(*source);
    if (models.empty())
      models.push_back("");
  }
  Diagnostics diagnostics;
  CheckOptions check;
  for (const std::string &model : models) {
    check.model = model;
    if (int code = readConfiguration(options, check))
      return code;
    qkv::check(*source, sources, check, diagnostics);
  }
  if (options.json) {
    if (int code = print(options.command, json(diagnostics)))
      return code;
  } else {
    report(diagnostics);
  }
  if (!diagnostics.hasErrors())
    if (int code = checkKeysRead(options, check, *source, sources))
      return code;
  return diagnostics.hasErrors() ? 1 : 0;
}

} // namespace

void addCheck(CLI::App &app, int &code) {
  auto options = std::make_shared<Options>();
  options->command = "qkv check";
  CLI::App *command =
      app.add_subcommand("check", "check a model file: names, ranges, shapes, types");
  addModelOptions(*command, *options, /*dumps=*/false, /*cpu=*/false);
  command
      ->add_option("--weights", options->weights,
                   "weights whose config.json gives the sizes read by config(...)")
      ->type_name("PATH");
  command->add_flag("--json", options->json, "print the diagnostics as JSON");
  command->footer("Prints nothing if all is well.\n\n"
                  "examples:\n"
                  "  qkv check model.qkv\n"
                  "  qkv check model.qkv --weights checkpoint/ --json");
  command->callback([options, &code] { code = run(*options); });
}

} // namespace qkv::driver
