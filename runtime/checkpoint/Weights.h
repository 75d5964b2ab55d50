// In: a model's description and files of weights. Out: a pointer to f32 for each parameter; packed
// files that open without reading. Holds: every parameter has exactly the elements its shape says.
#pragma once

#include "runtime/File.h"
#include "runtime/checkpoint/Configuration.h"
#include "runtime/checkpoint/LargeBlock.h"
#include "runtime/checkpoint/Safetensors.h"
#include "runtime/checkpoint/TextFiles.h"

#include <memory>
#include <string>
#include <vector>

namespace qkv::rt {
/// Where a parameter's values came from.
struct Origin {
  /// The checkpoint has no tensor of the parameter's names: its fallback stands for it.
  bool absent = false;
  /// The shape of (each of) its tensors in the checkpoint, which merges letters as it likes.
  std::vector<int64_t> shape;
};
} // namespace qkv::rt

/// Opened weights. Pointers lead into a mapped file where its bytes can be used as they are.
struct qkv_weights {
  std::vector<void *> params;
  std::vector<qkv::rt::Origin> origins; // one for each parameter
  qkv::rt::Configuration configuration; // beside them, or packed with them
  qkv::rt::TextFiles texts;             // to be packed with them
  std::string format; // of the checkpoint (Checkpoint::formatName), or before it was packed
  // Converted, stacked or filled: in one block, or where it has no room from qkv_alloc.
  qkv::rt::LargeBlock held;
  std::vector<void *> owned;
  std::unique_ptr<qkv::rt::Checkpoint> source;
  qkv::rt::FileBytes packed;
  std::string place; // the path that was opened, for messages
  ~qkv_weights();
};

namespace qkv::rt {

/// Whether a checkpoint's shape may hold a parameter of `wanted`: adjacent letters merged,
/// dimensions of 1 inserted or missing (language.md, "Parameters").
bool shapeFits(const std::vector<int64_t> &wanted, const std::vector<int64_t> &found);

/// Fills `weights` from a checkpoint. False with *error set: the missing parameters of the model
/// in one message, or the first whose shape or type does not fit.
bool resolveParams(const qkv_model &model, const Checkpoint &file, qkv_weights &weights,
                   qkv_error *error);

/// Writes a packed file: `path` shows it whole or not at all.
bool packWeights(const qkv_model &model, const qkv_weights &weights, const std::string &path,
                 qkv_error *error);

/// Puts a packed file behind the end of an executable or a shared library, page-aligned, in
/// place of one that is already there. The file is replaced as a whole and keeps its mode.
bool embedWeights(const qkv_model &model, const qkv_weights &weights, const std::string &program,
                  qkv_error *error);

/// Whether the files that the weights lie in are as they were when they were opened. False with
/// *error set.
bool checkIntact(const qkv_weights &weights, qkv_error *error);

/// Whether a packed file starts at `offset` of the bytes.
bool isPacked(const FileBytes &file, size_t offset);

/// Where the packed file behind a program starts; false if it has none.
bool findAppended(const FileBytes &program, size_t &offset);

/// The format of the checkpoint that the packed file at `offset` was made of.
std::string packedFormatName(const FileBytes &file, size_t offset);

/// The configuration inside the packed file at `offset`; empty if it has none.
std::string packedConfiguration(const FileBytes &file, size_t offset);

/// What the packed file at `offset` says of a tokenizer (TextFiles.h); empty if it says nothing.
std::string_view packedTexts(const FileBytes &file, size_t offset);

/// Gives the parameters that have no values yet what their declarations fall back on. False with
/// *error set.
bool fallBackAll(const qkv_model &model, qkv_weights &weights, qkv_error *error);

/// An error at the declaration of a parameter. Always false.
bool failParam(qkv_error *error, const qkv_param &param, const std::string &text);

/// Fills `weights.params` from the packed file at `offset` of `weights.packed`: each parameter from
/// what was packed of the same tensors of the checkpoint. False with *error set: it was packed for
/// a page that read other tensors, or read them in a way that this one cannot be made of.
bool openPacked(const qkv_model &model, qkv_weights &weights, size_t offset,
                const std::string &path, qkv_error *error);

} // namespace qkv::rt
