// The qkv dialect: what linalg, scf and tensor cannot say of an equation.
//
// Few operations. An equation itself is linalg.generic on tensors; operations that compute it
// carry its name as the discardable attribute `qkv.equation`.
#ifndef QKV_OPS
#define QKV_OPS

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/Dialect/LLVMIR/LLVMOpBase.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
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
    - `qkv.param` (unit, on an entry's argument): a parameter of the model;
    - `qkv.repeat` (string, on a function): the body of a repeat, called once a step;
    - `qkv.sequence` (unit, on a function): what of several sequences' step is computed for each by
      itself, called once a sequence;
    - `qkv.mixed` (unit, on a function): it computes steps of several sequences, of few positions
      each: rows of different sequences share what is read of a matrix;
    - `qkv.equation` (string, on any operation): the equation that it computes;
    - `qkv.equations` (string, likewise): the names of all that it computes, with commas;
    - `qkv.why` (string, likewise): why it is computed as it is;
    - `qkv.batch` (integer, on linalg.generic): the letter that is over the sequences of a batch,
      which lanes do not add up over;
    - `qkv.rare` (unit, on scf.if): the condition seldom holds, so that on vectors its first side
      is left out where no lane wants it, instead of computing both;
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

def MemoryOp : QkvOp<"memory", [Pure]> {
  let summary = "the buffer at an address, its elements in row-major order";
  let description = [{
    What several sequences have each by itself is known by addresses, in a table that the caller of
    an entry fills.

    ```mlir
    %keys = qkv.memory %address(%rows) : memref<?x64xf32>
    ```
  }];
  let arguments = (ins I64:$address, Variadic<Index>:$sizes);
  let results = (outs AnyMemRef:$buffer);
  let assemblyFormat = "$address `(` $sizes `)` attr-dict `:` type($buffer)";
  let hasVerifier = 1;
}

def AttentionOp
    : QkvOp<"attention", [AttrSizedOperandSegments, DestinationStyleOpInterface,
                          RecursiveMemoryEffects,
                          DeclareOpInterfaceMethods<MemoryEffectsOpInterface, ["getEffects"]>]> {
  let summary = "weighted sums of values, the weights a softmax of any score or any score itself";
  let description = [{
    For every setting of the outer letters, every row i < rows, and with j < keys:

        weight[i,j] = softmax[j](score(i, j) where part(i, j))
        output[i,e] = sum[j](weight[i,j] * factor(i, j) * value[place(i, j),e])

    for each value, and, in an output more than there are values,

        log_sum[i] = log(sum[j](exp(score(i, j)) where part(i, j)))

    on tensors, or on buffers without results. The body is the score: any scalar code over the
    outer letters, i and j, with reads of tensors (or buffers) around it and `qkv.reduce`.
    Its arguments are the outer letters, i, j, and the bounds of a tile, first and last row,
    first and last key. It ends with the score; `part`; whether, by the bounds alone, any
    element of the tile takes part, and whether all do; and, if any differs from 1, a factor a
    value; if any differs from j, a place a value.

    With `plain` there is no softmax: weight[i,j] is score(i, j) where part(i, j) and 0 elsewhere,
    and the output more is sum[i] = sum[j](weight[i,j]).

    `value_maps` say where value[outer, j, e] stands in each value: from (outer..., j, e...)
    to its indices, the last of which is the last e. `output_maps` likewise from (outer..., i,
    e...); that of log_sum (or sum) has (outer..., i). In a softmax a score of -inf takes no part.
    A row of which nothing takes part is 0, its log_sum -inf.

    ```mlir
    %o = qkv.attention outer(%heads) rows(%T) keys(%T) values(%v : tensor<4x?x64xf32>)
        outs(%empty : tensor<4x?x64xf32>)
        {value_maps = [affine_map<(h, j, e) -> (h, j, e)>],
         output_maps = [affine_map<(h, i, e) -> (h, i, e)>]} {
      ^bb0(%h: index, %i: index, %j: index, %i0: index, %i1: index, %j0: index, %j1: index):
        %dot = qkv.reduce "sum"(%c64) {
          ^bb0(%d: index):
            %a = tensor.extract %q[%h, %i, %d] : tensor<4x?x64xf32>
            %b = tensor.extract %k[%h, %j, %d] : tensor<4x?x64xf32>
            %c = arith.mulf %a, %b : f32
            qkv.yield %c : f32
        }
        %part = arith.cmpi sle, %j, %i : index
        %any = arith.cmpi sle, %j0, %i1 : index
        %all = arith.cmpi sle, %j1, %i0 : index
        qkv.score %dot, %part, %any, %all
    } -> tensor<4x?x64xf32>
    ```
  }];
  let arguments = (ins Variadic<Index>:$outer, Index:$rows, Index:$keys,
                       Variadic<AnyShaped>:$values, Variadic<AnyShaped>:$outputs,
                       AffineMapArrayAttr:$value_maps, AffineMapArrayAttr:$output_maps,
                       UnitAttr:$plain);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    (`outer` `(` $outer^ `)`)? `rows` `(` $rows `)` `keys` `(` $keys `)`
    (`values` `(` $values^ `:` type($values) `)`)? `outs` `(` $outputs `:` type($outputs) `)`
    attr-dict-with-keyword $body (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    /// Keys of a tile.
    static constexpr int64_t blockSize = 64;
    mlir::MutableOperandRange getDpsInitsMutable() { return getOutputsMutable(); }
    mlir::Value row() { return getBody().getArgument(getOuter().size()); }
    mlir::Value key() { return getBody().getArgument(getOuter().size() + 1); }
    /// Of a tile: first and last row, first and last key.
    mlir::ValueRange bounds() { return getBody().getArguments().drop_front(getOuter().size() + 2); }
    ScoreOp score();
    /// Whether the last output is the sum of a row's weights: of a softmax, the logarithm of what it
    /// is divided by.
    bool hasTotal() { return getOutputs().size() > getValues().size(); }
    /// What a value's weights are multiplied by; null for 1.
    mlir::Value factor(unsigned value);
    /// Where a value is read, in place of its key; the key itself as a rule.
    mlir::Value place(unsigned value);
    mlir::AffineMap valueMap(unsigned n) {
      return llvm::cast<mlir::AffineMapAttr>(getValueMaps()[n]).getValue();
    }
    mlir::AffineMap outputMap(unsigned n) {
      return llvm::cast<mlir::AffineMapAttr>(getOutputMaps()[n]).getValue();
    }
  }];
  let hasRegionVerifier = 1;
}

def ScoreOp : QkvOp<"score", [Pure, Terminator, HasParent<"AttentionOp">,
                              AttrSizedOperandSegments]> {
  let summary = "ends the body of qkv.attention";
  let arguments = (ins F32:$score, I1:$part, I1:$any, I1:$all, Variadic<F32>:$factors,
                       Variadic<Index>:$places);
  let assemblyFormat = [{
    $score `,` $part `,` $any `,` $all (`factors` `(` $factors^ `)`)?
    (`places` `(` $places^ `)`)? attr-dict
  }];
}

def ReduceOp : QkvOp<"reduce", [RecursiveMemoryEffects]> {
  let summary = "a scalar: the sum, maximum, minimum or product over letters of a body";
  let description = [{
    ```mlir
    %dot = qkv.reduce "sum"(%c64) { ^bb0(%d: index): ... qkv.yield %x : f32 }
    ```
    The order of summation is that of the letters, the last running fastest.
  }];
  let arguments = (ins StrAttr:$kind, Variadic<Index>:$extents);
  let results = (outs F32:$result);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$kind `(` $extents `)` $body attr-dict";
  let hasRegionVerifier = 1;
}

def YieldOp : QkvOp<"yield", [Pure, Terminator, HasParent<"ReduceOp">]> {
  let summary = "ends the body of qkv.reduce";
  let arguments = (ins F32:$value);
  let assemblyFormat = "$value attr-dict `:` type($value)";
}

#endif
