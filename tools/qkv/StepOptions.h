// One step of a model over a stream, in the place of all positions at once.
//
// In: --step, --at, --rows, sizes by name. Out: which part of a model is meant, with all its sizes.
// Holds: the stream's size is what a step has --at and --rows for, and never given besides.
#pragma once

#include "compiler/description/Description.h"
#include "runtime/qkv.h"

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace qkv::driver {

struct ModelOptions;

struct StepOptions {
  bool step = false;
  int64_t at = 0;   ///< positions that came before
  int64_t rows = 1; ///< positions of the step
};

/// Adds --step, --at and --rows.
void addStepOptions(CLI::App &app, StepOptions &options);

/// Asks for the code of steps, where they are meant.
void askForSteps(const StepOptions &step, ModelOptions &model);

/// What is looked at: a model, or a part of it.
struct Subject {
  std::optional<qkv_part> part;
  const Description *description = nullptr; ///< the part's, or the model's
  qkv_entry_kind entry = QKV_WHOLE;         ///< of it
  std::vector<int64_t> sizes;               ///< in its order
};

/// `last`: the logits of the last position alone. Sizes that nobody gave are `usual`, within their
/// bounds. Why not, or empty.
std::string chooseSubject(const Description &model, const StepOptions &step, bool last,
                          const std::vector<std::string> &sizes, int64_t usual, Subject &out);

/// Sizes as people read them: "T=512", of a step "4 positions behind 2000, S=10".
std::string subjectText(const Description &model, const Subject &subject);

} // namespace qkv::driver
