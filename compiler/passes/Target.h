// The target of a compilation as a value: one description for each --cpu. What depends on the
// machine asks it, so that a tile size stands nowhere else. No MLIR here: native/ and the driver
// read it too.
#pragma once

#include <string>
#include <string_view>

namespace qkv {

struct TargetDescription {
  std::string triple;   ///< "x86_64-pc-linux-gnu": the machine that qkv itself runs on
  std::string baseline; ///< the processor that every machine of this triple has: "x86-64"
  std::string cpu;      ///< LLVM's name of the processor: "znver4", never "native"
  std::string features; ///< for a TargetMachine: "+avx512f,-amx-bf16"; empty but for native
  int lanes = 4;        ///< f32 in a vector register
  int registers = 16;   ///< vector registers
  bool fma = false;     ///< fused multiply-add; without it an fma is a call, never emitted
  long l1 = 32 << 10;   ///< data cache, bytes
  long l2 = 256 << 10;  ///< bytes, of one core

  /// Vectors beside each other in the tile of outputs that a contraction keeps in registers, and
  /// the positions of a panel of weights that it reads for them.
  int tileVectors() const { return registers >= 32 ? 4 : 2; }
  int panelWidth() const { return lanes * tileVectors(); }

  /// Accumulators of a tile of outputs, beside the vectors they share and one that is the same in
  /// all lanes.
  int accumulators() const { return registers >= 32 ? 24 : 12; }
  /// Rows of queries whose scores a group of an attention keeps in registers.
  int queryRows() const { return registers >= 32 ? 8 : 4; }

  /// The function attribute "prefer-vector-width", in bits; 0 leaves it to LLVM.
  int preferredWidth() const { return lanes * 32 > 256 ? lanes * 32 : 0; }
};

/// The description of `cpu`: "native", or a name that LLVM knows (x86-64, x86-64-v3, haswell,
/// skylake-avx512, znver4, ...). A name it does not know has the baseline's description.
TargetDescription describeTarget(std::string_view cpu);

} // namespace qkv
