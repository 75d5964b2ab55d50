// The qkv dialect: what linalg, scf and tensor cannot say of an equation.
//
// Few operations. An equation itself is linalg.generic on tensors; operations that compute it
// carry its name as the discardable attribute `qkv.equation`.
#ifndef QKV_OPS
#define QKV_OPS

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/Dialect/LLVMIR/LLVMOpBase.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def QkvDialect : Dialect {
  let name = "qkv";
  let cppNamespace = "::qkv";
  let summary = "attention models as equations";
  let description = [{
    Beside its operations the dialect names these attributes:

    - `qkv.description` (string, on the module): what a caller must know, as JSON
      (native/Description.h);
    - `qkv.entry` (unit, on a function): an entry point, with the arguments of irgen/IRGen.h;
    - `qkv.repeat` (string, on a function): the body of a repeat, called once a step;
    - `qkv.equation` (string, on any operation): the equation that it computes;
    - `qkv.grain` (integer, on scf.forall): the rounds that a piece of work for a thread has at
      least (--qkv-outline-parallel).
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
  let hasOperationAttrVerify = 1;
}

class QkvOp<string mnemonic, list<Trait> traits = []> : Op<QkvDialect, mnemonic, traits>;

def CheckOp : QkvOp<"check", [MemoryEffects<[MemWrite]>]> {
  let summary = "a check of rule A1 or T2 when the program runs";
  let description = [{
    Fails, by a call of `qkv_check_failed` with the number of its site, the value and the bound,

    - kind 0 (index, A1): where not 0 <= value < bound;
    - kind 1 (divisor, T2): where value == 0.

    The program goes on: what follows uses an index inside the bounds (a divisor other than 0)
    of its own. The effect keeps the check where it is and its context in use.

    ```mlir
    qkv.check %context, %value, %bound {site = 3 : i32, kind = 0 : i32}
    ```
  }];
  let arguments = (ins LLVM_AnyPointer:$context, I64:$value, I64:$bound, I32Attr:$site,
                       I32Attr:$kind);
  let assemblyFormat = "$context `,` $value `,` $bound attr-dict `:` type($context)";
  let hasVerifier = 1;
}

def AttentionOp : QkvOp<"attention", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "softmax-weighted sums over blocks of remembered keys and values";
  let description = [{
    The interface of the attention kernel; nothing produces it yet. For every sequence s and
    every query row i of its range, with n = positions[s] + i - offsets[s] the position of the
    row in its sequence, j over the key range low[s] <= j < high[s]:

        score[j]  = body(sum[d](query[i,d] * key[j,d]), n, j)      (its second result: takes part)
        result[i] = sum[j](softmax[j](score[j]) * value[j])

    Rows of all sequences stand one after the other: `offsets` has one more entry than there
    are sequences, the rows of s are offsets[s] <= i < offsets[s+1]. Position j of sequence s is
    lane j % 64 of block tables[s, j / 64]; keys are stored [block, d, 64], values
    [block, 64, e], as f32 or 16-bit floats. The parallel form is one block after the other; a
    cache, a ring, a batch and a shared prefix are other tables of the same blocks.

    A score of -inf takes no part; a row of which nothing takes part is 0.

    ```mlir
    qkv.attention queries(%q : memref<?x64xf32>) rows(%offsets, %positions)
        range(%low, %high) tables(%tables) keys(%k : memref<?x64x64xf32>)
        values(%v : memref<?x64x80xf32>) results(%o : memref<?x80xf32>) {
      ^bb0(%dot: f32, %i: index, %j: index):
        %scaled = arith.mulf %dot, %scale : f32
        %causal = arith.cmpi sle, %j, %i : index
        qkv.score %scaled, %causal
    }
    ```
  }];
  let arguments = (ins
    MemRefRankOf<[F32], [2]>:$queries,
    MemRefRankOf<[Index], [1]>:$offsets, MemRefRankOf<[Index], [1]>:$positions,
    MemRefRankOf<[Index], [1]>:$low, MemRefRankOf<[Index], [1]>:$high,
    MemRefRankOf<[Index], [2]>:$tables,
    MemRefRankOf<[F32, F16, BF16], [3]>:$keys, MemRefRankOf<[F32, F16, BF16], [3]>:$values,
    MemRefRankOf<[F32], [2]>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    `queries` `(` $queries `:` type($queries) `)`
    `rows` `(` $offsets `:` type($offsets) `,` $positions `:` type($positions) `)`
    `range` `(` $low `:` type($low) `,` $high `:` type($high) `)`
    `tables` `(` $tables `:` type($tables) `)`
    `keys` `(` $keys `:` type($keys) `)` `values` `(` $values `:` type($values) `)`
    `results` `(` $results `:` type($results) `)` $body attr-dict
  }];
  let extraClassDeclaration = [{
    /// Positions of a block.
    static constexpr int64_t blockSize = 64;
  }];
  let hasRegionVerifier = 1;
}

def ScoreOp : QkvOp<"score", [Pure, Terminator, HasParent<"AttentionOp">]> {
  let summary = "ends the body of qkv.attention: a score, and whether it takes part";
  let arguments = (ins F32:$score, I1:$part);
  let assemblyFormat = "$score `,` $part attr-dict";
}

#endif
