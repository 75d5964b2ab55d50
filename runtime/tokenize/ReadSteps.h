// In: the steps of a tokenizer.json, each with its `type`. Out: what does them. Null with `why`
// set; an unknown type is an error.
#pragma once

#include "runtime/tokenize/Decode.h"
#include "runtime/tokenize/Fields.h"
#include "runtime/tokenize/Normalize.h"
#include "runtime/tokenize/PreTokenize.h"

namespace qkv::rt {

std::unique_ptr<Normalizer> readNormalizer(const Json &json, std::string &why, int depth = 0);
std::unique_ptr<PreTokenizer> readPreTokenizer(const Json &json, std::string &why, int depth = 0);
std::unique_ptr<Decoder> readDecoder(const Json &json, std::string &why, int depth = 0);
/// GPT-2's words, as a step.
std::unique_ptr<SplitAt> splitAtWords(const char *pattern, std::string &why);

} // namespace qkv::rt
