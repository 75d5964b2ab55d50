// Which page serves a checkpoint (Families.h).
#include "tools/qkv/Families.h"
#include "tools/qkv/ModelFile.h"
#include "tools/qkv/Report.h"
#include "tools/qkv/printing/Listing.h"
#include "tools/qkv/printing/Tables.h"

#include "runtime/Error.h"
#include "runtime/checkpoint/Configuration.h"
#include "runtime/checkpoint/Gguf.h"
#include "runtime/checkpoint/Json.h"

#include <algorithm>
#include <iostream>

namespace qkv::driver {
namespace {

/// What the checkpoint says that it is.
struct Architecture {
  std::vector<std::string> names;
  std::string type, gguf;
};

/// The text in a JSON string without escapes; empty if it is something else.
std::string plainText(const std::optional<std::string> &value) {
  return value && value->size() > 1 && value->front() == '"' ? value->substr(1, value->size() - 2)
                                                             : std::string();
}

bool readArchitecture(const rt::Configuration &configuration, Architecture &found,
                      qkv_error *error) {
  std::vector<std::string> keys{"model_type", "general.architecture"};
  for (int i = 0; i < 8; ++i)
    keys.push_back("architectures." + std::to_string(i));
  std::vector<std::optional<std::string>> values;
  std::string why;
  if (!rt::parseSettings(configuration.text, keys, values, why))
    return rt::failFile(error, configuration.path, "it is not a valid configuration: " + why);
  found.type = plainText(values[0]);
  found.gguf = plainText(values[1]);
  for (size_t i = 2; i < values.size(); ++i)
    if (std::string name = plainText(values[i]); !name.empty())
      found.names.push_back(name);
  return true;
}

bool has(const std::vector<std::string> &list, const std::string &name) {
  return !name.empty() && std::find(list.begin(), list.end(), name) != list.end();
}

const Family *familyOf(const Architecture &found) {
  for (const Family &family : families()) {
    bool serves = has(family.gguf, found.gguf);
    for (const std::string &name : found.names)
      serves = serves || has(family.architectures, name);
    if (serves)
      return &family;
  }
  // (A name that is not known is not to be taken for another model of the same type.)
  for (const Family &family : families())
    if (found.names.empty() && has(family.types, found.type))
      return &family;
  return nullptr;
}

std::string commas(const std::vector<std::string> &names) {
  std::string text;
  for (const std::string &name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// The checkpoint is of no family that is there.
int unknownFamily(const ModelOptions &options, const Architecture &found) {
  std::string what = !found.gguf.empty()    ? "of the architecture " + rt::quote(found.gguf)
                     : !found.names.empty() ? "of the architecture " + rt::quote(found.names[0])
                     : !found.type.empty()  ? "of the type " + rt::quote(found.type)
                                            : "of no architecture that it names";
  qkv_error ignored = {};
  if (auto file = rt::Checkpoint::open(options.file, &ignored))
    std::cerr << listingText(*file) << "\n" << std::flush;
  std::string known;
  for (const Family &family : families())
    known += "\n  " + family.page + ": " + commas(family.architectures) +
             (family.gguf.empty() ? "" : "; GGUF " + commas(family.gguf));
  return fail(options.command, options.file + " is " + what +
                                   ", for which the library of models has no page; it has" + known +
                                   "\nname a model file of your own with --weights " +
                                   options.file +
                                   "; dsl/std/models/README.md says how to write one");
}

} // namespace

const std::vector<Family> &families() {
  static const std::vector<Family> table = [] {
    std::vector<Family> rows;
    const char *text = standardLibrary("models/README");
    // | [llama](llama.qkv) | `LlamaForCausalLM` | `llama` | `llama` |
    for (const auto &cells : tableRows(text ? text : ""))
      if (cells.size() == 4 && cells[0].starts_with('['))
        rows.push_back({std::string(cells[0].substr(1, cells[0].find(']') - 1)), quotedIn(cells[1]),
                        quotedIn(cells[2]), quotedIn(cells[3])});
    return rows;
  }();
  return table;
}

bool isCheckpoint(const std::string &path) {
  if (path == "-" || path.starts_with("std:"))
    return false;
  if (rt::isFolder(path) || path.ends_with(".safetensors") ||
      path.ends_with(".safetensors.index.json"))
    return true;
  rt::FileBytes file;
  return rt::exists(path) && file.open(path, nullptr) && rt::isGguf(file);
}

int usePageOf(ModelOptions &options) {
  if (!isCheckpoint(options.file))
    return 0;
  if (!options.weights.empty() && options.weights != options.file)
    return misuse(options.command, options.file + " is a checkpoint: --weights goes with a model "
                                                  "file");
  qkv_error error = {};
  error.size = sizeof error;
  rt::Configuration configuration;
  Architecture found;
  if (!rt::findConfiguration(options.file, configuration, &error))
    return fail(options.command, error);
  if (configuration.text.empty())
    return fail(options.command, options.file +
                                     " has no config.json, so nothing says what model "
                                     "it is of: name a model file with --weights " +
                                     options.file);
  if (!readArchitecture(configuration, found, &error))
    return fail(options.command, error);
  const Family *family = familyOf(found);
  if (!family)
    return unknownFamily(options, found);
  options.weights = options.file;
  options.file = "std:models/" + family->page + ".qkv";
  return 0;
}

} // namespace qkv::driver
