// Steps that are looked at (StepOptions.h).
#include "tools/qkv/StepOptions.h"

#include "tools/qkv/ModelFile.h"
#include "tools/qkv/SizeOptions.h"

#include <CLI/CLI.hpp>

#include <algorithm>

namespace qkv::driver {

void addStepOptions(CLI::App &app, StepOptions &options) {
  CLI::Option *step = app.add_flag("--step", options.step, "a step of a model over a stream");
  app.add_option("--at", options.at, "the step's positions come behind so many")
      ->check(CLI::NonNegativeNumber)
      ->needs(step)
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--rows", options.rows, "positions of the step")
      ->check(CLI::PositiveNumber)
      ->needs(step)
      ->type_name("N")
      ->capture_default_str();
}

void askForSteps(const StepOptions &step, ModelOptions &model) {
  if (!step.step)
    return;
  model.whole = false;
  model.parts = (1u << QKV_PARTS) - 1;
}

/// Sizes of a step: those of the model, and how much came before.
static std::string chooseStep(const Description &model, const StepOptions &step, bool last,
                              const std::vector<std::string> &sizes, int64_t usual, Subject &out) {
  const Description::Stream &stream = *model.stream;
  for (qkv_part part : {last ? QKV_NEXT : QKV_STEP, QKV_CLOSING})
    if (!out.part && stream.parts[part] && (part != QKV_CLOSING || !last))
      out.part = part;
  if (!out.part)
    return last ? "--logits last: model " + model.name + " is no generator"
                : "--step: model " + model.name + " computes nothing step by step";
  out.description = stream.parts[*out.part].get();
  std::vector<Description::Size> known;
  for (size_t i = 0; i < out.description->sizes.size(); ++i)
    if (static_cast<int>(i) != stream.past && static_cast<int>(i) != stream.fresh)
      known.push_back(out.description->sizes[i]);
  std::map<std::string, int64_t> given;
  const Description::Size &fresh = out.description->sizes[static_cast<size_t>(stream.fresh)];
  for (const std::string &text : sizes)
    if (text.substr(0, text.find('=')) == fresh.name)
      return "--size " + text + ": a step has --at and --rows";
  if (std::string why = readSizes(known, model.name, sizes, given); !why.empty())
    return why;
  if (step.rows > fresh.max || step.at > fresh.max - step.rows)
    return "--at " + std::to_string(step.at) + " --rows " + std::to_string(step.rows) + ": " +
           fresh.name + " holds at most " + std::to_string(fresh.max);
  out.sizes = allSizes(out.description->sizes, given, usual);
  out.sizes[static_cast<size_t>(stream.past)] = step.at;
  out.sizes[static_cast<size_t>(stream.fresh)] = step.rows;
  return "";
}

std::string chooseSubject(const Description &model, const StepOptions &step, bool last,
                          const std::vector<std::string> &sizes, int64_t usual, Subject &out) {
  if (step.step && !model.stream)
    return "--step: model " + model.name + " has no code for steps";
  if (step.step)
    return chooseStep(model, step, last, sizes, usual, out);
  out.description = &model;
  out.entry = last ? QKV_LAST : QKV_WHOLE;
  if (!model.entry(out.entry))
    return "--logits last: model " + model.name + " is no generator";
  std::map<std::string, int64_t> given;
  if (std::string why = readSizes(model.sizes, model.name, sizes, given); !why.empty())
    return why;
  out.sizes = allSizes(model.sizes, given, usual);
  return "";
}

std::string subjectText(const Description &model, const Subject &subject) {
  if (!subject.part)
    return sizesText(model.sizes, subject.sizes);
  size_t past = static_cast<size_t>(model.stream->past),
         fresh = static_cast<size_t>(model.stream->fresh);
  int64_t rows = subject.sizes[fresh];
  std::string text = std::to_string(rows) + (rows == 1 ? " position" : " positions") + " behind " +
                     std::to_string(subject.sizes[past]);
  std::vector<Description::Size> others;
  std::vector<int64_t> numbers;
  for (size_t i = 0; i < subject.sizes.size(); ++i)
    if (i != past && i != fresh) {
      others.push_back(subject.description->sizes[i]);
      numbers.push_back(subject.sizes[i]);
    }
  return text + (others.empty() ? "" : ", " + sizesText(others, numbers));
}

} // namespace qkv::driver
