// Pairs brackets, puts statement ends between tokens, and checks how deep they nest (G1, G9).
//
// In: the tokens of a file as they stand. Out: the same with a StatementEnd wherever a
// statement ends at the end of its line, each bracket knowing its partner, and the first token
// of a statement that is nested too deeply made Bad, so that the grammar never goes deeper.
//
// A bracket that is never closed must not swallow the rest of the file: only a pair keeps a
// statement open over the end of a line.
#include "dsl/syntax/Lexical.h"

#include <algorithm>

namespace qkv::lexical {

namespace {

/// A word that cannot stand inside ( or [, so that one still open there was left open.
bool beginsStatement(const std::vector<Token> &tokens, size_t i) {
  switch (tokens[i].kind) {
  case Kind::Index:
  case Kind::Param:
  case Kind::Use:
  case Kind::Repeat:
  case Kind::Block:
  case Kind::Model:
    return true;
  case Kind::Fn: // `fn align` is an argument; `fn name(` defines
    return i + 2 < tokens.size() && tokens[i + 2].kind == Kind::LeftParen;
  default:
    return false;
  }
}

bool isDefinition(Kind kind) {
  return kind == Kind::Fn || kind == Kind::Block || kind == Kind::Model;
}

void pairBrackets(std::vector<Token> &tokens) {
  std::vector<size_t> open;
  int parens = 0, brackets = 0; // open behind the last brace
  auto leaveLines = [&] {
    while (!open.empty() && tokens[open.back()].kind != Kind::LeftBrace)
      open.pop_back();
    parens = brackets = 0;
  };
  auto close = [&](size_t i, Kind left) {
    // The counts keep a run of closers without a partner from searching again and again.
    if ((left == Kind::LeftParen && parens == 0) || (left == Kind::LeftBracket && brackets == 0))
      return;
    while (!open.empty()) {
      size_t partner = open.back();
      open.pop_back();
      parens -= tokens[partner].kind == Kind::LeftParen;
      brackets -= tokens[partner].kind == Kind::LeftBracket;
      if (tokens[partner].kind == left) {
        tokens[i].match = static_cast<int32_t>(partner);
        tokens[partner].match = static_cast<int32_t>(i);
        return;
      }
    }
  };
  for (size_t i = 0; i < tokens.size(); ++i) {
    const Token &token = tokens[i];
    if (token.firstOnLine && beginsStatement(tokens, i)) {
      leaveLines();
      if (isDefinition(token.kind)) // definitions do not nest: a } is missing
        open.clear();
    }
    switch (token.kind) {
    case Kind::LeftParen:
      open.push_back(i), ++parens;
      break;
    case Kind::LeftBracket:
      open.push_back(i), ++brackets;
      break;
    case Kind::RightParen:
      close(i, Kind::LeftParen);
      break;
    case Kind::RightBracket:
      close(i, Kind::LeftBracket);
      break;
    case Kind::LeftBrace:
      leaveLines();
      open.push_back(i);
      break;
    case Kind::RightBrace:
      leaveLines();
      close(i, Kind::LeftBrace);
      break;
    case Kind::StatementEnd:
      leaveLines();
      break;
    default:
      break;
    }
  }
}

bool lineGoesOnAfter(Kind kind) {
  switch (kind) {
  case Kind::Assign:
  case Kind::Arrow:
  case Kind::Colon:
  case Kind::Comma:
  case Kind::Bar:
  case Kind::If:
  case Kind::Then:
  case Kind::Else:
  case Kind::Not:
  case Kind::Where:
  case Kind::From:
    return true;
  default:
    return isBinary(kind);
  }
}

bool lineGoesOnBefore(Kind kind) {
  switch (kind) {
  case Kind::Bar:
  case Kind::Then:
  case Kind::Else:
  case Kind::Where:
  case Kind::From:
    return true;
  default:
    return isBinary(kind);
  }
}

/// G1. Returns the tokens with statement ends; partners are renumbered.
std::vector<Token> endStatements(std::vector<Token> &tokens) {
  std::vector<Token> out;
  out.reserve(tokens.size() + tokens.size() / 8);
  std::vector<int32_t> place(tokens.size());
  int open = 0; // pairs of ( and [ around
  for (size_t i = 0; i < tokens.size(); ++i) {
    Token &token = tokens[i];
    bool lineEnds = token.firstOnLine || token.kind == Kind::EndOfFile;
    if (lineEnds && !out.empty() && open == 0) {
      const Token &last = out.back();
      if (last.kind != Kind::StatementEnd && last.kind != Kind::LeftBrace &&
          !lineGoesOnAfter(last.kind) && !lineGoesOnBefore(token.kind)) {
        Token end;
        end.kind = Kind::StatementEnd;
        end.span = {last.span.source, last.span.end, last.span.end};
        end.line = last.line;
        out.push_back(std::move(end));
      }
    }
    if (token.match >= 0 && (token.kind == Kind::LeftParen || token.kind == Kind::LeftBracket))
      ++open;
    if (token.match >= 0 && (token.kind == Kind::RightParen || token.kind == Kind::RightBracket))
      --open;
    place[i] = static_cast<int32_t>(out.size());
    out.push_back(std::move(token));
  }
  for (Token &token : out)
    if (token.match >= 0)
      token.match = place[token.match];
  return out;
}

/// What is open around a token: brackets, and `if`s whose `else` has not ended.
struct Level {
  Kind kind; ///< a left bracket, If (in its condition), Then, Else, or EndOfFile: the outermost
  int32_t token;
  int negations = 0; ///< `not`s of the operand being read
  int powers = 0;    ///< `-`s and `^`s of the operand being read
};

class Nesting {
public:
  Nesting(std::vector<Token> &tokens, Diagnostics &diagnostics)
      : tokens_(tokens), diagnostics_(diagnostics), levels_{{Kind::EndOfFile, -1}} {}

  void run() {
    for (size_t i = 0; i < tokens_.size(); ++i) {
      step(static_cast<int32_t>(i));
      if (depth_ <= maxNesting) {
        said_ = said_ && cut_; // one error a statement, however often the depth goes up and down
        continue;
      }
      if (!said_)
        diagnostics_
            .error(tokens_[i].span,
                   "this is nested more than " + std::to_string(maxNesting) + " levels deep", "G9")
            .hint("give parts of it equations of their own");
      if (!cut_)
        tokens_[i].kind = Kind::Bad;
      said_ = cut_ = true;
    }
  }

private:
  void push(Kind kind, int32_t token) {
    levels_.push_back({kind, token});
    ++depth_;
  }
  void pop() {
    forget(true);
    levels_.pop_back();
    --depth_;
  }
  /// The operand has ended: its prefixes and exponents are behind us.
  void forget(bool negationsToo) {
    Level &top = levels_.back();
    depth_ -= top.powers;
    top.powers = 0;
    if (negationsToo) {
      depth_ -= top.negations;
      top.negations = 0;
    }
  }
  bool isIf() const {
    Kind kind = levels_.back().kind;
    return kind == Kind::If || kind == Kind::Then || kind == Kind::Else;
  }
  void leaveIfs() {
    while (isIf())
      pop();
    forget(true);
  }
  /// From condition to `then`, from `then` to `else`, past whole `if`s inside them.
  void branch(Kind from, Kind to) {
    size_t depth = levels_.size();
    while (depth > 1 && levels_[depth - 1].kind == Kind::Else)
      --depth;
    if (levels_[depth - 1].kind != from)
      return;
    while (levels_.size() > depth)
      pop();
    forget(true);
    levels_.back().kind = to;
  }

  void step(int32_t i) {
    Kind kind = tokens_[i].kind;
    // Behind the cut nothing is read; only where the statement ends matters.
    if (cut_ && (kind == Kind::If || kind == Kind::Then || kind == Kind::Else ||
                 kind == Kind::Not || kind == Kind::Caret || kind == Kind::Minus))
      return;
    switch (kind) {
    case Kind::LeftParen:
    case Kind::LeftBracket:
    case Kind::LeftBrace:
      push(kind, i);
      break;
    case Kind::RightParen:
    case Kind::RightBracket:
    case Kind::RightBrace:
      if (tokens_[i].match < 0)
        break;
      while (levels_.size() > 1 && levels_.back().token != tokens_[i].match)
        pop();
      if (levels_.size() > 1)
        pop();
      if (kind == Kind::RightBrace)
        cut_ = false;
      break;
    case Kind::StatementEnd:
      while (levels_.size() > 1 && levels_.back().kind != Kind::LeftBrace)
        pop();
      forget(true);
      cut_ = false;
      break;
    case Kind::Comma:
    case Kind::Where:
    case Kind::Colon:
    case Kind::Assign:
    case Kind::Bar:
      leaveIfs();
      break;
    case Kind::If:
      push(kind, i);
      break;
    case Kind::Then:
      branch(Kind::If, Kind::Then);
      break;
    case Kind::Else:
      branch(Kind::Then, Kind::Else);
      break;
    case Kind::Not:
      ++levels_.back().negations, ++depth_;
      break;
    case Kind::Caret:
      ++levels_.back().powers, ++depth_;
      break;
    case Kind::Minus:
      if (i == 0 || !endsOperand(tokens_[i - 1].kind))
        ++levels_.back().powers, ++depth_;
      else
        forget(false);
      break;
    default:
      if (isBinary(kind))
        forget(kind == Kind::And || kind == Kind::Or);
      break;
    }
  }

  std::vector<Token> &tokens_;
  Diagnostics &diagnostics_;
  std::vector<Level> levels_;
  int depth_ = 0;
  bool cut_ = false;  // a token of this statement is Bad already
  bool said_ = false; // of this statement, or since the depth was last within the limit
};

} // namespace

void layOut(std::vector<Token> &tokens, Diagnostics &diagnostics) {
  pairBrackets(tokens);
  tokens = endStatements(tokens);
  Nesting(tokens, diagnostics).run();
}

} // namespace qkv::lexical
