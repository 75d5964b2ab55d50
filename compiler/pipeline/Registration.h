// What the pipeline's notation may name.
#pragma once

namespace qkv {

/// Makes every pass that the pipeline names known to MLIR's registry, once a process.
void registerAllPasses();

} // namespace qkv
