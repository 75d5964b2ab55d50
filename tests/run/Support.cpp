// Files, processes and comparisons of the tests of whole runs.
#include "tests/run/Support.h"
#include "runtime/checkpoint/Safetensors.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <stdlib.h>
#include <sys/wait.h>

namespace qkv::test {

std::unique_ptr<Checked> checkText(const std::string &text, const std::string &path,
                                   const CheckOptions &options) {
  auto out = std::make_unique<Checked>();
  const Source *source = out->sources.add(path, text);
  Diagnostics diagnostics;
  out->program = check(*source, out->sources, options, diagnostics);
  std::ostringstream said;
  diagnostics.render(said, false);
  out->diagnostics = said.str();
  return out;
}

std::unique_ptr<JitModel> compiled(const Program &program, const std::string &cpu,
                                   const Form &form) {
  std::string error;
  auto compilation = Compilation::begin(program, cpu, error, form);
  auto native = compilation ? compilation->native(error) : nullptr;
  auto model = native ? JitModel::create(std::move(native), cpu, error) : nullptr;
  EXPECT_TRUE(model) << error;
  return model;
}

std::vector<int> resultTensors(const Program &program) {
  std::vector<int> tensors;
  for (const Result &result : program.results)
    tensors.push_back(result.tensor);
  return tensors;
}

std::string differs(const Program &program, const Oracle &oracle, const Computed &computed) {
  if (oracle.failure)
    return computed.failure.empty() ? "the interpreter fails (" + oracle.failure->message +
                                          "), the compiled model does not"
                                    : "";
  if (!computed.failure.empty())
    return "run: " + computed.failure;
  for (size_t i = 0; i < program.results.size(); ++i) {
    Comparison found = compare(oracle.values[i], computed.results[i]);
    if (found.same)
      continue;
    std::ostringstream text;
    text.precision(9);
    text << program.results[i].name << indexText(oracle.values[i].exact.shape, found.at) << " is "
         << found.got << ", expected " << found.expected << " (allowed " << found.bound << ")";
    return text.str();
  }
  return "";
}

namespace {

struct Bytes {
  rt::NewTensor tensor;
  std::vector<char> data;
};

void write(const std::string &path,
           const std::vector<std::pair<std::string, const Values *>> &list) {
  std::vector<Bytes> all;
  for (auto &[name, values] : list) {
    Bytes bytes;
    bytes.tensor.name = name;
    bytes.tensor.shape = values->shape;
    auto append = [&](auto value) {
      auto *from = reinterpret_cast<const char *>(&value);
      bytes.data.insert(bytes.data.end(), from, from + sizeof value);
    };
    if (values->type == Type::Float) {
      bytes.tensor.type = rt::Dtype::F32;
      for (double v : values->floats)
        append(static_cast<float>(v));
    } else if (values->type == Type::Int) {
      bytes.tensor.type = rt::Dtype::I64;
      for (int64_t v : values->ints)
        append(v);
    } else {
      bytes.tensor.type = rt::Dtype::Bool;
      for (int64_t v : values->ints)
        append(static_cast<uint8_t>(v));
    }
    all.push_back(std::move(bytes));
  }
  std::vector<rt::NewTensor> tensors;
  for (Bytes &bytes : all) {
    tensors.push_back(bytes.tensor);
    tensors.back().data = bytes.data.data();
  }
  qkv_error error = {};
  error.size = sizeof error;
  if (!rt::writeSafetensors(path, tensors, &error))
    throw std::runtime_error(error.text);
}

} // namespace

void writeInputs(const Program &program, const Trial &trial, const std::string &path) {
  std::vector<std::pair<std::string, const Values *>> list;
  for (int number : program.inputs)
    list.emplace_back(program.tensors[number].name, &trial.inputs.at(number));
  write(path, list);
}

void writeWeights(const Program &program, const Trial &trial, const std::string &path) {
  std::vector<std::pair<std::string, const Values *>> list;
  std::vector<Values> slices;
  slices.reserve(10000);
  for (const auto &[number, values] : trial.params) {
    const StoredForm &source = program.tensors[number].param.stored[0];
    if (source.stacked.empty()) {
      list.emplace_back(source.names[0], &values);
      continue;
    }
    // Only leading letters are stacked in the tests' models: a slice for each name.
    size_t count = values.floats.size() / source.names.size();
    for (size_t i = 0; i < source.names.size(); ++i) {
      Values slice;
      slice.type = Type::Float;
      slice.shape.assign(values.shape.begin() + static_cast<long>(source.stacked.size()),
                         values.shape.end());
      slice.floats.assign(values.floats.begin() + static_cast<long>(i * count),
                          values.floats.begin() + static_cast<long>((i + 1) * count));
      list.emplace_back(source.names[i], &slices.emplace_back(std::move(slice)));
    }
  }
  write(path, list);
}

Computed readResults(const Program &program, const std::string &path) {
  Computed computed;
  qkv_error error = {};
  error.size = sizeof error;
  auto file = rt::Safetensors::open(path, &error);
  if (!file) {
    computed.failure = error.text;
    return computed;
  }
  for (const Result &result : program.results) {
    const rt::FileTensor *tensor = file->find(result.name);
    if (!tensor) {
      computed.failure = "no result " + result.name;
      return computed;
    }
    Values values;
    values.type = program.tensors[result.tensor].type;
    values.shape = tensor->shape;
    int type = values.type == Type::Float ? QKV_FLOAT
               : values.type == Type::Int ? QKV_INT
                                          : QKV_BOOL;
    if (tensor->type != rt::storedType(type)) {
      computed.failure = "result " + result.name + " has type " + tensor->typeName;
      return computed;
    }
    for (int64_t i = 0; i < tensor->count(); ++i) {
      float f;
      int64_t n;
      if (type == QKV_FLOAT)
        memcpy(&f, tensor->data + i * 4, 4), values.floats.push_back(f);
      else if (type == QKV_INT)
        memcpy(&n, tensor->data + i * 8, 8), values.ints.push_back(n);
      else
        values.ints.push_back(static_cast<uint8_t>(tensor->data[i]));
    }
    computed.results.push_back(std::move(values));
  }
  return computed;
}

Folder::Folder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "qkv-test-XXXXXX").string();
  path_ = mkdtemp(pattern.data());
}
Folder::~Folder() { std::filesystem::remove_all(path_); }

Ran run(const std::string &command, const std::string &input) {
  Folder folder;
  writeFile(folder / "in", input);
  // A command that waits for its shell's redirections to be its own.
  std::string shell = "{ " + command + " ; } < '" + (folder / "in") + "' > '" + (folder / "out") +
                      "' 2> '" + (folder / "err") + "'";
  int status = system(shell.c_str());
  Ran ran;
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  ran.out = readFile(folder / "out");
  ran.err = readFile(folder / "err");
  return ran;
}

std::string readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void writeFile(const std::string &path, const std::string &text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
}

std::vector<std::string> filesIn(const std::string &folder, const std::string &tail) {
  std::vector<std::string> out;
  for (const auto &entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().string().ends_with(tail))
      out.push_back(entry.path().string());
  std::sort(out.begin(), out.end());
  return out;
}

} // namespace qkv::test
