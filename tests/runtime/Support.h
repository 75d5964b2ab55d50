// In: what tests say in few words. Out: models in memory, files in a folder of the test's own,
// programs run to their end. Holds: all of it is gone when the test is.
#pragma once

#include "runtime/Held.h"
#include "runtime/program/Program.h"

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace qkv::rt {

/// A folder that is removed with all that is in it.
class TestFolder {
public:
  TestFolder();
  ~TestFolder();
  std::string operator/(const std::string &name) const { return path + "/" + name; }
  std::string path;
};

void writeFile(const std::string &path, const std::string &bytes);
std::string readFile(const std::string &path);
std::vector<std::string> namesIn(const std::string &folder);

/// A safetensors file: the header as given, then the data.
std::string safetensorsBytes(const std::string &header, const std::string &data);

/// A GGUF file made piece by piece, as true or as false as a test wants it.
class GgufBytes {
public:
  uint32_t version = 3, alignment = 32;
  /// A key: the number of its type, then its bytes.
  GgufBytes &key(const std::string &name, uint32_t type, const std::string &bytes);
  GgufBytes &text(const std::string &name, const std::string &value);
  GgufBytes &list(const std::string &name, uint32_t type, uint64_t count, const std::string &bytes);
  /// A tensor (extents with the fastest first) whose bytes stand behind those of the last one.
  GgufBytes &tensor(const std::string &name, const std::vector<int64_t> &extents, uint32_t type,
                    const std::string &bytes);
  /// One that says where its bytes are.
  GgufBytes &tensorAt(const std::string &name, const std::vector<int64_t> &extents, uint32_t type,
                      uint64_t offset);
  std::string bytes() const;
  static std::string string(const std::string &text);

private:
  std::string keys, tensors, data;
  int64_t keyCount = 0, tensorCount = 0;
};

/// The bytes of values.
template <typename T> std::string bytesOf(const std::vector<T> &values) {
  return {reinterpret_cast<const char *>(values.data()), values.size() * sizeof(T)};
}

struct Finished {
  int code = -1; // 128 + signal where one ended it
  std::string out, err;
  int64_t microseconds = 0; // of processor time: a busy machine does not count
};
/// Runs a program with this standard input.
Finished runCommand(const std::vector<std::string> &arguments, const std::string &input = "");

/// The bytes of one number.
template <typename T> std::string numberBytes(T value) {
  return {reinterpret_cast<const char *>(&value), sizeof value};
}

/// Changes a few bytes of what is to be read, or cuts it; most changes fall into the first `head`.
void mutate(std::string &bytes, std::mt19937 &random, size_t head);

/// An error to be filled.
inline qkv_error emptyError() {
  qkv_error error = {};
  error.size = sizeof error;
  return error;
}

/// How a format stores a parameter.
struct TestForm {
  std::string format;
  std::vector<std::string> names;
  std::vector<int32_t> stacked = {};
  std::string place = {}, value = {};
};

/// What was read from a configuration.
struct TestSetting {
  const char *key, *value, *fallback;
  std::vector<qkv_format_key> keys = {};
};

/// A parameter in words.
struct TestParam {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<std::string> names = {};
  std::vector<int32_t> stacked = {};
  int32_t fallback = 0, fallbackParam = 0;
  double fallbackNumber = 0;
  qkv_held held = heldAs(QKV_F32);
  std::string place = {}, value = {};
  std::vector<TestForm> forms = {}; ///< of other formats
};

/// An input or a result: its axes as (letter, size or -1, extent where the size is -1).
struct TestAxis {
  std::string letter;
  int32_t size = -1;
  int64_t extent = 0;
};
struct TestValue {
  std::string name;
  int32_t type = QKV_FLOAT;
  std::vector<TestAxis> axes = {};
};

/// A model in memory whose entry is a function.
class TestModel {
public:
  using Entry = std::function<void(qkv_context *, const int64_t *sizes, void *const *inputs,
                                   void *const *params, void *const *results)>;
  std::vector<TestParam> params;
  std::vector<TestValue> inputs, results;
  std::vector<qkv_size> sizes;
  std::vector<qkv_site> sites;
  std::vector<TestSetting> settings;
  Entry entry, entryLast;

  /// The description, made anew.
  const qkv_model &model();
  qkv_model description = {};

private:
  std::vector<qkv_param> cParams;
  std::vector<qkv_value> cInputs, cResults;
  std::vector<std::unique_ptr<std::vector<const char *>>> names;
  std::vector<std::unique_ptr<std::vector<qkv_stored>>> stored;
  std::vector<std::unique_ptr<std::vector<TestForm>>> forms;
  std::vector<qkv_setting> cSettings;
  std::vector<std::unique_ptr<std::vector<qkv_axis>>> axes;
  std::vector<qkv_argument> whole, last;
  std::vector<qkv_entry> entries;
};

} // namespace qkv::rt
