// In: the path of weights. Out: the files there that say how text is said in tokens: tokenizer.json
// and what stands beside it, or a GGUF's keys about its vocabulary. Holds: they are texts by name
// alone here, so that they can be packed with weights; runtime/tokenize reads them.
#pragma once

#include "runtime/File.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace qkv::rt {

class Metadata;

/// The name of the file in which the keys of a GGUF about its vocabulary stand, as a GGUF without
/// tensors; and of the one that says: tokens are bytes.
constexpr char vocabularyGguf[] = "tokenizer.gguf", bytesFile[] = "bytes";

class TextFiles {
public:
  struct File {
    std::string name;
    std::string_view text;
  };
  std::string place; ///< where they came from, for messages

  const std::vector<File> &all() const { return list; }
  bool empty() const { return list.empty(); }
  /// Null if there is none of that name.
  const File *find(std::string_view name) const;
  /// Takes the place of one of that name.
  void put(std::string name, std::string text);
  void put(std::string name, FileBytes file);
  void remove(std::string_view name);

private:
  void put(std::string name, std::string_view text);
  std::vector<File> list;
  std::vector<std::unique_ptr<std::string>> texts;
  std::vector<FileBytes> files;
};

/// The text files of weights: of a folder, of the folder that a safetensors file lies in, of a
/// GGUF, or those that were packed. None where there is no tokenizer. False with *error set where
/// there is one that cannot be read.
bool findTextFiles(const std::string &weights, TextFiles &found, qkv_error *error);

/// The same, where `tokenizer` says where it is (a tokenizer.json, a folder with one, a GGUF, or
/// "bytes"); which tokens end a text is said beside the weights first.
bool findTextFiles(const std::string &weights, const std::string &tokenizer, TextFiles &found,
                   qkv_error *error);

/// All of them as one text, and back. False: the bytes are no such text.
std::string textFilesText(const TextFiles &files);
bool readTextFiles(std::string_view text, TextFiles &files);

/// A GGUF without tensors that has the keys about the vocabulary.
std::string vocabularyKeys(const Metadata &metadata);

} // namespace qkv::rt
