// Rows of tables in Markdown (Tables.h).
#include "tools/qkv/printing/Tables.h"

#include <algorithm>

namespace qkv::driver {

static std::string_view trimmed(std::string_view text) {
  size_t begin = std::min(text.find_first_not_of(' '), text.size());
  size_t end = text.find_last_not_of(' ');
  return end == text.npos ? std::string_view() : text.substr(begin, end + 1 - begin);
}

std::vector<std::vector<std::string_view>> tableRows(std::string_view text) {
  std::vector<std::vector<std::string_view>> rows;
  for (size_t end; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1)) {
    std::string_view line = text.substr(0, end);
    std::vector<std::string_view> cells;
    for (size_t at = line.find('|'), next; at != line.npos; at = next) {
      next = line.find('|', at + 1);
      if (next != line.npos)
        cells.push_back(trimmed(line.substr(at + 1, next - at - 1)));
    }
    if (line.starts_with('|'))
      rows.push_back(std::move(cells));
  }
  return rows;
}

std::vector<std::string> quotedIn(std::string_view cell) {
  std::vector<std::string> names;
  for (size_t at = cell.find('`'); at != cell.npos; at = cell.find('`', at + 1)) {
    size_t end = cell.find('`', at + 1);
    if (end == cell.npos)
      break;
    names.emplace_back(cell.substr(at + 1, end - at - 1));
    at = end;
  }
  return names;
}

} // namespace qkv::driver
