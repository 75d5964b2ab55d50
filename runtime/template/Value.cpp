// Values and their comparison (Value.h).
#include "runtime/template/Value.h"

#include <algorithm>
#include <cmath>

namespace qkv::jinja {

const Value *Dict::find(std::string_view key) const {
  auto found = places.find(key);
  return found == places.end() ? nullptr : &entries[found->second].second;
}

void Dict::put(const std::string &key, Value value) {
  auto [place, fresh] = places.emplace(key, entries.size());
  if (fresh)
    entries.emplace_back(key, std::move(value));
  else
    entries[place->second].second = std::move(value);
}

Value Value::of(bool value) {
  Value out(Kind::Bool);
  out.whole_ = value;
  return out;
}

Value Value::of(int64_t value) {
  Value out(Kind::Int);
  out.whole_ = value;
  return out;
}

Value Value::of(double value) {
  Value out(Kind::Float);
  out.number_ = value;
  return out;
}

Value Value::text(std::string value) {
  Value out(Kind::Text);
  out.text_ = std::make_shared<const std::string>(std::move(value));
  return out;
}

Value Value::list(List items, bool tuple) {
  Value out(tuple ? Kind::Tuple : Kind::List);
  out.list_ = std::make_shared<const List>(std::move(items));
  return out;
}

Value Value::dict(Dict entries) {
  Value out(Kind::Dict);
  out.dict_ = std::make_shared<Dict>(std::move(entries));
  return out;
}

Value Value::space(Dict entries) {
  Value out = dict(std::move(entries));
  out.kind_ = Kind::Namespace;
  return out;
}

Value Value::global(std::string name) {
  Value out = text(std::move(name));
  out.kind_ = Kind::Global;
  return out;
}

Value Value::undefined(std::string name) {
  Value out = text(std::move(name));
  out.kind_ = Kind::Undefined;
  return out;
}

Value Value::macro(std::shared_ptr<const Macro> macro) {
  Value out(Kind::Macro);
  out.macro_ = std::move(macro);
  return out;
}

Value Value::loop(std::shared_ptr<Loop> loop) {
  Value out(Kind::Loop);
  out.loop_ = std::move(loop);
  return out;
}

bool Value::truth() const {
  switch (kind_) {
  case Kind::Undefined:
  case Kind::None:
    return false;
  case Kind::Bool:
  case Kind::Int:
    return whole_ != 0;
  case Kind::Float:
    return number_ != 0;
  case Kind::Text:
    return !text_->empty();
  case Kind::List:
  case Kind::Tuple:
    return !list_->empty();
  case Kind::Dict:
    return dict_->size() > 0;
  default:
    return true;
  }
}

bool Value::same(const Value &other) const {
  if (kind_ != other.kind_)
    return false;
  switch (kind_) {
  case Kind::List:
  case Kind::Tuple:
    return list_ == other.list_;
  case Kind::Dict:
  case Kind::Namespace:
    return dict_ == other.dict_;
  case Kind::Macro:
    return macro_ == other.macro_;
  case Kind::Loop:
    return loop_ == other.loop_;
  default:
    return equal(*this, other);
  }
}

const char *kindName(const Value &value) {
  switch (value.kind()) {
  case Value::Kind::Undefined:
    return "Undefined";
  case Value::Kind::None:
    return "NoneType";
  case Value::Kind::Bool:
    return "bool";
  case Value::Kind::Int:
    return "int";
  case Value::Kind::Float:
    return "float";
  case Value::Kind::Text:
    return "str";
  case Value::Kind::List:
    return "list";
  case Value::Kind::Tuple:
    return "tuple";
  case Value::Kind::Dict:
    return "dict";
  case Value::Kind::Namespace:
    return "Namespace";
  case Value::Kind::Macro:
    return "Macro";
  case Value::Kind::Loop:
    return "LoopContext";
  case Value::Kind::Global:
    return "function";
  }
  return "";
}

namespace {
constexpr int deepest = 50;

int orderOf(double a, double b) { return a < b ? -1 : a > b ? 1 : 0; }
} // namespace

bool equal(const Value &a, const Value &b, int depth) {
  using K = Value::Kind;
  if (a.isNumber() && b.isNumber())
    return a.is(K::Float) || b.is(K::Float) ? a.number() == b.number() : a.whole() == b.whole();
  if (a.kind() != b.kind() || depth > deepest)
    return false;
  switch (a.kind()) {
  case K::Undefined:
  case K::None:
    return true;
  case K::Text:
  case K::Global:
    return a.text() == b.text();
  case K::List:
  case K::Tuple:
    return a.list().size() == b.list().size() &&
           std::equal(a.list().begin(), a.list().end(), b.list().begin(),
                      [&](const Value &x, const Value &y) { return equal(x, y, depth + 1); });
  case K::Dict:
    return a.dict().size() == b.dict().size() &&
           std::all_of(a.dict().all().begin(), a.dict().all().end(), [&](const auto &entry) {
             const Value *other = b.dict().find(entry.first);
             return other && equal(entry.second, *other, depth + 1);
           });
  default:
    return a.same(b);
  }
}

bool compare(const Value &a, const Value &b, int &order, int depth) {
  using K = Value::Kind;
  if (a.isNumber() && b.isNumber()) {
    bool floats = a.is(K::Float) || b.is(K::Float);
    order = floats                  ? orderOf(a.number(), b.number())
            : a.whole() < b.whole() ? -1
                                    : a.whole() > b.whole();
    return !floats || (!std::isnan(a.number()) && !std::isnan(b.number()));
  }
  // (UTF-8 has the order of its characters.)
  if (a.is(K::Text) && b.is(K::Text)) {
    order = a.text() < b.text() ? -1 : a.text() > b.text();
    return true;
  }
  if (!a.isList() || a.kind() != b.kind() || depth > deepest)
    return false;
  for (size_t i = 0; i < a.list().size() && i < b.list().size(); ++i)
    if (!equal(a.list()[i], b.list()[i]))
      return compare(a.list()[i], b.list()[i], order, depth + 1);
  order = a.list().size() < b.list().size() ? -1 : a.list().size() > b.list().size();
  return true;
}

} // namespace qkv::jinja
