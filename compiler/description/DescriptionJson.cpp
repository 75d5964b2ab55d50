// Descriptions as JSON and back. In: text from a dump, which may have been edited. Out: a
// description that holds together (numbers in range, extents well formed), or what is wrong.
#include "compiler/description/Description.h"
#include "compiler/description/EntryKinds.h"
#include "compiler/description/Extent.h"
#include "runtime/checkpoint/StoredPlace.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace qkv {
namespace {

using nlohmann::json;

json number(double value) {
  if (std::isfinite(value))
    return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

double number(const json &value) {
  if (value.is_number())
    return value.get<double>();
  std::string text = value.get<std::string>();
  return text == "inf" ? HUGE_VAL : text == "-inf" ? -HUGE_VAL : NAN;
}

json values(const std::vector<Description::Value> &list) {
  json out = json::array();
  for (const Description::Value &v : list) {
    json axes = json::array();
    for (const auto &axis : v.axes)
      axes.push_back({{"name", axis.name}, {"extent", axis.extent}, {"size", axis.size}});
    out.push_back({{"name", v.name}, {"type", v.type}, {"token", v.token}, {"axes", axes}});
  }
  return out;
}

std::vector<Description::Value> values(const json &list) {
  std::vector<Description::Value> out;
  for (const json &v : list) {
    Description::Value value{v.at("name"), v.at("type"), v.at("token"), {}};
    for (const json &axis : v.at("axes"))
      value.axes.push_back({axis.at("name"), axis.at("extent"), axis.at("size")});
    out.push_back(std::move(value));
  }
  return out;
}

json optionalText(const std::optional<std::string> &text) {
  return text ? json(*text) : json(nullptr);
}

std::optional<std::string> optionalText(const json &value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<std::string>());
}

json held(const qkv_held &held) {
  return {{"element", held.element},
          {"block", {held.block_elements, held.block_bytes}},
          {"panels", {held.panel_axis, held.panel_order, held.panel_width}}};
}

qkv_held held(const json &j) {
  const json &block = j.at("block"), &panels = j.at("panels");
  return {j.at("element"), block.at(0), block.at(1), panels.at(0), panels.at(1), panels.at(2)};
}

json storedJson(const std::vector<StoredForm> &forms) {
  json out = json::array();
  for (const StoredForm &form : forms)
    out.push_back({{"format", form.format},
                   {"names", form.names},
                   {"stacked", form.stacked},
                   {"place", form.place},
                   {"value", form.value}});
  return out;
}

std::vector<StoredForm> storedFrom(const json &list) {
  std::vector<StoredForm> forms;
  for (const json &j : list)
    forms.push_back({j.at("format"), j.at("names").get<std::vector<std::string>>(),
                     j.at("stacked").get<std::vector<int>>(), j.at("place"), j.at("value")});
  return forms;
}

json keysJson(const std::vector<FormatKey> &keys) {
  json out = json::array();
  for (const FormatKey &one : keys)
    out.push_back({one.format, one.key});
  return out;
}

Setting settingFrom(const json &j) {
  Setting setting{j.at("key"), optionalText(j.at("value")), optionalText(j.at("default"))};
  for (const json &one : j.at("keys"))
    setting.keys.push_back({one.at(0), one.at(1)});
  return setting;
}

/// What is wrong with how formats store a parameter; empty if nothing is.
std::string storedDefect(const Description::Param &p) {
  if (p.stored.empty() || !p.stored[0].format.empty())
    return "how formats store " + p.name;
  auto rank = static_cast<int32_t>(p.shape.size());
  for (const StoredForm &form : p.stored) {
    int64_t names = 1;
    for (int axis : form.stacked) {
      if (axis < 0 || axis >= rank)
        return "stacked axes of " + p.name;
      if (__builtin_mul_overflow(names, p.shape[axis], &names))
        return "shape of " + p.name;
    }
    if (names != static_cast<int64_t>(form.names.size()))
      return "names of " + p.name;
    if (!form.place.empty() && !rt::StoredPlace::parse(form.place, rank))
      return "place of " + p.name;
    if (!form.value.empty() && !rt::StoredText::parse(form.value, 0, /*whole=*/false))
      return "value of " + p.name;
  }
  return "";
}

json entryJson(const Description::Entry &entry) {
  json arguments = json::array();
  for (const qkv_argument &argument : entry.arguments)
    arguments.push_back({argumentName(argument.kind), argument.index});
  return {{"kind", entryKind(entry.kind).name}, {"symbol", entry.symbol}, {"arguments", arguments}};
}

/// A kind that does not exist is the number -1, for `defect` to find.
Description::Entry entryFrom(const json &j) {
  const EntryKind *kind = entryKindNamed(j.at("kind"));
  Description::Entry entry{kind ? kind->kind : static_cast<qkv_entry_kind>(-1), j.at("symbol"), {}};
  for (const json &argument : j.at("arguments"))
    entry.arguments.push_back({argumentKindNamed(argument.at(0)), argument.at(1)});
  return entry;
}

/// What is wrong with the entries; empty if nothing is. Each must be what its kind has in this
/// model: that is what those who call it give it.
std::string entryDefect(const Description &d) {
  if (d.entries.empty() && !d.stream)
    return "no entry";
  Description sound = d;
  sound.entries.clear();
  for (const Description::Entry &e : d.entries) {
    if (static_cast<int>(e.kind) < 0)
      return "kind of entry " + e.symbol;
    if (sound.entry(e.kind))
      return "two entries " + std::string(entryKind(e.kind).name);
    bool last = entryKind(e.kind).positions == Positions::Last;
    if (last && (d.results.empty() || d.results[0].axes.empty()))
      return "the last position of entry " + e.symbol;
    std::vector<int> shared;
    for (const qkv_argument &argument : e.arguments)
      if (argument.kind == QKV_SIZE)
        shared.push_back(argument.index);
    sound.add(e.kind, shared);
    if (e.symbol != sound.entries.back().symbol)
      return "symbol of entry " + e.symbol;
    auto same = [](const qkv_argument &a, const qkv_argument &b) {
      return a.kind == b.kind && a.index == b.index;
    };
    const std::vector<qkv_argument> &wanted = sound.entries.back().arguments;
    if (!std::equal(e.arguments.begin(), e.arguments.end(), wanted.begin(), wanted.end(), same))
      return "arguments of entry " + e.symbol;
  }
  return "";
}

/// Whether a number is none of `count` things; `least` -1: it may say that there is none.
bool outside(int number, size_t count, int least = 0) {
  return number < least || number >= static_cast<int>(count);
}

/// What does not hold together; empty if all does.
std::string defect(const Description &d) {
  if (std::string what = entryDefect(d); !what.empty())
    return what;
  for (const auto *list : {&d.inputs, &d.results})
    for (const Description::Value &v : *list) {
      if (v.type < QKV_FLOAT || v.type > QKV_FLOAT_F16)
        return "type of " + v.name;
      for (const auto &axis : v.axes)
        if (outside(axis.size, d.sizes.size(), -1) || !Extent::parse(axis.extent, d.sizes.size()))
          return "axis " + axis.name + " of " + v.name;
    }
  for (const Description::Param &p : d.params) {
    if (p.fallback < 0 || p.fallback > 2 || outside(p.fallbackParam, d.params.size(), -1) ||
        (p.fallback == 1 && p.fallbackParam < 0))
      return "fallback of " + p.name;
    if (!rt::heldSound(p.held, static_cast<int64_t>(p.shape.size())))
      return "how " + p.name + " is held";
    if (std::string what = storedDefect(p); !what.empty())
      return what;
  }
  if (outside(d.generatorInput, d.inputs.size(), -1) ||
      outside(d.generatorSource, d.inputs.size(), -1))
    return "generator";
  return "";
}

/// What a part of a model over a stream has of its own.
json ownJson(const Description &d) {
  json j;
  j["name"] = d.name;
  j["sizes"] = json::array();
  for (const Description::Size &s : d.sizes)
    j["sizes"].push_back({{"name", s.name}, {"max", s.max}, {"stream", s.stream}, {"min", s.min}});
  j["inputs"] = values(d.inputs);
  j["results"] = values(d.results);
  j["entries"] = json::array();
  for (const Description::Entry &e : d.entries)
    j["entries"].push_back(entryJson(e));
  return j;
}

void readOwn(const json &j, Description &d) {
  d.name = j.at("name");
  for (const auto &s : j.at("sizes"))
    d.sizes.push_back({s.at("name"), s.at("max"), s.at("stream"), s.at("min")});
  d.inputs = values(j.at("inputs"));
  d.results = values(j.at("results"));
  for (const auto &e : j.at("entries"))
    d.entries.push_back(entryFrom(e));
}

json streamJson(const Description::Stream &stream) {
  json parts = json::array(), kept = json::array(), results = json::array();
  for (const auto &part : stream.parts)
    parts.push_back(part ? ownJson(*part) : json(nullptr));
  for (const auto &k : stream.kept)
    kept.push_back({{"name", k.name},
                    {"begin", k.begin},
                    {"input", k.input},
                    {"next", k.next},
                    {"grows", k.grows}});
  for (const qkv_stream_result &r : stream.results)
    results.push_back({r.part, r.result, r.axis});
  return {{"parts", parts},        {"past", stream.past}, {"fresh", stream.fresh},
          {"count", stream.count}, {"kept", kept},        {"session_inputs", stream.sessionInputs},
          {"results", results}};
}

/// What of a model's trace does not hold together; empty if all does: it is called with the model's
/// own inputs and sizes.
std::string traceDefect(const Description &d, const Description &trace) {
  if (std::string what = defect(trace); !what.empty())
    return what;
  bool same = trace.inputs.size() == d.inputs.size() && trace.sizes.size() == d.sizes.size();
  for (size_t i = 0; same && i < d.inputs.size(); ++i)
    same = trace.inputs[i].type == d.inputs[i].type &&
           trace.inputs[i].axes.size() == d.inputs[i].axes.size();
  return same && trace.entry(QKV_WHOLE) ? "" : "the trace";
}

/// What of a model's parts does not hold together; empty if all does.
std::string streamDefect(const Description &d, const Description::Stream &s) {
  const Description *session = s.parts[QKV_SESSION].get();
  for (const auto &part : s.parts) {
    if (!part)
      continue;
    if (std::string what = defect(*part); !what.empty())
      return what;
    if (part.get() == session)
      continue;
    if (outside(s.past, part->sizes.size()) || outside(s.fresh, part->sizes.size()) ||
        outside(s.count, part->inputs.size(), -1) || part->inputs.size() < d.inputs.size())
      return "sizes of " + part->name;
    for (const auto &k : s.kept)
      if (outside(k.input, part->inputs.size()) || outside(k.next, part->results.size(), -1) ||
          (k.grows && (k.next < 0 || part->inputs[k.input].axes.empty())))
        return "what is kept of " + k.name;
  }
  for (const auto &k : s.kept)
    if (!session || outside(k.begin, session->results.size()))
      return "what is kept of " + k.name;
  if (session && s.sessionInputs.size() != session->inputs.size())
    return "inputs of " + session->name;
  for (int32_t input : s.sessionInputs)
    if (outside(input, d.inputs.size()))
      return "inputs of the session";
  if (s.results.size() != d.results.size())
    return "results of the stream";
  for (size_t i = 0; i < s.results.size(); ++i) {
    const qkv_stream_result &r = s.results[i];
    if (outside(r.part, QKV_NEXT) || outside(r.axis, d.results[i].axes.size(), -1) ||
        (s.parts[r.part] && outside(r.result, s.parts[r.part]->results.size())))
      return "result " + d.results[i].name + " of the stream";
  }
  return "";
}

/// A part of `d`, whose own members are read.
std::shared_ptr<const Description> partFrom(const json &j, const Description &d) {
  auto part = std::make_shared<Description>();
  part->file = d.file;
  part->cpu = d.cpu;
  part->params = d.params;
  part->sites = d.sites;
  part->settings = d.settings;
  readOwn(j, *part);
  return part;
}

/// The parts of `d`.
std::shared_ptr<const Description::Stream> streamFrom(const json &j, const Description &d) {
  auto out = std::make_shared<Description::Stream>();
  const json &parts = j.at("parts");
  for (size_t i = 0; i < QKV_PARTS; ++i)
    if (!parts.at(i).is_null())
      out->parts[i] = partFrom(parts.at(i), d);
  out->past = j.at("past");
  out->fresh = j.at("fresh");
  out->count = j.at("count");
  for (const auto &k : j.at("kept"))
    out->kept.push_back({k.at("name"), k.at("begin"), k.at("input"), k.at("next"), k.at("grows")});
  out->sessionInputs = j.at("session_inputs").get<std::vector<int32_t>>();
  for (const auto &r : j.at("results"))
    out->results.push_back({r.at(0), r.at(1), r.at(2)});
  return out;
}

} // namespace

std::string Description::json() const {
  nlohmann::json j = ownJson(*this);
  j["file"] = file;
  j["cpu"] = cpu;
  j["params"] = nlohmann::json::array();
  for (const Param &p : params)
    j["params"].push_back({{"name", p.name},
                           {"shape", p.shape},
                           {"stored", storedJson(p.stored)},
                           {"fallback", p.fallback},
                           {"fallback_param", p.fallbackParam},
                           {"fallback_number", number(p.fallbackNumber)},
                           {"held", held(p.held)},
                           {"file", p.file},
                           {"at", {p.line, p.column, p.length}}});
  j["sites"] = nlohmann::json::array();
  for (const Site &s : sites)
    j["sites"].push_back({{"file", s.file},
                          {"at", {s.line, s.column, s.length}},
                          {"what", s.what},
                          {"kind", s.kind}});
  j["settings"] = nlohmann::json::array();
  for (const Setting &s : settings)
    j["settings"].push_back({{"key", s.key},
                             {"keys", keysJson(s.keys)},
                             {"value", optionalText(s.value)},
                             {"default", optionalText(s.fallback)}});
  j["generator_input"] = generatorInput;
  j["generator_source"] = generatorSource;
  if (stream)
    j["stream"] = streamJson(*stream);
  if (trace)
    j["trace"] = ownJson(*trace);
  // A path may hold any bytes.
  return j.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

bool Description::fromJson(const std::string &text, Description &out, std::string &error) {
  try {
    nlohmann::json j = nlohmann::json::parse(text);
    Description d;
    readOwn(j, d);
    d.file = j.at("file");
    d.cpu = j.at("cpu");
    for (const auto &p : j.at("params")) {
      Param param;
      param.name = p.at("name");
      param.shape = p.at("shape").get<std::vector<int64_t>>();
      param.stored = storedFrom(p.at("stored"));
      param.fallback = p.at("fallback");
      param.fallbackParam = p.at("fallback_param");
      param.fallbackNumber = number(p.at("fallback_number"));
      param.held = held(p.at("held"));
      param.file = p.at("file");
      param.line = p.at("at").at(0);
      param.column = p.at("at").at(1);
      param.length = p.at("at").at(2);
      d.params.push_back(std::move(param));
    }
    for (const auto &s : j.at("sites"))
      d.sites.push_back({s.at("file"), s.at("at").at(0), s.at("at").at(1), s.at("at").at(2),
                         s.at("what"), s.at("kind")});
    for (const auto &s : j.at("settings"))
      d.settings.push_back(settingFrom(s));
    d.generatorInput = j.at("generator_input");
    d.generatorSource = j.at("generator_source");
    if (j.contains("stream"))
      d.stream = streamFrom(j.at("stream"), d);
    if (j.contains("trace"))
      d.trace = partFrom(j.at("trace"), d);
    std::string what = defect(d);
    if (what.empty() && d.stream)
      what = streamDefect(d, *d.stream);
    if (what.empty() && d.trace)
      what = traceDefect(d, *d.trace);
    if (!what.empty()) {
      error = "the description does not hold together: " + what;
      return false;
    }
    out = std::move(d);
    return true;
  } catch (const nlohmann::json::exception &e) {
    error = std::string("the description cannot be read: ") + e.what();
    return false;
  }
}

} // namespace qkv
