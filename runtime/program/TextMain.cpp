// The main functions of programs around generators, and of those that can trace: with tokenizers
// and grammars, which take more room than the rest of the runtime.
#include "runtime/program/Program.h"
#include "runtime/tokenize/CheckpointText.h"

static qkv::rt::Options withText() {
  qkv::rt::Options options;
  options.readTokens = qkv::rt::readTextTokens;
  options.generation.readForm = qkv::rt::openConstraint;
  return options;
}

extern "C" int qkv_text_main(const qkv_model *model, int argc, char **argv) {
  return qkv::rt::runMain(*model, argc, argv, withText());
}

extern "C" int qkv_trace_main(const qkv_model *model, int argc, char **argv,
                              const qkv_model *trace) {
  qkv::rt::Options options = withText();
  options.traced = trace;
  return qkv::rt::runMain(*model, argc, argv, std::move(options));
}
