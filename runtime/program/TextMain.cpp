// The main functions of programs around generators, and of those that can trace: with tokenizers,
// which take as much room as the rest of the runtime.
#include "runtime/program/Program.h"
#include "runtime/tokenize/CheckpointText.h"

extern "C" int qkv_text_main(const qkv_model *model, int argc, char **argv) {
  qkv::rt::Options options;
  options.readTokens = qkv::rt::readTextTokens;
  return qkv::rt::runMain(*model, argc, argv, std::move(options));
}

extern "C" int qkv_trace_main(const qkv_model *model, int argc, char **argv,
                              const qkv_model *trace) {
  qkv::rt::Options options;
  options.readTokens = qkv::rt::readTextTokens;
  options.traced = trace;
  return qkv::rt::runMain(*model, argc, argv, std::move(options));
}
