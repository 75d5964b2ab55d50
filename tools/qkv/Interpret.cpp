// qkv interpret: the meaning of a model: its equations evaluated one by one.
#include "tools/qkv/Commands.h"
#include "tools/qkv/InterpretedModel.h"
#include "tools/qkv/ModelFile.h"
#include "tools/qkv/ProgramOptions.h"
#include "tools/qkv/Report.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <optional>
#include <set>

namespace qkv::driver {
namespace {

struct Options : ModelOptions {
  rt::Options program;
  std::vector<std::string> elements;
  std::string precision = "double";
};

/// o[3,4077,0]
struct Element {
  std::string text;
  int tensor = -1;
  std::vector<int64_t> index;
};

/// A result first, else any tensor by its own name.
int findTensor(const Program &program, const std::string &name) {
  for (const Result &result : program.results)
    if (result.name == name)
      return result.tensor;
  for (size_t i = 0; i < program.tensors.size(); ++i)
    if (program.tensors[i].name == name)
      return static_cast<int>(i);
  return -1;
}

std::string parseElement(const Program &program, const std::string &text, Element &out) {
  out.text = text;
  size_t open = text.find('[');
  std::string name = text.substr(0, open);
  if (open != std::string::npos && text.back() != ']')
    return "--element " + text + ": expected NAME[INDEX,...]";
  if (open != std::string::npos) {
    const char *at = text.data() + open + 1, *end = text.data() + text.size() - 1;
    while (at < end) {
      int64_t value = 0;
      auto [next, wrong] = std::from_chars(at, end, value);
      if (wrong != std::errc() || (next < end && *next != ','))
        return "--element " + text + ": an index is not a whole number";
      out.index.push_back(value);
      at = next + 1;
    }
  }
  out.tensor = findTensor(program, name);
  if (out.tensor < 0) {
    std::vector<std::string> names;
    for (const Tensor &tensor : program.tensors)
      names.push_back(tensor.name);
    std::string near = nearest(name, names);
    return "--element " + text + ": model " + program.name + " has no tensor " + name +
           (near.empty() ? "" : "; did you mean " + near + "?");
  }
  size_t rank = program.tensors[out.tensor].axes.size();
  if (rank != out.index.size())
    return "--element " + text + ": " + name + " has " + std::to_string(rank) + " indices, but " +
           std::to_string(out.index.size()) + " are given";
  return "";
}

std::string elementText(const Tensor &tensor, double value) {
  char text[64];
  if (tensor.type == Type::Bool)
    return value != 0 ? "true" : "false";
  snprintf(text, sizeof text, tensor.type == Type::Int ? "%.0f" : "%.17g", value);
  return text;
}

int runElements(const Program &program, InterpretedModel &model, const Options &options) {
  std::vector<Element> elements(options.elements.size());
  for (size_t i = 0; i < elements.size(); ++i)
    if (std::string why = parseElement(program, options.elements[i], elements[i]); !why.empty())
      return misuse(options.command, why);
  if (options.program.inputs.size() > 1)
    return misuse(options.command, "--element takes one --input");
  if (options.program.inputs.empty() && model.model().input_count > 0)
    return misuse(options.command,
                  std::string("model ") + model.model().name + " needs --input FILE");
  qkv_error error = {};
  error.size = sizeof error;
  rt::Call call;
  std::string warnings;
  if (options.program.inputs.empty()) {
    if (!rt::bindSizes(model.model(), {}, call, &error))
      return fail(options.command, error);
  } else {
    auto file = rt::Safetensors::openFile(options.program.inputs[0], &error);
    if (!file || !rt::bindInputs(model.model(), std::move(file), call, warnings, &error))
      return fail(options.command, error);
  }
  std::unique_ptr<qkv_weights, void (*)(qkv_weights *)> weights(
      qkv_weights_open(&model.model(), options.weights.empty() ? nullptr : options.weights.c_str(),
                       nullptr, &error),
      qkv_weights_close);
  if (!weights)
    return fail(options.command, error);
  Interpreter interpreter =
      model.interpreter(call.sizes.data(), call.inputs.data(), qkv_weights_params(weights.get()));
  std::string text;
  for (const Element &element : elements) {
    const Tensor &tensor = program.tensors[element.tensor];
    for (size_t axis = 0; axis < tensor.axes.size(); ++axis) {
      int64_t extent = tensor.axes[axis].extent.evaluate(program.atoms, interpreter.sizes());
      int64_t at = element.index[axis];
      if (at < -tensor.axes[axis].before || at >= extent + tensor.axes[axis].after)
        return misuse(options.command, "--element " + element.text + ": index " +
                                           std::to_string(at) + " along " + tensor.axes[axis].name +
                                           " is outside 0 to " + std::to_string(extent - 1));
    }
    double value = 0;
    RunError why;
    if (!interpreter.element(element.tensor, element.index, value, why)) {
      Diagnostics diagnostics;
      diagnostics.error(why.span, why.message, why.rule);
      report(diagnostics);
      return 1;
    }
    text += element.text + " = " + elementText(tensor, value) + "\n";
  }
  return print(options.command, text);
}

int run(Options options) {
  int code = 0;
  std::unique_ptr<ModelFile> file = openModel(options, /*dumps=*/false, code);
  if (!file)
    return code;
  options.trace = options.program.trace;
  if ((code = makeTrace(options, *file)))
    return code;
  if ((code = checkOutputs(options.program, options, *file)))
    return code;
  Progress progress("interpreting " + options.file);
  // Text generation runs the model once a token: no share of the whole is known.
  bool whole = file->program->generatorInput < 0 || !options.program.inputs.empty();
  auto share = [&](double done) { progress.at(done); };
  // The model and its trace have the same parameters, so that one set of weights serves both.
  std::vector<int> params = usedParams(*file->program);
  if (file->trace) {
    std::set<int> all(params.begin(), params.end());
    for (int param : usedParams(*file->trace))
      all.insert(param);
    params.assign(all.begin(), all.end());
  }
  Precision precision = options.precision == "f32" ? Precision::Single : Precision::Double;
  InterpretedModel model(*file->program, params, precision,
                         whole && options.program.inputs.size() <= 1
                             ? std::function(share)
                             : std::function<void(double)>());
  std::optional<InterpretedModel> trace;
  if (file->trace) {
    trace.emplace(*file->trace, params, precision);
    options.program.traced = &trace->model();
  }
  if (model.model().param_count > 0 && options.weights.empty())
    return runModel(model.model(), options.program, options);
  return options.elements.empty() ? runModel(model.model(), options.program, options)
                                  : runElements(*file->program, model, options);
}

} // namespace

void addInterpret(CLI::App &app, int &code) {
  auto options = std::make_shared<Options>();
  options->command = "qkv interpret";
  CLI::App *command =
      app.add_subcommand("interpret", "evaluate the equations directly: slow, and right");
  addModelOptions(*command, *options, /*dumps=*/false, /*cpu=*/false);
  addProgramOptions(*command, options->program, options->weights);
  command
      ->add_option("--element", options->elements,
                   "print one element of any tensor, as in 'o[3,4077,0]'; may be repeated")
      ->allow_extra_args(false)
      ->take_all()
      ->type_name("ELEMENT");
  command->add_option("--precision", options->precision, "double, or every operation in f32")
      ->check(CLI::IsMember({"double", "f32"}))
      ->type_name("P")
      ->capture_default_str();
  command->footer("Takes the options that qkv run takes, and gives what it should give.\n\n"
                  "examples:\n"
                  "  qkv interpret attention.qkv --input in.safetensors --output o.safetensors\n"
                  "  qkv interpret m.qkv --input in.safetensors --element 'o[3,4077,0]'");
  command->callback([options, &code] { code = run(*options); });
}

} // namespace qkv::driver
