// Tensors that are split off equations, one for all that mean the same.
#pragma once

#include "compiler/equations/Expressions.h"

#include <map>

namespace qkv::equations {

/// An axis of a new tensor: over a letter that its value depends on, or one position.
struct NewAxis {
  int letter = -1;
  Size position; ///< without a letter
  Axis axis;
};

class NewTensors {
public:
  explicit NewTensors(Program &program);

  /// The equation that a tensor is split off, and what that leaves to it.
  struct Origin {
    int tensor, piece;
    const char *suffix; ///< of the name
    int lifted = 0;     ///< axes
    bool constant = false;
  };
  /// The read, with the letters of `axes`, of a tensor whose elements are `value` where `guard` (or
  /// null) holds. It is behind all others if it is new.
  ExprPtr make(const Origin &from, const std::vector<NewAxis> &axes, const ExprPtr &value,
               const ExprPtr &guard = nullptr);

private:
  Program &program_;
  std::unordered_map<std::string, int> made_; ///< by meaning
  std::map<std::string, int> names_;
};

} // namespace qkv::equations
