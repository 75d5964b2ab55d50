// Random models as text, and what is smaller than one.
#include "tests/run/RandomProgram.h"
#include "tests/run/RandomGenerator.h"

#include <set>

namespace qkv::random {
namespace {

std::string print(const std::string &form, const std::vector<NodePtr> &children) {
  std::string out;
  for (size_t i = 0; i < form.size(); ++i)
    if (form[i] == '$')
      out += print(children[form[i + 1] - '0']->form, children[form[i + 1] - '0']->children), ++i;
    else
      out += form[i];
  return out;
}

bool isWord(char c) { return isalnum(static_cast<unsigned char>(c)) || c == '_'; }

bool mentions(const std::string &text, const std::string &name) {
  for (size_t at = 0; (at = text.find(name, at)) != std::string::npos; ++at) {
    bool before = at > 0 && isWord(text[at - 1]);
    bool after = at + name.size() < text.size() && isWord(text[at + name.size()]);
    if (!before && !after)
      return true;
  }
  return false;
}

const char *literal(Kind kind) {
  return kind == Kind::Float ? "0.5" : kind == Kind::Int ? "1" : "true";
}

std::string letters(const TensorInfo &tensor, const std::vector<SizeInfo> &sizes) {
  std::string out;
  std::vector<int> used(sizes.size());
  for (int size : tensor.sizes)
    out += (out.empty() ? "[" : ",") + sizes[size].letters[used[size]++];
  return out.empty() ? out : out + "]";
}

} // namespace

Program::Program(uint64_t seed) : seed_(seed) { Generator(seed, *this).run(); }

/// Which equations the results need.
std::vector<bool> Program::reachable() const {
  std::vector<bool> needed(equations_.size());
  for (auto [equation, which] : results_)
    needed[equation] = true;
  for (size_t i = equations_.size(); i-- > 0;) {
    if (!needed[i])
      continue;
    std::string text = print(equations_[i].form, equations_[i].values);
    for (size_t j = 0; j < i; ++j)
      for (const TensorInfo &tensor : equations_[j].defines)
        needed[j] = needed[j] || mentions(text, tensor.name);
  }
  return needed;
}

std::string Program::text(const std::string &name) const {
  std::vector<bool> needed = reachable();
  std::string body;
  std::set<std::string> functions;
  for (size_t i = 0; i < equations_.size(); ++i) {
    if (!needed[i])
      continue;
    body += print(equations_[i].form, equations_[i].values) + "\n";
    functions.insert(equations_[i].functions.begin(), equations_[i].functions.end());
  }
  std::string out = "# seed " + std::to_string(seed_) + "\n", index;
  for (const SizeInfo &size : sizes_) {
    out += "size " + size.name + " = " +
           (!size.from.empty() ? size.from
            : size.dynamic     ? "dynamic(max: " + std::to_string(size.value) + ")"
                               : std::to_string(size.value)) +
           "\n";
    for (const std::string &letter : size.letters)
      index += (index.empty() ? "index " : ", ") + letter + " < " + size.name;
  }
  out += index + "\n";
  for (const std::string &function : functions)
    out += "\n" + function + "\n";
  out += "\nmodel " + name + "(";
  for (size_t i = 0; i < inputs_.size(); ++i) {
    static const char *const types[] = {"", " : int", " : bool"};
    out += (i ? ", " : "") + inputs_[i].name + letters(inputs_[i], sizes_) +
           (inputs_[i].token ? " : token" : types[static_cast<int>(inputs_[i].kind)]);
  }
  out += ") -> ";
  std::string results;
  for (auto [equation, which] : results_) {
    const TensorInfo &tensor = equations_[equation].defines[which];
    results += (results.empty() ? "" : ", ") + tensor.name + letters(tensor, sizes_);
  }
  out += (results_.size() > 1 ? "(" + results + ")" : results) + " {\n";
  for (const TensorInfo &param : params_)
    if (mentions(body, param.name))
      out += "  param " + param.name + letters(param, sizes_) + " = \"" + param.name + "\"\n";
  return out + body + "}\n";
}

std::vector<Program> Program::smaller() const {
  std::vector<Program> out;
  std::vector<bool> needed = reachable();
  // One equation as the only result.
  for (size_t i = 0; i < equations_.size(); ++i)
    for (size_t which = 0; needed[i] && which < equations_[i].defines.size(); ++which) {
      std::pair<int, int> result(static_cast<int>(i), static_cast<int>(which));
      if (results_.size() == 1 && results_[0] == result)
        continue;
      out.push_back(*this);
      out.back().results_ = {result};
    }
  // A size less.
  for (size_t i = 0; i < sizes_.size(); ++i)
    for (int64_t value : {int64_t(1), int64_t(2), sizes_[i].value - 1})
      if (sizes_[i].from.empty() && value > 0 && value < sizes_[i].value) {
        out.push_back(*this);
        out.back().sizes_[i].value = value;
      }
  // A part of an expression in the place of the whole.
  for (size_t i = 0; i < equations_.size(); ++i) {
    if (!needed[i])
      continue;
    for (size_t v = 0; v < equations_[i].values.size(); ++v) {
      // Every node by its path: rebuilt along the path, shared elsewhere.
      std::vector<std::vector<int>> paths{{}};
      for (size_t p = 0; p < paths.size() && paths.size() < 200; ++p) {
        NodePtr node = equations_[i].values[v];
        for (int step : paths[p])
          node = node->children[step];
        auto with = [&](const NodePtr &put) {
          Program copy = *this;
          NodePtr *place = &copy.equations_[i].values[v];
          for (int step : paths[p]) {
            *place = std::make_shared<Node>(**place);
            place = &(*place)->children[step];
          }
          *place = put;
          out.push_back(std::move(copy));
        };
        for (const NodePtr &child : node->children)
          if (child->kind == node->kind)
            with(child);
        if (node->form != literal(node->kind) && !node->children.empty())
          with(std::make_shared<Node>(Node{node->kind, literal(node->kind), {}}));
        for (size_t child = 0; child < node->children.size(); ++child) {
          paths.push_back(paths[p]);
          paths.back().push_back(static_cast<int>(child));
        }
      }
    }
  }
  return out;
}

} // namespace qkv::random
