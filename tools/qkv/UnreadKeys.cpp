// Keys of a configuration that nobody reads (UnreadKeys.h).
#include "tools/qkv/UnreadKeys.h"
#include "tools/qkv/Families.h"
#include "tools/qkv/ModelFile.h"
#include "tools/qkv/Report.h"
#include "tools/qkv/printing/Tables.h"

#include "dsl/check/ConfigurationText.h"
#include "runtime/Error.h"
#include "runtime/checkpoint/Checkpoint.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>

namespace qkv::driver {
namespace {

using Json = nlohmann::json;

/// A row of KEYS.md.
struct Allowed {
  std::string page; ///< empty: every page
  std::vector<std::string> keys;
  bool any = false, inTurn = false;
  std::vector<Json> values;
};

const std::vector<Allowed> &allowed() {
  static const std::vector<Allowed> table = [] {
    std::vector<Allowed> rows;
    const char *text = standardLibrary("models/KEYS");
    for (const auto &cells : tableRows(text ? text : "")) {
      if (cells.size() < 2 || cells[cells.size() - 2].find('`') == cells[0].npos)
        continue; // a table's head
      Allowed row;
      if (cells.size() == 3)
        row.page = cells[0];
      row.keys = quotedIn(cells[cells.size() - 2]);
      std::string_view values = cells.back();
      row.any = values == "any";
      row.inTurn = values.starts_with("in turn");
      for (const std::string &value : quotedIn(values))
        row.values.push_back(Json::parse(value, nullptr, /*allow_exceptions=*/false));
      rows.push_back(std::move(row));
    }
    return rows;
  }();
  return table;
}

/// A row of KEYS.md about a tensor that must be there where a key has a value.
struct Needed {
  std::string tensor, key;
  Json value;
};

const std::vector<Needed> &needed() {
  static const std::vector<Needed> table = [] {
    std::vector<Needed> rows;
    const char *text = standardLibrary("models/KEYS");
    for (const auto &cells : tableRows(text ? text : ""))
      if (cells.size() == 3 && cells[0].starts_with('`'))
        rows.push_back({quotedIn(cells[0])[0], quotedIn(cells[1])[0],
                        Json::parse(quotedIn(cells[2])[0], nullptr, /*allow_exceptions=*/false)});
    return rows;
  }();
  return table;
}

/// A value inside a configuration that holds no others, and its place in a list.
struct Leaf {
  std::string key;  ///< "rope_scaling.factor"; without the places of lists
  std::string full; ///< with them
  Json value;
  size_t place = 0;
};

void collect(const Json &value, const std::string &key, const std::string &full, size_t place,
             std::vector<Leaf> &leaves) {
  auto join = [](const std::string &a, const std::string &b) {
    return a.empty() ? b : a + "." + b;
  };
  if (value.is_object())
    for (auto &[name, inner] : value.items())
      collect(inner, join(key, name), join(full, name), 0, leaves);
  else if (value.is_array())
    for (size_t i = 0; i < value.size(); ++i)
      collect(value[i], key, join(full, std::to_string(i)), i, leaves);
  else if (!value.is_null() && !(value.is_string() && value.get<std::string>().empty()))
    leaves.push_back({key, full, value, place});
}

bool speaksOf(const Allowed &row, const Leaf &leaf) {
  return std::any_of(row.keys.begin(), row.keys.end(),
                     [&](const std::string &form) { return keyFits(form, leaf.key); });
}

bool isAllowed(const Allowed &row, const Leaf &leaf) {
  if (!speaksOf(row, leaf))
    return false;
  if (row.any)
    return true;
  if (row.inTurn)
    return !row.values.empty() && leaf.value == row.values[leaf.place % row.values.size()];
  return std::find(row.values.begin(), row.values.end(), leaf.value) != row.values.end();
}

/// Whether the tables say that the page, or every page, may leave a value unread. The page's own
/// rows come first: of a key that it reads, too, they say which values it understands. Nothing:
/// neither has the key with that value.
std::optional<bool> listedFor(const std::string &page, const Leaf &leaf) {
  bool spoken = false, own = false, general = false;
  for (const Allowed &row : allowed()) {
    if (row.page.empty())
      general = general || isAllowed(row, leaf);
    else if (row.page == page && speaksOf(row, leaf)) {
      spoken = true;
      own = own || isAllowed(row, leaf);
    }
  }
  return spoken ? std::optional(own) : general ? std::optional(true) : std::nullopt;
}

/// "std:models/llama.qkv" -> "llama".
std::string pageName(const std::string &path) {
  size_t slash = path.rfind('/'), dot = path.rfind(".qkv");
  size_t begin = slash == path.npos ? 0 : slash + 1;
  return dot == path.npos || dot < begin ? path.substr(begin) : path.substr(begin, dot - begin);
}

/// A page of the library, read from the library or from the folder that it stands in.
bool isLibraryPage(const Source &page) {
  const char *text = standardLibrary("models/" + pageName(page.path()));
  return text && page.text() == text;
}

/// The keys that a page and the files it uses name.
std::set<std::string> allNamedKeys(const Source &page, const Sources &sources) {
  std::set<std::string> paths, named = namedKeys(page.text());
  for (const std::string &path : sources.paths())
    if (path != page.path() && paths.insert(path).second) {
      Sources again;
      std::string ignored;
      if (const Source *source = openSource(again, path, ignored))
        named.merge(namedKeys(source->text()));
    }
  return named;
}

/// The same key without the architecture that GGUF puts in front of its own ("llama.block_count").
std::string withoutArchitecture(const Json &root, const std::string &key) {
  auto architecture = root.find("general.architecture");
  if (architecture == root.end() || !architecture->is_string())
    return "";
  std::string front = architecture->get<std::string>() + ".";
  return key.starts_with(front) ? key.substr(front.size() - 1) : "";
}

/// The key by which a checkpoint says that it is of another page's family than `own`, and which;
/// empty where it does not.
std::pair<std::string, std::string> otherFamily(const Json &root, const std::string &own) {
  auto other = [&](const std::string &name, std::vector<std::string> Family::*list) {
    std::string page;
    for (const Family &family : families()) {
      bool serves =
          std::find((family.*list).begin(), (family.*list).end(), name) != (family.*list).end();
      if (serves && family.page == own)
        return std::string();
      if (serves && page.empty())
        page = family.page;
    }
    return page;
  };
  if (auto found = root.find("general.architecture"); found != root.end() && found->is_string())
    if (std::string page = other(found->get<std::string>(), &Family::gguf); !page.empty())
      return {"general.architecture", page};
  if (auto found = root.find("architectures"); found != root.end() && found->is_array())
    for (const Json &name : *found)
      if (std::string page = name.is_string()
                                 ? other(name.get<std::string>(), &Family::architectures)
                                 : std::string();
          !page.empty())
        return {"architectures", page};
  return {};
}

/// Reports a tensor that the page reads and the configuration asks for, where it is not there. 0 or
/// the exit code.
int checkTensors(const ModelOptions &options, const Source &page, const Json &root,
                 const rt::Configuration &configuration) {
  for (const Needed &row : needed()) {
    auto found = root.find(row.key);
    if (found == root.end() || *found != row.value ||
        page.text().find("\"" + row.tensor + "\"") == std::string::npos ||
        std::count(options.ignoredKeys.begin(), options.ignoredKeys.end(), row.key))
      continue;
    qkv_error ignored = {};
    std::unique_ptr<rt::Checkpoint> file = rt::Checkpoint::open(options.weights, &ignored);
    // (Null: packed weights, or what will be said later. Other formats have other names.)
    if (file && strcmp(file->formatName(), "safetensors") == 0 && !file->find(row.tensor))
      return fail(options.command, configuration.path + ": " + rt::quote(row.key) + " is " +
                                       row.value.dump() + ", and " + file->path() +
                                       " has no tensor " + rt::quote(row.tensor) +
                                       "; --ignore-config " + row.key + " takes another for it");
  }
  return 0;
}

} // namespace

bool keyFits(std::string_view form, std::string_view key) {
  if (form.empty())
    return key.empty() || key[0] == '.';
  if (form[0] != '*')
    return !key.empty() && form[0] == key[0] && keyFits(form.substr(1), key.substr(1));
  for (size_t skip = 0; skip <= key.size(); ++skip)
    if (keyFits(form.substr(1), key.substr(skip)))
      return true;
  return false;
}

std::set<std::string> namedKeys(const std::string &page) {
  std::set<std::string> keys;
  constexpr std::string_view call = "config";
  constexpr std::string_view lengthOf = ".length";
  size_t depth = 0;                         // of parentheses inside a call
  std::vector<std::set<std::string>> calls; // what is named in each of them
  for (size_t at = 0; at < page.size(); ++at) {
    if (page[at] == '#') {
      at = std::min(page.find('\n', at), page.size());
    } else if (page[at] == '"') {
      size_t end = std::min(page.find('"', at + 1), page.size());
      std::string key;
      for (size_t i = at + 1; i < end; ++i) {
        if (page[i] == '{')
          i = std::min(page.find('}', i), end);
        if (page[i] != ']') // "a[0]" is "a.0"
          key += page[i] == '}' ? '*' : page[i] == '[' ? '.' : page[i];
      }
      // (An empty text is what stands for a key that is not there.)
      if (depth > 0 && !key.empty())
        calls.back().insert(key);
      at = end;
    } else if (page[at] == '(') {
      size_t before = page.find_last_not_of(' ', at == 0 ? 0 : at - 1);
      bool opens = before != page.npos && before + 1 >= call.size() &&
                   page.compare(before + 1 - call.size(), call.size(), call) == 0;
      depth += depth > 0 || opens ? 1 : 0;
      if (depth > 0)
        calls.emplace_back();
    } else if (page[at] == ')' && depth > 0) {
      --depth;
      // config("a").length reads nothing that is in the list, nor does config("a.length", 4).
      std::set<std::string> own = std::move(calls.back());
      calls.pop_back();
      if (page.compare(at + 1, lengthOf.size(), lengthOf) != 0)
        (calls.empty() ? keys : calls.back()).merge(own);
    }
  }
  return keys;
}

int checkKeys(const ModelOptions &options, const Source &page, const Sources &sources,
              const rt::Configuration &configuration) {
  std::string why;
  auto root =
      configuration.text.empty() ? std::nullopt : sema::readConfiguration(configuration.text, why);
  if (!root || !root->is_object())
    return 0; // (the checker says what is wrong with it)
  std::set<std::string> named = allNamedKeys(page, sources);
  if (named.empty())
    return 0;
  std::vector<Leaf> leaves;
  collect(*root, "", "", 0, leaves);
  std::vector<std::string> used(options.ignoredKeys), unread;
  std::string own = isLibraryPage(page) ? pageName(page.path()) : "";
  if (auto [key, other] =
          own.empty() ? std::pair<std::string, std::string>() : otherFamily(*root, own);
      !key.empty() && std::find(used.begin(), used.end(), key) == used.end())
    return fail(options.command, configuration.path + " is of another family than " + page.path() +
                                     ": its " + key + " belongs to std:models/" + other +
                                     ".qkv; --ignore-config " + key + " goes on all the same");
  for (const Leaf &leaf : leaves) {
    std::string bare = withoutArchitecture(*root, leaf.key),
                bareFull = withoutArchitecture(*root, leaf.full);
    auto fits = [&](const std::string &form) {
      return keyFits(form, leaf.key) || keyFits(form, leaf.full) ||
             (!bare.empty() && (keyFits(form, bare) || keyFits(form, bareFull)));
    };
    // (Each of a GGUF's own keys is there with and without the architecture.)
    bool twin = leaf.key[0] == '.' && root->contains("general.architecture");
    bool ignored = false;
    for (const std::string &key : options.ignoredKeys)
      if (fits(key)) {
        ignored = true;
        used.erase(std::remove(used.begin(), used.end(), key), used.end());
      }
    std::optional<bool> listed = listedFor(own, leaf);
    bool fine = twin || ignored || listed.value_or(false) ||
                (!listed && std::any_of(named.begin(), named.end(), fits));
    if (!fine)
      unread.push_back(rt::quote(leaf.full) + " (" + leaf.value.dump().substr(0, 60) + ")");
  }
  if (!used.empty())
    return misuse(options.command,
                  "--ignore-config " + used[0] + ": " + configuration.path + " has no such key");
  if (unread.empty())
    return own.empty() ? 0 : checkTensors(options, page, *root, configuration);
  constexpr size_t most = 20;
  std::string list;
  for (size_t i = 0; i < unread.size() && i < most; ++i)
    list += (i ? ", " : "") + unread[i];
  if (unread.size() > most)
    list += " and " + std::to_string(unread.size() - most) + " more";
  return fail(options.command, configuration.path + " asks for what " + page.path() +
                                   " does not read: " + list +
                                   "; --ignore-config KEY goes on without it");
}

} // namespace qkv::driver
