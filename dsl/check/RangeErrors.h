// What is said where an index is not provably inside its axis (A1, A2, P4).
//
// In: the read, which of its indices, and what could be proved of it. Out: a diagnostic in the
// names of the place where the index was written, with what would mend it: the order of the
// indices, the start or end of a recurrence, or a guard.
#pragma once

#include "dsl/Program.h"
#include "dsl/proof/Proof.h"
#include "dsl/syntax/Diagnostics.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace qkv::sema {

/// What could be proved of one index of a read.
struct IndexProof {
  size_t axis;
  bool low, high;     ///< it is not below its axis, not above
  bool below, above;  ///< it is provably outside
  Linear fromLow;     ///< how far it is above the first position
  Linear toHigh;      ///< and how far below the last one
  int64_t before = 0; ///< positions outside that this place may read (P4)
  int64_t after = 0;
};

class RangeErrors {
public:
  RangeErrors(const Program &program, Prover &prover, Diagnostics &diagnostics)
      : program_(program), prover_(prover), diagnostics_(diagnostics) {}

  void say(const ReadPlace &place, const IndexProof &proof);

private:
  std::string message(const std::string &text, const std::string &name, const std::string &extent,
                      const IndexProof &proof) const;
  void hints(Diagnostic &d, const ReadPlace &place, const IndexProof &proof,
             const std::string &text, const std::string &name);
  std::string reordered(const ReadPlace &place, const std::string &name);
  bool fits(const ReadPlace &place, const std::vector<ExprPtr> &args);
  std::string startOrEnd(const ReadPlace &place, const IndexProof &proof, const std::string &name);
  bool dependsOn(int tensor, const Tensor *other);
  bool boundByReduction(const ReadPlace &place, const Expr &index) const;

  const Program &program_;
  Prover &prover_;
  Diagnostics &diagnostics_;
  std::map<int, std::set<int>> needs_; ///< of a tensor: all that it needs
};

} // namespace qkv::sema
