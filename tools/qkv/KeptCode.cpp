// A file of kept code: its magic, the hash of what is behind it, bytes of the description (u64),
// the description, the object.
#include "tools/qkv/KeptCode.h"

#include "compiler/passes/Target.h"
#include "runtime/File.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/BLAKE3.h"

#include <cstdlib>
#include <cstring>

namespace qkv::driver {
namespace {

constexpr char magic[] = "QKVCODE1";
constexpr size_t magicBytes = 8, hashBytes = LLVM_BLAKE3_OUT_LEN;

using Hash = llvm::TruncatedBLAKE3<LLVM_BLAKE3_OUT_LEN>;

std::string hashOf(std::string_view text) {
  Hash hash;
  hash.update(llvm::StringRef(text));
  return llvm::toHex(hash.final(), /*LowerCase=*/true);
}

/// Of this very program: another one makes other code. Empty if it cannot be read.
const std::string &programHash() {
  static const std::string hash = [] {
    rt::FileBytes program;
    return program.open("/proc/self/exe", nullptr) && program.size() > 0
               ? hashOf({program.data(), program.size()})
               : std::string();
  }();
  return hash;
}

std::string bytesOf(uint64_t number) {
  return {reinterpret_cast<const char *>(&number), sizeof number};
}

} // namespace

std::string KeptCode::folder() {
  const char *named = getenv("QKV_CODE");
  return named ? named : "";
}

KeptCode::KeptCode(const std::string &module, const std::string &cpu) {
  std::string where = folder();
  if (where.empty() || programHash().empty())
    return;
  TargetDescription target = describeTarget(cpu);
  std::string key = programHash();
  for (const std::string &part : {target.triple, target.cpu, target.features, module})
    key += bytesOf(part.size()) + part;
  path = where + "/" + hashOf(key) + ".code";
}

bool KeptCode::find(JitCode &code) const {
  rt::FileBytes file;
  if (!isOn() || !rt::exists(path) || !file.open(path, nullptr))
    return false;
  std::string_view text(file.data(), file.size());
  size_t head = magicBytes + 2 * hashBytes;
  if (text.size() < head + 8 || !text.starts_with(magic) ||
      text.substr(magicBytes, 2 * hashBytes) != hashOf(text.substr(head)))
    return false;
  uint64_t length = 0;
  memcpy(&length, text.data() + head, sizeof length);
  text.remove_prefix(head + 8);
  if (length > text.size())
    return false;
  code.description = text.substr(0, length);
  code.object = text.substr(length);
  return true;
}

void KeptCode::keep(const JitCode &code) const {
  if (!isOn())
    return;
  std::string body = bytesOf(code.description.size()) + code.description + code.object;
  std::string text = magic + hashOf(body) + body;
  rt::OutputFile file;
  if (file.open(path, nullptr) && file.write(text.data(), text.size(), nullptr))
    file.commit(nullptr);
}

} // namespace qkv::driver
