// Layouts of random tenants: apart for all sizes, and no larger than what is alive at once where
// first fit can do it.
#include "compiler/passes/memory/ArenaLayout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

using qkv::ArenaLayout;

namespace {

struct Tenant {
  int64_t begin, end, bytes, offset = 0;
};

/// Offsets for these sizes by the rule of ArenaLayout.h; returns the arena's size.
int64_t follow(const ArenaLayout &layout, std::vector<Tenant> &tenants) {
  auto above = [&](llvm::ArrayRef<int> below) {
    int64_t offset = 0;
    for (int number : below)
      offset = std::max(offset, tenants[number].offset + tenants[number].bytes);
    return offset;
  };
  for (int number : layout.order())
    tenants[number].offset = above(layout.below(number));
  return above(layout.tops());
}

ArenaLayout place(const std::vector<Tenant> &tenants) {
  ArenaLayout layout;
  for (const Tenant &tenant : tenants)
    layout.add(tenant.begin, tenant.end, tenant.bytes);
  layout.place();
  return layout;
}

TEST(Arena, tenantsLieApartForAllSizes) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    std::vector<Tenant> tenants(1 + random() % 40);
    for (Tenant &tenant : tenants) {
      tenant.begin = random() % 60;
      tenant.end = tenant.begin + random() % 12;
      tenant.bytes = random() % 20; // (0 too)
    }
    ArenaLayout layout = place(tenants);
    ASSERT_EQ(layout.order().size(), tenants.size());
    for (int run = 0; run < 5; ++run) {
      int64_t size = follow(layout, tenants);
      if (run == 0) {
        EXPECT_LE(size, layout.nominalSize());
      }
      for (const Tenant &a : tenants) {
        EXPECT_LE(a.offset + a.bytes, size);
        for (const Tenant &b : tenants)
          if (&a != &b && a.begin <= b.end && b.begin <= a.end) {
            EXPECT_TRUE(a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset)
                << "round " << round << ", run " << run;
          }
      }
      for (Tenant &tenant : tenants) // another run, of other sizes
        tenant.bytes = random() % 1000;
    }
  }
}

TEST(Arena, aChainNeedsTwoPlaces) {
  // Each value is read for the next one and then gone.
  std::vector<Tenant> tenants;
  for (int at = 0; at < 20; ++at)
    tenants.push_back({at, at + 1, 64});
  EXPECT_EQ(follow(place(tenants), tenants), 128);
}

TEST(Arena, smallOnesShareTheGapOfALargeOne) {
  std::vector<Tenant> tenants = {{0, 9, 100}, {10, 12, 60}, {10, 12, 40}, {10, 20, 5}};
  EXPECT_EQ(follow(place(tenants), tenants), 105);
}

} // namespace
