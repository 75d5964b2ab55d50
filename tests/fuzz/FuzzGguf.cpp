// In: arbitrary bytes from libFuzzer. Out: nothing. Holds: reading them as GGUF neither crashes nor
// reads outside, nor asks for more memory than the bytes are worth.
#include "runtime/checkpoint/Gguf.h"

#include <algorithm>

using namespace qkv::rt;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  FileBytes file;
  if (!file.copy(data, size) || !isGguf(file))
    return 0;
  qkv_error error = {};
  error.size = sizeof error;
  auto checkpoint = Gguf::fromFile(std::move(file), "file", &error);
  if (!checkpoint)
    return 0;
  volatile double sum = static_cast<double>(configurationText(checkpoint->metadata()).size());
  for (const FileTensor &tensor : checkpoint->tensors()) {
    if (!tensor.bytes || !accepts(QKV_FLOAT, tensor.type))
      continue;
    std::vector<float> values(tensor.count());
    convertElements(QKV_FLOAT, values.data(), tensor.type, tensor.data, tensor.count());
    sum = sum + values.front() + values.back();
  }
  return 0;
}
