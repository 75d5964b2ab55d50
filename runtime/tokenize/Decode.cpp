// In: the texts of tokens. Out: the text that they stand for. Holds: bytes that are no UTF-8 stay
// as they are, so that what was read from any bytes comes back as it was.
#include "runtime/tokenize/Decode.h"

#include "runtime/tokenize/Model.h"

namespace qkv::rt {

void replaceAll(std::string &text, std::string_view from, std::string_view to) {
  if (from.empty())
    return;
  std::string out;
  size_t at = 0;
  for (size_t found; (found = text.find(from, at)) != text.npos; at = found + from.size()) {
    out.append(text, at, found - at);
    out += to;
  }
  out.append(text, at);
  text = std::move(out);
}

void DecodeAll::decode(std::vector<std::string> &texts) const {
  for (auto &step : steps)
    step->decode(texts);
}

void DecodeByteLevel::decode(std::vector<std::string> &texts) const {
  std::string out;
  for (const std::string &text : texts) {
    std::string bytes;
    bool all = true;
    for (size_t at = 0; at < text.size() && all;) {
      int byte = byteOfCharacter(nextCharacter(text, at));
      all = byte >= 0;
      bytes += static_cast<char>(byte);
    }
    out += all ? bytes : text; // (added tokens are text)
  }
  texts = {out};
}

void DecodeByteFallback::decode(std::vector<std::string> &texts) const {
  for (std::string &text : texts) {
    if (text.size() != 6 || !text.starts_with("<0x") || text.back() != '>')
      continue;
    int byte = 0;
    for (char c : text.substr(3, 2)) {
      int digit = c >= '0' && c <= '9'   ? c - '0'
                  : c >= 'A' && c <= 'F' ? c - 'A' + 10
                  : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                         : 256;
      byte = byte * 16 + digit;
    }
    if (byte < 256)
      text = std::string(1, static_cast<char>(byte));
  }
}

void DecodeReplace::decode(std::vector<std::string> &texts) const {
  std::string why;
  for (std::string &text : texts)
    replace.normalize(text, why);
}

void DecodeFuse::decode(std::vector<std::string> &texts) const {
  std::string all;
  for (const std::string &text : texts)
    all += text;
  texts = {all};
}

void DecodeStrip::decode(std::vector<std::string> &texts) const {
  for (std::string &text : texts) {
    for (size_t i = 0; i < start && !content.empty() && text.starts_with(content); ++i)
      text.erase(0, content.size());
    for (size_t i = 0; i < stop && !content.empty() && text.ends_with(content); ++i)
      text.resize(text.size() - content.size());
  }
}

void DecodeMetaspace::decode(std::vector<std::string> &texts) const {
  for (size_t i = 0; i < texts.size(); ++i) {
    std::string out, &text = texts[i];
    for (size_t at = 0; at < text.size();) {
      if (text.compare(at, replacement.size(), replacement) == 0) {
        out += i == 0 && prefixed ? "" : " ";
        at += replacement.size();
      } else {
        out += text[at++];
      }
    }
    text = std::move(out);
  }
}

void DecodeWordPiece::decode(std::vector<std::string> &texts) const {
  for (size_t i = 0; i < texts.size(); ++i) {
    std::string &text = texts[i];
    if (i > 0 && text.starts_with(prefix))
      text.erase(0, prefix.size());
    else if (i > 0)
      text.insert(0, " ");
    if (!cleanup)
      continue;
    for (auto [from, to] :
         {std::pair(" .", "."), std::pair(" ?", "?"), std::pair(" !", "!"), std::pair(" ,", ","),
          std::pair(" ' ", "'"), std::pair(" n't", "n't"), std::pair(" 'm", "'m"),
          std::pair(" do not", " don't"), std::pair(" 's", "'s"), std::pair(" 've", "'ve"),
          std::pair(" 're", "'re")})
      replaceAll(text, from, to);
  }
}

void DecodeSuffix::decode(std::vector<std::string> &texts) const {
  for (size_t i = 0; i < texts.size(); ++i)
    replaceAll(texts[i], suffix, i + 1 < texts.size() ? " " : "");
}

} // namespace qkv::rt
