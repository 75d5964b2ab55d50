// The table of text options (TextOptions.h).
#include "runtime/program/TextOptions.h"

#include "runtime/program/Program.h"

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace qkv::rt {

bool wholeNumber(const char *text, int64_t least, int64_t most, int64_t &value) {
  char *end;
  errno = 0;
  long long read = strtoll(text, &end, 10);
  if (!*text || *end || errno || read < least || read > most)
    return false;
  value = read;
  return true;
}

namespace {

bool whole(const char *text, int64_t least, int64_t &value, std::string &why) {
  if (wholeNumber(text, least, INT64_MAX, value))
    return true;
  why = format("%s, expected a whole number from %lld on", quote(text).c_str(),
               static_cast<long long>(least));
  return false;
}

/// A whole number of bytes, or of K, M or G of them (1024, 1024^2, 1024^3).
bool byteCount(const char *text, int64_t &value, std::string &why) {
  std::string digits = text;
  constexpr const char *units = "KMG";
  const char *unit = digits.empty() ? nullptr : strchr(units, digits.back());
  int shift = unit ? 10 * static_cast<int>(unit - units + 1) : 0;
  if (shift)
    digits.pop_back();
  int64_t count;
  if (wholeNumber(digits.c_str(), 1, INT64_MAX >> shift, count)) {
    value = count << shift;
    return true;
  }
  why = format("%s, expected a number of bytes, as 500M or 2G", quote(text).c_str());
  return false;
}

bool real(const char *text, double least, double most, double &value, std::string &why) {
  char *end;
  double read = strtod(text, &end);
  if (!*text || *end || !(read >= least && read <= most)) {
    why = format("%s, expected a number from %g to %g", quote(text).c_str(), least, most);
    return false;
  }
  value = read;
  return true;
}

bool beams(const char *text, int64_t &value, std::string &why) {
  if (wholeNumber(text, 1, 1024, value))
    return true;
  why = format("%s, expected a whole number from 1 to 1024", quote(text).c_str());
  return false;
}

bool takeBias(const char *text, Options &o, std::string &why) {
  const char *equals = strchr(text, '=');
  int64_t token;
  double bias;
  if (equals && whole(std::string(text, equals).c_str(), 0, token, why) &&
      real(equals + 1, -INFINITY, INFINITY, bias, why)) {
    o.generation.sampling.bias.push_back({token, bias});
    return true;
  }
  why = format("%s, expected TOKEN=NUMBER", quote(text).c_str());
  return false;
}

bool takeSeed(const char *text, Options &o, std::string &why) {
  int64_t seed;
  if (!whole(text, 0, seed, why))
    return false;
  o.generation.sampling.seed = static_cast<uint64_t>(seed);
  return true;
}

/// The file that says what a text must be; there is one of them.
bool takeForm(const char *text, std::string &path, Options &o, std::string &why) {
  why = o.generation.form.given()
            ? "beside another one, or --grammar and --json-schema exclude each other"
            : "empty, expected a file";
  if (o.generation.form.given() || !*text)
    return false;
  path = text;
  return true;
}

bool takeBreaker(const char *text, Options &o, std::string &why) {
  why = "empty, expected a text";
  if (*text)
    o.generation.sampling.dryBreakers.emplace_back(text);
  return *text != 0;
}

bool takeTokenizer(const char *text, Options &o, std::string &why) {
  o.tokenizer = text;
  why = "empty, expected a path, or bytes";
  return *text != 0;
}

bool takeCacheSize(const char *text, Options &o, std::string &why) {
  return byteCount(text, o.generation.cacheSize, why);
}

bool takeStop(const char *text, Options &o, std::string &why) {
  if (!*text) {
    why = "empty, expected a text";
    return false;
  }
  o.generation.stops.emplace_back(text);
  return true;
}

} // namespace

const std::vector<TextOption> &textOptions() {
  using O = Options;
  using W = std::string;
  static const std::vector<TextOption> table{
      {"max-tokens", "N", "generate at most N tokens",
       [](const char *t, O &o, W &w) { return whole(t, 0, o.generation.maxTokens, w); }},
      {"context", "N", "a stream of at most N tokens (default: what the model holds)",
       [](const char *t, O &o, W &w) { return whole(t, 1, o.generation.context, w); }},
      {"cache-size", "BYTES", "what all texts may keep together, as 500M or 2G (default: no bound)",
       takeCacheSize},
      {"prompt-chunk", "N", "tokens of a prompt that are computed at a time (512)",
       [](const char *t, O &o, W &w) { return whole(t, 1, o.generation.promptChunk, w); }},
      {"slide", "N",
       "of a full context keep the first N tokens, forget half of the others, go on (default: "
       "stop)",
       [](const char *t, O &o, W &w) { return whole(t, 0, o.generation.slide, w); }},
      {"snapshots", "N",
       "remember states every N tokens, to go back to (chat: 512, otherwise 0: not)",
       [](const char *t, O &o, W &w) { return whole(t, 0, o.generation.snapshots, w); }},
      {"interactive", nullptr,
       "each line of standard input goes on with the text so far; what was computed of it is kept",
       [](const char *, O &o, W &) { return o.interactive = true; }},
      {"stop", "TEXT", "end before TEXT; may be given several times", takeStop},
      {"grammar", "FILE", "only text of a grammar (GBNF), whose tokens are masked before all else",
       [](const char *t, O &o, W &w) { return takeForm(t, o.generation.form.grammar, o, w); }},
      {"json-schema", "FILE", "only JSON that is valid by a schema",
       [](const char *t, O &o, W &w) { return takeForm(t, o.generation.form.jsonSchema, o, w); }},
      {"temperature", "X", "0: always the likeliest token (default); 1: as the model says",
       [](const char *t, O &o, W &w) {
         return real(t, 0, 1000, o.generation.sampling.temperature, w);
       }},
      {"top-k", "N", "among the N likeliest tokens",
       [](const char *t, O &o, W &w) { return whole(t, 0, o.generation.sampling.topK, w); }},
      {"top-p", "X", "among the likeliest that have probability X together",
       [](const char *t, O &o, W &w) { return real(t, 0, 1, o.generation.sampling.topP, w); }},
      {"typical", "X", "among those nearest to the expected surprise, of probability X together",
       [](const char *t, O &o, W &w) { return real(t, 0, 1, o.generation.sampling.typical, w); }},
      {"min-p", "X", "among those at least X times as likely as the likeliest",
       [](const char *t, O &o, W &w) { return real(t, 0, 1, o.generation.sampling.minP, w); }},
      {"repetition-penalty", "X", "what was generated is less likely by this factor (1: no)",
       [](const char *t, O &o, W &w) {
         return real(t, 0.01, 100, o.generation.sampling.repetition, w);
       }},
      {"presence-penalty", "X", "subtracted from the logit of what was generated",
       [](const char *t, O &o, W &w) {
         return real(t, -100, 100, o.generation.sampling.presence, w);
       }},
      {"frequency-penalty", "X", "subtracted each time that it was",
       [](const char *t, O &o, W &w) {
         return real(t, -100, 100, o.generation.sampling.frequency, w);
       }},
      {"dry", "X", "X * BASE^(n - LENGTH) less for what goes on with n repeated tokens (0: no)",
       [](const char *t, O &o, W &w) { return real(t, 0, 1000, o.generation.sampling.dry, w); }},
      {"dry-base", "BASE", "of that penalty (1.75)",
       [](const char *t, O &o, W &w) { return real(t, 1, 100, o.generation.sampling.dryBase, w); }},
      {"dry-length", "LENGTH", "of that penalty: fewer repeated tokens are none (2)",
       [](const char *t, O &o, W &w) { return whole(t, 1, o.generation.sampling.dryLength, w); }},
      {"dry-breaker", "TEXT", "nothing is repeated over TEXT (line ends : \" *); several times",
       takeBreaker},
      {"penalty-prompt", nullptr, "penalties count the prompt's tokens, too",
       [](const char *, O &o, W &) { return o.generation.sampling.penaltyPrompt = true; }},
      {"logit-bias", "TOKEN=X", "added to a token's logit; may be given several times", takeBias},
      {"beams", "N", "the likeliest text that N beams find (1: no search)",
       [](const char *t, O &o, W &w) { return beams(t, o.generation.beams.width, w); }},
      {"length-penalty", "X", "0: the likeliest beam; more: longer ones may be less likely (1)",
       [](const char *t, O &o, W &w) {
         return real(t, 0, 10, o.generation.beams.lengthPenalty, w);
       }},
      {"seed", "N", "another draw (0)", takeSeed},
      {"tokenizer", "PATH",
       "a tokenizer.json, a folder with one, a GGUF; bytes: each byte (default: with the weights)",
       takeTokenizer},
      {"tokens", nullptr, "prompts, sources and answers are numbers of tokens",
       [](const char *, O &o, W &) { return o.generation.tokens = true; }},
      {"stats", nullptr, "times, tokens and what was kept, on standard error",
       [](const char *, O &o, W &) { return o.stats = true; }}};
  return table;
}

bool takeTextOption(const TextOption &option, const char *text, Options &options,
                    std::string &why) {
  if (option.take(text, options, why))
    return true;
  why = format("--%s is ", option.name) + why;
  return false;
}

} // namespace qkv::rt
