// What models are made of, over whatever stands there already.
//
// In: tensors [i,a] and parameters. Out: one of the forms below, its result readable by what
// follows. Holds: sums stay small, so that layers of these do not overflow.
#include "tests/run/RandomGenerator.h"

#include <iterator>

namespace qkv::random {

namespace {

// O: the result, over the letters of `over`; X, Y, Z: tensors [i,a]; W, V: parameters [a,b]; B: one
// [a]; N: extent of a, T: of i; M: a mask of j and i.
struct Idiom {
  const char *form, *over;
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
  const Idiom &idiom = idioms[below(static_cast<int>(std::size(idioms)))];
  std::string form = idiom.form;
  auto put = [&](const char *what, const std::string &with) { form = replaced(form, what, with); };
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
  for (const char *letter = idiom.over; *letter; ++letter)
    sizes.push_back(*letter == 'i' ? 1 : 0);
  define({name, Kind::Float, sizes}, form, {});
}

} // namespace qkv::random
