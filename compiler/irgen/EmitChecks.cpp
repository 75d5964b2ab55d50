// Checks of A1 and T2: loops over what an index depends on, before its equation.
//
// In: the checks of a piece. Out: scf.for over their letters, scf.if for their conditions (in
// order: a later one may need the earlier), qkv.check inside. Each condition is asked as soon
// as its letters have values.
#include "compiler/irgen/Emitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace qkv::irgen {

using namespace mlir;

int ModuleState::site(const Check &check) {
  Site site;
  site.what = check.what;
  site.kind = check.kind;
  if (check.span) {
    Source::Position begin = check.span.source->position(check.span.begin);
    Source::Position end = check.span.source->position(check.span.end);
    site.file = check.span.source->path();
    site.line = static_cast<int>(begin.line);
    site.column = static_cast<int>(begin.column);
    site.length = begin.line == end.line ? static_cast<int>(end.column - begin.column) : 1;
  }
  std::string key = site.file + ":" + std::to_string(site.line) + ":" +
                    std::to_string(site.column) + ":" + std::to_string(site.length) + ":" +
                    std::to_string(site.kind) + site.what;
  auto [at, fresh] = siteNumbers_.try_emplace(key, static_cast<int>(sites.size()));
  if (fresh)
    sites.push_back(std::move(site));
  return at->second;
}

void FunctionEmitter::emitChecks(int tensor, int piece) {
  auto found = prepared.checks.find(tensor);
  if (found == prepared.checks.end())
    return;
  const Piece &p = program.tensors[tensor].pieces[piece];
  const std::vector<Facts> &facts = bounds.facts(tensor, piece);
  FreeLetters free;
  for (const Check &check : found->second) {
    if (check.piece != piece)
      continue;
    Location loc = state.location(check.span, program.tensors[tensor].label);
    OpBuilder::InsertionGuard guard(builder);
    LetterValues values = letters;
    size_t condition = 0;
    // Conditions whose letters all have values, in order.
    auto askConditions = [&] {
      for (; condition < check.conditions.size(); ++condition) {
        for (int l : free.of(check.conditions[condition]))
          if (!values.count(l))
            return;
        ScalarEmitter scalar(*this, builder, facts, loc);
        scalar.letters = values;
        Value holds = scalar.emit(check.conditions[condition]);
        auto branch = scf::IfOp::create(builder, loc, holds, /*withElseRegion=*/false);
        builder.setInsertionPointToStart(branch.thenBlock());
      }
    };
    askConditions();
    for (int l : check.letters) {
      if (values.count(l))
        continue;
      Size base(0), extent = program.letters[l].extent;
      for (size_t a = 0; a < p.indices.size(); ++a)
        if (p.indices[a].letter == l) {
          PieceRange range = bounds.range(tensor, piece, static_cast<int>(a));
          base = range.base;
          extent = range.extent;
        }
      auto loop = scf::ForOp::create(builder, loc, value(base), value(base + extent), constant(1));
      builder.setInsertionPointToStart(loop.getBody());
      values[l] = loop.getInductionVar();
      askConditions();
    }
    ScalarEmitter scalar(*this, builder, facts, loc);
    scalar.letters = values;
    Value checked = scalar.emit(check.value);
    Value bound =
        builder.createOrFold<arith::IndexCastOp>(loc, builder.getI64Type(), value(check.bound));
    if (check.before || check.after) { // positions outside that are defined as well (P4)
      auto number = [&](int64_t v) -> Value {
        return arith::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(v));
      };
      Value low = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, checked,
                                        number(-check.before));
      Value end = arith::AddIOp::create(builder, loc, bound, number(check.after));
      Value high = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::sge, checked, end);
      Value fails = arith::OrIOp::create(builder, loc, low, high);
      auto branch = scf::IfOp::create(builder, loc, fails, /*withElseRegion=*/false);
      builder.setInsertionPointToStart(branch.thenBlock());
    }
    CheckOp::create(builder, loc, context, checked, bound, state.site(check), check.kind);
  }
}

} // namespace qkv::irgen
