/* What compiled code and the runtime say to each other: plain C, no LLVM, no C++.
 *
 * A compiled model is one constant `qkv_model` (its description and its entry points). The
 * runtime finds weights for it, binds sizes, checks shapes, calls it. The interpreter and the
 * JIT make the same description in memory, so one set of code serves every way to run.
 * All tensors are contiguous and row-major: floats are f32, ints i64, bools one byte 0 or 1. */
#ifndef QKV_RUNTIME_H
#define QKV_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QKV_ABI 7

/* Element types of a model's tensors; those of 16 bits only of what its steps keep. */
enum { QKV_FLOAT = 0, QKV_INT = 1, QKV_BOOL = 2, QKV_FLOAT_BF16 = 3, QKV_FLOAT_F16 = 4 };

/* Sequences that are computed at once, at most. */
enum { QKV_MAX_SEQUENCES = 1 << 20 };

/* An error that a user can act on. `size` is sizeof(qkv_error), set by the caller. */
typedef struct qkv_error {
  size_t size;
  int32_t line, column; /* from 1; 0: no place */
  int32_t length;       /* characters */
  char file[256];       /* the model file, or the file at fault; may be empty */
  char text[1024];
} qkv_error;

/* A place in the model where a check is made when it runs (A1, T2). */
typedef struct qkv_site {
  const char *file;
  int32_t line, column, length;
  /* What is checked, in the language's terms: "index of wte along p". */
  const char *what;
  /* 0: index out of range (A1); 1: zero divisor (T2); 2: `what` is the whole message (the
   * interpreter's, which finds the place and the values itself) */
  int32_t kind;
} qkv_site;

typedef struct qkv_size {
  const char *name;
  int64_t max;
  int32_t stream; /* 1: the stream size */
  int64_t min;    /* at least 1 */
} qkv_size;

typedef struct qkv_axis {
  const char *name; /* the letter */
  int32_t size;     /* the dynamic size that this axis is exactly, and so binds (C1); -1: none */
  int32_t reserved;
} qkv_axis;

/* An input or a result. */
typedef struct qkv_value {
  const char *name;
  int32_t type;
  int32_t token; /* 1: declared `token` */
  int32_t rank;
  int32_t reserved;
  const qkv_axis *axes;
} qkv_value;

/* Element types in which parameters are held (runtime/Held.h has a row for each). */
typedef enum qkv_element { QKV_F32 = 0, QKV_BF16 = 1, QKV_F16 = 2 } qkv_element;

/* How a parameter lies in memory. Its elements come in blocks of block_elements, consecutive along
 * the last axis, of block_bytes each. It is row-major or, where panel_width > 0, in panels: axis
 * panel_axis is cut into pieces of panel_width positions, the last one filled up with zeros; the
 * piece's number is the panel_order-th of the axes, the position in it the last one. [o,c] with
 * axis 0, order 0, width 64 is held as [o / 64, c, o % 64]. */
typedef struct qkv_held {
  int32_t element; /* qkv_element */
  int32_t block_elements, block_bytes;
  int32_t panel_axis, panel_order, panel_width;
} qkv_held;

/* How checkpoints of a format store a parameter (rule C5). */
typedef struct qkv_stored {
  const char *format;       /* "gguf"; empty: every format that no other form is for */
  const char *const *names; /* in the checkpoint: one for each setting of the stacked letters */
  const int32_t *stacked;   /* axes that are inside the name */
  int32_t name_count, stacked_count;
  const char *place; /* where an element stands (StoredPlace.h); empty: as the letters do */
  const char *value; /* what it is of the stored number (StoredText.h); empty: that number */
} qkv_stored;

/* A parameter: a float of known shape. */
typedef struct qkv_param {
  const char *name; /* of the program, unique: "layer.3.attn.Wq" */
  int32_t rank;
  int32_t stored_count;
  const int64_t *shape;     /* an extent for each letter */
  const qkv_stored *stored; /* the first with an empty format */
  int32_t fallback;         /* 0 none, 1 another parameter, 2 a number */
  int32_t fallback_param;
  int32_t line, column, length; /* of its declaration */
  double fallback_number;
  const char *file;
  qkv_held held;
} qkv_param;

/* What a key is called in a format's configuration. */
typedef struct qkv_format_key {
  const char *format, *key; /* "gguf", ".embedding_length" */
} qkv_format_key;

/* What the model's page read from the configuration when it was compiled (rule C2). Texts are as
 * JSON writes them. */
typedef struct qkv_setting {
  const char *key;            /* "rope.theta": members and positions of lists */
  const char *value;          /* null: the configuration had no such key, the default was taken */
  const char *fallback;       /* the default; null: there is none, or it is not known */
  const qkv_format_key *keys; /* instead of `key`, where a format has another */
  int32_t key_count, reserved;
} qkv_setting;

struct qkv_model;

/* What one call of compiled code may use. Made by the runtime, one a call. */
typedef struct qkv_context {
  const struct qkv_model *model;
  void *runtime; /* the runtime's own: thread pool, first error */
} qkv_context;

/* What an entry of a model computes. */
typedef enum qkv_entry_kind {
  QKV_WHOLE = 0,      /* all results, of one sequence */
  QKV_LAST = 1,       /* generators: the logits of the stream's last position alone */
  QKV_BATCH = 2,      /* QKV_WHOLE for several sequences of equal sizes at once */
  QKV_LAST_BATCH = 3, /* QKV_LAST for several */
  /* QKV_WHOLE for several sequences, each with sizes of its own; only those sizes that are
   * arguments of the entry are the same for all. In parts of a model over a stream. */
  QKV_MIXED = 4
} qkv_entry_kind;

/* What an entry takes and gives. */
typedef enum qkv_argument_kind {
  QKV_SEQUENCES = 0,     /* their number, the first axis of the entry's inputs and results */
  QKV_SIZE = 1,          /* model->sizes[index] */
  QKV_INPUT = 2,         /* model->inputs[index] */
  QKV_PARAMS = 3,        /* all parameters */
  QKV_RESULT = 4,        /* model->results[index] */
  QKV_LAST_POSITION = 5, /* of model->results[index]: without its first axis */
  /* QKV_MIXED: a row of 64-bit numbers for each sequence, with what each argument of the following
   * kinds says, in their order. It stands among the inputs; those arguments are nowhere else. */
  QKV_TABLE = 6,
  QKV_OWN_SIZE = 7,  /* model->sizes[index] of the sequence */
  QKV_OWN_INPUT = 8, /* the address of its model->inputs[index] */
  QKV_OWN_RESULT = 9 /* the address of its model->results[index], never null */
} qkv_argument_kind;

typedef struct qkv_argument {
  int32_t kind;  /* qkv_argument_kind */
  int32_t index; /* among what the kind names; else 0 */
} qkv_argument;

/* An entry's code. `sizes` (and numbers of sequences), `inputs` and `results`: one for each of the
 * entry's arguments of that kind, in their order; `params`: a pointer for each parameter. A null
 * result is not wanted. */
typedef void (*qkv_function)(qkv_context *context, const int64_t *sizes, void *const *inputs,
                             void *const *params, void *const *results);

typedef struct qkv_entry {
  int32_t kind; /* qkv_entry_kind; a model has at most one of each */
  int32_t argument_count;
  const qkv_argument *arguments;
  qkv_function function;
} qkv_entry;

/* What a sequence of a model over a stream keeps of one tensor from step to step. Inputs and
 * results are numbers among those of the parts below. */
typedef struct qkv_kept {
  const char *name;
  int32_t begin; /* the session's result that is kept before the first step */
  int32_t input; /* of a step */
  int32_t next;  /* the step's result that is kept behind it; -1: it stays as it is */
  /* 1: rows are the first axis, and `next` begins with `input`, so that both can be one buffer with
   * room behind; the following step takes the last rows of it, as many as its input has. */
  int32_t grows;
} qkv_kept;

/* The programs that a model over a stream is made of. All have its parameters, sites and settings.
 * Session: from inputs that are no stream, what is kept before the first step. The others take the
 * stream from n to n + m positions. */
typedef enum qkv_part {
  QKV_SESSION = 0,
  QKV_STEP = 1,    /* the results' new rows */
  QKV_CLOSING = 2, /* also the results that are for all positions */
  QKV_NEXT = 3,    /* generators: the logits of the last position alone */
  QKV_PARTS = 4
} qkv_part;

/* Where a result of the model comes from. */
typedef struct qkv_stream_result {
  int32_t part;   /* QKV_SESSION, QKV_STEP or QKV_CLOSING */
  int32_t result; /* of that part */
  int32_t axis;   /* along which a step gives the new positions; -1: all of it */
} qkv_stream_result;

/* How a model over a stream is computed some positions at a time. The inputs of a step are those
 * of the model, then what is kept; its sizes those of the model, the stream's being m, and n. Its
 * results are what is kept, then the model's. */
typedef struct qkv_stream {
  const struct qkv_model *parts[QKV_PARTS]; /* null: there is none */
  int32_t past, fresh;                      /* sizes of a step: n and m */
  int32_t count; /* an input of a step with n elements that nobody reads, or -1 */
  int32_t kept_count;
  const qkv_kept *kept;
  const int32_t *session_inputs;    /* of each of the session's inputs, its number in the model */
  const qkv_stream_result *results; /* for each result of the model */
} qkv_stream;

typedef struct qkv_model {
  size_t size; /* sizeof(qkv_model) */
  int32_t abi; /* QKV_ABI; up to here, and the name, all versions are alike */
  int32_t entry_count;
  const char *name;
  const char *file;
  /* Features the code needs, as the kernel names them: "avx512f fma"; checked before it runs. */
  const char *cpu;
  int32_t size_count, input_count, result_count, param_count, site_count;
  int32_t generator_input;  /* the token stream among the inputs, or -1: not a generator */
  int32_t generator_source; /* the dynamic token input beside it, or -1 */
  int32_t setting_count;
  const qkv_size *sizes;
  const qkv_value *inputs, *results;
  const qkv_param *params;
  const qkv_site *sites;
  /* Writes the extents of every input, then of every result, axis after axis. */
  void (*shapes)(const struct qkv_model *model, const int64_t *sizes, int64_t *extents);
  const qkv_entry *entries;
  void *user; /* for descriptions made in memory; null in compiled ones */
  const qkv_setting *settings;
  const qkv_stream *stream; /* null: no code for steps */
} qkv_model;

/* ---- called by compiled code ---- */

/* A check failed at model->sites[site]; the first in a run is kept. Returns; the code goes on
 * with an index inside the bounds. */
void qkv_check_failed(qkv_context *context, int32_t site, int64_t value, int64_t bound);

/* Memory for buffers, 64-byte aligned; never returns null (says so and exits). */
void *qkv_alloc(size_t bytes);
void qkv_free(void *pointer);

/* Runs body(argument, begin, end) over pieces of [0, count), of at least `grain`, on the pool;
 * returns when all pieces are done. Concurrent and nested callers run inline. */
void qkv_parallel_for(qkv_context *context, int64_t count, int64_t grain,
                      void (*body)(void *argument, int64_t begin, int64_t end), void *argument);

/* ---- called by programs ---- */

typedef struct qkv_weights qkv_weights; /* immutable once opened */

/* Weights of a model: `path` is a safetensors file, a folder (model.safetensors, or an index
 * and shards), or a packed file that qkv build wrote. Null with *error set on failure, also where
 * config.json beside them (in a packed file: inside) disagrees with the model's settings.
 * Null path: beside or inside the running program (`self` is its path). */
qkv_weights *qkv_weights_open(const qkv_model *model, const char *path, const char *self,
                              qkv_error *error);
void qkv_weights_close(qkv_weights *weights);
/* A pointer to each parameter, in order. */
void *const *qkv_weights_params(const qkv_weights *weights);

/* One run of an entry: sizes, inputs and results as it takes them (qkv_function). 0, or -1 with
 * *error set. Sets FTZ and DAZ and restores the caller's mode. Safe from several threads at once.
 * Of several sequences inputs and results hold one after the other; each gets the bytes that it
 * gets alone. The error does not say whose it is; the results of all are then of no use. */
int qkv_run(const qkv_model *model, qkv_entry_kind entry, const qkv_weights *weights,
            const int64_t *sizes, void *const *inputs, void *const *results, qkv_error *error);

/* ---- the C interface of built models: what the functions of their headers call ---- */

typedef struct qkv_handle qkv_handle;   /* a model with its weights; immutable once opened */
typedef struct qkv_session qkv_session; /* one caller's; one thread at a time */

/* `weights` as in qkv_weights_open; null: beside or inside the file that holds `model`. */
qkv_handle *qkv_open(const qkv_model *model, const char *weights, qkv_error *error);
void qkv_close(qkv_handle *handle);
qkv_session *qkv_session_open(const qkv_handle *handle, qkv_error *error);
void qkv_session_close(qkv_session *session);

/* Runs an entry for one sequence. `arguments` is a struct of eight-byte members: its own size, the
 * sizes, a pointer for each input, then each result; results beyond its size are not wanted. 0, or
 * -1 with *error set. */
int qkv_session_run(qkv_session *session, const void *arguments, qkv_error *error,
                    qkv_entry_kind entry);
/* Runs an entry for several sequences. */
int qkv_session_run_batch(qkv_session *session, int64_t sequences, const void *arguments,
                          qkv_error *error, qkv_entry_kind entry);

/* One stream of a model that has code for its steps: what it keeps. Used by one thread at a time;
 * the session stays open as long. */
typedef struct qkv_sequence qkv_sequence;

/* A session's sequences are at most so many, and keep at most so many bytes together (those that
 * copies share count for each); 0: no bound, as a session is opened. A sequence, a copy or a step
 * for which there is no room is an error that says how much was asked for and is there, and changes
 * nothing. 0, or -1 with *error set. */
int qkv_session_limit(qkv_session *session, int64_t sequences, int64_t bytes, qkv_error *error);
/* A sequence of no positions yet. `arguments` as in qkv_session_run: the stream's size and inputs
 * over the stream do not count; results that need no position are given here. Null with *error set.
 */
qkv_sequence *qkv_sequence_begin(qkv_session *session, const void *arguments, qkv_error *error);
/* The next positions: the stream's size is how many, inputs over the stream hold these alone,
 * all others what they held. QKV_STEP: results get their new rows. QKV_CLOSING: also those that are
 * for all positions so far. QKV_NEXT: the first result is the last position's row. 0, or -1 with
 * *error set: then the sequence is as it was. */
int qkv_sequence_step(qkv_sequence *sequence, const void *arguments, qkv_error *error,
                      qkv_part part);
/* The same for several sequences of one model, each with its arguments: computed together, as far
 * as the model was built for that, whatever their lengths. Each gets the bytes that it gets alone.
 * -1 with *error set: then all are as they were, and the error says whose it is. */
int qkv_sequences_step(qkv_sequence *const *sequences, int64_t count, const void *const *arguments,
                       qkv_error *error, qkv_part part);
/* Another sequence that goes on from the same place. Null with *error set. */
qkv_sequence *qkv_sequence_copy(const qkv_sequence *sequence, qkv_error *error);
/* Takes a snapshot of what has no past (states of recurrences, windows), and another one behind
 * each `every` positions from now on; 0: of now alone. The latest 16 are held, and one of no
 * positions where this is asked for before the first step. 0, or -1 with *error set. */
int qkv_sequence_snapshots(qkv_sequence *sequence, int64_t every, qkv_error *error);
/* Goes back to the first `positions`, or where something that is kept has no past, to the latest
 * snapshot at or before them. Returns the positions that the sequence then has: those from there on
 * are to be fed again. -1 with *error set where there is no such place; then it is as it was. */
int64_t qkv_sequence_rewind(qkv_sequence *sequence, int64_t positions, qkv_error *error);
int64_t qkv_sequence_positions(const qkv_sequence *sequence);
size_t qkv_sequence_bytes(const qkv_sequence *sequence); /* that are kept */
void qkv_sequence_end(qkv_sequence *sequence);

/* The whole program around a model: options, files, text. Returns the exit code. */
int qkv_main(const qkv_model *model, int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
