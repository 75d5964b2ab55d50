// A model whose entry is the interpreter: so that inputs, batches and text generation come from
// the same code as a compiled model's. In: a program. Out: a qkv_model.
#pragma once

#include "compiler/description/Description.h"
#include "dsl/interpret/Interpreter.h"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace qkv::driver {

/// The program must outlive it. Several threads may run it at once.
class InterpretedModel {
public:
  /// `params`: the parameters of its description, some of which its results may not need.
  InterpretedModel(const Program &program, std::vector<int> params, Precision precision,
                   std::function<void(double)> progress = {});
  qkv_model &model() { return memory_.model(); }

  /// One run's interpreter, from pointers as qkv_entry takes them.
  Interpreter interpreter(const int64_t *sizes, void *const *inputs, void *const *params);

private:
  static void entry(qkv_context *context, const int64_t *sizes, void *const *inputs,
                    void *const *params, void *const *results);
  static void entryLast(qkv_context *context, const int64_t *sizes, void *const *inputs,
                        void *const *params, void *const *results);
  void failed(qkv_context *context, const RunError &error);
  const Values *param(int tensor, void *const *params);
  std::vector<std::vector<int64_t>> shapes(const int64_t *sizes);

  const Program &program_;
  Precision precision_;
  std::function<void(double)> progress_;
  std::vector<int> params_;
  ModelInMemory memory_;
  std::mutex mutex_;
  std::map<int, Values> widened_;
  // Where a run failed: the interpreter's message, as a site of its own (qkv_site, kind 2). More
  // than can fail at once.
  static constexpr int failureCount = 1024;
  std::vector<std::string> files_, texts_;
  std::vector<qkv_site> sites_;
  std::atomic<unsigned> nextFailure_{0};
};

/// Elements at `data` of a model's type as the interpreter takes them, and back.
Values valuesFrom(const void *data, int type, const std::vector<int64_t> &shape);
void valuesTo(const Values &values, int type, void *data);

} // namespace qkv::driver
