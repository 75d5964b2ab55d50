// oneDNN: c[m,n] = a[m,k] * b[k,n] with b in the layout that it chooses; numbers M, N, K.
#include "Plugin.h"

#include <dnnl.hpp>
#include <unordered_map>

using namespace dnnl;

namespace {

struct Work {
  engine cpu{engine::kind::cpu, 0};
  stream queue{cpu};
  matmul product;
  std::unordered_map<int, memory> arguments;
};

} // namespace

void *plugin_open(const int64_t *numbers, int64_t count) try {
  if (count != 3)
    return nullptr;
  const int64_t m = numbers[0], n = numbers[1], k = numbers[2];
  using Tag = memory::format_tag;
  constexpr auto f32 = memory::data_type::f32;
  auto *work = new Work;
  memory::desc a({m, k}, f32, Tag::ab), b({k, n}, f32, Tag::any), c({m, n}, f32, Tag::ab);
  matmul::primitive_desc chosen(matmul::desc(a, b, c), work->cpu);
  memory plain({{k, n}, f32, Tag::ab}, work->cpu, plugin_floats(k * n, 2));
  memory packed(chosen.weights_desc(), work->cpu);
  reorder(plain, packed).execute(work->queue, plain, packed);
  work->queue.wait();
  work->product = matmul(chosen);
  work->arguments = {{DNNL_ARG_SRC, memory(a, work->cpu, plugin_floats(m * k, 1))},
                     {DNNL_ARG_WEIGHTS, packed},
                     {DNNL_ARG_DST, memory(c, work->cpu, plugin_floats(m * n, 3))}};
  return work;
} catch (const dnnl::error &) {
  return nullptr;
}

int plugin_call(void *data) {
  auto *work = static_cast<Work *>(data);
  work->product.execute(work->queue, work->arguments);
  work->queue.wait();
  return 0;
}

// (Tensors live as long as the process, which lives as long as a row.)
void plugin_close(void *data) { delete static_cast<Work *>(data); }
