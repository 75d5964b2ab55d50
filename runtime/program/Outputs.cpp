// In: paths that are read and paths to be written. Out: the first clash, as a sentence.
#include "runtime/program/Outputs.h"

#include "runtime/Error.h"
#include "runtime/File.h"

#include <cstring>
#include <dirent.h>
#include <sys/stat.h>

namespace qkv::rt {
namespace {

/// What a path leads to. Only regular files can be destroyed by writing: devices, pipes and
/// terminals may be read and written.
struct Identity {
  dev_t device = 0;
  ino_t inode = 0;
  std::string name; ///< of a file that is not there yet: its name, in the folder device and inode
  bool known = false;

  bool operator==(const Identity &other) const {
    return known && other.known && device == other.device && inode == other.inode &&
           name == other.name;
  }
};

Identity identityOf(const std::string &path, int standard) {
  struct stat status;
  bool there = path == "-" ? fstat(standard, &status) == 0 : stat(path.c_str(), &status) == 0;
  if (there)
    return S_ISREG(status.st_mode) ? Identity{status.st_dev, status.st_ino, "", true} : Identity{};
  std::string folder(folderOf(path));
  if (path == "-" || stat(folder.empty() ? "." : folder.c_str(), &status) != 0)
    return {};
  return {status.st_dev, status.st_ino, std::string(baseOf(path)), true};
}

} // namespace

std::vector<NamedFile> filesOfWeights(const std::string &how, const std::string &weights) {
  if (weights == "-")
    return {{how, weights}};
  bool folder = isFolder(weights), index = weights.ends_with(".json");
  std::string place = folder ? weights + "/" : std::string(folderOf(weights));
  std::vector<NamedFile> files;
  if (!folder)
    files.push_back({how, weights});
  for (const char *name : {"config.json", "tokenizer.json", "tokenizer_config.json",
                           "generation_config.json", "chat_template.jinja", "chat_template.json"})
    files.push_back({how, place + name});
  if (!folder && !index)
    return files;
  if (DIR *open = opendir(place.empty() ? "." : place.c_str())) {
    while (const dirent *entry = readdir(open)) {
      std::string_view name = entry->d_name;
      if (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json"))
        files.push_back({how, place + entry->d_name});
    }
    closedir(open);
  }
  return files;
}

std::string overwrites(const std::vector<NamedFile> &inputs,
                       const std::vector<NamedFile> &outputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    const NamedFile &output = outputs[i];
    Identity identity = identityOf(output.path, 1);
    for (const NamedFile &input : inputs)
      if (identity == identityOf(input.path, 0))
        return format("%s %s would overwrite what %s reads", output.how.c_str(),
                      output.path.c_str(), input.how.c_str()) +
               (input.path == output.path ? "" : " (" + input.path + ")");
    for (size_t j = 0; j < i; ++j)
      if (output.path != "-" && identity == identityOf(outputs[j].path, 1))
        return format("%s %s and %s %s are one file", outputs[j].how.c_str(),
                      outputs[j].path.c_str(), output.how.c_str(), output.path.c_str());
  }
  return "";
}

std::string unwritable(const std::vector<NamedFile> &outputs) {
  for (const NamedFile &output : outputs)
    if (std::string why = output.path == "-" ? "" : whyUnwritable(output.path); !why.empty())
      return "cannot write " + output.path + ": " + why;
  return "";
}

} // namespace qkv::rt
