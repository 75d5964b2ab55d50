// A stage's text for people: what `qkv ir` prints unless --full asks for what compiles on.
//
// In: a stage's text with all its locations. Out: the same operations without locations, types cut
// short, each equation's line as a comment over what became of it, the model's description at the
// end as a comment. Holds: the first line of either form says which it is, so that a short form is
// never taken for a module.
#pragma once

#include "compiler/description/Description.h"

#include <string>

namespace qkv::driver {

/// What the first line of a stage's text says.
struct StageHeading {
  std::string stage, model, file;
  bool part = false; ///< of a function or a line
  bool full = false;
};

/// The first line, as a comment that begins with `mark`, line end included.
std::string headingText(const StageHeading &heading, const char *mark);

/// Whether a text is a short form, or a part, which both parse as no stage.
bool isShortForm(const std::string &text);

/// What of a stage is wanted: the operations of a function, those of a line of the model.
struct ShortPart {
  std::string function;
  int line = 0;
};

/// A module as MLIR prints it with debug information. Empty where nothing belongs to the part.
std::string shortMlir(const std::string &text, const Description &description,
                      const ShortPart &part);
/// A module of LLVM IR.
std::string shortLlvmIr(const std::string &text, const Description &description);

/// The description, indented, behind a line that says what it is; each line begins with `mark`.
std::string descriptionText(const Description &description, const char *mark);

} // namespace qkv::driver
