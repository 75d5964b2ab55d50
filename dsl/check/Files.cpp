// A model file and what it uses: their declarations and definitions by name (L1, F2).
//
// In: a source. Out: its FileScope, with those of `use` loaded behind it.
#include "dsl/check/Elaborator.h"
#include "dsl/syntax/Parser.h"

#include <algorithm>
#include <functional>

namespace qkv::sema {

static std::string folderOf(const std::string &path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

FileScope *Elaborator::load(const Source &source) {
  auto it = files_.find(source.path());
  if (it != files_.end())
    return it->second.get();
  auto owned = std::make_unique<FileScope>();
  FileScope *f = owned.get();
  files_[source.path()] = std::move(owned);
  f->file = parse(source, diagnostics_);
  for (auto &s : f->file.statements) {
    using K = ast::Statement::Kind;
    if (s.kind != K::Size && s.kind != K::Const && s.kind != K::Index) {
      error(s.span, s.kind == K::Param
                        ? "a param belongs in a block or a model"
                        : "only sizes, constants and indices stand outside of a body");
      continue;
    }
    for (auto &d : s.declarations) {
      auto &map = s.kind == K::Size ? f->sizes : s.kind == K::Const ? f->consts : f->indices;
      const ast::Declaration *before = nullptr;
      for (auto *m : {&f->sizes, &f->consts, &f->indices})
        if (m->count(d.name.text))
          before = (*m)[d.name.text];
      if (before)
        error(d.name.span, d.name.text + " is declared already", "L1")
            .note(before->name.span, "here");
      else
        map[d.name.text] = &d;
    }
  }
  for (auto &d : f->file.definitions) {
    auto [it2, fresh] = f->definitions.try_emplace(d.name.text, &d);
    if (!fresh)
      error(d.name.span, d.name.text + " is defined already", "L1")
          .note(it2->second->name.span, "here");
  }
  for (auto &u : f->file.uses) {
    const Source *used = nullptr;
    std::string path = folderOf(source.path()) + u.name.text + ".qkv", why;
    bool onDisk = source.path() != "-" && source.path().rfind("std:", 0) != 0;
    if (onDisk && path != source.path())
      used = sources_.open(path, why);
    if (!used)
      if (const char *text = standardLibrary(u.name.text)) {
        std::string name = "std:" + u.name.text + ".qkv";
        auto known = files_.find(name);
        if (known != files_.end()) {
          f->uses.push_back(known->second.get());
          continue;
        }
        used = sources_.add(name, text);
      }
    if (!used) {
      error(u.span, path == source.path()
                        ? "a file does not use itself"
                        : "there is no " + u.name.text + ".qkv beside this file, and no " +
                              u.name.text + " in the standard library");
      continue;
    }
    f->uses.push_back(load(*used));
  }
  // What those use is handed on, behind what the file names itself.
  for (size_t direct = f->uses.size(), i = 0; i < direct; ++i)
    for (FileScope *further : std::vector<FileScope *>(f->uses[i]->uses))
      if (further != f && std::find(f->uses.begin(), f->uses.end(), further) == f->uses.end())
        f->uses.push_back(further);
  return f;
}

// What holds of every definition, called or not.
void Elaborator::staticChecks(FileScope &file) {
  for (auto &d : file.file.definitions) {
    if (d.kind != ast::Definition::Kind::Fn)
      continue;
    std::function<void(const std::vector<ast::Statement> &)> scan =
        [&](const std::vector<ast::Statement> &statements) {
          for (auto &s : statements) {
            for (auto &p : s.params)
              error(p.span, "a param belongs in a block or a model; " + d.name.text + " is a fn",
                    "F2")
                  .hint("block " + d.name.text + "(...) instead of fn");
            if (s.repeat)
              scan(s.repeat->body);
          }
        };
    scan(d.body);
  }
}

} // namespace qkv::sema
