// In: the configuration of a checkpoint, and the files of the page that is to compute with it. Out:
// the keys that ask for something the page does not read. Holds: a key is fine if the page names
// it, if dsl/std/models/KEYS.md says that its value changes no number, or if it says nothing
// (null); any other is an error, so that no number is wrong in silence.
#pragma once

#include "runtime/checkpoint/Configuration.h"

#include "dsl/syntax/Source.h"

#include <set>
#include <string>
#include <vector>

namespace qkv::driver {

struct ModelOptions;

/// The keys that `config(...)` names in a page, with {...} as `*`.
std::set<std::string> namedKeys(const std::string &page);

/// Whether a key is of a form: `*` stands for any letters. What is inside of a key that fits, fits.
bool keyFits(std::string_view form, std::string_view key);

/// Reports the keys that nobody reads. 0 or the exit code. A page that reads no configuration at
/// all has its own numbers, and nothing is said of it. `sources`: the page and those it uses.
int checkKeys(const ModelOptions &options, const Source &page, const Sources &sources,
              const rt::Configuration &configuration);

} // namespace qkv::driver
