// Helpers for reading our JSON files.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace orrery::engine {

/// Members keep their order.
using Json = nlohmann::ordered_json;

/// Deeper JSON than this is refused: nobody writes it, and it would overflow the stack of whoever copies it.
constexpr int max_json_depth = 64;

/// Parses any JSON. All JSON of files is read through this. It and the functions below throw orrery::Error,
/// opening with `where`.
Json parse_json(std::string_view text, const std::string& where);
/// Parses one JSON object.
Json parse_object(std::string_view text, const std::string& where);
/// Parses an object that with_checksum() may have written: checks its "sha256" if it has one.
Json parse_checked_object(std::string_view text, const std::string& where);
const Json& member(const Json& object, const char* key, const std::string& where);
const Json& object_at(const Json& object, const char* key, const std::string& where);
const Json& list_at(const Json& object, const char* key, const std::string& where);
int64_t integer_of(const Json& value, const std::string& what, const std::string& where);
std::string text_of(const Json& value, const std::string& what, const std::string& where);
double real_of(const Json& value, const std::string& what, const std::string& where);

/// The real that a number or one of the strings of json_real() stands for; nothing for other values.
std::optional<double> as_real(const Json& value);

}  // namespace orrery::engine
