// Small models that the tests of whole runs share.
#pragma once

namespace qkv::test {

// Line numbers matter: tests look for them.
inline const char *const attentionModel = R"(size T = dynamic(max: 64), D = 4
index i < T, j < T, d < D, e < D

fn attention(q[i,d], k[j,d], v[j,e]) -> c[i,e] {
  score[i,j] = sum[d](q[i,d] * k[j,d]) / sqrt(extent(d))
  alpha[i,j] = softmax[j](score[i,j] where j <= i)
  c[i,e]     = sum[j](alpha[i,j] * v[j,e])
}

model attn(x[i,d]) -> y[i,d] {
  param Wq[d,e] = "q.weight", Wk[d,e] = "k.weight", b[d] = "bias"
  q[i,d] = sum[e](Wq[d,e] * x[i,e]) + b[d]
  k[i,d] = sum[e](Wk[d,e] * x[i,e])
  y = attention(q, k, x)
}
)";

inline const char *const lookupModel = R"(size T = dynamic(max: 64), V = 5, C = 3
index i < T, v < V, c < C

model lookup(n[i] : int, table[v,c]) -> (y[i,c], big[i]) {
  y[i,c] = table[n[i],c] * 2
  big[i] = n[i] > 2
}
)";

// Without weights that matter: the next token is the last one plus one.
inline const char *const counterModel = R"(size T = stream(max: 12), V = 128
index i < T, v < V

model counter(tokens[i] : token) -> logits[i,v] {
  logits[i,v] = if v == (tokens[i] + 1) % V then 1.0 else 0.0
}
)";

} // namespace qkv::test
