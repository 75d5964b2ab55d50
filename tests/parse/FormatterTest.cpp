// One style: what changes, what stays, and that formatting twice is formatting once.
#include "Support.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

namespace qkv::test {
namespace {

std::string read(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void keepsItsMeaning(const std::string &text, const std::string &name) {
  Parsed before(text);
  ASSERT_FALSE(before.diagnostics.hasErrors()) << name << '\n' << before.rendered();
  std::string once = formatted(text);
  EXPECT_EQ(treeOf(once), tree(before.file)) << name;
  EXPECT_EQ(formatted(once), once) << name;
}

TEST(Formatter, SnippetsOfTheReferenceStay) {
  for (const char *name : {"attention", "everything"}) {
    std::string text = read(std::filesystem::path(QKV_ROOT) / "tests/parse/snippets" /
                            (name + std::string(".qkv")));
    ASSERT_FALSE(text.empty());
    EXPECT_EQ(formatted(text), text) << name;
  }
}

TEST(Formatter, FilesOfTheProjectKeepTheirMeaning) {
  int files = 0;
  for (const char *folder : {"tests/parse/snippets", "dsl/std", "examples"})
    for (const auto &entry :
         std::filesystem::recursive_directory_iterator(std::filesystem::path(QKV_ROOT) / folder))
      if (entry.path().extension() == ".qkv")
        keepsItsMeaning(read(entry.path()), entry.path()), ++files;
  EXPECT_GE(files, 3);
}

TEST(Formatter, Spaces) {
  EXPECT_EQ(formatted("x=a+b*-c//d<=e and not f"), "x = a + b * -c // d <= e and not f\n");
  EXPECT_EQ(formatted("x  =  f( a ,b ,W :1 ) [ i ]from\"p\""), "x = f(a, b, W: 1)[i] from \"p\"\n");
  EXPECT_EQ(formatted("x=a^2+b^(c+d)+e^-1"), "x = a^2 + b ^ (c + d) + e ^ -1\n");
  EXPECT_EQ(formatted("fn f( x [i] :token,size W=4 )->( y,z ){y=x;z=x}"),
            "fn f(x[i] : token, size W = 4) -> (y, z) { y = x; z = x }\n");
  EXPECT_EQ(formatted("size S=dynamic( max :4 )"), "size S = dynamic(max: 4)\n");
  EXPECT_EQ(formatted("size S=dynamic( min:3,max :4 )"), "size S = dynamic(min: 3, max: 4)\n");
  EXPECT_EQ(formatted("x[i]=rank [ j ](min( - inf,y^inf ) )*inf"),
            "x[i] = rank[j](min(-inf, y^inf)) * inf\n");
  EXPECT_EQ(formatted("x=∑ [j] (a·b)−√ c"), "x = ∑[j](a · b) − √c\n");
}

TEST(Formatter, Formats) {
  EXPECT_EQ(
      formatted("param W[h,d]=\"q\"|gguf\"a\" [h,2*(d%K)+d//K,c],b=- exp(\"b\")|gguf - exp( \"b\" )"
                "|gguf(\"b\")-1 else 0"),
      "param W[h,d] = \"q\" | gguf \"a\"[h, 2*(d%K) + d//K, c], b = -exp(\"b\") | gguf "
      "-exp(\"b\") | gguf (\"b\") - 1 else 0\n");
  EXPECT_EQ(formatted("x=f(x)from\"a\"|gguf\"b\"; size C=config( \"a\"|gguf \"b\",3 ) .length"),
            "x = f(x) from \"a\" | gguf \"b\"; size C = config(\"a\" | gguf \"b\", 3).length\n");
}

TEST(Formatter, Indices) {
  EXPECT_EQ(formatted("x[i , c] = y[2 * i+r,c] + z[t - 1, i * W] + w[ - 1, o]"),
            "x[i,c] = y[2*i + r, c] + z[t-1,i*W] + w[-1,o]\n");
  EXPECT_EQ(formatted("s = h[extent( j )-1,o] + h[t+r-R+1]"),
            "s = h[extent(j) - 1, o] + h[t + r - R + 1]\n");
  EXPECT_EQ(formatted("s = w[tokens[i], c] + f(a,b[i, j])"), "s = w[tokens[i],c] + f(a, b[i,j])\n");
  EXPECT_EQ(formatted("o[i, ( h,d )] = y[2*n+1,( h , d)]"), "o[i,(h,d)] = y[2*n + 1, (h,d)]\n");
}

TEST(Formatter, IndentsAndLines) {
  EXPECT_EQ(
      formatted("fn f(x) -> y {\n\n\n# one\ny = x +\n1 # two\n\n\n\n  z = f(\na,\nb\n)\n"
                "repeat l < 2 {\nz = y\n}\n\n}\n\n\n"),
      "fn f(x) -> y {\n  # one\n  y = x +\n      1  # two\n\n  z = f(\n      a,\n      b\n  )\n"
      "  repeat l < 2 {\n    z = y\n  }\n}\n");
  EXPECT_EQ(formatted("x = 1;\n;\ny = 2;;z = 3\r\n"), "x = 1\n\ny = 2; z = 3\n");
  EXPECT_EQ(formatted("\xEF\xBB\xBF\n\n# only a comment  "), "# only a comment\n");
  EXPECT_EQ(formatted(""), "");
}

TEST(Formatter, AlignmentStaysWhereItWas) {
  EXPECT_EQ(formatted("a      = 1\nbcd    = 2\n\ne = 3\nfgh = 4\n"),
            "a   = 1\nbcd = 2\n\ne = 3\nfgh = 4\n");
  EXPECT_EQ(formatted("a   = 1 +\n  2\nbcd = 2\n"), "a   = 1 +\n    2\nbcd = 2\n");
  EXPECT_EQ(formatted("a = 1      # x\nbcd = 2    # y\ne = 3 # z\n"),
            "a = 1    # x\nbcd = 2  # y\ne = 3  # z\n");
}

TEST(Formatter, WrongFilesAreLeftAlone) {
  EXPECT_NE(formatted("x = = 1").find("error"), std::string::npos);
}

} // namespace
} // namespace qkv::test
