// In: UTF-8. Out: what Unicode says of its characters. Holds: texts here are valid UTF-8 unless it
// is said otherwise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace qkv::rt {

/// The character at `at`, which then stands behind it.
int32_t nextCharacter(std::string_view text, size_t &at);
void appendCharacter(std::string &text, int32_t character);

bool isSpace(int32_t character);       ///< White_Space
bool isNumeric(int32_t character);     ///< Nd, Nl, No
bool isPunctuation(int32_t character); ///< ASCII punctuation and P*
bool isMark(int32_t character);        ///< Mn, Mc, Me
bool isNonSpacingMark(int32_t character);
bool isWordPart(int32_t character); ///< what \w is: letters, marks, digits, connectors
/// Control, format, private use (not: unassigned).
bool isOther(int32_t character);

enum class NormalForm { C, D, KC, KD };
std::string normalForm(std::string_view text, NormalForm form);
std::string lowercase(std::string_view text);
/// Where the grapheme that begins at `at` ends.
size_t graphemeEnd(std::string_view text, size_t at);

/// Any bytes as UTF-8: what is none becomes U+FFFD, one for each longest part that began well.
std::string replaceInvalid(std::string_view bytes);

/// The character that stands for a byte in byte-level vocabularies: itself where it is printable in
/// Latin-1, else one from U+0100 on.
std::string_view byteCharacter(unsigned char byte);
/// The byte that a character stands for; -1 if it stands for none.
int byteOfCharacter(int32_t character);

} // namespace qkv::rt
