// What models are made of, over whatever stands there already.
//
// In: tensors [i,a] and parameters. Out: one of the forms below, its result readable by what
// follows. Holds: sums stay small, so that layers of these do not overflow; what may be infinite is
// read by nothing that follows, for infinities make NaNs, and where the interpreter's value is one
// any value is right.
#include "tests/run/RandomGenerator.h"

#include <iterator>

namespace qkv::random {

namespace {

// O: the result, over the letters of `over`; X, Y, Z: tensors [i,a]; W, V: parameters [a,b]; B: one
// [a]; N: extent of a, T: of i; M: a mask of j and i. A result over "!..." may be infinite.
// Functions have names that begin with O_.
struct Idiom {
  const char *form, *over, *functions = "";
};
constexpr Idiom idioms[] = {
    // Attention in its forms.
    {"  O_s[i,j] = sum[a](X[i,a] * Y[j,a]) / sqrt(extent(a))\n"
     "  O_w[i,j] = softmax[j](O_s[i,j]M)\n  O[i,a] = sum[j](O_w[i,j] * Z[j,a])",
     "ia"},
    {"  O_s[i,j] = 5.0 * tanh(sum[a](X[i,a] * Y[j,a]) / 5.0) - 0.5 * abs(i - j)\n"
     "  O_w[i,j] = softmax[j](O_s[i,j]M)\n  O[i,a] = sum[j](O_w[i,j] * Z[j,a])",
     "ia"},
    {"  O[i,a] = sum[j](softmax[j](sum[b](B[b] * tanh(X[i,b] + Y[j,b]))M) * Z[j,a])", "ia"},
    {"  O_s[i,j] = sum[a](X[i,a] * Y[j,a])\n  O_w[i,j] = softmax[j](O_s[i,j]M)\n"
     "  O_v[i,j] = softmax[j](0.5 * O_s[i,j] + Y[j,0]M)\n"
     "  O[i,a] = sum[j]((O_w[i,j] - 0.4 * O_v[i,j]) * Z[j,a])",
     "ia"},
    {"  O[i,a] = sum[j](sigmoid(sum[b](X[i,b] * Y[j,b])) * Z[j,a]M) / (1.0 + extent(j))", "ia"},
    {"  O_f[i,a] = exp(tanh(X[i,a]))\n  O_g[i,a] = exp(tanh(Y[i,a]))\n"
     "  O_n[i] = sum[b,j](O_f[i,b] * O_g[j,b]M)\n"
     "  O[i,a] = sum[j](sum[b](O_f[i,b] * O_g[j,b]) * Z[j,a]M) / (0.1 + O_n[i])",
     "ia"},
    {"  O[i,a] = sum[j](0.9 ^ (i - j) * sum[b](X[i,b] * Y[j,b]) * Z[j,a] where j <= i) / T", "ia"},
    {"  O[i,a] = sum[j,b](softmax[j,b](X[i,b] * Y[j,b]M) * Z[j,b]) + X[i,a]", "ia"},
    {"  O_s[i,j] = sum[a](X[i,a] * Y[j,a]) + X[i,0] - Y[j,0]\n"
     "  O_e[i,j] = exp(tanh(O_s[i,j]))\n"
     "  O[i,a] = sum[j](O_e[i,j] * Z[j,a]) / sum[j](O_e[i,j])",
     "ia"},
    {"  O_s[i,j] = if j <= i then sum[a](X[i,a] * Y[j,a]) else -60.0\n"
     "  O[i,a] = sum[j](softmax[j](O_s[i,j]) * Z[j,a])",
     "ia"},
    {"  O[i] = logsumexp[j](sum[a](X[i,a] * Y[j,a])) + max(-9.0, max[j](X[j,0]M))", "i"},
    // Norms and layers.
    {"  O_m[i] = mean[a](X[i,a])\n  O_v[i] = mean[a]((X[i,a] - O_m[i]) ^ 2)\n"
     "  O[i,a] = (X[i,a] - O_m[i]) * rsqrt(O_v[i] + 0.5) * B[a] + Y[i,a]",
     "ia"},
    {"  O[i,a] = X[i,a] * rsqrt(mean[b](X[i,b] ^ 2) + 0.25) * (1.0 + B[a])", "ia"},
    {"  O_h[i,b] = sum[a](W[b,a] * X[i,a])\n  O_g[i,b] = sum[a](V[b,a] * X[i,a]) + B[b]\n"
     "  O[i,a] = X[i,a] + sum[b](W[b,a] * (O_g[i,b] * sigmoid(O_g[i,b]) * O_h[i,b]))",
     "ia"},
    {"  O_g[i,a] = sigmoid(sum[b](W[a,b] * X[i,b]) + B[a])\n"
     "  O[i,a] = O_g[i,a] * tanh(sum[b](V[a,b] * Y[i,b])) + (1 - O_g[i,a]) * X[i,a]",
     "ia"},
    {"  O_w[i,b] = softmax[b](sum[a](W[b,a] * X[i,a]))\n"
     "  O[i,a] = sum[b](O_w[i,b] * tanh(V[b,a] * X[i,a] + B[b]))",
     "ia"},
    {"  O_s[a] = sigmoid(mean[i](X[i,a]) + B[a])\n  O[i,a] = X[i,a] * O_s[a]", "ia"},
    {"  O_c[a,b] = mean[i](X[i,a] * Y[i,b])\n  O[i,a] = sum[b](O_c[a,b] * tanh(Z[i,b]))", "ia"},
    {"  O_p[a] = B[a] * B[a]\n  O[i,a] = X[i,a] + O_p[a]", "ia"},
    {"  O_p[a] = sum[b](W[a,b] * B[b])\n  O[i] = sum[a](O_p[a] * X[i,a]) + sum[a](O_p[a] * B[a])",
     "i"},
    // Neighbours.
    {"  O[0,a] = X[0,a] * B[a]\n  O[i,a] = X[i,a] * B[a] + X[i-1,a] * (1 - B[a]) + Y[i-1,a]", "ia"},
    {"  O[0,a] = Y[0,a]\n  O[i,a] = X[i-1,a] * X[i-1,a] + Y[i-1,a] * X[i,a]", "ia"},
    {"  O[T-1,a] = 0\n  O[i,a] = X[i+1,a] - Y[i+1,a] * X[i,a]", "ia"},
    {"  O[i,0] = B[0]\n  O[i,a] = X[i,a-1] * Y[i,a-1] + X[i,a]", "ia"},
    {"  O[i,a] = sum[b](W[a,b] * X[i + b - 1,a] where 0 <= i + b - 1 < T)", "ia"},
    {"  O[i,a] = X[i,a] + tanh(sum[b](V[a,b] * X[i - b,a] where i - b >= 0))", "ia"},
    {"  O[i,a] = X[T - 1 - i,a] - 0.5 * Y[i,N - 1 - a]", "ia"},
    {"  O[i,a] = if a + 1 < N and a % 2 == 0 then X[i,a] * cos(i / 50 ^ (a / N)) - X[i,a+1] * "
     "sin(i / 50 ^ (a / N)) else X[i,a]",
     "ia"},
    {"  O[i,a] = X[i,a] + (if a % 2 == 0 then sin(i / 100 ^ (a / N)) else cos(i / 100 ^ ((a-1) / "
     "N)))",
     "ia"},
    {"  O[i,a] = sum[j](X[j,a]M) / T", "ia"},
    {"  O[i,a] = max(-9.0, max[j](X[j,a] * Y[j,a]M))", "ia"},
    // Recurrences.
    {"  O[-1,a] = 0\n  O[i,a] = tanh(X[i,a] + sum[b](W[a,b] * O[i-1,b]) + B[a])", "ia"},
    {"  O[T,a] = B[a]\n  O[i,a] = tanh(X[i,a] * Y[i,a] + sum[b](V[a,b] * O[i+1,b]))", "ia"},
    {"  O[0,a] = X[0,a]\n  O[i,a] = 0.9 * O[i-1,a] + 0.1 * X[i,a]", "ia"},
    {"  O_c[-1,a] = 0\n  O[-1,a] = 0\n  O_z[i,a] = sum[b](W[a,b] * X[i,b] + V[a,b] * O[i-1,b])\n"
     "  O_c[i,a] = sigmoid(O_z[i,a] + B[a]) * O_c[i-1,a] + sigmoid(O_z[i,a]) * tanh(Y[i,a])\n"
     "  O[i,a] = sigmoid(0.5 * O_z[i,a]) * tanh(O_c[i,a])",
     "ia"},
    {"  O_h[-1,a,b] = 0\n  O_h[i,a,b] = sigmoid(X[i,a]) * O_h[i-1,a,b] + 0.2 * X[i,a] * Y[i,b]\n"
     "  O[i,a] = sum[b](O_h[i,a,b] * Z[i,b])",
     "ia"},
    {"  O[0,a] = X[0,a]\n  O[i,a] = logsumexp[b](O[i-1,b] + W[b,a]) + tanh(X[i,a]) - 1.5", "ia"},
    {"  O[0,a] = X[0,a]\n  O[i,a] = max[b](O[i-1,b] * 0.5 + W[b,a]) + X[i-1,a]", "ia"},
    {"  O_q[-1,a] = 0\n  O_q[i,a] = O_q[i-1,a] + X[i,a] * Y[i,a] / T\n"
     "  O[a] = O_q[T-1,a] + B[a]",
     "a"},
    // Sums beside what they are made of.
    {"  O_s = sum[i,a](X[i,a])\n  O[i,a] = if a % 3 != 1 then exp(tanh(X[i,a] + O_s)) else Y[i,a]",
     "ia"},
    {"  O[i,a] = abs(X[i,a] * 0.5) + max(logsumexp[b](Y[0,b]), -50)", "ia"},
    {"  O_s = mean[i,a](X[i,a] * Y[i,a])\n  O[a] = sum[i](X[i,a] * O_s where i >= a)", "a"},
    {"  O_m = max[i,a](X[i,a])\n  O = sum[i,a](exp(tanh(X[i,a] - O_m)) where a <= i) / T", ""},
    // Infinite values.
    {"  O_s[i,j] = if j <= i then sum[a](X[i,a] * Y[j,a]) else log(0)\n"
     "  O[i,a] = sum[j](softmax[j](O_s[i,j]) * Z[j,a])",
     "ia"},
    {"  O_m[i,j] = if 0 <= i - j < 3 then 0 else log(0)\n"
     "  O_s[i,j] = sum[a](X[i,a] * Y[j,a]) * 0.5 + O_m[i,j]\n"
     "  O_w[i,j] = softmax[j](O_s[i,j])\n  O[i,a] = sum[j](O_w[i,j] * Z[j,a])",
     "ia"},
    {"  O_m[j] = if X[0,0] > 0.25 and j % 3 == 1 then log(0) else 0.0\n"
     "  O[i,a] = sum[j](softmax[j](sum[b](X[i,b] * Y[j,b]) + O_m[j]M) * Z[j,a])",
     "ia"},
    {"  O_l[i] = logsumexp[j](if j % 2 == 1 then X[i,0] * Y[j,0] else log(0)M)\n"
     "  O[i,a] = tanh(O_l[i]) * X[i,a] + exp(min(O_l[i], 0.5))",
     "ia"},
    {"  O_d[0,a] = if a == 0 then 0 else log(0)\n"
     "  O_d[i,a] = max[b](O_d[i-1,b] + (if b <= a then W[b,a] else log(0))) + 0.1 * X[i,a]\n"
     "  O[i,a] = tanh(O_d[i,a])",
     "ia"},
    {"  O_d[0,a] = if a == 0 then 0 else log(0)\n"
     "  O_d[i,a] = logsumexp[b](O_d[i-1,b] + (if a - 1 <= b <= a then W[b,a] else log(0)))\n"
     "  O[i,a] = sigmoid(O_d[i,a] + X[i,a])",
     "ia"},
    {"  O_d[0,a] = if a == 0 then 0 else -log(0)\n"
     "  O_d[i,a] = min(O_d[i-1,a], min[b](O_d[i-1,b] + abs(W[b,a]) where b < a))\n"
     "  O[i,a] = 1 / (1.0 + O_d[i,a]) + X[i,a]",
     "ia"},
    {"  O[i,a] = tanh(max[b](if 0 <= i + b - 1 < T then X[i + b - 1,a] else log(0)))", "ia"},
    {"  O_m[-1] = log(0)\n  O_l[-1] = 0\n  O_m[i] = max(O_m[i-1], X[i,0])\n"
     "  O_l[i] = O_l[i-1] * exp(O_m[i-1] - O_m[i]) + exp(X[i,0] - O_m[i])\n"
     "  O[i,a] = exp(X[i,a] - max(O_m[i], X[i,a])) / O_l[i]",
     "ia"},
    {"  O[i,a] = max[j](X[j,a] * Y[j,a]M)", "!ia"},
    {"  O[i,a] = min[j](X[j,a] + Y[i,a]M) + W[a,a]", "!ia"},
    {"  O[i] = logsumexp[j](sum[a](X[i,a] * Y[j,a])M)", "!i"},
    {"  O[i,a] = log(max(X[i,a], 0.0) * (if a % 2 == 0 then 0.0 else 1.0)) + B[a]", "!ia"},
    {"  O_m[i] = max[j](X[j,0]M)\n"
     "  O[i,a] = sum[j](exp(X[j,0] - O_m[i]) * Z[j,a]M) / (0.5 + sum[j](exp(X[j,0] - O_m[i])M))",
     "ia"},
    // A letter again (L4).
    {"  O[i,a] = exp(tanh(X[i,a])) / sum[a](exp(tanh(X[i,a]))) + Y[i,a]", "ia"},
    {"  O[i,a] = X[i,a] * rsqrt(mean[a](X[i,a] ^ 2) + 0.5) * B[a] - max[i](Y[i,a]) * 0.1", "ia"},
    {"  O[i,a] = (X[i,a] - sum[i](X[i,a] / T)) * tanh(sum[j](Y[j,a] / T where j != i))", "ia"},
    // Pieces along an axis (P5).
    {"  index O_n < 2 * N\n  O_z[i,2*a] = X[i,a] * B[a]\n  O_z[i,2*a+1] = tanh(Y[i,a])\n"
     "  O[i,a] = O_z[i,a] - 0.5 * O_z[i,a+N] + 0.1 * max[O_n](O_z[i,O_n])",
     "ia"},
    {"  O_z[i,a] = X[i,a]\n  O_z[i,N+b] = sum[a](W[b,a] * Y[i,a])\n  O_z[i,2*N] = 1\n"
     "  O[i,a] = O_z[i,2*a] * O_z[i,a+N] + O_z[i,a+N+1]",
     "ia"},
    {"  O_z[2*i,a] = X[i,a]\n  O_z[2*i+1,a] = Y[i,a] + B[a]\n  O[i,a] = O_z[i,a] * O_z[i+T,a]",
     "ia"},
    {"  O_z[T+i,a] = X[i,a]\n  O_z[i,a] = exp(tanh(Y[i,a]))\n  O[i,a] = O_z[2*i,a] - O_z[2*i+1,a]",
     "ia"},
    {"  O_z[i,(a,b)] = X[i,a] * Y[i,b]\n"
     "  O[i,a] = sum[b](O_z[i,(a,b)] * W[a,b]) / N + O_z[i,N*a] - O_z[i,a]",
     "ia"},
    {"  O_z[(a,i)] = X[i,a] + B[a]\n  O[i,a] = O_z[(a,i)] * 0.5 + O_z[a*T] + O_z[i]", "ia"},
    {"  O_z[i,0] = B[0]\n  O_z[i,a+1] = tanh(O_z[i,a] + X[i,a])\n  O[i,a] = O_z[i,a+1] + O_z[i,0]",
     "ia"},
    // Recurrences along two axes (R4).
    {"  O[-1,-1] = 1\n  O[-1,a] = B[a]\n  O[i,-1] = 0.5\n"
     "  O[i,a] = tanh(0.5 * O[i-1,a] + 0.25 * O[i,a-1] * O[i-1,a-1] + X[i,a])",
     "ia"},
    {"  O_d[i,N] = 0.25\n  O_d[T,a] = B[a]\n  O_d[T,N] = 0\n"
     "  O_d[i,a] = min(O_d[i+1,a] + 0.5, O_d[i,a+1] + 0.25, O_d[i+1,a+1] + abs(X[i,a]))\n"
     "  O[a] = tanh(O_d[0,a])",
     "a"},
    {"  O_d[i,a] = tanh(X[i,a] + (if i > 0 then 0.5 * O_d[i-1,a] else B[a])\n"
     "                  + (if a > 0 then 0.25 * O_d[i,a-1] else Y[i,0]))\n"
     "  O = sum[a](O_d[T-1,a] * B[a])",
     ""},
    // States of which the latest are kept, what reads them with them.
    {"  O_h[-1,a,b] = 0\n  O_h[-2,a,b] = B[a]\n"
     "  O_h[i,a,b] = 0.5 * O_h[i-1,a,b] - 0.25 * O_h[i-2,a,b] + X[i,a] * Y[i,b]\n"
     "  O_g[i,a,b] = tanh(O_h[i,a,b]) * O_h[i-1,a,b]\n"
     "  O[i,a] = sum[b](O_g[i,a,b] * Z[i,b]) / N",
     "ia"},
    {"  O_d[i,a,b] = exp(tanh(X[i,a] * W[a,b])) * 0.3\n  O_h[T,a,b] = 1\n"
     "  O_h[i,a,b] = O_d[i,a,b] * O_h[i+1,a,b] + Y[i,b] * X[i,a]\n"
     "  O[i,a] = max[b](O_h[i,a,b] * Z[i,b]) + O_h[0,a,0] - O_h[i,0,a]",
     "ia"},
    {"  O_m[-1,a,b] = 0\n  O_u[i,b] = sum[a](tanh(X[i,a]) * O_m[i-1,a,b]) / N\n"
     "  O_m[i,a,b] = O_m[i-1,a,b] + 0.5 * tanh(X[i,a]) * (Y[i,b] - O_u[i,b])\n"
     "  O_v[i,a] = sum[b](O_m[i,a,b] * tanh(Z[i,b])) / N\n  O[i,a] = O_v[i,a] + O_m[T-1,a,a] / T",
     "ia"},
    // Running reductions (R5).
    {"  O[i,a] = prod[j](tanh(X[j,a]) + 0.5 where j <= i) + mean[j](Y[j,a] where j >= i)", "ia"},
    {"  O[i,a] = logsumexp[j](X[j,a] where j <= i) - max[j](X[j,a] where j <= i)", "ia"},
    {"  O_c[i,a] = sum[j](Y[j,a] where j <= i) / T\n"
     "  O[i,a] = tanh(O_c[i,a]) * sum[j](exp(tanh(X[j,a] - O_c[j,a])) where j < i) / T",
     "ia"},
    {"  O[i,a] = Y[argmax[j]((j * 7) % 5 where j <= i),a] + X[argmin[j]((j * 3) % 4 where j <= "
     "i),a]",
     "ia"},
    // What is chosen: ranks of what no computation rounds.
    {"  O[i,a] = X[i,argmax[b](B[b])] * Y[i,a]", "ia"},
    {"  O[i,a] = sum[b](W[a,b] * X[i,b] where rank[b](W[a,b]) < 2) + Y[i,a]", "ia"},
    {"  O_g[i,b] = if i % 2 == 0 then W[0,b] else V[0,b]\n"
     "  O_s[i,b] = softmax[b](O_g[i,b] where rank[b](O_g[i,b]) < 2)\n"
     "  O[i,a] = sum[b](O_s[i,b] * tanh(sum[a](W[a,b] * X[i,a]) + B[a]))",
     "ia"},
    {"  O_s[i,j] = sum[a](X[i,a] * Y[j,a])\n"
     "  O_w[i,j] = softmax[j](O_s[i,j] where rank[j]((i + 3 * j) % 5M) < 3)\n"
     "  O[i,a] = sum[j](O_w[i,j] * Z[j,a])",
     "ia"},
    {"  O_r[i,j] = rank[j]((i * j) % 7M)\n"
     "  O[i,a] = sum[j](if O_r[i,j] < 4 and j != i + 1 then Z[j,a] * X[i,a] else 0)",
     "ia"},
    // Constants of a configuration that is not there (C2).
    {"  const O_k = config(\"O.kinds[1]\", \"wide\"), O_f = config(\"O.flag\", false)\n"
     "  O_x = if O_k == \"wide\" then X + Y else X\n  O = if O_f then O_x else O_x + tanh(Z)",
     "ia"},
};

/// Functions and blocks: mapped over letters by slices, cells of recurrences, in repeats.
constexpr Idiom calls[] = {
    {"  O[-1,a] = 0\n  O[i] = O_cell(X[i], O[i-1])", "ia",
     "fn O_cell(x[d], s[d]) -> y[d] {\n  y[d] = tanh(x[d] + 0.5 * s[d])\n}"},
    {"  O[T,a] = B[a]\n  O[i] = O_cell(X[i], O[i+1], Y) from \"O.\"", "ia",
     "block O_cell(x[d], s[d], k[t,d]) -> y[d] {\n  index e < extent(d)\n"
     "  param A[d,e] = \"a\", b[d] = \"b\"\n"
     "  y[d] = tanh(x[d] + sum[e](A[d,e] * s[e]) + b[d] + 0.1 * k[0,d])\n}"},
    {"  O_h[-1,a] = 0\n  O_c[-1,a] = 0\n"
     "  O_h[i], O_c[i] = O_cell(X[i], O_h[i-1], O_c[i-1]) from \"O.\"\n"
     "  O[i,a] = O_h[i,a] + 0.5 * O_c[i,a]",
     "ia",
     "block O_cell(x[d], h[d], c[d]) -> (y[d], n[d]) {\n  index e < extent(d)\n"
     "  param A[g,d,e] = \"a\", R[g,d,e] = \"r\"\n  index g < 4\n"
     "  z[g,d] = sum[e](A[g,d,e] * x[e] + R[g,d,e] * h[e])\n"
     "  n[d] = sigmoid(z[0,d]) * c[d] + sigmoid(z[1,d]) * tanh(z[2,d])\n"
     "  y[d] = sigmoid(z[3,d]) * tanh(n[d])\n}"},
    {"  O[-1,a] = Y[0,a]\n  O_e[i,j] = O_align(O[i-1], Y[j])\n"
     "  O_w[i,j] = softmax[j](O_e[i,j]M)\n  O_x[i,a] = sum[j](O_w[i,j] * Z[j,a])\n"
     "  O[i,a] = tanh(X[i,a] + O_x[i,a])",
     "ia", "fn O_align(s[d], h[d]) -> y {\n  y = sum[d](s[d] * h[d])\n}"},
    {"  O_q[b,i,a] = X[i,a] * W[b,a]\n  O_k[b,i,a] = Y[i,a] * V[b,a]\n"
     "  O_h[b] = O_attend(O_q[b], O_k[b], Z)\n  O[i,a] = sum[b](O_h[b,i,a]) / (1.0 + N)",
     "ia",
     "fn O_attend(x[t,d], y[s,d], z[s,d]) -> o[t,d] {\n"
     "  w[t,s] = softmax[s](sum[d](x[t,d] * y[s,d]) where s <= t)\n"
     "  o[t,d] = sum[s](w[t,s] * z[s,d])\n}"},
    {"  O_p[b] = O_part(X, W[b])\n  O[i,a] = O_p[a,i] + Y[i,a]", "ia",
     "fn O_part(x[t,d], y[d]) -> o[t] {\n  o[t] = sum[d](x[t,d] * y[d]) + max(-9.0, "
     "max[d](y[d]))\n}"},
    {"  O[i,a] = X[i,a] * O_norm(Y[i])[a] + O_norm(W[a])[0] * B[a]", "ia",
     "fn O_norm(x[d]) -> y[d] {\n  index e < extent(d)\n  y[d] = x[d] * rsqrt(mean[e](x[e] * x[e]) "
     "+ 0.5)\n}"},
    {"  O = O_mix(O_act(X), O_mix(Y, Z))", "ia",
     "fn O_act(x) -> y {\n  y = x * sigmoid(x)\n}\n"
     "fn O_mix(x[t,d], y[t,d]) -> z[t,d] {\n  z[t,d] = 0.5 * x[t,d] + O_act(y[t,d])\n}"},
    {"  O = O_apply(X, f: O_act) + O_apply(Y, f: O_bend)", "ia",
     "fn O_act(x) -> y {\n  y = max(x, 0)\n}\nfn O_bend(x) -> y {\n  y = tanh(x) * x\n}\n"
     "fn O_apply(x[t,d], fn f) -> y[t,d] {\n  y[t,d] = f(x[t,d]) + 0.1 * f(x[t,0])\n}"},
    {"  O_l[i], O_r[i] = O_two(X[i], Y[i])\n  O[i,a] = O_l[i,a] * O_r[i]", "ia",
     "fn O_two(x[d], y[d]) -> (z[d], s) {\n  s = sum[d](softmax[d](x[d]) * y[d])\n"
     "  z[d] = x[d] - s\n}"},
    // Layers.
    {"  O = X\n  repeat O_l < 3 {\n    O = O_layer(O) from \"O.{O_l}.\"\n  }", "ia",
     "block O_layer(x[t,d]) -> y[t,d] {\n  index s < extent(t), e < extent(d)\n"
     "  param A[d,e] = \"a\", b[d] = \"b\"\n  m[t] = mean[d](x[t,d])\n"
     "  n[t,d] = (x[t,d] - m[t]) * rsqrt(mean[e]((x[t,e] - m[t]) ^ 2) + 0.5) * b[d]\n"
     "  q[t,d] = sum[e](A[d,e] * n[t,e])\n"
     "  w[t,s] = softmax[s](sum[d](q[t,d] * n[s,d]) where s <= t)\n"
     "  y[t,d] = x[t,d] + sum[s](w[t,s] * q[s,d])\n}"},
    {"  O = X\n  repeat O_l < 2 {\n    O = O_layer(O, Y) from \"O.{O_l}.\"\n  }", "ia",
     "block O_layer(x[t,d], k[s,d]) -> y[t,d] {\n  index e < extent(d), f < 2 * extent(d)\n"
     "  param A[f,d] = \"a\", R[d,f] = \"r\"\n"
     "  c[t,d] = x[t,d] + sum[s](softmax[s](sum[e](x[t,e] * k[s,e])) * k[s,d])\n"
     "  h[t,f] = sum[d](A[f,d] * c[t,d])\n"
     "  y[t,d] = c[t,d] + sum[f](R[d,f] * (h[t,f] * sigmoid(h[t,f])))\n}"},
    {"  O = X\n  repeat O_l < 2 {\n    O = O_layer(O, B) from \"O.{O_l}.\"\n  }", "ia",
     "block O_layer(x[t,d], h[d]) -> y[t,d] {\n  index e < extent(d)\n  param A[d,e] = \"a\"\n"
     "  s[-1,d] = h[d]\n  s[t,d] = tanh(sum[e](A[d,e] * s[t-1,e]) + x[t,d])\n  y = s + x\n}"},
    {"  O = X\n  repeat O_l < 3 {\n"
     "    O = O_layer(O, L: if O_l % 2 == 0 then 3 else 1, l: O_l) from \"O.{O_l}.\"\n  }",
     "ia",
     "block O_layer(x[t,d], size L, size l) -> y[t,d] {\n  index s < extent(t)\n"
     "  param b[d] = \"b\"\n  c[t,s] = x[t,0] * x[s,0] * (l + 1) - 0.5 ^ l * (t - s)\n"
     "  y[t,d] = sum[s](softmax[s](c[t,s] where 0 <= t - s < L) * x[s,d]) + b[d]\n}"},
    {"  index O_n < 3\n  O_x = X\n  O_all[0,i,a] = X[i,a]\n  repeat O_l < 2 {\n"
     "    O_x = tanh(O_x) + 0.5 * Y\n    O_all[O_l+1,i,a] = O_x[i,a]\n  }\n"
     "  O[i,a] = sum[O_n](O_all[O_n,i,a] * 0.5 ^ O_n)",
     "ia"},
    {"  O = X\n  repeat O_l < 2 {\n    O_g[a] = mean[i](O[i,a])\n"
     "    O = O_layer(O, O_g) from \"O.{O_l}.\"\n  }",
     "ia",
     "block O_layer(x[t,d], h[d]) -> y[t,d] {\n  param b[d] = \"b\"\n"
     "  y[t,d] = x[t,d] + tanh(h[d] * b[d])\n}"},
};

std::string replaced(std::string text, const std::string &what, const std::string &with) {
  auto isWord = [](char c) { return isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos;) {
    bool ofName = (at > 0 && isWord(text[at - 1])) ||
                  (what != "O" && at + 1 < text.size() && isWord(text[at + 1]));
    if (ofName && what != "M") {
      ++at;
      continue;
    }
    text.replace(at, what.size(), with);
    at += with.size();
  }
  return text;
}

} // namespace

/// A tensor [i,a]; often the last one.
std::string Generator::idiomTensor() {
  std::vector<std::string> names;
  for (const TensorInfo &tensor : readable(Kind::Float))
    if (tensor.sizes == std::vector<int>{1, 0})
      names.push_back(tensor.name);
  return chance(50) ? names.back() : any(names);
}

void Generator::idiom() {
  const Idiom &idiom = chance(25) ? calls[below(static_cast<int>(std::size(calls)))]
                                  : idioms[below(static_cast<int>(std::size(idioms)))];
  std::string form = idiom.form, functions = idiom.functions;
  auto put = [&](const char *what, const std::string &with) {
    form = replaced(form, what, with);
    functions = replaced(functions, what, with);
  };
  static const char *const masks[] = {"",
                                      " where j <= i",
                                      " where 0 <= i - j < 3",
                                      " where j < 2 or i - j < 2",
                                      " where j != i",
                                      " where j > i + 1"};
  put("M", masks[below(6)]);
  put("N", p_.sizes_[0].name);
  put("T", p_.sizes_[1].name);
  put("X", idiomTensor());
  put("Y", idiomTensor());
  put("Z", idiomTensor());
  for (const char *param : {"W", "V", "B"}) {
    std::string name = newName("w");
    std::string before = form;
    put(param, name);
    if (form != before)
      p_.params_.push_back(
          {name, Kind::Float, *param == 'B' ? std::vector<int>{0} : std::vector<int>{0, 0}});
  }
  std::string name = newName("o");
  put("O", name);
  std::vector<int> sizes;
  for (char letter : std::string(idiom.over))
    if (letter == '!')
      hidden_.insert(name);
    else
      sizes.push_back(letter == 'i' ? 1 : 0);
  define({name, Kind::Float, sizes}, form, {},
         functions.empty() ? std::vector<std::string>{} : std::vector<std::string>{functions});
}

} // namespace qkv::random
