// In: the texts of tokens. Out: the text that they stand for.
#pragma once

#include "runtime/tokenize/Normalize.h"

#include <memory>
#include <string>
#include <vector>

namespace qkv::rt {

class Decoder {
public:
  virtual ~Decoder() = default;
  /// Changes, joins or splits the texts; in the end they are put together.
  virtual void decode(std::vector<std::string> &texts) const = 0;
};

class DecodeAll : public Decoder {
public:
  std::vector<std::unique_ptr<Decoder>> steps;
  void decode(std::vector<std::string> &texts) const override;
};

/// Characters that stand for bytes become these bytes.
class DecodeByteLevel : public Decoder {
public:
  void decode(std::vector<std::string> &texts) const override;
};

/// <0x00> to <0xFF> become these bytes.
class DecodeByteFallback : public Decoder {
public:
  void decode(std::vector<std::string> &texts) const override;
};

class DecodeReplace : public Decoder {
public:
  Replace replace;
  void decode(std::vector<std::string> &texts) const override;
};

class DecodeFuse : public Decoder {
public:
  void decode(std::vector<std::string> &texts) const override;
};

/// At most so many of a text at the ends of each.
class DecodeStrip : public Decoder {
public:
  std::string content = " ";
  size_t start = 0, stop = 0;
  void decode(std::vector<std::string> &texts) const override;
};

class DecodeMetaspace : public Decoder {
public:
  std::string replacement = "\xE2\x96\x81";
  bool prefixed = true; ///< the first space was put there
  void decode(std::vector<std::string> &texts) const override;
};

class DecodeWordPiece : public Decoder {
public:
  std::string prefix = "##";
  bool cleanup = true; ///< no spaces before punctuation and in contractions
  void decode(std::vector<std::string> &texts) const override;
};

/// A suffix stands for the space behind a word.
class DecodeSuffix : public Decoder {
public:
  std::string suffix = "</w>";
  void decode(std::vector<std::string> &texts) const override;
};

/// Every `from` in a text becomes `to`.
void replaceAll(std::string &text, std::string_view from, std::string_view to);

} // namespace qkv::rt
