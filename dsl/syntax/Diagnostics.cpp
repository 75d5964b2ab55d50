// Collects what is said to the author and prints it with the source line marked.
//
// In: messages with spans. Out: text for a terminal or a file, in the form that language.md
// shows under "Errors". What must hold: whatever the source's bytes are, what is printed is
// valid UTF-8 without control characters, and a line of it stays readable.
#include "dsl/syntax/Diagnostics.h"

#include <algorithm>
#include <numeric>
#include <ostream>
#include <utf8proc.h>

namespace qkv {

namespace {

constexpr size_t maxColumns = 120; // of a source line that are shown
constexpr size_t tabStop = 4;

struct Palette {
  const char *bold, *error, *warning, *mark, *hint, *reset;
};
constexpr Palette plain{"", "", "", "", "", ""};
constexpr Palette colored{"\033[1m",    "\033[1;31m", "\033[1;35m",
                          "\033[1;32m", "\033[36m",   "\033[0m"};

/// A piece of a source line as it is shown: its text, how wide it is, whether it is marked.
struct Cell {
  std::string text;
  size_t width;
  bool marked;
};

std::vector<Cell> cells(std::string_view line, uint32_t offset, Span span) {
  std::vector<Cell> result;
  size_t column = 0;
  for (uint32_t i = 0; i < line.size();) {
    Character c = characterAt(line, i);
    Cell cell{std::string(line.substr(i, c.length)), 1, false};
    if (c.code < 0) {
      cell.text = "\uFFFD";
    } else if (c.code == '\t') {
      cell.width = tabStop - column % tabStop;
      cell.text = std::string(cell.width, ' ');
    } else {
      int width = utf8proc_charwidth(c.code);
      auto category = utf8proc_category(c.code);
      // Marks that join the letter before them have no width; what could steer the terminal
      // or reorder the line is not printed.
      bool mark = category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME;
      if (c.code < 0x20 || c.code == 0x7F || category == UTF8PROC_CATEGORY_CC ||
          category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_ZL ||
          category == UTF8PROC_CATEGORY_ZP)
        cell.text = "?";
      else
        cell.width = width > 0 ? size_t(width) : mark && !result.empty() ? 0 : 1;
    }
    uint32_t at = offset + i;
    cell.marked = at < span.end && at + c.length > span.begin;
    column += cell.width;
    result.push_back(std::move(cell));
    i += c.length;
  }
  return result;
}

/// The characters of a message, without what a terminal would obey.
std::string printable(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    Character c = characterAt(text, i);
    if (c.code < 0)
      result += "\uFFFD";
    else if (c.code < 0x20 || c.code == 0x7F || utf8proc_category(c.code) == UTF8PROC_CATEGORY_CC ||
             utf8proc_category(c.code) == UTF8PROC_CATEGORY_CF)
      result += '?';
    else
      result += text.substr(i, c.length);
    i += c.length;
  }
  return result;
}

void showLine(std::ostream &out, Span span, size_t margin, const Palette &palette) {
  Source::Position position = span.source->position(span.begin);
  uint32_t begin = span.source->lineBegin(position.line);
  std::string_view text = span.source->line(position.line);
  // A line of a megabyte is shown around the span; far beyond it nothing is looked at.
  size_t local = std::min<size_t>(span.begin > begin ? span.begin - begin : 0, text.size());
  size_t cut = local > 8 * maxColumns ? local - 4 * maxColumns : 0;
  while (cut > 0 && cut < text.size() && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80)
    --cut;
  bool headCut = cut > 0, tailCut = text.size() - cut > 16 * maxColumns;
  text = text.substr(cut, 16 * maxColumns);
  std::vector<Cell> line = cells(text, begin + static_cast<uint32_t>(cut), span);

  size_t mark = 0;
  while (mark < line.size() && !line[mark].marked)
    ++mark;
  size_t first = 0, last = line.size();
  auto width = [&](size_t from, size_t to) {
    size_t sum = 0;
    for (size_t i = from; i < to; ++i)
      sum += line[i].width;
    return sum;
  };
  if (headCut || tailCut || width(0, last) > maxColumns) {
    if (width(0, std::min(mark + 10, last)) > maxColumns || headCut) {
      first = mark > maxColumns / 3 ? mark - maxColumns / 3 : 0;
      headCut = headCut || first > 0;
    }
    size_t shown = 0;
    last = first;
    while (last < line.size() && shown + line[last].width <= maxColumns)
      shown += line[last++].width;
    tailCut = tailCut || last < line.size();
  }

  std::string number = std::to_string(position.line);
  out << std::string(margin > number.size() ? margin - number.size() : 0, ' ') << number << " | ";
  out << (headCut ? "..." : "");
  size_t trailing = last;
  while (trailing > first && line[trailing - 1].text == " ")
    --trailing;
  for (size_t i = first; i < std::max(trailing, std::min(mark, last)); ++i)
    out << line[i].text;
  out << (tailCut ? "..." : "") << '\n';

  out << std::string(margin, ' ') << " | " << (headCut ? "   " : "");
  out << std::string(width(first, std::min(mark, last)), ' ') << palette.mark << '^';
  size_t marked = 0;
  for (size_t i = mark; i < last && line[i].marked; ++i)
    marked += line[i].width;
  out << std::string(marked > 1 ? marked - 1 : 0, '~') << palette.reset << '\n';
}

void showPlace(std::ostream &out, Span span) {
  Source::Position position = span.source->position(span.begin);
  out << printable(span.source->path()) << ':' << position.line << ':' << position.column << ": ";
}

void show(std::ostream &out, const Diagnostic &diagnostic, const Palette &palette) {
  bool error = diagnostic.severity == Severity::Error;
  out << palette.bold;
  if (diagnostic.span)
    showPlace(out, diagnostic.span);
  out << palette.reset << (error ? palette.error : palette.warning)
      << (error ? "error: " : "warning: ") << palette.reset << palette.bold
      << printable(diagnostic.message) << palette.reset;
  if (!diagnostic.rule.empty())
    out << " [" << diagnostic.rule << ']';
  out << '\n';
  size_t margin = 5;
  if (diagnostic.span) {
    margin = std::max(margin, std::to_string(diagnostic.span.line()).size() + 1);
    showLine(out, diagnostic.span, margin, palette);
  }
  for (const std::string &hint : diagnostic.hints)
    out << std::string(margin, ' ') << " = " << palette.hint << "hint: " << palette.reset
        << printable(hint) << '\n';
  for (const Diagnostic::Note &note : diagnostic.notes) {
    if (!note.span) {
      out << std::string(margin, ' ') << " = " << palette.hint << "note: " << palette.reset
          << printable(note.message) << '\n';
      continue;
    }
    out << palette.bold;
    showPlace(out, note.span);
    out << palette.reset << palette.hint << "note: " << palette.reset << printable(note.message)
        << '\n';
    showLine(out, note.span, margin, palette);
  }
}

} // namespace

Diagnostic &Diagnostics::add(Severity severity, Span at, std::string message, std::string rule) {
  size_t place = std::hash<std::string>()(message) * 31 + at.begin * 7 + at.end;
  auto [first, last] = places_.equal_range(place);
  for (; first != last; ++first) {
    const Diagnostic &said = all_[first->second];
    if (said.severity == severity && said.span.source == at.source && said.span.begin == at.begin &&
        said.span.end == at.end && said.message == message) {
      dropped_ = Diagnostic();
      return dropped_;
    }
  }
  places_.emplace(place, all_.size());
  errors_ += severity == Severity::Error;
  all_.push_back({severity, at, std::move(message), std::move(rule), {}, {}});
  return all_.back();
}

Diagnostic &Diagnostics::error(Span at, std::string message, std::string rule) {
  return add(Severity::Error, at, std::move(message), std::move(rule));
}

Diagnostic &Diagnostics::warning(Span at, std::string message, std::string rule) {
  return add(Severity::Warning, at, std::move(message), std::move(rule));
}

void Diagnostics::render(std::ostream &out, bool color) const {
  // Files in the order in which they were first mentioned, places in order within a file.
  std::vector<const Source *> sources;
  for (const Diagnostic &diagnostic : all_)
    if (std::find(sources.begin(), sources.end(), diagnostic.span.source) == sources.end())
      sources.push_back(diagnostic.span.source);
  auto key = [&](size_t i) {
    const Span &span = all_[i].span;
    return std::pair(std::find(sources.begin(), sources.end(), span.source) - sources.begin(),
                     span.begin);
  };
  std::vector<size_t> order(all_.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return std::pair(key(a), a) < std::pair(key(b), b); });
  for (size_t i : order)
    show(out, all_[i], color ? colored : plain);
}

std::string nearest(const std::string &name, const std::vector<std::string> &candidates) {
  // Damerau's distance (insertions, deletions, changes, swaps of neighbours), in bytes.
  auto distance = [&](const std::string &other) {
    size_t n = name.size(), m = other.size();
    std::vector<std::vector<size_t>> d(n + 1, std::vector<size_t>(m + 1));
    for (size_t i = 0; i <= n; ++i)
      for (size_t j = 0; j <= m; ++j) {
        if (i == 0 || j == 0) {
          d[i][j] = i + j;
          continue;
        }
        d[i][j] = std::min(
            {d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (name[i - 1] != other[j - 1])});
        if (i > 1 && j > 1 && name[i - 1] == other[j - 2] && name[i - 2] == other[j - 1])
          d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    return d[n][m];
  };
  std::string best;
  size_t bestDistance = (name.size() + 2) / 3 + 1;
  for (const std::string &candidate : candidates) {
    size_t longer = std::max(name.size(), candidate.size());
    size_t shorter = std::min(name.size(), candidate.size());
    if (candidate == name || longer > 200 || longer - shorter >= bestDistance)
      continue;
    if (size_t d = distance(candidate); d < bestDistance && d < longer) {
      best = candidate;
      bestDistance = d;
    }
  }
  return best;
}

} // namespace qkv
