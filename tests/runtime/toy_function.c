/* A compiled model written by hand: y[i] = sum[k](W[i,k] * x[k]) + table[ids[i]] with T dynamic
 * ids, linked as a user links one: cc and the archive. In: the runtime's interface alone. */
#include "runtime/qkv.h"

static const qkv_size sizes[] = {{"T", 8, 0, 1}};
static const qkv_axis idsAxes[] = {{"i", 0, 0}};
static const qkv_axis xAxes[] = {{"k", -1, 0}};
static const qkv_value inputs[] = {{"ids", QKV_INT, 0, 1, 0, idsAxes},
                                   {"x", QKV_FLOAT, 0, 1, 0, xAxes}};
static const qkv_value results[] = {{"y", QKV_FLOAT, 0, 1, 0, idsAxes}};
static const int64_t wShape[] = {5, 3}, tableShape[] = {5};
static const char *const wNames[] = {"lin.weight"}, *const tableNames[] = {"table"};
static const qkv_stored wStored[] = {{"", wNames, 0, 1, 0, "", ""}};
static const qkv_stored tableStored[] = {{"", tableNames, 0, 1, 0, "", ""}};
static const qkv_param params[] = {
    {"W", 2, 1, wShape, wStored, 0, 0, 3, 9, 1, 0.0, "toy.qkv", {QKV_F32, 1, 4, 0, 0, 0}},
    {"table",
     1,
     1,
     tableShape,
     tableStored,
     2,
     0,
     4,
     9,
     5,
     0.5,
     "toy.qkv",
     {QKV_F32, 1, 4, 0, 0, 0}}};
static const qkv_site sites[] = {{"toy.qkv", 7, 12, 3, "index of table along p", 0}};

static void shapes(const qkv_model *model, const int64_t *s, int64_t *extents) {
  (void)model;
  extents[0] = s[0];
  extents[1] = 3;
  extents[2] = s[0];
}

typedef struct {
  qkv_context *context;
  const int64_t *ids;
  const float *x, *w, *table;
  float *y;
} Rows;

static void rows(void *argument, int64_t begin, int64_t end) {
  Rows *r = argument;
  for (int64_t i = begin; i < end; ++i) {
    int64_t id = r->ids[i];
    if (id < 0 || id >= 5) {
      qkv_check_failed(r->context, 0, id, 5);
      id = 0;
    }
    float sum = r->table[id];
    for (int64_t k = 0; k < 3; ++k)
      sum += r->w[id * 3 + k] * r->x[k];
    r->y[i] = sum;
  }
}

static void entry(qkv_context *context, const int64_t *s, void *const *in, void *const *p,
                  void *const *out) {
  Rows r = {context, in[0], in[1], p[0], p[1], out[0]};
  qkv_parallel_for(context, s[0], 1, rows, &r);
}

static const qkv_argument arguments[] = {
    {QKV_SIZE, 0}, {QKV_INPUT, 0}, {QKV_INPUT, 1}, {QKV_PARAMS, 0}, {QKV_RESULT, 0}};
static const qkv_entry entries[] = {{QKV_WHOLE, 5, arguments, entry}};

const qkv_model toy_function = {sizeof(qkv_model),
                                QKV_ABI,
                                1,
                                "toy",
                                "toy.qkv",
                                TOY_CPU,
                                1,
                                2,
                                1,
                                2,
                                1,
                                -1,
                                -1,
                                0,
                                sizes,
                                inputs,
                                results,
                                params,
                                sites,
                                shapes,
                                entries,
                                0,
                                0,
                                0};

#ifdef TOY_MAIN
int main(int argc, char **argv) { return qkv_main(&toy_function, argc, argv); }
#endif
