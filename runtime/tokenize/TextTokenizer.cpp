// In: the parts of a tokenizer. Out: text to tokens and back.
#include "runtime/tokenize/TextTokenizer.h"

#include "runtime/Error.h"
#include "runtime/checkpoint/Names.h"

#include <algorithm>
#include <unordered_map>

namespace qkv::rt {

/// The tokens of words that were seen in this text: most words come again.
struct TextTokenizer::Words {
  std::unordered_map<std::string, std::pair<uint32_t, uint32_t>> places; // in `tokens`
  std::vector<int64_t> tokens;

  bool append(const TokenModel &model, const std::string &word, std::vector<int64_t> &to,
              std::string &why) {
    constexpr size_t longest = 256, most = 1 << 22;
    if (auto found = places.find(word); found != places.end()) {
      auto [begin, end] = found->second;
      to.insert(to.end(), tokens.begin() + begin, tokens.begin() + end);
      return true;
    }
    size_t before = to.size();
    if (!model.tokenize(word, to, why))
      return false;
    if (word.size() <= longest && tokens.size() < most) {
      auto begin = static_cast<uint32_t>(tokens.size());
      tokens.insert(tokens.end(), to.begin() + static_cast<std::ptrdiff_t>(before), to.end());
      places.emplace(word, std::pair(begin, static_cast<uint32_t>(tokens.size())));
    }
    return true;
  }
};

bool TextTokenizer::prepare(std::string &why) {
  for (int byte = 0; byte < 256; ++byte) {
    auto one = static_cast<unsigned char>(byte);
    int64_t token =
        model->vocabulary.find(byteLevel ? std::string(byteCharacter(one)) : byteTokenText(one));
    if (token < 0) {
      byteTokens.clear();
      break;
    }
    byteTokens.push_back(token);
  }
  if (!added.prepare(normalizer.get(), why))
    return false;
  for (const std::vector<int64_t> &around : {before, behind})
    for (int64_t token : around)
      if (!this->text(token)) {
        why = format("the token %lld, which is to stand around a text, is not in its vocabulary",
                     static_cast<long long>(token));
        return false;
      }
  return true;
}

bool TextTokenizer::encode(std::string_view text, unsigned special, std::vector<int64_t> &tokens,
                           std::string &why) const {
  Words words;
  if (special & SpecialBefore)
    tokens.insert(tokens.end(), before.begin(), before.end());
  std::string valid;
  if (rawBytes || byteTokens.empty()) {
    valid = rawBytes ? std::string(text) : replaceInvalid(text);
    if (!encodeValid(valid, true, special & SpecialInside, words, tokens, why))
      return false;
  } else {
    // What is not UTF-8 is said in bytes, between stretches that are.
    bool first = true;
    for (size_t at = 0; at < text.size();) {
      size_t length, begin = at;
      while (at < text.size() && (length = utf8Length(text.substr(at))))
        at += length;
      valid = text.substr(begin, at - begin);
      if (!valid.empty() && !encodeValid(valid, first, special & SpecialInside, words, tokens, why))
        return false;
      first = false;
      for (; at < text.size() && !utf8Length(text.substr(at)); ++at)
        tokens.push_back(byteTokens[static_cast<unsigned char>(text[at])]);
    }
  }
  if (special & SpecialBehind)
    tokens.insert(tokens.end(), behind.begin(), behind.end());
  return true;
}

/// Stands in a text where it is no special token: no character, so that no text has it.
constexpr std::string_view mark = "\xEF\xBF\xBF"; // U+FFFF

std::string TextTokenizer::apart(std::string_view text) const {
  std::string out = replaceInvalid(text);
  replaceAll(out, mark, "\xEF\xBF\xBD");
  for (bool normalized : {false, true}) {
    std::string marked;
    for (const AddedTokens::Part &part : added.split(out, normalized, /*special=*/true)) {
      const AddedToken *one = part.token >= 0 ? added.find(part.token) : nullptr;
      std::string_view whole = std::string_view(out).substr(part.begin, part.end - part.begin);
      // Behind its first character, which is none of the spaces that may belong to it.
      size_t first = whole.find_first_not_of(" \t\r\n");
      if (one && one->special && first != whole.npos) {
        size_t cut = first + std::max<size_t>(utf8Length(whole.substr(first)), 1);
        marked += std::string(whole.substr(0, cut)) + std::string(mark);
        whole.remove_prefix(cut);
      }
      marked += whole;
    }
    out = std::move(marked);
  }
  return out;
}

bool TextTokenizer::encodeValid(const std::string &text, bool first, bool special, Words &words,
                                std::vector<int64_t> &tokens, std::string &why) const {
  for (const AddedTokens::Part &raw : added.split(text, /*normalized=*/false, special)) {
    if (raw.token >= 0) {
      tokens.push_back(raw.token);
      continue;
    }
    std::string piece = text.substr(raw.begin, raw.end - raw.begin);
    bool marked = special && piece.find(mark) != piece.npos;
    if (marked)
      replaceAll(piece, mark, "");
    if (!encodePiece(std::move(piece), first && raw.begin == 0, special && !marked, words, tokens,
                     why))
      return false;
  }
  return true;
}

/// Text without raw added tokens.
bool TextTokenizer::encodePiece(std::string text, bool first, bool special, Words &words,
                                std::vector<int64_t> &tokens, std::string &why) const {
  if (normalizer && !normalizer->normalize(text, why))
    return false;
  for (const AddedTokens::Part &part : added.split(text, /*normalized=*/true, special)) {
    if (part.token >= 0) {
      tokens.push_back(part.token);
      continue;
    }
    std::vector<Piece> pieces{
        {text.substr(part.begin, part.end - part.begin), first && part.begin == 0}};
    if (preTokenizer && !preTokenizer->split(pieces, why))
      return false;
    for (const Piece &piece : pieces)
      if (!piece.text.empty() && !words.append(*model, piece.text, tokens, why))
        return false;
  }
  return true;
}

const std::string *TextTokenizer::text(int64_t token) const {
  if (const AddedToken *one = added.find(token))
    return &one->content;
  return model->vocabulary.text(token);
}

std::string TextTokenizer::decode(const std::vector<int64_t> &tokens, bool special) const {
  std::vector<std::string> texts;
  for (int64_t token : tokens) {
    const AddedToken *one = added.find(token);
    const std::string *known = text(token);
    if (known && (special || !one || !one->special))
      texts.push_back(*known);
  }
  if (decoder)
    decoder->decode(texts);
  std::string all;
  for (size_t i = 0; i < texts.size(); ++i)
    all += (i && !decoder ? " " : "") + texts[i];
  return all;
}

int64_t TextTokenizer::size() const {
  int64_t size = model->vocabulary.size();
  for (const AddedToken &one : added.all())
    size = std::max(size, one.token + 1);
  return size;
}

bool TextTokenizer::ends(int64_t token) const {
  return std::find(endings.begin(), endings.end(), token) != endings.end();
}

bool TextTokenizer::shown(int64_t token) const {
  const AddedToken *one = added.find(token);
  return one ? !one->special : model->vocabulary.text(token) != nullptr;
}

int64_t TextTokenizer::find(std::string_view text) const {
  for (const AddedToken &one : added.all())
    if (one.content == text)
      return one.token;
  return model->vocabulary.find(text);
}

std::string TextTokenizer::about() const {
  std::string text = format("%lld tokens", static_cast<long long>(size()));
  auto list = [&](const char *what, const std::vector<int64_t> &tokens) {
    for (size_t i = 0; i < tokens.size(); ++i)
      text += format("%s %lld", i ? "" : what, static_cast<long long>(tokens[i]));
  };
  list("; before a text", before);
  list("; behind a source", behind);
  list("; ended by", endings);
  return text;
}

} // namespace qkv::rt
