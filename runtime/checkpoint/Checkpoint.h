// In: a path. Out: a checkpoint: tensors by name with their bytes, metadata by key. Holds: what is
// said here holds for every format (Safetensors.h, Gguf.h); who reads weights asks this alone.
#pragma once

#include "runtime/File.h"
#include "runtime/checkpoint/Element.h"
#include "runtime/checkpoint/Metadata.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace qkv::rt {

/// A tensor of an open checkpoint. Its bytes may be unaligned.
struct FileTensor {
  std::string name;
  Dtype type = Dtype::Other;
  std::string typeName; // as the file says; for messages
  std::vector<int64_t>
      shape; // row-major: the last extent is the one whose elements lie side by side
  const char *data = nullptr;
  size_t bytes = 0;
  /// Numbers that the decoded elements are still to be multiplied by: none, one, or one for each
  /// index of the first axis.
  std::vector<float> factors;
  int64_t count() const; // elements; the type is known
};

/// An open checkpoint; its tensors and metadata live as long as it does.
class Checkpoint {
public:
  /// `path`: a file of any known format (its first bytes say which), `-` for standard input, an
  /// index of shards (.json), or a folder. Null with *error set.
  static std::unique_ptr<Checkpoint> open(const std::string &path, qkv_error *error);
  virtual ~Checkpoint() = default;

  /// "safetensors" or "GGUF".
  virtual const char *kind() const = 0;
  /// "safetensors" or "gguf": as pages call it (rule C5).
  virtual const char *formatName() const = 0;
  virtual const std::vector<FileTensor> &tensors() const = 0;
  /// Null if there is none of that name.
  virtual const FileTensor *find(std::string_view name) const = 0;
  /// A name like it, for "did you mean"; null if none is near.
  virtual const FileTensor *nearest(std::string_view name) const = 0;
  virtual const Metadata &metadata() const = 0;
  /// Whether the files are as they were when they were opened.
  virtual bool intact() const = 0;
  /// Whether the memory is a part of the files.
  virtual bool holds(const void *memory) const = 0;
  /// The memory of a tensor's bytes may go: they are read no more, or from the file again.
  virtual void forget(const FileTensor &tensor) const = 0;
  /// The file or folder, as messages call it.
  virtual const std::string &path() const = 0;
};

/// What checkpoints in mapped files share.
class MappedCheckpoint : public Checkpoint {
public:
  const std::vector<FileTensor> &tensors() const override { return list; }
  const FileTensor *find(std::string_view name) const override;
  const FileTensor *nearest(std::string_view name) const override;
  const Metadata &metadata() const override { return keys; }
  bool intact() const override;
  bool holds(const void *memory) const override;
  void forget(const FileTensor &tensor) const override;
  const std::string &path() const override { return place; }

protected:
  /// Makes find() work, once all tensors are there. Null, or a name that is there twice.
  const std::string *sortNames();

  std::string place;
  std::vector<FileBytes> files;
  std::vector<FileTensor> list;
  Metadata keys;

private:
  std::vector<uint32_t> byName;
};

/// The bytes of a file from `begin` to `end` that a tensor says are its own.
struct TensorPlace {
  const std::string *name;
  uint64_t begin, end;
};

/// Whether two tensors lie in the same bytes: the file lies, or was cut and patched. `why` says
/// which.
bool overlapping(std::vector<TensorPlace> places, std::string &why);

/// The product of a shape; -1 if an extent is negative or it leaves 63 bits.
int64_t elementCount(const std::vector<int64_t> &shape);

} // namespace qkv::rt
