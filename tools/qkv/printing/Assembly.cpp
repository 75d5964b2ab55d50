// Assembly with the model's lines in it.
#include "tools/qkv/printing/Assembly.h"

#include "dsl/syntax/Source.h"

#include <map>
#include <memory>
#include <sstream>

namespace qkv::driver {
namespace {

/// The quoted strings of a directive.
std::vector<std::string> strings(const std::string &line) {
  std::vector<std::string> out;
  for (size_t at = 0; (at = line.find('"', at)) != std::string::npos;) {
    size_t end = line.find('"', at + 1);
    if (end == std::string::npos)
      break;
    out.push_back(line.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  return out;
}

class Annotator {
public:
  Annotator(std::string file, AssemblyPart part) : file(std::move(file)), part(std::move(part)) {}

  void line(const std::string &text) {
    std::string trimmed = text.substr(std::min(text.size(), text.find_first_not_of(" \t")));
    if (trimmed.rfind(".section", 0) == 0 || trimmed == ".text")
      // Only lines are of interest here; the assembler makes their table from .loc.
      debug = trimmed.find(".debug_") != std::string::npos;
    if (debug)
      return;
    if (trimmed.rfind(".file", 0) == 0)
      readFile(trimmed);
    if (trimmed.rfind(".type", 0) == 0 && trimmed.find("@function") != std::string::npos) {
      std::string name = trimmed.substr(6, trimmed.find(',') - 6);
      function = name.rfind("qkv.body.", 0) == 0 ? name.substr(9) : name;
      here = 0;
    }
    if (trimmed.rfind(".loc", 0) == 0)
      readLocation(trimmed);
    bool inFunction = part.function.empty() || function == part.function;
    bool inLine = part.line == 0 || (here == part.line && instruction(text, trimmed));
    if (inFunction && inLine)
      out += text + "\n";
  }
  std::string take() { return std::move(out); }

private:
  static bool instruction(const std::string &text, const std::string &trimmed) {
    return !trimmed.empty() && text[0] == '\t' && trimmed[0] != '.' && trimmed[0] != '#';
  }
  void readFile(const std::string &text) {
    std::istringstream words(text);
    std::string directive;
    int number = -1;
    if (!(words >> directive >> number))
      return;
    std::vector<std::string> names = strings(text);
    if (!names.empty())
      files[number] = names.size() > 1 && names[1][0] != '/' && names[0] != "." && !names[0].empty()
                          ? names[0] + "/" + names[1]
                          : names[names.size() > 1 ? 1 : 0];
  }
  void readLocation(const std::string &text) {
    std::istringstream words(text);
    std::string directive;
    int number = 0, line = 0;
    words >> directive >> number >> line;
    const std::string &name = files[number];
    bool ours = name == file || (name.size() > file.size() && name.ends_with("/" + file)) ||
                (file.size() > name.size() && file.ends_with("/" + name));
    here = ours ? line : 0;
    if (line == 0 || (number == lastFile && line == lastLine))
      return;
    lastFile = number;
    lastLine = line;
    if (!part.function.empty() && function != part.function)
      return;
    if (part.line != 0 && here != part.line)
      return;
    out += "\t\t# " + name + ":" + std::to_string(line);
    if (ours)
      out += ": " + sourceLine(line);
    out += "\n";
  }
  std::string sourceLine(int line) {
    if (!source) {
      std::string error;
      source = sources.open(file, error);
      if (!source)
        source = sources.add(file, "");
    }
    std::string text(source->line(line));
    text.erase(0, std::min(text.size(), text.find_first_not_of(" \t")));
    return text;
  }

  std::string file, function, out;
  AssemblyPart part;
  Sources sources;
  const Source *source = nullptr;
  std::map<int, std::string> files;
  int lastFile = -1, lastLine = -1, here = 0;
  bool debug = false;
};

} // namespace

std::string annotateAssembly(const std::string &assembly, const std::string &file,
                             const AssemblyPart &part) {
  Annotator annotator(file, part);
  std::istringstream lines(assembly);
  for (std::string line; std::getline(lines, line);)
    annotator.line(line);
  return annotator.take();
}

} // namespace qkv::driver
