#include "engine/run/log_claim.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <charconv>

#include "engine/run/json_line.h"
#include "engine/run/json_read.h"
#include "sdk/files/sha256.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

constexpr const char *lines_key = "metrics_lines", *bytes_key = "metrics_bytes",
                     *digest_key = "metrics_sha256";
constexpr const char* cure =
    "copy metrics.jsonl again from where it is whole; without it, the curves and what probes conclude from "
    "them are lost, and the run can only be trained again (its checkpoints can still be probed and exported)";

template <class Integer>
std::optional<Integer> whole_number(const std::map<std::string, std::string>& metadata, const char* key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return std::nullopt;
  Integer value = 0;
  const std::string& text = found->second;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::map<std::string, std::string> as_metadata(const LogContent& metrics) {
  return {{lines_key, std::to_string(metrics.lines)},
          {bytes_key, std::to_string(metrics.bytes)},
          {digest_key, metrics.sha256}};
}

std::optional<LogContent> log_content_in(const std::map<std::string, std::string>& metadata) {
  const auto lines = whole_number<int64_t>(metadata, lines_key);
  const auto bytes = whole_number<uint64_t>(metadata, bytes_key);
  const auto digest = metadata.find(digest_key);
  if (!lines || !bytes || digest == metadata.end()) return std::nullopt;
  return LogContent{*lines, *bytes, digest->second};
}

void check_log(const fs::path& log, const LogContent& claimed, const std::string& when) {
  std::error_code ignored;
  const std::string text = fs::exists(log, ignored) ? read_file(log) : "";
  const auto lines = std::count(text.begin(), text.end(), '\n');
  if (text.size() < claimed.bytes && lines < claimed.lines)
    throw Error(
        fmt::format("{}: it has {} lines, but {} it had {}", log.string(), lines, when, claimed.lines), cure);
  if (text.size() < claimed.bytes ||
      sha256(std::string_view(text).substr(0, claimed.bytes)) != claimed.sha256)
    throw Error(fmt::format("{}: damaged: it is not what it was {}", log.string(), when), cure);
}

void check_reaches(const fs::path& log, int64_t step, const fs::path& run_json) {
  int64_t expected = 0;
  try {
    const Json about = parse_object(read_file(run_json), run_json.string());
    const int64_t every = about.at("config").at("train").at("eval_every").get<int64_t>();
    const Json& session = about.at("sessions").back();
    if (session.at("ended") == "imported" || every < 1) return;
    expected = step - step % every;
    if (session.at("from").get<int64_t>() >= expected && expected > 0) return;
  } catch (const std::exception&) {  // a run.json that says less
    return;
  }
  std::error_code ignored;
  std::vector<std::string> lines;
  if (fs::exists(log, ignored)) lines = read_lines(log);
  const auto is_expected = [&](const std::string& line) {
    try {
      return parse_step(line, log.string()) == expected;
    } catch (const Error&) {  // reported where the lines are read
      return true;
    }
  };
  if (std::none_of(lines.rbegin(), lines.rend(), is_expected))
    throw Error(fmt::format("{}: it has {} lines and none of step {}, though step {} was saved after it",
                            log.string(), lines.size(), expected, step),
                cure);
}

}  // namespace orrery::engine
