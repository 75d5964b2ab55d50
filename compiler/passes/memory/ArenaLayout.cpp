// In: intervals and sizes to go by. Out: for each the tenants next below it.
// Must hold: two that meet in time are ordered, through others or directly, so that offsets that
// satisfy `below` keep them apart for all sizes.
#include "compiler/passes/memory/ArenaLayout.h"

#include "llvm/ADT/BitVector.h"
#include "llvm/ADT/Sequence.h"

#include <algorithm>

namespace qkv {

void ArenaLayout::add(int64_t begin, int64_t end, int64_t bytes) {
  tenants_.push_back({begin, end, std::max<int64_t>(bytes, 1), 0, {}});
}

void ArenaLayout::place() {
  int count = tenants_.size();
  llvm::SmallVector<int> bySize = llvm::to_vector(llvm::seq(0, count)), placed;
  std::stable_sort(bySize.begin(), bySize.end(),
                   [&](int a, int b) { return tenants_[a].bytes > tenants_[b].bytes; });
  auto lower = [&](int a, int b) { return tenants_[a].offset < tenants_[b].offset; };
  for (int tenant : bySize) { // `placed` is in the order of offsets
    int64_t offset = 0;
    for (int other : placed)
      if (meet(tenant, other)) {
        if (offset + tenants_[tenant].bytes <= tenants_[other].offset)
          break;
        offset = std::max(offset, tenants_[other].offset + tenants_[other].bytes);
      }
    tenants_[tenant].offset = offset;
    placed.insert(std::upper_bound(placed.begin(), placed.end(), tenant, lower), tenant);
    nominalSize_ = std::max(nominalSize_, offset + tenants_[tenant].bytes);
  }

  // Those that meet never have one offset, so the order of offsets is one of `below` too. From
  // the highest down, what already lies below another is left out.
  order_ = placed;
  llvm::SmallVector<llvm::BitVector> under(count, llvm::BitVector(count));
  llvm::BitVector covered(count);
  for (size_t at = 0; at < order_.size(); ++at) {
    int tenant = order_[at];
    for (size_t other = at; other-- > 0;) {
      int below = order_[other];
      if (!meet(tenant, below) || under[tenant].test(below))
        continue;
      tenants_[tenant].below.push_back(below);
      under[tenant] |= under[below];
      under[tenant].set(below);
    }
    covered |= under[tenant];
  }
  for (int tenant : order_)
    if (!covered.test(tenant))
      tops_.push_back(tenant);
}

} // namespace qkv
