// Small models of all kinds and what the interpreter makes of them.
//
// In: a folder of .qkv files. Out: programs, inputs and parameters from a seed, results.
#pragma once

#include "dsl/check/Checker.h"
#include "dsl/interpret/Interpreter.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace qkv::test {

/// The names of the .qkv files of a folder, without the ending, in order.
std::vector<std::string> modelsOf(const std::string &folder);

/// The bytes of a file.
std::string textOf(const std::string &path);

/// A checked model; `said` is what the checker said of it.
struct Checked {
  Sources sources;
  std::unique_ptr<Program> program; ///< or null
  std::string said;
};
std::unique_ptr<Checked> checkText(const std::string &path, const std::string &text);

/// One run: values by name of inputs, parameters and results.
struct Trial {
  std::map<std::string, Values> inputs, params, results;
  std::map<std::string, int64_t> sizes; ///< dynamic ones, by name
  std::string failure;                  ///< what went wrong; empty: nothing
};

/// Runs the model on generated values; every dynamic size is `size`, or its max if that is less.
/// Ints are small enough to be indices wherever they are used as such.
Trial runGenerated(const Program &program, int64_t size, Precision precision, uint64_t seed);

} // namespace qkv::test
