// A scalar of a kernel's body as it is over the lanes of a vector: the same in each lane, the
// first lane's plus a multiple of the lane's number, or anything.
//
// With one lane everything is the same in each, so the plain loops are the same code.
#pragma once

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"

namespace qkv {

struct Lanes {
  mlir::Value first;  ///< lane 0's value; null where lanes have nothing in common
  int64_t step = 0;   ///< with `first`: lane l holds first + l * step (integers)
  mlir::Value vector; ///< all of them; null until asked for, if there is `first`

  Lanes() = default;
  explicit Lanes(mlir::Value uniform) : first(uniform) {}
  Lanes(mlir::Value first, int64_t step) : first(first), step(step) {}
  static Lanes varying(mlir::Value vector) {
    Lanes out;
    out.vector = vector;
    return out;
  }
  bool uniform() const { return first && step == 0; }
  bool affine() const { return bool(first); }
  mlir::Type type() const;
};

/// Writes operations on lanes. `mask` (vector of i1, or null for all) says which lanes take
/// part: others are neither loaded nor stored, and hold anything.
class LaneBuilder {
public:
  /// Constants stand where `builder` is now, and each once.
  LaneBuilder(mlir::OpBuilder &builder, mlir::Location loc, int64_t lanes);

  mlir::OpBuilder &builder() { return builder_; }
  int64_t lanes() const { return lanes_; }
  mlir::VectorType vectorOf(mlir::Type element) const;

  mlir::Value constant(mlir::Location loc, mlir::TypedAttr value);
  /// An integer, or a vector of equal ones.
  mlir::Value constant(mlir::Location loc, mlir::Type type, int64_t value);
  /// All lanes as a vector (with one lane: the scalar).
  mlir::Value vector(mlir::Location loc, const Lanes &value);
  /// Lane `lane`, a constant.
  mlir::Value lane(mlir::Location loc, const Lanes &value, int64_t lane);

  /// Integers of one type.
  Lanes add(mlir::Location loc, const Lanes &a, const Lanes &b);
  Lanes subtract(mlir::Location loc, const Lanes &a, const Lanes &b);
  Lanes multiply(mlir::Location loc, const Lanes &a, const Lanes &b);
  /// By a positive number, of what is not negative. Lanes of one step that begin at a multiple of
  /// `lanes()` stay affine where the number is one, too.
  Lanes divide(mlir::Location loc, const Lanes &a, int64_t by);
  Lanes remainder(mlir::Location loc, const Lanes &a, int64_t by);
  /// An affine expression over dimensions, as indexing maps hold them.
  Lanes affine(mlir::Location loc, mlir::AffineExpr expression, mlir::ArrayRef<Lanes> dims);

  Lanes load(mlir::Location loc, mlir::Value buffer, mlir::ArrayRef<Lanes> indices,
             mlir::Value mask);
  void store(mlir::Location loc, const Lanes &value, mlir::Value buffer,
             mlir::ArrayRef<Lanes> indices, mlir::Value mask);

  /// One operation of a body on vectors, the same name and attributes.
  mlir::Value clone(mlir::Operation &op, mlir::ValueRange vectors);

private:
  mlir::Value allTrue(mlir::Location loc);
  /// A flat view of the buffer from the element at the indices' lane 0, and the lanes' offsets
  /// from it.
  std::pair<mlir::Value, mlir::Value> flatten(mlir::Location loc, mlir::Value buffer,
                                              mlir::ArrayRef<Lanes> indices);

  mlir::OpBuilder &builder_;
  int64_t lanes_;
  mlir::Operation *firstConstant_; ///< others are put before it
  llvm::DenseMap<mlir::Attribute, mlir::Value> known_;
};

/// Whether consecutive values of the last index are consecutive in memory.
bool lastIndexContiguous(mlir::Value buffer);

} // namespace qkv
