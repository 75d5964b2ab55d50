// Statements: what they print and which names they give values.
#include "runtime/template/Render.h"

#include "runtime/Error.h"

#include <algorithm>

namespace qkv::jinja {
namespace {
/// How deep statements, expressions and macros are inside of one another.
constexpr int deepest = 1200;
} // namespace

bool Template::read(const std::string &source, std::string &why) {
  block.clear();
  return parse(source, block, why);
}

bool Template::render(const Dict &values, std::tm now, std::string &out, std::string &why,
                      const Limits &limits) const {
  why.clear();
  out.clear();
  Render render(limits, now, why);
  for (const auto &[name, value] : values.all())
    render.name(name, value);
  return render.run(block, out);
}

/// A namespace may hold itself.
Render::~Render() {
  for (const std::weak_ptr<Dict> &space : spaces)
    if (auto alive = space.lock())
      *alive = Dict();
}

bool Render::run(const Block &block, std::string &text) {
  out = &text;
  // What a template gives names to does not change what it was given.
  auto inner = std::make_shared<Frame>();
  inner->outer = scope;
  scope = inner;
  execute(block);
  return !broken;
}

bool Render::fail(const std::string &what) {
  if (!broken)
    why = rt::format("line %d: %s", line, what.c_str());
  broken = true;
  return false;
}

void Render::print(const Value &value) {
  if (!printed(value, *out, limits.bytes))
    fail("it writes too much");
}

/// What a block prints.
Value Render::captured(const Block &block) {
  std::string inner, *before = out;
  out = &inner;
  execute(block);
  out = before;
  return text(std::move(inner));
}

Render::Flow Render::execute(const Block &block) {
  for (const auto &statement : block) {
    if (broken)
      return Flow::Break;
    if (Flow flow = execute(*statement); flow != Flow::On)
      return flow;
  }
  return Flow::On;
}

Render::Flow Render::execute(const Statement &s) {
  using K = Statement::Kind;
  line = s.line;
  if (depth > deepest)
    fail("it is nested too deep");
  if (broken || !step())
    return Flow::Break;
  ++depth;
  Flow flow = Flow::On;
  auto inFrame = [&](auto run) {
    auto before = scope;
    scope = std::make_shared<Frame>();
    scope->outer = before;
    run();
    scope = before;
  };
  auto filtered = [&](Value value) {
    for (const Expr &one : s.filters)
      value = filter(one->text, value, given(one->arguments));
    return value;
  };
  switch (s.kind) {
  case K::Text:
    print(Value::text(s.text));
    break;
  case K::Print:
    print(evaluate(*s.expression));
    break;
  case K::If:
    flow = evaluate(*s.expression).truth() ? execute(s.body) : execute(s.otherwise);
    break;
  case K::For:
    flow = loop(s, evaluate(*s.expression), 1);
    break;
  case K::Set:
    assign(s.targets[0], evaluate(*s.expression));
    break;
  case K::SetBlock: {
    Value value;
    inFrame([&] { value = captured(s.body); });
    assign(s.targets[0], filtered(value));
    break;
  }
  case K::Macro:
    scope->names[s.macro->name] =
        Value::macro(std::make_shared<Macro>(Macro{s.macro.get(), scope}));
    break;
  case K::Call:
    callTag(s);
    break;
  case K::Filter: {
    Value value;
    inFrame([&] { value = captured(s.body); });
    print(filtered(value));
    break;
  }
  case K::With:
    flow = with(s);
    break;
  case K::Group:
    flow = execute(s.body);
    break;
  case K::Break:
    flow = Flow::Break;
    break;
  case K::Continue:
    flow = Flow::Continue;
    break;
  }
  --depth;
  return flow;
}

Render::Flow Render::with(const Statement &s) {
  // (The values are looked up outside.)
  auto outer = scope, inner = std::make_shared<Frame>();
  inner->outer = outer;
  for (const auto &[name, value] : s.names)
    inner->names[name] = evaluate(*value);
  scope = inner;
  Flow flow = execute(s.body);
  scope = outer;
  return flow;
}

void Render::assign(const Target &target, const Value &value) {
  if (!target.several.empty()) {
    List parts;
    if (!items(value, parts))
      return;
    if (parts.size() != target.several.size()) {
      fail(rt::format("%zu values for %zu names", parts.size(), target.several.size()));
      return;
    }
    for (size_t i = 0; i < parts.size(); ++i)
      assign(target.several[i], parts[i]);
    return;
  }
  if (target.attribute.empty()) {
    scope->names[target.name] = value;
    return;
  }
  Value space = named(target.name);
  if (space.is(Value::Kind::Namespace))
    space.space().put(target.attribute, value);
  else
    fail("only attributes of a namespace can be set");
}

/// One pass of a loop is a frame of its own.
Render::Flow Render::loop(const Statement &s, const Value &over, int64_t level) {
  auto state = std::make_shared<Loop>();
  state->depth = level;
  List all;
  if (!items(over, all))
    return Flow::Break;
  auto outer = scope;
  auto fresh = [&] {
    scope = std::make_shared<Frame>();
    scope->outer = outer;
  };
  for (const Value &one : all) {
    if (!s.condition) {
      state->items = all;
      break;
    }
    fresh();
    assign(s.targets[0], one);
    if (broken || !step())
      break;
    if (evaluate(*s.condition).truth())
      state->items.push_back(one);
  }
  loops.push_back(&s);
  for (; state->at < state->items.size() && !broken; ++state->at) {
    fresh();
    assign(s.targets[0], state->items[state->at]);
    scope->names["loop"] = Value::loop(state);
    if (!step() || execute(s.body) == Flow::Break)
      break;
  }
  loops.pop_back();
  bool none = state->items.empty();
  scope = outer;
  if (none && !broken) {
    fresh();
    Flow flow = execute(s.otherwise);
    scope = outer;
    return flow;
  }
  return broken ? Flow::Break : Flow::On;
}

Value Render::callMacro(const Macro &macro, const Given &given, const Value *caller) {
  auto outer = macro.scope.lock();
  if (!outer)
    return failed("the macro " + macro.body->name + " is called where it is no more");
  auto frame = std::make_shared<Frame>(), before = scope;
  frame->outer = outer;
  const auto &parameters = macro.body->parameters;
  std::vector<std::pair<std::string, Value>> left = given.named;
  Dict others;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const std::string &name = parameters[i].name;
    auto found =
        std::find_if(left.begin(), left.end(), [&](auto &one) { return one.first == name; });
    if (i < given.plain.size()) {
      frame->names[name] = given.plain[i];
    } else if (found != left.end()) {
      frame->names[name] = found->second;
    } else if (parameters[i].fallback) {
      scope = frame;
      frame->names[name] = evaluate(*parameters[i].fallback);
      scope = before;
    } else {
      frame->names[name] = Value::undefined(name);
    }
    if (found != left.end())
      left.erase(found);
  }
  for (auto &[name, value] : left)
    others.put(name, value);
  List more;
  for (size_t i = parameters.size(); i < given.plain.size(); ++i)
    more.push_back(given.plain[i]);
  frame->names["varargs"] = Value::list(std::move(more), /*tuple=*/true);
  frame->names["kwargs"] = Value::dict(std::move(others));
  frame->names["caller"] = caller ? *caller : Value::undefined("caller");
  auto running = std::move(loops);
  loops.clear();
  scope = frame;
  Value value = captured(macro.body->body);
  scope = before;
  loops = std::move(running);
  return value;
}

/// What stands inside is a macro that the called one may call.
void Render::callTag(const Statement &s) {
  Value caller = Value::macro(std::make_shared<Macro>(Macro{s.macro.get(), scope}));
  print(call(*s.expression, &caller));
}

} // namespace qkv::jinja
