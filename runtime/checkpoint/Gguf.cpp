// In: GGUF files. Out: their tensors by name, their metadata by key. Holds: see Gguf.h.
#include "runtime/checkpoint/Gguf.h"

#include "runtime/Error.h"
#include "runtime/checkpoint/Names.h"

#include <cstring>
#include <utility>

namespace qkv::rt {
namespace {

struct GgufType {
  uint32_t id;
  const char *name;
  Dtype type;
  Block block; ///< where no model can read the type
};
constexpr Dtype none = Dtype::Other;
constexpr GgufType types[] = {{0, "F32", Dtype::F32, {}},        {1, "F16", Dtype::F16, {}},
                              {2, "Q4_0", Dtype::Q4_0, {}},      {3, "Q4_1", Dtype::Q4_1, {}},
                              {6, "Q5_0", Dtype::Q5_0, {}},      {7, "Q5_1", Dtype::Q5_1, {}},
                              {8, "Q8_0", Dtype::Q8_0, {}},      {9, "Q8_1", none, {32, 36}},
                              {10, "Q2_K", Dtype::Q2_K, {}},     {11, "Q3_K", Dtype::Q3_K, {}},
                              {12, "Q4_K", Dtype::Q4_K, {}},     {13, "Q5_K", Dtype::Q5_K, {}},
                              {14, "Q6_K", Dtype::Q6_K, {}},     {15, "Q8_K", none, {256, 292}},
                              {16, "IQ2_XXS", none, {256, 66}},  {17, "IQ2_XS", none, {256, 74}},
                              {18, "IQ3_XXS", none, {256, 98}},  {19, "IQ1_S", none, {256, 50}},
                              {20, "IQ4_NL", Dtype::IQ4_NL, {}}, {21, "IQ3_S", none, {256, 110}},
                              {22, "IQ2_S", none, {256, 82}},    {23, "IQ4_XS", Dtype::IQ4_XS, {}},
                              {24, "I8", Dtype::I8, {}},         {25, "I16", Dtype::I16, {}},
                              {26, "I32", Dtype::I32, {}},       {27, "I64", Dtype::I64, {}},
                              {28, "F64", Dtype::F64, {}},       {29, "IQ1_M", none, {256, 56}},
                              {30, "BF16", Dtype::BF16, {}},     {34, "TQ1_0", Dtype::TQ1_0, {}},
                              {35, "TQ2_0", Dtype::TQ2_0, {}},   {39, "MXFP4", Dtype::MXFP4, {}},
                              {40, "NVFP4", Dtype::NVFP4, {}},   {41, "Q1_0", Dtype::Q1_0, {}},
                              {42, "Q2_0", Dtype::Q2_0, {}}};

const GgufType *typeById(uint32_t id) {
  for (const GgufType &type : types)
    if (type.id == id)
      return &type;
  return nullptr;
}

unsigned long long big(uint64_t number) { return number; }

/// Reads a file's head from front to back. Where something does not fit, `why` says what.
class Head {
public:
  Head(const char *begin, size_t size) : start(begin), at(begin), end(begin + size) {}

  bool read(Metadata &metadata, std::vector<FileTensor> &tensors, std::vector<uint64_t> &offsets);
  /// Where the tensors' bytes begin in the file; past its end if there are none.
  uint64_t dataStart() const {
    uint64_t read = at - start;
    return (read + alignment - 1) / alignment * alignment;
  }
  uint64_t alignment = 32;
  std::string why;

private:
  size_t left() const { return end - at; }
  bool stop(const std::string &reason) {
    why = reason;
    return false;
  }
  template <typename T> bool number(T &value, const char *what) {
    if (left() < sizeof value)
      return stop(format("it ends in %s", what));
    memcpy(&value, at, sizeof value);
    at += sizeof value;
    return true;
  }
  bool text(std::string_view &value, const std::string &what);
  bool value(const std::string &key, MetaValue &value);
  bool listOf(const std::string &key, MetaValue &value);
  bool tensor(FileTensor &tensor, uint64_t &offset);
  bool takeAlignment(const Metadata &metadata);

  const char *start, *at, *end;
};

bool Head::text(std::string_view &value, const std::string &what) {
  uint64_t length = 0;
  if (!number(length, what.c_str()))
    return false;
  if (length > left())
    return stop(format("%s would have %llu bytes, %zu are left in the file", what.c_str(),
                       big(length), left()));
  value = {at, length};
  at += length;
  return true;
}

bool Head::listOf(const std::string &key, MetaValue &value) {
  uint32_t items = 0;
  std::string what = "the list " + quote(key);
  if (!number(items, what.c_str()) || !number(value.count, what.c_str()))
    return false;
  if (items >= metaTypeCount)
    return stop(format("%s is of type %u, which this version does not know", what.c_str(), items));
  value.items = static_cast<MetaType>(items);
  if (value.items == MetaType::List)
    return stop(what + " holds lists: only lists of numbers, booleans and texts are read");
  size_t least = value.items == MetaType::Text ? 8 : metaSize(value.items);
  if (value.count > left() / least)
    return stop(format("%s would have %llu items, %zu bytes are left in the file", what.c_str(),
                       big(value.count), left()));
  value.bytes = at;
  if (value.items != MetaType::Text) {
    at += value.count * least;
    return true;
  }
  std::string_view one;
  std::string text = "a text of " + what;
  for (uint64_t i = 0; i < value.count; ++i)
    if (!this->text(one, text))
      return false;
  return true;
}

bool Head::value(const std::string &key, MetaValue &value) {
  uint32_t type = 0;
  std::string what = "the value of " + quote(key);
  if (!number(type, what.c_str()))
    return false;
  if (type >= metaTypeCount)
    return stop(format("%s is of type %u, which this version does not know", what.c_str(), type));
  value.type = static_cast<MetaType>(type);
  if (value.type == MetaType::Text)
    return text(value.text, what);
  if (value.type == MetaType::List)
    return listOf(key, value);
  size_t size = metaSize(value.type);
  if (left() < size)
    return stop("it ends in " + what);
  value = metaNumber(value.type, at);
  at += size;
  return true;
}

bool Head::takeAlignment(const Metadata &metadata) {
  constexpr uint64_t most = 1 << 20;
  const MetaValue *value = metadata.find("general.alignment");
  if (!value)
    return true;
  if (value->type != MetaType::U32)
    return stop(format("general.alignment is of type %s, expected u32", metaTypeText(value->type)));
  alignment = value->natural;
  return (alignment > 0 && alignment <= most && (alignment & (alignment - 1)) == 0) ||
         stop(format("general.alignment is %llu, expected a power of two up to %llu",
                     big(value->natural), big(most)));
}

bool Head::tensor(FileTensor &tensor, uint64_t &offset) {
  std::string_view name;
  uint32_t rank = 0, id = 0;
  if (!text(name, "the name of a tensor"))
    return false;
  tensor.name = name;
  std::string what = "tensor " + quote(name);
  if (!number(rank, what.c_str()))
    return false;
  if (rank > 4)
    return stop(format("%s has %u dimensions, at most 4 are allowed", what.c_str(), rank));
  tensor.shape.resize(rank);
  for (uint32_t i = 0; i < rank; ++i) {
    // The extents come with the fastest first.
    int64_t &extent = tensor.shape[rank - 1 - i];
    if (!number(extent, what.c_str()))
      return false;
    if (extent < 0)
      return stop(what + ": its shape " + shapeText(tensor.shape) + " is too large");
  }
  if (!number(id, what.c_str()) || !number(offset, what.c_str()))
    return false;
  const GgufType *type = typeById(id);
  if (!type)
    return stop(format("%s is of type %u, which this version does not know", what.c_str(), id));
  tensor.type = type->type;
  tensor.typeName = type->name;
  Block block = type->type == none ? type->block : blockOf(type->type);
  int64_t count = elementCount(tensor.shape);
  int64_t fastest = rank ? tensor.shape[rank - 1] : 1;
  if (fastest % block.elements)
    return stop(format("%s has rows of %lld elements, but %s comes in blocks of %lld", what.c_str(),
                       static_cast<long long>(fastest), type->name,
                       static_cast<long long>(block.elements)));
  int64_t bytes = count < 0 ? -1 : bytesOf(block, count);
  if (bytes < 0)
    return stop(what + ": its shape " + shapeText(tensor.shape) + " is too large");
  tensor.bytes = bytes;
  return offset % alignment == 0 ||
         stop(format("%s is at byte %llu of the data, expected a multiple of %llu", what.c_str(),
                     big(offset), big(alignment)));
}

bool Head::read(Metadata &metadata, std::vector<FileTensor> &tensors,
                std::vector<uint64_t> &offsets) {
  uint32_t version = 0;
  int64_t tensorCount = 0, keyCount = 0;
  at += 4; // the magic
  if (!number(version, "its version"))
    return false;
  if (version != 0 && (version & 0xFFFF) == 0)
    return stop("its numbers are big endian; only little endian files are read");
  if (version != 2 && version != 3)
    return stop(format("it is of version %u, only 2 and 3 are read", version));
  if (!number(tensorCount, "its head") || !number(keyCount, "its head"))
    return false;
  constexpr int64_t leastKey = 8 + 4 + 1, leastTensor = 8 + 4 + 4 + 8;
  if (keyCount < 0 || keyCount > static_cast<int64_t>(left()) / leastKey)
    return stop(format("it would have %lld keys, %zu bytes are left", (long long)keyCount, left()));
  for (int64_t i = 0; i < keyCount; ++i) {
    std::string_view key;
    MetaValue one;
    if (!text(key, "a key") || !value(std::string(key), one))
      return false;
    metadata.add(std::string(key), one);
  }
  if (const std::string *twice = metadata.sort())
    return stop("key " + quote(*twice) + " is there twice");
  if (!takeAlignment(metadata))
    return false;
  if (tensorCount < 0 || tensorCount > static_cast<int64_t>(left()) / leastTensor)
    return stop(
        format("it would have %lld tensors, %zu bytes are left", (long long)tensorCount, left()));
  for (int64_t i = 0; i < tensorCount; ++i) {
    offsets.push_back(0);
    tensors.emplace_back();
    if (!tensor(tensors.back(), offsets.back()))
      return false;
  }
  return true;
}

bool failInvalid(qkv_error *error, const std::string &path, const std::string &why) {
  return fail(error, format("%s is not a valid GGUF file: %s", path.c_str(), why.c_str()));
}

} // namespace

bool isGguf(const FileBytes &file) { return file.size() >= 4 && !memcmp(file.data(), "GGUF", 4); }

bool Gguf::readFile(FileBytes file, const std::string &path, Metadata &metadata, qkv_error *error) {
  Head head(file.data(), file.size());
  std::vector<FileTensor> tensors;
  std::vector<uint64_t> offsets;
  if (!head.read(metadata, tensors, offsets))
    return failInvalid(error, path, head.why);
  uint64_t start = head.dataStart();
  uint64_t room = start < file.size() ? file.size() - start : 0;
  std::vector<TensorPlace> places;
  for (size_t i = 0; i < tensors.size(); ++i) {
    FileTensor &tensor = tensors[i];
    if (offsets[i] > room || tensor.bytes > room - offsets[i])
      return failInvalid(error, path,
                         format("tensor %s has %zu bytes at byte %llu of the data, but the data "
                                "has %llu bytes",
                                quote(tensor.name).c_str(), tensor.bytes, big(offsets[i]),
                                big(room)));
    tensor.data = tensor.bytes ? file.data() + start + offsets[i] : file.data();
    places.push_back({&tensor.name, offsets[i], offsets[i] + tensor.bytes});
  }
  std::string why;
  if (overlapping(std::move(places), why))
    return failInvalid(error, path, why);
  for (FileTensor &tensor : tensors)
    list.push_back(std::move(tensor));
  files.push_back(std::move(file));
  return true;
}

/// The other parts of a split checkpoint: NAME-00001-of-00003.gguf has two, beside it.
bool Gguf::readParts(const std::string &path, qkv_error *error) {
  const MetaValue *count = keys.find("split.count"), *number = keys.find("split.no");
  if (!count)
    return true;
  constexpr int64_t most = 9999;
  if (!count->isWhole() || count->whole < 0 || count->whole > most)
    return failInvalid(error, path, "split.count is no number of parts");
  if (count->whole <= 1)
    return true;
  if (!number || !number->isWhole() || number->whole != 0)
    return fail(error, format("%s is not the first part of a split checkpoint: give the first, it "
                              "finds the others",
                              path.c_str()));
  std::string tail = format("-00001-of-%05lld.gguf", static_cast<long long>(count->whole));
  if (!path.ends_with(tail))
    return fail(error, format("%s is the first of %lld parts: the others are found where its name "
                              "ends in %s",
                              path.c_str(), static_cast<long long>(count->whole), tail.c_str()));
  std::string stem = path.substr(0, path.size() - tail.size());
  for (int64_t part = 1; part < count->whole; ++part) {
    const int64_t number = part + 1; // as names have it
    std::string other = stem + format("-%05lld-of-%05lld.gguf", static_cast<long long>(number),
                                      static_cast<long long>(count->whole));
    FileBytes file;
    Metadata metadata;
    if (!file.open(other, error))
      return false;
    if (!isGguf(file))
      return failInvalid(error, other, "it does not begin with GGUF");
    if (!readFile(std::move(file), other, metadata, error))
      return false;
    const MetaValue *itsNumber = metadata.find("split.no");
    if (!itsNumber || itsNumber->whole != part)
      return fail(error, format("%s does not say that it is part %lld of the checkpoint",
                                other.c_str(), static_cast<long long>(number)));
  }
  const MetaValue *all = keys.find("split.tensors.count");
  if (all && all->isWhole() && all->whole != static_cast<int64_t>(list.size()))
    return fail(error, format("%s says that its parts have %lld tensors, they have %zu",
                              path.c_str(), static_cast<long long>(all->whole), list.size()));
  return true;
}

/// Tensors of a type whose scales are themselves scaled, by a tensor NAME.scale beside NAME.weight:
/// one number, or one for each index of the first axis (experts).
bool Gguf::scaleTensors(qkv_error *error) {
  for (FileTensor &tensor : list) {
    if (tensor.type != Dtype::NVFP4)
      continue;
    std::string name = tensor.name;
    if (name.ends_with(".weight"))
      name.resize(name.size() - strlen(".weight"));
    name += ".scale";
    const FileTensor *scale = find(name);
    if (!scale)
      return failInvalid(error, place,
                         format("tensor %s is of type NVFP4, but there is no tensor %s",
                                quote(tensor.name).c_str(), quote(name).c_str()));
    int64_t count = scale->count(), first = tensor.shape.empty() ? 1 : tensor.shape[0];
    if (scale->type != Dtype::F32 || (count != 1 && count != first))
      return failInvalid(error, place,
                         format("tensor %s is %s %s, expected F32, one number or one for each "
                                "of %lld",
                                quote(name).c_str(), scale->typeName.c_str(),
                                shapeText(scale->shape).c_str(), static_cast<long long>(first)));
    tensor.factors.resize(count);
    if (count)
      memcpy(tensor.factors.data(), scale->data, count * sizeof(float));
  }
  return true;
}

std::unique_ptr<Gguf> Gguf::fromFile(FileBytes file, const std::string &path, qkv_error *error) {
  std::unique_ptr<Gguf> checkpoint(new Gguf);
  checkpoint->place = path;
  if (!checkpoint->readFile(std::move(file), path, checkpoint->keys, error) ||
      !checkpoint->readParts(path, error))
    return nullptr;
  if (const std::string *twice = checkpoint->sortNames()) {
    failInvalid(error, path, "tensor " + quote(*twice) + " is there twice");
    return nullptr;
  }
  return checkpoint->scaleTensors(error) ? std::move(checkpoint) : nullptr;
}

} // namespace qkv::rt
