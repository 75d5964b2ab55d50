// Reductions over all positions so far that need no history (Rearrange.h). In: a program. Out: the
// same with recurrences for them. Holds: elements are taken in order of their positions, by the
// recurrences that whole programs have for them (equations' DeriveScans).
#include "compiler/streams/Rearrange.h"

#include "compiler/equations/Rewrite.h"
#include "compiler/equations/Scans.h"
#include "compiler/streams/Dependents.h"
#include "compiler/streams/Positions.h"

#include <algorithm>

namespace qkv::streams {

using namespace equations;
using K = Expr::Kind;

namespace {

class Chooser {
public:
  explicit Chooser(Program &program)
      : program_(program), inputs_(dependents(program, program.inputs)) {}

  /// Whether a running reduction goes over the stream, forward and up to a row's own position or
  /// the one before, and its value is hardly larger than what is read of a position.
  bool wants(const ExprPtr &e) {
    auto running = runningReduction(program_, letters_, e);
    if (!running || !running->forward || !grows(running->letter))
      return false;
    const Expr *bound = running->bound.get();
    if (bound->kind == K::Apply && bound->op == Op::Sub && bound->args[1]->kind == K::Int &&
        bound->args[1]->integer == 1)
      bound = bound->args[0].get();
    if (bound->kind != K::Letter ||
        program_.letters[bound->letter].extent != program_.letters[running->letter].extent)
      return false;
    std::set<int> values = letters_.of(running->body);
    values.insert(letters_.of(running->rest).begin(), letters_.of(running->rest).end());
    for (int l : e->letters)
      values.erase(l);
    auto otherGrows = [&](int l) { return l != running->letter && grows(l); };
    if (std::any_of(values.begin(), values.end(), otherGrows) ||
        std::any_of(e->letters.begin(), e->letters.end(), otherGrows))
      return false;
    return isSmall(*running, values);
  }

private:
  bool grows(int letter) const { return growsWith(program_, program_.letters[letter].extent); }

  bool isSmall(const Running &running, const std::set<int> &values) {
    double largest = 0; // of what is read of a position
    for (const ExprPtr &root : {running.body, running.rest})
      if (root)
        forEachNode(root, [&](const Expr &n) {
          if (n.kind != K::Read)
            return;
          std::set<int> own;
          for (const ExprPtr &a : n.args)
            own.insert(letters_.of(a).begin(), letters_.of(a).end());
          auto number = static_cast<size_t>(n.tensor);
          if (own.count(running.letter) && (number >= inputs_.size() || inputs_[number]))
            largest = std::max(largest, valuesOfPosition(program_, own));
        });
    double positions = static_cast<double>(program_.atoms[program_.stream].max);
    return largest > 0 && valuesOfPosition(program_, values) <= largest * positions / 2;
  }

  Program &program_;
  std::vector<bool> inputs_; // what depends on inputs
  FreeLetters letters_;
};

} // namespace

std::set<int> runningReductions(Program &program) {
  Chooser chooser(program);
  return deriveScans(program, [&](const ExprPtr &e) { return chooser.wants(e); });
}

} // namespace qkv::streams
