// Models over a stream, some positions at a time: what is kept is what their page says, and every
// chunking gives what the whole gives, interpreted and compiled.
#include "compiler/streams/DeriveStream.h"
#include "compiler/verify/Trial.h"
#include "compiler/verify/Verify.h"
#include "dsl/check/Checker.h"
#include "dsl/interpret/RoundHalf.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

namespace qkv {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<Program> programOf(const std::string &path, Sources &sources) {
  std::string error;
  const Source *source = sources.open(path, error);
  EXPECT_NE(source, nullptr) << error;
  Diagnostics diagnostics;
  auto program = check(*source, sources, {}, diagnostics);
  for (const Diagnostic &d : diagnostics.all())
    ADD_FAILURE() << d.message;
  return program;
}

std::vector<std::string> models() {
  std::vector<std::string> names;
  for (const auto &entry : fs::directory_iterator(QKV_STREAM_MODELS))
    names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

class Streams : public testing::TestWithParam<std::string> {
protected:
  void SetUp() override {
    program = programOf(std::string(QKV_STREAM_MODELS) + "/" + GetParam() + ".qkv", sources);
    ASSERT_TRUE(program);
    ASSERT_GE(program->stream, 0);
  }
  Sources sources;
  std::unique_ptr<Program> program;
};

/// "k history; h last 1", as the model's second comment has it.
std::string statesText(const streams::Stream &stream) {
  std::string out;
  for (const streams::State &state : stream.states) {
    out += (out.empty() ? "" : "; ") + state.name + " " + streams::stateKindName(state.kind);
    if (state.positions)
      out += " " + std::to_string(state.positions);
  }
  return out.empty() ? "nothing" : out;
}

/// Whether a running sum is kept that is computed by pages.
bool sumsByPages(const Program &program) {
  auto derived = streams::deriveStream(program);
  const auto *stream = std::get_if<streams::Stream>(&derived);
  return stream && std::any_of(stream->states.begin(), stream->states.end(), [&](const auto &s) {
           return s.kind == streams::State::Sum &&
                  stream->model.tensors[s.tensor].axes[0].extent != Size::atom(program.stream);
         });
}

TEST_P(Streams, keepWhatIsRead) {
  auto derived = streams::deriveStream(*program);
  ASSERT_TRUE(std::holds_alternative<streams::Stream>(derived))
      << std::get<streams::Obstacle>(derived).text;
  std::string text = program->span.source->text(), mark = "# state: ";
  size_t at = text.find(mark);
  ASSERT_NE(at, std::string::npos);
  at += mark.size();
  EXPECT_EQ(statesText(std::get<streams::Stream>(derived)),
            text.substr(at, text.find('\n', at) - at));
}

TEST_P(Streams, anyChunksGiveTheSame) {
  int64_t max = program->atoms[program->stream].max;
  std::vector<int64_t> lengths{1, 2, 7, 66, 130};
  if (sumsByPages(*program))
    lengths = {63, 65, 128, 130};
  std::vector<Trial> trials;
  for (int64_t length : lengths)
    if (length <= max) {
      TrialOptions wanted;
      wanted.sizes[program->atoms[program->stream].name] = length;
      trials.push_back(makeTrial(*program, wanted));
    }
  StageReport stage = verifySteps(*program, trials, {});
  EXPECT_TRUE(stage.same) << stage.failure
                          << (stage.difference ? stage.difference->text : std::string());
}

TEST_P(Streams, keysInHalfGiveTheSameInAnyChunks) {
  TrialOptions wanted;
  const auto &stream = program->atoms[program->stream];
  wanted.sizes[stream.name] = std::min<int64_t>(stream.max, 75);
  Trial trial = makeTrial(*program, wanted);
  for (Half half : {Half::BFloat16, Half::Float16}) {
    VerifyOptions options;
    options.cache = half;
    StageReport stage = verifySteps(*program, {trial}, options);
    EXPECT_TRUE(stage.same) << stage.failure;
  }
}

/// The step of full.qkv, interpreted, against what is rounded by hand.
TEST(Half, isRoundedAsItIsKept) {
  Sources sources;
  auto program = programOf(std::string(QKV_STREAM_MODELS) + "/full.qkv", sources);
  ASSERT_TRUE(program);
  auto stream = std::get<streams::Stream>(streams::deriveStream(*program));
  streams::keepInHalf(stream, Half::BFloat16);
  for (const streams::State &state : stream.states) {
    EXPECT_EQ(stream.step.tensors[state.input].half, Half::BFloat16);
    EXPECT_EQ(stream.step.tensors[state.next].half, Half::BFloat16);
    EXPECT_EQ(stream.session.tensors[state.begin].half, Half::BFloat16);
  }
  EXPECT_EQ(roundedTo(Half::BFloat16, 1.00390625), 1);        // half of the last place: to even
  EXPECT_EQ(roundedTo(Half::BFloat16, 1.01171875), 1.015625); // likewise, up
  EXPECT_EQ(roundedTo(Half::BFloat16, std::ldexp(255.5, 120)), HUGE_VAL);
  EXPECT_EQ(roundedTo(Half::BFloat16, 0x1p-133), 0x1p-133);
  EXPECT_EQ(roundedTo(Half::Float16, 65519.99), 65504);
  EXPECT_EQ(roundedTo(Half::Float16, -65520), -HUGE_VAL);
  EXPECT_EQ(roundedTo(Half::Float16, 0x1.8p-24), 0x1p-23);
  EXPECT_EQ(roundedTo(Half::Float16, 0x1p-25), 0);
  EXPECT_EQ(roundedTo(Half::Float16, 1 + 0x1p-11), 1);
}

/// A step in which no page ends has no row of the matrix: what is kept stays where it is.
TEST(Pages, areWrittenWhereTheyEnd) {
  Sources sources;
  auto program = programOf(std::string(QKV_STREAM_MODELS) + "/mamba2.qkv", sources);
  ASSERT_TRUE(program);
  auto stream = std::get<streams::Stream>(streams::deriveStream(*program));
  auto rows = [&](const streams::State &state, int64_t past, int64_t fresh) {
    std::vector<int64_t> sizes(stream.step.atoms.count(), 0);
    sizes[stream.past] = past;
    sizes[stream.fresh] = fresh;
    return stream.step.tensors[state.next].axes[0].extent.evaluate(stream.step.atoms, sizes);
  };
  int sums = 0;
  for (const streams::State &state : stream.states)
    if (state.kind == streams::State::Sum) {
      ++sums;
      EXPECT_EQ(rows(state, 0, 1), 0);
      EXPECT_EQ(rows(state, 62, 1), 0);
      EXPECT_EQ(rows(state, 63, 1), 1);
      EXPECT_EQ(rows(state, 64, 63), 0);
      EXPECT_EQ(rows(state, 3, 200), 1);
    }
  EXPECT_EQ(sums, 1);
}

INSTANTIATE_TEST_SUITE_P(Models, Streams, testing::ValuesIn(models()),
                         [](const auto &info) { return info.param; });

/// Why a model has no step.
std::string refusal(const std::string &text) {
  Sources sources;
  const Source *source = sources.add("model.qkv", text);
  Diagnostics diagnostics;
  auto program = check(*source, sources, {}, diagnostics);
  if (!program) {
    ADD_FAILURE() << "does not check";
    return "";
  }
  auto derived = streams::deriveStream(*program);
  auto *obstacle = std::get_if<streams::Obstacle>(&derived);
  return obstacle ? obstacle->text : "";
}

TEST(Refused, whatIsOutsideAlongAnotherAxisAndIsOfData) {
  EXPECT_EQ(refusal("size T = stream(max: 40), M = 5\nindex t < T, p < M\n"
                    "model m(x[t,p], z[t]) -> d[t,p] {\n  d[-1,-1] = 0\n  d[-1,p] = 0\n"
                    "  d[t,-1] = z[t]\n  d[t,p] = d[t-1,p-1] + d[t,p-1] + x[t,p]\n}\n"),
            "what d is before or behind its axis p is read at earlier rows, and is no matter of "
            "positions alone");
}

} // namespace
} // namespace qkv
