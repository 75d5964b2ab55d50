// Descriptions: made of a program, which tensors and places they name.
// (Their JSON is in DescriptionJson.cpp, the qkv_model made of them in ModelInMemory.cpp.)
#include "compiler/description/Description.h"
#include "compiler/description/EntryKinds.h"
#include "compiler/description/Extent.h"

#include <algorithm>
#include <sstream>
#include <unordered_set>

namespace qkv {
namespace {

/// Walks everything that a set of tensors reads. Nodes are shared, so each is visited once.
class Reads {
public:
  explicit Reads(const Program &program) : program(program), seen(program.tensors.size()) {}

  void need(int tensor) {
    if (seen[tensor])
      return;
    seen[tensor] = true;
    waiting.push_back(tensor);
  }
  void run() {
    while (!waiting.empty()) {
      const Tensor &tensor = program.tensors[waiting.back()];
      waiting.pop_back();
      if (tensor.kind == Tensor::Kind::Param &&
          tensor.param.fallback == ParamSource::Fallback::Tensor)
        need(tensor.param.tensor);
      for (const Piece &piece : tensor.pieces) {
        expression(piece.value.get());
        expression(piece.guard.get());
      }
    }
  }
  bool needed(int tensor) const { return seen[tensor]; }

private:
  void expression(const Expr *root) {
    // Long sums are deep chains: no recursion.
    std::vector<const Expr *> open{root};
    while (!open.empty()) {
      const Expr *e = open.back();
      open.pop_back();
      if (!e || !visited.insert(e).second)
        continue;
      if (e->kind == Expr::Kind::Read)
        need(e->tensor);
      for (const ExprPtr &argument : e->args)
        open.push_back(argument.get());
    }
  }

  const Program &program;
  std::vector<bool> seen;
  std::vector<int> waiting;
  std::unordered_set<const Expr *> visited;
};

int typeCode(const Tensor &tensor) {
  if (tensor.half != Half::None)
    return tensor.half == Half::BFloat16 ? QKV_FLOAT_BF16 : QKV_FLOAT_F16;
  return tensor.type == Type::Bool ? QKV_BOOL : tensor.type == Type::Int ? QKV_INT : QKV_FLOAT;
}

Description::Value describeValue(const Program &program, const Tensor &tensor,
                                 const std::string &name) {
  Description::Value value{name, typeCode(tensor), tensor.token, {}};
  for (const Axis &axis : tensor.axes) {
    int size = -1;
    for (size_t i = 0; i < program.dynamicSizes.size(); ++i)
      if (axis.extent == Size::atom(program.dynamicSizes[i]))
        size = static_cast<int>(i);
    value.axes.push_back(
        {axis.name, extentText(axis.extent, program.atoms, program.dynamicSizes), size});
  }
  return value;
}

void place(Span span, std::string &file, int &line, int &column, int &length) {
  if (!span)
    return;
  Source::Position begin = span.source->position(span.begin), end = span.source->position(span.end);
  file = span.source->path();
  line = static_cast<int>(begin.line);
  column = static_cast<int>(begin.column);
  length = begin.line == end.line ? static_cast<int>(end.column - begin.column) : 1;
}

/// Whether all sequences have the same shape of a value where they share these sizes.
bool sharesShape(const Description::Value &value, const std::vector<int> &shared) {
  for (const auto &axis : value.axes) {
    std::istringstream words(axis.extent);
    for (std::string word; words >> word;)
      if (word[0] == 's' && positionIn(shared, std::stoi(word.substr(1))) < 0)
        return false;
  }
  return true;
}

/// The arguments of QKV_MIXED: what is in the table, then what all sequences have together.
std::vector<qkv_argument> mixedArguments(const Description &d, const std::vector<int> &shared) {
  std::vector<qkv_argument> table, together{{QKV_SEQUENCES, 0}};
  auto list = [](std::vector<qkv_argument> &to, qkv_argument_kind kind, size_t index) {
    to.push_back({kind, static_cast<int32_t>(index)});
  };
  auto divide = [&](const std::vector<Description::Value> &values, qkv_argument_kind own,
                    qkv_argument_kind common) {
    for (size_t i = 0; i < values.size(); ++i)
      if (sharesShape(values[i], shared))
        list(together, common, i);
      else
        list(table, own, i);
  };
  for (size_t i = 0; i < d.sizes.size(); ++i)
    if (positionIn(shared, static_cast<int>(i)) >= 0)
      list(together, QKV_SIZE, i);
    else
      list(table, QKV_OWN_SIZE, i);
  size_t inputs = together.size();
  divide(d.inputs, QKV_OWN_INPUT, QKV_INPUT);
  if (!d.params.empty())
    list(together, QKV_PARAMS, 0);
  divide(d.results, QKV_OWN_RESULT, QKV_RESULT);
  if (!table.empty()) {
    table.insert(table.begin(), {QKV_TABLE, 0});
    together.insert(together.begin() + static_cast<ptrdiff_t>(inputs), table.begin(), table.end());
  }
  return together;
}

/// The arguments of an entry, in their order.
std::vector<qkv_argument> argumentsOf(const EntryKind &kind, const Description &d,
                                      const std::vector<int> &shared) {
  if (kind.kind == QKV_MIXED)
    return mixedArguments(d, shared);
  std::vector<qkv_argument> arguments;
  auto each = [&](qkv_argument_kind argument, size_t count) {
    for (size_t i = 0; i < count; ++i)
      arguments.push_back({argument, static_cast<int32_t>(i)});
  };
  each(QKV_SEQUENCES, kind.sequences ? 1 : 0);
  each(QKV_SIZE, d.sizes.size());
  each(QKV_INPUT, d.inputs.size());
  each(QKV_PARAMS, d.params.empty() ? 0 : 1);
  if (kind.positions == Positions::Last)
    each(QKV_LAST_POSITION, 1); // of the logits
  else
    each(QKV_RESULT, d.results.size());
  return arguments;
}

} // namespace

size_t Description::Entry::count(qkv_argument_kind kind) const {
  return std::count_if(arguments.begin(), arguments.end(),
                       [&](const qkv_argument &argument) { return argument.kind == kind; });
}

const Description::Entry *Description::entry(qkv_entry_kind kind) const {
  for (const Entry &entry : entries)
    if (entry.kind == kind)
      return &entry;
  return nullptr;
}

void Description::add(qkv_entry_kind kind, const std::vector<int> &shared) {
  const EntryKind &row = entryKind(kind);
  entries.push_back({kind, name + row.symbol, argumentsOf(row, *this, shared)});
}

int positionIn(const std::vector<int> &list, int value) {
  auto at = std::find(list.begin(), list.end(), value);
  return at == list.end() ? -1 : static_cast<int>(at - list.begin());
}

std::vector<const Description *> withParts(const Description &description) {
  std::vector<const Description *> all{&description};
  if (description.stream)
    for (const auto &part : description.stream->parts)
      if (part)
        all.push_back(part.get());
  if (description.trace)
    all.push_back(description.trace.get());
  return all;
}

std::vector<int> usedParams(const Program &program) {
  Reads reads(program);
  for (const Result &result : program.results)
    reads.need(result.tensor);
  reads.run();
  std::vector<int> params;
  for (size_t i = 0; i < program.tensors.size(); ++i)
    if (program.tensors[i].kind == Tensor::Kind::Param && reads.needed(static_cast<int>(i)))
      params.push_back(static_cast<int>(i));
  return params;
}

Description describe(const Program &program, const std::vector<int> &params) {
  Description d;
  d.name = program.name;
  if (program.span)
    d.file = program.span.source->path();
  for (int atom : program.dynamicSizes) {
    const SizeAtom &a = program.atoms[atom];
    d.sizes.push_back({a.name, a.max, a.kind == SizeAtom::Kind::Stream, a.min});
  }
  for (int input : program.inputs)
    d.inputs.push_back(describeValue(program, program.tensors[input], program.tensors[input].name));
  for (const Result &result : program.results)
    d.results.push_back(describeValue(program, program.tensors[result.tensor], result.name));
  for (int number : params) {
    const Tensor &tensor = program.tensors[number];
    Description::Param param;
    param.name = tensor.name;
    for (const Axis &axis : tensor.axes)
      param.shape.push_back(axis.extent.constant().value_or(0));
    param.stored = tensor.param.stored;
    if (tensor.param.fallback == ParamSource::Fallback::Tensor) {
      param.fallback = 1;
      param.fallbackParam = positionIn(params, tensor.param.tensor);
    } else if (tensor.param.fallback == ParamSource::Fallback::Number) {
      param.fallback = 2;
      param.fallbackNumber = tensor.param.number;
    }
    place(tensor.span, param.file, param.line, param.column, param.length);
    d.params.push_back(std::move(param));
  }
  d.settings = program.settings;
  d.generatorInput = positionIn(program.inputs, program.generatorInput);
  d.generatorSource = positionIn(program.inputs, program.generatorSource);
  d.add(QKV_WHOLE);
  return d;
}

} // namespace qkv
