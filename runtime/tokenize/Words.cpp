// In: a word. Out: its tokens by the likeliest way, by the longest first, or as a whole.
#include "runtime/tokenize/Model.h"
#include "runtime/tokenize/Unicode.h"

#include <algorithm>
#include <limits>

namespace qkv::rt {

void Unigram::prepare(std::vector<double> all) {
  scores = std::move(all);
  double least = std::numeric_limits<double>::infinity();
  for (double score : scores)
    if (score < least) // (not NaN: that token is never found in a text)
      least = score;
  unknownScore = least - 10; // SentencePiece's penalty
  for (int64_t token = 0; token < vocabulary.size(); ++token)
    if (const std::string *text = vocabulary.text(token);
        text && !text->empty() && scores[token] == scores[token])
      trie.add(*text, vocabulary.find(*text));
}

bool Unigram::tokenize(std::string_view word, std::vector<int64_t> &tokens,
                       std::string &why) const {
  struct Node {
    double score = 0;
    int64_t token = -1;
    size_t from = std::string_view::npos;
  };
  std::vector<Node> nodes(word.size() + 1);
  auto offer = [&](size_t from, size_t to, int64_t token, double score) {
    double sum = nodes[from].score + score;
    if (nodes[to].from == std::string_view::npos || sum > nodes[to].score)
      nodes[to] = {sum, token, from};
  };
  for (size_t at = 0; at < word.size();) {
    size_t behind = at;
    nextCharacter(word, behind);
    bool single = false;
    int64_t node = 0;
    for (size_t end = at; end < word.size();) {
      node = trie.next(node, word[end++]);
      if (node < 0)
        break;
      if (int64_t token = trie.value(node); token >= 0) {
        offer(at, end, token, scores[token]);
        single |= end == behind;
      }
    }
    if (!single)
      offer(at, behind, unknown, unknownScore);
    at = behind;
  }
  // Parts that are unknown in a row are one.
  std::vector<std::pair<size_t, size_t>> parts;
  bool open = false;
  for (size_t end = word.size(); end > 0; end = nodes[end].from) {
    bool isUnknown = nodes[end].token == unknown;
    if (isUnknown && open)
      parts.back().first = nodes[end].from;
    else
      parts.push_back({nodes[end].from, end});
    open = isUnknown && unknown >= 0;
  }
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    std::string_view text = word.substr(part->first, part->second - part->first);
    int64_t token = vocabulary.find(text);
    if (token < 0 && byteFallback && asBytes(text, tokens))
      continue;
    if (token < 0 && (token = unknown) < 0) {
      why = "the vocabulary has no token for " + std::string(text);
      return false;
    }
    tokens.push_back(token);
  }
  return true;
}

bool WordPiece::tokenize(std::string_view word, std::vector<int64_t> &tokens,
                         std::string &why) const {
  auto isUnknown = [&] {
    int64_t token = vocabulary.find(unknown);
    tokens.push_back(token);
    if (token < 0)
      why = "the vocabulary has no " + unknown + ", which stands for what it does not know";
    return token >= 0;
  };
  std::vector<size_t> ends;
  for (size_t at = 0; at < word.size();) {
    nextCharacter(word, at);
    ends.push_back(at);
  }
  if (ends.size() > longest)
    return isUnknown();
  size_t before = tokens.size();
  std::string text;
  for (size_t begin = 0; begin < word.size();) {
    int64_t token = -1;
    size_t end = 0;
    for (auto last = ends.rbegin(); last != ends.rend() && *last > begin && token < 0; ++last) {
      text = begin ? prefix : "";
      text += word.substr(begin, *last - begin);
      token = vocabulary.find(text);
      end = *last;
    }
    if (token < 0) {
      tokens.resize(before);
      return isUnknown();
    }
    tokens.push_back(token);
    begin = end;
  }
  return true;
}

bool LongestMatch::tokenize(std::string_view word, std::vector<int64_t> &tokens,
                            std::string &why) const {
  for (size_t at = 0; at < word.size();) {
    int64_t best = unknown, node = 0;
    size_t behind = at + 1;
    for (size_t end = at; end < word.size() && (node = trie.next(node, word[end])) >= 0;)
      if (int64_t token = trie.value(node), next = ++end; token >= 0) {
        best = token;
        behind = static_cast<size_t>(next);
      }
    if (best < 0) {
      why = "the vocabulary has no token for the byte " +
            byteTokenText(static_cast<unsigned char>(word[at]));
      return false;
    }
    tokens.push_back(best);
    at = behind;
  }
  return true;
}

bool WordLevel::tokenize(std::string_view word, std::vector<int64_t> &tokens,
                         std::string &why) const {
  int64_t token = vocabulary.find(word);
  if (token < 0 && (token = vocabulary.find(unknown)) < 0) {
    why = "the vocabulary has no " + unknown + ", which stands for what it does not know";
    return false;
  }
  tokens.push_back(token);
  return true;
}

} // namespace qkv::rt
