// Readers of readers. In: a program. Out: Dependents.h.
#include "compiler/streams/Dependents.h"

#include "compiler/equations/Expressions.h"

namespace qkv::streams {

std::vector<bool> dependents(const Program &program, std::vector<int> tensors) {
  std::vector<std::vector<int>> readers(program.tensors.size());
  for (size_t t = 0; t < program.tensors.size(); ++t)
    for (const Piece &piece : program.tensors[t].pieces)
      for (const ExprPtr &root : {piece.value, piece.guard})
        if (root)
          equations::forEachNode(root, [&](const Expr &e) {
            if (e.kind == Expr::Kind::Read)
              readers[e.tensor].push_back(static_cast<int>(t));
          });
  std::vector<bool> out(program.tensors.size());
  while (!tensors.empty()) {
    int t = tensors.back();
    tensors.pop_back();
    if (out[t])
      continue;
    out[t] = true;
    tensors.insert(tensors.end(), readers[t].begin(), readers[t].end());
  }
  return out;
}

} // namespace qkv::streams
