// In: one call of a model: sizes, inputs, weights, results. Out: the results, or the error that
// the run met. Holds: nothing of a run is shared with another; the caller's floating-point mode is
// as it was; which of several failed checks is reported does not depend on the threads.
#include "runtime/tensors/Run.h"
#include "runtime/Abi.h"
#include "runtime/Threads.h"
#include "runtime/checkpoint/Weights.h"
#include "runtime/tensors/Cpu.h"
#include "runtime/tensors/Entries.h"
#include "runtime/tensors/Inputs.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <malloc.h>
#include <string>
#include <sys/mman.h>
#include <tuple>
#include <unistd.h>
#include <utility>
#include <vector>

namespace qkv::rt {
namespace {

/// What a context carries. Regions (qkv_parallel_for) follow one another; in one the pieces run
/// in any order, so of its failures the least (site, value) counts, and of all the first region's.
struct RunState {
  std::atomic<bool> locked{false};
  std::atomic<bool> inRegion{false};
  bool failed = false, failedInRegion = false;
  int64_t region = 0, failedRegion = 0;
  int32_t site = 0;
  int64_t value = 0, bound = 0;

  void record(int32_t newSite, int64_t newValue, int64_t newBound) {
    while (locked.exchange(true, std::memory_order_acquire)) {
    }
    bool parallel = inRegion.load(std::memory_order_relaxed);
    bool sameRegion = failed && failedInRegion && parallel && failedRegion == region;
    if (!failed || (sameRegion && std::tie(newSite, newValue) < std::tie(site, value))) {
      failed = true;
      failedInRegion = parallel;
      failedRegion = region;
      site = newSite;
      value = newValue;
      bound = newBound;
    }
    locked.store(false, std::memory_order_release);
  }
};

bool failSite(const qkv_model &model, const RunState &state, qkv_error *error) {
  if (state.site < 0 || state.site >= model.site_count)
    return fail(error, format("check %d of model %s failed", state.site, model.name));
  const qkv_site &site = model.sites[state.site];
  const char *what = site.what && site.what[0] ? site.what : nullptr;
  std::string text;
  if (site.kind == 2)
    text = what ? what : "";
  else if (site.kind == 1)
    text = format("the %s is 0 [T2]", what ? what : "divisor");
  else
    text = format("%s is %lld, outside 0 <= index < %lld [A1]", what ? what : "index",
                  static_cast<long long>(state.value), static_cast<long long>(state.bound));
  return failAt(error, site.file ? site.file : model.file, site.line, site.column, site.length,
                text);
}

/// What this processor was found to have: a model's needs are looked up once, not once a call. By
/// content, since descriptions made in memory come and go; a process meets few, and they stay.
struct Checked {
  std::string cpu;
  Checked *next;
};
std::atomic<Checked *> checked{nullptr};

bool wasChecked(const char *cpu) {
  for (const Checked *one = checked.load(std::memory_order_acquire); one; one = one->next)
    if (one->cpu == cpu)
      return true;
  return false;
}

void rememberChecked(const char *cpu) {
  auto *one = new Checked{cpu, checked.load(std::memory_order_relaxed)};
  while (!checked.compare_exchange_weak(one->next, one, std::memory_order_release,
                                        std::memory_order_relaxed)) {
  }
}

} // namespace

bool checkModel(const qkv_model &model, qkv_error *error) {
  if (!checkAbi(model, error))
    return false;
  const char *cpu = model.cpu ? model.cpu : "";
  if (wasChecked(cpu))
    return true;
  std::string lacking = lackingFeatures(model.cpu);
  if (!lacking.empty())
    return fail(error, format("model %s was compiled for another CPU: this one lacks %s; build it "
                              "again here, or with another --cpu",
                              model.name, lacking.c_str()));
  rememberChecked(cpu);
  return true;
}

} // namespace qkv::rt

using namespace qkv::rt;

extern "C" void qkv_check_failed(qkv_context *context, int32_t site, int64_t value, int64_t bound) {
  static_cast<RunState *>(context->runtime)->record(site, value, bound);
}

// Of each class of sizes one freed block, the larger of two, waits for the next call: a model's
// arena is then the same pages from call to call, not fresh ones that the kernel must clear, also
// where calls of a small and a large arena alternate. A class has four times the bytes of the one
// before, so all that waits is at most a third more than its largest block. Of several callers at
// once one finds it.
static constexpr size_t classes = 8, keptAtLeast = size_t(1) << 16, keptAtMost = size_t(1) << 30;
static std::atomic<void *> kept[classes];

/// The class of a block's bytes; `classes`: it does not wait.
static size_t classOf(size_t bytes) {
  if (bytes < keptAtLeast || bytes > keptAtMost)
    return classes;
  size_t one = 0;
  while (one + 1 < classes && bytes >= keptAtLeast << (2 * (one + 1)))
    ++one;
  return one;
}

static void keep(void *block) {
  size_t one = block ? classOf(malloc_usable_size(block)) : classes;
  while (block && one < classes) {
    void *other = kept[one].exchange(nullptr, std::memory_order_acquire);
    if (other == block) { // whoever calls us is wrong: what was kept could be handed out twice
      static constexpr char text[] = "error: qkv_free of memory that is free already\n";
      writeAll(2, text, sizeof text - 1);
      abort();
    }
    if (other && malloc_usable_size(other) > malloc_usable_size(block))
      std::swap(block, other);
    free(other);
    // (Null again, unless another thread has kept a block in between.)
    block = kept[one].exchange(block, std::memory_order_acq_rel);
  }
  free(block);
}

/// Asks for a block's pages at once: each by itself is a fault, which takes microseconds in a
/// virtual machine. (A kernel that does not know this leaves them to be faults.)
static void populate(char *memory, size_t bytes) {
#ifdef MADV_POPULATE_WRITE
  uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  uintptr_t skipped = -reinterpret_cast<uintptr_t>(memory) % page;
  if (bytes > skipped + page)
    madvise(memory + skipped, (bytes - skipped) / page * page, MADV_POPULATE_WRITE);
#endif
}

extern "C" void *qkv_alloc(size_t bytes) {
  size_t has = 0;
  size_t first = classOf(std::max(bytes, keptAtLeast));
  for (size_t one = first; one < classes && one <= first + 1; ++one)
    if (void *last = kept[one].exchange(nullptr, std::memory_order_acquire)) {
      size_t size = malloc_usable_size(last);
      if (size >= bytes && size / 4 <= bytes)
        return last;
      size < bytes ? free(last) : keep(last);
      has = size < bytes ? size : has;
    }
  // A little more than asked for, untouched: a stream's next step may want it; twice what there
  // was, where calls come that each want a little more. Large memory is in large pages: each is a
  // fault, and a row of a table of the processor's.
  constexpr size_t largePage = 2 << 20;
  bool large = bytes >= 2 * largePage;
  size_t wanted = bytes > SIZE_MAX / 2 ? bytes : bytes + bytes / 8;
  if (bytes <= keptAtMost / 2)
    wanted = std::max(wanted, 2 * has);
  size_t rounded = wanted > SIZE_MAX - 63 ? 0 : wanted ? (wanted + 63) / 64 * 64 : 64;
  void *memory = rounded ? aligned_alloc(large ? largePage : 64, rounded) : nullptr;
  if (memory && large)
    madvise(memory, rounded, MADV_HUGEPAGE);
  else if (memory && bytes >= keptAtLeast)
    populate(static_cast<char *>(memory), bytes);
  if (!memory) {
    std::string text = format("error: not enough memory: %zu bytes are needed\n", bytes);
    writeAll(2, text.data(), text.size());
    // Handlers of exit() may wait for what this thread holds.
    _exit(1);
  }
  return memory;
}

extern "C" void qkv_free(void *pointer) { keep(pointer); }

extern "C" void qkv_parallel_for(qkv_context *context, int64_t count, int64_t grain,
                                 void (*body)(void *argument, int64_t begin, int64_t end),
                                 void *argument) {
  auto *state = context ? static_cast<RunState *>(context->runtime) : nullptr;
  bool outermost = state && !state->inRegion.load(std::memory_order_relaxed);
  if (outermost) {
    ++state->region;
    state->inRegion.store(true, std::memory_order_relaxed);
  }
  parallelFor(count, grain, body, argument);
  if (outermost)
    state->inRegion.store(false, std::memory_order_relaxed);
}

/// Whether the number of sequences, where the entry takes one, is in range. `sizes` as it takes
/// them.
static bool checkSequences(const qkv_entry &entry, const int64_t *sizes, qkv_error *error) {
  int32_t at = 0; // among the numbers
  for (int32_t i = 0; i < entry.argument_count; ++i) {
    int32_t kind = entry.arguments[i].kind;
    if (kind == QKV_SEQUENCES && (sizes[at] < 1 || sizes[at] > QKV_MAX_SEQUENCES))
      return fail(error,
                  format("%lld sequences, expected 1 to %lld", static_cast<long long>(sizes[at]),
                         static_cast<long long>(QKV_MAX_SEQUENCES)));
    at += kind == QKV_SEQUENCES || kind == QKV_SIZE;
  }
  return true;
}

/// A result that is not wanted is computed into memory of the call's: whether its bytes are a
/// number of 64 bits. (Those of a wanted one are, since somebody has it.)
static bool checkUnwanted(const qkv_model &model, const qkv_entry &entry, const int64_t *given,
                          void *const *results, qkv_error *error) {
  int64_t sequences = 1;
  std::vector<int64_t> sizes; // (a sequence's own count for nothing here)
  for (int32_t i = 0; i < model.size_count; ++i)
    sizes.push_back(model.sizes[i].min);
  bool unwanted = false;
  int32_t number = 0, result = 0;
  for (int32_t i = 0; i < entry.argument_count; ++i) {
    const qkv_argument &argument = entry.arguments[i];
    if (argument.kind == QKV_SEQUENCES)
      sequences = given[number++];
    else if (argument.kind == QKV_SIZE)
      sizes[argument.index] = given[number++];
    else if (argument.kind == QKV_RESULT || argument.kind == QKV_LAST_POSITION)
      unwanted |= !results[result++];
  }
  std::vector<std::vector<int64_t>> inputs, shapes;
  if (!unwanted)
    return true;
  if (!shapesOf(model, sizes, inputs, shapes, error))
    return false;
  for (EntryResult &whole : entryResults(entry, shapes)) {
    whole.shape.insert(whole.shape.begin(), sequences);
    int64_t elements = elementCount(whole.shape);
    if (elements < 0 || elements > INT64_MAX / 8)
      return fail(error, format("the shape %s of %s is too large", shapeText(whole.shape).c_str(),
                                model.results[whole.index].name));
  }
  return true;
}

extern "C" int qkv_run(const qkv_model *model, qkv_entry_kind kind, const qkv_weights *weights,
                       const int64_t *sizes, void *const *inputs, void *const *results,
                       qkv_error *error) {
  if (!checkModel(*model, error))
    return -1;
  const qkv_entry *entry = findEntry(*model, kind);
  if (!entry || !entry->function)
    return failLacking(*model, kind, error), -1;
  if (!checkSequences(*entry, sizes, error) ||
      !checkUnwanted(*model, *entry, sizes, results, error) ||
      (weights && !checkIntact(*weights, error)))
    return -1;
  RunState state;
  qkv_context context = {model, &state};
  void *const *params = weights ? qkv_weights_params(weights) : nullptr;
  {
    FlushDenormals mode;
    entry->function(&context, sizes, inputs, params, results);
  }
  if (weights && !checkIntact(*weights, error))
    return -1;
  if (!state.failed)
    return 0;
  failSite(*model, state, error);
  return -1;
}
