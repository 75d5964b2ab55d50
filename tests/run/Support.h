// What the tests of whole runs share. In: models as text or files. Out: their programs, the files
// of a trial, the results of processes, and what differs.
#pragma once

#include "compiler/Compilation.h"
#include "compiler/native/Jit.h"
#include "compiler/verify/Trial.h"
#include "compiler/verify/Verify.h"
#include "dsl/check/Checker.h"

#include <memory>
#include <string>
#include <vector>

namespace qkv::test {

struct Checked {
  Sources sources;
  std::unique_ptr<Program> program; ///< or null
  std::string diagnostics;
};
std::unique_ptr<Checked> checkText(const std::string &text, const std::string &path,
                                   const CheckOptions &options = {});

/// The compiled model; null after a failure of the test where there is none.
std::unique_ptr<JitModel> compiled(const Program &program, const std::string &cpu = "native",
                                   const Form &form = {});

std::vector<int> resultTensors(const Program &program);

/// What is wrong with the computed results; empty if nothing is.
std::string differs(const Program &program, const Oracle &oracle, const Computed &computed);

/// Writes the trial's inputs and parameters as the programs read them.
void writeInputs(const Program &program, const Trial &trial, const std::string &path);
void writeWeights(const Program &program, const Trial &trial, const std::string &path);
/// The results in a file that a program wrote; `failure` says where it is not what it should be.
Computed readResults(const Program &program, const std::string &path);

/// A folder of its own, gone with the object.
class Folder {
public:
  Folder();
  ~Folder();
  std::string operator/(const std::string &name) const { return path_ + "/" + name; }
  const std::string &path() const { return path_; }

private:
  std::string path_;
};

struct Ran {
  int code = -1;
  std::string out, err;
};
/// Runs a command of the shell, with `input` on standard input.
Ran run(const std::string &command, const std::string &input = "");

std::string readFile(const std::string &path);
void writeFile(const std::string &path, const std::string &text);
std::vector<std::string> filesIn(const std::string &folder, const std::string &tail);

} // namespace qkv::test
