// qkv explain and qkv bench: the form of what they print, and counts that can be told by hand.
#include "tests/run/Support.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

using namespace qkv::test;
using nlohmann::json;

namespace {

// A contraction, a recurrence whose input part is taken out in front of it, a gather, a reduction.
const char model[] = R"(size T = dynamic(max: 64)
index t < T, c < 8, o < 16, k < 16, v < 10
model walk(tokens[t] : token) -> (h[t,o], most[t]) {
  param E[v,c] = "E", Wx[o,c] = "Wx", Wh[o,k] = "Wh"
  x[t,c] = E[tokens[t],c]
  h[-1,o] = 0
  h[t,o] = tanh(sum[c](Wx[o,c] * x[t,c]) + sum[k](Wh[o,k] * h[t-1,k]))
  most[t] = max[o](h[t,o])
}
)";

struct Explain : testing::Test {
  Folder folder;
  Explain() { writeFile(folder / "walk.qkv", model); }

  Ran qkv(const std::string &arguments) const {
    return run("cd '" + folder.path() + "' && '" QKV_DRIVER "' " + arguments);
  }
  json explained(const std::string &arguments) const {
    Ran ran = qkv("explain walk.qkv --json " + arguments);
    EXPECT_EQ(ran.code, 0) << ran.err;
    return json::parse(ran.out, nullptr, /*allow_exceptions=*/false);
  }
  /// The one kernel of a kind.
  static json kernel(const json &all, const std::string &kind) {
    json found;
    for (const json &one : all["kernels"])
      if (one["kind"] == kind) {
        EXPECT_TRUE(found.is_null()) << "two of kind " << kind;
        found = one;
      }
    EXPECT_FALSE(found.is_null()) << "none of kind " << kind << " in " << all.dump(2);
    return found;
  }
};

TEST_F(Explain, jsonHasItsForm) {
  json all = explained("--size T=7");
  ASSERT_TRUE(all.is_object());
  ASSERT_FALSE(all["kernels"].empty());
  for (const json &one : all["kernels"]) {
    for (const char *key : {"name", "kind", "form", "why"}) {
      ASSERT_TRUE(one[key].is_string()) << one.dump();
      EXPECT_FALSE(one[key].get<std::string>().empty()) << one.dump();
    }
    EXPECT_EQ(one["times"], 1) << one.dump();
    EXPECT_TRUE(one["flops"].is_number_integer());
    EXPECT_TRUE(one["bytes"].is_number_integer());
    ASSERT_FALSE(one["equations"].empty()) << one.dump();
    for (const json &equation : one["equations"]) {
      EXPECT_TRUE(equation["name"].is_string());
      int line = equation["line"];
      EXPECT_TRUE(line >= 5 && line <= 8) << equation.dump();
      EXPECT_EQ(equation["file"], "walk.qkv");
    }
  }
  double most = 0;
  for (const json &one : all["buffers"]) {
    EXPECT_FALSE(one["name"].get<std::string>().empty());
    EXPECT_FALSE(one["why"].get<std::string>().empty());
    most = std::max(most, one["bytes"].get<double>());
  }
  EXPECT_GE(all["peak_bytes"].get<double>(), most);
  EXPECT_EQ(all["peak_is_known"], true);
}

// Lines of the library are not taken for the model's; each buffer of a recurrence has its own name;
// what a repeat computes says how often.
TEST_F(Explain, placesNamesAndCounts) {
  writeFile(folder / "many.qkv", R"(use nn
size T = dynamic(max: 64)
index t < T, c < 8
model many(x[t,c]) -> y[t,c] {
  y = lstm(x, O: 8) from "cell."
  repeat l < 5 { y = y + linear(rms_norm(y) from "norm.{l}.", O: 8) from "out.{l}." }
}
)");
  Ran ran = qkv("explain many.qkv --json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  json all = json::parse(ran.out);
  int library = 0, repeated = 0;
  for (const json &one : all["kernels"]) {
    repeated += one["times"] == 4; // (the first step reads what has positions outside)
    for (const json &equation : one["equations"]) {
      bool own = equation["file"] == "many.qkv";
      EXPECT_EQ(own, equation["line"] <= 7) << equation.dump();
      library += !own;
    }
  }
  EXPECT_GT(library, 3);
  EXPECT_GT(repeated, 1);
  std::set<std::string> names;
  for (const json &one : all["buffers"])
    EXPECT_TRUE(names.insert(one["name"]).second) << one["name"] << " twice in\n" << all.dump(1);
  EXPECT_TRUE(names.count("cell.lstm_from.h") && names.count("cell.lstm_from.c"))
      << all["buffers"].dump(1);
  ran = qkv("explain many.qkv --peak 100 --bandwidth 10");
  EXPECT_NE(ran.out.find("nn.qkv:"), std::string::npos) << ran.out;
  EXPECT_EQ(ran.out.find("  line "), std::string::npos) << ran.out;
}

// Of a sum that is not fused the reason stands at the sum, with the letter that it is about.
TEST_F(Explain, reasonsStandWhereTheyBelong) {
  writeFile(folder / "two.qkv", R"(size T = dynamic(max: 64)
index t < T, j < 4096, h < 8, d < 8, e < 16
model two(q[t,d], k[j,d], u[h,d], v[j,h,e]) -> (y[t,e], z[t]) {
  w[t,j] = softmax[j](sum[d](q[t,d] * k[j,d]))
  r[t,h] = softmax[h](sum[d](q[t,d] * u[h,d]))
  y[t,e] = sum[j,h]((w[t,j] - r[t,h]) * v[j,h,e])
  z[t] = 1 + sum[h](exp(sum[d](q[t,d] * u[h,d])) * h)
}
)");
  Ran ran = qkv("explain two.qkv --json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  std::map<std::string, std::string> why;
  json all = json::parse(ran.out);
  for (const json &one : all["kernels"])
    why[one["name"]] = one["why"];
  EXPECT_EQ(why["r"], "not fused: there are few keys: 8 of h") << all.dump(1);
  EXPECT_EQ(why["w"], "not fused: another term of its sum is not: there are few keys: 8 of h");
  for (auto &[name, text] : why)
    if (name == "z") {
      EXPECT_EQ(text.find("not fused"), std::string::npos) << text;
    }
}

TEST_F(Explain, countsGrowWithTheSizes) {
  for (int64_t length : {1, 7, 64}) {
    json all = explained("--size T=" + std::to_string(length));
    EXPECT_GE(kernel(all, "contraction")["flops"].get<int64_t>(), 2 * length * 16 * 8);
    EXPECT_LE(kernel(all, "contraction")["flops"].get<int64_t>(), 2 * length * 16 * 8 + 64);
    // The product with the state, its sum with the other, tanh.
    EXPECT_EQ(kernel(all, "recurrence")["flops"].get<int64_t>(), length * (2 * 16 * 16 + 16 + 16));
    EXPECT_EQ(kernel(all, "reduction")["flops"].get<int64_t>(), length * 16);
  }
}

TEST_F(Explain, whatIsReadCountsOnce) {
  json all = explained("--size T=64");
  // The products that were computed in front, the weights, the results.
  int64_t bytes = kernel(all, "recurrence")["bytes"];
  EXPECT_GE(bytes, 4 * (64 * 16 + 16 * 16 + 64 * 16));
  EXPECT_LE(bytes, 4 * (64 * 16 + 16 * 16 + 2 * 65 * 16) + 256);
  json equations = kernel(all, "recurrence")["equations"];
  EXPECT_TRUE(std::all_of(equations.begin(), equations.end(),
                          [](const json &equation) { return equation["line"] <= 7; }));
}

// What one softmax weighs is one kernel, which names all equations that are in it.
TEST_F(Explain, sumsOfOneSoftmaxAreOneKernel) {
  writeFile(folder / "sums.qkv", R"(size T = dynamic(max: 64)
index i < T, j < T, d < 8, e < 16, f < 4
model sums(q[i,d], k[j,d], v[j,e], w[j,f]) -> (a[i,e], b[i,f], l[i]) {
  s[i,j] = sum[d](q[i,d] * k[j,d])
  x[i,j] = softmax[j](s[i,j])
  a[i,e] = sum[j](x[i,j] * v[j,e])
  b[i,f] = sum[j](x[i,j] * w[j,f])
  l[i]   = logsumexp[j](s[i,j])
}
)");
  Ran ran = qkv("explain sums.qkv --json --size T=64");
  ASSERT_EQ(ran.code, 0) << ran.err;
  json all = json::parse(ran.out);
  EXPECT_EQ(all["kernels"].size(), 1) << all.dump(2);
  std::map<std::string, int> lines;
  json attention = kernel(all, "attention");
  for (const json &equation : attention["equations"])
    lines[equation["name"]] = equation["line"];
  EXPECT_EQ(lines, (std::map<std::string, int>{{"s", 4}, {"x", 5}, {"a", 6}, {"b", 7}, {"l", 8}}));
}

// What the form that was not taken would cost: all pairs, and scores in memory.
TEST_F(Explain, attentionNamesTheAlternative) {
  writeFile(folder / "causal.qkv", R"(size T = dynamic(max: 4096)
index i < T, j < T, d < 64, e < 64
model causal(q[i,d], k[j,d], v[j,e]) -> c[i,e] {
  c[i,e] = sum[j](softmax[j](sum[d](q[i,d] * k[j,d]) where j <= i) * v[j,e])
}
)");
  Ran ran = qkv("explain causal.qkv --json --size T=1024");
  ASSERT_EQ(ran.code, 0) << ran.err;
  json attention = kernel(json::parse(ran.out), "attention");
  ASSERT_EQ(attention["alternatives"].size(), 1) << attention.dump(2);
  const json &other = attention["alternatives"][0];
  double share = attention["flops"].get<double>() / other["flops"].get<double>();
  EXPECT_NEAR(share, 0.5, 0.01);
  EXPECT_EQ(other["bytes"].get<int64_t>() - attention["bytes"].get<int64_t>(),
            int64_t(1024) * 1024 * 5 * 4);
  EXPECT_NE(qkv("explain causal.qkv --size T=1024").out.find("instead of blocks of rows"),
            std::string::npos);
}

// Weights that are no softmax: one kernel of the weight, what it weighs and its sum; of a guard
// only its share of the pairs; weights that are a result, and keys that are better multiplied
// first, are left alone.
TEST_F(Explain, plainWeightsAreAttention) {
  writeFile(folder / "plain.qkv", R"(size T = dynamic(max: 4096)
index i < T, j < T, d < 64, e < 64
model retention(q[i,d], k[j,d], v[j,e]) -> c[i,e] {
  w[i,j] = 0.97 ^ (i - j) * sum[d](q[i,d] * k[j,d])
  n[i]   = sum[j](w[i,j] where j <= i)
  c[i,e] = sum[j](w[i,j] * v[j,e] where j <= i) / max(abs(n[i]), 1)
}
model result(q[i,d], k[j,d], v[j,e]) -> (c[i,e], w[i,j]) {
  w[i,j] = sigmoid(sum[d](q[i,d] * k[j,d]))
  c[i,e] = sum[j](w[i,j] * v[j,e])
}
model bare(q[i,d], k[j,d], v[j,e]) -> c[i,e] {
  c[i,e] = sum[j](sum[d](q[i,d] * k[j,d]) * v[j,e])
}
)");
  Ran ran = qkv("explain plain.qkv --json --model retention --size T=1024");
  ASSERT_EQ(ran.code, 0) << ran.err;
  json attention = kernel(json::parse(ran.out), "attention");
  std::set<std::string> names;
  for (const json &equation : attention["equations"])
    names.insert(equation["name"]);
  EXPECT_EQ(names, (std::set<std::string>{"w", "n", "c"}));
  EXPECT_NE(attention["why"].get<std::string>().find("weighted sums with the same weights"),
            std::string::npos);
  double share = attention["flops"].get<double>() / (1024. * 1024 * (2 * 64 + 2 * 64 + 4));
  EXPECT_NEAR(share, 0.5, 0.05);
  for (const char *model : {"result", "bare"}) {
    ran = qkv(std::string("explain plain.qkv --json --size T=1024 --model ") + model);
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.out.find("\"attention\""), std::string::npos) << ran.out;
  }
}

// Why a softmax is not fused.
TEST_F(Explain, whatIsNotFusedSaysWhy) {
  writeFile(folder / "rest.qkv", R"(size T = dynamic(max: 64)
index i < T, j < T, d < 8, e < 16, h < 2, g < 2, m < 8
model mixed(q[h,i,d], k[h,j,d], v[h,j,e]) -> c[g,i,e] {
  param M[g,h] = "M"
  w[h,i,j] = softmax[j](sum[d](q[h,i,d] * k[h,j,d]))
  x[g,i,j] = sum[h](M[g,h] * w[h,i,j])
  c[g,i,e] = sum[j](x[g,i,j] * v[g,j,e])
}
model squared(q[i,d], k[j,d], v[j,e]) -> c[i,e] {
  w[i,j] = softmax[j](sum[d](q[i,d] * k[j,d]))
  c[i,e] = sum[j](w[i,j] ^ 2 * v[j,e])
}
model edges(q[i,d], k[j,d], v[i,j,e]) -> c[i,e] {
  w[i,j] = softmax[j](sum[d](q[i,d] * k[j,d]))
  c[i,e] = sum[j](w[i,j] * v[i,j,e])
}
model steps(k[j,d], v[j,d]) -> c[i,d] {
  c[-1,d] = 1
  w[i,j] = softmax[j](sum[d](c[i-1,d] * k[j,d]))
  c[i,d] = sum[j](w[i,j] * v[j,d])
}
model few(q[i,d], k[m,d], v[m,e]) -> c[i,e] {
  w[i,m] = softmax[m](sum[d](q[i,d] * k[m,d]))
  c[i,e] = sum[m](w[i,m] * v[m,e])
}
model result(q[i,d], k[j,d], v[j,e]) -> (c[i,e], w[i,j]) {
  w[i,j] = softmax[j](sum[d](q[i,d] * k[j,d]))
  c[i,e] = sum[j](w[i,j] * v[j,e])
}
)");
  for (auto [model, why] : std::initializer_list<std::pair<const char *, const char *>>{
           {"mixed", "not fused: the sum is not over the softmax's letters; by blocks of 64 rows"},
           {"squared", "not fused: the weights are reduced over their keys themselves"},
           {"edges", "not fused: each row has values of its own; by blocks of 64 rows"},
           {"steps", "not fused: the softmax is inside a recurrence"},
           {"few", "not fused: there are few keys: 8 of m"},
           {"result", "not fused: the weights are a result"}}) {
    Ran ran = qkv(std::string("explain rest.qkv --json --size T=64 --model ") + model);
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_NE(ran.out.find(why), std::string::npos) << model << "\n" << ran.out;
  }
}

TEST_F(Explain, textNamesKernelsAndBuffers) {
  Ran ran = qkv("explain walk.qkv --size T=64 --peak 100 --bandwidth 10");
  EXPECT_EQ(ran.code, 0) << ran.err;
  for (const char *part : {"model walk, T=64", "100 GFLOP/s", "10.0 GB/s", "recurrence", "line 7",
                           "at least", "buffers:"})
    EXPECT_NE(ran.out.find(part), std::string::npos) << part << " in\n" << ran.out;
}

TEST_F(Explain, misuse) {
  EXPECT_EQ(qkv("explain walk.qkv --size X=7").code, 2);
  EXPECT_EQ(qkv("explain walk.qkv --size T=65").code, 2);
  EXPECT_EQ(qkv("explain walk.qkv --logits last").code, 2);
  EXPECT_EQ(qkv("bench walk.qkv --size T=seven").code, 2);
}

TEST_F(Explain, dumpsAreExplainedFromTheirStage) {
  ASSERT_EQ(qkv("ir walk.qkv --full --stage fused -o walk.mlir").code, 0);
  Ran ran = qkv("explain walk.mlir --json --size T=7");
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(json::parse(ran.out)["kernels"].size(), explained("--size T=7")["kernels"].size());
}

TEST_F(Explain, benchTimesEveryKernel) {
  Ran ran = qkv("bench walk.qkv --json --size T=64");
  ASSERT_EQ(ran.code, 0) << ran.err;
  json all = json::parse(ran.out);
  double whole = all["seconds"], sum = 0;
  EXPECT_GT(whole, 0);
  EXPECT_GT(all["peak_gflops"].get<double>(), 0);
  EXPECT_GT(all["bandwidth_gbytes"].get<double>(), 0);
  EXPECT_EQ(all["sizes"]["T"], 64);
  for (const json &one : all["kernels"]) {
    EXPECT_TRUE(one["equations"].is_array());
    sum += one["seconds"].get<double>();
  }
  EXPECT_GT(sum, 0);
  EXPECT_GT(kernel(all, "recurrence")["of_bound"].get<double>(), 0);
  ran = qkv("bench walk.qkv --size T=64");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("the whole"), std::string::npos) << ran.out;
}

// The result of a last position is made apart from the others; a run of it, too, frees all once.
TEST_F(Explain, benchOfALastPosition) {
  writeFile(folder / "next.qkv", R"(size T = stream(max: 64)
index t < T, c < 512, v < 512
model next(tokens[t] : token) -> logits[t,v] {
  param E[v,c] = "E"
  logits[t,v] = sum[c](E[v,c] * tanh(E[tokens[t],c]))
}
)");
  Ran ran = qkv("bench next.qkv --json --size T=16 --logits last");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.err.find("error"), std::string::npos) << ran.err;
  EXPECT_GT(json::parse(ran.out)["seconds"].get<double>(), 0);
}

} // namespace
