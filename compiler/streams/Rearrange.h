// Equations said so that less must be remembered.
//
// In: a checked program with a stream. Out: equations of the same meaning, as of real numbers.
//   - A sum inside of an equation that depends on fewer of its positions gets a name: of
//     tanh(sum[k](Wq[a,k] * s[i,k]) + sum[k](Wk[a,k] * h[j,k])) the part of position j is kept, or
//     computed once, and not what it is made of.
//   - Conditions on letters alone are asked first: what is read under the others is read less.
//   - What is read under a guard alone has it as its own.
//   - A linear map between what could be kept and what is read moves to the other side of the sum.
//   - A sum over all positions so far whose weights are products of a row's part and a key's,
//     sum[j](sum[d](q[i,d] * k[j,d]) * v[j,e] where j <= i), with or without a factor g^(i-j), is
//     sum[d](q[i,d] * s[i,d,e]) with s[i,d,e] = g * s[i-1,d,e] + k[i,d] * v[i,e]: one matrix is
//     remembered and no history. Where the matrix is large it goes by pages (PagedSums.h).
//   - A maximum, logsumexp, argmax or the like over all positions so far is made of that of the
//     position before: its value is remembered.
//   - A reduction over all positions is folded as they arrive.
#pragma once

#include "dsl/Program.h"

#include <set>

namespace qkv::streams {

/// Lets linear maps of what is read of earlier positions go to the row's side of sums, where a step
/// costs less so: of latent attention the latent is kept, and neither keys nor values.
void absorbMaps(Program &program);

/// Names sums, in place.
void nameSums(Program &program);

/// Puts the conditions of `and` that read no data in front of those that do, in place.
void lettersFirst(Program &program);

/// Lets tensors be computed only where they are read, in place: the guards around all reads of one
/// are its own.
void guardNames(Program &program);

/// Makes reductions over all positions, where no axis is left, recurrences of which the last
/// position is read, or running reductions. Returns the tensors that hold recurrences.
std::set<int> foldClosing(Program &program);

/// Makes other reductions over all positions so far recurrences, where their value is smaller than
/// half the stream's history. Returns the tensors that hold the values.
std::set<int> runningReductions(Program &program);

/// Makes running sums recurrences where their state is smaller than half the stream's history.
/// Returns the tensors that hold the states.
std::set<int> runningSums(Program &program);

} // namespace qkv::streams
