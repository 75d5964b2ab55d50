// In: a line of MLIR. Out: the same with short types; what stands in quotes stays.
#include "tools/qkv/printing/ShortTypes.h"

#include <vector>

namespace qkv::driver {
namespace {

/// Behind the `>` of a `<` at `at`.
size_t behind(const std::string &line, size_t at) {
  int depth = 0;
  for (; at < line.size(); ++at) {
    if (line[at] == '<')
      ++depth;
    else if (line[at] == '>' && line[at - 1] != '-' && --depth == 0)
      return at + 1;
  }
  return line.size();
}

/// "tensor<", "memref<", "vector<" at a place of a line.
std::string shapedAt(const std::string &line, size_t at) {
  bool inWord = at > 0 && (isalnum(static_cast<unsigned char>(line[at - 1])) ||
                           line[at - 1] == '.' || line[at - 1] == '_');
  for (const char *head : {"tensor<", "memref<", "vector<"})
    if (!inWord && line.compare(at, 7, head) == 0)
      return head;
  return "";
}

std::string cutTypes(const std::string &line) {
  std::string out;
  bool quoted = false;
  for (size_t at = 0; at < line.size();) {
    quoted ^= line[at] == '"';
    std::string head = quoted ? "" : shapedAt(line, at);
    if (!head.empty()) {
      size_t end = behind(line, at + 6);
      std::string inside = line.substr(at + 7, end - at - 8);
      inside = inside.substr(0, inside.find(',')); // (layouts and spaces follow)
      bool plain = inside.find('x') == std::string::npos || inside == "index";
      out += head == "vector<" ? "<" + inside + ">" : plain ? "[" + inside + "]" : inside;
      at = end;
    } else if (!quoted && line.compare(at, 9, "!llvm.ptr") == 0) {
      out += "ptr";
      at += 9;
    } else {
      out += line[at++];
    }
  }
  return out;
}

/// Whether a word is a type as it stands after cutTypes.
bool isType(const std::string &word) {
  if (word.empty() || word.find_first_of("%#@{}()=:\" ") != std::string::npos)
    return false;
  size_t element = word.find_last_of("x<[");
  std::string last = element == std::string::npos ? word : word.substr(element + 1);
  while (!last.empty() && (last.back() == '>' || last.back() == ']'))
    last.pop_back();
  if (word == "index" || word == "ptr" || last == "inde") // (index ends with an x)
    return true;
  return last.size() > 1 && (last[0] == 'f' || last[0] == 'i') &&
         last.find_first_not_of("0123456789", 1) == std::string::npos;
}

} // namespace

std::string withShortTypes(const std::string &line) {
  std::string text = cutTypes(line), out;
  // Words between commas, with what stands before the first and behind the last of a row.
  size_t at = 0;
  while (at < text.size()) {
    size_t end = text.find_first_of(", ()", at);
    end = end == std::string::npos ? text.size() : end;
    std::string word = text.substr(at, end - at);
    size_t count = 1, next = end;
    while (isType(word) && text.compare(next, 2 + word.size(), ", " + word) == 0 &&
           (next + 2 + word.size() == text.size() ||
            std::string(", ()").find(text[next + 2 + word.size()]) != std::string::npos)) {
      next += 2 + word.size();
      ++count;
    }
    if (count >= 3) {
      out += std::to_string(count) + " * " + word;
      end = next;
    } else {
      out += word;
    }
    at = end;
    if (at < text.size())
      out += text[at++];
  }
  return out;
}

} // namespace qkv::driver
