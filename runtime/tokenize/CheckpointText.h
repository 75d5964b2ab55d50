// In: the text files of a checkpoint (runtime/checkpoint/TextFiles.h). Out: its tokenizer, knowing
// which tokens end a text, and what its chats look like. Holds: a token that is named and is not
// there is an error; one that ends a text anywhere in the files does.
#pragma once

#include "runtime/checkpoint/TextFiles.h"
#include "runtime/tokenize/TextTokenizer.h"

#include <string>
#include <utility>
#include <vector>

namespace qkv::rt {

struct CheckpointText {
  std::unique_ptr<TextTokenizer> tokenizer; ///< never null
  std::string chatTemplate;                 ///< Jinja; empty: there is none
  /// "bos_token", its text, ...: what a chat template may name.
  std::vector<std::pair<std::string, std::string>> named;
  bool beginsAlways = false; ///< what stands before a text stands before a chat's, too
};

/// Null with *error set.
std::unique_ptr<CheckpointText> readCheckpointText(const TextFiles &files, qkv_error *error);

/// Its tokenizer alone; null without an error where tokens are bytes.
std::unique_ptr<Tokenizer> readTextTokens(const TextFiles &files, qkv_error *error);

} // namespace qkv::rt
