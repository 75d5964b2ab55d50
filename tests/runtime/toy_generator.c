/* Generators written by hand, linked as a user links them.
 *   default       an encoder-decoder that says its source again, with a check at each '!'
 *   TOY_DECODER   no source: after byte b comes b + 1, at the start 'a', after 'z' the end
 *   TOY_VOCAB     the vocabulary; below 258 there is neither start nor end */
#include "runtime/qkv.h"

#ifndef TOY_VOCAB
#define TOY_VOCAB 258
#endif

static const qkv_size sizes[] = {{"T", 12, 1, 1}, {"S", 10, 0, 1}};
static const qkv_axis streamAxes[] = {{"i", 0, 0}}, sourceAxes[] = {{"j", 1, 0}};
static const qkv_axis logitsAxes[] = {{"i", 0, 0}, {"v", -1, 0}};
static const qkv_value inputs[] = {{"tokens", QKV_INT, 1, 1, 0, streamAxes},
                                   {"source", QKV_INT, 1, 1, 0, sourceAxes}};
static const qkv_value results[] = {{"logits", QKV_FLOAT, 0, 2, 0, logitsAxes}};
static const qkv_site sites[] = {{"echo.qkv", 3, 5, 4, "index of table along p", 0}};

static void shapes(const qkv_model *model, const int64_t *s, int64_t *extents) {
  *extents++ = s[0];
  if (model->input_count > 1)
    *extents++ = s[1];
  *extents++ = s[0];
  *extents++ = TOY_VOCAB;
}

static int64_t next(qkv_context *context, const int64_t *s, void *const *in, int64_t position) {
  const int64_t *tokens = in[0];
#ifdef TOY_DECODER
  (void)context;
  (void)s;
  int64_t last = tokens[position];
  return last == 256 ? 'a' : last == 'z' && TOY_VOCAB >= 258 ? 257 : (last + 1) % TOY_VOCAB;
#else
  const int64_t *source = in[1];
  (void)tokens;
  if (position >= s[1])
    return 257;
  if (source[position] == '!')
    qkv_check_failed(context, 0, source[position], 32);
  return source[position];
#endif
}

static void row(qkv_context *context, const int64_t *s, void *const *in, int64_t position,
                float *logits) {
  for (int64_t v = 0; v < TOY_VOCAB; ++v)
    logits[v] = 0;
  int64_t token = next(context, s, in, position);
  /* The one after it is as likely: the smaller wins. */
  logits[token] = 1;
  if (token + 1 < TOY_VOCAB)
    logits[token + 1] = 1;
}

static void entry(qkv_context *context, const int64_t *s, void *const *in, void *const *p,
                  void *const *out) {
  (void)p;
  for (int64_t i = 0; i < s[0]; ++i)
    row(context, s, in, i, (float *)out[0] + i * TOY_VOCAB);
}

static void entryLast(qkv_context *context, const int64_t *s, void *const *in, void *const *p,
                      void *const *out) {
  (void)p;
  row(context, s, in, s[0] - 1, out[0]);
}

#ifdef TOY_DECODER
static const qkv_argument whole[] = {{QKV_SIZE, 0}, {QKV_INPUT, 0}, {QKV_RESULT, 0}};
static const qkv_argument last[] = {{QKV_SIZE, 0}, {QKV_INPUT, 0}, {QKV_LAST_POSITION, 0}};
#else
static const qkv_argument whole[] = {
    {QKV_SIZE, 0}, {QKV_SIZE, 1}, {QKV_INPUT, 0}, {QKV_INPUT, 1}, {QKV_RESULT, 0}};
static const qkv_argument last[] = {
    {QKV_SIZE, 0}, {QKV_SIZE, 1}, {QKV_INPUT, 0}, {QKV_INPUT, 1}, {QKV_LAST_POSITION, 0}};
#endif
static const qkv_entry entries[] = {{QKV_WHOLE, sizeof whole / sizeof whole[0], whole, entry},
                                    {QKV_LAST, sizeof last / sizeof last[0], last, entryLast}};

const qkv_model toy_generator = {sizeof(qkv_model),
                                 QKV_ABI,
                                 2,
                                 "echo",
                                 "echo.qkv",
                                 "",
#ifdef TOY_DECODER
                                 1,
                                 1,
                                 1,
                                 0,
                                 1,
                                 0,
                                 -1,
                                 0,
#else
                                 2,
                                 2,
                                 1,
                                 0,
                                 1,
                                 0,
                                 1,
                                 0,
#endif
                                 sizes,
                                 inputs,
                                 results,
                                 0,
                                 sites,
                                 shapes,
                                 entries,
                                 0,
                                 0,
                                 0};

int main(int argc, char **argv) { return qkv_main(&toy_generator, argc, argv); }
