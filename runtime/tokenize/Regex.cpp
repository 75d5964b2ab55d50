// In: regular expressions as tokenizers write them. Out: their matches (PCRE2). Holds: classes are
// those of Unicode, as Oniguruma has them: PCRE2's own \s, \w and \d differ and are replaced.
#include "runtime/tokenize/Regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace qkv::rt {

struct Regex::Code {
  pcre2_code *code = nullptr;
  ~Code() { pcre2_code_free(code); }
};

Regex::~Regex() = default;

/// What \w is. (Oniguruma takes Latin-1's fractions and raised digits for parts of words, too.)
static const char *const wordClass =
    "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\xB2\\xB3\\xB9\\xBC-\\xBE";

/// The expression with classes spelled out; false with `why` where it means another thing to PCRE2.
static bool translate(const std::string &pattern, std::string &out, std::string &why) {
  int depth = 0; // of classes
  for (size_t i = 0; i < pattern.size(); ++i) {
    char c = pattern[i];
    if (depth > 0 && c == '&' && i + 1 < pattern.size() && pattern[i + 1] == '&') {
      why = "it has an intersection of classes (&&), which is not supported";
      return false;
    }
    if (c == '[') {
      bool posix = depth > 0 && i + 1 < pattern.size() && pattern[i + 1] == ':';
      if (depth > 0 && !posix) {
        why = "it has a class inside of a class, which is not supported";
        return false;
      }
      if (posix) {
        size_t close = pattern.find(":]", i);
        if (close == pattern.npos) {
          why = "a class of it has no end";
          return false;
        }
        out += pattern.substr(i, close + 2 - i);
        i = close + 1;
        continue;
      }
      ++depth;
      out += c;
      if (i + 1 < pattern.size() && pattern[i + 1] == '^')
        out += pattern[++i];
      if (i + 1 < pattern.size() && pattern[i + 1] == ']') { // stands for itself at the front
        out += "\\]";
        ++i;
      }
      continue;
    }
    if (c == ']' && depth > 0)
      --depth;
    if (c != '\\' || i + 1 == pattern.size()) {
      out += c;
      continue;
    }
    char kind = pattern[++i];
    switch (kind) {
    case 's':
      out += "\\p{White_Space}";
      break;
    case 'S':
      out += "\\P{White_Space}";
      break;
    case 'd':
      out += "\\p{Nd}";
      break;
    case 'D':
      out += "\\P{Nd}";
      break;
    case 'w':
      out += depth ? wordClass : std::string("[") + wordClass + "]";
      break;
    case 'W':
      if (depth) {
        why = "it has \\W inside of a class, which is not supported";
        return false;
      }
      out += std::string("[^") + wordClass + "]";
      break;
    case 'u': // \uXXXX
      if (i + 4 < pattern.size() + 0 && pattern[i + 1] != '{') {
        out += "\\x{" + pattern.substr(i + 1, 4) + "}";
        i += 4;
        break;
      }
      [[fallthrough]];
    default:
      out += {'\\', kind};
    }
  }
  return true;
}

std::unique_ptr<Regex> Regex::compile(const std::string &pattern, std::string &why) {
  std::string translated;
  why.clear();
  std::unique_ptr<Regex> regex(new Regex);
  if (pattern.size() > 65536)
    why = "it is too long";
  else if (translate(pattern, translated, why)) {
    int number = 0;
    size_t offset = 0;
    regex->code = std::make_unique<Code>();
    regex->code->code =
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                      PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &number, &offset, nullptr);
    if (regex->code->code) {
      pcre2_jit_compile(regex->code->code, PCRE2_JIT_COMPLETE);
    } else {
      PCRE2_UCHAR text[200] = {};
      pcre2_get_error_message(number, text, sizeof text);
      why = reinterpret_cast<char *>(text);
    }
  }
  if (why.empty())
    return regex;
  why = "the regular expression " + pattern.substr(0, 200) + " is not understood: " + why;
  return nullptr;
}

namespace {
/// A thread's own, for every expression.
struct Match {
  pcre2_match_data *data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context *context = pcre2_match_context_create(nullptr);
  Match() {
    pcre2_set_match_limit(context, 10'000'000);
    pcre2_set_heap_limit(context, 64 << 10); // kilobytes
  }
  ~Match() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
  }
};
} // namespace

Regex::Result Regex::find(std::string_view text, size_t from, size_t &begin, size_t &end) const {
  thread_local Match match;
  int found = pcre2_match(code->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                          PCRE2_NO_UTF_CHECK, match.data, match.context);
  if (found == PCRE2_ERROR_NOMATCH)
    return NotFound;
  if (found < 0)
    return Failed;
  size_t *places = pcre2_get_ovector_pointer(match.data);
  begin = places[0];
  end = places[1];
  return begin <= end ? Found : Failed;
}

} // namespace qkv::rt
