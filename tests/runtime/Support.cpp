// In: what tests say in few words. Out: models in memory, files, finished programs. Holds: a
// program that never ends is the test's failure, by the time limit of ctest.
#include "Support.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace qkv::rt {

TestFolder::TestFolder() {
  char name[] = "/tmp/qkv-test-XXXXXX";
  path = mkdtemp(name);
}
TestFolder::~TestFolder() { std::filesystem::remove_all(path); }

void writeFile(const std::string &path, const std::string &bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), bytes.size());
}

std::string readFile(const std::string &path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::vector<std::string> namesIn(const std::string &folder) {
  std::vector<std::string> names;
  for (auto &entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

std::string safetensorsBytes(const std::string &header, const std::string &data) {
  std::string text;
  for (int i = 0; i < 8; ++i)
    text += static_cast<char>(header.size() >> (8 * i) & 255);
  return text + header + data;
}

void mutate(std::string &bytes, std::mt19937 &random, size_t head) {
  static const char *const pieces[] = {
      "9223372036854775807",  "-1",   "[", "]", "{",      "}", "\"", "1e99",
      "18446744073709551616", "null", ",", ":", "\\u0000"};
  for (int edits = 1 + random() % 3; edits > 0 && !bytes.empty(); --edits) {
    size_t at = random() % std::min(bytes.size(), head + 8);
    switch (random() % 5) {
    case 0:
      bytes[at] = static_cast<char>(random());
      break;
    case 1:
      bytes[at] ^= 1 << random() % 8;
      break;
    case 2:
      bytes.resize(at);
      break;
    case 3:
      bytes.erase(at, 1 + random() % 4);
      break;
    default: {
      std::string piece = pieces[random() % (sizeof pieces / sizeof pieces[0])];
      bytes.replace(at, std::min(piece.size(), bytes.size() - at), piece);
    }
    }
  }
}

std::string GgufBytes::string(const std::string &text) {
  return numberBytes<uint64_t>(text.size()) + text;
}

GgufBytes &GgufBytes::key(const std::string &name, uint32_t type, const std::string &bytes) {
  keys += string(name) + numberBytes(type) + bytes;
  ++keyCount;
  return *this;
}

GgufBytes &GgufBytes::text(const std::string &name, const std::string &value) {
  return key(name, 8, string(value));
}

GgufBytes &GgufBytes::list(const std::string &name, uint32_t type, uint64_t count,
                           const std::string &bytes) {
  return key(name, 9, numberBytes(type) + numberBytes(count) + bytes);
}

GgufBytes &GgufBytes::tensorAt(const std::string &name, const std::vector<int64_t> &extents,
                               uint32_t type, uint64_t offset) {
  tensors += string(name) + numberBytes<uint32_t>(extents.size()) + bytesOf(extents) +
             numberBytes(type) + numberBytes(offset);
  ++tensorCount;
  return *this;
}

GgufBytes &GgufBytes::tensor(const std::string &name, const std::vector<int64_t> &extents,
                             uint32_t type, const std::string &bytes) {
  tensorAt(name, extents, type, data.size());
  data += bytes;
  data.resize((data.size() + alignment - 1) / alignment * alignment);
  return *this;
}

std::string GgufBytes::bytes() const {
  std::string all = "GGUF" + numberBytes(version) + numberBytes(tensorCount) +
                    numberBytes(keyCount) + keys + tensors;
  all.resize((all.size() + alignment - 1) / alignment * alignment);
  return all + data;
}

Finished runCommand(const std::vector<std::string> &arguments, const std::string &input) {
  TestFolder folder;
  writeFile(folder / "in", input);
  pid_t child = fork();
  if (child == 0) {
    dup2(open((folder / "in").c_str(), O_RDONLY), 0);
    dup2(open((folder / "out").c_str(), O_WRONLY | O_CREAT, 0600), 1);
    dup2(open((folder / "err").c_str(), O_WRONLY | O_CREAT, 0600), 2);
    std::vector<char *> argv;
    for (auto &argument : arguments)
      argv.push_back(const_cast<char *>(argument.c_str()));
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(127);
  }
  int status = 0;
  rusage usage = {};
  wait4(child, &status, 0, &usage);
  Finished finished;
  finished.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  finished.microseconds = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                          usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
  finished.out = readFile(folder / "out");
  finished.err = readFile(folder / "err");
  return finished;
}

static void writeShapes(const qkv_model *model, const int64_t *sizes, int64_t *extents) {
  auto *test = static_cast<TestModel *>(model->user);
  for (auto *values : {&test->inputs, &test->results})
    for (auto &value : *values)
      for (auto &axis : value.axes)
        *extents++ = axis.size >= 0 ? sizes[axis.size] : axis.extent;
}

static void runEntry(qkv_context *context, const int64_t *sizes, void *const *inputs,
                     void *const *params, void *const *results) {
  static_cast<TestModel *>(context->model->user)->entry(context, sizes, inputs, params, results);
}

static void runEntryLast(qkv_context *context, const int64_t *sizes, void *const *inputs,
                         void *const *params, void *const *results) {
  static_cast<TestModel *>(context->model->user)
      ->entryLast(context, sizes, inputs, params, results);
}

const qkv_model &TestModel::model() {
  cParams.clear();
  names.clear();
  stored.clear();
  forms.clear();
  cSettings.clear();
  for (auto &setting : settings)
    cSettings.push_back({setting.key, setting.value, setting.fallback, setting.keys.data(),
                         int32_t(setting.keys.size()), 0});
  axes.clear();
  for (auto &param : params) {
    auto &all = *forms.emplace_back(std::make_unique<std::vector<TestForm>>(param.forms));
    all.insert(all.begin(), {"", param.names, param.stacked, param.place, param.value});
    if (all[0].names.empty())
      all[0].names.push_back(param.name);
    auto &list = *stored.emplace_back(std::make_unique<std::vector<qkv_stored>>());
    for (auto &form : all) {
      auto &pointers = *names.emplace_back(std::make_unique<std::vector<const char *>>());
      for (auto &name : form.names)
        pointers.push_back(name.c_str());
      list.push_back({form.format.c_str(), pointers.data(), form.stacked.data(),
                      int32_t(pointers.size()), int32_t(form.stacked.size()), form.place.c_str(),
                      form.value.c_str()});
    }
    cParams.push_back({param.name.c_str(), int32_t(param.shape.size()), int32_t(list.size()),
                       param.shape.data(), list.data(), param.fallback, param.fallbackParam, 7, 9,
                       1, param.fallbackNumber, "test.qkv", param.held});
  }
  auto fill = [&](auto &from, auto &to) {
    to.clear();
    for (auto &value : from) {
      auto &list = *axes.emplace_back(std::make_unique<std::vector<qkv_axis>>());
      for (auto &axis : value.axes)
        list.push_back({axis.letter.c_str(), axis.size, 0});
      to.push_back({value.name.c_str(), value.type, 0, int32_t(list.size()), 0, list.data()});
    }
  };
  fill(inputs, cInputs);
  fill(results, cResults);
  description = {};
  description.size = sizeof description;
  description.abi = QKV_ABI;
  description.name = "test";
  description.file = "test.qkv";
  description.cpu = "";
  description.size_count = sizes.size();
  description.input_count = inputs.size();
  description.result_count = results.size();
  description.param_count = params.size();
  description.site_count = sites.size();
  description.generator_input = description.generator_source = -1;
  description.sizes = sizes.data();
  description.inputs = cInputs.data();
  description.results = cResults.data();
  description.params = cParams.data();
  description.sites = sites.data();
  description.setting_count = settings.size();
  description.settings = cSettings.data();
  description.shapes = writeShapes;
  whole.clear();
  for (auto [kind, count] : {std::pair(QKV_SIZE, sizes.size()), std::pair(QKV_INPUT, inputs.size()),
                             std::pair(QKV_PARAMS, size_t(!params.empty()))})
    for (size_t i = 0; i < count; ++i)
      whole.push_back({kind, int32_t(i)});
  last = whole;
  for (size_t i = 0; i < results.size(); ++i)
    whole.push_back({QKV_RESULT, int32_t(i)});
  last.push_back({QKV_LAST_POSITION, 0});
  entries = {{QKV_WHOLE, int32_t(whole.size()), whole.data(), runEntry}};
  if (entryLast)
    entries.push_back({QKV_LAST, int32_t(last.size()), last.data(), runEntryLast});
  description.entry_count = entries.size();
  description.entries = entries.data();
  description.user = this;
  return description;
}

} // namespace qkv::rt
