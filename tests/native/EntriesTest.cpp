// A module written by hand, without the passes: its entries compute what its description says.
#include "compiler/native/Entries.h"
#include "compiler/Compilation.h"
#include "compiler/native/Jit.h"

#include <gtest/gtest.h>

using namespace qkv;

namespace {

// y = x + w as far as y's first axis goes; n (rank 0) is what it was told of y's shape. w comes in
// the table of parameters.
const char *const moduleText = R"(
module attributes {qkv.stage = "llvm", qkv.description = DESCRIPTION} {
  llvm.func @qkv_check_failed(!llvm.ptr, i32, i64, i64)
  llvm.func @_mlir_ciface_add(%context: !llvm.ptr, %t: i64, %x: !llvm.ptr, %w: !llvm.ptr,
                              %y: !llvm.ptr, %n: !llvm.ptr) {
    %c0 = llvm.mlir.constant(0 : i64) : i64
    %c1 = llvm.mlir.constant(1 : i64) : i64
    %site = llvm.mlir.constant(0 : i32) : i32
    %c5 = llvm.mlir.constant(5 : i64) : i64
    %xs = llvm.load %x : !llvm.ptr -> !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
    %ys = llvm.load %y : !llvm.ptr -> !llvm.struct<(ptr, ptr, i64, array<2 x i64>, array<2 x i64>)>
    %ns = llvm.load %n : !llvm.ptr -> !llvm.struct<(ptr, ptr, i64)>
    %xd = llvm.extractvalue %xs[1] : !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
    %wd = llvm.load %w : !llvm.ptr -> !llvm.ptr
    %yd = llvm.extractvalue %ys[1] : !llvm.struct<(ptr, ptr, i64, array<2 x i64>, array<2 x i64>)>
    %rows = llvm.extractvalue %ys[3, 0] : !llvm.struct<(ptr, ptr, i64, array<2 x i64>, array<2 x i64>)>
    %cols = llvm.extractvalue %ys[3, 1] : !llvm.struct<(ptr, ptr, i64, array<2 x i64>, array<2 x i64>)>
    %stride = llvm.extractvalue %ys[4, 0] : !llvm.struct<(ptr, ptr, i64, array<2 x i64>, array<2 x i64>)>
    %nd = llvm.extractvalue %ns[1] : !llvm.struct<(ptr, ptr, i64)>
    %sum = llvm.add %rows, %cols : i64
    %sum2 = llvm.add %sum, %stride : i64
    llvm.store %sum2, %nd : i64, !llvm.ptr
    %wv = llvm.load %wd : !llvm.ptr -> f32
    llvm.br ^head(%c0 : i64)
  ^head(%i: i64):
    %more = llvm.icmp "slt" %i, %rows : i64
    llvm.cond_br %more, ^body, ^done
  ^body:
    %xp = llvm.getelementptr %xd[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %xv = llvm.load %xp : !llvm.ptr -> f32
    %v = llvm.fadd %xv, %wv : f32
    %yp = llvm.getelementptr %yd[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    llvm.store %v, %yp : f32, !llvm.ptr
    %next = llvm.add %i, %c1 : i64
    llvm.br ^head(%next : i64)
  ^done:
    %tooMany = llvm.icmp "sgt" %t, %c5 : i64
    llvm.cond_br %tooMany, ^fail, ^end
  ^fail:
    llvm.call @qkv_check_failed(%context, %site, %t, %c5) : (!llvm.ptr, i32, i64, i64) -> ()
    llvm.br ^end
  ^end:
    llvm.return
  }
}
)";

Description addDescription() {
  Description d;
  d.name = "add";
  d.file = "add.qkv";
  d.sizes = {{"T", 8, false}};
  d.inputs = {{"x", QKV_FLOAT, false, {{"i", "s0", 0}}}};
  d.results = {{"y", QKV_FLOAT, false, {{"i", "s0", 0}, {"u", "s0 1 + 2 /", -1}}},
               {"n", QKV_INT, false, {}}};
  Description::Param w;
  w.name = "w";
  w.shape = {1, 1};
  w.stored = {{"", {"w"}, {}, "", ""}};
  d.params = {w};
  d.sites = {{"add.qkv", 3, 7, 2, "index of x along i", 0}};
  d.add(QKV_WHOLE);
  return d;
}

std::string textOf(const Description &d, std::string text = moduleText) {
  std::string json = d.json(), quoted = "\"";
  for (char c : json)
    quoted += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  text.replace(text.find("DESCRIPTION"), 11, quoted + "\"");
  return text;
}

struct Entries : testing::Test {
  std::unique_ptr<JitModel> model;
  std::string error;
  std::vector<float> x{1, 2, 3, 4, 5, 6}, w{0.5}, y = std::vector<float>(64, -1);
  int64_t n = 0;

  void make(const Description &d) {
    auto compilation = Compilation::parse(textOf(d), "add.mlir", std::nullopt, "native", error);
    ASSERT_TRUE(compilation) << error;
    EXPECT_EQ(compilation->stage(), Stage::Llvm);
    auto native = compilation->native(error);
    ASSERT_TRUE(native) << error;
    model = JitModel::create(std::move(native), "native", error);
  }
  /// Calls the entry itself: nothing in these runs fails a check.
  void run(int64_t t, void *toY, void *toN) {
    qkv_context context{&model->model(), nullptr};
    void *inputs[] = {x.data()}, *params[] = {w.data()}, *results[] = {toY, toN};
    model->model().entries[0].function(&context, &t, inputs, params, results);
  }
};

TEST_F(Entries, handOverShapesAndPointers) {
  make(addDescription());
  ASSERT_TRUE(model) << error;
  run(5, y.data(), &n);
  EXPECT_EQ(y[0], 1.5f);
  EXPECT_EQ(y[4], 5.5f);
  EXPECT_EQ(y[5], -1);
  // rows 5, columns (5 + 1) / 2, stride of the rows 3
  EXPECT_EQ(n, 5 + 3 + 3);
}

TEST_F(Entries, resultsThatAreNotWantedGoNowhere) {
  make(addDescription());
  ASSERT_TRUE(model) << error;
  run(3, nullptr, &n);
  EXPECT_EQ(n, 3 + 2 + 2);
  run(3, y.data(), nullptr);
  EXPECT_EQ(y[2], 3.5f);
}

// Code of one run has what that run calls: some of its entries, and the functions that they reach.
TEST_F(Entries, ofOneUseAreKeptAlone) {
  Description d = addDescription();
  d.name = "g";
  d.entries.clear();
  d.add(QKV_WHOLE);
  d.add(QKV_LAST);
  using Kinds = std::vector<qkv_entry_kind>;
  for (const Kinds &kinds : {Kinds{QKV_WHOLE, QKV_LAST}, Kinds{QKV_LAST, QKV_LAST_BATCH},
                             Kinds{QKV_WHOLE, QKV_BATCH}, Kinds{QKV_BATCH}}) {
    auto compilation = Compilation::parse(textOf(d, R"(
module attributes {qkv.stage = "graph", qkv.description = DESCRIPTION} {
  func.func @g() attributes {qkv.entry} {
    call @g.all() : () -> ()
    return
  }
  func.func private @g.all() { return }
  func.func @g.last() attributes {qkv.entry} {
    call @g.one() : () -> ()
    return
  }
  func.func private @g.one() { return }
})"),
                                          "g.mlir", std::nullopt, "native", error);
    ASSERT_TRUE(compilation) << error;
    ASSERT_TRUE(compilation->keepEntries(kinds, error)) << error;
    std::string text = compilation->text();
    auto has = [&](const char *name) { return text.find(name) != std::string::npos; };
    // Of entries that the model does not have all stay.
    bool none = kinds == Kinds{QKV_BATCH};
    bool whole = none || kinds[0] == QKV_WHOLE,
         last = none || kinds[0] == QKV_LAST || kinds[1] == QKV_LAST;
    EXPECT_EQ(has("@g()"), whole);
    EXPECT_EQ(has("@g.all()"), whole);
    EXPECT_EQ(has("@g.last()"), last);
    EXPECT_EQ(has("@g.one()"), last);
    Description kept;
    ASSERT_TRUE(compilation->description(kept, error)) << error;
    EXPECT_EQ(kept.entry(QKV_WHOLE) != nullptr, whole);
    EXPECT_EQ(kept.entry(QKV_LAST) != nullptr, last);
    EXPECT_EQ(kept.entries.size(), whole && last ? 2u : 1u);
  }
}

TEST_F(Entries, mustBeWhatTheDescriptionSays) {
  Description other = addDescription();
  other.results.pop_back();
  other.entries.clear();
  other.add(QKV_WHOLE);
  make(other);
  EXPECT_FALSE(model);
  EXPECT_NE(error.find("6 arguments"), std::string::npos) << error;
  other = addDescription();
  other.name = "sub";
  other.entries.clear();
  other.add(QKV_WHOLE);
  make(other);
  EXPECT_FALSE(model);
  EXPECT_NE(error.find("no entry sub"), std::string::npos) << error;
}

} // namespace
