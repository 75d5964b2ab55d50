// One rendering of a template. Holds: after the first error nothing more is done; steps, depth and
// sizes are counted.
#pragma once

#include "runtime/template/Template.h"

#include <map>
#include <optional>
#include <string_view>

namespace qkv::jinja {

/// Names that have values, and where else to look.
struct Frame {
  std::shared_ptr<Frame> outer;
  std::map<std::string, Value, std::less<>> names;
};

/// A macro, and where its names are looked up.
struct Macro {
  const MacroBody *body;
  std::weak_ptr<Frame> scope;
};

/// What was given to a call.
struct Given {
  List plain;
  std::vector<std::pair<std::string, Value>> named;
};

class Render {
public:
  Render(const Limits &limits, std::tm now, std::string &why)
      : limits(limits), now(now), why(why), scope(std::make_shared<Frame>()) {}
  ~Render();
  void name(const std::string &name, Value value) { scope->names[name] = std::move(value); }
  bool run(const Block &block, std::string &out);

private:
  enum class Flow { On, Break, Continue };
  // Statements (Render.cpp).
  Flow execute(const Block &block);
  Flow execute(const Statement &statement);
  Flow loop(const Statement &statement, const Value &over, int64_t depth);
  Flow with(const Statement &statement);
  void assign(const Target &target, const Value &value);
  Value captured(const Block &block);
  Value callMacro(const Macro &macro, const Given &given, const Value *caller);
  void callTag(const Statement &statement);
  void print(const Value &value);

  // Expressions (Evaluate.cpp).
  Value evaluate(const Expression &e);
  Value evaluateNode(const Expression &e);
  Value named(const std::string &name) const;
  Value binary(const Expression &e);
  Value arithmetic(const std::string &sign, const Value &a, const Value &b);
  Value compared(const Expression &e);
  bool contains(const Value &all, const Value &one);
  Value attribute(const Value &of, const std::string &name);
  Value item(const Value &of, const Value &which);
  Value slice(const Expression &e);
  Given given(const Arguments &arguments);
  Value call(const Expression &e, const Value *caller = nullptr);
  // Calls.cpp
  Value callRange(const Given &given);
  Value callGlobal(const std::string &name, const Given &given);
  Value callLoop(Loop &loop, const std::string &name, const Given &given);

  // What is given to functions (Filters.cpp, Tests.cpp, Methods.cpp).
  Value filter(const std::string &name, const Value &value, const Given &given);
  Value numberFilter(const std::string &name, const Value &value, const Given &given);
  Value partsFilter(const std::string &name, List all, const Given &given);
  Value listFilter(const std::string &name, const Value &value, const Given &given);
  Value textFilter(const std::string &name, const Value &value, const Given &given);
  Value byPath(const Value &value, const std::string &path);
  Value select(const std::string &name, const Value &value, const Given &given);
  Value map(const Value &value, const Given &given);
  Value sorted(const Value &value, const Given &given);
  std::optional<bool> test(const std::string &name, const Value &value, const Given &given);
  Value method(const Value &of, const std::string &name, const Given &given);
  Value textMethod(const std::string &text, const std::string &name, const Given &given);
  Value replaceMethod(const std::string &text, const Given &given);
  Value letterMethod(const std::string &text, const std::string &name, const Given &given);
  Value words(const std::string &text, int64_t most);
  Value splitMethod(const std::string &text, const std::string &name, const Given &given);
  Value dictMethod(const Value &of, const std::string &name, const Given &given);

  /// The values of parameters by their names, Undefined where none was given. False after an error.
  bool take(const char *what, const Given &given, std::initializer_list<const char *> names,
            std::vector<Value> &values);
  /// A whole number that was given, or another. False after an error.
  bool number(const Value &value, int64_t otherwise, int64_t &out);
  bool flag(const Value &value, bool otherwise) const {
    return value.is(Value::Kind::Undefined) ? otherwise : value.truth();
  }
  /// What is walked through: lists, the keys of a dict, the characters of a text.
  bool items(const Value &value, List &out);
  Value text(std::string text);
  std::string printedText(const Value &value);

  bool step(int64_t count = 1) {
    steps += count;
    return steps <= limits.steps || fail("it takes too many steps");
  }
  bool fail(const std::string &what);
  Value failed(const std::string &what) {
    fail(what);
    return {};
  }

  const Limits &limits;
  std::tm now;
  std::string &why;
  std::shared_ptr<Frame> scope;
  std::vector<std::weak_ptr<Dict>> spaces;
  std::string *out = nullptr;
  std::vector<const Statement *> loops; ///< that run now, for loop(...)
  int64_t steps = 0;
  int depth = 0, line = 1;
  bool broken = false;
};

/// A text's characters.
std::vector<std::string_view> characters(std::string_view text);
std::string strip(const std::string &text, const Value &which, bool left, bool right);
std::string upper(const std::string &text);

} // namespace qkv::jinja
