// Templates against what python3-jinja2 made of them (make_goldens.py), and against templates that
// are anything.
#include "runtime/template/Template.h"
#include "tests/fuzz/WithinMemory.h"

#include <chrono>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

using namespace qkv::jinja;

namespace {

std::string fileText(const std::string &path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The time that make_goldens.py has.
std::tm time() {
  std::tm now = {};
  now.tm_year = 2024 - 1900;
  now.tm_mon = 6;
  now.tm_mday = 5;
  now.tm_hour = 9;
  now.tm_min = 3;
  now.tm_sec = 7;
  now.tm_wday = 5;
  now.tm_yday = 186;
  return now;
}

struct Goldens {
  Dict values;
  List cases;
  Goldens() {
    Value all;
    if (!fromJson(fileText(QKV_GOLDENS), all) || !all.is(Value::Kind::Dict))
      return;
    values = all.dict().find("values")->dict();
    cases = all.dict().find("cases")->list();
  }
};

const Goldens &goldens() {
  static const Goldens all;
  return all;
}

std::string textOf(const Value &one, const char *key) {
  const Value *found = one.dict().find(key);
  return found ? found->text() : std::string();
}

TEST(Template, AsTheReference) {
  ASSERT_GT(goldens().cases.size(), 250u);
  for (const Value &one : goldens().cases) {
    std::string out, why;
    Template text;
    bool done =
        text.read(textOf(one, "template"), why) && text.render(goldens().values, time(), out, why);
    if (one.dict().find("error")) {
      EXPECT_FALSE(done) << textOf(one, "name") << " printed " << out;
      continue;
    }
    EXPECT_TRUE(done) << textOf(one, "name") << ": " << why;
    EXPECT_EQ(out, textOf(one, "expected")) << textOf(one, "name");
  }
}

TEST(Template, MarksOfTraining) {
  Template text;
  std::string out, why;
  ASSERT_TRUE(text.read("a{% generation %}b{% endgeneration %}c", why)) << why;
  EXPECT_TRUE(text.render({}, time(), out, why));
  EXPECT_EQ(out, "abc");
}

/// Ends, whatever it is, with a text or a reason.
void ends(const std::string &source) {
  Template text;
  std::string out, why;
  auto begun = std::chrono::steady_clock::now();
  Limits limits;
  limits.steps = 500'000;
  limits.bytes = 1 << 20;
  bool done = text.read(source, why) && text.render(goldens().values, time(), out, why, limits);
  EXPECT_TRUE(done || !why.empty()) << source;
  EXPECT_LE(out.size(), limits.bytes + source.size() + 4096) << source.substr(0, 200);
  auto took = std::chrono::steady_clock::now() - begun;
  EXPECT_LT(std::chrono::duration<double>(took).count(), 20 * qkv::test::slowdown)
      << source.substr(0, 200);
}

std::string repeated(const std::string &text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i)
    all += text;
  return all;
}

TEST(Template, HostileOnes) {
  ends("{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}");
  ends("{% set ns = namespace(a='xxxxxxxx') %}{% for i in range(99) %}{% set ns.a = ns.a ~ ns.a %}"
       "{% endfor %}{{ ns.a }}");
  ends("{% set ns = namespace(a=[1]) %}{% for i in range(99) %}{% set ns.a = ns.a + ns.a %}{% "
       "endfor %}");
  ends("{% set ns = namespace(a=[1]) %}{% for i in range(9999) %}{% set ns.a = [ns.a, ns.a] %}"
       "{% endfor %}{{ ns.a }}");
  ends("{% set ns = namespace(a=1) %}{% set ns.a = ns %}{{ ns }}{{ ns | string | length }}");
  ends("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
  ends("{% macro m(n) %}{{ m(n - 1) }}{{ m(n - 1) }}{% endmacro %}{{ m(99) }}");
  ends("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}");
  ends("{{ 'a' * 999999999999 }}{{ 2 ** 99999 }}{{ 9223372036854775807 + 1 }}");
  ends("{{ -9223372036854775807 - 2 }}{{ (-9223372036854775807 - 1) // -1 }}");
  ends("{{ 'abc'[-9223372036854775807 - 1:9223372036854775807:9223372036854775807] }}");
  ends("{{ 'abc'[::-9223372036854775807 - 1] }}{{ [1,2][9223372036854775807] }}");
  ends("{{ 'a'.center(99999999) }}{{ 'a' | indent(999999999) }}{{ [1] | batch(999999999, 1) }}");
  ends("{{ 'a,' * 100000 }}{{ ('a,' * 100000).split(',') | map('upper') | join(',' * 1000) }}");
  ends("{{ ('a' * 1000).replace('', 'b' * 1000) }}{{ ('a' * 100000).replace('a', 'b' * 100000) }}");
  ends(
      "{{ 1e400 }}{{ 1e308 * 10 }}{{ (1e308 * 10) | int }}{{ 0.0 / 1 }}{{ 99999999999999999999 }}");
  ends("{{ '" + repeated("\\x41", 1000) + "\\" + "' }}");
  for (const char *open :
       {"(", "[", "{'a':", "-", "not ", "[1][", "x(", "{% if 1 %}", "{% for a in b %}", "{{ a if ",
        "x|map(", "{% set a %}", "'a'~", "1+", "a.b"})
    for (int count : {100, 100000})
      ends((open[0] == '{' && open[1] != '\'' ? "" : "{{ ") + repeated(open, count));
  ends("{{ x" + repeated(".a", 100000) + " }}");
  ends("{{ x" + repeated("|upper", 100000) + " }}");
  ends("{{ 1" + repeated(" + 1", 100000) + " }}");
  ends("{{ " + repeated("(", 90) + "1" + repeated(" + 1)", 90) + repeated(" + 1", 100) + " }}");
  ends("{% if 1 %}" + repeated("{% elif 1 %}", 100000) + "{% endif %}");
  ends(std::string("a\0{{ 1 }}{% \xff %}{{ '\xfe\xc0' | upper }}", 30));
}

TEST(Template, HostileOnesTakeLittleMemory) {
  for (const char *source :
       {"{{ 'a' * 999999999999 }}", "{{ range(999999999) | list }}",
        "{{ ([1] * 99999999) | length }}", "{{ 'a'.center(999999999) }}",
        "{{ [1] | batch(999999999, 1) | list }}", "{{ ('a' * 100000).replace('a', 'b' * 100000) }}",
        "{% set ns = namespace(a=[1]) %}{% for i in range(99) %}{% set ns.a = ns.a + ns.a %}{% "
        "endfor %}",
        "{% set ns = namespace(a='x') %}{% for i in range(99) %}{% set ns.a = ns.a ~ ns.a %}{% "
        "endfor %}",
        "{% macro m(n) %}{{ m(n + 1) }}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}"})
    EXPECT_EQ(qkv::test::withinMemory(size_t(512) << 20, [source] { ends(source); }), "") << source;
}

/// Mutations of all templates: bytes changed, cut out, doubled.
TEST(Template, Mutations) {
  uint64_t state = 12345;
  auto random = [&](size_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return below ? static_cast<size_t>(state >> 33) % below : 0;
  };
  const std::string letters = "{}%#-+'\"|.,:()[]~*/ \nifnotforabc019=<>";
  for (const Value &one : goldens().cases)
    for (int round = 0; round < 8; ++round) {
      std::string source = textOf(one, "template");
      for (size_t change = 0; change <= random(4) && !source.empty(); ++change) {
        size_t at = random(source.size()), count = random(8);
        if (random(3) == 0)
          source.erase(at, count);
        else if (random(2) == 0)
          source.insert(at, source.substr(random(source.size()), count));
        else
          source[at] = letters[random(letters.size())];
      }
      ends(source);
    }
}

} // namespace
