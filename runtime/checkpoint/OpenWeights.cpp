// In: a path, or only the program that runs. Out: opened weights of a model. Holds: the lookup
// order is the given path, else inside the program, else `<program>.weights` beside it.
#include "runtime/Abi.h"
#include "runtime/checkpoint/Weights.h"

#include <algorithm>
#include <climits>
#include <cstring>
#include <unistd.h>

using namespace qkv::rt;

static bool openPath(const qkv_model &model, const std::string &path, qkv_weights &weights,
                     qkv_error *error) {
  weights.place = path;
  if (path != "-" && !isFolder(path)) {
    if (!weights.packed.open(path, error))
      return false;
    size_t offset = 0;
    if (isPacked(weights.packed, 0) || findAppended(weights.packed, offset))
      return openPacked(model, weights, offset, path, error);
    weights.packed = FileBytes();
  }
  weights.source = Checkpoint::open(path, error);
  if (!weights.source || !findConfiguration(path, weights.configuration, error) ||
      !checkSettings(model, weights.configuration, error) ||
      !resolveParams(model, *weights.source, weights, error) || !checkIntact(weights, error))
    return false;
  // Where all was converted, the file is needed no more.
  if (std::none_of(weights.params.begin(), weights.params.end(),
                   [&](const void *param) { return weights.source->holds(param); }))
    weights.source.reset();
  return true;
}

bool qkv::rt::checkIntact(const qkv_weights &weights, qkv_error *error) {
  bool good = weights.source ? weights.source->intact() : weights.packed.intact();
  return good || failFile(error, weights.place,
                          "the weights were written to or cut short while they were in use: open "
                          "them again");
}

/// The file of the program that runs. A name without a folder came from the search path, so only
/// the kernel knows which file it was.
static std::string programPath(const char *self) {
  if (self && strchr(self, '/'))
    return self;
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  return length > 0 && length < PATH_MAX ? std::string(path, length)
                                         : std::string(self ? self : "");
}

/// Weights inside or beside the program.
static bool openBeside(const qkv_model &model, const char *self, qkv_weights &weights,
                       qkv_error *error) {
  std::string program = programPath(self);
  std::string beside = program + ".weights";
  size_t offset = 0;
  if (!program.empty() && weights.packed.open(program, nullptr) &&
      findAppended(weights.packed, offset)) {
    weights.place = program;
    return openPacked(model, weights, offset, program, error);
  }
  weights.packed = FileBytes();
  if (exists(beside))
    return openPath(model, beside, weights, error);
  return fail(error, format("model %s has parameters, but there are no weights: none are inside "
                            "%s, and there is no %s; name them with --weights",
                            model.name, program.c_str(), beside.c_str()));
}

extern "C" qkv_weights *qkv_weights_open(const qkv_model *model, const char *path, const char *self,
                                         qkv_error *error) {
  if (!checkAbi(*model, error))
    return nullptr;
  auto *weights = new qkv_weights;
  bool done = true;
  if (path)
    done = openPath(*model, path, *weights, error);
  else if (model->param_count > 0)
    done = openBeside(*model, self, *weights, error);
  if (done)
    return weights;
  delete weights;
  return nullptr;
}

extern "C" void qkv_weights_close(qkv_weights *weights) { delete weights; }

extern "C" void *const *qkv_weights_params(const qkv_weights *weights) {
  return weights->params.data();
}
