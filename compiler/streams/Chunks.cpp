// A stream, chunk by chunk. In: whole inputs. Out: Chunks.h.
#include "compiler/streams/Chunks.h"

#include "compiler/streams/Positions.h"

#include <algorithm>

namespace qkv::streams {
namespace {

/// Positions first <= p < last of an axis.
Values cut(const Values &whole, size_t axis, int64_t first, int64_t last) {
  Values out;
  out.type = whole.type;
  out.shape = whole.shape;
  out.shape[axis] = last - first;
  int64_t outer = 1, inner = 1, extent = whole.shape[axis];
  for (size_t a = 0; a < whole.shape.size(); ++a)
    (a < axis ? outer : inner) *= a == axis ? 1 : whole.shape[a];
  auto copy = [&](const auto &from, auto &to) {
    for (int64_t o = 0; o < outer && !from.empty(); ++o)
      to.insert(to.end(), from.begin() + (o * extent + first) * inner,
                from.begin() + (o * extent + last) * inner);
  };
  copy(whole.floats, out.floats);
  copy(whole.ints, out.ints);
  return out;
}

/// Parts one behind the other along an axis.
Values join(const std::vector<Values> &parts, size_t axis) {
  Values out = parts[0];
  out.floats.clear();
  out.ints.clear();
  out.shape[axis] = 0;
  int64_t outer = 1, inner = 1;
  for (size_t a = 0; a < out.shape.size(); ++a)
    (a < axis ? outer : inner) *= a == axis ? 1 : parts[0].shape[a];
  for (const Values &part : parts)
    out.shape[axis] += part.shape[axis];
  auto copy = [&](auto member) {
    for (int64_t o = 0; o < outer; ++o)
      for (const Values &part : parts) {
        const auto &from = part.*member;
        int64_t row = part.shape[axis] * inner;
        if (!from.empty())
          (out.*member)
              .insert((out.*member).end(), from.begin() + o * row, from.begin() + (o + 1) * row);
      }
  };
  copy(&Values::floats);
  copy(&Values::ints);
  return out;
}

/// What of a step's result the step behind n positions takes; where the step has nothing new of it,
/// what was kept.
Values remain(const Stream &stream, const State &state, Values kept, Values next, int64_t n) {
  if (!growsInPlace(state.kind))
    return std::count(next.shape.begin(), next.shape.end(), 0) ? kept : next;
  const Program &step = stream.step;
  std::vector<int64_t> sizes(step.atoms.count(), 0);
  sizes[stream.past] = n;
  int64_t rows = step.tensors[state.input].axes[0].extent.evaluate(step.atoms, sizes);
  return rows == next.shape[0] ? next : cut(next, 0, next.shape[0] - rows, next.shape[0]);
}

} // namespace

ChunkedRun runInChunks(const Program &model, const Stream &stream,
                       const std::map<int, Values> &inputs, const std::vector<int64_t> &sizes,
                       const std::vector<int64_t> &chunks, const Evaluate &evaluate) {
  ChunkedRun run;
  run.results.resize(stream.results.size());
  // What is computed once.
  std::map<int, Values> given, kept;
  for (int input : stream.session.inputs)
    given[input] = kept[input] = inputs.at(input);
  std::vector<int> wanted;
  for (const State &state : stream.states)
    wanted.push_back(state.begin);
  for (const StreamResult &result : stream.results)
    if (result.session)
      wanted.push_back(result.tensor);
  std::vector<Values> values;
  if (!wanted.empty())
    if ((run.failure = evaluate(stream.session, given, wanted, values)))
      return run;
  for (size_t s = 0; s < stream.states.size(); ++s)
    kept[stream.states[s].input] = std::move(values[s]);
  size_t at = stream.states.size();
  for (size_t r = 0; r < stream.results.size(); ++r)
    if (stream.results[r].session)
      run.results[r] = std::move(values[at++]);
  // The steps; what is for the T at hand is wanted of the last.
  std::vector<std::vector<Values>> rows(stream.results.size());
  std::vector<int64_t> then = sizes, now = sizes;
  int64_t n = 0;
  for (const int64_t &m : chunks) {
    then[model.stream] = n;
    now[model.stream] = n + m;
    std::map<int, Values> step = kept;
    for (int input : model.inputs) {
      const Tensor &t = model.tensors[input];
      for (size_t a = 0; a < t.axes.size(); ++a)
        if (growsWith(model, t.axes[a].extent))
          step[input] = cut(inputs.at(input), a,
                            std::max<int64_t>(0, t.axes[a].extent.evaluate(model.atoms, then)),
                            std::max<int64_t>(0, t.axes[a].extent.evaluate(model.atoms, now)));
    }
    if (stream.count >= 0) {
      Values count;
      count.type = Type::Bool;
      count.shape = {n};
      count.ints.assign(static_cast<size_t>(n), 0);
      step[stream.count] = std::move(count);
    }
    bool last = &m == &chunks.back();
    wanted.clear();
    for (const StreamResult &result : stream.results)
      if (!result.session && (result.axis >= 0 || last))
        wanted.push_back(result.tensor);
    for (const State &state : stream.states)
      if (state.next >= 0)
        wanted.push_back(state.next);
    const Program &part = last && stream.closes ? stream.last : stream.step;
    if (!wanted.empty() && (run.failure = evaluate(part, step, wanted, values)))
      return run;
    at = 0;
    for (size_t r = 0; r < stream.results.size(); ++r)
      if (!stream.results[r].session && (stream.results[r].axis >= 0 || last)) {
        if (stream.results[r].axis >= 0)
          rows[r].push_back(std::move(values[at++]));
        else
          run.results[r] = std::move(values[at++]);
      }
    n += m;
    for (const State &state : stream.states)
      if (state.next >= 0)
        kept[state.input] =
            remain(stream, state, std::move(kept[state.input]), std::move(values[at++]), n);
  }
  for (size_t r = 0; r < stream.results.size(); ++r)
    if (!rows[r].empty())
      run.results[r] = join(rows[r], static_cast<size_t>(stream.results[r].axis));
  return run;
}

} // namespace qkv::streams
