// The options of text generation, one table for every command line that has them. In: an option's
// name and its text. Out: GenerationOptions. Holds: what is not a sensible value is misuse, said in
// one sentence.
#pragma once

#include "runtime/text/Generator.h"

#include <string>
#include <vector>

namespace qkv::rt {

struct Options;

/// A whole number from `least` to `most`, all of the text. False, with `value` as it is, for any
/// other text.
bool wholeNumber(const char *text, int64_t least, int64_t most, int64_t &value);

struct TextOption {
  const char *name;  ///< without its dashes
  const char *value; ///< what its value is called; null: it has none
  const char *help;
  /// Null where it has no value. False with `why` set: misuse.
  bool (*take)(const char *text, Options &options, std::string &why);
};

const std::vector<TextOption> &textOptions();

/// Takes an option of the table. False with `why` set: misuse.
bool takeTextOption(const TextOption &option, const char *text, Options &options, std::string &why);

} // namespace qkv::rt
