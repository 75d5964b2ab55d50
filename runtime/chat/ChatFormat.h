// In: the turns of a talk, a checkpoint's template. Out: the tokens that its model is to go on
// from. Holds: what somebody typed, or a model wrote, never becomes a special token.
#pragma once

#include "runtime/template/Template.h"
#include "runtime/tokenize/CheckpointText.h"

#include <ctime>

namespace qkv::rt {

struct Turn {
  std::string role, content;
};

class ChatFormat {
public:
  /// `own`: values for the template beside those that it is always given. Null with `why` set.
  static std::unique_ptr<ChatFormat> make(const CheckpointText &text, jinja::Dict own,
                                          std::string &why);
  /// The tokens up to where an answer begins. False with `why` set.
  bool tokens(const std::vector<Turn> &turns, std::tm now, std::vector<int64_t> &tokens,
              std::string &why) const;

private:
  explicit ChatFormat(const CheckpointText &text) : text(text) {}
  const CheckpointText &text;
  jinja::Template form;
  jinja::Dict values;
};

} // namespace qkv::rt
