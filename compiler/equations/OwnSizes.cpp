// Which tensors have to do with sizes that a sequence has by itself (OwnSizes.h).
#include "compiler/equations/OwnSizes.h"

#include "compiler/equations/Expressions.h"

namespace qkv::equations {
namespace {

class Finder {
public:
  Finder(const Prepared &prepared, OwnSizes &out)
      : prepared_(prepared), program_(prepared.program), out_(out) {}

  void run() {
    for (const Tensor &tensor : program_.tensors) {
      bool shaped = false;
      for (const Axis &axis : tensor.axes)
        shaped |= has(axis.extent);
      out_.shaped.push_back(shaped);
    }
    for (size_t t = 0; t < program_.tensors.size(); ++t)
      out_.used.push_back(out_.shaped[t] || uses(static_cast<int>(t)));
  }

private:
  bool has(const Size &size) const {
    for (const auto &[monomial, factor] : size.terms())
      for (int number : monomial) {
        const SizeAtom &atom = program_.atoms[number];
        if (out_.atoms.count(number) || (atom.lhs && has(*atom.lhs)) ||
            (atom.rhs && has(*atom.rhs)))
          return true;
      }
    return false;
  }

  bool uses(int tensor) const {
    for (const Piece &piece : program_.tensors[tensor].pieces) {
      for (const PieceIndex &index : piece.indices)
        if (index.letter < 0 ? has(index.position) : has(program_.letters[index.letter].extent))
          return true;
      if (uses(piece.value) || uses(piece.guard))
        return true;
    }
    auto checks = prepared_.checks.find(tensor);
    if (checks == prepared_.checks.end())
      return false;
    for (const Check &check : checks->second) {
      if (has(check.bound) || uses(check.value))
        return true;
      for (const ExprPtr &condition : check.conditions)
        if (uses(condition))
          return true;
    }
    return false;
  }

  bool uses(const ExprPtr &root) const {
    bool found = false;
    if (root)
      forEachNode(root, [&](const Expr &e) {
        found |= e.kind == Expr::Kind::Size && has(e.size);
        found |= e.kind == Expr::Kind::Read && out_.shaped[e.tensor];
        for (int letter : e.letters)
          found |= has(program_.letters[letter].extent);
      });
    return found;
  }

  const Prepared &prepared_;
  const Program &program_;
  OwnSizes &out_;
};

} // namespace

OwnSizes findOwnSizes(const Prepared &prepared, std::set<int> atoms) {
  OwnSizes out{std::move(atoms), {}, {}};
  Finder(prepared, out).run();
  return out;
}

} // namespace qkv::equations
