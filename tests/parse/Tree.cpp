#include "Tree.h"

#include <sstream>

namespace qkv::test {

using namespace ast;

namespace {

template <class Items, class Show> std::string list(const Items &items, Show show) {
  std::string out;
  for (const auto &item : items)
    out += (out.empty() ? "" : ", ") + show(item);
  return out;
}
std::string trees(const std::vector<ExprPtr> &items) {
  return list(items, [](const ExprPtr &item) { return tree(item); });
}
std::string names(const std::vector<Name> &items) {
  return list(items, [](const Name &item) { return item.text; });
}
std::string body(const std::vector<Statement> &statements) {
  std::string out = "{";
  for (const Statement &statement : statements)
    out += ' ' + tree(statement) + ';';
  return out + " }";
}
std::string brackets(bool indexed, const std::vector<Name> &letters) {
  return indexed ? '[' + names(letters) + ']' : "";
}
std::string formats(const std::vector<FormatText> &items) {
  std::string out;
  for (const FormatText &item : items)
    out += " | " + item.format.text + " \"" + item.text + '"';
  return out;
}

} // namespace

std::string tree(const ExprPtr &expr) {
  if (!expr)
    return "<null>";
  const Expr &e = *expr;
  std::ostringstream out;
  switch (e.kind) {
  case Expr::Kind::Integer:
    out << e.integer;
    break;
  case Expr::Kind::Number:
    out << e.number << 'f';
    break;
  case Expr::Kind::Boolean:
    out << (e.boolean ? "true" : "false");
    break;
  case Expr::Kind::String:
    out << '"' << e.name.text << '"';
    if (e.indexed)
      out << '[' << trees(e.indices) << ']';
    break;
  case Expr::Kind::Name:
    out << e.name.text;
    break;
  case Expr::Kind::Access:
    out << e.name.text << '[' << trees(e.indices) << ']';
    break;
  case Expr::Kind::Unary:
    out << '(' << e.op << ' ' << trees(e.children) << ')';
    break;
  case Expr::Kind::Binary:
  case Expr::Kind::Compare:
    out << '(' << (e.kind == Expr::Kind::Compare ? "?" : "") << tree(e.children.at(0));
    for (size_t i = 0; i < e.ops.size(); ++i)
      out << ' ' << e.ops[i] << ' ' << tree(e.children.at(i + 1));
    out << (e.children.size() == e.ops.size() + 1 && e.opSpans.size() == e.ops.size() ? ")" : "!!");
    break;
  case Expr::Kind::If:
    out << "(if " << tree(e.children.at(0)) << " then " << tree(e.children.at(1)) << " else "
        << tree(e.children.at(2)) << ')';
    break;
  case Expr::Kind::Call:
    out << e.name.text << '(' << list(e.arguments, [](const Argument &a) {
      return (a.name ? a.name->text + ": " : "") + tree(a.value);
    }) << ')';
    if (e.indexed)
      out << '[' << trees(e.indices) << ']';
    if (e.from)
      out << " from \"" << e.from->text << '"' << formats(e.from->formats);
    break;
  case Expr::Kind::Reduction:
    out << e.op << '[' << names(e.letters) << "](" << tree(e.children.at(0));
    if (e.children.size() > 1)
      out << " where " << tree(e.children[1]);
    out << ')';
    break;
  case Expr::Kind::Extent:
    out << "extent(" << e.name.text << ')';
    break;
  case Expr::Kind::Config:
    out << "config(\"" << e.name.text << '"' << formats(e.formats)
        << (e.children.empty() ? "" : ", ") << trees(e.children) << ')'
        << (e.length ? ".length" : "");
    break;
  case Expr::Kind::Dynamic:
    out << "dynamic(max: " << trees(e.children);
    for (const ast::Argument &a : e.arguments)
      out << ", " << a.name->text << ": " << tree(a.value);
    out << ')';
    break;
  case Expr::Kind::Stream:
    out << "stream(max: " << trees(e.children) << ')';
    break;
  case Expr::Kind::Merged:
    out << "merged(" << trees(e.children) << ')';
    break;
  }
  return out.str();
}

std::string tree(const Statement &s) {
  auto declarations = [&](const char *word, const char *sign) {
    return word + list(s.declarations,
                       [&](const Declaration &d) { return d.name.text + sign + tree(d.value); });
  };
  switch (s.kind) {
  case Statement::Kind::Size:
    return declarations("size ", " = ");
  case Statement::Kind::Const:
    return declarations("const ", " = ");
  case Statement::Kind::Index:
    return declarations("index ", " < ");
  case Statement::Kind::Param:
    return "param " + list(s.params, [](const Param &p) {
             std::string stored;
             for (const Stored &s : p.stored)
               stored += (s.format.text.empty() ? "" : " | " + s.format.text + " ") + tree(s.value);
             return p.name.text + brackets(p.indexed, p.letters) + " = " + stored +
                    (p.fallback ? " else " + tree(p.fallback) : "");
           });
  case Statement::Kind::Equation:
    return list(s.targets,
                [](const Target &t) {
                  return t.name.text + (t.indexed ? '[' + trees(t.indices) + ']' : "");
                }) +
           " = " + tree(s.value);
  case Statement::Kind::Repeat:
    return "repeat " + s.repeat->letter.text + " < " + tree(s.repeat->count) + ' ' +
           body(s.repeat->body);
  }
  return "?";
}

std::string tree(const Definition &d) {
  std::string kind = d.kind == Definition::Kind::Fn      ? "fn "
                     : d.kind == Definition::Kind::Block ? "block "
                                                         : "model ";
  return kind + d.name.text + '(' +
         list(d.formals,
              [](const Formal &f) {
                std::string fallback = f.fallback ? " = " + tree(f.fallback) : "";
                switch (f.kind) {
                case Formal::Kind::Size:
                  return "size " + f.name.text + fallback;
                case Formal::Kind::Const:
                  return "const " + f.name.text + fallback;
                case Formal::Kind::Function:
                  return "fn " + f.name.text;
                default:
                  return f.name.text + brackets(f.indexed, f.letters) +
                         (f.type ? " : " + f.type->text : "");
                }
              }) +
         ") -> (" +
         list(d.results,
              [](const Result &r) { return r.name.text + brackets(r.indexed, r.letters); }) +
         ") " + body(d.body);
}

std::string tree(const File &file) {
  std::string out;
  for (const Use &use : file.uses)
    out += "use " + use.name.text + '\n';
  for (const Statement &statement : file.statements)
    out += tree(statement) + '\n';
  for (const Definition &definition : file.definitions)
    out += tree(definition) + '\n';
  return out;
}

} // namespace qkv::test
