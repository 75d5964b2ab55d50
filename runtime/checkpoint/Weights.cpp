// In: a model's description and safetensors. Out: a pointer to each parameter as it is held. Holds:
// what lies in the file as it is held is used in place; all else is converted once, tensor by
// tensor, in parallel, and the file's pages behind it are let go.
#include "runtime/checkpoint/Weights.h"

#include "runtime/Error.h"
#include "runtime/Threads.h"
#include "runtime/checkpoint/Panels.h"
#include "runtime/checkpoint/ReadStored.h"

#include <algorithm>
#include <cstring>

qkv_weights::~qkv_weights() {
  for (void *memory : owned)
    qkv_free(memory);
}

namespace qkv::rt {

bool shapeFits(const std::vector<int64_t> &wanted, const std::vector<int64_t> &found) {
  // With the ones gone each extent of the file is a product of the next letters, in one way only.
  size_t next = 0;
  for (int64_t extent : found) {
    if (extent == 1)
      continue;
    int64_t product = 1;
    while (next < wanted.size() && (product < extent || wanted[next] == 1))
      if (__builtin_mul_overflow(product, wanted[next++], &product))
        return false;
    if (product != extent)
      return false;
  }
  while (next < wanted.size() && wanted[next] == 1)
    ++next;
  return next == wanted.size();
}

bool failParam(qkv_error *error, const qkv_param &param, const std::string &text) {
  return failAt(error, param.file, param.line, param.column, param.length,
                format("parameter %s: ", param.name) + text);
}

namespace {

/// A sentence for a shape that would fit with its axes in another order.
std::string transposeHint(const std::vector<int64_t> &wanted, std::vector<int64_t> found) {
  std::vector<int64_t> original = found;
  found.erase(std::remove(found.begin(), found.end(), 1), found.end());
  if (found.size() < 2 || found.size() > 5)
    return "";
  std::vector<int64_t> turned(found.rbegin(), found.rend());
  bool fits = shapeFits(wanted, turned);
  std::sort(found.begin(), found.end());
  for (bool more = !fits; more && !fits; more = std::next_permutation(found.begin(), found.end()))
    if ((fits = shapeFits(wanted, found))) {
      turned = found;
      break;
    }
  return fits ? format("; transposed to %s it would fit: write the letters in the order of the "
                       "checkpoint",
                       shapeText(turned).c_str())
              : "";
}

bool checkTensor(const qkv_param &param, const qkv_stored &stored, const FileTensor &tensor,
                 const Checkpoint &file, qkv_error *error) {
  if (!accepts(QKV_FLOAT, tensor.type))
    return failParam(error, param,
                     format("tensor %s in %s is of type %s, expected %s [T1]",
                            quote(tensor.name).c_str(), file.path().c_str(),
                            quote(tensor.typeName).c_str(), acceptedText(QKV_FLOAT)));
  std::string wanted;
  if (storedFits(param, stored, tensor.shape, wanted))
    return true;
  return failParam(
      error, param,
      format("tensor %s in %s has shape %s, expected %s", quote(tensor.name).c_str(),
             file.path().c_str(), shapeText(tensor.shape).c_str(), wanted.c_str()) +
          (*stored.place ? "" : transposeHint(namedShape(param, stored), tensor.shape)));
}

void *own(qkv_weights &weights, size_t bytes) {
  weights.owned.push_back(qkv_alloc(bytes));
  return weights.owned.back();
}

void *ownFloats(qkv_weights &weights, int64_t count) { return own(weights, count * sizeof(float)); }

void *ownHeld(qkv_weights &weights, const qkv_param &param) {
  void *part = weights.held.take(heldBytes(param));
  return part ? part : own(weights, heldBytes(param));
}

/// A parameter as it is held, made of row-major f32. If that is the last memory of ours, it goes.
void *holdParam(const qkv_param &param, void *plain, qkv_weights &weights) {
  if (heldPlain(param.held))
    return plain;
  bool ours = !weights.owned.empty() && weights.owned.back() == plain;
  if (ours)
    weights.owned.pop_back();
  void *held = ownHeld(weights, param);
  writeHeld(param, static_cast<const float *>(plain), held);
  if (ours)
    qkv_free(plain);
  return held;
}

/// The parameter as it is held, made of its tensors: some rows at a time, so that nothing else is
/// as large, and the file's pages behind them are let go.
void *convert(const qkv_param &param, const qkv_stored &stored,
              const std::vector<const FileTensor *> &tensors, const Checkpoint &file,
              qkv_weights &weights) {
  constexpr int64_t some = int64_t(1) << 21; // elements
  bool plain = heldPlain(param.held);
  int64_t count = elementCount(shapeOf(param)), rows = param.rank ? param.shape[0] : 1;
  void *held = plain ? ownFloats(weights, count) : ownHeld(weights, param);
  if (count == 0)
    return held;
  int64_t size = count / rows, once = rowsAtOnce(param, stored, tensors, rowsOfPanel(param), some);
  // What stands in the file as it is read here needs no room.
  bool inFile = storedPlain(stored) && sameBytes(QKV_FLOAT, tensors[0]->type) &&
                reinterpret_cast<uintptr_t>(tensors[0]->data) % alignof(float) == 0;
  auto *room =
      plain || inFile ? nullptr : static_cast<float *>(qkv_alloc(once * size * sizeof(float)));
  for (int64_t begin = 0; begin < rows; begin += once) {
    int64_t end = std::min(begin + once, rows);
    float *to = plain ? static_cast<float *>(held) + begin * size : room;
    const float *from = to;
    if (inFile && !plain)
      from = reinterpret_cast<const float *>(tensors[0]->data) + begin * size;
    else
      readRows(param, stored, tensors, begin, end, to);
    if (!plain)
      writeHeldRows(param, from, held, begin, end);
    if (FileTensor read = bytesOfRows(param, stored, tensors, begin, end); read.bytes)
      file.forget(read);
  }
  if (room)
    qkv_free(room);
  return held;
}

/// The parameter's own tensors; null (all is well) if there are none and it has a fallback.
bool readParam(const qkv_param &param, const Checkpoint &file, qkv_weights &weights, void *&pointer,
               std::vector<std::string_view> &missing, int64_t &firstMissing, int32_t index,
               qkv_error *error) {
  const qkv_stored &stored = storedIn(param, file.formatName());
  if (std::string what = storedDefect(param, stored); !what.empty())
    return failParam(error, param, what);
  std::vector<const FileTensor *> tensors;
  std::vector<std::string_view> absent;
  for (int32_t k = 0; k < stored.name_count; ++k) {
    if (const FileTensor *tensor = file.find(stored.names[k]))
      tensors.push_back(tensor);
    else
      absent.push_back(stored.names[k]);
  }
  if (tensors.empty() && param.fallback) {
    weights.origins[index].absent = true;
    return true;
  }
  if (!absent.empty()) {
    if (firstMissing < 0)
      firstMissing = index;
    missing.insert(missing.end(), absent.begin(), absent.end());
    return true;
  }
  for (const FileTensor *tensor : tensors)
    if (!checkTensor(param, stored, *tensor, file, error))
      return false;
  // Once something is missing nothing will run: only the names still matter.
  if (!missing.empty())
    return true;
  weights.origins[index].shape = tensors[0]->shape;
  if (heldPlain(param.held) && storedPlain(stored) && sameBytes(QKV_FLOAT, tensors[0]->type) &&
      reinterpret_cast<uintptr_t>(tensors[0]->data) % alignof(float) == 0) {
    pointer = const_cast<char *>(tensors[0]->data);
    return true;
  }
  pointer = convert(param, stored, tensors, file, weights);
  for (const FileTensor *tensor : tensors)
    file.forget(*tensor);
  return true;
}

bool failMissing(const qkv_model &model, const Checkpoint &file,
                 const std::vector<std::string_view> &missing, int64_t firstMissing,
                 qkv_error *error) {
  const qkv_param &param = model.params[firstMissing];
  std::string names;
  for (size_t i = 0; i < missing.size() && i < 8; ++i) {
    names += (i ? ", " : "") + quote(missing[i]);
    if (const FileTensor *near = file.nearest(missing[i]))
      names += format(" (did you mean %s?)", quote(near->name).c_str());
  }
  if (missing.size() > 8)
    names += format(" and %zu more", missing.size() - 8);
  if (missing.size() == 1)
    return failParam(error, param,
                     format("%s has no tensor %s", file.path().c_str(), names.c_str()));
  return failAt(error, param.file, param.line, param.column, param.length,
                format("%s lacks %zu tensors of parameters: %s", file.path().c_str(),
                       missing.size(), names.c_str()));
}

/// What stands in for an absent parameter: a number, or another parameter (which may itself be
/// absent and have a fallback).
bool fallBack(const qkv_model &model, int32_t index, qkv_weights &weights, qkv_error *error) {
  int32_t from = index;
  for (int32_t steps = 0; !weights.params[from] && model.params[from].fallback == 1; ++steps) {
    int32_t next = model.params[from].fallback_param;
    if (next < 0 || next >= model.param_count || steps > model.param_count)
      return failParam(error, model.params[index], "its fallback leads nowhere");
    from = next;
  }
  int64_t count = elementCount(shapeOf(model.params[index]));
  if (elementCount(shapeOf(model.params[from])) != count)
    return failParam(error, model.params[index],
                     format("its fallback %s has shape %s, expected %s", model.params[from].name,
                            shapeText(shapeOf(model.params[from])).c_str(),
                            shapeText(shapeOf(model.params[index])).c_str()));
  if (!weights.params[from]) {
    auto *filled = static_cast<float *>(ownFloats(weights, count));
    std::fill_n(filled, count, static_cast<float>(model.params[from].fallback_number));
    weights.params[from] = holdParam(model.params[from], filled, weights);
  }
  if (!heldAlike(model.params[from].held, model.params[index].held))
    return failParam(error, model.params[index],
                     format("its fallback %s is held in another way", model.params[from].name));
  weights.params[index] = weights.params[from];
  return true;
}

} // namespace

bool resolveParams(const qkv_model &model, const Checkpoint &file, qkv_weights &weights,
                   qkv_error *error) {
  weights.params.assign(model.param_count, nullptr);
  weights.origins.assign(model.param_count, {});
  weights.format = file.formatName();
  std::vector<std::string_view> missing;
  int64_t firstMissing = -1;
  size_t room = 0;
  for (int32_t i = 0; i < model.param_count; ++i) {
    const qkv_param &param = model.params[i];
    if (heldBytes(param) < 0 || param.rank > 64)
      return failParam(error, param,
                       format("its shape %s is too large", shapeText(shapeOf(param)).c_str()));
    if (!heldPlain(param.held))
      room += heldBytes(param) + 64; // of the alignment
  }
  weights.held.reserve(room);
  for (int32_t i = 0; i < model.param_count; ++i) {
    const qkv_param &param = model.params[i];
    if (!readParam(param, file, weights, weights.params[i], missing, firstMissing, i, error))
      return false;
  }
  if (!missing.empty())
    return failMissing(model, file, missing, firstMissing, error);
  return fallBackAll(model, weights, error);
}

bool fallBackAll(const qkv_model &model, qkv_weights &weights, qkv_error *error) {
  for (int32_t i = 0; i < model.param_count; ++i)
    if (!weights.params[i] && !fallBack(model, i, weights, error))
      return false;
  return true;
}

} // namespace qkv::rt
