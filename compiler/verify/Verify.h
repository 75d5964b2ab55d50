// `qkv verify`: every stage against the interpreter.
//
// In: a program and a trial. Out: for each stage whether what it prints, read back and compiled on
// from there, computes what the interpreter does; and of the first that does not, the first
// equation that differs.
#pragma once

#include "compiler/verify/Trial.h"
#include "runtime/qkv.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace qkv {

/// The stages that verify() goes through, in order. `equations` is the program behind each
/// rewriting, interpreted; `ir` is LLVM IR as text; `asm` is what
/// `qkv build` compiles, optimised in full.
const std::vector<std::string> &verifiedStages();

struct Difference {
  std::string tensor; ///< its own name
  Span span;          ///< of the definition
  std::string index;
  double expected = 0, got = 0, error = 0, bound = 0;
  std::string text; ///< a sentence
};

struct StageReport {
  std::string stage;
  bool same = false;
  double error = 0;    ///< the largest over the results, relative to its bound
  std::string failure; ///< where it did not compile or did not run
  std::optional<Difference> difference;
};

struct VerifyOptions {
  std::string cpu = "native";
  int32_t element = QKV_F32; ///< as in Compilation::begin
  Half cache = Half::None;   ///< as Form::cache: then steps are compared among themselves alone
  bool fuse = true;          ///< as Form::fuse
  bool findEquation = true;
  std::vector<std::string> only; ///< of verifiedStages(); empty: all
  std::function<void(const std::string &stage, double share)> progress;
};

struct VerifyReport {
  bool same = false;
  std::vector<StageReport> stages;
};

VerifyReport verify(const Program &program, const Trial &trial, const VerifyOptions &options);

/// The stage `step` on several trials; its code is compiled once. The report is that of the first
/// trial that differs, or of the last one.
StageReport verifySteps(const Program &program, const std::vector<Trial> &trials,
                        const VerifyOptions &options);

/// What a compiled model computes on a trial: the results, or the error of its run.
struct Computed {
  std::vector<Values> results;
  std::string failure;
};
Computed compute(const qkv_model &model, const Program &program, const Trial &trial);
/// A generator's logits of the last position.
Computed computeLast(const qkv_model &model, const Program &program, const Trial &trial);
/// What the parts of a model over a stream compute of sequences of its inputs, each in its chunks,
/// the next chunks of all together. `lengths`: of each one's chunks, again and again.
std::vector<Computed> computeInChunks(const qkv_model &model, const Program &program,
                                      const std::vector<Trial> &trials,
                                      const std::vector<std::vector<int64_t>> &lengths);
/// Another sequence of the same sizes: each input's values moved on.
Trial moved(const Trial &trial, size_t by);
/// What differs, to the bit, where the trial and others of its sizes are computed together; empty
/// if nothing does, or the model was compiled for one sequence at a time.
std::string batchDiffers(const qkv_model &model, const Program &program, const Trial &trial);

} // namespace qkv
