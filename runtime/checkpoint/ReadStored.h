// Stored tensors -> a parameter's numbers, as the model means them (rule C5).
//
// In: a parameter, how the format at hand stores it, and its tensors in an open checkpoint. Out:
// row-major f32. Holds: each element is read from its place, decoded, and what the page says of it
// computed in double precision and rounded once; nothing is as large as a tensor, except where
// one in blocks is read across its rows: it is decoded first.
#pragma once

#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/qkv.h"

#include <string>
#include <string_view>
#include <vector>

namespace qkv::rt {

/// How a checkpoint of that format ("gguf", "safetensors") stores a parameter.
const qkv_stored &storedIn(const qkv_param &param, std::string_view format);

/// Whether the tensors' elements lie as the parameter's do, and are its numbers.
bool storedPlain(const qkv_stored &stored);

/// The shape that one of the checkpoint's tensors should have: without the letters in its name.
std::vector<int64_t> namedShape(const qkv_param &param, const qkv_stored &stored);

/// Whether a tensor of shape `found` holds the parameter. `wanted`: the shape that it should have.
bool storedFits(const qkv_param &param, const qkv_stored &stored, const std::vector<int64_t> &found,
                std::string &wanted);

/// Whether the texts of a form are what their words say they are; else what is wrong.
std::string storedDefect(const qkv_param &param, const qkv_stored &stored);

/// How many rows (settings of the parameter's first letter) are read at a time: at least `step` and
/// a multiple of it, of about `most` elements; all where they cannot be read apart.
int64_t rowsAtOnce(const qkv_param &param, const qkv_stored &stored,
                   const std::vector<const FileTensor *> &tensors, int64_t step, int64_t most);

/// Reads rows [begin, end), as many as rowsAtOnce() says or the last ones, of the tensors, one for
/// each of the form's names, which all fit, to `to`, which has room for these rows. In parallel.
void readRows(const qkv_param &param, const qkv_stored &stored,
              const std::vector<const FileTensor *> &tensors, int64_t begin, int64_t end,
              float *to);

/// The bytes that stand for these rows alone; none where that is not known.
FileTensor bytesOfRows(const qkv_param &param, const qkv_stored &stored,
                       const std::vector<const FileTensor *> &tensors, int64_t begin, int64_t end);

} // namespace qkv::rt
