// In: bytes of prompts and source lines. Out: the bytes a generator answers with. Holds:
// language.md "Text" for models without a tokenizer: tokens are bytes, 256 stands before a stream,
// 257 ends it; a vocabulary below 258 goes without them.
#pragma once

#include "runtime/program/Program.h"

#include <string_view>

namespace qkv::rt {

/// A generator's whole job on text: prompts or source lines in, text out. The exit code.
int runText(const qkv_model &model, const qkv_weights *weights, const Options &options);

} // namespace qkv::rt
