// In: what a command reads and what it would write. Out: why it must not. Holds: asked before
// anything is done; files are told apart by what they are (device and inode), not by their names,
// so hard links, symbolic links and `./` hide nothing.
#pragma once

#include <string>
#include <vector>

namespace qkv::rt {

/// A file of a command line and how the user said it: {"--input", "in.safetensors"}. A `-` is
/// standard input or standard output, which may be a file as well.
struct NamedFile {
  std::string how, path;
};

/// The files that opening `weights` reads: of a folder its checkpoint, and the configuration.
std::vector<NamedFile> filesOfWeights(const std::string &how, const std::string &weights);

/// An output that is one of the inputs, or another output under a second name; empty: all differ.
std::string overwrites(const std::vector<NamedFile> &inputs, const std::vector<NamedFile> &outputs);

/// Why no file can be written at one of the paths (a folder, read-only, no such folder); empty if
/// it can.
std::string unwritable(const std::vector<NamedFile> &outputs);

} // namespace qkv::rt
