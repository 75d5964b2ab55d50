// Who lies above whom in an arena. Sizes may be known to the run alone, so the layout is an order:
// of two tenants that are alive at once, one lies above the other, whatever their sizes are.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"

#include <cstdint>

namespace qkv {

class ArenaLayout {
public:
  /// A tenant, alive from `begin` to `end` inclusive; `bytes` is what its size is taken for where
  /// the order is chosen. Tenants are numbered as they are added.
  void add(int64_t begin, int64_t end, int64_t bytes);

  /// Chooses the order: first fit, the largest first.
  void place();

  /// All tenants, each behind those that it lies above.
  llvm::ArrayRef<int> order() const { return order_; }
  /// The tenants next below one: it begins where the last of them ends.
  llvm::ArrayRef<int> below(int tenant) const { return tenants_[tenant].below; }
  /// Those that none lies above: the arena ends where the last of them ends.
  llvm::ArrayRef<int> tops() const { return tops_; }
  /// What the arena takes if sizes are what they were taken for.
  int64_t nominalSize() const { return nominalSize_; }

private:
  struct Tenant {
    int64_t begin, end, bytes, offset = 0;
    llvm::SmallVector<int> below;
  };
  bool meet(int a, int b) const {
    return tenants_[a].begin <= tenants_[b].end && tenants_[b].begin <= tenants_[a].end;
  }

  llvm::SmallVector<Tenant> tenants_;
  llvm::SmallVector<int> order_, tops_;
  int64_t nominalSize_ = 0;
};

} // namespace qkv
