// What is read as what: a test for each grammar rule, with a result that would differ without it.
#include "Support.h"

#include <gtest/gtest.h>

namespace qkv::test {
namespace {

TEST(G1StatementEnds, LineSemicolonBrace) {
  EXPECT_EQ(treeOf("x = 1\ny = 2; z = 3\n"), "x = 1\ny = 2\nz = 3\n");
  EXPECT_EQ(treeOf("fn f(x) -> y { y = x }\n"), "fn f(x) -> (y) { y = x; }\n");
  EXPECT_EQ(treeOf("fn f(x) -> y {\n\n  y = x;;\n\n}"), "fn f(x) -> (y) { y = x; }\n");
  EXPECT_EQ(treeOf("x = 1\r\ny = 2\r\n"), "x = 1\ny = 2\n");
  EXPECT_EQ(treeOf("\xEF\xBB\xBFx = 1"), "x = 1\n");
  EXPECT_EQ(treeOf(""), "");
}

TEST(G1StatementEnds, OpenBracketsGoOn) {
  EXPECT_EQ(treeOf("x = f(a\n, b\n)\ny = 2"), "x = f(a, b)\ny = 2\n");
  EXPECT_EQ(treeOf("x = a[\ni,\nj]"), "x = a[i, j]\n");
  EXPECT_EQ(treeOf("x = (a\n)"), "x = a\n");
}

TEST(G1StatementEnds, LineEndsThatGoOn) {
  for (const char *op : {"+", "-", "*", "/", "//", "%", "^", "and", "or", "==", "<", ">=", "·"})
    EXPECT_EQ(treeOf(std::string("x = a ") + op + "\n  b\n"),
              treeOf(std::string("x = a ") + op + " b\n"))
        << op;
  EXPECT_EQ(treeOf("x =\n  1"), "x = 1\n");
  EXPECT_EQ(treeOf("size A = 1,\n  B = 2"), "size A = 1, B = 2\n");
  EXPECT_EQ(treeOf("x = if\na\nthen\nb\nelse\nc"), "x = (if a then b else c)\n");
  EXPECT_EQ(treeOf("x = not\n  a"), "x = (not a)\n");
  EXPECT_EQ(treeOf("x = f(a) from\n \"p.\""), "x = f(a) from \"p.\"\n");
  EXPECT_EQ(treeOf("fn f(x) ->\n  y { y = x }"), "fn f(x) -> (y) { y = x; }\n");
}

TEST(G1StatementEnds, LineBeginningsThatGoOn) {
  EXPECT_EQ(treeOf("x = a\n  - b\n"), "x = (a - b)\n");
  EXPECT_EQ(treeOf("x = a\n\n  # a comment between\n  and b\n"), "x = (a and b)\n");
  EXPECT_EQ(treeOf("x = if a\n then b\n else c"), "x = (if a then b else c)\n");
  EXPECT_EQ(treeOf("x = f(a)\n  from \"p.\""), "x = f(a) from \"p.\"\n");
  EXPECT_EQ(treeOf("param W = \"w\"\n  else 0"), "param W = \"w\" else 0\n");
  EXPECT_EQ(treeOf("x = sum[j](a\n where b)"), "x = sum[j](a where b)\n");
}

TEST(G2Precedence, Levels) {
  EXPECT_EQ(expr("a + b * c"), "(a + (b * c))");
  EXPECT_EQ(expr("(a + b) * c"), "((a + b) * c)");
  EXPECT_EQ(expr("a - b + c - d"), "(a - b + c - d)");
  EXPECT_EQ(expr("(a - b) + c"), "((a - b) + c)");
  EXPECT_EQ(expr("a / b * c // d % e"), "(a / b * c // d % e)");
  EXPECT_EQ(expr("a or b and not c == d + e"), "(a or (b and (not (?c == (d + e)))))");
  EXPECT_EQ(expr("not a and b"), "((not a) and b)");
  EXPECT_EQ(expr("not not a"), "(not (not a))");
  EXPECT_EQ(expr("2 * -x + 1"), "((2 * (- x)) + 1)");
  EXPECT_EQ(expr("-x * y"), "((- x) * y)");
}

TEST(G2Precedence, Power) {
  EXPECT_EQ(expr("-x^2"), "(- (x ^ 2))");
  EXPECT_EQ(expr("a^b^c"), "(a ^ (b ^ c))");
  EXPECT_EQ(expr("2^-x^2"), "(2 ^ (- (x ^ 2)))");
  EXPECT_EQ(expr("a * b^2 * c"), "(a * (b ^ 2) * c)");
  EXPECT_EQ(expr("f(x)[i]^2"), "(f(x)[i] ^ 2)");
}

TEST(P5, AnIndexOfSeveralLetters) {
  EXPECT_EQ(expr("o[i,(h,d)]"), "o[i, merged(h, d)]");
  EXPECT_EQ(expr("o[i,(i + (j)) * 2,f(a, b),x[(a,b,c)]]"),
            "o[i, ((i + j) * 2), f(a, b), x[merged(a, b, c)]]");
}

TEST(G2Precedence, If) {
  EXPECT_EQ(expr("if a then b else c + d"), "(if a then b else (c + d))");
  EXPECT_EQ(expr("a * if c then x else y + 1"), "(a * (if c then x else (y + 1)))");
  EXPECT_EQ(expr("a or if c then x else y or z"), "(a or (if c then x else (y or z)))");
  EXPECT_EQ(expr("if a then if b then c else d else e"), "(if a then (if b then c else d) else e)");
  EXPECT_EQ(expr("-if c then x else y"), "(- (if c then x else y))");
  EXPECT_EQ(expr("sum[j](if a then b else c where d)"), "sum[j]((if a then b else c) where d)");
}

TEST(G2Precedence, Root) {
  EXPECT_EQ(expr("√x^2"), "(sqrt(x) ^ 2)");
  EXPECT_EQ(expr("√x[i] * y"), "(sqrt(x[i]) * y)");
  EXPECT_EQ(expr("√2 + √(a + b)"), "(sqrt(2) + sqrt((a + b)))");
}

TEST(G3Comparisons, Chain) {
  EXPECT_EQ(expr("0 <= i - j < W"), "(?0 <= (i - j) < W)");
  EXPECT_EQ(expr("a == b != c > d >= e"), "(?a == b != c > d >= e)");
  EXPECT_EQ(expr("(a < b) < c"), "(?(?a < b) < c)");
}

TEST(G4Where, EndsAReduction) {
  EXPECT_EQ(expr("softmax[j](s[i,j] where j <= i and a or b)"),
            "softmax[j](s[i, j] where (((?j <= i) and a) or b))");
  EXPECT_EQ(expr("sum[g, d](a)"), "sum[g, d](a)");
}

TEST(G5Lists, Declarations) {
  EXPECT_EQ(treeOf("size C = config(\"hidden_size\", 768), H = 12, D = C / H"),
            "size C = config(\"hidden_size\", 768), H = 12, D = (C / H)\n");
  EXPECT_EQ(treeOf("const a = 1e-5, b = config(\"x.y\")"),
            "const a = 1e-05f, b = config(\"x.y\")\n");
  EXPECT_EQ(treeOf("index h < H, i < T"), "index h < H, i < T\n");
  EXPECT_EQ(treeOf("param W[o,c] = \"w\" else wte, b[o] = \"b\" else 0, s = \"s\" else -0.5"),
            "param W[o, c] = \"w\" else wte, b[o] = \"b\" else 0, s = \"s\" else -0.5f\n");
  EXPECT_EQ(treeOf("size S = dynamic(max: 512); size T = stream(max: 2 * 1024)"),
            "size S = dynamic(max: 512)\nsize T = stream(max: (2 * 1024))\n");
  EXPECT_EQ(treeOf("size S = dynamic(min: 3, max: 64)"), "size S = dynamic(max: 64, min: 3)\n");
  EXPECT_EQ(treeOf("size S = dynamic(max: 64, min: 2 + 1)"),
            "size S = dynamic(max: 64, min: (2 + 1))\n");
}

TEST(G6From, BelongsToTheCall) {
  EXPECT_EQ(expr("f(x) from \"a.\" + g(y)[o] from \"b.\""),
            "(f(x) from \"a.\" + g(y)[o] from \"b.\")");
  EXPECT_EQ(expr("f(g(x) from \"in.\", W: 1) from \"out.{l}.\""),
            "f(g(x) from \"in.\", W: 1) from \"out.{l}.\"");
}

TEST(C5Formats, ParamsKeysAndPrefixes) {
  EXPECT_EQ(
      treeOf("param W[h,d] = \"q\" | gguf \"a.q\"[h, 2 * d + 1], b = \"b\"[(h,d)] - 1 else 0"),
      "param W[h, d] = \"q\" | gguf \"a.q\"[h, ((2 * d) + 1)], "
      "b = (\"b\"[merged(h, d)] - 1) else 0\n");
  EXPECT_EQ(treeOf("param A = -exp(\"A_log\") | gguf -\"a\" * if c then 1 else 2 else A"),
            "param A = (- exp(\"A_log\")) | gguf ((- \"a\") * (if c then 1 else 2)) else A\n");
  EXPECT_EQ(treeOf("param A = \"a\"\n    | gguf \"b\" |\n  gguf \"c\""),
            "param A = \"a\" | gguf \"b\" | gguf \"c\"\n");
  EXPECT_EQ(treeOf("size C = config(\"a\" | gguf \".b\", 7) + config(\"l\").length"),
            "size C = (config(\"a\" | gguf \".b\", 7) + config(\"l\").length)\n");
  EXPECT_EQ(expr("f(x) from \"a.{l}.\" | gguf \"b.{l}.\" + g(y) from \"c\" | gguf \"\""),
            "(f(x) from \"a.{l}.\" | gguf \"b.{l}.\" + g(y) from \"c\" | gguf \"\")");
}

TEST(C2Texts, AreCompared) {
  EXPECT_EQ(expr("config(\"a\", \"none\") == \"yarn\" and b != \"\""),
            "((?config(\"a\", \"none\") == \"yarn\") and (?b != \"\"))");
  EXPECT_EQ(expr("f(x, kind: \"a\")"), "f(x, kind: \"a\")");
}

TEST(G7Reserved, MaxIsBoth) {
  EXPECT_EQ(expr("max[j](x[j]) + max(a, b, c)"), "(max[j](x[j]) + max(a, b, c))");
  EXPECT_EQ(expr("min(a, b) + min[j](x[j])"), "(min(a, b) + min[j](x[j]))");
  EXPECT_EQ(expr("argmin[j](x[j]) + rank[j](x[j] where j < 3)"),
            "(argmin[j](x[j]) + rank[j](x[j] where (?j < 3)))");
  EXPECT_EQ(expr("log1p(expm1(x)) - -inf"), "(log1p(expm1(x)) - (- inff))");
  EXPECT_EQ(expr("extent(d) + int + float + silu(x)"), "(extent(d) + int + float + silu(x))");
  EXPECT_EQ(expr("f(x, act: tanh)"), "f(x, act: tanh)");
  EXPECT_EQ(expr("f(x, act: tanh(y))"), "f(x, act: tanh(y))");
}

TEST(G8Signs, SpellWhatTheyMean) {
  EXPECT_EQ(expr("∑[j](a · b) × Σ[i](c) − ∏[k](d)"),
            "((sum[j]((a * b)) * sum[i](c)) - prod[k](d))");
  EXPECT_EQ(expr("a ≤ b ≥ c ≠ d"), "(?a <= b >= c != d)");
  EXPECT_EQ(expr("αΣ[j](β)").find("α Σ"), std::string::npos); // the sign ends a name
  EXPECT_EQ(expr("π + Πx + größe"), "(π + Πx + größe)");
}

TEST(G8Signs, NamesAreNfc) {
  EXPECT_EQ(treeOf("e\u0301 = \u00E9"), "\u00E9 = \u00E9\n");
  EXPECT_EQ(treeOf("\u2126 = 1"), "\u03A9 = 1\n"); // the ohm sign is an omega
}

TEST(G9Nesting, FlatChains) {
  std::string text = "a[i]";
  for (int i = 1; i < 100000; ++i)
    text += i % 2 ? " + a[i]" : " - b * c";
  Parsed parsed("x = " + text);
  ASSERT_TRUE(parsed.diagnostics.all().empty());
  EXPECT_EQ(parsed.file.statements.at(0).value->children.size(), 100000u);
  EXPECT_EQ(parsed.file.statements.at(0).value->ops.at(1), "-");
}

TEST(G10Tokens, NumbersNamesComments) {
  EXPECT_EQ(expr("12 + 0.5 + 1e-5 + 2E3 # the rest # is not read"), "(12 + 0.5f + 1e-05f + 2000f)");
  EXPECT_EQ(expr("9223372036854775807"), "9223372036854775807");
  EXPECT_EQ(expr("_a1 + b_ + true"), "(_a1 + b_ + true)");
  EXPECT_EQ(treeOf("_, w = f(x)"), "_, w = f(x)\n");
  EXPECT_EQ(treeOf("param W = \"a # b\""), "param W = \"a # b\"\n");
}

TEST(Statements, Equations) {
  EXPECT_EQ(treeOf("h[t], c[t-1] = cell(x[t], h[t-1])"),
            "h[t], c[(t - 1)] = cell(x[t], h[(t - 1)])\n");
  EXPECT_EQ(treeOf("h[-1,o] = 0"), "h[(- 1), o] = 0\n");
  EXPECT_EQ(treeOf("repeat l < L { repeat m < 2 { x = f(x) } }"),
            "repeat l < L { repeat m < 2 { x = f(x); }; }\n");
}

TEST(Statements, Definitions) {
  EXPECT_EQ(treeOf("use nn\nblock d(src[j,e], x, fn align, size W, size V = 4, const e2 = -1e-5) "
                   "-> (y[i,c], w) {}"),
            "use nn\nblock d(src[j, e], x, fn align, size W, size V = 4, const e2 = (- 1e-05f)) "
            "-> (y[i, c], w) { }\n");
  EXPECT_EQ(treeOf("model m(tokens[i] : token, b : bool) -> logits[i,v] { logits = b }"),
            "model m(tokens[i] : token, b : bool) -> (logits[i, v]) { logits = b; }\n");
  EXPECT_EQ(treeOf("fn f() -> y { y = 1 }"), "fn f() -> (y) { y = 1; }\n");
}

TEST(Spans, HoldTheTextOfANode) {
  Parsed parsed("x = a + (b - c) * f(d)[i] from \"p.\"");
  const ast::Expr &sum = *parsed.file.statements.at(0).value;
  auto text = [&](Span s) { return parsed.source->text().substr(s.begin, s.end - s.begin); };
  EXPECT_EQ(text(parsed.file.statements[0].span), parsed.source->text());
  EXPECT_EQ(text(sum.span), "a + (b - c) * f(d)[i] from \"p.\"");
  EXPECT_EQ(text(sum.opSpans.at(0)), "+");
  EXPECT_EQ(text(sum.children[1]->children[0]->span), "(b - c)");
  EXPECT_EQ(text(sum.children[1]->children[1]->span), "f(d)[i] from \"p.\"");
  EXPECT_EQ(text(sum.children[1]->children[1]->name.span), "f");
}

} // namespace
} // namespace qkv::test
