// A step's code. In: its equations. Out: CompiledStream.h.
#include "tools/qkv/CompiledStream.h"

namespace qkv::driver {

static std::unique_ptr<JitModel> compiled(const Program &program, const ModelOptions &options,
                                          std::string &error) {
  std::unique_ptr<Compilation> compilation = Compilation::begin(
      program, options.cpu, error,
      {.batch = options.batch, .element = elementOf(options), .fuse = !options.unfused});
  std::unique_ptr<NativeModule> native = compilation ? compilation->native(error) : nullptr;
  return native ? JitModel::create(std::move(native), options.cpu, error) : nullptr;
}

std::unique_ptr<CompiledStream>
CompiledStream::create(streams::Stream stream, const ModelOptions &options, std::string &error) {
  auto out = std::make_unique<CompiledStream>();
  out->stream_ = std::move(stream);
  if (!(out->step_ = compiled(out->stream_.step, options, error)))
    return nullptr;
  if (!out->stream_.session.results.empty() &&
      !(out->session_ = compiled(out->stream_.session, options, error)))
    return nullptr;
  return out;
}

bool CompiledStream::open(const std::string &weights, qkv_error *error) {
  const char *path = weights.empty() ? nullptr : weights.c_str();
  auto open = [&](JitModel *part, Weights &into) {
    if (!part || part->model().param_count == 0)
      return true;
    into.reset(qkv_weights_open(&part->model(), path, nullptr, error));
    return into != nullptr;
  };
  return open(step_.get(), stepWeights_) && open(session_.get(), sessionWeights_);
}

} // namespace qkv::driver
