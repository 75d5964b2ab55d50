// In: arbitrary bytes from libFuzzer. Out: nothing. Holds: reading them as safetensors, as an index
// and as a packed file neither crashes nor reads outside.
#include "runtime/checkpoint/Json.h"
#include "runtime/checkpoint/Weights.h"

using namespace qkv::rt;

static int touch(const char *data, size_t bytes) { return bytes ? data[0] + data[bytes - 1] : 0; }

static void describe(const qkv_model *, const int64_t *, int64_t *) {}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const int64_t shape[] = {2, 3};
  static const char *const names[] = {"a"};
  static const qkv_stored stored[] = {{"", names, nullptr, 1, 0, "", ""}};
  static const qkv_param params[] = {
      {"a", 2, 1, shape, stored, 0, 0, 1, 1, 1, 0.0, "m.qkv", {QKV_F32, 1, 4, 0, 0, 0}}};
  qkv_model model = {};
  model.size = sizeof model;
  model.abi = QKV_ABI;
  model.name = "m";
  model.file = "m.qkv";
  model.param_count = 1;
  model.params = params;
  model.shapes = describe;
  volatile int sum = 0;
  qkv_error error = {};
  error.size = sizeof error;
  if (auto file = Safetensors::fromBytes(data, size, "file", &error)) {
    for (auto &tensor : file->tensors())
      sum = sum + touch(tensor.data, tensor.bytes);
    qkv_weights weights;
    if (resolveParams(model, *file, weights, &error))
      sum = sum + touch(static_cast<char *>(weights.params[0]), 24);
  }
  qkv_weights packed;
  size_t offset = 0;
  if (packed.packed.copy(data, size) &&
      (isPacked(packed.packed, 0) || findAppended(packed.packed, offset)) &&
      openPacked(model, packed, offset, "packed", &error))
    sum = sum + touch(static_cast<char *>(packed.params[0]), 24);
  std::vector<std::pair<std::string, std::string>> map;
  std::string why;
  auto *text = reinterpret_cast<const char *>(data);
  parseIndex(text, text + size, map, why);
  std::vector<std::optional<std::string>> values;
  parseSettings({text, size}, {"a", "a.b.0"}, values, why);
  return 0;
}
