// Short forms. Holds: an operation of MLIR's text ends with its location, behind the brace that
// closes its last region where it has one; equal locations have one name, #loc7, defined somewhere
// in the text.
#include "tools/qkv/printing/ShortForm.h"
#include "tools/qkv/printing/ShortTypes.h"

#include "compiler/explain/Places.h"
#include "dsl/syntax/Source.h"

#include <nlohmann/json.hpp>

#include <cstdlib>
#include <map>
#include <optional>
#include <sstream>
#include <vector>

namespace qkv::driver {
namespace {

constexpr const char *opening = " qkv ir: stage ";
constexpr const char *shortWords = ", the short form: for people; --full prints what compiles on";
constexpr const char *partWords =
    ", a part: for people; without --function and --line it compiles on";

size_t indentOf(const std::string &line) {
  return std::min(line.find_first_not_of(' '), line.size());
}

/// The number that a text begins with; 0 if there is none.
int lineNumber(const char *text) { return static_cast<int>(std::strtol(text, nullptr, 10)); }

/// The lines of source files, read once.
class SourceLines {
public:
  std::string operator()(const Place &place) {
    auto [at, isNew] = sources_.try_emplace(place.file, nullptr);
    if (isNew)
      at->second = open(place.file);
    if (!at->second || static_cast<uint32_t>(place.line) > at->second->lineCount())
      return "";
    std::string text(at->second->line(static_cast<uint32_t>(place.line)));
    text.erase(0, std::min(text.find_first_not_of(" \t"), text.size()));
    return text;
  }

private:
  const Source *open(const std::string &file) {
    std::string error;
    if (const Source *source = file == "-" ? nullptr : all_.open(file, error))
      return source;
    std::string name = file.substr(file.find_last_of("/:") + 1); // std:nn.qkv
    const char *library = standardLibrary(name.substr(0, name.rfind('.')));
    return library ? all_.add(file, library) : nullptr;
  }

  Sources all_;
  std::map<std::string, const Source *> sources_;
};

/// "line 7: y[t] = x[t]", "nn.qkv:88: ..."; `file` is the model's.
std::string placeText(const Place &place, const std::string &file, SourceLines &source) {
  std::string text = source(place);
  return (place.file == file ? "line " : place.file + ":") + std::to_string(place.line) +
         (text.empty() ? "" : ": " + text);
}

/// One line of a module's text, without locations.
struct Line {
  std::string text;
  std::vector<Place> places; ///< of its operation; empty on lines that only close or continue one
};

class MlirText {
public:
  explicit MlirText(const std::string &text) {
    std::vector<std::string> raw;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      if (line.rfind("#loc", 0) == 0)
        define(line);
      else
        raw.push_back(line);
    }
    std::vector<size_t> open; // lines whose regions are open
    for (const std::string &line : raw) {
      std::string location;
      Line cut{withoutLocations(line, location), {}};
      size_t indent = indentOf(cut.text);
      bool closes = indent < cut.text.size() && cut.text[indent] == '}' && !open.empty();
      size_t opener = lines.size();
      if (closes) {
        opener = open.back();
        open.pop_back();
      }
      if (!cut.text.empty() && cut.text.back() == '{')
        open.push_back(opener);
      else if (!location.empty())
        (closes ? lines[opener] : cut).places = placesIn(location);
      lines.push_back(std::move(cut));
    }
  }

  std::vector<Line> lines;

private:
  // #loc7 = loc("h"(#loc3))
  void define(const std::string &line) {
    size_t equals = line.find(" = ");
    if (equals != std::string::npos)
      names_[line.substr(0, equals)] = line.substr(equals + 3);
  }

  /// Where the parentheses that begin at `at` end, strings left out; the text's end if they do not.
  static size_t closing(const std::string &line, size_t at) {
    int depth = 0;
    bool quoted = false;
    for (; at < line.size(); ++at) {
      if (line[at] == '\\' && quoted)
        ++at;
      else if (line[at] == '"')
        quoted = !quoted;
      else if (!quoted && line[at] == '(')
        ++depth;
      else if (!quoted && line[at] == ')' && --depth == 0)
        return at;
    }
    return line.size();
  }

  static std::string withoutLocations(const std::string &line, std::string &last) {
    std::string out;
    bool quoted = false;
    for (size_t at = 0; at < line.size(); ++at) {
      if (line[at] == '\\' && quoted) {
        out += line[at++];
      } else if (line[at] == '"') {
        quoted = !quoted;
      } else if (!quoted && line.compare(at, 5, " loc(") == 0) {
        size_t end = closing(line, at + 4);
        last = end + 1 >= line.size() ? line.substr(at + 1) : "";
        at = end;
        continue;
      }
      if (at < line.size())
        out += line[at];
    }
    return out;
  }

  /// All that a location names: "file":7:3, through the names of others.
  std::vector<Place> placesIn(const std::string &location) {
    std::vector<Place> places;
    for (size_t at = 0; at < location.size(); ++at) {
      if (location[at] == '#') {
        size_t end = location.find_first_not_of("loc0123456789", at + 1);
        auto found = names_.find(location.substr(at, end - at));
        if (found != names_.end())
          for (const Place &place : placesIn(found->second))
            places.push_back(place);
      } else if (location[at] == '"') {
        size_t end = location.find('"', at + 1);
        if (end == std::string::npos)
          break;
        if (location[end + 1] == ':')
          places.push_back(
              {location.substr(at + 1, end - at - 1), lineNumber(location.c_str() + end + 2)});
        at = end;
      }
    }
    return places;
  }

  std::map<std::string, std::string> names_;
};

/// Prints lines, with the equations over them.
class Printer {
public:
  explicit Printer(const Description &description) : file_(description.file) {}

  void line(const Line &line) {
    size_t depth = indentOf(line.text);
    while (!around_.empty() && around_.back().first > depth)
      around_.pop_back();
    // Constants are anybody's: the first who asked for one is no news.
    bool constant = line.text.find(" = arith.constant") != std::string::npos ||
                    line.text.find(" = llvm.mlir.constant") != std::string::npos;
    if (!line.places.empty() && line.places.front().line && !constant &&
        line.text.find("func.func") == std::string::npos &&
        line.text.find("llvm.func") == std::string::npos) {
      const Place &place = line.places.front();
      std::optional<Place> before;
      if (!around_.empty())
        before = around_.back().second;
      if (before != place)
        equation(place, depth);
      if (!around_.empty() && around_.back().first == depth)
        around_.back().second = place;
      else
        around_.emplace_back(depth, place);
    }
    out += withShortTypes(line.text) + "\n";
  }
  void forget() { around_.clear(); }

  std::string out;

private:
  void equation(const Place &place, size_t depth) {
    out += std::string(depth, ' ') + "// " + placeText(place, file_, source_) + "\n";
  }

  std::string file_;
  SourceLines source_;
  std::vector<std::pair<size_t, Place>> around_; // by indentation
};

/// Places of a module of LLVM IR: !12 = !DILocation(line: 7, column: 3, scope: !9), a scope's file
/// being its own or that of the scope around it.
class LlvmPlaces {
public:
  explicit LlvmPlaces(const std::string &text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
      if (size_t equals = line.find(" = "); !line.empty() && line[0] == '!' && equals < line.size())
        nodes_[line.substr(0, equals)] = line.substr(equals + 3);
  }

  Place of(const std::string &name) const {
    auto node = nodes_.find(name);
    if (node == nodes_.end())
      return {};
    Place place{"", lineNumber(field(node->second, "line: ").c_str())};
    std::string scope = field(node->second, "scope: ");
    for (int depth = 0; depth < 64; ++depth) {
      auto found = nodes_.find(scope);
      if (found == nodes_.end())
        break;
      auto file = nodes_.find(field(found->second, "file: "));
      if (file != nodes_.end()) {
        std::string quoted = field(file->second, "filename: ");
        std::string folder = field(file->second, "directory: ");
        place.file = quoted.size() > 2 ? quoted.substr(1, quoted.size() - 2) : "";
        if (folder.size() > 2 && folder != "\".\"" && place.file[0] != '/')
          place.file = folder.substr(1, folder.size() - 2) + "/" + place.file;
        break;
      }
      scope = field(found->second, "scope: ");
    }
    return place;
  }

private:
  static std::string field(const std::string &node, const std::string &name) {
    size_t at = node.find(name);
    if (at == std::string::npos)
      return "";
    at += name.size();
    size_t end = node[at] == '"' ? node.find('"', at + 1) + 1 : node.find_first_of(",)", at);
    return node.substr(at, end - at);
  }

  std::map<std::string, std::string> nodes_;
};

/// The module's line, without what stands at the end and in the heading.
std::string moduleLine(std::string line) {
  for (const char *name : {"qkv.description = \"", "qkv.stage = \""}) {
    size_t begin = line.find(name);
    if (begin == std::string::npos)
      continue;
    size_t end = line.find('"', begin + std::string(name).size());
    while (end != std::string::npos && line[end - 1] == '\\')
      end = line.find('"', end + 1);
    if (end == std::string::npos)
      break;
    ++end;
    if (line.compare(end, 2, ", ") == 0)
      end += 2;
    else if (begin >= 2 && line.compare(begin - 2, 2, ", ") == 0)
      begin -= 2;
    line.erase(begin, end - begin);
  }
  size_t empty = line.find(" attributes {}");
  return empty == std::string::npos ? line : line.erase(empty, 14);
}

/// The name of the function that a line begins; empty if it begins none.
std::string functionOf(const std::string &line) {
  size_t at = line.find("func.func ");
  at = at == std::string::npos ? line.find("llvm.func ") : at;
  size_t name = at == std::string::npos ? at : line.find('@', at);
  if (name == std::string::npos || indentOf(line) != 2)
    return "";
  bool quoted = line[name + 1] == '"';
  size_t end = quoted ? line.find('"', name + 2) : line.find_first_of("( ", name);
  return line.substr(name + 1 + quoted, end - name - 1 - quoted);
}

bool isOfLine(const Line &line, const std::string &file, int number) {
  for (const Place &place : line.places)
    if (place.line == number && place.file == file)
      return true;
  return false;
}

} // namespace

std::string headingText(const StageHeading &heading, const char *mark) {
  std::string text = mark + (opening + heading.stage) + " of model " + heading.model;
  if (!heading.file.empty())
    text += " (" + heading.file + ")";
  if (heading.stage == "asm")
    return text + ": cc -c makes an object of it\n";
  if (heading.stage == "ast")
    return text + ", in full: a model file still\n";
  return text +
         (heading.part   ? partWords
          : heading.full ? ", in full: compiles on from here"
                         : shortWords) +
         "\n";
}

bool isShortForm(const std::string &text) {
  std::string first = text.substr(0, text.find('\n'));
  return first.find(opening) <= 2 && (first.find(shortWords) != std::string::npos ||
                                      first.find(partWords) != std::string::npos);
}

std::string descriptionText(const Description &description, const char *mark) {
  std::string text = mark + std::string(" ---- what a caller must know of the model\n");
  std::istringstream lines(nlohmann::json::parse(description.json())
                               .dump(1, ' ', false, nlohmann::json::error_handler_t::replace));
  for (std::string line; std::getline(lines, line);)
    text += mark + (" " + line) + "\n";
  return text;
}

std::string shortMlir(const std::string &text, const Description &description,
                      const ShortPart &part) {
  MlirText module(text);
  Printer printer(description);
  std::string function, announced;
  size_t whole = std::string::npos; // the indentation of an operation that is wanted whole
  bool partial = part.line || !part.function.empty();
  for (const Line &line : module.lines) {
    size_t depth = indentOf(line.text);
    if (std::string name = functionOf(line.text); !name.empty())
      function = name;
    if (!partial) {
      printer.line(line.text.rfind("module", 0) == 0 ? Line{moduleLine(line.text), {}} : line);
      continue;
    }
    if (depth < 2 || (!part.function.empty() && function != part.function))
      continue;
    if (part.line && whole == std::string::npos) {
      if (depth == 2 || !isOfLine(line, description.file, part.line))
        continue;
      if (announced != function) {
        printer.out += "// in @" + function + "\n";
        printer.forget();
      }
      announced = function;
      whole = line.text.back() == '{' ? depth : std::string::npos;
    } else if (part.line && depth == whole && line.text.back() != '{') {
      whole = std::string::npos; // its last brace
    }
    printer.line(line);
  }
  if (partial)
    return printer.out;
  return printer.out + descriptionText(description, "//");
}

std::string shortLlvmIr(const std::string &text, const Description &description) {
  LlvmPlaces places(text);
  SourceLines source;
  std::string out;
  Place here;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line[0] == '!')
      continue;
    if (size_t at = line.find(", !dbg "); at != std::string::npos) {
      std::string name = line.substr(at + 7, line.find_first_of(", {", at + 7) - at - 7);
      line.erase(at, 7 + name.size());
      if (Place place = places.of(name); place.line && place != here) {
        here = place;
        out += "  ; " + placeText(place, description.file, source) + "\n";
      }
    } else if (size_t kept = line.find(" !dbg "); kept != std::string::npos) { // of a function
      line.erase(kept, line.find(' ', kept + 6) - kept);
      here = {};
    }
    out += line + "\n";
  }
  return out + descriptionText(description, ";");
}

} // namespace qkv::driver
