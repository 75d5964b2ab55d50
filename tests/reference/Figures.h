// In: the files of one case of figures/. Out: its inputs, weights and expected values as the
// interpreter takes them.
#ifndef QKV_TESTS_REFERENCE_FIGURES_H
#define QKV_TESTS_REFERENCE_FIGURES_H

#include "dsl/Program.h"
#include "dsl/interpret/Interpreter.h"
#include "runtime/checkpoint/Safetensors.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace qkv::reference {

/// The names of the .qkv files of a folder, without the ending, in order.
std::vector<std::string> modelsOf(const std::string &folder);

/// The bytes of a file; empty if it cannot be read.
std::string textOf(const std::string &path);

/// Opens a safetensors file; throws std::runtime_error with the reader's message.
std::unique_ptr<rt::Safetensors> openTensors(const std::string &path);

/// A stored tensor as a model's type; throws where T1 does not allow it.
Values valuesOf(const rt::FileTensor &tensor, Type type);

/// The inputs of a program by tensor number.
std::map<int, Values> inputsOf(const Program &program, const rt::Safetensors &file);

/// The parameters of a program by tensor number; `file` may be null: all have fallbacks, or
/// there are none. A stored shape may merge adjacent letters.
std::map<int, Values> paramsOf(const Program &program, const rt::Safetensors *file);

/// The largest difference over the largest element of `expected`; infinite where the shapes
/// differ or a value is not a number.
double errorOf(const Values &got, const Values &expected);

} // namespace qkv::reference
#endif
