// Rewritings of checked equations into equations that linalg can say, one file each.
//
// In: a program as the checker leaves it. Out: a program of the same meaning whose pieces are
// elementwise expressions or one plain reduction (sum, max, min, prod) of one, with its checks
// (A1, T2) taken out. Tensors keep their numbers; new ones stand behind; dead ones stay but are
// not read.
#pragma once

#include "dsl/Program.h"
#include "dsl/proof/Schedule.h"
#include "runtime/Held.h"

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace qkv {

/// A broken invariant of the compiler: never a mistake of the model's author.
struct Defect : std::logic_error {
  using std::logic_error::logic_error;
};

} // namespace qkv

namespace qkv::equations {

/// A check that an equation makes when it runs, before it is computed.
struct Check {
  int piece = 0; ///< of its tensor
  int kind = 0;  ///< 0: index (A1), 1: divisor (T2)
  ExprPtr value;
  Size bound;                      ///< index: of the axis
  int64_t before = 0, after = 0;   ///< index: P4
  std::vector<ExprPtr> conditions; ///< under which it takes part, in order of evaluation
  std::vector<int> letters;        ///< that value and conditions depend on, outermost first
  Span span;
  std::string what; ///< "index of wte along v"
};

/// What a reader of the compiled form wants to know of an equation, by tensor.
struct Notes {
  /// All that it computes: "score:8,alpha:9", with the file where that is not the model's own:
  /// "attention.score:207:nn.qkv".
  std::map<int, std::string> equations;
  std::map<int, std::string> why; ///< why it is computed as it is
  /// Why a sum is not fused, by where it stands in the text and the call that it was made by
  /// (Tensor::instance): it becomes a tensor of its own later.
  std::map<std::pair<std::pair<uint32_t, uint32_t>, int>, std::string> sums;

  static std::pair<std::pair<uint32_t, uint32_t>, int> sumKey(const Expr &sum, int instance) {
    return {{sum.span.begin, sum.span.end}, instance};
  }
};

/// Rows that chose the same position are computed together. The choices of all rows, each a number
/// in row-major order of chosen[rows, k], are put in order of what they chose.
struct Group {
  int chosen = -1;
  int order = -1;  ///< order[p]: the number of the p-th choice
  int place = -1;  ///< place[rows, k]: the p of a choice
  int begins = -1; ///< begins[e]: the first p that chose e; one more than there are positions
  int letter = -1; ///< the position that is computed
  int begin = -1, count = -1; ///< sizes: the first p of it, and how many
};

struct Prepared {
  Program program;
  std::map<int, std::vector<Check>> checks; ///< by tensor
  Notes notes;
  std::map<int, qkv_held> held; ///< by parameter; row-major f32 where it has none
  /// Tensors of chosen positions: chosen[rows, k] is the k-th position of those that are taken, in
  /// ascending order, and negative where there is none; with the tensor that says which are taken,
  /// taken[rows, e]. Their equations stay as they are: they are computed by a pass over each row.
  std::map<int, int> chosen;
  /// Tensors that say which elements are the first of their row, first[rows, e] =
  /// rank[e](score[rows, e] where ..) < K, likewise: they are found by their scores' bits.
  std::set<int> firsts;
  /// Tensors over rows and keys that several sums share: they are not written out again.
  std::set<int> stored;
  std::vector<Group> groups;  ///< GroupRows.cpp
  std::map<int, int> grouped; ///< the group of a tensor that is computed position by position
};

/// InlineTables.cpp. Tables over two sequence letters are written in place (T3: never stored).
void inlineTables(Program &program);

/// ChooseByRank.cpp. What a rank chooses is computed for the chosen alone.
void chooseByRank(Prepared &prepared);

/// FuseAttention.cpp. Softmax-weighted sums become one equation each (Attention.h); of each
/// softmax that does not, the notes say why.
void fuseAttention(Prepared &prepared);

/// SplitBlocks.cpp. Sums that read a tensor at their row's block become products block by block.
void splitBlocks(Prepared &prepared);

/// DeriveScans.cpp. Running reductions become recurrences: all, or those that `wanted` asks for.
/// Returns the tensors that hold them.
std::set<int> deriveScans(Program &program,
                          const std::function<bool(const ExprPtr &)> &wanted = nullptr);

/// Demand.cpp. An axis along which all readers want one and the same position is dropped.
void demandPositions(Program &program);
/// The program whose only result is the first one at the last position of the stream.
/// Precondition: a generator.
Program lastPosition(const Program &program);

/// SplitReductions.cpp. Every reduction becomes a tensor over the letters it depends on;
/// expensive tables and factors likewise; checks are taken out.
void splitReductions(Prepared &prepared);

/// HoistInvariants.cpp. What every step of a repeat computes alike is computed once.
void hoistInvariants(Prepared &prepared);

/// NarrowTables.cpp. Tables that are only read where they meet data are stored rounded.
void narrowTables(Prepared &prepared);

struct OwnSizes; // OwnSizes.h

/// AddBatch.cpp. What depends on an input gets a first axis over several sequences of equal sizes,
/// all results get it, and `nodes` stay the program's order. Their number stands before the
/// dynamic sizes. `own`: sizes that need not be equal; what has to do with them gets the axis too,
/// and what its extents say is not to be believed: it is computed by the program of one sequence.
void addBatch(Prepared &prepared, std::vector<ScheduleNode> &nodes, const OwnSizes *own = nullptr);
/// The same file. By tensor: whether an input is among what it is computed from, or one of those
/// sizes.
std::vector<bool> dependingOnInputs(const Prepared &prepared, const OwnSizes *own = nullptr);

/// GroupRows.cpp. What is computed of rows and one chosen position each is computed for the rows of
/// a position together: such tensors have the number of a choice as their first axis, and are a
/// loop of the order. Behind all other rewritings.
void groupRows(Prepared &prepared, std::vector<ScheduleNode> &nodes);

/// PackWeights.cpp. Chooses how the parameters that are contracted are held, for all `entries`
/// together: a parameter has one copy. Panels have `width` positions (0: no panels) or, of a
/// shorter axis, the next multiple of `lanes`. Parameters that are contracted or gathered are held
/// as `element` (a qkv_element), others as f32.
void packWeights(const std::vector<Prepared *> &entries, int64_t width, int64_t lanes,
                 int32_t element);

} // namespace qkv::equations
