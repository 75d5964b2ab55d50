// Random models that check. In: a seed. Out: the text of a model; smaller ones like it.
//
// Holds: the same seed gives the same text on every machine. What a program does with floats
// never jumps (floor, comparison and argmax see inputs alone, which f32 holds exactly), so that
// every right way to compute it stays within the tolerance.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace qkv::random {

enum class Kind { Float, Int, Bool };

/// A size of the model, and the letters that run over it.
struct SizeInfo {
  std::string name;
  int64_t value = 0; ///< dynamic: its max
  bool dynamic = false;
  std::vector<std::string> letters;
  std::string from;       ///< computed: the expression
  int base = -1;          ///< computed: the size that it comes from; -1: it stands by itself
  int stride = 1, by = 0; ///< its letter u reads stride * u + by of the base, provably
};

/// A piece of an expression: `form` with $0, $1, ... for the children.
struct Node {
  Kind kind = Kind::Float;
  std::string form;
  std::vector<std::shared_ptr<Node>> children;
};
using NodePtr = std::shared_ptr<Node>;

struct TensorInfo {
  std::string name;
  Kind kind = Kind::Float;
  std::vector<int> sizes; ///< one an axis
  bool exact = false;     ///< an input: comparing it is no jump
  bool token = false;     ///< an int that is an index of any axis
};

/// Lines that define tensors: text with $0, $1, ... for expressions.
struct Equation {
  std::vector<TensorInfo> defines;
  std::string form;
  std::vector<NodePtr> values;
  std::vector<std::string> functions; ///< definitions that it calls
};

class Program {
public:
  explicit Program(uint64_t seed);

  uint64_t seed() const { return seed_; }
  /// The model file. `name` is the model's.
  std::string text(const std::string &name = "m") const;
  /// Programs with less in them, the most promising first; not all of them check.
  std::vector<Program> smaller() const;

private:
  friend class Generator;
  std::vector<bool> reachable() const;

  uint64_t seed_;
  std::vector<SizeInfo> sizes_;
  std::vector<TensorInfo> inputs_, params_;
  std::vector<Equation> equations_;
  std::vector<std::pair<int, int>> results_; ///< equation, which of its tensors
};

} // namespace qkv::random
