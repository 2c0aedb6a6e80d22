#include "engine/run/run_files.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include "engine/run/json_line.h"

namespace orrery::engine {

std::string step_name(int64_t step, const char* extension) {
  return fmt::format("step_{:08}{}", step, extension);
}

void remove_file(const std::filesystem::path& path) {
  std::error_code failure;
  std::filesystem::remove(path, failure);
  if (failure) throw Error(fmt::format("{}: cannot be deleted: {}", path.string(), failure.message()));
}

std::string line_place(const std::filesystem::path& file, size_t index) {
  return fmt::format("{}:{}", file.string(), index + 1);
}

std::vector<std::string> lines_if_any(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored) ? read_lines(path) : std::vector<std::string>{};
}

std::vector<int64_t> steps_in_log(const std::filesystem::path& log) {
  std::vector<int64_t> steps;
  for (const std::string& line : lines_if_any(log))
    steps.push_back(parse_step(line, line_place(log, steps.size())));
  return steps;
}

}  // namespace orrery::engine
