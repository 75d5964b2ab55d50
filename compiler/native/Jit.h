// Machine code in this process. In: one model as a NativeModule. Out: its entries, to be called.
//
// Holds: the code finds the runtime (qkv_*) and libm here; it lives as long as the object.
#pragma once

#include "compiler/native/CodeGen.h"
#include "compiler/native/NativeModule.h"

#include <map>
#include <memory>
#include <string>

namespace qkv {

/// Compiled code as it may be kept in a file.
struct JitCode {
  std::string description; ///< as JSON
  std::string object;      ///< the bytes of an object file
};

/// False with `error` where LLVM cannot compile it.
bool compileForJit(std::unique_ptr<NativeModule> module, const std::string &cpu, JitCode &code,
                   std::string &error, Effort effort = Effort::Light);

/// A model ready to run: the description in memory with the entries of its machine code.
class JitModel {
public:
  /// Null with `error` where LLVM cannot compile it. `functions`: what the code may call beyond
  /// the runtime's and libm's.
  static std::unique_ptr<JitModel> create(std::unique_ptr<NativeModule> module,
                                          const std::string &cpu, std::string &error,
                                          Effort effort = Effort::Light,
                                          const std::map<std::string, void *> &functions = {});
  /// The same from code that was compiled before, by this version of qkv.
  static std::unique_ptr<JitModel> load(const JitCode &code, std::string &error,
                                        const std::map<std::string, void *> &functions = {});
  ~JitModel();
  qkv_model &model();
  /// Of the same weights; its results are what can be traced. Null where nothing can.
  qkv_model *trace();

private:
  struct Data;
  explicit JitModel(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;
};

} // namespace qkv
