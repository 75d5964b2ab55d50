// Results made of intermediate tensors (Trace.h).
#include "compiler/trace/Trace.h"

#include "compiler/equations/Expressions.h"
#include "dsl/syntax/Diagnostics.h"
#include "runtime/tensors/TraceNames.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace qkv::trace {
namespace {

using namespace equations;

/// What can be asked for: a tensor, or those of all steps of a repeat.
struct Entry {
  std::string name;
  std::vector<int> steps; ///< a tensor for each step; empty: `tensor`
  int tensor = -1;
};

/// The name without the number that makes it unique among calls.
std::string withoutNumber(const std::string &name) { return name.substr(0, name.find('#')); }

std::vector<std::string> wordsOf(const std::string &name) {
  std::vector<std::string> words{""};
  for (char c : withoutNumber(name))
    if (c == '.')
      words.emplace_back();
    else
      words.back() += c;
  return words;
}

/// One name for the tensors of several steps; empty where they are called too differently.
std::string commonName(const Program &program, const std::vector<int> &steps) {
  std::vector<std::string> common = wordsOf(program.tensors[steps[0]].name);
  for (int t : steps) {
    std::vector<std::string> words = wordsOf(program.tensors[t].name);
    if (words.size() != common.size())
      return "";
    for (size_t i = 0; i < words.size(); ++i)
      if (words[i] != common[i])
        common[i] = "*";
  }
  std::string name;
  for (const std::string &word : common)
    name += (name.empty() ? "" : ".") + word;
  return name;
}

/// Whether tensors can lie beside each other in one.
bool alike(const Tensor &a, const Tensor &b) {
  return a.type == b.type &&
         std::equal(a.axes.begin(), a.axes.end(), b.axes.begin(), b.axes.end(),
                    [](const Axis &x, const Axis &y) { return x.extent == y.extent; });
}

/// All that can be asked for. Where each step of a repeat has as many tensors of one equation,
/// those of one place in the step are an entry.
class Entries {
public:
  explicit Entries(const Program &program) : program_(program) {
    using Equation = std::tuple<int, int, std::string, size_t>;  // the repeat, label and place
    std::map<Equation, std::map<int, std::vector<int>>> repeats; // then by the region's step
    for (size_t t = 0; t < program.tensors.size(); ++t) {
      const Tensor &tensor = program.tensors[t];
      if (tensor.kind != Tensor::Kind::Equation)
        continue;
      single.push_back({tensor.name, {}, static_cast<int>(t)});
      if (tensor.region < 0)
        continue;
      const Region &region = program.regions[tensor.region];
      repeats[{region.parent, region.repeat, tensor.label, tensor.span.begin}]
             [static_cast<int>(region.step)]
                 .push_back(static_cast<int>(t));
    }
    for (auto &[equation, steps] : repeats)
      addRepeat(std::get<0>(equation), std::get<1>(equation), steps);
    // (Steps without a common name are asked for one by one.)
    for (const Entry &entry : single)
      if (!inRepeat_.count(entry.tensor))
        all.push_back(entry);
    std::map<std::string, int> taken;
    for (Entry &entry : all)
      if (int before = taken[entry.name]++; before > 0 && !entry.steps.empty())
        entry.name += "#" + std::to_string(before + 1);
  }

  std::vector<Entry> all;    ///< repeats as one, and what stands in none
  std::vector<Entry> single; ///< every tensor

private:
  void addRepeat(int parent, int repeat, std::map<int, std::vector<int>> &steps) {
    size_t count = 0;
    for (const Region &region : program_.regions)
      count += region.parent == parent && region.repeat == repeat;
    size_t places = steps.begin()->second.size();
    if (steps.size() != count)
      return;
    for (auto &[step, tensors] : steps) {
      if (tensors.size() != places)
        return;
      std::sort(tensors.begin(), tensors.end(), [&](int a, int b) {
        return std::pair(withoutNumber(program_.tensors[a].name), a) <
               std::pair(withoutNumber(program_.tensors[b].name), b);
      });
    }
    for (size_t place = 0; place < places; ++place) {
      Entry entry;
      for (auto &[step, tensors] : steps)
        entry.steps.push_back(tensors[place]);
      entry.name = commonName(program_, entry.steps);
      bool fits = !entry.name.empty();
      for (int t : entry.steps)
        fits &= alike(program_.tensors[t], program_.tensors[entry.steps[0]]);
      if (!fits)
        continue;
      inRepeat_.insert(entry.steps.begin(), entry.steps.end());
      all.push_back(std::move(entry));
    }
  }

  const Program &program_;
  std::set<int> inRepeat_;
};

/// Whether a piece stands before or behind its tensor (P4), which is no part of a result.
bool isOutside(const Tensor &tensor, const Piece &piece) {
  for (size_t a = 0; a < tensor.axes.size(); ++a) {
    const Axis &axis = tensor.axes[a];
    if (piece.indices[a].letter >= 0)
      continue;
    for (int64_t n = 1; n <= axis.before; ++n)
      if (piece.indices[a].position == Size(-n))
        return true;
    for (int64_t n = 0; n < axis.after; ++n)
      if (piece.indices[a].position == axis.extent + Size(n))
        return true;
  }
  return false;
}

ExprPtr zeroOf(Type type) {
  if (type == Type::Float)
    return number(0);
  if (type == Type::Int)
    return integer(0);
  auto no = std::make_shared<Expr>();
  no->kind = Expr::Kind::Bool;
  no->type = Type::Bool;
  no->constant = true;
  return no;
}

/// Appends what a result shows of tensor `t`, its first indices being `front`: its elements, and 0
/// where nobody needs them (Piece::guard).
void show(Program &program, int t, const std::vector<PieceIndex> &front, Tensor &result) {
  const Tensor tensor = program.tensors[t]; // (what is added moves them)
  std::vector<Piece> parts = tensor.pieces;
  bool guarded = std::any_of(parts.begin(), parts.end(), [](const Piece &p) { return p.guard; });
  if (!guarded) // all of it at once
    parts.resize(1);
  for (const Piece &part : parts) {
    if (guarded && isOutside(tensor, part))
      continue;
    Piece piece{front, nullptr, nullptr, tensor.span};
    std::vector<ExprPtr> args;
    std::map<int, int> fresh;
    for (size_t a = 0; a < tensor.axes.size(); ++a) {
      PieceIndex index;
      if (guarded && part.indices[a].letter < 0) {
        index.position = part.indices[a].position;
        args.push_back(size(index.position));
      } else {
        // A piece may run over less than the axis (P5 leaves parts), never over more.
        Letter own{tensor.axes[a].name, tensor.axes[a].extent};
        if (guarded) {
          own = program.letters[part.indices[a].letter];
          fresh[part.indices[a].letter] = static_cast<int>(program.letters.size());
        }
        index.letter = static_cast<int>(program.letters.size());
        program.letters.push_back(own);
        args.push_back(letter(index.letter));
      }
      piece.indices.push_back(index);
    }
    piece.value = read(program, t, args, tensor.span);
    if (part.guard && guarded) {
      Mapper rename([&](const ExprPtr &e) {
        auto found = e->kind == Expr::Kind::Letter ? fresh.find(e->letter) : fresh.end();
        return found == fresh.end() ? e : letter(found->second);
      });
      piece.value = choose(rename(part.guard), piece.value, zeroOf(tensor.type), tensor.span);
    }
    result.pieces.push_back(std::move(piece));
  }
}

/// The tensor that a result of an entry is.
int resultOf(Program &program, const Entry &entry) {
  std::vector<int> members = entry.steps.empty() ? std::vector<int>{entry.tensor} : entry.steps;
  const Tensor &first = program.tensors[members[0]];
  Tensor result;
  result.name = "trace." + entry.name;
  result.label = first.label;
  result.type = first.type;
  result.span = first.span;
  result.constant = std::all_of(members.begin(), members.end(),
                                [&](int t) { return program.tensors[t].constant; });
  if (!entry.steps.empty())
    result.axes.push_back(
        {program.regions[first.region].letter, Size(static_cast<int64_t>(members.size())), 0, 0});
  for (const Axis &axis : first.axes)
    result.axes.push_back({axis.name, axis.extent, 0, 0});
  for (size_t step = 0; step < members.size(); ++step) {
    std::vector<PieceIndex> front;
    if (!entry.steps.empty())
      front.push_back({-1, Size(static_cast<int64_t>(step))});
    show(program, members[step], front, result);
  }
  program.tensors.push_back(std::move(result));
  return static_cast<int>(program.tensors.size()) - 1;
}

std::string unknown(const Program &program, const std::string &name, const Entries &entries) {
  for (const Tensor &tensor : program.tensors)
    if (tensor.kind != Tensor::Kind::Equation && rt::meansTensor(name, tensor.name))
      return name + (tensor.kind == Tensor::Kind::Param ? " is a parameter" : " is an input") +
             ": what can be traced is what equations define";
  std::vector<std::string> near;
  for (const Entry &entry : entries.single)
    near.push_back(program.tensors[entry.tensor].label);
  for (const Entry &entry : entries.all)
    near.push_back(entry.name);
  std::string hint = nearest(name, near);
  // Of a long name perhaps its first words are wrong.
  std::string last = name.substr(name.rfind('.') + 1);
  for (const Entry &entry : entries.all)
    if (hint.empty() && rt::meansTensor(last, entry.name))
      hint = entry.name;
  return "model " + program.name + " has no tensor " + name +
         (hint.empty() ? "" : "; did you mean " + hint + "?");
}

} // namespace

std::optional<Program> traceOf(const Program &program, const std::vector<std::string> &names,
                               std::string &error) {
  Entries entries(program);
  std::vector<const Entry *> chosen;
  for (const std::string &name : names) {
    auto choose = [&](const std::vector<Entry> &list) {
      bool found = false;
      for (const Entry &entry : list) {
        if (!rt::meansTensor(name, entry.name))
          continue;
        found = true;
        if (std::none_of(chosen.begin(), chosen.end(),
                         [&](const Entry *one) { return one->name == entry.name; }))
          chosen.push_back(&entry);
      }
      return found;
    };
    if (!choose(entries.all) && !choose(entries.single)) {
      error = unknown(program, name, entries);
      return std::nullopt;
    }
  }
  Program out = program;
  out.name += ".trace";
  out.generatorInput = out.generatorSource = -1; // a function
  out.results.clear();
  for (const Entry *entry : chosen) {
    int tensor = resultOf(out, *entry);
    out.results.push_back({entry->name, tensor});
  }
  return out;
}

} // namespace qkv::trace
