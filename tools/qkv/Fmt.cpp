// qkv fmt: one way to write a file. Holds: a file that does not parse stays as it is.
#include "tools/qkv/Commands.h"
#include "tools/qkv/Report.h"

#include "dsl/syntax/Formatter.h"
#include "runtime/File.h"

#include <CLI/CLI.hpp>
#include <sys/stat.h>

namespace qkv::driver {
namespace {

struct Options {
  std::vector<std::string> files;
  bool check = false, inPlace = false;
};

constexpr const char command[] = "qkv fmt";

int replace(const std::string &path, const std::string &text) {
  struct stat status;
  unsigned mode = stat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0666;
  qkv_error error = {};
  error.size = sizeof error;
  rt::OutputFile file;
  if (file.open(path, &error, mode) && file.write(text.data(), text.size(), &error) &&
      file.commit(&error))
    return 0;
  return fail(command, error);
}

int one(const std::string &path, const Options &options) {
  Sources sources;
  std::string error;
  const Source *source = sources.open(path, error);
  if (!source)
    return fail(command, error);
  Diagnostics diagnostics;
  std::optional<std::string> text = format(*source, diagnostics);
  report(diagnostics);
  if (!text)
    return 1;
  bool same = *text == source->text();
  if (options.check)
    return same ? 0 : fail(command, path + ": is not formatted");
  if (!options.inPlace || path == "-")
    return print(command, *text);
  return same ? 0 : replace(path, *text);
}

int run(const Options &options) {
  if (options.check && options.inPlace)
    return misuse(command, "--check and --in-place exclude each other");
  if (options.files.size() > 1 && !options.check && !options.inPlace)
    return misuse(command, "several files need --check or --in-place");
  int code = 0;
  for (const std::string &file : options.files)
    code = std::max(code, one(file, options));
  return code;
}

} // namespace

void addFmt(CLI::App &app, int &code) {
  auto options = std::make_shared<Options>();
  CLI::App *fmt = app.add_subcommand("fmt", "format model files");
  fmt->set_help_flag("-h,--help", "print this help");
  fmt->add_option("files", options->files, "model files; - is standard input")
      ->required()
      ->type_name("FILE...");
  fmt->add_flag("--check", options->check, "say which files are not formatted; change nothing");
  fmt->add_flag("-i,--in-place", options->inPlace, "rewrite the files");
  fmt->footer("Prints the formatted text, unless it is to check or to rewrite.\n\n"
              "examples:\n"
              "  qkv fmt model.qkv\n"
              "  qkv fmt -i *.qkv\n"
              "  qkv fmt - < model.qkv");
  fmt->callback([options, &code] { code = run(*options); });
}

} // namespace qkv::driver
