// The text of a config.json -> its values (C2).
//
// In: the bytes of the file. Out: an object of names and values, or what is wrong with it and
// where. What Python writes is read: Infinity, -Infinity and NaN are numbers.
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>

namespace qkv::sema {

std::optional<nlohmann::json> readConfiguration(const std::string &text, std::string &why);

/// The number that a value is; nothing if it is none.
std::optional<double> numberIn(const nlohmann::json &value);

} // namespace qkv::sema
