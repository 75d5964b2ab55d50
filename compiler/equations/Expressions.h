// Expressions of checked equations, made and looked at.
//
// Nodes are immutable and shared; whatever is made here is typed and marked as the checker
// does it (Expr::type, Expr::constant).
#pragma once

#include "dsl/Program.h"

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace qkv::equations {

ExprPtr integer(int64_t value);
ExprPtr number(double value);
ExprPtr letter(int letter);
/// A size as an int: a number where it is known.
ExprPtr size(const Size &size);
/// op(args): the type follows from op and the arguments, which have the types it takes.
ExprPtr apply(Op op, std::vector<ExprPtr> args, Span span);
ExprPtr choose(ExprPtr condition, ExprPtr yes, ExprPtr no, Span span);
/// An int as a float.
ExprPtr toFloat(const ExprPtr &e);
ExprPtr read(const Program &program, int tensor, std::vector<ExprPtr> args, Span span);
ExprPtr reduce(Reduction reduction, std::vector<int> letters, ExprPtr body, ExprPtr guard,
               Span span);
/// A node like `e` with other arguments; `e` itself where they are the same.
ExprPtr withArgs(const ExprPtr &e, std::vector<ExprPtr> args);

/// A letter (or none, -1) plus a size.
struct LetterPlus {
  int letter = -1;
  Size rest;
};
/// An index that is one, whatever the values are.
std::optional<LetterPlus> letterPlus(const ExprPtr &index);

/// `a and b`; null is true.
ExprPtr both(const ExprPtr &a, const ExprPtr &b);
/// The parts of a conjunction, in order.
std::vector<ExprPtr> conjuncts(const ExprPtr &e);

/// The letters that an expression depends on and does not bind. Remembers what it was asked.
class FreeLetters {
public:
  const std::set<int> &of(const ExprPtr &e);

private:
  std::unordered_map<ExprPtr, std::set<int>> done_; // by address, which stays the node's own
};

/// Calls `visit` for every node once.
void forEachNode(const ExprPtr &root, const std::function<void(const Expr &)> &visit);

/// Rebuilds expressions from their leaves up: `change` gets each node with its arguments done.
/// Shared nodes stay shared, in everything that one Mapper is asked for.
class Mapper {
public:
  explicit Mapper(std::function<ExprPtr(const ExprPtr &)> change) : change_(std::move(change)) {}
  ExprPtr operator()(const ExprPtr &e);

private:
  std::function<ExprPtr(const ExprPtr &)> change_;
  std::unordered_map<ExprPtr, ExprPtr> done_;
};

/// Whether a letter takes all positions of an axis, and there are none before or after.
bool runsOver(const Program &program, int letter, const Axis &axis);

/// The tensors that the results need.
std::set<int> liveTensors(const Program &program);

/// A text that is equal for expressions which mean the same: bound letters are numbered, free
/// ones are written by `names`.
class Text {
public:
  Text(const Program &program, std::function<std::string(int letter)> letters,
       std::function<std::string(int tensor)> tensors,
       std::function<std::string(const Expr &step)> steps)
      : program_(program), letters_(std::move(letters)), tensors_(std::move(tensors)),
        steps_(std::move(steps)) {}
  /// Tensors and steps by their numbers.
  Text(const Program &program, std::function<std::string(int letter)> letters)
      : Text(
            program, std::move(letters), [](int tensor) { return "t" + std::to_string(tensor); },
            [](const Expr &step) { return "s" + std::to_string(step.region); }) {}
  /// Appends to `out`. Nodes that were written before are named by their number.
  void write(const ExprPtr &e, std::string &out);

private:
  const Program &program_;
  std::function<std::string(int)> letters_, tensors_;
  std::function<std::string(const Expr &)> steps_;
  std::unordered_map<ExprPtr, int> written_;
  std::unordered_map<int, int> bound_;
};

} // namespace qkv::equations
