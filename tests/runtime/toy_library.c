/* A shared library around a model: one function to the outside, the runtime hidden inside. */
#pragma GCC visibility push(hidden)
#include "toy_function.c"
#pragma GCC visibility pop

__attribute__((visibility("default"))) int TOY_LIBRARY(const char *weights, const int64_t *ids,
                                                       int64_t count, const float *x, float *y,
                                                       qkv_error *error) {
  qkv_weights *open = qkv_weights_open(&toy_function, weights, 0, error);
  if (!open)
    return -1;
  void *in[] = {(void *)ids, (void *)x}, *out[] = {y};
  int code = qkv_run(&toy_function, QKV_WHOLE, open, &count, in, out, error);
  qkv_weights_close(open);
  return code;
}
