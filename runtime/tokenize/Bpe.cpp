// In: a word. Out: its tokens by byte pair encoding, with merges or with scores.
#include "runtime/tokenize/Model.h"
#include "runtime/tokenize/Unicode.h"

#include <algorithm>
#include <queue>

namespace qkv::rt {

std::string byteTokenText(unsigned char byte) {
  constexpr char digits[] = "0123456789ABCDEF";
  return {'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>'};
}

bool TokenModel::asBytes(std::string_view text, std::vector<int64_t> &tokens) const {
  size_t before = tokens.size();
  for (unsigned char byte : text) {
    int64_t token = vocabulary.find(byteTokenText(byte));
    if (token < 0) {
      tokens.resize(before);
      return false;
    }
    tokens.push_back(token);
  }
  return true;
}

bool Bpe::addMerge(std::string_view left, std::string_view right) {
  std::string merged(left);
  merged += right.starts_with(prefix) ? right.substr(prefix.size()) : right;
  int64_t a = vocabulary.find(left), b = vocabulary.find(right), both = vocabulary.find(merged);
  if (a < 0 || b < 0 || both < 0)
    return false;
  merges.put(static_cast<uint64_t>(a) << 32 | static_cast<uint64_t>(b),
             mergeCount++ << 32 | static_cast<uint64_t>(both));
  return true;
}

/// The word's characters as tokens. What is not in the vocabulary is said in bytes, else is the
/// unknown token (one for several in a row where they are fused), else is left out.
bool Bpe::split(std::string_view word, std::vector<int64_t> &parts, std::string &why) const {
  int64_t pending = -1; // an unknown token that more may be fused with
  std::string text;
  for (size_t at = 0; at < word.size();) {
    size_t begin = at;
    nextCharacter(word, at);
    std::string_view part = word.substr(begin, at - begin);
    if ((begin > 0 && !prefix.empty()) || (at == word.size() && !suffix.empty())) {
      text = begin > 0 ? prefix : "";
      text += part;
      text += at == word.size() ? suffix : "";
      part = text;
    }
    int64_t token = vocabulary.find(part);
    if (token >= 0) {
      if (pending >= 0)
        parts.push_back(pending);
      pending = -1;
      parts.push_back(token);
      continue;
    }
    if (byteFallback && asBytes(part, parts))
      continue;
    if (unknown.empty() || (pending >= 0 && fuseUnknown))
      continue;
    if (pending >= 0)
      parts.push_back(pending);
    if ((pending = vocabulary.find(unknown)) < 0) {
      why = "the vocabulary has no " + unknown + ", which stands for what it does not know";
      return false;
    }
  }
  if (pending >= 0)
    parts.push_back(pending);
  return true;
}

namespace {

/// Parts of a word in a chain that gets shorter.
struct Chain {
  struct Part {
    int32_t before, behind;
    bool gone = false;
  };
  std::vector<Part> parts;

  explicit Chain(size_t count) : parts(count) {
    for (size_t i = 0; i < count; ++i)
      parts[i] = {static_cast<int32_t>(i) - 1, i + 1 < count ? static_cast<int32_t>(i) + 1 : -1};
  }
  /// The part behind `left` becomes a part of it.
  void join(int32_t left) {
    int32_t right = parts[left].behind;
    parts[right].gone = true;
    parts[left].behind = parts[right].behind;
    if (parts[left].behind >= 0)
      parts[parts[left].behind].before = left;
  }
};

} // namespace

void Bpe::merge(std::vector<int64_t> &tokens) const {
  struct Candidate {
    uint64_t order;
    int32_t at;
    int64_t merged;
    bool operator<(const Candidate &other) const { // the queue's top is the largest
      return std::pair(order, at) > std::pair(other.order, other.at);
    }
  };
  Chain chain(tokens.size());
  auto &parts = chain.parts;
  std::priority_queue<Candidate> queue;
  auto pairAt = [&](int32_t left) {
    return merges.find(static_cast<uint64_t>(tokens[left]) << 32 |
                       static_cast<uint64_t>(tokens[parts[left].behind]));
  };
  auto offer = [&](int32_t left) {
    if (left >= 0 && parts[left].behind >= 0)
      if (const uint64_t *found = pairAt(left))
        queue.push({*found >> 32, left, static_cast<int64_t>(*found & 0xFFFFFFFF)});
  };
  for (size_t i = 0; i + 1 < tokens.size(); ++i)
    offer(static_cast<int32_t>(i));
  while (!queue.empty()) {
    Candidate best = queue.top();
    queue.pop();
    if (parts[best.at].gone || parts[best.at].behind < 0)
      continue;
    // The pair may be another one by now.
    const uint64_t *found = pairAt(best.at);
    if (!found || static_cast<int64_t>(*found & 0xFFFFFFFF) != best.merged)
      continue;
    tokens[best.at] = best.merged;
    chain.join(best.at);
    offer(parts[best.at].before);
    offer(best.at);
  }
  size_t kept = 0;
  for (size_t i = 0; i < tokens.size(); ++i)
    if (!parts[i].gone)
      tokens[kept++] = tokens[i];
  tokens.resize(kept);
}

bool Bpe::tokenize(std::string_view word, std::vector<int64_t> &tokens, std::string &why) const {
  if (word.empty())
    return true;
  if (ignoreMerges)
    if (int64_t whole = vocabulary.find(word); whole >= 0) {
      tokens.push_back(whole);
      return true;
    }
  std::vector<int64_t> parts;
  if (!split(word, parts, why))
    return false;
  if (parts.size() > 1)
    merge(parts);
  tokens.insert(tokens.end(), parts.begin(), parts.end());
  return true;
}

bool ScoredBpe::tokenize(std::string_view word, std::vector<int64_t> &tokens,
                         std::string &why) const {
  struct Candidate {
    float score;
    int32_t at;
    size_t length;
    bool operator<(const Candidate &other) const {
      return score != other.score ? score < other.score : at > other.at;
    }
  };
  std::vector<std::string_view> texts;
  for (size_t at = 0; at < word.size();) {
    size_t begin = at;
    nextCharacter(word, at);
    texts.push_back(word.substr(begin, at - begin));
  }
  Chain chain(texts.size());
  auto &parts = chain.parts;
  std::priority_queue<Candidate> queue;
  auto together = [&](int32_t left) {
    return std::string_view(texts[left].data(),
                            texts[left].size() + texts[parts[left].behind].size());
  };
  auto offer = [&](int32_t left) {
    if (left < 0 || parts[left].behind < 0)
      return;
    std::string_view text = together(left);
    if (int64_t token = vocabulary.find(text); token >= 0)
      queue.push({scores[token], left, text.size()});
  };
  for (size_t i = 0; i + 1 < texts.size(); ++i)
    offer(static_cast<int32_t>(i));
  while (!queue.empty()) {
    Candidate best = queue.top();
    queue.pop();
    if (parts[best.at].gone || parts[best.at].behind < 0 || together(best.at).size() != best.length)
      continue;
    texts[best.at] = together(best.at);
    chain.join(best.at);
    offer(parts[best.at].before);
    offer(best.at);
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    if (parts[i].gone)
      continue;
    int64_t token = vocabulary.find(texts[i]);
    if (token < 0 && asBytes(texts[i], tokens))
      continue;
    if (token < 0 && (token = unknown) < 0) {
      why = "the vocabulary has no token for " + std::string(texts[i]);
      return false;
    }
    tokens.push_back(token);
  }
  return true;
}

} // namespace qkv::rt
