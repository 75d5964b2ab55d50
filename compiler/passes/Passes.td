// The passes: flag, class, file and test of each are named alike
// (--qkv-free-early, FreeEarly, FreeEarly.cpp, tests/passes/free-early.mlir).
#ifndef QKV_PASSES
#define QKV_PASSES

include "mlir/Pass/PassBase.td"

def FuseElementwise : Pass<"qkv-fuse-elementwise", "mlir::func::FuncOp"> {
  let summary = "elementwise equations are computed where they are read";
  let description = [{
    Before: one `linalg.generic` on tensors an equation.
    After: an elementwise one is part of its readers, and `qkv.equations` there names all that
    are, where it has one reader, or costs less than storing and loading it. It does not move
    into an operation that reads an element of it many times (over more letters; a contraction),
    unless into an elementwise one and at the cost of a load; nor past what may write over
    its operands.
    Why own: MLIR's pattern asks for a rule what to move; and it moves one value at a time past
    writes, which would copy the state of a recurrence in each step.
    Example: tests/passes/fuse-elementwise.mlir
  }];
  let dependentDialects = ["mlir::affine::AffineDialect", "mlir::linalg::LinalgDialect"];
}

def PassDestinations : Pass<"qkv-pass-destinations", "mlir::ModuleOp"> {
  let summary = "private functions write their results where the caller says";
  let description = [{
    Before: private functions that return tensors (the steps of repeats).
    After: their last arguments are buffers that the caller allocates and the results are
    written into.
    Why: a buffer that a function returns may be any of its arguments, so nothing could be
    freed before the caller ends, and memory would grow with the number of steps.
    Example: tests/passes/pass-destinations.mlir
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::memref::MemRefDialect",
                           "mlir::tensor::TensorDialect",
                           "mlir::bufferization::BufferizationDialect"];
}

def ComputeInPlace : Pass<"qkv-compute-in-place", "mlir::func::FuncOp"> {
  let summary = "tensors are computed into the slice or the result where they end";
  let description = [{
    Before: a tensor is computed over `tensor.empty` and then inserted into another, or
    materialised in a result's buffer.
    After: it is computed over a slice of the other, or over the result's buffer; else, element
    by element, over an operand that nothing else reads. Results are materialised last, and what
    a caller hands in is marked as not writable.
    Why own: MLIR's eliminate-empty-tensors also does so where something else reads a value on
    the way, and then two computations share a result's memory.
    Example: tests/passes/compute-in-place.mlir
  }];
  let dependentDialects = ["mlir::tensor::TensorDialect",
                           "mlir::bufferization::BufferizationDialect"];
}

def LowerCopies : Pass<"qkv-lower-copies", "mlir::func::FuncOp"> {
  let summary = "copies of buffers and named linalg operations become linalg.generic";
  let description = [{
    Before: `memref.copy`, `linalg.fill` and other named operations on buffers.
    After: `linalg.generic` alone.
    Why: one lowering for all; and a strided `memref.copy` would otherwise call a function of
    MLIR's runner, which no program of ours links.
    Example: tests/passes/lower-copies.mlir
  }];
  let dependentDialects = ["mlir::linalg::LinalgDialect"];
}

def FreeEarly : Pass<"qkv-free-early", "mlir::func::FuncOp"> {
  let summary = "buffers are freed behind their last use";
  let description = [{
    Before: each `memref.dealloc` stands at the end of its block, where ownership analysis
    puts it.
    After: it stands behind the last operation of that block that may touch the buffer,
    through whatever view, loop or branch.
    Why: otherwise a model of many layers holds the activations of all of them at once.
    Example: tests/passes/free-early.mlir
  }];
}

def PlanArena : Pass<"qkv-plan-arena", "mlir::ModuleOp"> {
  let summary = "buffers become views of one arena";
  let description = [{
    Before: `memref.alloc` and `memref.dealloc`, paired in a block.
    After: an entry allocates one arena, and buffers are `memref.view`s of it at offsets that it
    computes from the sizes it is called with; what is not alive at once shares memory. A
    private function takes its part from the caller, and `@NAME.arena` says how much it needs.
    What threads allocate inside `scf.forall`, or is freed under another name, stays.
    Why offsets and not a plan of constants: sizes are known when a model runs. Of two buffers
    that are alive at once one always lies above the other; which, is found by first fit
    over guessed sizes.
    Example: tests/passes/plan-arena.mlir
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::func::FuncDialect",
                           "mlir::memref::MemRefDialect"];
}

def WidenBools : Pass<"qkv-widen-bools", "mlir::ModuleOp"> {
  let summary = "buffers of bools become buffers of bytes";
  let description = [{
    Before: buffers of i1, one byte an element.
    After: buffers of i8, 0 or 1; values stay i1 between a load and a store.
    Why: a vector load of i1 reads eight elements from a byte, which is not how they lie.
    Example: tests/passes/widen-bools.mlir
  }];
  let dependentDialects = ["mlir::arith::ArithDialect"];
}

def ExpandMath : Pass<"qkv-expand-math", "mlir::func::FuncOp"> {
  let summary = "functions of f32 become arithmetic; sums of products fused multiply-adds";
  let description = [{
    Before: `math.exp`, `log`, `tanh`, `erf`, `sin`, `cos`, `rsqrt` and powers of f32 scalars;
    `out + a * b` in the bodies of reductions.
    After: arithmetic, as exact as the README's table says; `math.fma` where the target has it
    and the sum allows it (`contract`). No operation keeps fast-math flags: later steps reorder
    nothing. Doubles are left to libm.
    Why before vectors: vectors and scalars compute the same bits, and later steps contract
    nothing on their own.
    Example: tests/passes/expand-math.mlir
  }];
  let options = [Option<"cpu", "cpu", "std::string", /*default=*/"\"native\"",
                        "the processor, as --cpu names it">];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::math::MathDialect",
                           "mlir::scf::SCFDialect"];
}

def LowerExtrema : Pass<"qkv-lower-extrema", "mlir::func::FuncOp"> {
  let summary = "maxima and minima of floats become a comparison and a selection";
  let description = [{
    Before: `arith.maximumf`, `minimumf`, `maxnumf`, `minnumf` of scalars and vectors.
    After: `max(a, b) = b > a ? b : a`, one instruction on most targets.
    Why: MLIR's operations promise a NaN for any NaN and an order of zeros, which costs several
    instructions; the language asks for neither (C4).
    Example: tests/passes/lower-extrema.mlir
  }];
  let dependentDialects = ["mlir::arith::ArithDialect"];
}

def MergeAttention : Pass<"qkv-merge-attention", "mlir::func::FuncOp"> {
  let summary = "weighted sums with the same weights share one pass over the keys";
  let description = [{
    Before: one `qkv.attention` on tensors a weighted sum.
    After: one for all that have the same weights, with a value and an output each; the sum of
    the weights (of a softmax its logarithm), where an equation is that, is an output of the same.
    Why: a score costs as much as what it weighs, and would be computed again for each.
    Example: tests/passes/merge-attention.mlir
  }];
  let dependentDialects = ["mlir::arith::ArithDialect"];
}

def BlockRows : Pass<"qkv-block-rows", "mlir::func::FuncOp"> {
  let summary = "what is not fused is computed by blocks of rows";
  let description = [{
    Before: `linalg.generic` on tensors; scores and weights that are not fused are values over two
    sequence letters.
    After: where such values end in sums over one of the letters and nothing else reads them, a
    loop over blocks of 64 positions of the other letter stands around the whole chain.
    Why: a value over two sequence letters grows with the square of the length; a block of it
    stays near the core.
    Example: tests/passes/block-rows.mlir
  }];
  let dependentDialects = ["mlir::affine::AffineDialect", "mlir::arith::ArithDialect",
                           "mlir::linalg::LinalgDialect", "mlir::scf::SCFDialect",
                           "mlir::tensor::TensorDialect"];
}

def LowerAttention : Pass<"qkv-lower-attention", "mlir::func::FuncOp"> {
  let summary = "qkv.attention becomes loops over tiles of rows and keys";
  let description = [{
    Before: `qkv.attention` on buffers, its body of arith, math, `memref.load`, `qkv.reduce`.
    After: `scf` with vectors. Keys stream by in blocks of 64: the scores of a group of rows are in
    a scratch of some KB, maximum and sum of a row too, the weighted sum in the output. What is
    read along the keys and not contiguous there is packed, as many heads at a time as stay in
    cache. Blocks, and slices of 16 keys of them, whose bounds say that nothing takes part in a
    group of rows are skipped, blocks of which all does are not masked.
    Why own: linalg on tiles leaves the scores in memory and loses a tenth to a sixth of the
    machine's peak.
    Example: tests/passes/lower-attention.mlir
  }];
  let options = [Option<"cpu", "cpu", "std::string", /*default=*/"\"native\"",
                        "the processor, as --cpu names it">];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::math::MathDialect",
                           "mlir::memref::MemRefDialect", "mlir::scf::SCFDialect",
                           "mlir::vector::VectorDialect"];
}

def LowerKernels : Pass<"qkv-lower-kernels", "mlir::func::FuncOp"> {
  let summary = "linalg.generic on buffers becomes loops with vectors";
  let description = [{
    Before: `linalg.generic` on buffers, bodies of arith, math, `memref.load` at computed places,
    `scf.if`, `qkv.check`.
    After: `scf.for` with vector operations: register-tiled contractions, vectors along the
    letter in which reading is cheapest, masked ends; plain loops where a body has no vector
    form.
    Why own and not MLIR's vectoriser: gathers, guards and reductions of any body in one
    place, ends that compute what full vectors do, and a fixed order of summation.
    Example: tests/passes/lower-kernels.mlir
  }];
  let options = [Option<"cpu", "cpu", "std::string", /*default=*/"\"native\"",
                        "the processor, as --cpu names it">];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::memref::MemRefDialect",
                           "mlir::scf::SCFDialect", "mlir::vector::VectorDialect"];
}

def OutlineParallel : Pass<"qkv-outline-parallel", "mlir::ModuleOp"> {
  let summary = "parallel loops become functions that the runtime's threads call";
  let description = [{
    Before: `scf.forall` with `qkv.grain`, in functions whose first argument is the context.
    After: `qkv_parallel_for(context, rounds, grain, function, argument)`; the function does
    rounds [begin, end), and finds what the loop used from around it behind the argument.
    Without a context: `scf.for`. Loops that are the same, lines of the model included, share
    one function: entries of a model hold the same kernels.
    Why on the thread pool of the runtime: a region costs 0.4 us there.
    Example: tests/passes/outline-parallel.mlir
  }];
  let dependentDialects = ["mlir::func::FuncDialect", "mlir::scf::SCFDialect",
                           "mlir::arith::ArithDialect", "mlir::LLVM::LLVMDialect"];
}

def LowerChecks : Pass<"qkv-lower-checks", "mlir::ModuleOp"> {
  let summary = "qkv.check becomes a branch and a call of the runtime";
  let description = [{
    Before: `qkv.check` with a context, a value and a bound.
    After: `scf.if` with a call of `qkv_check_failed(context, site, value, bound)`; the code
    goes on, because what is read afterwards was clamped by irgen.
    Why: so late, because a check that does not depend on the vector letter must be
    recognised as one when its loop is vectorised.
    Example: tests/passes/lower-checks.mlir
  }];
  let dependentDialects = ["mlir::func::FuncDialect", "mlir::scf::SCFDialect",
                           "mlir::arith::ArithDialect", "mlir::LLVM::LLVMDialect"];
}

def ExportEntries : Pass<"qkv-export-entries", "mlir::ModuleOp"> {
  let summary = "entries get their C interface";
  let description = [{
    Before: functions on buffers, the entries marked `qkv.entry`, their parameters `qkv.param`.
    After: entries are public with `llvm.emit_c_interface` (`_mlir_ciface_NAME` takes
    pointers to descriptors), all others private. An entry takes its parameters as one pointer,
    to a table of theirs; other functions take a buffer of static extents, rows behind one
    another, as a pointer.
    Why: a descriptor is three arguments and two an axis; a model of a hundred parameters would
    spend most of its compile time on handing them over.
    Example: tests/passes/export-entries.mlir
  }];
  let dependentDialects = ["mlir::LLVM::LLVMDialect"];
}

def ExpandViews : Pass<"qkv-expand-views", "mlir::ModuleOp"> {
  let summary = "views become arithmetic on places, vectors have one dimension";
  let description = [{
    Before: `memref.subview`, `vector.create_mask`, vectors of several dimensions.
    After: bases, offsets, sizes and strides; comparisons; vectors of one dimension.
    Why own: MLIR's patterns, all in one sweep that leaves control flow alone. Three passes of
    its own take four times as long.
    Example: tests/passes/expand-views.mlir
  }];
  let dependentDialects = ["mlir::affine::AffineDialect", "mlir::arith::ArithDialect",
                           "mlir::memref::MemRefDialect", "mlir::scf::SCFDialect",
                           "mlir::vector::VectorDialect"];
}

def ConvertToLLVM : Pass<"qkv-convert-to-llvm", "mlir::ModuleOp"> {
  let summary = "all dialects become LLVM's at once";
  let description = [{
    Before: functions of blocks on memref, vector, arith, math, cf, func, index, ub.
    After: the LLVM dialect, and casts that cancel each other. A function that LLVM has no
    intrinsic for is libm's, lane by lane.
    Why own: MLIR's patterns, all in one conversion; a pass for each dialect goes over the module
    eight times. Its `convert-to-llvm` cannot be told whose allocation functions to call.
    Example: tests/passes/convert-to-llvm.mlir
  }];
  let dependentDialects = ["mlir::LLVM::LLVMDialect"];
}

def FinishModule : Pass<"qkv-finish-module", "mlir::ModuleOp"> {
  let summary = "the LLVM dialect as the runtime and the code generator want it";
  let description = [{
    Before: the LLVM dialect; buffers come from MLIR's generic allocation functions.
    After: they come from `qkv_alloc` and `qkv_free`; private functions have internal
    linkage; every function says which vector width it wants.
    Example: tests/passes/finish-module.mlir
  }];
  let options = [Option<"cpu", "cpu", "std::string", /*default=*/"\"native\"",
                        "the processor, as --cpu names it">];
  let dependentDialects = ["mlir::LLVM::LLVMDialect"];
}

#endif
