// Parameters: their shape, how checkpoints store them, what stands in for a missing one (L8, C5).
//
// In: a param and the body that owns it. Out: a tensor of the program, one for each tensor of the
// checkpoint in one shape.
#include "dsl/check/Elaborator.h"
#include "dsl/check/StoredValues.h"

#include <algorithm>

namespace qkv::sema {

// Characters of all names of one stacked parameter.
constexpr size_t maxNames = size_t(1) << 24;

// The ranges of a param's letters (L8), and as numbers.
bool Elaborator::paramShape(const Variable &v, std::vector<Size> &extents,
                            std::vector<int64_t> &shape) {
  const ast::Param &p = *v.param;
  FileScope &file = *v.scope->body->file;
  bool ok = true;
  for (size_t i = 0; i < p.letters.size(); ++i) {
    const ast::Name &l = p.letters[i];
    for (size_t k = 0; k < i; ++k)
      if (p.letters[k].text == l.text) {
        error(l.span, "a param uses a letter once, and " + l.text + " stands here twice", "L8")
            .hint("a second letter: index " + l.text + "2 < extent(" + l.text + ")");
        ok = false;
      }
    bool found = false;
    auto extent = letterExtent(l.text, v.scope, file, found);
    if (!found) {
      auto &d = error(l.span, l.text + " is not a letter; its range comes from an index", "L3");
      if (std::string near = nearest(l.text, namesIn(v.scope)); !near.empty())
        d.hint("did you mean " + near + "?");
      else
        d.hint("index " + l.text + " < ...");
    }
    if (!extent) {
      ok = false;
      continue;
    }
    auto number = extent->constant();
    if (!number && !symbolic_) {
      error(l.span, "the shape of a param is known at compile time, and " + l.text +
                        " ranges over " + extent->text(program_->atoms));
      ok = false;
    }
    shape.push_back(number.value_or(1));
    extents.push_back(*extent);
  }
  return ok;
}

// The names of the stored tensors, one for each setting of the letters inside the name.
bool Elaborator::paramNames(const Variable &v, const ast::Expr &tensor, const std::string &prefix,
                            const std::vector<int64_t> &shape, StoredForm &form) {
  const ast::Param &p = *v.param;
  FileScope &file = *v.scope->body->file;
  std::vector<std::string> inside = textLetters(tensor.name.text, p.letters);
  std::vector<int64_t> counts;
  int64_t total = 1;
  for (size_t i = 0; i < p.letters.size(); ++i)
    if (std::find(inside.begin(), inside.end(), p.letters[i].text) != inside.end()) {
      form.stacked.push_back(static_cast<int>(i));
      counts.push_back(shape[i]);
      if (__builtin_mul_overflow(total, shape[i], &total) || total > 100000) {
        error(tensor.name.span, "the letters inside this name make more than 100000 tensors");
        return false;
      }
    }
  size_t bytes = 0;
  for (int64_t n = 0; n < total; ++n) {
    Positions values;
    int64_t rest = n;
    for (size_t k = counts.size(); k-- > 0;) {
      values[p.letters[form.stacked[k]].text] = rest % counts[k];
      rest /= counts[k];
    }
    auto name = expandText(tensor.name.text, tensor.name.span, v.scope, file, values);
    if (!name)
      return false;
    form.names.push_back(prefix + *name);
    bytes += form.names.back().size();
    if (bytes > maxNames && total > 1) {
      error(tensor.name.span, "the letters inside this name make too many long names");
      return false;
    }
  }
  return true;
}

// How each format stores it: a format that only the prefix is said for has the plain form.
bool Elaborator::paramForms(const Variable &v, const std::vector<int64_t> &shape,
                            ParamSource &source) {
  const ast::Param &p = *v.param;
  FileScope &file = *v.scope->body->file;
  std::map<std::string, const ast::Stored *> forms;
  std::set<std::string> before;
  for (const ast::Stored &stored : p.stored) {
    if (!stored.format.text.empty() && !knownFormat(stored.format, before))
      return false;
    before.insert(stored.format.text);
    forms[stored.format.text] = &stored;
  }
  const ByFormat &prefix = v.scope->body->prefix;
  for (auto &[format, text] : prefix)
    forms.try_emplace(format, forms.at(""));
  std::vector<std::string> letters;
  for (const ast::Name &letter : p.letters)
    letters.push_back(letter.text);
  StoredValues values(
      letters, shape, [&](const ast::Expr &e) { return constant(e, v.scope, file); },
      [&](Span at, std::string message) -> Diagnostic & {
        return error(at, std::move(message), "C5");
      });
  for (auto &[format, stored] : forms) {
    StoredForm form;
    form.format = format;
    if (!paramNames(v, *stored->tensor, nameIn(prefix, format), shape, form))
      return false;
    if (!symbolic_) { // (of unknown ranges no place can be told)
      auto place = values.place(*stored->tensor, form.stacked);
      auto value = values.value(*stored->value, *stored->tensor);
      if (!place || !value)
        return false;
      form.place = std::move(*place);
      form.value = std::move(*value);
    }
    source.stored.push_back(std::move(form));
  }
  return true;
}

// What is taken where the checkpoint has no such tensor.
bool Elaborator::paramFallback(const Variable &v, const std::vector<Size> &extents,
                               ParamSource &source) {
  FileScope &file = *v.scope->body->file;
  const ast::Expr &f = *v.param->fallback;
  Variable *w = f.kind == ast::Expr::Kind::Name ? find(v.scope, f.name.text, 1 << 30) : nullptr;
  if (w && w != &v) {
    const View *view = resolve(*w);
    if (!view)
      return false;
    if (view->tensor < 0 || program_->tensors[view->tensor].kind != Tensor::Kind::Param) {
      error(f.span, "the fallback of a param is another param or a number");
      return false;
    }
    if (view->extents != extents) {
      error(f.span,
            "the fallback has the shape " + shapeText(view->extents) + ", and " + v.name + " has " +
                shapeText(extents),
            "E4");
      return false;
    }
    source.fallback = ParamSource::Fallback::Tensor;
    source.tensor = view->tensor;
  } else {
    auto c = constant(f, v.scope, file);
    if (!c)
      return false;
    source.fallback = ParamSource::Fallback::Number;
    source.number = c->kind == Constant::Kind::Int
                        ? static_cast<double>(c->size.constant().value_or(0))
                        : c->number;
  }
  return true;
}

bool Elaborator::resolveParam(Variable &v) {
  const ast::Param &p = *v.param;
  std::vector<int64_t> shape;
  std::vector<Size> extents;
  ParamSource source;
  if (!paramShape(v, extents, shape) || !paramForms(v, shape, source) ||
      (p.fallback && !paramFallback(v, extents, source)))
    return false;
  std::vector<std::string> names;
  for (auto &l : p.letters)
    names.push_back(l.text);
  // The same tensor of the checkpoint in the same shape is one parameter.
  std::string key = shapeText(extents) + std::to_string(static_cast<int>(source.fallback)) + ":" +
                    std::to_string(source.tensor) + ":" + std::to_string(source.number);
  for (const StoredForm &form : source.stored) {
    key += "\n" + form.format + "\n" + form.place + "\n" + form.value;
    for (auto &n : form.names)
      key += "\n" + n;
    for (int s : form.stacked)
      key += "," + std::to_string(s);
  }
  auto [it, fresh] = params_.try_emplace(key, 0);
  if (fresh) {
    it->second = addTensor(v.name, *v.scope, p.span);
    Tensor &t = program_->tensors[it->second];
    t.kind = Tensor::Kind::Param;
    t.type = Type::Float;
    t.lifted = 0;
    t.axes.clear();
    t.region = -1;
    for (size_t i = 0; i < extents.size(); ++i)
      t.axes.push_back({names[i], extents[i], 0, 0});
    t.param = std::move(source);
  }
  v.view = {};
  v.view.tensor = it->second;
  v.view.extents = extents;
  v.view.names = names;
  return true;
}

} // namespace qkv::sema
