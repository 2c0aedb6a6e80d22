// Private to the config room: from text to Table.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/config/document.h"
#include "engine/config/overrides.h"

namespace orrery::engine {

/// Throws UsageError "PLACE: WHAT".
[[noreturn]] void refuse(const std::string& place, const std::string& what, const std::string& hint = "");

/// Refuses deeper nesting than this, which no config needs, to bound the recursion over a table.
inline constexpr int max_depth = 32;

/// The byte offset at which a key of TOML `text` gets more than `max_parts` dotted parts; nothing if none
/// does. Call before toml++ parses the text: it recurses once per part and would overflow the stack.
std::optional<size_t> overlong_key(std::string_view text, int max_parts);

/// "3:7": line and column, counted from 1 in characters, of the byte at `offset`.
std::string line_and_column(std::string_view text, size_t offset);

/// A whole file. Throws UsageError if it cannot be read or is larger than 64 KiB.
std::string read_config_text(const std::filesystem::path& file);
Table read_toml(const std::string& text, const std::string& source);
Table read_json(const std::string& text, const std::string& source);

/// `text` as a TOML value or, if it neither is one nor begins like one, as text.
Table::Content read_value(const std::string& text, const std::string& place, const std::string& path);

/// Applies "key.path=VALUE" to `root`. `place` opens every error about it.
void assign(Table& root, const std::string& assignment, const std::string& place);
void assign(Table& root, const Override& override);

/// Splits `text` at each `separator` outside quotes and brackets.
std::vector<std::string> split_outside_quotes(std::string_view text, char separator);

/// Throws UsageError if `text`, the value of `key`, is blank or has more than one line.
void check_text(const Table& entry, const std::string& key, const std::string& text);

/// Reads `when` and `of` of an entry, and checks its `metric`; a metric of a probe must name one of the
/// labels in `probes`, unless null.
void read_question(const Table& entry, Expectation& e, const std::vector<std::string>* probes);
/// Reads `bound`, and checks that there is a `source`, and that `claim` is one line.
Interval read_claim(const Table& entry, const std::string& claim);

/// One list of integers, of reals (integers among them become reals) or of texts; nothing if `entries` have
/// no common type among these.
std::optional<Value> make_list(const std::vector<Value>& entries);

/// The name, for `--set`, of an entry of the list `path` with these keys: "probe.LABEL", else "probe.NAME".
std::string entry_path(const std::string& path, const std::string& label, const std::string& name);

}  // namespace orrery::engine
