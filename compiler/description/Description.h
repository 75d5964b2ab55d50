// What a caller must know of a compiled model, apart from its code: the runtime's qkv_model
// as plain data that can be written as JSON (the module attribute `qkv.description`), made
// into a qkv_model in memory (JIT, interpreter), or into constants of an object file.
#pragma once

#include "dsl/Program.h"
#include "runtime/Held.h"

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace qkv {

/// A place with a check (qkv_site).
struct Site {
  std::string file;
  int line = 0, column = 0, length = 0;
  std::string what; ///< "index of wte along v"
  int kind = 0;     ///< 0: index (A1); 1: zero divisor (T2)
};

struct Description {
  struct Size {
    std::string name;
    int64_t max;
    bool stream;
    int64_t min = 1;
  };
  /// An extent as an expression tree over the dynamic sizes, in a form that evaluates without
  /// the program: postfix text, e.g. "s0 1 + 2 /" (integers, sN, + - * / % max min; / and % floor).
  struct Value {
    std::string name;
    int type; ///< QKV_FLOAT ...
    bool token;
    struct Axis {
      std::string name, extent;
      int size; ///< binds this dynamic size, or -1
    };
    std::vector<Axis> axes;
  };
  struct Param {
    std::string name;
    std::vector<int64_t> shape;
    std::vector<StoredForm> stored; ///< the first with an empty format
    int fallback = 0, fallbackParam = -1;
    double fallbackNumber = 0;
    qkv_held held = rt::heldAs(QKV_F32);
    std::string file;
    int line = 0, column = 0, length = 0;
  };
  /// A function of the model that the outside calls.
  struct Entry {
    qkv_entry_kind kind;
    std::string symbol; ///< the function's, on every stage: "gpt.last"
    /// What it takes behind its context, in order. (`params` is a tensor for each on the stages of
    /// tensors and buffers, from stage llvm on their table.)
    std::vector<qkv_argument> arguments;

    /// How many of its arguments are of a kind.
    size_t count(qkv_argument_kind kind) const;
  };
  std::string name, file, cpu;
  std::vector<Size> sizes;
  std::vector<Value> inputs, results;
  std::vector<Param> params; ///< those that are read (or fall back on)
  std::vector<Site> sites;
  std::vector<Setting> settings; ///< read from the configuration when it was checked (C2)
  int generatorInput = -1, generatorSource = -1; ///< positions among inputs
  std::vector<Entry> entries; ///< at most one of each kind, in the order of EntryKinds.h
  /// How the model is computed some positions at a time; null where there is no code for it.
  struct Stream;
  std::shared_ptr<const Stream> stream;
  /// A model of the same inputs and parameters whose results are intermediate tensors
  /// (compiler/trace); null where nothing can be traced.
  std::shared_ptr<const Description> trace;

  /// Null where there is none.
  const Entry *entry(qkv_entry_kind kind) const;
  /// Adds an entry, with the arguments that its kind has in a model with these sizes, inputs,
  /// parameters and results. `shared`, of QKV_MIXED: the sizes that all sequences have in common.
  void add(qkv_entry_kind kind, const std::vector<int> &shared = {});

  std::string json() const;
  static bool fromJson(const std::string &text, Description &out, std::string &error);
};

/// qkv_stream as plain data.
struct Description::Stream {
  struct Kept {
    std::string name;
    int begin, input, next;
    bool grows;
  };
  /// By qkv_part. Their parameters, sites and settings are the model's.
  std::array<std::shared_ptr<const Description>, QKV_PARTS> parts;
  int past = -1, fresh = -1, count = -1;
  std::vector<Kept> kept;
  std::vector<int32_t> sessionInputs;
  std::vector<qkv_stream_result> results;
};

/// All descriptions of a model: its own, then its parts' and its trace's.
std::vector<const Description *> withParts(const Description &description);

/// Describes a program. `params` lists the parameter tensors in the order of the entry's
/// arguments: those that something reads (a fallback's tensor included). Its one entry is the
/// whole.
Description describe(const Program &program, const std::vector<int> &params);

/// Where a number stands in a list, of a program's inputs or sizes; -1: nowhere.
int positionIn(const std::vector<int> &list, int value);

/// The parameter tensors that the results need, in the order of the program's tensors.
std::vector<int> usedParams(const Program &program);

/// A qkv_model in memory that lives as long as this.
class ModelInMemory {
public:
  explicit ModelInMemory(Description description);
  ~ModelInMemory();
  qkv_model &model();
  /// Gives the entry of a kind its code, where the description has one.
  void setFunction(qkv_entry_kind kind, qkv_function function);
  const Description &description() const;
  /// A part of a model over a stream; null where there is none.
  ModelInMemory *part(qkv_part part);
  /// The model of its trace; null where there is none.
  ModelInMemory *trace();

private:
  struct Data;
  std::unique_ptr<Data> data_;
};

} // namespace qkv
