// The first check on a plugin, before any of its code can run: whether it was built for this Orrery and this
// LibTorch.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace orrery {

/// The fields of a stamp in their written order, e.g. {"torch", "1.13.1"}.
using Stamp = std::vector<std::pair<std::string, std::string>>;

/// A field in which a plugin differs from this program; `plugin` or `host` is empty if that side lacks the
/// field.
struct Mismatch {
  std::string field, host, plugin;
};

/// The text of the stamp in a shared library, read without loading it; nothing if it has none.
/// Throws orrery::Error, without naming the file, if `file` cannot be read or is not a whole shared library.
std::optional<std::string> find_stamp(const std::filesystem::path& file);

/// The stamp this program was built with.
std::string host_stamp();

/// The fields of "ORRERY-STAMP/1 abi=1 torch=1.13.1 ..."; nothing if `text` is not exactly such a line.
std::optional<Stamp> parse_stamp(std::string_view text);

/// Every field that differs.
std::vector<Mismatch> compare(const Stamp& host, const Stamp& plugin);

/// Throws one orrery::Error that lists every mismatch, with the command that rebuilds as its hint.
void refuse_mismatches(const std::vector<Mismatch>& mismatches);

}  // namespace orrery
