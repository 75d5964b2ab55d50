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
  const streams::Stream &parts = out->stream_;
  auto make = [&](const Program &program, Part &part) {
    if (!program.results.empty())
      part.code = compiled(program, options, error);
    return program.results.empty() || part.code;
  };
  bool made = make(parts.step, out->step_) && (!parts.closes || make(parts.last, out->last_)) &&
              make(parts.session, out->session_);
  return made ? std::move(out) : nullptr;
}

bool CompiledStream::open(const std::string &weights, qkv_error *error) {
  const char *path = weights.empty() ? nullptr : weights.c_str();
  for (Part *part : {&step_, &last_, &session_}) {
    if (!part->code || part->code->model().param_count == 0)
      continue;
    part->weights.reset(qkv_weights_open(&part->code->model(), path, nullptr, error));
    if (!part->weights)
      return false;
  }
  return true;
}

} // namespace qkv::driver
