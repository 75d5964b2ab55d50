// Models that qkv built: whole runs, and steps of sequences.
//
// Holds: a model is called through the functions of its generated header and nothing else; its
// arguments are the header's struct, which is eight-byte members whatever the model.
#include "tools/benchmark/Models.h"
#include "tools/benchmark/Library.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

namespace qkv::bench {
namespace {

using nlohmann::json;

/// The error struct of every generated header.
struct ModelError {
  size_t size = sizeof(ModelError);
  int32_t line = 0, column = 0, length = 0;
  char file[256] = "";
  char text[1024] = "";
};

/// A library, weights and a session.
class Opened {
public:
  ~Opened() {
    if (session)
      closeSession_(session);
    if (model_)
      close_(model_);
    for (void *tensor : tensors_)
      free(tensor);
  }

  bool open(const json &how, std::string &error) {
    std::string prefix = how.at("prefix");
    if (!library.open(how.at("library"), error) || !library.find(prefix + "_open", open_, error) ||
        !library.find(prefix + "_close", close_, error) ||
        !library.find(prefix + "_session_open", openSession_, error) ||
        !library.find(prefix + "_session_close", closeSession_, error))
      return false;
    ModelError why;
    const json &weights = how.at("weights");
    std::string path = weights.is_null() ? "" : weights.get<std::string>();
    model_ = open_(weights.is_null() ? nullptr : path.c_str(), &why);
    session = model_ ? openSession_(model_, &why) : nullptr;
    if (!session)
      error = why.text;
    return session != nullptr;
  }

  /// The struct: its size, sizes, inputs, results.
  std::vector<uint64_t> arguments(const json &how) {
    std::vector<uint64_t> out{0};
    for (int64_t size : how.at("sizes"))
      out.push_back(static_cast<uint64_t>(size));
    for (const json &input : how.at("inputs"))
      out.push_back(reinterpret_cast<uint64_t>(tensor(input, true)));
    for (const json &result : how.at("results"))
      out.push_back(reinterpret_cast<uint64_t>(tensor(result, false)));
    out[0] = out.size() * sizeof(uint64_t);
    return out;
  }

  Library library;
  void *session = nullptr;

private:
  /// Floats within +-1, ints from low to below high, bools of both kinds; the same each time.
  void *tensor(const json &what, bool fill) {
    int64_t count = what.at("count"), low = what.value("low", 0), high = what.value("high", 2);
    int type = what.at("type");
    bool steps = what.value("steps", false); // ints ascend: 0 0 0 1 1 1 ...
    size_t bytes = static_cast<size_t>(count) * (type == 0 ? 4 : type == 1 ? 8 : 1);
    void *data = aligned_alloc(4096, (bytes + 8191) & ~size_t(4095));
    tensors_.push_back(data);
    memset(data, 0, bytes);
    uint32_t state = 12345 + static_cast<uint32_t>(tensors_.size());
    for (int64_t i = 0; fill && i < count; ++i) {
      state = state * 1664525u + 1013904223u;
      if (type == 0)
        static_cast<float *>(data)[i] = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
      else if (type == 1)
        static_cast<int64_t *>(data)[i] =
            low +
            (steps ? i * (high - low) / count : (state >> 8) % std::max<int64_t>(high - low, 1));
      else
        static_cast<uint8_t *>(data)[i] = state >> 31;
    }
    return data;
  }

  void *(*open_)(const char *, ModelError *) = nullptr;
  void (*close_)(void *) = nullptr;
  void *(*openSession_)(const void *, ModelError *) = nullptr;
  void (*closeSession_)(void *) = nullptr;
  void *model_ = nullptr;
  std::vector<void *> tensors_;
};

class Model : public Contender {
public:
  bool open(const json &how, std::string &error) {
    std::string run =
        how.at("prefix").get<std::string>() + (how.value("last", false) ? "_run_last" : "_run");
    if (!opened_.open(how, error) || !opened_.library.find(run, run_, error))
      return false;
    arguments_ = opened_.arguments(how);
    return true;
  }

  bool call(std::string &error) override {
    ModelError why;
    if (run_(opened_.session, arguments_.data(), &why) == 0)
      return true;
    error = why.text;
    return false;
  }

private:
  Opened opened_;
  int (*run_)(void *, const void *, ModelError *) = nullptr;
  std::vector<uint64_t> arguments_;
};

/// Sequences that stand at some depth: a call is some steps of all of them, and the way back.
class Steps : public Contender {
public:
  ~Steps() override {
    for (void *sequence : sequences_)
      end_(sequence);
  }

  bool open(const json &how, std::string &error) {
    std::string prefix = how.at("prefix");
    const Library &library = opened_.library;
    if (!opened_.open(how, error) || !library.find(prefix + "_sequence_begin", begin_, error) ||
        !library.find(prefix + "_sequence_end", end_, error) ||
        !library.find(prefix + "_sequence_snapshots", snapshots_, error) ||
        !library.find(prefix + "_sequence_rewind", rewind_, error) ||
        // A generator's steps give the logits of the last position alone.
        (!(next_ = library.find(prefix + "_sequences_next", step_, error)) &&
         !library.find(prefix + "_sequences_step", step_, error)))
      return false;
    bytesBefore_ = sizeof(uint64_t) * (1 + how.at("sizes").size() + how.at("inputs").size());
    at_ = how.at("at");
    rows_ = how.at("rows");
    steps_ = how.at("steps");
    stream_ = 1 + how.at("stream").get<size_t>();
    int64_t together = how.at("together"); // positions that the tensors have room for
    size_t count = how.at("sequences");
    arguments_.reserve(count);
    ModelError why;
    for (size_t i = 0; i < count; ++i) {
      arguments_.push_back(opened_.arguments(how));
      given_.push_back(arguments_.back().data());
      void *made = begin_(opened_.session, given_.back(), &why);
      if (!made) {
        error = why.text;
        return false;
      }
      sequences_.push_back(made);
    }
    for (int64_t done = 0; done < at_;) {
      int64_t fresh = std::min(together, at_ - done);
      if (!step(fresh, /*last=*/false, error))
        return false;
      done += fresh;
    }
    for (void *sequence : sequences_)
      if (snapshots_(sequence, 0, &why) != 0) {
        error = why.text;
        return false;
      }
    return true;
  }

  bool call(std::string &error) override {
    for (int64_t i = 0; i < steps_; ++i)
      if (!step(rows_, i + 1 == steps_, error))
        return false;
    ModelError why;
    for (void *sequence : sequences_)
      if (rewind_(sequence, at_, &why) != at_) {
        error = *why.text ? why.text : "a sequence does not go back to where it was";
        return false;
      }
    return true;
  }

private:
  /// Logits are wanted behind the last step alone; other results behind each.
  bool step(int64_t fresh, bool last, std::string &error) {
    for (std::vector<uint64_t> &one : arguments_) {
      one[0] = last || !next_ ? one.size() * sizeof(uint64_t) : bytesBefore_;
      one[stream_] = static_cast<uint64_t>(fresh);
    }
    ModelError why;
    if (step_(sequences_.data(), static_cast<int64_t>(sequences_.size()), given_.data(), &why) == 0)
      return true;
    error = why.text;
    return false;
  }

  Opened opened_;
  void *(*begin_)(void *, const void *, ModelError *) = nullptr;
  void (*end_)(void *) = nullptr;
  int (*snapshots_)(void *, int64_t, ModelError *) = nullptr;
  int64_t (*rewind_)(void *, int64_t, ModelError *) = nullptr;
  int (*step_)(void *const *, int64_t, const void *const *, ModelError *) = nullptr;
  int64_t at_ = 0, rows_ = 1, steps_ = 1;
  bool next_ = false;
  uint64_t bytesBefore_ = 0; ///< of the arguments before the results
  size_t stream_ = 1;        ///< where the arguments have the stream's size
  std::vector<std::vector<uint64_t>> arguments_;
  std::vector<const void *> given_;
  std::vector<void *> sequences_;
};

template <class Kind> std::unique_ptr<Contender> open(const json &how, std::string &error) {
  auto made = std::make_unique<Kind>();
  return made->open(how, error) ? std::move(made) : nullptr;
}

} // namespace

std::unique_ptr<Contender> openModel(const json &how, std::string &error) {
  return open<Model>(how, error);
}

std::unique_ptr<Contender> openSteps(const json &how, std::string &error) {
  return open<Steps>(how, error);
}

} // namespace qkv::bench
