// The main function of a program around a generator: with tokenizers, which take as much room as
// the rest of the runtime.
#include "runtime/program/Program.h"
#include "runtime/tokenize/CheckpointText.h"

extern "C" int qkv_text_main(const qkv_model *model, int argc, char **argv) {
  qkv::rt::Options options;
  options.readTokens = qkv::rt::readTextTokens;
  return qkv::rt::runMain(*model, argc, argv, std::move(options));
}
