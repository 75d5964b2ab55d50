/* Additive attention as it is written without fusion: scores with tanhf, a softmax with expf, a
 * sum, each over all of its matrix. Numbers T (queries and keys), A (width of the network), E
 * (values). score[i,j] = sum[a](w[a] * tanh(p[i,a] + r[j,a])), o[i,e] =
 * sum[j](softmax[j](score[i,j]) * v[j,e])
 */
#include "Plugin.h"

#include <math.h>
#include <xmmintrin.h>

typedef struct {
  int64_t t, a, e;
  float *w, *p, *r, *v, *score, *o;
} Work;

void plugin_close(void *work) {
  Work *x = (Work *)work;
  free(x->w), free(x->p), free(x->r), free(x->v), free(x->score), free(x->o), free(x);
}

void *plugin_open(const int64_t *numbers, int64_t count) {
  if (count != 3)
    return NULL;
  Work *x = (Work *)calloc(1, sizeof *x);
  x->t = numbers[0], x->a = numbers[1], x->e = numbers[2];
  x->w = plugin_floats(x->a, 1);
  x->p = plugin_floats(x->t * x->a, 2);
  x->r = plugin_floats(x->t * x->a, 3);
  x->v = plugin_floats(x->t * x->e, 4);
  x->score = plugin_floats(x->t * x->t, 5);
  x->o = plugin_floats(x->t * x->e, 6);
  return x;
}

int plugin_call(void *work) {
  Work *x = (Work *)work;
  int64_t t = x->t, width = x->a, values = x->e;
  unsigned mode = _mm_getcsr();
  _mm_setcsr(mode | 0x8040); /* denormals count as zero, as in code of qkv */
  for (int64_t i = 0; i < t; ++i)
    for (int64_t j = 0; j < t; ++j) {
      float sum = 0;
      for (int64_t a = 0; a < width; ++a)
        sum += x->w[a] * tanhf(x->p[i * width + a] + x->r[j * width + a]);
      x->score[i * t + j] = sum;
    }
  for (int64_t i = 0; i < t; ++i) {
    float *row = x->score + i * t, most = row[0], sum = 0;
    for (int64_t j = 1; j < t; ++j)
      most = fmaxf(most, row[j]);
    for (int64_t j = 0; j < t; ++j)
      sum += row[j] = expf(row[j] - most);
    for (int64_t j = 0; j < t; ++j)
      row[j] /= sum;
  }
  for (int64_t i = 0; i < t; ++i) {
    float *out = x->o + i * values;
    for (int64_t e = 0; e < values; ++e)
      out[e] = 0;
    for (int64_t j = 0; j < t; ++j)
      for (int64_t e = 0; e < values; ++e)
        out[e] += x->score[i * t + j] * x->v[j * values + e];
  }
  _mm_setcsr(mode);
  return 0;
}
