// Checked equations as text.
//
// Holds: the text is bounded, though nodes are shared and a tree of them can be exponentially
// larger than the program.
#include "dsl/ProgramText.h"

#include <cmath>
#include <cstdio>
#include <map>
#include <unordered_set>

namespace qkv::driver {
namespace {

constexpr size_t longest = 4000; // of one equation
constexpr int deepest = 200;

enum Level { Lowest, LOr, LAnd, LNot, LCompare, LSum, LProduct, LMinus, LPower, Primary };

struct OpText {
  const char *text;
  Level level;
};

OpText binary(Op op) {
  switch (op) {
  case Op::Add:
    return {" + ", LSum};
  case Op::Sub:
    return {" - ", LSum};
  case Op::Mul:
    return {" * ", LProduct};
  case Op::Div:
    return {" / ", LProduct};
  case Op::FloorDiv:
    return {" // ", LProduct};
  case Op::Mod:
    return {" % ", LProduct};
  case Op::Pow:
    return {"^", LPower};
  case Op::And:
    return {" and ", LAnd};
  case Op::Or:
    return {" or ", LOr};
  case Op::Equal:
    return {" == ", LCompare};
  case Op::NotEqual:
    return {" != ", LCompare};
  case Op::Less:
    return {" < ", LCompare};
  case Op::LessEqual:
    return {" <= ", LCompare};
  case Op::Greater:
    return {" > ", LCompare};
  case Op::GreaterEqual:
    return {" >= ", LCompare};
  default:
    return {nullptr, Primary};
  }
}

class Printer {
public:
  explicit Printer(const Program &program) : program(program) {}

  std::string take() { return std::move(out); }
  void text(const std::string &t) {
    if (out.size() < longest)
      out += t;
    else if (!cut) {
      out += " ...";
      cut = true;
    }
  }
  void expression(const Expr &e, Level around = Lowest);
  void piece(const Tensor &tensor, const Piece &piece);

private:
  void apply(const Expr &e, Level around);
  void reduce(const Expr &e);
  void list(const std::vector<ExprPtr> &items, size_t first, const char *between) {
    for (size_t i = first; i < items.size(); ++i) {
      if (i > first)
        text(between);
      expression(*items[i]);
    }
  }
  void braced(bool needed, auto body) {
    if (needed)
      text("(");
    body();
    if (needed)
      text(")");
  }

  const Program &program;
  std::string out;
  bool cut = false;
  int depth = 0;
};

std::string numberText(double value) {
  if (std::isinf(value))
    return value > 0 ? "inf" : "-inf";
  char shortText[40], full[40];
  snprintf(shortText, sizeof shortText, "%.6g", value);
  snprintf(full, sizeof full, "%.17g", value);
  return strtod(shortText, nullptr) == value ? shortText : full;
}

void Printer::apply(const Expr &e, Level around) {
  if (e.op == Op::Neg || e.op == Op::Not) {
    Level level = e.op == Op::Neg ? LMinus : LNot;
    braced(around > level, [&] {
      text(e.op == Op::Neg ? "-" : "not ");
      expression(*e.args[0], level);
    });
    return;
  }
  OpText op = binary(e.op);
  if (!op.text) {
    text(std::string(opName(e.op)) + "(");
    list(e.args, 0, ", ");
    text(")");
    return;
  }
  braced(around > op.level, [&] {
    auto above = static_cast<Level>(op.level + 1);
    bool right = e.op == Op::Pow, apart = op.level == LCompare;
    expression(*e.args[0], right || apart ? above : op.level);
    // i + -n is i - n.
    std::string size = e.args[1]->kind == Expr::Kind::Size && e.op == Op::Add
                           ? e.args[1]->size.text(program.atoms)
                           : "";
    if (size.starts_with("-") && e.args[1]->size.terms().size() == 1)
      return text(" - " + size.substr(1));
    text(op.text);
    expression(*e.args[1], right ? op.level : above);
  });
}

void Printer::reduce(const Expr &e) {
  text(std::string(reductionName(e.reduction)) + "[");
  for (size_t i = 0; i < e.letters.size(); ++i)
    text((i ? "," : "") + program.letters[e.letters[i]].name);
  text("](");
  expression(*e.args[0]);
  if (e.args.size() > 1 && e.args[1]) {
    text(" where ");
    expression(*e.args[1]);
  }
  text(")");
  if (e.args.size() > 2) {
    text("[");
    list(e.args, 2, ",");
    text("]");
  }
}

void Printer::expression(const Expr &e, Level around) {
  if (cut)
    return;
  if (++depth > deepest) {
    text("...");
    --depth;
    return;
  }
  switch (e.kind) {
  case Expr::Kind::Int:
    braced(e.integer < 0 && around > LMinus, [&] { text(std::to_string(e.integer)); });
    break;
  case Expr::Kind::Float:
    braced(e.number < 0 && around > LMinus, [&] { text(numberText(e.number)); });
    break;
  case Expr::Kind::Bool:
    text(e.integer ? "true" : "false");
    break;
  case Expr::Kind::Letter:
    text(program.letters[e.letter].name);
    break;
  case Expr::Kind::Size:
    braced(e.size.terms().size() > 1, [&] { text(e.size.text(program.atoms)); });
    break;
  case Expr::Kind::Step:
    text(std::to_string(e.integer));
    break;
  case Expr::Kind::Read:
    text(program.tensors[e.tensor].name);
    if (!e.args.empty()) {
      text("[");
      list(e.args, 0, ",");
      text("]");
    }
    break;
  case Expr::Kind::Apply:
    apply(e, around);
    break;
  case Expr::Kind::If:
    braced(around > Lowest, [&] {
      text("if ");
      expression(*e.args[0], LOr);
      text(" then ");
      expression(*e.args[1], LOr);
      text(" else ");
      expression(*e.args[2]);
    });
    break;
  case Expr::Kind::Reduce:
    reduce(e);
    break;
  case Expr::Kind::Convert:
    expression(*e.args[0], around);
    break;
  case Expr::Kind::Weighted:
    expression(*writtenOut(e), around);
    break;
  }
  --depth;
}

void Printer::piece(const Tensor &tensor, const Piece &piece) {
  text(tensor.name);
  for (size_t i = 0; i < piece.indices.size(); ++i) {
    const PieceIndex &index = piece.indices[i];
    text(i ? "," : "[");
    text(index.letter >= 0 ? program.letters[index.letter].name
                           : index.position.text(program.atoms));
  }
  text(piece.indices.empty() ? " = " : "] = ");
  expression(*piece.value);
  if (piece.guard) {
    text("   needed where ");
    expression(*piece.guard);
  }
}

std::string shapeText(const Program &program, const Tensor &tensor) {
  std::string letters, extents, beyond;
  for (const Axis &axis : tensor.axes) {
    letters += (letters.empty() ? "" : ",") + axis.name;
    extents += (extents.empty() ? "" : ", ") + axis.extent.text(program.atoms);
    if (axis.before || axis.after)
      beyond += ", " + axis.name + " from " + std::to_string(-axis.before) +
                (axis.after ? " to " + std::to_string(axis.after) + " behind its end" : "");
  }
  std::string shape = tensor.axes.empty() ? "" : "[" + letters + "] = [" + extents + "]";
  return shape + " : " +
         (tensor.token                    ? "token"
          : tensor.half == Half::BFloat16 ? "float, rounded to bf16"
          : tensor.half == Half::Float16  ? "float, rounded to f16"
                                          : typeName(tensor.type)) +
         beyond;
}

std::string kindText(const Program &program, int number) {
  const Tensor &tensor = program.tensors[number];
  for (const Result &result : program.results)
    if (result.tensor == number)
      return "result " + (result.name == tensor.name ? "" : result.name + " = ");
  if (tensor.kind == Tensor::Kind::Input)
    return "input ";
  if (tensor.kind == Tensor::Kind::Param)
    return "param ";
  return tensor.constant ? "constant " : "";
}

/// Which tensors the results need.
std::vector<bool> liveTensors(const Program &program) {
  std::vector<bool> live(program.tensors.size());
  std::vector<int> work;
  for (const Result &r : program.results)
    work.push_back(r.tensor);
  std::unordered_set<const Expr *> seen;
  std::vector<const Expr *> nodes;
  while (!work.empty()) {
    int t = work.back();
    work.pop_back();
    if (live[t])
      continue;
    live[t] = true;
    for (const Piece &p : program.tensors[t].pieces)
      nodes.insert(nodes.end(), {p.value.get(), p.guard.get()});
    while (!nodes.empty()) {
      const Expr *e = nodes.back();
      nodes.pop_back();
      if (!e || !seen.insert(e).second)
        continue;
      if (e->kind == Expr::Kind::Read)
        work.push_back(e->tensor);
      for (const ExprPtr &a : e->args)
        nodes.push_back(a.get());
    }
  }
  return live;
}

bool wanted(const Tensor &tensor, const ProgramPart &part) {
  if (!part.tensor.empty() && part.tensor != tensor.name && part.tensor != tensor.label)
    return false;
  if (part.line == 0)
    return true;
  bool there = static_cast<int>(tensor.span.line()) == part.line;
  for (const Piece &piece : tensor.pieces)
    there |= static_cast<int>(piece.span.line()) == part.line;
  return there;
}

} // namespace

std::string programText(const Program &program, const ProgramPart &part) {
  std::string out;
  if (part.line == 0 && part.tensor.empty()) {
    out += "# ---- model " + program.name + ": the checked equations\n#\n";
    for (int atom : program.dynamicSizes) {
      const SizeAtom &a = program.atoms[atom];
      out += "# size " + a.name + " = " +
             (a.kind == SizeAtom::Kind::Stream ? "stream" : "dynamic") +
             (a.min > 1 ? "(min: " + std::to_string(a.min) + ", max: " : "(max: ") +
             std::to_string(a.max) + ")\n";
    }
    // The same letter is bound many times: each name with each of its ranges once.
    std::map<std::pair<std::string, std::string>, bool> seen;
    for (const Letter &letter : program.letters) {
      std::string extent = letter.extent.text(program.atoms);
      if (!seen.emplace(std::pair(letter.name, extent), true).second)
        continue;
      out += "# index " + letter.name + " < " + extent + "\n";
    }
    out += "#\n";
  }
  std::vector<bool> live = part.live ? liveTensors(program) : std::vector<bool>();
  for (size_t i = 0; i < program.tensors.size(); ++i) {
    const Tensor &tensor = program.tensors[i];
    if (!wanted(tensor, part) || (part.live && !live[i]))
      continue;
    out += "# " + kindText(program, static_cast<int>(i)) + tensor.name + shapeText(program, tensor);
    if (tensor.span)
      out += "   (" + tensor.span.source->path() + ":" + std::to_string(tensor.span.line()) + ")";
    out += "\n";
    for (const Piece &piece : tensor.pieces) {
      Printer printer(program);
      printer.piece(tensor, piece);
      out += "#   " + printer.take() + "\n";
    }
  }
  return out;
}

} // namespace qkv::driver
