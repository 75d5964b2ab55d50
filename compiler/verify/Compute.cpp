// Running a compiled model on a trial. Holds: memory of results begins as a pattern that no result
// is, so that what was not written shows; a read behind an input or a parameter ends the process.
#include "compiler/verify/GuardedBytes.h"
#include "compiler/verify/Verify.h"
#include "runtime/checkpoint/Panels.h"
#include "runtime/checkpoint/Weights.h"
#include "runtime/streams/InChunks.h"
#include "runtime/tensors/Entries.h"
#include "runtime/tensors/Inputs.h"

#include <algorithm>
#include <cstring>

namespace qkv {
namespace {

/// Room behind each result, which no run writes.
constexpr size_t tailBytes = 8;

/// Values as the runtime holds them: f32, i64, bytes.
std::vector<char> packed(const Values &values) {
  std::vector<char> bytes;
  auto append = [&](auto value) {
    auto *from = reinterpret_cast<const char *>(&value);
    bytes.insert(bytes.end(), from, from + sizeof value);
  };
  if (values.type == Type::Float)
    for (double v : values.floats)
      append(static_cast<float>(v));
  else if (values.type == Type::Int)
    for (int64_t v : values.ints)
      append(v);
  else
    for (int64_t v : values.ints)
      append(static_cast<uint8_t>(v));
  return bytes;
}

Values unpacked(const std::vector<char> &bytes, int type, const std::vector<int64_t> &shape) {
  Values values;
  values.type = type == QKV_FLOAT ? Type::Float : type == QKV_INT ? Type::Int : Type::Bool;
  values.shape = shape;
  int64_t count = values.count();
  for (int64_t i = 0; i < count; ++i) {
    float f;
    int64_t n;
    if (type == QKV_FLOAT) {
      memcpy(&f, bytes.data() + i * 4, 4);
      values.floats.push_back(f);
    } else if (type == QKV_INT) {
      memcpy(&n, bytes.data() + i * 8, 8);
      values.ints.push_back(n);
    } else {
      values.ints.push_back(static_cast<uint8_t>(bytes[i]));
    }
  }
  return values;
}

/// What qkv_run takes for a trial, and room for its results with a tail behind each.
struct Memory {
  std::vector<rt::EntryResult> given; ///< by the entry
  std::vector<GuardedBytes> inputs, params;
  std::vector<std::vector<char>> results;
  qkv_weights weights;

  bool make(const qkv_model &model, const Program &program, const Trial &trial, qkv_entry_kind kind,
            qkv_error *error) {
    std::vector<std::vector<int64_t>> inputShapes, resultShapes;
    if (!rt::shapesOf(model, trial.sizes, inputShapes, resultShapes, error))
      return false;
    for (int number : program.inputs) {
      std::vector<char> plain = packed(trial.inputs.at(number));
      inputs.emplace_back(plain.data(), plain.size());
    }
    std::map<std::string, const Values *> named;
    for (const auto &[number, values] : trial.params)
      named[program.tensors[number].name] = &values;
    for (int32_t i = 0; i < model.param_count; ++i) {
      const qkv_param &param = model.params[i];
      std::vector<char> plain = packed(*named.at(param.name));
      std::vector<char> held(rt::heldBytes(param));
      rt::writeHeld(param, reinterpret_cast<const float *>(plain.data()), held.data());
      params.emplace_back(held.data(), held.size());
      weights.params.push_back(params.back().data());
    }
    if (const qkv_entry *entry = rt::findEntry(model, kind))
      given = rt::entryResults(*entry, resultShapes);
    else // its parts give them
      for (int32_t r = 0; r < model.result_count; ++r)
        given.push_back({r, resultShapes[r]});
    for (size_t i = 0; i < given.size(); ++i)
      results.emplace_back(resultBytes(model, i) + tailBytes, static_cast<char>(0xFF));
    return true;
  }
  const qkv_value &value(const qkv_model &model, size_t result) const {
    return model.results[given[result].index];
  }
  size_t resultBytes(const qkv_model &model, size_t result) const {
    return rt::typeSize(value(model, result).type) *
           static_cast<size_t>(rt::elementCount(given[result].shape));
  }
  int run(const qkv_model &model, const Trial &trial, qkv_entry_kind kind, qkv_error *error) {
    return qkv_run(&model, kind, &weights, trial.sizes.data(), pointers(inputs).data(),
                   pointers(results).data(), error);
  }
  template <typename Bytes> static std::vector<void *> pointers(std::vector<Bytes> &list) {
    std::vector<void *> out;
    for (Bytes &bytes : list)
      out.push_back(bytes.data());
    return out;
  }
};

std::string errorText(const qkv_error &error) {
  return std::string(error.file) + ":" + std::to_string(error.line) + ":" +
         std::to_string(error.column) + ": " + error.text;
}

/// The results, and what was written behind them.
void takeResults(const qkv_model &model, const Memory &memory, Computed &computed) {
  for (size_t i = 0; i < memory.results.size(); ++i) {
    const std::vector<char> &bytes = memory.results[i];
    computed.results.push_back(unpacked(bytes, memory.value(model, i).type, memory.given[i].shape));
    for (size_t at = memory.resultBytes(model, i); at < bytes.size(); ++at)
      if (static_cast<unsigned char>(bytes[at]) != 0xFF)
        computed.failure =
            std::string("memory behind result ") + memory.value(model, i).name + " was written";
  }
}

Computed run(const qkv_model &model, const Program &program, const Trial &trial,
             qkv_entry_kind kind) {
  Computed computed;
  qkv_error error = {};
  error.size = sizeof error;
  Memory memory;
  if (!memory.make(model, program, trial, kind, &error) ||
      memory.run(model, trial, kind, &error) != 0) {
    computed.failure = errorText(error);
    return computed;
  }
  takeResults(model, memory, computed);
  return computed;
}

/// What differs where `count` sequences are computed together, by entry `several`, from what entry
/// `one` computes of each.
std::string together(const qkv_model &model, const Program &program, const Trial &trial,
                     size_t count, qkv_entry_kind one, qkv_entry_kind several) {
  std::vector<Memory> alone(count);
  std::vector<std::vector<char>> joined(model.input_count), results;
  bool fails = false;
  for (size_t at = 0; at < count; ++at) {
    Trial mate = moved(trial, at);
    if (!alone[at].make(model, program, mate, one, nullptr))
      return "its shapes are too large";
    fails |= alone[at].run(model, mate, one, nullptr) != 0;
    for (size_t i = 0; i < joined.size(); ++i) {
      const GuardedBytes &own = alone[at].inputs[i];
      joined[i].insert(joined[i].end(), own.data(), own.data() + own.size());
    }
  }
  std::vector<GuardedBytes> inputs;
  for (const std::vector<char> &bytes : joined)
    inputs.emplace_back(bytes.data(), bytes.size());
  for (size_t i = 0; i < alone[0].results.size(); ++i)
    results.emplace_back(count * alone[0].resultBytes(model, i) + tailBytes,
                         static_cast<char>(0xFF));
  std::vector<int64_t> sizes = trial.sizes;
  sizes.insert(sizes.begin(), static_cast<int64_t>(count));
  bool failed =
      qkv_run(&model, several, &alone[0].weights, sizes.data(), Memory::pointers(inputs).data(),
              Memory::pointers(results).data(), nullptr) != 0;
  std::string which = std::to_string(count) + " sequences at once";
  if (fails != failed)
    return which + (fails ? " do not meet the failing check that one meets alone"
                          : " meet a failing check that none meets alone");
  for (size_t i = 0; i < results.size() && !fails; ++i) {
    size_t bytes = alone[0].resultBytes(model, i);
    for (size_t at = 0; at < count; ++at)
      if (memcmp(results[i].data() + at * bytes, alone[at].results[i].data(), bytes) != 0)
        return which + ": result " + alone[at].value(model, i).name + " of sequence " +
               std::to_string(at) + " is not what it is alone";
    for (size_t at = count * bytes; at < results[i].size(); ++at)
      if (static_cast<unsigned char>(results[i][at]) != 0xFF)
        return which + ": memory behind result " + alone[0].value(model, i).name + " was written";
  }
  return "";
}

} // namespace

Trial moved(const Trial &trial, size_t by) {
  Trial out = trial;
  auto move = [&](auto &list) {
    if (!list.empty())
      std::rotate(list.begin(), list.begin() + static_cast<ptrdiff_t>(by % list.size()),
                  list.end());
  };
  for (auto &[number, values] : out.inputs) {
    move(values.floats);
    move(values.ints);
  }
  return out;
}

std::vector<Computed> computeInChunks(const qkv_model &model, const Program &program,
                                      const std::vector<Trial> &trials,
                                      const std::vector<std::vector<int64_t>> &lengths) {
  std::vector<Computed> out(trials.size());
  std::vector<Memory> memory(trials.size());
  std::vector<rt::Call> calls(trials.size());
  std::vector<qkv_error> errors(trials.size());
  std::vector<rt::InChunks> runs;
  for (size_t i = 0; i < trials.size(); ++i) {
    errors[i].size = sizeof errors[i];
    rt::Call &call = calls[i];
    call.sizes = trials[i].sizes;
    if (!memory[i].make(model, program, trials[i], QKV_WHOLE, &errors[i]) ||
        !rt::shapesOf(model, call.sizes, call.inputShapes, call.resultShapes, &errors[i])) {
      out[i].failure = errorText(errors[i]);
      return out;
    }
    call.inputs = Memory::pointers(memory[i].inputs);
    call.results = Memory::pointers(memory[i].results);
    runs.push_back({&call, &errors[i], lengths[i]});
  }
  if (!runs.empty())
    rt::runInChunks(model, &memory[0].weights, runs);
  for (rt::Call &call : calls)
    call.results.clear(); // which it would free
  for (size_t i = 0; i < trials.size(); ++i)
    if (runs[i].failed)
      out[i].failure = errorText(errors[i]);
    else
      takeResults(model, memory[i], out[i]);
  return out;
}

Computed compute(const qkv_model &model, const Program &program, const Trial &trial) {
  return run(model, program, trial, QKV_WHOLE);
}

Computed computeLast(const qkv_model &model, const Program &program, const Trial &trial) {
  return run(model, program, trial, QKV_LAST);
}

std::string batchDiffers(const qkv_model &model, const Program &program, const Trial &trial) {
  for (qkv_entry_kind one : {QKV_WHOLE, QKV_LAST})
    for (size_t count : {1, 2, 7})
      if (qkv_entry_kind several = *rt::severalOf(one); rt::findEntry(model, several))
        if (std::string why = together(model, program, trial, count, one, several); !why.empty())
          return (one == QKV_LAST ? "the last position alone: " : "") + why;
  return "";
}

} // namespace qkv
