// In: an expression and the letters it is to be stored over. Out: the read of its tensor
// (NewTensors.h).
#include "compiler/equations/NewTensors.h"

#include "dsl/proof/Proof.h"

namespace qkv::equations {

NewTensors::NewTensors(Program &program) : program_(program) {
  for (const Tensor &t : program.tensors)
    names_[t.name] = 1;
}

ExprPtr NewTensors::make(const Origin &from, const std::vector<NewAxis> &axes, const ExprPtr &value,
                         const ExprPtr &guard) {
  const Tensor &origin = program_.tensors[from.tensor];
  std::vector<ExprPtr> args;
  std::unordered_map<int, int> number; // of letters
  std::string meaning = std::to_string(origin.region) + "/" + std::to_string(from.lifted) + "/";
  for (const NewAxis &a : axes) {
    meaning += a.axis.extent.text(program_.atoms) + ",";
    if (a.axis.before || a.axis.after)
      meaning += std::to_string(a.axis.before) + "," + std::to_string(a.axis.after) + ",";
    meaning += a.letter < 0 ? a.position.text(program_.atoms) + ";" : "*;";
    if (a.letter >= 0)
      number[a.letter] = static_cast<int>(args.size());
    args.push_back(a.letter >= 0 ? letter(a.letter) : size(a.position));
  }
  Text text(program_,
            [&](int l) { return "l" + std::to_string(number.count(l) ? number[l] : -1 - l); });
  text.write(value, meaning);
  meaning += "|";
  text.write(guard, meaning);
  meaning += from.constant ? "!" : "";
  auto [at, fresh] = made_.try_emplace(meaning, static_cast<int>(program_.tensors.size()));
  if (!fresh)
    return read(program_, at->second, std::move(args), value->span);

  Tensor t;
  t.name = origin.name + "." + from.suffix;
  if (int &n = names_[t.name]; n++ > 0)
    t.name += std::to_string(n);
  t.label = origin.label;
  t.type = value->type;
  t.region = origin.region;
  t.instance = origin.instance;
  t.lifted = from.lifted;
  t.constant = from.constant;
  t.span = value->span ? value->span : origin.pieces[from.piece].span;
  Piece p;
  std::unordered_map<int, ExprPtr> renamed;
  for (const NewAxis &a : axes) {
    if (a.letter >= 0) {
      Letter copy = program_.letters[a.letter];
      program_.letters.push_back(std::move(copy));
      int own = static_cast<int>(program_.letters.size()) - 1;
      renamed[a.letter] = letter(own);
      p.indices.push_back({own, {}});
    } else {
      p.indices.push_back({-1, a.position});
    }
    t.axes.push_back(a.axis);
  }
  p.value = substitute(value, renamed);
  p.guard = guard ? substitute(guard, renamed) : nullptr;
  p.span = t.span;
  t.pieces = {std::move(p)};
  program_.tensors.push_back(std::move(t));
  return read(program_, at->second, std::move(args), value->span);
}

} // namespace qkv::equations
