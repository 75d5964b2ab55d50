/* OpenBLAS: c[m,n] = a[m,k] * b[k,n]; numbers M, N, K. (Set OPENBLAS_CORETYPE and
 * OPENBLAS_NUM_THREADS before the process starts.) */
#include "Plugin.h"

#include <cblas.h>

typedef struct {
  int m, n, k;
  float *a, *b, *c;
} Work;

void plugin_close(void *work) {
  Work *w = (Work *)work;
  free(w->a), free(w->b), free(w->c), free(w);
}

void *plugin_open(const int64_t *numbers, int64_t count) {
  if (count != 3)
    return NULL;
  Work *w = (Work *)calloc(1, sizeof *w);
  w->m = (int)numbers[0], w->n = (int)numbers[1], w->k = (int)numbers[2];
  w->a = plugin_floats((int64_t)w->m * w->k, 1);
  w->b = plugin_floats((int64_t)w->k * w->n, 2);
  w->c = plugin_floats((int64_t)w->m * w->n, 3);
  return w;
}

int plugin_call(void *work) {
  Work *w = (Work *)work;
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, w->m, w->n, w->k, 1, w->a, w->k, w->b,
              w->n, 0, w->c, w->n);
  return 0;
}
