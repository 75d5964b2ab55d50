// A stack of its own for deep recursion: a sum of ten thousand terms is a tree as deep, a
// recurrence may be asked for from its end.
//
// In: a function. Out: its effects; what it throws is thrown to the caller. Holds: it runs on a
// thread of its own where one can be had (debuggers and sanitizers know those), else on the
// caller's with the stack exchanged: no second thread is needed. Pages exist once touched; where
// the memory of the process is limited (ulimit -v) the stack is at most half of what is left.
#pragma once

#include <cstddef>
#include <functional>

namespace qkv {

class DeepStack {
public:
  /// As large as can be had, up to `most` bytes and no smaller than `least`.
  DeepStack(size_t most, size_t least);
  ~DeepStack();
  DeepStack(const DeepStack &) = delete;
  DeepStack &operator=(const DeepStack &) = delete;

  size_t size() const { return size_; }
  /// Calls fn(lowest address of the stack) there and waits. False, with nothing called, where
  /// there was no memory for the stack.
  bool run(const std::function<void(const char *)> &fn);

private:
  char *base_ = nullptr;
  size_t size_ = 0;
};

} // namespace qkv
