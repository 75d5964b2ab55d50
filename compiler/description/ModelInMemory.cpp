// A description as the qkv_model that the runtime works on, for code that is in this process:
// the JIT's, or the interpreter's. Holds: all pointers lead into the object itself.
#include "compiler/description/Description.h"
#include "compiler/description/Extent.h"

namespace qkv {

/// The qkv_model comes first, so that its callback finds the rest.
struct ModelInMemory::Data : qkv_model {
  Description description;
  std::vector<qkv_size> sizeList;
  std::vector<std::vector<qkv_axis>> axes;
  std::vector<qkv_value> inputList, resultList;
  std::vector<std::vector<const char *>> names; // of each form of each parameter
  std::vector<std::vector<qkv_stored>> stored;
  std::vector<std::vector<qkv_format_key>> keys;
  std::vector<qkv_param> paramList;
  std::vector<qkv_site> siteList;
  std::vector<qkv_setting> settingList;
  std::vector<qkv_entry> entryList;
  std::array<std::unique_ptr<ModelInMemory>, QKV_PARTS> partList;
  std::unique_ptr<ModelInMemory> traceOf;
  std::vector<qkv_kept> keptList;
  qkv_stream streamOf{};
  std::vector<Extent> extents; // of the inputs, then of the results, axis after axis

  explicit Data(Description given);
  void addParam(const Description::Param &p);
  void addSetting(const Setting &s);
  std::unique_ptr<ModelInMemory> part(const Description &from);
  void addStream(const Description::Stream &from);
  void addValues(const std::vector<Description::Value> &from, std::vector<qkv_value> &to);
  static void computeShapes(const qkv_model *model, const int64_t *sizes, int64_t *extents);
};

void ModelInMemory::Data::computeShapes(const qkv_model *model, const int64_t *sizes,
                                        int64_t *extents) {
  for (const Extent &extent : static_cast<const Data *>(model)->extents)
    *extents++ = extent.evaluate(sizes);
}

void ModelInMemory::Data::addValues(const std::vector<Description::Value> &from,
                                    std::vector<qkv_value> &to) {
  for (const Description::Value &value : from) {
    std::vector<qkv_axis> list;
    for (const auto &axis : value.axes) {
      list.push_back({axis.name.c_str(), axis.size, 0});
      // describe() and fromJson() let no malformed extent through.
      extents.push_back(*Extent::parse(axis.extent, description.sizes.size()));
    }
    axes.push_back(std::move(list));
    to.push_back({value.name.c_str(), value.type, value.token,
                  static_cast<int32_t>(value.axes.size()), 0, axes.back().data()});
  }
}

void ModelInMemory::Data::addParam(const Description::Param &p) {
  std::vector<qkv_stored> forms;
  for (const StoredForm &form : p.stored) {
    std::vector<const char *> list;
    for (const std::string &name : form.names)
      list.push_back(name.c_str());
    names.push_back(std::move(list));
    forms.push_back({form.format.c_str(), names.back().data(), form.stacked.data(),
                     static_cast<int32_t>(form.names.size()),
                     static_cast<int32_t>(form.stacked.size()), form.place.c_str(),
                     form.value.c_str()});
  }
  stored.push_back(std::move(forms));
  qkv_param param{};
  param.name = p.name.c_str();
  param.rank = static_cast<int32_t>(p.shape.size());
  param.stored_count = static_cast<int32_t>(p.stored.size());
  param.shape = p.shape.data();
  param.stored = stored.back().data();
  param.fallback = p.fallback;
  param.fallback_param = p.fallbackParam;
  param.fallback_number = p.fallbackNumber;
  param.file = p.file.c_str();
  param.line = p.line;
  param.column = p.column;
  param.held = p.held;
  param.length = p.length;
  paramList.push_back(param);
}

void ModelInMemory::Data::addSetting(const Setting &s) {
  auto text = [](const std::optional<std::string> &given) {
    return given ? given->c_str() : nullptr;
  };
  std::vector<qkv_format_key> list;
  for (const FormatKey &one : s.keys)
    list.push_back({one.format.c_str(), one.key.c_str()});
  keys.push_back(std::move(list));
  settingList.push_back({s.key.c_str(), text(s.value), text(s.fallback), keys.back().data(),
                         static_cast<int32_t>(s.keys.size()), 0});
}

/// A part, which has the very parameters, sites and settings of this model.
std::unique_ptr<ModelInMemory> ModelInMemory::Data::part(const Description &from) {
  auto made = std::make_unique<ModelInMemory>(from);
  qkv_model &part = made->model();
  part.params = params;
  part.sites = sites;
  part.settings = settings;
  part.cpu = cpu;
  return made;
}

void ModelInMemory::Data::addStream(const Description::Stream &from) {
  for (size_t i = 0; i < QKV_PARTS; ++i) {
    if (!from.parts[i])
      continue;
    partList[i] = part(*from.parts[i]);
    streamOf.parts[i] = &partList[i]->model();
  }
  for (const auto &k : from.kept)
    keptList.push_back({k.name.c_str(), k.begin, k.input, k.next, k.grows});
  streamOf.past = from.past;
  streamOf.fresh = from.fresh;
  streamOf.count = from.count;
  streamOf.kept_count = static_cast<int32_t>(keptList.size());
  streamOf.kept = keptList.data();
  streamOf.session_inputs = from.sessionInputs.data();
  streamOf.results = from.results.data();
  stream = &streamOf;
}

ModelInMemory::Data::Data(Description given) : qkv_model{}, description(std::move(given)) {
  const Description &d = description;
  for (const auto &s : d.sizes)
    sizeList.push_back({s.name.c_str(), s.max, s.stream, s.min});
  addValues(d.inputs, inputList);
  addValues(d.results, resultList);
  for (const auto &p : d.params)
    addParam(p);
  for (const Site &s : d.sites)
    siteList.push_back({s.file.c_str(), s.line, s.column, s.length, s.what.c_str(), s.kind});
  for (const Setting &s : d.settings)
    addSetting(s);

  for (const Description::Entry &entry : d.entries)
    entryList.push_back({entry.kind, static_cast<int32_t>(entry.arguments.size()),
                         entry.arguments.data(), /*function=*/nullptr});

  size = sizeof(qkv_model);
  abi = QKV_ABI;
  name = d.name.c_str();
  file = d.file.c_str();
  cpu = d.cpu.c_str();
  size_count = static_cast<int32_t>(sizeList.size());
  input_count = static_cast<int32_t>(inputList.size());
  result_count = static_cast<int32_t>(resultList.size());
  param_count = static_cast<int32_t>(paramList.size());
  site_count = static_cast<int32_t>(siteList.size());
  generator_input = d.generatorInput;
  generator_source = d.generatorSource;
  sizes = sizeList.data();
  inputs = inputList.data();
  results = resultList.data();
  params = paramList.data();
  sites = siteList.data();
  setting_count = static_cast<int32_t>(settingList.size());
  settings = settingList.data();
  entry_count = static_cast<int32_t>(entryList.size());
  entries = entryList.data();
  shapes = computeShapes;
  if (d.stream)
    addStream(*d.stream);
  if (d.trace)
    traceOf = part(*d.trace);
}

ModelInMemory::ModelInMemory(Description description)
    : data_(std::make_unique<Data>(std::move(description))) {}
ModelInMemory::~ModelInMemory() = default;
qkv_model &ModelInMemory::model() { return *data_; }
ModelInMemory *ModelInMemory::part(qkv_part part) { return data_->partList[part].get(); }
ModelInMemory *ModelInMemory::trace() { return data_->traceOf.get(); }
void ModelInMemory::setFunction(qkv_entry_kind kind, qkv_function function) {
  for (qkv_entry &entry : data_->entryList)
    if (entry.kind == kind)
      entry.function = function;
}
const Description &ModelInMemory::description() const { return data_->description; }

} // namespace qkv
