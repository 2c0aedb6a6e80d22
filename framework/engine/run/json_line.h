// Lines of JSON that pandas reads: metrics.jsonl and the numbers in it. Free of LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace orrery::engine {

/// The shortest text that reads back as the same double, always with a point or an exponent. JSON has no NaN
/// and no infinities; they become the strings "NaN", "Infinity" and "-Infinity", which pandas converts.
std::string json_number(double value);

/// `text` in quotes, escaped. Throws orrery::Error if it is not UTF-8.
std::string json_string(const std::string& text);

/// One line of metrics.jsonl: named values after `step` updates, in the order in which they were written.
struct MetricsRow {
  int64_t step = 0;
  std::vector<std::pair<std::string, double>> values;
};

/// `{"step": 400, "train/loss": 0.25}`. Throws orrery::Error if a name is repeated or is "step".
std::string metrics_line(int64_t step, const std::vector<std::pair<std::string, double>>& values);

/// Parses such a line. Throws orrery::Error, opening with `where` ("metrics.jsonl:12"), if it is malformed.
MetricsRow parse_metrics_line(std::string_view line, const std::string& where);

/// A line that ends in `, "sha256": "..."}`: the hash of the line without this member.
std::string with_line_checksum(std::string line);
/// Throws orrery::Error, opening with `where`, if `line` ends so and the hash is another. Returns whether it
/// ends so; lines of earlier versions do not.
bool check_line(std::string_view line, const std::string& where);

/// The step of any line with a "step".
int64_t parse_step(std::string_view line, const std::string& where);

}  // namespace orrery::engine
