// In: what the functions of a built model's header are given (compiler/description/Header.h). Out:
// opened models, runs. Holds: nothing is global; sessions of one model run at the same time; no
// argument is read beyond the size that its caller gave it.
#include "runtime/tensors/CInterface.h"
#include "runtime/CutFiles.h"
#include "runtime/Error.h"
#include "runtime/Threads.h"
#include "runtime/tensors/Entries.h"
#include "runtime/tensors/Run.h"

#include <cstring>
#include <dlfcn.h>
#include <link.h>
#include <string>
#include <vector>

using namespace qkv::rt;

/// The library that holds the model; empty for the program itself, whose file the kernel knows.
static std::string fileOf(const qkv_model *model) {
  Dl_info info;
  link_map *map = nullptr;
  if (!dladdr1(model, &info, reinterpret_cast<void **>(&map), RTLD_DL_LINKMAP) || !map)
    return "";
  return map->l_name;
}

extern "C" qkv_handle *qkv_open(const qkv_model *model, const char *weights, qkv_error *error) {
  if (!checkModel(*model, error) || !checkThreads(error))
    return nullptr;
  outliveCutFiles();
  std::string self = fileOf(model);
  qkv_weights *opened =
      qkv_weights_open(model, weights, self.empty() ? nullptr : self.c_str(), error);
  return opened ? new qkv_handle{model, opened} : nullptr;
}

extern "C" void qkv_close(qkv_handle *handle) {
  if (!handle)
    return;
  qkv_weights_close(handle->weights);
  delete handle;
}

extern "C" qkv_session *qkv_session_open(const qkv_handle *handle, qkv_error *error) {
  if (handle)
    return new qkv_session{handle};
  fail(error, "the model is null: it was not opened");
  return nullptr;
}

extern "C" void qkv_session_close(qkv_session *session) { delete session; }

namespace qkv::rt {

bool readArguments(const qkv_model &model, const void *given, bool begins, Arguments &out,
                   qkv_error *error) {
  if (!given)
    return fail(error, "the arguments are null");
  // Word 0 is the struct's own size; the words behind it are read one by one, since they are
  // numbers and pointers in turn.
  auto *words = static_cast<const char *>(given);
  size_t size;
  memcpy(&size, words, sizeof size);
  size_t required = (1 + static_cast<size_t>(model.size_count) + model.input_count) * 8;
  if (size < required)
    return fail(error, format("the arguments' size is %zu, expected at least %zu: set its member "
                              "size to sizeof the struct",
                              size, required));
  size_t at = 8;
  auto next = [&](void *to) {
    memset(to, 0, 8);
    if (at + 8 <= size)
      memcpy(to, words + at, 8);
    at += 8;
  };
  out.sizes.resize(model.size_count);
  for (int32_t i = 0; i < model.size_count; ++i) {
    next(&out.sizes[i]);
    if (begins && model.sizes[i].stream)
      continue; // no position is there yet
    if (out.sizes[i] < model.sizes[i].min || out.sizes[i] > model.sizes[i].max)
      return fail(error, format("size %s is %lld, expected %lld to %lld [A4]", model.sizes[i].name,
                                static_cast<long long>(out.sizes[i]),
                                static_cast<long long>(model.sizes[i].min),
                                static_cast<long long>(model.sizes[i].max)));
  }
  out.inputs.resize(model.input_count);
  out.results.resize(model.result_count);
  for (int32_t i = 0; i < model.input_count; ++i) {
    next(&out.inputs[i]);
    if (!out.inputs[i] && !begins)
      return fail(error, format("input %s is null", model.inputs[i].name));
  }
  for (void *&result : out.results)
    next(&result);
  return true;
}

} // namespace qkv::rt

/// `sequences` is for entries that take their number.
static int runSession(qkv_session *session, qkv_entry_kind kind, int64_t sequences,
                      const void *given, qkv_error *error) {
  if (!session)
    return fail(error, "the session is null"), -1;
  const qkv_model &model = *session->handle->model;
  Arguments arguments;
  if (!readArguments(model, given, /*begins=*/false, arguments, error))
    return -1;
  auto &[sizes, inputs, results] = arguments;
  const qkv_entry *entry = findEntry(model, kind);
  if (!entry)
    return failLacking(model, kind, error), -1;
  std::vector<int64_t> numbers;
  std::vector<void *> from, to;
  for (int32_t i = 0; i < entry->argument_count; ++i) {
    const qkv_argument &argument = entry->arguments[i];
    switch (static_cast<qkv_argument_kind>(argument.kind)) {
    case QKV_SEQUENCES:
      numbers.push_back(sequences);
      break;
    case QKV_SIZE:
      numbers.push_back(sizes[argument.index]);
      break;
    case QKV_INPUT:
      from.push_back(inputs[argument.index]);
      break;
    case QKV_PARAMS:
      break;        // the weights
    case QKV_TABLE: // sequences have no arguments of their own here
    case QKV_OWN_SIZE:
    case QKV_OWN_INPUT:
    case QKV_OWN_RESULT:
      return failLacking(model, kind, error), -1;
    case QKV_RESULT:
    case QKV_LAST_POSITION:
      to.push_back(results[argument.index]);
      break;
    }
  }
  return qkv_run(&model, kind, session->handle->weights, numbers.data(), from.data(), to.data(),
                 error);
}

extern "C" int qkv_session_run(qkv_session *session, const void *arguments, qkv_error *error,
                               qkv_entry_kind entry) {
  return runSession(session, entry, 1, arguments, error);
}

extern "C" int qkv_session_run_batch(qkv_session *session, int64_t sequences, const void *arguments,
                                     qkv_error *error, qkv_entry_kind entry) {
  return runSession(session, entry, sequences, arguments, error);
}
