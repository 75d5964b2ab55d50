// In: UTF-8. Out: what Unicode says of its characters (utf8proc).
#include "runtime/tokenize/Unicode.h"

#include "runtime/checkpoint/Names.h"

#include <array>
#include <cstdlib>
#include <utf8proc.h>

namespace qkv::rt {

int32_t nextCharacter(std::string_view text, size_t &at) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  int32_t lead = byte(0), length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (length == 1 || at + length > text.size()) {
    ++at;
    return lead;
  }
  int32_t character = lead & (0xFF >> (length + 1));
  for (int32_t i = 1; i < length; ++i)
    character = character << 6 | (byte(i) & 0x3F);
  at += length;
  return character;
}

void appendCharacter(std::string &text, int32_t character) {
  utf8proc_uint8_t bytes[4];
  text.append(reinterpret_cast<char *>(bytes), utf8proc_encode_char(character, bytes));
}

bool isSpace(int32_t c) {
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

static utf8proc_category_t categoryOf(int32_t c) { return utf8proc_category(c); }

bool isNumeric(int32_t c) {
  auto category = categoryOf(c);
  return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

bool isPunctuation(int32_t c) {
  auto category = categoryOf(c);
  return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
         (c >= 123 && c <= 126) ||
         (category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO);
}

bool isMark(int32_t c) {
  auto category = categoryOf(c);
  return category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME;
}

bool isNonSpacingMark(int32_t c) { return categoryOf(c) == UTF8PROC_CATEGORY_MN; }

bool isWordPart(int32_t c) {
  auto category = categoryOf(c);
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL) ||
         category == UTF8PROC_CATEGORY_PC || c == 0x200C || c == 0x200D ||
         (c >= 0x24B6 && c <= 0x24E9); // circled letters are alphabetic
}

bool isOther(int32_t c) {
  auto category = categoryOf(c);
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
         category == UTF8PROC_CATEGORY_CO;
}

std::string normalForm(std::string_view text, NormalForm form) {
  int options = form == NormalForm::C    ? UTF8PROC_COMPOSE
                : form == NormalForm::D  ? UTF8PROC_DECOMPOSE
                : form == NormalForm::KC ? UTF8PROC_COMPOSE | UTF8PROC_COMPAT
                                         : UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
  utf8proc_uint8_t *made = nullptr;
  utf8proc_ssize_t length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t *>(text.data()),
                                         static_cast<utf8proc_ssize_t>(text.size()), &made,
                                         static_cast<utf8proc_option_t>(options | UTF8PROC_STABLE));
  if (length < 0)
    return std::string(text);
  std::string result(reinterpret_cast<char *>(made), length);
  free(made);
  return result;
}

std::string lowercase(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    int32_t c = nextCharacter(text, at);
    // The only character whose small letter is two (SpecialCasing.txt).
    if (c == 0x130)
      out += "i\xCC\x87";
    else
      appendCharacter(out, utf8proc_tolower(c));
  }
  return out;
}

size_t graphemeEnd(std::string_view text, size_t at) {
  utf8proc_int32_t state = 0;
  int32_t before = nextCharacter(text, at);
  while (at < text.size()) {
    size_t next = at;
    int32_t c = nextCharacter(text, next);
    if (utf8proc_grapheme_break_stateful(before, c, &state))
      break;
    before = c;
    at = next;
  }
  return at;
}

std::string replaceInvalid(std::string_view bytes) {
  std::string text;
  for (size_t at = 0; at < bytes.size();) {
    std::string_view rest = bytes.substr(at);
    if (size_t length = utf8Length(rest)) {
      text += rest.substr(0, length);
      at += length;
      continue;
    }
    text += "\xEF\xBF\xBD";
    // A part is the beginning of a character if bytes behind it could make it one.
    size_t part = 1;
    for (size_t more = 2; more <= 3 && more <= rest.size(); ++more) {
      std::string whole(rest.substr(0, more));
      bool begins = false;
      for (char filler : {'\x80', '\x90', '\xA0', '\xBF'}) {
        std::string padded = whole + filler;
        begins |= utf8Length(padded) > more || utf8Length(padded + '\x80') > more;
      }
      if (!begins)
        break;
      part = more;
    }
    at += part;
  }
  return text;
}

namespace {
struct ByteTable {
  std::array<std::string, 256> characters;
  std::array<int16_t, 512> bytes;
  ByteTable() {
    bytes.fill(-1);
    int32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) ||
                       (byte >= 0xAE && byte <= 0xFF);
      int32_t character = printable ? byte : next++;
      appendCharacter(characters[byte], character);
      bytes[character] = static_cast<int16_t>(byte);
    }
  }
};
const ByteTable &byteTable() {
  static const ByteTable table;
  return table;
}
} // namespace

std::string_view byteCharacter(unsigned char byte) { return byteTable().characters[byte]; }

int byteOfCharacter(int32_t character) {
  return character >= 0 && character < 512 ? byteTable().bytes[character] : -1;
}

} // namespace qkv::rt
