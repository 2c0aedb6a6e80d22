#include "engine/sweep/swept_log.h"

#include <orrery/error.h>

#include <algorithm>

#include "sdk/files/atomic_file.h"

namespace orrery::engine {
namespace {

constexpr const char* done_line = "done";
constexpr const char* failed_prefix = "failed: ";
constexpr const char* holds_prefix = "holds ";
constexpr const char* warning_prefix = "warning: ";

LastLine read_done(const std::filesystem::path& path) {
  const std::vector<std::string> lines = read_lines(path);
  LastLine last{LoggedEnd::done};
  if (lines.size() > 1 && lines[lines.size() - 2].starts_with(holds_prefix))
    last.holds = lines[lines.size() - 2].substr(std::string_view(holds_prefix).size());
  last.warned = std::any_of(lines.begin(), lines.end(),
                            [](const std::string& line) { return line.starts_with(warning_prefix); });
  return last;
}

}  // namespace

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

void SweptLog::line(const std::string& text) {
  waiting_ += text + "\n";
  flush();
}

void SweptLog::flush() {
  if (waiting_.empty()) return;
  std::error_code ignored;
  if (std::filesystem::exists(folder_ / "run.json", ignored)) write();
}

void SweptLog::done(const std::string& holds) {
  if (!holds.empty()) waiting_ += holds_prefix + holds + "\n";
  line(done_line);
}

void SweptLog::failed(const std::string& what, const std::string& hint) {
  if (what.find('\n') != std::string::npos) waiting_ += what + "\n";
  if (!hint.empty()) waiting_ += hint + "\n";
  waiting_ += failed_prefix + first_line(what) + "\n";
  std::error_code failure;
  std::filesystem::create_directories(folder_, failure);
  write();
}

void SweptLog::write() {
  LineLog log(folder_ / file_name);
  for (size_t start = 0, end; (end = waiting_.find('\n', start)) != std::string::npos; start = end + 1)
    log.append(std::string_view(waiting_).substr(start, end - start));
  waiting_.clear();
}

LastLine read_swept_log(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / SweptLog::file_name;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return {};
  try {
    const std::string last = read_last_line(path);
    if (last == done_line) return read_done(path);
    if (last.starts_with(failed_prefix))
      return {LoggedEnd::failed, last.substr(std::string_view(failed_prefix).size())};
  } catch (const Error&) {
    // Whoever deleted it in between will be seen next time.
  }
  return {LoggedEnd::nothing, ""};
}

}  // namespace orrery::engine
