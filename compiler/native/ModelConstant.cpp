// The description as constants of the program: one qkv_model and all that it leads to.
//
// Holds: the structs have the layout that runtime/qkv.h has for this compiler.
#include "compiler/description/Extent.h"
#include "compiler/description/ExtentCode.h"
#include "compiler/native/Entries.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/DataLayout.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/Support/ErrorHandling.h"

namespace qkv {
namespace {

using llvm::Constant;

class Constants {
public:
  explicit Constants(NativeModule &native)
      : description(native.description), module(*native.module), context(native.context),
        pointer(llvm::PointerType::getUnqual(context)) {}

  ModelConstants model(const std::string &cpu);

private:
  /// What a model and its parts have in common.
  struct Shared {
    Constant *file, *cpu, *params, *sites, *settings;
    Constant *paramCount, *siteCount, *settingCount;
  };
  llvm::GlobalVariable *one(const Description &d, const Shared &shared);
  Constant *stream(const Description::Stream &from, const Shared &shared);
  Constant *number(int64_t value, unsigned bits = 32) {
    return llvm::ConstantInt::getSigned(llvm::IntegerType::get(context, bits), value);
  }
  Constant *none() { return llvm::ConstantPointerNull::get(pointer); }

  llvm::GlobalVariable *global(Constant *value, const std::string &name = "") {
    auto *variable =
        new llvm::GlobalVariable(module, value->getType(), /*isConstant=*/true,
                                 llvm::GlobalValue::PrivateLinkage, value, "qkv." + name);
    variable->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::Global);
    return variable;
  }
  Constant *string(const std::string &text) {
    Constant *&made = strings[text];
    if (!made)
      made = global(llvm::ConstantDataArray::getString(context, text), "text");
    return made;
  }
  /// An array of structs of the C type T; null if there are none.
  template <typename T> Constant *array(const std::vector<Constant *> &elements) {
    if (elements.empty())
      return none();
    llvm::Type *type = elements[0]->getType();
    checkLayout(type, sizeof(T));
    return global(llvm::ConstantArray::get(llvm::ArrayType::get(type, elements.size()), elements));
  }
  void checkLayout(llvm::Type *type, size_t size) {
    if (module.getDataLayout().getTypeAllocSize(type) != size)
      llvm::report_fatal_error("broken invariant: a struct of runtime/qkv.h has another layout");
  }
  Constant *record(std::vector<Constant *> fields) {
    return llvm::ConstantStruct::getAnon(context, fields);
  }

  Constant *values(const std::vector<Description::Value> &list);
  Constant *held(const qkv_held &held);
  Constant *entries(const Description &d);
  Constant *param(const Description::Param &param);
  Constant *stored(const StoredForm &form);
  Constant *setting(const Setting &s);
  llvm::Function *shapes(const Description &d);

  const Description &description;
  llvm::Module &module;
  llvm::LLVMContext &context;
  llvm::PointerType *pointer;
  std::map<std::string, Constant *> strings;
};

Constant *Constants::values(const std::vector<Description::Value> &list) {
  std::vector<Constant *> out;
  for (const Description::Value &v : list) {
    std::vector<Constant *> axes;
    for (const auto &axis : v.axes)
      axes.push_back(record({string(axis.name), number(axis.size), number(0)}));
    out.push_back(
        record({string(v.name), number(v.type), number(v.token),
                number(static_cast<int64_t>(v.axes.size())), number(0), array<qkv_axis>(axes)}));
  }
  return array<qkv_value>(out);
}

Constant *Constants::held(const qkv_held &h) {
  return record({number(h.element), number(h.block_elements), number(h.block_bytes),
                 number(h.panel_axis), number(h.panel_order), number(h.panel_width)});
}

Constant *Constants::entries(const Description &d) {
  std::vector<Constant *> out;
  for (const Description::Entry &entry : d.entries) {
    std::vector<Constant *> arguments;
    for (const qkv_argument &argument : entry.arguments)
      arguments.push_back(record({number(argument.kind), number(argument.index)}));
    out.push_back(
        record({number(entry.kind), number(static_cast<int64_t>(arguments.size())),
                array<qkv_argument>(arguments), module.getFunction(entryName(d, entry))}));
  }
  return array<qkv_entry>(out);
}

Constant *Constants::stored(const StoredForm &form) {
  std::vector<Constant *> names, stacked;
  for (const std::string &name : form.names)
    names.push_back(string(name));
  for (int32_t axis : form.stacked)
    stacked.push_back(number(axis));
  auto count = [&](const auto &list) { return number(static_cast<int64_t>(list.size())); };
  return record({string(form.format), array<const char *>(names), array<int32_t>(stacked),
                 count(names), count(stacked), string(form.place), string(form.value)});
}

Constant *Constants::setting(const Setting &s) {
  auto optionalText = [&](const std::optional<std::string> &text) {
    return text ? string(*text) : none();
  };
  std::vector<Constant *> keys;
  for (const FormatKey &one : s.keys)
    keys.push_back(record({string(one.format), string(one.key)}));
  return record({string(s.key), optionalText(s.value), optionalText(s.fallback),
                 array<qkv_format_key>(keys), number(static_cast<int64_t>(keys.size())),
                 number(0)});
}

Constant *Constants::param(const Description::Param &p) {
  std::vector<Constant *> shape, forms;
  for (int64_t extent : p.shape)
    shape.push_back(number(extent, 64));
  for (const StoredForm &form : p.stored)
    forms.push_back(stored(form));
  auto count = [&](const auto &list) { return number(static_cast<int64_t>(list.size())); };
  return record({string(p.name), count(shape), count(forms), array<int64_t>(shape),
                 array<qkv_stored>(forms), number(p.fallback), number(p.fallbackParam),
                 number(p.line), number(p.column), number(p.length),
                 llvm::ConstantFP::get(llvm::Type::getDoubleTy(context), p.fallbackNumber),
                 string(p.file), held(p.held)});
}

/// void shapes(const qkv_model *, const int64_t *sizes, int64_t *extents)
llvm::Function *Constants::shapes(const Description &d) {
  llvm::IRBuilder<> builder(context);
  llvm::Type *word = builder.getInt64Ty();
  auto *function = llvm::Function::Create(
      llvm::FunctionType::get(builder.getVoidTy(), {pointer, pointer, pointer}, false),
      llvm::Function::InternalLinkage, d.name + ".shapes", module);
  builder.SetInsertPoint(llvm::BasicBlock::Create(context, "", function));
  std::vector<llvm::Value *> sizes;
  for (size_t i = 0; i < d.sizes.size(); ++i)
    sizes.push_back(
        builder.CreateLoad(word, builder.CreateConstInBoundsGEP1_64(word, function->getArg(1), i)));
  uint64_t at = 0;
  for (const auto *list : {&d.inputs, &d.results})
    for (const Description::Value &value : *list)
      for (const auto &axis : value.axes)
        builder.CreateStore(emit(builder, *Extent::parse(axis.extent, sizes.size()), sizes),
                            builder.CreateConstInBoundsGEP1_64(word, function->getArg(2), at++));
  builder.CreateRetVoid();
  return function;
}

ModelConstants Constants::model(const std::string &cpu) {
  const Description &d = description;
  std::vector<Constant *> params, sites, settings;
  for (const auto &p : d.params)
    params.push_back(param(p));
  for (const Site &s : d.sites)
    sites.push_back(record({string(s.file), number(s.line), number(s.column), number(s.length),
                            string(s.what), number(s.kind)}));
  for (const Setting &s : d.settings)
    settings.push_back(setting(s));
  auto count = [&](const auto &list) { return number(static_cast<int64_t>(list.size())); };
  Shared shared{string(d.file),
                string(cpu),
                array<qkv_param>(params),
                array<qkv_site>(sites),
                array<qkv_setting>(settings),
                count(params),
                count(sites),
                count(settings)};
  llvm::GlobalVariable *model = one(d, shared);
  model->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::None);
  return {model, d.trace ? one(*d.trace, shared) : nullptr};
}

llvm::GlobalVariable *Constants::one(const Description &d, const Shared &shared) {
  std::vector<Constant *> sizes;
  for (const auto &s : d.sizes)
    sizes.push_back(
        record({string(s.name), number(s.max, 64), number(s.stream), number(s.min, 64)}));
  auto count = [&](const auto &list) { return number(static_cast<int64_t>(list.size())); };
  Constant *value = record({number(sizeof(qkv_model), 64),
                            number(QKV_ABI),
                            count(d.entries),
                            string(d.name),
                            shared.file,
                            shared.cpu,
                            count(sizes),
                            count(d.inputs),
                            count(d.results),
                            shared.paramCount,
                            shared.siteCount,
                            number(d.generatorInput),
                            number(d.generatorSource),
                            shared.settingCount,
                            array<qkv_size>(sizes),
                            values(d.inputs),
                            values(d.results),
                            shared.params,
                            shared.sites,
                            shapes(d),
                            entries(d),
                            none(),
                            shared.settings,
                            d.stream ? stream(*d.stream, shared) : none()});
  checkLayout(value->getType(), sizeof(qkv_model));
  return global(value, "model");
}

Constant *Constants::stream(const Description::Stream &from, const Shared &shared) {
  std::vector<Constant *> parts, kept, inputs, results;
  for (const auto &part : from.parts)
    parts.push_back(part ? static_cast<Constant *>(one(*part, shared)) : none());
  for (const auto &k : from.kept)
    kept.push_back(record(
        {string(k.name), number(k.begin), number(k.input), number(k.next), number(k.grows)}));
  for (int32_t input : from.sessionInputs)
    inputs.push_back(number(input));
  for (const qkv_stream_result &r : from.results)
    results.push_back(record({number(r.part), number(r.result), number(r.axis)}));
  auto *table = llvm::ArrayType::get(pointer, parts.size());
  Constant *value =
      record({llvm::ConstantArray::get(table, parts), number(from.past), number(from.fresh),
              number(from.count), number(static_cast<int64_t>(kept.size())), array<qkv_kept>(kept),
              array<int32_t>(inputs), array<qkv_stream_result>(results)});
  checkLayout(value->getType(), sizeof(qkv_stream));
  return global(value, "stream");
}

} // namespace

ModelConstants addModel(NativeModule &module, const std::string &cpu) {
  for (const Description *description : withParts(module.description))
    for (const Description::Entry &entry : description->entries)
      module.module->getFunction(entryName(*description, entry))
          ->setLinkage(llvm::Function::InternalLinkage);
  return Constants(module).model(cpu);
}

} // namespace qkv
