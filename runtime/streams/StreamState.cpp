// What a sequence keeps, and how a step is called (StreamState.h).
#include "runtime/streams/StreamState.h"

#include "runtime/Error.h"
#include "runtime/checkpoint/Element.h"
#include "runtime/tensors/Inputs.h"

#include <algorithm>
#include <cstring>

namespace qkv::rt {
namespace {

/// Any part that takes the stream on: inputs and sizes are the same in all.
const qkv_model *anyStep(const qkv_stream &stream) {
  for (int part : {QKV_STEP, QKV_NEXT, QKV_CLOSING})
    if (stream.parts[part])
      return stream.parts[part];
  return nullptr;
}

} // namespace

StreamState::StreamState(const qkv_model &model, std::vector<int64_t> sizes, Room *room)
    : model(model), stream(*model.stream), room(room), own(std::move(sizes)),
      kept(stream.kept_count), second(stream.kept_count), keptBytes(stream.kept_count),
      rowBytes(stream.kept_count), pendingBytes(stream.kept_count), history(stream.kept_count) {}

StreamState::~StreamState() { account(0, nullptr); }

/// From now on so many bytes of the room are this sequence's. False with *error set where there are
/// not.
bool StreamState::account(size_t bytes, qkv_error *error) {
  if (!room)
    return true;
  if (bytes > accounted && !room->take(bytes - accounted)) {
    size_t used = room->used(), most = room->most();
    return fail(error, format("a sequence would keep %zu bytes more, there are %zu of the %zu that "
                              "sequences may keep together",
                              bytes - accounted, most - std::min(used, most), most));
  }
  if (bytes < accounted)
    room->give(accounted - bytes);
  accounted = bytes;
  return true;
}

int64_t StreamState::most() const {
  const qkv_model *step = anyStep(stream);
  return step ? step->sizes[stream.fresh].max : 0;
}

bool StreamState::grows() const {
  return std::any_of(stream.kept, stream.kept + stream.kept_count,
                     [](const qkv_kept &one) { return one.grows != 0; });
}

int32_t StreamState::keptResults(const qkv_stream &stream) {
  int32_t results = 0;
  for (int32_t k = 0; k < stream.kept_count; ++k)
    results = std::max(results, stream.kept[k].next + 1);
  return results;
}

void StreamState::sizesFor(int64_t before, int64_t fresh, std::vector<int64_t> &sizes) const {
  sizes = own;
  sizes.resize(static_cast<size_t>(anyStep(stream)->size_count));
  sizes[stream.past] = before;
  sizes[stream.fresh] = fresh;
}

bool StreamState::shapes(qkv_part which, int64_t fresh, std::vector<std::vector<int64_t>> &in,
                         std::vector<std::vector<int64_t>> &out, qkv_error *error) const {
  return shapesOf(part(which), sizesFor(past, fresh), in, out, error);
}

bool StreamState::begin(void *const *given, void *const *wanted, Sequence &call, qkv_error *error) {
  past = pending = 0;
  call = {nullptr, nullptr, nullptr, error};
  const qkv_model *step = anyStep(stream), *session = stream.parts[QKV_SESSION];
  if (!session)
    return true;
  remembered.clear();
  std::vector<std::vector<int64_t>> mostIn, mostOut, endIn, endOut;
  sizes.clear();
  for (int32_t i = 0; i < session->size_count; ++i) {
    // The session's sizes are the model's without the stream, in their order.
    int32_t at = 0;
    while (strcmp(model.sizes[at].name, session->sizes[i].name) != 0)
      ++at;
    sizes.push_back(own[at]);
  }
  if (!shapesOf(*session, sizes, in, out, error) ||
      (step && !shapesOf(*step, sizesFor(0, most()), mostIn, mostOut, error)) ||
      (step && grows() && !shapesOf(*step, sizesFor(most() - 1, 1), endIn, endOut, error)))
    return false;
  inputs.clear();
  for (int32_t i = 0; i < session->input_count; ++i)
    inputs.push_back(given[stream.session_inputs[i]]);
  results.assign(session->result_count, nullptr);
  if (wanted)
    std::copy_n(wanted, session->result_count, results.begin());
  for (int32_t k = 0; k < stream.kept_count; ++k) {
    const qkv_kept &one = stream.kept[k];
    const qkv_value &value = session->results[one.begin];
    keptBytes[k] = tensorBytes(value.type, out[one.begin]);
    size_t most = keptBytes[k];
    if (one.grows) {
      const std::vector<int64_t> &shape = mostOut[one.next];
      rowBytes[k] = typeSize(value.type);
      for (size_t a = 1; a < shape.size(); ++a)
        rowBytes[k] *= static_cast<size_t>(shape[a]);
      most = std::max(most, tensorBytes(value.type, shape));
      history[k] = endOut[one.next][0] == shape[0];
    } else if (one.next >= 0) { // (a row becomes as long as the stream)
      most = std::max(most, tensorBytes(value.type, mostOut[one.next]));
    }
    if (!kept[k].reserve(most, error))
      return false;
    if (!one.grows && one.next >= 0 && !second[k].reserve(most, error))
      return false;
    results[one.begin] = kept[k].begin();
  }
  if (!account(bytes(), error))
    return false;
  call = {sizes.data(), inputs.data(), results.data(), error};
  return true;
}

bool StreamState::start(const qkv_weights *weights, void *const *given, void *const *wanted,
                        qkv_error *error) {
  const qkv_model *session = stream.parts[QKV_SESSION];
  std::vector<void *> own(session ? session->result_count : 0, nullptr);
  for (int32_t r = 0; r < model.result_count; ++r)
    if (stream.results[r].part == QKV_SESSION)
      own[stream.results[r].result] = wanted[r];
  Sequence call;
  if (!begin(given, own.data(), call, error))
    return false;
  if (!call.results)
    return true;
  if (qkv_run(session, QKV_WHOLE, weights, call.sizes, call.inputs, call.results, error) != 0)
    return false;
  // What is kept was computed in its own place.
  if (!shapesOf(*session, sizes, in, out, error))
    return false;
  for (int32_t r = 0; r < model.result_count; ++r) {
    const qkv_stream_result &from = stream.results[r];
    if (from.part == QKV_SESSION && wanted[r] && call.results[from.result] != wanted[r])
      memcpy(wanted[r], call.results[from.result],
             tensorBytes(model.results[r].type, out[from.result]));
  }
  return true;
}

bool StreamState::step(qkv_part which, int64_t fresh, void *const *given, void *const *wanted,
                       Sequence &call, qkv_error *error) {
  const qkv_model &step = part(which);
  if (fresh > most() - past)
    return fail(error, format("%lld positions behind %lld: %s holds at most %lld",
                              static_cast<long long>(fresh), static_cast<long long>(past),
                              model.name, static_cast<long long>(most())));
  if (every > 0 && past == 0 && remembered.empty())
    takeSnapshot(); // the session has been run
  sizesFor(past, fresh, sizes);
  if (!shapesOf(step, sizes, in, out, error))
    return false;
  inputs.assign(step.input_count, nullptr);
  results.assign(step.result_count, nullptr);
  std::copy_n(given, model.input_count, inputs.begin());
  int32_t first = keptResults(stream);
  std::copy_n(wanted, step.result_count - first, results.begin() + first);
  if (stream.count >= 0) {
    count.resize(std::max<size_t>(static_cast<size_t>(past), 1));
    inputs[stream.count] = count.data();
  }
  size_t after = 0; // bytes that are kept then
  for (int32_t k = 0; k < stream.kept_count; ++k) {
    const qkv_kept &one = stream.kept[k];
    inputs[one.input] = kept[k].begin();
    if (one.next < 0) {
      after += keptBytes[k];
      continue;
    }
    pendingBytes[k] = tensorBytes(step.results[one.next].type, out[one.next]);
    results[one.next] = one.grows ? kept[k].begin() : second[k].begin();
    after += pendingBytes[k];
  }
  if (!account(std::max(after, bytes()), error))
    return false;
  pending = fresh;
  call = {sizes.data(), inputs.data(), results.data(), error};
  return true;
}

void StreamState::pass(int64_t fresh) {
  pending = fresh;
  stepped();
}

void StreamState::stepped() {
  int64_t before = past;
  past += pending;
  pending = 0;
  bool drops = false;
  if (grows() && past < most()) {
    sizesFor(past, 1, sizes);
    drops = shapesOf(*anyStep(stream), sizes, in, out, nullptr);
  }
  for (int32_t k = 0; k < stream.kept_count; ++k) {
    const qkv_kept &one = stream.kept[k];
    if (one.next < 0)
      continue;
    if (!one.grows) {
      if (pendingBytes[k] == 0)
        continue; // nothing new of it
      std::swap(kept[k], second[k]);
      keptBytes[k] = pendingBytes[k];
      continue;
    }
    // What lies too far back for the next step.
    size_t next = drops ? static_cast<size_t>(in[one.input][0]) * rowBytes[k] : pendingBytes[k];
    kept[k].drop(pendingBytes[k] - std::min(next, pendingBytes[k]));
    keptBytes[k] = next;
  }
  account(bytes(), nullptr); // no more than was asked for
  if (every > 0 && past / every > before / every)
    takeSnapshot();
}

void StreamState::snapshots(int64_t positions) {
  every = positions;
  if (past > 0)
    takeSnapshot();
}

void StreamState::takeSnapshot() {
  constexpr size_t latest = 16;
  auto taken = std::make_shared<Snapshot>();
  taken->position = past;
  taken->parts.resize(kept.size());
  for (int32_t k = 0; k < stream.kept_count; ++k)
    if (!hasPast(k))
      taken->parts[k] = {{kept[k].begin(), kept[k].begin() + keptBytes[k]}, kept[k].dropped()};
  if (!remembered.empty() && remembered.back()->position == past)
    remembered.pop_back();
  remembered.push_back(std::move(taken));
  bool beginning = remembered.front()->position == 0;
  if (remembered.size() > latest + beginning)
    remembered.erase(remembered.begin() + beginning);
}

size_t StreamState::bytes() const {
  size_t sum = 0;
  for (size_t one : keptBytes)
    sum += one;
  return sum;
}

bool StreamState::copy(const StreamState &other, qkv_error *error) {
  if (!account(other.bytes(), error))
    return false;
  for (size_t k = 0; k < kept.size(); ++k) {
    if (!kept[k].copy(other.kept[k], other.keptBytes[k], other.hasPast(static_cast<int32_t>(k)),
                      error))
      return false;
    if (second[k].most() != other.second[k].most() && other.second[k].most() &&
        !second[k].reserve(other.second[k].most(), error))
      return false;
  }
  own = other.own;
  past = other.past;
  pending = 0;
  keptBytes = other.keptBytes;
  rowBytes = other.rowBytes;
  history = other.history;
  every = other.every;
  remembered = other.remembered;
  return true;
}

int64_t StreamState::rewind(int64_t target, qkv_error *error) {
  if (target < 0 || target > past)
    return fail(error, format("a sequence of %lld positions cannot go back to %lld",
                              static_cast<long long>(past), static_cast<long long>(target))),
           -1;
  if (target == past)
    return past;
  const Snapshot *from = nullptr;
  for (int32_t k = 0; k < stream.kept_count && !from; ++k)
    if (!hasPast(k)) {
      for (const auto &one : remembered)
        if (one->position <= target)
          from = one.get();
      if (!from)
        return fail(error, format("model %s keeps what has no past, and no snapshot was taken up "
                                  "to position %lld",
                                  model.name, static_cast<long long>(target))),
               -1;
      target = from->position;
    }
  if (!shapesOf(*anyStep(stream), sizesFor(target, 1), in, out, error))
    return -1;
  auto rowsKept = [&](int32_t k) {
    return static_cast<size_t>(in[stream.kept[k].input][0]) * rowBytes[k];
  };
  for (int32_t k = 0; k < stream.kept_count; ++k)
    if (stream.kept[k].next >= 0 && hasPast(k) && !kept[k].own(rowsKept(k), error))
      return -1;
  for (int32_t k = 0; k < stream.kept_count; ++k) {
    if (stream.kept[k].next < 0)
      continue;
    if (hasPast(k)) { // its rows stay where they are
      keptBytes[k] = rowsKept(k);
      continue;
    }
    const Snapshot::Part &then = from->parts[k];
    kept[k].restore(then.bytes.data(), then.bytes.size(), then.dropped);
    keptBytes[k] = then.bytes.size();
  }
  account(bytes(), nullptr);
  past = target;
  while (!remembered.empty() && remembered.back()->position > past)
    remembered.pop_back();
  return past;
}

} // namespace qkv::rt
