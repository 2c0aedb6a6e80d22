// Inside the config room only: from text to Table.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/config/document.h"

namespace orrery::engine {

/// Throws UsageError "PLACE: WHAT".
[[noreturn]] void refuse(const std::string& place, const std::string& what, const std::string& hint = "");

/// Deeper nesting than this is refused: no config needs it, and recursion over a table stays bounded.
inline constexpr int max_depth = 32;

/// Where (a byte offset) a key of TOML `text` gets more than `max_parts` dotted parts; nothing where none
/// does. To be asked before toml++ is given the text: it recurses once per part and would run out of stack.
std::optional<size_t> overlong_key(std::string_view text, int max_parts);

/// "3:7": line and column, counted from 1 in characters, of the byte at `offset`.
std::string line_and_column(std::string_view text, size_t offset);

Table read_toml(const std::string& text, const std::string& origin);
Table read_json(const std::string& text, const std::string& origin);

/// `text` as a TOML value or, where it is none and does not begin like one, as text.
Table::Content read_value(const std::string& text, const std::string& place, const std::string& path);

/// Applies "key.path=VALUE" to `root`. `place` is put in front of every complaint about it.
void assign(Table& root, const std::string& assignment, const std::string& place);

/// `text` cut at each `separator` that stands outside quotes and brackets.
std::vector<std::string> split_outside_quotes(std::string_view text, char separator);

/// One list of integers, of reals (integers among them become reals) or of texts; nothing where `entries` are
/// of no one type that there are lists of.
std::optional<Value> make_list(const std::vector<Value>& entries);

/// What `--set` calls an entry of the list `path` with these keys: "probe.LABEL", else "probe.NAME".
std::string entry_path(const std::string& path, const std::string& label, const std::string& name);

}  // namespace orrery::engine
