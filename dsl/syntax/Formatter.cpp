// Prints a file again, token by token, with the spaces and indents of one style.
//
// In: a file that parses. Out: the same tokens and comments on the same lines (a line of the
// author's ends where it may go on, G1, and stays), so the syntax tree cannot change. What is
// decided here:
//   - two spaces of indent for a body, four more for a line that goes on;
//   - a space on both sides of a binary operator, but `x^2` where the exponent is one word;
//     inside [...] none, except round `+` and `-` of an index that has more in it than one sum,
//     `x[t-1,c]` and `x[2*i + r, c]`;
//   - `=` signs and comments that the author aligned stay aligned;
//   - at most one blank line in a row, none at the edges of a body.
#include "dsl/syntax/Formatter.h"

#include "dsl/syntax/Lexical.h"
#include "dsl/syntax/Parser.h"

#include <algorithm>
#include <string_view>

namespace qkv {

namespace {

using lexical::Kind;
using lexical::Token;

size_t countCharacters(std::string_view text) {
  size_t count = 0;
  for (size_t i = 0; i < text.size(); ++count)
    i += characterAt(text, i).length;
  return count;
}

/// How one token stands among the others.
struct Setting {
  bool startsStatement = false;
  bool dropped = false; ///< a `;` that ends what ends anyway
  bool unary = false;
  bool insideIndex = false; ///< somewhere in [...]
  bool wideIndex = false;   ///< this index, or for a comma one of its bracket, has spaces in it
  bool signature = false;   ///< directly in the parentheses of a definition's arguments
};

/// One line of the output, and what the author's looked like.
struct Line {
  uint32_t sourceLine = 0;
  size_t indent = 0;
  std::string text;
  std::string comment;
  size_t equals = std::string::npos; ///< where a lone equation's `=` is in the text
  size_t sourceEquals = 0;           ///< the same in the source, from the line's first character
  bool padded = false;               ///< there was more than a space before it
  size_t sourceComment = 0;          ///< the comment's column in the source
  size_t statements = 0;
  bool opens = false;  ///< ends with {
  bool closes = false; ///< begins with }
};

class Printer {
public:
  Printer(const Source &source, const lexical::Tokens &scanned)
      : source_(source), tokens_(scanned.tokens), comments_(scanned.comments),
        settings_(tokens_.size()) {}

  std::string run() {
    settle();
    measureIndices();
    makeLines();
    alignEquals();
    alignComments();
    return join();
  }

private:
  std::string_view written(const Span &span) const {
    return std::string_view(source_.text()).substr(span.begin, span.end - span.begin);
  }
  static bool isLineEnd(const Token &token) {
    return token.kind == Kind::StatementEnd && token.span.begin == token.span.end;
  }

  /// Whether it is the format behind a bar (C5): what follows stands by itself.
  bool isFormat(size_t i) const { return i > 0 && tokens_[i - 1].kind == Kind::Bar; }

  //===-- Before printing ---------------------------------------------------------------===//

  void settle() {
    for (size_t i = 0; i < tokens_.size(); ++i) {
      Kind before = i == 0 ? Kind::StatementEnd : tokens_[i - 1].kind;
      Setting &setting = settings_[i];
      Kind kind = tokens_[i].kind;
      setting.startsStatement =
          before == Kind::StatementEnd || before == Kind::LeftBrace || kind == Kind::RightBrace;
      setting.unary =
          kind == Kind::Minus && (i == 0 || !lexical::endsOperand(before) || isFormat(i - 1));
      if (kind == Kind::StatementEnd)
        setting.dropped = isLineEnd(tokens_[i]) || before == Kind::StatementEnd ||
                          before == Kind::LeftBrace || tokens_[i + 1].firstOnLine ||
                          tokens_[i + 1].kind == Kind::RightBrace ||
                          tokens_[i + 1].kind == Kind::EndOfFile;
    }
  }

  /// An index, argument or other element of a bracket: the part between two commas.
  struct Element {
    std::vector<size_t> sums; ///< its binary `+` and `-`
    bool products = false, groups = false, words = false;
    bool wide() const {
      return words || sums.size() > 1 || (!sums.empty() && (products || groups));
    }
  };
  struct Bracket {
    Kind kind;
    bool insideIndex;
    bool signature;
    Element element;
    std::vector<size_t> commas;
    bool anyWide = false;
    bool call = false; ///< what stands in it are the arguments of a call, and not (h,d) (P5)
  };

  void endElement(Bracket &bracket) {
    for (size_t i : bracket.element.sums)
      settings_[i].wideIndex = bracket.element.wide();
    bracket.anyWide = bracket.anyWide || bracket.element.wide();
    bracket.element = Element();
  }

  void measureIndices() {
    std::vector<Bracket> open{{Kind::EndOfFile, false, false, {}, {}, false, false}};
    for (size_t i = 0; i < tokens_.size(); ++i) {
      Kind kind = tokens_[i].kind;
      Setting &setting = settings_[i];
      setting.insideIndex = open.back().insideIndex;
      setting.signature = open.back().signature;
      switch (kind) {
      case Kind::LeftParen:
      case Kind::LeftBracket:
      case Kind::LeftBrace: {
        open.back().element.groups = true;
        bool signature = kind == Kind::LeftParen && i >= 2 &&
                         (tokens_[i - 2].kind == Kind::Fn || tokens_[i - 2].kind == Kind::Block ||
                          tokens_[i - 2].kind == Kind::Model);
        bool inside =
            kind != Kind::LeftBrace && (kind == Kind::LeftBracket || open.back().insideIndex);
        bool call =
            kind == Kind::LeftParen && i > 0 && isCallee(tokens_[i - 1].kind) && !isFormat(i - 1);
        open.push_back({kind, inside, signature, {}, {}, false, call});
        break;
      }
      case Kind::RightParen:
      case Kind::RightBracket:
      case Kind::RightBrace:
        endElement(open.back());
        for (size_t comma : open.back().commas)
          settings_[comma].wideIndex = open.back().anyWide || open.back().call;
        if (open.size() > 1)
          open.pop_back();
        break;
      case Kind::Comma:
        endElement(open.back());
        open.back().commas.push_back(i);
        break;
      case Kind::StatementEnd:
        open.back().element = Element();
        break;
      case Kind::Plus:
      case Kind::Minus:
        if (!setting.unary)
          open.back().element.sums.push_back(i);
        break;
      case Kind::Star:
      case Kind::Slash:
      case Kind::SlashSlash:
      case Kind::Percent:
      case Kind::Caret:
        open.back().element.products = true;
        break;
      default:
        if (lexical::isBinary(kind) || kind == Kind::If || kind == Kind::Not)
          open.back().element.words = true;
        break;
      }
    }
  }

  //===-- Spaces ------------------------------------------------------------------------===//

  static bool isCallee(Kind kind) {
    switch (kind) {
    case Kind::Name:
    case Kind::Reduction:
    case Kind::MinMax:
    case Kind::Function:
    case Kind::Extent:
    case Kind::Config:
    case Kind::Dynamic:
    case Kind::Stream:
    case Kind::RightParen:
    case Kind::RightBracket:
      return true;
    default:
      return false;
    }
  }

  /// A name or number that nothing belongs to.
  bool isWord(size_t i) const {
    Kind kind = tokens_[i].kind;
    if (kind == Kind::Name)
      return tokens_[i + 1].kind != Kind::LeftParen && tokens_[i + 1].kind != Kind::LeftBracket;
    return kind == Kind::Integer || kind == Kind::Number || kind == Kind::Infinity;
  }

  bool spacedOperator(size_t i) const {
    const Setting &setting = settings_[i];
    if (tokens_[i].kind == Kind::Caret && isWord(i + 1))
      return false;
    if (!setting.insideIndex)
      return true;
    switch (tokens_[i].kind) {
    case Kind::Plus:
    case Kind::Minus:
      return setting.wideIndex;
    case Kind::Star:
    case Kind::Slash:
    case Kind::SlashSlash:
    case Kind::Percent:
    case Kind::Caret:
      return false;
    default:
      return true;
    }
  }

  /// Whether a space stands between token a and the next on its line, b.
  bool spaceBetween(size_t a, size_t b) const {
    Kind left = tokens_[a].kind, right = tokens_[b].kind;
    if (left == Kind::LeftBrace && right == Kind::RightBrace)
      return false;
    if (left == Kind::LeftParen || left == Kind::LeftBracket || right == Kind::RightParen ||
        right == Kind::RightBracket || right == Kind::Comma || right == Kind::StatementEnd)
      return false;
    if (left == Kind::Comma)
      return !settings_[a].insideIndex || settings_[a].wideIndex;
    if (right == Kind::Colon)
      return settings_[b].signature;
    if (isFormat(a))
      return true;
    if ((right == Kind::LeftParen || right == Kind::LeftBracket) && isCallee(left))
      return false;
    if (right == Kind::Length || (right == Kind::LeftBracket && left == Kind::String))
      return false;
    if (left == Kind::Root || settings_[a].unary)
      return false;
    if (lexical::isBinary(left))
      return spacedOperator(a);
    if (lexical::isBinary(right) && !settings_[b].unary)
      return spacedOperator(b);
    return true;
  }

  //===-- Lines -------------------------------------------------------------------------===//

  void makeLines() {
    size_t depth = 0, indent = 0, comment = 0;
    size_t last = tokens_.size(); // the token before on this line
    for (size_t i = 0; i < tokens_.size(); ++i) {
      const Token &token = tokens_[i];
      const Setting &setting = settings_[i];
      for (; comment < comments_.size() && comments_[comment].begin < token.span.begin; ++comment)
        addComment(comments_[comment], depth, indent, i);
      if (token.kind == Kind::EndOfFile || setting.dropped)
        continue;
      if (token.kind == Kind::RightBrace && depth > 0)
        --depth;
      if (lines_.empty() || lines_.back().sourceLine != token.line) {
        if (setting.startsStatement)
          indent = 2 * depth;
        bool closer = token.kind == Kind::RightParen || token.kind == Kind::RightBracket;
        startLine(token.line, setting.startsStatement || closer ? indent : indent + 4);
        lines_.back().closes = token.kind == Kind::RightBrace;
        last = tokens_.size();
      }
      Line &line = lines_.back();
      if (last != tokens_.size() && spaceBetween(last, i))
        line.text += ' ';
      noteEquals(line, i);
      line.text += written(token.span);
      line.opens = token.kind == Kind::LeftBrace;
      if (line.opens)
        ++depth;
      last = i;
    }
  }

  void startLine(uint32_t number, size_t indent) {
    Line line;
    line.sourceLine = number;
    line.indent = indent;
    lines_.push_back(std::move(line));
  }

  void addComment(Span comment, size_t depth, size_t indent, size_t next) {
    Source::Position position = source_.position(comment.begin);
    if (lines_.empty() || lines_.back().sourceLine != position.line)
      startLine(position.line, settings_[next].startsStatement || isLineEnd(tokens_[next])
                                   ? 2 * depth
                                   : indent + 4);
    std::string_view text = written(comment);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r'))
      text.remove_suffix(1);
    lines_.back().comment = text;
    lines_.back().sourceComment = position.column;
  }

  /// Counts statements on a line and remembers the `=` of an equation, if it is the first.
  void noteEquals(Line &line, size_t i) {
    if (settings_[i].startsStatement) {
      ++line.statements;
      Kind kind = tokens_[i].kind;
      equation_ = kind == Kind::Name || kind == Kind::Drop;
      lineStart_ = source_.position(tokens_[i].span.begin).column;
    }
    if (tokens_[i].kind != Kind::Assign || !equation_)
      return;
    equation_ = false;
    if (line.statements != 1)
      return;
    line.equals = line.text.size();
    line.sourceEquals = source_.position(tokens_[i].span.begin).column - lineStart_;
    line.padded = tokens_[i].span.begin - tokens_[i - 1].span.end > 1;
  }

  /// Calls `align` for each run of lines that follow each other in the source and have the
  /// same `column`, not 0. Lines that `inside` accepts belong to the line before them.
  template <class Column, class Inside, class Align>
  void runs(Column column, Inside inside, Align align) {
    for (size_t first = 0; first < lines_.size();) {
      size_t wanted = column(lines_[first]), next = first + 1;
      std::vector<Line *> run{&lines_[first]};
      while (wanted != 0 && next < lines_.size() &&
             lines_[next].sourceLine == lines_[next - 1].sourceLine + 1) {
        Line &line = lines_[next];
        if (column(line) == wanted && line.indent == lines_[first].indent)
          run.push_back(&line);
        else if (!inside(line))
          break;
        ++next;
      }
      if (wanted != 0)
        align(run);
      first = next;
    }
  }

  void alignEquals() {
    auto column = [](const Line &line) {
      return line.equals != std::string::npos && line.statements == 1 ? line.sourceEquals : 0;
    };
    auto goesOn = [](const Line &line) { return line.statements == 0 && !line.text.empty(); };
    runs(column, goesOn, [](const std::vector<Line *> &run) {
      bool padded = false;
      size_t widest = 0;
      auto width = [](const Line &line) {
        return countCharacters(std::string_view(line.text).substr(0, line.equals));
      };
      for (const Line *line : run) {
        padded = padded || line->padded;
        widest = std::max(widest, width(*line));
      }
      for (Line *line : run)
        if (padded)
          line->text.insert(line->equals, widest - width(*line), ' ');
    });
  }

  void alignComments() {
    auto column = [](const Line &line) {
      return line.comment.empty() || line.text.empty() ? 0 : line.sourceComment;
    };
    auto nothing = [](const Line &) { return false; };
    // The indent is part of where a comment stands.
    auto width = [](const Line &line) { return line.indent + countCharacters(line.text); };
    runs(column, nothing, [&](const std::vector<Line *> &run) {
      size_t widest = 0;
      for (const Line *line : run)
        widest = std::max(widest, width(*line));
      for (Line *line : run)
        line->text.append(widest - width(*line) + 2, ' ');
    });
  }

  std::string join() const {
    std::string out;
    for (size_t i = 0; i < lines_.size(); ++i) {
      const Line &line = lines_[i];
      bool gap = i > 0 && line.sourceLine > lines_[i - 1].sourceLine + 1;
      if (gap && !lines_[i - 1].opens && !line.closes)
        out += '\n';
      out.append(line.indent, ' ');
      out += line.text + line.comment + '\n';
    }
    return out;
  }

  const Source &source_;
  const std::vector<Token> &tokens_;
  const std::vector<Span> &comments_;
  std::vector<Setting> settings_;
  std::vector<Line> lines_;
  bool equation_ = false; // the statement being printed is an equation before its `=`
  uint32_t lineStart_ = 1;
};

} // namespace

std::optional<std::string> format(const Source &source, Diagnostics &diagnostics) {
  size_t errorsBefore = diagnostics.errorCount();
  parse(source, diagnostics);
  if (diagnostics.errorCount() != errorsBefore)
    return std::nullopt;
  Diagnostics known; // what scanning says has been said
  return Printer(source, lexical::scan(source, known)).run();
}

} // namespace qkv
