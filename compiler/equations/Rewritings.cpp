// The rewritings in order, with the reason for each position.
#include "compiler/equations/Rewritings.h"

#include "compiler/equations/CheckProgram.h"

namespace qkv::equations {

const std::vector<Rewriting> &rewritings() {
  static const std::vector<Rewriting> list{
      {"inline-tables", "what is inlined is demanded and split where it is read",
       [](Prepared &p) { inlineTables(p.program); }},
      {"choose-by-rank", "what is left of a sum over all positions is no weighted sum",
       chooseByRank},
      {"split-blocks", "a block's keys are few: its weighted sums go over them alone", splitBlocks},
      {"fuse-attention", "before positions are dropped: all entries have the same kernels",
       fuseAttention, /*fusion=*/true},
      {"derive-scans", "before positions are dropped: the last one of a running sum has its bytes",
       [](Prepared &p) { (void)deriveScans(p.program); }},
      {"demand-positions", "before reductions hide who reads which position",
       [](Prepared &p) { demandPositions(p.program); }},
      {"split-reductions", "behind all that looks at reductions as the author wrote them",
       splitReductions},
      {"hoist-invariants", "tables and sums that were split off are among what all steps compute",
       hoistInvariants},
      {"narrow-tables", "last: it asks who reads a table in the end", narrowTables},
  };
  return list;
}

Prepared rewrite(Program program, const RewriteOptions &options) {
  Prepared prepared;
  prepared.program = std::move(program);
  for (const Rewriting &step : rewritings()) {
    if (step.fusion && !options.fuse)
      continue;
    step.apply(prepared);
    if (std::string broken = whatIsBroken(prepared.program); !broken.empty())
      throw Defect(std::string("equations: behind ") + step.name + ", " + broken);
    if (options.behind)
      options.behind(step, prepared);
    if (options.until == step.name)
      break;
  }
  return prepared;
}

} // namespace qkv::equations
