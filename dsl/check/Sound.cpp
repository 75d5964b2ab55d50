// What errors leave untouched: those equations go on to the proofs, so that one run says all.
//
// In: a program and the tensors in whose equations there are errors. Out: the program in which
// these, and whatever reads them, are givens without a meaning, and nothing else has changed. So
// what is said of the rest would be said without the errors as well.
#include "dsl/check/Elaborator.h"

namespace qkv::sema {

bool Elaborator::keepSound() {
  if (unsure_ || givenUp())
    return false;
  std::set<int> broken = broken_;
  for (size_t t = 0; t < program_->tensors.size(); ++t)
    if (program_->tensors[t].kind == Tensor::Kind::Equation && program_->tensors[t].pieces.empty())
      broken.insert(static_cast<int>(t));
  dropDependents(*program_, broken);
  return true;
}

void dropDependents(Program &program, const std::set<int> &broken) {
  if (broken.empty())
    return;
  std::vector<std::vector<int>> readers(program.tensors.size());
  for (size_t t = 0; t < program.tensors.size(); ++t) {
    std::set<const Expr *> seen;
    std::vector<const Expr *> open;
    for (const Piece &p : program.tensors[t].pieces) {
      open.push_back(p.value.get());
      open.push_back(p.guard.get());
    }
    while (!open.empty()) {
      const Expr *e = open.back();
      open.pop_back();
      if (!e || !seen.insert(e).second)
        continue;
      if (e->kind == Expr::Kind::Read)
        readers[e->tensor].push_back(static_cast<int>(t));
      for (auto &a : e->args)
        open.push_back(a.get());
    }
  }
  std::set<int> dropped;
  std::vector<int> work(broken.begin(), broken.end());
  while (!work.empty()) {
    int t = work.back();
    work.pop_back();
    if (!dropped.insert(t).second)
      continue;
    Tensor &tensor = program.tensors[t];
    tensor.kind = Tensor::Kind::Input;
    tensor.type = Type::Float;
    tensor.pieces.clear();
    work.insert(work.end(), readers[t].begin(), readers[t].end());
  }
}

} // namespace qkv::sema
