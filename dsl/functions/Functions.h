// The operations of the language, and one table of its functions and one of its reductions.
//
// A row says all that depends on which function it is: its word, what it takes and gives, its
// value, what it costs. The lexer, the checker, the interpreter and the compiler ask these tables;
// none has a list of its own. What code a function becomes is said where code is emitted
// (compiler/irgen/EmitScalars.cpp, compiler/passes/math).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qkv {

enum class Op {
  // operators of one operand
  Neg,
  Not,
  // functions of one
  Exp,
  Expm1,
  Log,
  Log1p,
  Sqrt,
  Rsqrt,
  Tanh,
  Sigmoid,
  Erf,
  Sin,
  Cos,
  Abs,
  Floor,
  Ceil,
  Round,
  // operators of two
  Add,
  Sub,
  Mul,
  Div,
  FloorDiv,
  Mod,
  Pow,
  // functions of two or more
  Min,
  Max,
  // conditions
  And,
  Or,
  Equal,
  NotEqual,
  Less,
  LessEqual,
  Greater,
  GreaterEqual,
};
/// The sign or word of an operation.
const char *opName(Op op);

/// What comes of the type of the operands (T1).
enum class Typing : uint8_t {
  Float, ///< ints become floats first
  Same,  ///< an int of ints, a float of floats
  Int,   ///< an int, whatever it is of
};

struct Function {
  Op op;
  const char *name;
  Typing typing;
  bool several; ///< takes two or more arguments, from the left two at a time; else one
  bool costly;  ///< takes many operations: worth a memory of its own where it is wanted again
  /// Its value in double precision; the value in f32 is that, rounded. Of one operand, y counts
  /// for nothing. Of Typing::Int: a whole number or no number.
  double (*value)(double x, double y);
  /// Its value of ints, of Typing::Same. They wrap.
  int64_t (*ofInts)(int64_t x, int64_t y);
};

std::span<const Function> functions();
/// The function of that name, or null.
const Function *functionNamed(std::string_view name);
/// The function that an operation is, or null: it is an operator.
const Function *functionOf(Op op);

/// Whether an operation of floats takes many operations. (A division does not, though it takes
/// longer than a product.)
bool isCostly(Op op);
/// The type of what an operation of numbers gives; comparisons have none of these.
Typing typingOf(Op op);
bool isComparison(Op op);
/// Whether it gives a bool.
bool isCondition(Op op);

/// The int that a whole number is: beyond 64 bits the nearest, of NaN 0 (T2).
int64_t wholeToInt(double whole);

enum class Reduction {
  Sum,
  Max,
  Min,
  Mean,
  Prod,
  LogSumExp,
  ArgMax,
  ArgMin,
  Softmax,
  Rank,
};

struct ReductionInfo {
  Reduction reduction;
  const char *name;
  Typing typing;
  bool oneLetter; ///< takes one letter (S2); else one or more, as a joint range
  /// Its value belongs to one element of the row, whose position it is given beside its letters
  /// (L5); else to the whole row.
  bool ofElement;
};

std::span<const ReductionInfo> reductions();
/// The reduction of that name, or null.
const ReductionInfo *reductionNamed(std::string_view name);
const ReductionInfo &infoOf(Reduction reduction);
const char *reductionName(Reduction reduction);

/// The words of all functions, for "did you mean".
std::vector<std::string> functionNames();

} // namespace qkv
