// What is said about a model, whole: place, rule, sentence, notes and hints.
#include "dsl/check/Checker.h"

#include <gtest/gtest.h>

namespace qkv {
namespace {

std::string at(Span span) {
  auto place = span.source->position(span.begin);
  return std::to_string(place.line) + ":" + std::to_string(place.column);
}

/// One line for each error, and for each of its notes and hints.
std::string said(const std::string &text) {
  Sources sources;
  const Source *source = sources.add("model.qkv", text);
  Diagnostics diagnostics;
  check(*source, sources, {}, diagnostics);
  std::string out;
  for (auto &d : diagnostics.all()) {
    out += at(d.span) + " [" + d.rule + "] " + d.message + "\n";
    for (auto &n : d.notes)
      out += "  " + at(n.span) + " " + n.message + "\n";
    for (auto &h : d.hints)
      out += "  hint: " + h + "\n";
  }
  return out;
}

const char *const positions = "size T = dynamic(max: 64)\nindex t < T, j < T\n";
const char *const notEarlier =
    ", and not provably at earlier positions along one axis, or at later "
    "ones";
const char *const startHint =
    "  hint: a recurrence reads what was computed before, as in h[t-1,o], "
    "with its start as an equation of its own, h[-1,o] = 0\n";

// A read that is strictly earlier is no part of the cycle.
TEST(R1, ShowsTheShortestCycleOfReadsThatAreInTheWay) {
  EXPECT_EQ(said(std::string(positions) + "model m(x[t]) -> h[t] {\n"
                                          "  h[-1] = 0; g[-1] = 0\n"
                                          "  h[t] = tanh(x[t] + h[t-1] + g[t-1])\n"
                                          "  g[t] = h[t] + k[t]\n"
                                          "  k[t] = g[t] * 2\n}\n"),
            "6:17 [R1] these equations need each other" + std::string(notEarlier) +
                ": g -> k -> g\n  6:17 g reads k here, at the same position\n"
                "  7:10 k reads g here, at the same position\n" +
                startHint);
}

// Of several reads of one tensor the one in the way is marked, and both where each is in the way of
// one direction.
TEST(R1, MarksTheReadThatIsInTheWay) {
  auto model = [](const std::string &equation) {
    return said(std::string(positions) +
                "model m(x[t]) -> h[t] {\n  h[-1] = 0; h[T] = 0\n  h[t] = " + equation + "\n}\n");
  };
  std::string itself = " [R1] h needs itself" + std::string(notEarlier) + "\n";
  EXPECT_EQ(model("h[t-1] + h[t] + x[t]"), "5:19" + itself + startHint);
  EXPECT_EQ(model("h[t-1] + h[t+1] + x[t]"), "5:19" + itself +
                                                 "  5:19 h reads h here, at a later position\n"
                                                 "  5:10 h reads h here, at an earlier position\n" +
                                                 startHint);
}

// A read that may be anywhere closes a cycle with reads that are earlier.
TEST(R1, ShowsWhatLeadsBackToAReadOfAnyPosition) {
  EXPECT_EQ(said(std::string(positions) + "model m(x[t]) -> h[t] {\n  h[-1] = 0; z[-1] = 0\n"
                                          "  h[t] = h[t-1] + z[t-1] + x[t]\n"
                                          "  z[t] = sum[j](h[j] where j != t)\n}\n"),
            "5:19 [R1] these equations need each other" + std::string(notEarlier) +
                ": h -> z -> h\n  5:19 h reads z here, at an earlier position\n"
                "  6:17 z reads h here\n" +
                startHint);
}

} // namespace
} // namespace qkv
