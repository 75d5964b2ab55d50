// In: mapped files (File.h) that another program cuts short. Out: a library that goes on.
#pragma once

namespace qkv::rt {

/// For libraries: to read a mapped file where it was cut off meanwhile gives zeros, so that the
/// call goes on to its end, where intact() is false. What else meets SIGBUS goes to the handler
/// that was there before. One that the program installs later takes this one's place.
void outliveCutFiles();

} // namespace qkv::rt
