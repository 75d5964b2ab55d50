// Intermediate tensors as results, asked for by their names.
//
// In: a checked program and names. Out: another program of the same inputs, whose results are those
// tensors. Holds: the program that was given stays as it is, so that its own results keep their
// bits; what is traced is computed anew, by the same equations (weights of an attention that the
// program itself never stores among them).
#pragma once

#include "dsl/Program.h"

#include <optional>
#include <string>
#include <vector>

namespace qkv::trace {

/// A name is a tensor's own ("encoder.layers.0.self_attn.alpha"), or the last words of it
/// ("alpha");
/// `*` is any one word. (What a call gives goes by its name there: of m = norm(x) it is "norm.z".)
/// Tensors of all steps of a repeat are one result with an axis of the steps in front, named with
/// `*` where their names differ; the name of one step's means that one alone. Nothing, with
/// `error`, where a name means no tensor.
std::optional<Program> traceOf(const Program &program, const std::vector<std::string> &names,
                               std::string &error);

} // namespace qkv::trace
