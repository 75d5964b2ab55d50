// qkv state: what a model over a stream must remember, and which read made it necessary. Nothing is
// run; weights are not needed.
#include "tools/qkv/Commands.h"
#include "tools/qkv/ModelFile.h"
#include "tools/qkv/Report.h"
#include "tools/qkv/SizeOptions.h"

#include "compiler/streams/DeriveStream.h"
#include "compiler/streams/Positions.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cmath>

namespace qkv::driver {
namespace {

using streams::State;

struct Options : ModelOptions {
  std::vector<std::string> sizes;
  bool json = false;
};

/// One line of the table.
struct Line {
  std::string name, kind, read;
  std::vector<nlohmann::json> shape; ///< numbers; an extent that grows is a text
  double perPosition = 0, perSequence = 0;
  Span span;
};

class Table {
public:
  Table(const Program &program, const streams::Stream &stream, const Options &options,
        std::vector<int64_t> sizes)
      : program_(program), stream_(stream), options_(options), sizes_(std::move(sizes)) {
    for (const State &state : stream.states)
      lines.push_back(line(state));
    for (const Line &line : lines) {
      perPosition += line.perPosition;
      perSequence += line.perSequence;
    }
  }

  std::vector<Line> lines;
  double perPosition = 0, perSequence = 0;

private:
  /// Of an element.
  double bytes(const State &state) const {
    Type type = program_.tensors[state.tensor].type;
    bool half = streams::growsInPlace(state.kind) && cacheOf(options_) != Half::None;
    return type == Type::Float ? (half ? 2 : 4) : type == Type::Int ? 8 : 1;
  }

  Line line(const State &state) const {
    const Tensor &tensor = program_.tensors[state.tensor];
    Line out;
    out.name = state.name;
    out.kind = streams::stateKindName(state.kind);
    bool session = state.kind == State::Session;
    out.span = state.cause.span ? state.cause.span : tensor.span;
    double one = bytes(state); // of a position, or of all
    int row = session ? -1 : stream_.rowOf[state.tensor];
    for (size_t a = 0; a < tensor.axes.size(); ++a) {
      if (!state.slice.empty() && state.slice[a])
        continue;
      const Size &extent = tensor.axes[a].extent;
      if (static_cast<int>(a) == row) {
        out.shape.push_back(state.kind == State::History
                                ? nlohmann::json(extent.text(program_.atoms))
                                : nlohmann::json(state.positions));
        continue;
      }
      if (static_cast<int>(a) == state.across) {
        out.shape.push_back(extent.text(program_.atoms));
        continue;
      }
      int64_t value = std::max<int64_t>(0, extent.evaluate(program_.atoms, sizes_));
      out.shape.push_back(value);
      one *= static_cast<double>(value);
    }
    if (state.kind == State::History) {
      out.perPosition = one * streams::positionsPerStep(program_, tensor.axes[row].extent);
      out.perSequence = one * static_cast<double>(state.outside);
    } else if (state.across >= 0) {
      out.perPosition = one * static_cast<double>(state.positions) *
                        streams::positionsPerStep(program_, tensor.axes[state.across].extent);
    } else {
      out.perSequence = one * (session ? 1 : static_cast<double>(state.positions));
    }
    out.read = session ? "does not depend on the stream" : readText(out.span);
    return out;
  }

  /// As the author wrote it.
  std::string readText(const Span &span) const {
    return span ? span.source->text().substr(span.begin, span.end - span.begin) : "";
  }

  const Program &program_;
  const streams::Stream &stream_;
  const Options &options_;
  std::vector<int64_t> sizes_;
};

std::string tableJson(const Table &table, const streams::Stream &stream) {
  nlohmann::json out{{"states", nlohmann::json::array()}};
  for (const Line &line : table.lines)
    out["states"].push_back({{"name", line.name},
                             {"kind", line.kind},
                             {"shape", line.shape},
                             {"bytes_per_position", line.perPosition},
                             {"bytes_per_sequence", line.perSequence},
                             {"read", line.read},
                             {"line", line.span ? line.span.line() : 0}});
  out["bytes_per_position"] = table.perPosition;
  out["bytes_per_sequence"] = table.perSequence;
  out["whole_results"] = nlohmann::json::array();
  for (const streams::StreamResult &result : stream.results)
    if (result.axis < 0 && !result.session)
      out["whole_results"].push_back(result.name);
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string countText(double bytes) {
  char text[60];
  const char *units[] = {"B", "kB", "MB", "GB"};
  int unit = 0;
  while (bytes >= 10000 && unit < 3) {
    bytes /= 1000;
    ++unit;
  }
  snprintf(text, sizeof text, bytes == std::floor(bytes) ? "%.0f %s" : "%.4g %s", bytes,
           units[unit]);
  return text;
}

std::string tableText(const Program &program, const Table &table, const streams::Stream &stream) {
  std::string text = "model " + program.name + " remembers, of one sequence:\n";
  auto pad = [](std::string s, size_t width) {
    return s.size() < width ? s + std::string(width - s.size(), ' ') : s + " ";
  };
  size_t name = 5, shape = 6;
  auto shapeText = [](const Line &line) {
    std::string s = "[";
    for (const nlohmann::json &extent : line.shape)
      s += (s.size() > 1 ? ", " : "") +
           (extent.is_string() ? extent.get<std::string>() : extent.dump());
    return s + "]";
  };
  for (const Line &line : table.lines) {
    name = std::max(name, line.name.size() + 2);
    shape = std::max(shape, shapeText(line).size() + 2);
  }
  text += "  " + pad("name", name) + pad("kind", 9) + pad("shape", shape) + pad("bytes", 21) +
          "because of\n";
  for (const Line &line : table.lines) {
    std::string bytes = line.perPosition > 0 ? countText(line.perPosition) + " a position"
                                             : countText(line.perSequence);
    text += "  " + pad(line.name, name) + pad(line.kind, 9) + pad(shapeText(line), shape) +
            pad(bytes, 21) + line.read +
            (line.span ? " (line " + std::to_string(line.span.line()) + ")" : "") + "\n";
  }
  if (table.lines.empty())
    text += "  nothing\n";
  text += "in all " + countText(table.perPosition) + " a position and " +
          countText(table.perSequence) + "\n";
  int64_t max = program.atoms[program.stream].max;
  for (int64_t depth : {int64_t(1000), max})
    if (depth <= max && (depth != max || max != 1000))
      text += "  at " + std::to_string(depth) + " positions " +
              countText(table.perPosition * static_cast<double>(depth) + table.perSequence) + "\n";
  for (const streams::StreamResult &result : stream.results)
    if (result.axis < 0 && !result.session)
      text += "result " + result.name + " is computed anew for all positions so far\n";
  for (const streams::Obstacle &o : stream.obstacles) {
    text += "  " + program.tensors[o.tensor].label + " " + o.text;
    if (o.span)
      text += " (" + o.span.source->path() + ":" + std::to_string(o.span.line()) + ")";
    text += o.hint.empty() ? "\n" : "; " + o.hint + "\n";
  }
  return text;
}

int run(Options options) {
  int code = 0;
  std::unique_ptr<ModelFile> file = openModel(options, /*dumps=*/false, code);
  if (!file)
    return code;
  const Program &program = *file->program;
  if (program.stream < 0)
    return fail(options.command, options.file + ": model " + program.name +
                                     " has no stream size: nothing arrives over time");
  std::vector<Description::Size> others;
  for (int atom : program.dynamicSizes)
    others.push_back({program.atoms[atom].name, program.atoms[atom].max, false});
  std::map<std::string, int64_t> given;
  if (std::string why = readSizes(others, program.name, options.sizes, given); !why.empty())
    return misuse(options.command, why);
  std::vector<int64_t> sizes(program.atoms.count(), 0);
  for (int atom : program.dynamicSizes) {
    auto found = given.find(program.atoms[atom].name);
    sizes[atom] = found == given.end() ? program.atoms[atom].max : found->second;
  }
  auto derived = streams::deriveStream(program);
  if (const auto *why = std::get_if<streams::Obstacle>(&derived))
    return fail(options.command, options.file + ":" +
                                     (why->span ? std::to_string(why->span.line()) + ": " : " ") +
                                     why->text);
  const streams::Stream &stream = std::get<streams::Stream>(derived);
  Table table(stream.model, stream, options, sizes);
  return print(options.command,
               options.json ? tableJson(table, stream) : tableText(stream.model, table, stream));
}

} // namespace

void addState(CLI::App &app, int &code) {
  auto options = std::make_shared<Options>();
  options->command = "qkv state";
  CLI::App *command =
      app.add_subcommand("state", "what a model over a stream remembers of one sequence, and why");
  addModelOptions(*command, *options, /*dumps=*/false, /*cpu=*/false);
  addWeightsType(*command, *options);
  addCacheType(*command, *options);
  addSizeOption(*command, options->sizes, "their greatest");
  command
      ->add_option("--weights", options->weights,
                   "weights whose config.json gives the sizes read by config(...)")
      ->type_name("PATH");
  command->add_flag("--json", options->json, "print the table as JSON");
  command->footer("What is read at another position than the one that is computed must be kept.\n"
                  "kinds: first, last (few positions), window, history (all positions), session\n"
                  "(computed once for a sequence).\n\n"
                  "examples:\n"
                  "  qkv state examples/09-decoder-only/language.qkv\n"
                  "  qkv state lm.qkv --weights lm/ --cache-type bf16 --json");
  command->callback([options, &code] { code = run(*options); });
}

} // namespace qkv::driver
