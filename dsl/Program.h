// The checked equations of one model: what everything below works on.
//
// The checker elaborates a model into one flat system of equations. Calls are gone: the
// tensors of a called body stand here themselves, with the letters of the call that they
// depend on as their first axes. Steps of a `repeat` stand one after the other, each marked
// with its region. Names are unique. What holds:
//   - every letter has a range, every tensor a shape and a type, every read as many indices
//     as its tensor has axes;
//   - every read is inside its axis, provably, or is marked to be checked when it runs (A1);
//   - the pieces of a tensor cover it (P1), recurrences run in one direction (R1).
// Expressions are trees whose nodes are shared where the author's names were: a node that is
// reached twice has one value for one setting of its letters.
#pragma once

#include "dsl/Size.h"
#include "dsl/functions/Functions.h"
#include "dsl/syntax/Source.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace qkv {

enum class Type { Unknown, Bool, Int, Float };
const char *typeName(Type type);

/// A bound variable: an axis of an equation or the letter of a reduction. Each binding is a
/// letter of its own. Runs over 0 <= letter < extent.
struct Letter {
  std::string name;
  Size extent;
};

struct Expr;
using ExprPtr = std::shared_ptr<const Expr>;

/// A node. Immutable once the program is made; rewriting makes new nodes.
struct Expr {
  enum class Kind {
    Int,     ///< integer
    Float,   ///< number
    Bool,    ///< integer is 0 or 1
    Letter,  ///< the value of `letter`: an int
    Size,    ///< the value of `size`: an int (not a known number)
    Step,    ///< the number of the step of region `region`: an int, in `integer` too
    Read,    ///< tensor[args]: args are ints; a tensor of rank 0 has none
    Apply,   ///< op(args). And, Or evaluate the second only if needed (A3)
    If,      ///< args: condition, then, else; only the taken one is evaluated (A3)
    Reduce,  ///< reduction over `letters` of args[0], with guard args[1] (or null: none).
             ///< Softmax: the share of the element at args[2..], one index for each letter;
             ///< 0 where the guard leaves that element out. Rank: likewise how many elements come
             ///< before the one at args[2..], the greatest int where the guard leaves it out
    Convert, ///< args[0] as `type`: Int to Float
    Weighted ///< a weighted sum whose weights are in no tensor. The checker makes none: it is what
             ///< the compiler's rewritings leave of sum[k](softmax[j](score where guard) at k *
             ///< factor * value) and its like; see `writtenOut`. letters: j, k, and those of a
             ///< tile's bounds, if any; args: WeightedArg
  };
  Kind kind;
  Type type = Type::Unknown;
  /// Depends only on letters, sizes and constants: exact, in double precision (T3). A
  /// constant float becomes an f32 where it first meets data or is a result.
  bool constant = false;
  Span span;
  int64_t integer = 0;
  double number = 0;
  int letter = -1;
  qkv::Size size;
  int tensor = -1;
  int region = -1;
  Op op = Op::Add;
  Reduction reduction = Reduction::Sum;
  std::vector<int> letters;
  std::vector<ExprPtr> args;
  /// Read: for each index whether it must be checked at run time (A1). Apply of FloorDiv
  /// and Mod on ints: checked[0] says that the divisor may be zero (T2).
  std::vector<bool> checked;
  /// Read: how many of the first indices stand in the tensor's own body, and so may be
  /// positions outside (P4).
  int own = 0;
};

/// The arguments of Expr::Kind::Weighted; any but the score may be null. `reduction` says what is
/// computed: Softmax weights, which the sum of the values is over; Sum, the scores being the
/// weights themselves; LogSumExp of the scores, which has no value.
struct WeightedArg {
  enum {
    Score,  ///< over j
    Guard,  ///< over j
    Factor, ///< over k; multiplies the weight
    Value,  ///< over k; without one, the weights or the logarithm themselves are summed
    Row,    ///< outside of the letters: the letter of the rows, where a tile has rows
    Any,    ///< over the letters of a tile: whether the guard holds for one of its pairs
    All,    ///< and whether for all
    Count
  };
};

/// Whether the letters of a node are bound in its argument `arg`.
bool binds(const Expr &e, size_t arg);

/// What a weighted sum is, in terms of the other kinds.
ExprPtr writtenOut(const Expr &weighted);

/// Where a piece stands on one axis: a letter, or one position.
struct PieceIndex {
  int letter = -1; ///< of the program, or -1: `position`
  Size position;
};

/// One equation: a value for some positions of a tensor. `h[-1,o] = 0`
struct Piece {
  std::vector<PieceIndex> indices; ///< one an axis
  ExprPtr value;
  /// Elements at which this is false are needed by nobody and may have any value; evaluating
  /// them could read outside. Null: all are needed. (A call under an `if` or `where`.)
  ExprPtr guard;
  Span span; ///< the equation
};

struct Axis {
  std::string name;   ///< of its letter
  Size extent;        ///< positions 0 <= p < extent are the tensor
  int64_t before = 0; ///< P4: positions -before <= p < 0 are defined as well
  int64_t after = 0;  ///< P4: and extent <= p < extent + after
};

/// How checkpoints of a format store a parameter (C5).
struct StoredForm {
  std::string format; ///< "gguf"; empty: every format that no other form is for
  /// The names of the stored tensors, one for each setting of the letters inside the name,
  /// in row-major order of those letters; one name if there are none.
  std::vector<std::string> names;
  /// The axes that are inside the name (stacked), as numbers of axes in order.
  std::vector<int> stacked;
  std::string place; ///< where an element stands (runtime's StoredPlace); empty: as the letters do
  std::string value; ///< what it is of the stored number (StoredText); empty: that number
  bool operator==(const StoredForm &other) const = default;
};

/// How a parameter is found in a checkpoint.
struct ParamSource {
  std::vector<StoredForm> stored; ///< the first with an empty format
  /// What to take where the checkpoint has no such tensor: another parameter (a tensor of
  /// this program, same shape), a number, or nothing.
  enum class Fallback { None, Tensor, Number } fallback = Fallback::None;
  int tensor = -1;
  double number = 0;
};

/// Floats of 16 bits.
enum class Half { None, BFloat16, Float16 };

struct Tensor {
  enum class Kind { Input, Param, Equation };
  Kind kind = Kind::Equation;
  std::string name;  ///< unique, "layer.3.attn.q"; inputs and results have their own names
  std::string label; ///< as the author named it, "q"
  Type type = Type::Unknown;
  bool token = false;    ///< Input: declared `token`
  bool constant = false; ///< Equation: depends on no input and no parameter (T3)
  std::vector<Axis> axes;
  std::vector<Piece> pieces; ///< Equation: most constant indices first (P1)
  ParamSource param;         ///< Param
  int region = -1;           ///< the step of a repeat that it belongs to, or -1
  /// How many of the first axes come from letters of a call and not from the equation.
  int lifted = 0;
  int instance = 0; ///< the call that made it; 0 is the model's own body
  /// Of floats: what they are rounded to as they are written. No page says so; what a step keeps
  /// may be kept in fewer bytes.
  Half half = Half::None;
  Span span; ///< of the definition
};

/// One step of a `repeat`. Regions of one repeat have one `repeat` number.
struct Region {
  int parent = -1; ///< the region around it, or -1
  int repeat = 0;
  int64_t step = 0;
  std::string letter;
  Span span;
};

struct Result {
  std::string name;
  int tensor;
};

/// What a key is called in a format's configuration.
struct FormatKey {
  std::string format, key;
  bool operator==(const FormatKey &other) const = default;
};

/// What config("key", default) gave (C2). Texts are as JSON writes them.
struct Setting {
  std::string key;
  std::optional<std::string> value;    ///< none: the configuration has no such key
  std::optional<std::string> fallback; ///< the default; none: there is none, or it is no literal
                                       ///< and was not evaluated, since there is a value
  std::vector<FormatKey> keys = {};    ///< instead of `key`, where a format has another
  bool operator==(const Setting &other) const = default;
};

struct Program {
  std::string name; ///< of the model
  Span span;
  SizeAtoms atoms;
  std::vector<Letter> letters;
  std::vector<Tensor> tensors;
  std::vector<Region> regions;
  std::vector<int> inputs;       ///< in order of the signature
  std::vector<Result> results;   ///< likewise
  std::vector<int> dynamicSizes; ///< the Dynamic and Stream atoms, in order of declaration
  int stream = -1;               ///< the Stream atom, or -1
  int batch = -1;                ///< the atom that is the number of sequences; -1: there is one

  /// A generator: first result `logits[i,v]` over the stream, from a stream of tokens (Text).
  int generatorInput = -1;  ///< the tensor that is the token stream, or -1: a function
  int generatorSource = -1; ///< the dynamic token input beside it, or -1

  std::vector<Setting> settings; ///< what was read from the configuration, each once
};

} // namespace qkv
