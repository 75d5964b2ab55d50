/* A piece of work of somebody else's that the measuring process calls: three C functions in a
 * shared library. It is compiled when it is asked for, so that nobody needs its packages otherwise.
 */
#ifndef QKV_BENCH_PLUGIN_H
#define QKV_BENCH_PLUGIN_H

#include <stdint.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Null where it cannot be. `numbers` are the shape, in an order that each plugin says. */
void *plugin_open(const int64_t *numbers, int64_t count);
/* One call: all of the work. 0 when done. */
int plugin_call(void *work);
void plugin_close(void *work);

/* `count` floats, 64-byte aligned, within +-1, the same each time. */
static inline float *plugin_floats(int64_t count, uint32_t seed) {
  float *data = (float *)aligned_alloc(64, (size_t)((count * 4 + 63) & ~(int64_t)63));
  uint32_t state = seed * 2654435761u + 1;
  if (data)
    for (int64_t i = 0; i < count; ++i) {
      state = state * 1664525u + 1013904223u;
      data[i] = (float)(int32_t)state * 0x1p-31f;
    }
  return data;
}

#ifdef __cplusplus
}
#endif
#endif
