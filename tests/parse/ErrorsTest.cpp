// What is said about what cannot be read: place, rule, sentence, hint; and that reading goes on.
#include "Support.h"

#include <gtest/gtest.h>

namespace qkv::test {
namespace {

TEST(G1Errors, BracketsThatStayOpen) {
  EXPECT_EQ(errors("x = (a\ny = b\nz = = c\n"),
            "1:7 [G1] expected ')' to close the '(' of line 1, found the end of the line\n"
            "3:5 [G2] '=' defines; '==' compares\n");
  EXPECT_EQ(errors("x = f(a,\n  b\nfn f(x) -> y { y = x }\nz = )\n"),
            "2:4 [G1] expected ')' to close the '(' of line 1, found the end of the line\n"
            "4:5 [G2] expected an expression after '=', found ')'\n");
  EXPECT_EQ(errors("x = a[i\n"),
            "1:8 [G1] expected ']' to close the '[' of line 1, found the end of the line\n");
  EXPECT_EQ(errors("x = a)\n"), "1:6 [G1] this ')' closes nothing\n");
}

TEST(G1Errors, Braces) {
  EXPECT_EQ(errors("fn f(x) -> y {\n  y = x\n"),
            "2:8 [] expected '}' to close the '{' of line 1, but the file ends here\n");
  EXPECT_EQ(errors("fn f(x) -> y {\n  y = x\nfn g(x) -> y { y = = x }\n}\n"),
            "3:1 [] expected '}' to close the '{' of line 1: definitions stand outside of each "
            "other\n"
            "3:20 [G2] '=' defines; '==' compares\n");
  EXPECT_EQ(errors("}\n"), "1:1 [] this '}' closes nothing\n");
  EXPECT_EQ(errors("fn f(x) -> y\n{\n  y = = 1\n}\n"),
            "1:13 [] expected '{' after 'y', found the end of the line; hint: put '{' at the end "
            "of this line: a line that could end a statement does\n"
            "3:7 [G2] '=' defines; '==' compares\n");
}

TEST(G1Errors, TwoStatementsOnALine) {
  EXPECT_EQ(errors("x = 2 y\n"),
            "1:7 [G1] expected the end of the statement, found 'y'; hint: a product is written "
            "with '*'\n");
  EXPECT_EQ(errors("repeat l < 2 { x = y } z = 1\n"),
            "1:24 [G1] expected the end of the line after '}', found 'z'; hint: begin a new line, "
            "or write ';' between them\n");
  EXPECT_EQ(errors("x = 1\n// a comment\n"),
            "2:6 [G1] expected the end of the statement, found 'comment'; hint: a comment begins "
            "with '#'; '//' divides and rounds down\n");
}

TEST(G1Errors, ReadingGoesOn) {
  Parsed parsed(
      "x = * 2\ny = 1\nfn f(x) -> y {\n  a = 1 + ;b = 2\n}\nfn g(x) -> y { y = x }\nz = (\n");
  EXPECT_EQ(tree(parsed.file), "y = 1\nfn f(x) -> (y) { b = 2; }\nfn g(x) -> (y) { y = x; }\n");
  EXPECT_EQ(parsed.diagnostics.errorCount(), 3u);
}

TEST(G2Errors, Expressions) {
  EXPECT_EQ(errors("x = a *\n"), "1:8 [G2] expected an expression after '*', found the end of the "
                                 "file\n");
  EXPECT_EQ(errors("x = a * ; y = 1"), "1:9 [G2] expected an expression after '*', found ';'\n");
  EXPECT_EQ(errors("x = a == not b"), "1:10 [G7] 'not' is reserved and is no value\n");
  EXPECT_EQ(errors("x = if a then b\n"),
            "1:16 [G2] expected 'else' after 'b', found the end of the line; hint: an 'if' has "
            "both branches: if ... then ... else 0\n");
  EXPECT_EQ(errors("x = √f(y)"),
            "1:7 [G2] '√' takes one name, access, number or parenthesis, not a call; hint: put "
            "the call in parentheses: √(f(x))\n");
}

TEST(G2Errors, HabitsOfOtherLanguages) {
  EXPECT_EQ(errors("c = a && !b || d\n"), "1:7 [G2] there is no '&&'; hint: write 'and'\n"
                                          "1:10 [G2] there is no '!'; hint: write 'not'\n"
                                          "1:13 [G2] there is no '||'; hint: write 'or'\n");
  EXPECT_EQ(errors("x += 1\n"), "1:3 [E1] there is no '+='; hint: rebind the name: x = x + ...\n");
  EXPECT_EQ(errors("x = a ** b"), "1:7 [G2] there is no '**'; hint: a power is written with '^'\n");
  EXPECT_EQ(errors("x == 1"), "1:3 [G2] '==' compares; a definition is written with '='\n");
  EXPECT_EQ(errors("x = if a = b then 1 else 2"), "1:10 [G2] '=' defines; '==' compares\n");
  EXPECT_EQ(errors("x = f(y, W = 4)"),
            "1:12 [F1] arguments are given by name with ':'; hint: write W: ...\n");
  EXPECT_EQ(errors("f(x)\n"),
            "1:2 [F1] a call stands on the right side of an equation; hint: write y = f(x)\n");
}

TEST(G4Errors, WhereOutsideAReduction) {
  EXPECT_EQ(errors("x[i] = y[i] where i < 3"),
            "1:13 [G4] 'where' stands only at the end of a reduction; hint: write: if ... then "
            "... else 0\n");
  EXPECT_EQ(errors("x = f(y where z)"),
            "1:9 [G4] 'where' stands only at the end of a reduction; hint: write: if ... then ... "
            "else 0\n");
  EXPECT_EQ(errors("x = sum[j](a where b where c)"),
            "1:22 [G4] a reduction has one guard; hint: join the two with 'and'\n");
}

TEST(G5Errors, Lists) {
  EXPECT_EQ(errors("index i, j < T"), "1:8 [G5] expected '<' after 'i', found ','; hint: each "
                                      "letter has its range: index i < T, j < T\n");
  EXPECT_EQ(errors("index i = T"),
            "1:9 [G5] a letter gets its range with '<'; hint: write index i < T\n");
  EXPECT_EQ(errors("param W[o] = wte"),
            "1:14 [] expected a string after '=', found 'wte'; hint: a parameter is named by a "
            "string: param W[o,c] = \"proj.weight\"\n");
  EXPECT_EQ(errors("size S = dynamic(512)"), "1:18 [] expected 'max' after '(', found '512'; hint: "
                                             "write size S = dynamic(max: 512)\n");
}

TEST(G6Errors, FromWithoutACall) {
  EXPECT_EQ(errors("x = y from \"a.\""), "1:7 [G6] 'from' belongs to a call: it follows the "
                                         "call's ')' or the [...] that indexes its result\n");
  EXPECT_NE(errors("x = exp(y) from \"a.\"").find("[G6] 'exp' has no parameters"),
            std::string::npos);
}

TEST(G7Errors, ReservedWords) {
  EXPECT_EQ(errors("sum = 1"), "1:1 [G7] 'sum' is reserved and cannot be a name\n");
  EXPECT_EQ(errors("size const = 1"), "1:6 [G7] 'const' is reserved and cannot be a name\n");
  EXPECT_EQ(errors("fn max(x) -> y { y = x }"),
            "1:4 [G7] 'max' is reserved and cannot be a name\n");
  EXPECT_EQ(errors("inf = 1"), "1:1 [G7] 'inf' is reserved and cannot be a name\n");
  EXPECT_EQ(errors("rank = 1"), "1:1 [G7] 'rank' is reserved and cannot be a name\n");
  EXPECT_EQ(errors("x = log1p"),
            "1:5 [G7] 'log1p' takes its argument in parentheses; hint: write log1p(...)\n");
  EXPECT_EQ(errors("x = param"), "1:5 [G7] 'param' is reserved and is no value\n");
  EXPECT_EQ(errors("x = f(a, size: 3)"), "1:10 [G7] 'size' is reserved and cannot be a name\n");
}

TEST(G7Errors, ReductionsAndFunctions) {
  EXPECT_EQ(errors("x = sum(y)"), "1:5 [G7] 'sum' is a reduction: it needs the letters it runs "
                                  "over; hint: write sum[j](...)\n");
  EXPECT_EQ(errors("x = exp[y]"),
            "1:5 [G7] 'exp' takes its argument in parentheses; hint: write exp(...)\n");
  EXPECT_EQ(errors("x = max(y)"), "1:5 [G7] 'max(' takes two or more arguments; hint: the greatest "
                                  "of a row is max[j](...)\n");
  EXPECT_EQ(errors("x = max + 1"),
            "1:5 [G7] 'max' needs '[' as a reduction or '(' as a function; hint: write "
            "max[j](...) or max(a, b)\n");
}

TEST(G8Errors, CharactersWithoutMeaning) {
  EXPECT_EQ(errors("x = a ⊗ b"), "1:7 [G8] '⊗' (U+2297) has no meaning in the language; hint: a "
                                 "product is written with '*'\n");
  EXPECT_EQ(errors("é = ü $ 3"),
            "1:7 [G8] '$' has no meaning in the language; hint: a name has no sign before it\n");
  EXPECT_EQ(errors("x\u00A0= 1"),
            "1:2 [G8] this U+00A0 is not a plain space; hint: write a plain space\n");
  EXPECT_EQ(errors("x = \xFF\xFE"), "1:5 [G8] this is not UTF-8 text\n");
  EXPECT_EQ(errors(std::string("x = \0\0", 6)), "1:5 [G8] zero bytes are not text\n");
  EXPECT_EQ(errors("x = 1 # \xFF"), "1:9 [G8] this byte in a comment is not UTF-8\n");
}

std::string repeated(const std::string &text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i)
    out += text;
  return out;
}

TEST(G9Errors, NestingIsBounded) {
  const std::string deep = "[G9] this is nested more than 256 levels deep";
  for (const char *piece : {"-", "not ", "(", "a[", "a^", "if ", "if a then ", "if a then b else ",
                            "f(", "sum[j](", "√(", "[", "-(", "not if a then (", "a + (b * -"})
    for (int count : {300, 20000}) {
      std::string said = errors("x = " + repeated(piece, count) + "a\ny = = 1\n");
      EXPECT_NE(said.find(deep), std::string::npos) << piece << ' ' << said;
      EXPECT_NE(said.find("2:5 [G2]"), std::string::npos) << piece << ' ' << said;
    }
  EXPECT_NE(errors(repeated("repeat l < 2 {", 20000)).find(deep), std::string::npos);
  EXPECT_NE(errors(repeated("repeat l < 2 {", 300) + "x = 1" + repeated("}", 300)).find(deep),
            std::string::npos);
}

TEST(G9Errors, TheLimitIsExact) {
  EXPECT_EQ(errors("x = " + repeated("(", 256) + "a" + repeated(")", 256)), "");
  EXPECT_NE(errors("x = " + repeated("(", 257) + "a" + repeated(")", 257)), "");
  EXPECT_EQ(errors("x = " + repeated("-", 256) + "a"), "");
  EXPECT_NE(errors("x = " + repeated("-", 257) + "a"), "");
}

TEST(G9Errors, WhatIsSideBySideIsNotNested) {
  EXPECT_EQ(errors("x = a" + repeated(" + -a^2 * -b", 1000)), "");
  EXPECT_EQ(errors("x = a" + repeated(" and not (a)", 1000)), "");
  EXPECT_EQ(errors("x = f(a" + repeated(", if a then b else c", 1000) + ")"), "");
  EXPECT_EQ(errors(repeated("x = if if a then b else c then d else e\n", 1000)), "");
}

TEST(G10Errors, Numbers) {
  EXPECT_NE(errors("x = 9223372036854775808").find("1:5 [G10] this integer is beyond 64 bits"),
            std::string::npos);
  EXPECT_EQ(errors("x = 1e999"), "1:5 [G10] this number is beyond what double precision holds\n");
  EXPECT_EQ(errors("x = .5"), "1:5 [G10] a number begins with a digit; hint: write 0.5 for .5\n");
  EXPECT_EQ(errors("x = 2."),
            "1:5 [G10] a digit follows the point of a number; hint: write 2.0 for 2.\n");
  EXPECT_NE(errors("x = 3y").find("[G10] '3y' is neither a number nor a name"), std::string::npos);
  EXPECT_NE(errors("x = 1.2.3").find("[G10] '1.2.3' is neither"), std::string::npos);
}

TEST(C5Errors, Formats) {
  EXPECT_EQ(errors("x = a | b"), "1:7 [G2] there is no '|'; hint: write 'or'\n");
  EXPECT_EQ(errors("param W = \"a\" | \"b\""),
            "1:17 [] expected a format of checkpoints (gguf) after '|', found a string\n");
  EXPECT_EQ(errors("param W = \"a\" | gguf else 0"),
            "1:22 [G2] 'else' without an 'if' before it\n");
  EXPECT_NE(errors("x = f(y).length"), "");
}

TEST(G10Errors, StringsAndDrops) {
  EXPECT_EQ(errors("param W = \"abc\ny = 1"),
            "1:11 [G10] this string has no '\"' at its end; a string stands on one line\n");
  EXPECT_EQ(errors("param W = 'abc'"),
            "1:11 [G10] a string stands in double quotes; hint: write \"...\"\n");
  EXPECT_EQ(errors("x = _ + 1"), "1:5 [G10] '_' only drops a result: _, w = f(x)\n");
  EXPECT_EQ(errors("_[i] = f(x)"), "1:2 [G10] '_' drops a result and takes no indices\n");
}

TEST(Errors, WhatStandsOutsideOfBodies) {
  EXPECT_EQ(errors("fn f(x) -> y {\n  use nn\n  y = x\n}\n"),
            "2:3 [L2] 'use' stands outside of definitions\n");
  EXPECT_EQ(errors("param W = \"w\" else true"),
            "1:20 [] expected a tensor's name or a number after 'else', found 'true'\n");
}

TEST(Errors, ManyEndTheReading) {
  Parsed parsed(repeated("x = = 1\n", 5000));
  EXPECT_LT(parsed.diagnostics.errorCount(), 110u);
}

} // namespace
} // namespace qkv::test
