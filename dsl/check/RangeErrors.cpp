// See RangeErrors.h.
#include "dsl/check/RangeErrors.h"

#include <algorithm>
#include <unordered_set>

namespace qkv::sema {
namespace {

std::string sourceText(Span span) {
  if (!span.source || span.end <= span.begin || span.end > span.source->text().size())
    return "";
  std::string s = span.source->text().substr(span.begin, span.end - span.begin);
  return s.size() > 60 || s.find('\n') != std::string::npos ? "" : s;
}

/// The name before the bracket around `index`, as its author wrote it there: inside of a call that
/// is the argument's, not the caller's. Empty if there is none.
std::string nameBefore(Span index) {
  if (!index.source || index.begin > index.source->text().size())
    return "";
  const std::string &text = index.source->text();
  int depth = 0;
  size_t at = index.begin;
  for (; at > 0; --at) {
    char c = text[at - 1];
    if (c == '\n' || c == '{' || c == '}' || c == ';')
      return "";
    depth += c == ']' || c == ')';
    if ((c == '[' || c == '(') && depth-- == 0)
      break;
  }
  if (at == 0 || text[at - 1] != '[')
    return "";
  size_t end = at - 1, begin = end;
  auto inName = [](unsigned char c) { return std::isalnum(c) || c == '_' || c >= 0x80; };
  while (begin > 0 && inName(text[begin - 1]))
    --begin;
  return text.substr(begin, end - begin);
}

bool within(Span inner, Span outer) {
  return inner.source == outer.source && inner.begin >= outer.begin && inner.end <= outer.end;
}

/// "W[part,h,d,c]"
std::string written(const std::string &name, const std::vector<std::string> &indices) {
  std::string out = name + "[";
  for (size_t i = 0; i < indices.size(); ++i)
    out += (i ? "," : "") + indices[i];
  return out + "]";
}

} // namespace

std::string RangeErrors::message(const std::string &text, const std::string &name,
                                 const std::string &extent, const IndexProof &proof) const {
  std::string what = (text.empty() ? "this index" : "index " + text) + " of " + name;
  std::string first = proof.before ? std::to_string(-proof.before) : "0";
  if (proof.below || proof.above)
    return what + " is outside of its axis, " +
           (proof.below ? "below " + first : "at or above its extent " + extent);
  if (!proof.low)
    return what + " may be below " + first + ": nothing here says " +
           (text.empty() ? "that it is not" : first + " <= " + text);
  return what + " may reach the extent " + extent + " of its axis: nothing here says " +
         (text.empty()
              ? "that it does not"
              : text + " < " + extent + (proof.after ? " + " + std::to_string(proof.after) : ""));
}

void RangeErrors::say(const ReadPlace &place, const IndexProof &proof) {
  const Expr &read = *place.read, &index = *read.args[proof.axis];
  const Tensor &target = program_.tensors[read.tensor];
  std::string text = sourceText(index.span), name = nameBefore(index.span);
  if (name.empty())
    name = target.label;
  std::string extent = target.axes[proof.axis].extent.text(program_.atoms);
  auto &d = diagnostics_.error(index.span ? index.span : read.span,
                               message(text, name, extent, proof), "A1");
  hints(d, place, proof, text, name);
  if (!target.span)
    return;
  if (name == target.label)
    d.note(target.span, name + " is defined here");
  else
    d.note(target.span, "here it is " + target.label + ", handed to this call");
}

void RangeErrors::hints(Diagnostic &d, const ReadPlace &place, const IndexProof &proof,
                        const std::string &text, const std::string &name) {
  const Expr &index = *place.read->args[proof.axis];
  const Tensor &target = program_.tensors[place.read->tensor];
  const Axis &axis = target.axes[proof.axis];
  std::string extent = axis.extent.text(program_.atoms);
  bool negative = index.kind == Expr::Kind::Int && index.integer < 0;
  if (std::string other = reordered(place, name); !other.empty()) {
    d.hint(other);
    return;
  }
  std::string start = startOrEnd(place, proof, name);
  bool recurrence = !start.empty() && dependsOn(place.read->tensor, place.tensor);
  if (recurrence) {
    d.hint("a recurrence has its " + std::string(proof.low ? "end" : "start") +
           " as an equation of its own: " + start);
    return;
  }
  if (negative)
    d.hint("a negative position does not count from the end: the last is " + extent + " - 1");
  if (index.kind == Expr::Kind::Letter && !proof.below) {
    const Letter &letter = program_.letters[index.letter];
    if (letter.extent != axis.extent)
      d.hint(letter.name + " ranges over " + letter.extent.text(program_.atoms) + ", and index " +
             std::to_string(proof.axis - target.lifted + 1) + " of " + name + " over " + extent);
  }
  if (proof.below || proof.above) {
    if (!negative && index.kind == Expr::Kind::Int && axis.extent.constant())
      d.hint("positions run from 0 to " + std::to_string(*axis.extent.constant() - 1));
    return;
  }
  if (text.empty())
    return;
  std::string condition = text;
  if (!proof.low)
    condition = (proof.before ? std::to_string(-proof.before) : "0") + " <= " + condition;
  if (!proof.high)
    condition += " < " + extent + (proof.after ? " + " + std::to_string(proof.after) : "");
  d.hint("a guard gives it: " +
         (boundByReduction(place, index)
              ? "where " + condition + " at the end of the reduction, or "
              : std::string()) +
         "if " + condition + " then ... else 0");
  if (!start.empty())
    d.hint("or a value there, by an equation of its own: " + start);
}

// Whether all indices are provably inside, with these in their places.
bool RangeErrors::fits(const ReadPlace &place, const std::vector<ExprPtr> &args) {
  const Tensor &target = program_.tensors[place.read->tensor];
  for (size_t i = 0; i < args.size(); ++i) {
    bool value = false;
    Linear index = prover_.linear(args[i], value);
    if (!prover_.provable(index, *place.known) ||
        !prover_.provable(prover_.linear(target.axes[i].extent) - Linear(1) - index, *place.known))
      return false;
  }
  return true;
}

// Letters in another order that fit: that of the definition, or with two exchanged.
std::string RangeErrors::reordered(const ReadPlace &place, const std::string &name) {
  const Expr &read = *place.read;
  const Tensor &target = program_.tensors[read.tensor];
  size_t lifted = target.lifted, rank = read.args.size();
  std::vector<std::string> names, axes;
  for (size_t i = lifted; i < rank; ++i) {
    if (!within(read.args[i]->span, read.span))
      return "";
    bool letter = read.args[i]->kind == Expr::Kind::Letter;
    names.push_back(letter ? program_.letters[read.args[i]->letter].name
                           : sourceText(read.args[i]->span));
    axes.push_back(target.axes[i].name);
  }
  if (names != axes && std::is_permutation(names.begin(), names.end(), axes.begin(), axes.end())) {
    auto args = read.args;
    for (size_t i = 0; i < axes.size(); ++i)
      args[lifted + i] =
          read.args[lifted + (std::find(names.begin(), names.end(), axes[i]) - names.begin())];
    if (fits(place, args))
      return "the indices in the order of its definition: " + written(name, axes);
  }
  auto isLetter = [&](size_t i) { return read.args[i]->kind == Expr::Kind::Letter; };
  for (size_t i = lifted; i < rank; ++i)
    for (size_t k = i + 1; k < rank; ++k) {
      auto args = read.args;
      std::swap(args[i], args[k]);
      if (!isLetter(i) || !isLetter(k) || !fits(place, args))
        continue;
      std::swap(names[i - lifted], names[k - lifted]);
      return "with two indices exchanged it fits: " + written(name, names);
    }
  return "";
}

// The equations that would give a value at the positions outside: "h[-1,o] = 0". Empty where the
// tensor is not defined in this body, or the index is not a few positions outside of it.
std::string RangeErrors::startOrEnd(const ReadPlace &place, const IndexProof &proof,
                                    const std::string &name) {
  const Tensor &target = program_.tensors[place.read->tensor];
  if (target.kind != Tensor::Kind::Equation || static_cast<int>(proof.axis) >= place.read->own ||
      proof.low == proof.high || static_cast<int>(proof.axis) < target.lifted ||
      name != target.label)
    return "";
  constexpr int64_t few = 4;
  int64_t missing = 1;
  const Linear &distance = proof.low ? proof.toHigh : proof.fromLow;
  while (missing <= few && !prover_.provable(distance + Linear(missing), *place.known))
    ++missing;
  if (missing > few)
    return "";
  std::string out;
  for (int64_t k = 0; k < missing; ++k) {
    std::vector<std::string> indices;
    for (size_t a = target.lifted; a < target.axes.size(); ++a) {
      const Axis &axis = target.axes[a];
      if (a != proof.axis)
        indices.push_back(axis.name);
      else
        indices.push_back(proof.low ? (axis.extent + Size(proof.after + k)).text(program_.atoms)
                                    : std::to_string(-proof.before - 1 - k));
    }
    out += (k ? ", " : "") + written(name, indices) +
           (target.type == Type::Bool ? " = false" : " = 0");
  }
  return out;
}

// Whether `tensor` needs `other`.
bool RangeErrors::dependsOn(int tensor, const Tensor *other) {
  auto [it, fresh] = needs_.try_emplace(tensor);
  std::set<int> &needs = it->second;
  std::vector<int> work;
  if (fresh)
    work.push_back(tensor);
  while (!work.empty()) {
    const Tensor &t = program_.tensors[work.back()];
    work.pop_back();
    std::set<const Expr *> seen;
    std::vector<const Expr *> open;
    for (const Piece &p : t.pieces)
      open.push_back(p.value.get());
    while (!open.empty()) {
      const Expr *e = open.back();
      open.pop_back();
      if (!e || !seen.insert(e).second)
        continue;
      if (e->kind == Expr::Kind::Read && needs.insert(e->tensor).second)
        work.push_back(e->tensor);
      for (auto &a : e->args)
        open.push_back(a.get());
    }
  }
  return needs.count(static_cast<int>(other - program_.tensors.data())) > 0;
}

// Whether a letter of the index is none of its equation's: a guard may stand in the reduction.
bool RangeErrors::boundByReduction(const ReadPlace &place, const Expr &index) const {
  std::vector<const Expr *> open{&index};
  std::unordered_set<const Expr *> seen; // nodes are shared
  while (!open.empty()) {
    const Expr *e = open.back();
    open.pop_back();
    if (!seen.insert(e).second)
      continue;
    if (e->kind == Expr::Kind::Letter &&
        std::none_of(place.piece->indices.begin(), place.piece->indices.end(),
                     [&](const PieceIndex &i) { return i.letter == e->letter; }))
      return true;
    for (auto &a : e->args)
      if (a)
        open.push_back(a.get());
  }
  return false;
}

} // namespace qkv::sema
