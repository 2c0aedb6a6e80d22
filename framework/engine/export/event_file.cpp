#include "engine/export/event_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <orrery/error.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <tuple>

#include "engine/export/events.h"

namespace orrery::engine::tensorboard {
namespace {

namespace fs = std::filesystem;

constexpr const char* stem = "events.out.tfevents.";

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string host() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 && name[0] ? name.data() : "localhost";
}

std::vector<fs::path> event_files(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code failure;
  for (fs::directory_iterator at(folder, failure), end; !failure && at != end; at.increment(failure))
    if (at->path().filename().string().starts_with(stem)) found.push_back(at->path());
  return found;
}

// Readers take the files in the order of their names, so each session of a run needs a later second than the
// one before, even if two begin within one second or the clock was wrong.
fs::path new_path(const fs::path& folder, const std::string& ending) {
  auto seconds = static_cast<int64_t>(now());
  for (const fs::path& other : event_files(folder)) {
    const std::string name = other.filename().string();
    seconds = std::max<int64_t>(seconds, 1 + std::strtoll(&name[std::strlen(stem)], nullptr, 10));
  }
  return folder / fmt::format("{}{:010}.{}{}{}", stem, seconds, host(), ending.empty() ? "" : ".", ending);
}

void make_folder(const fs::path& folder) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure)
    throw Error(fmt::format("{}: cannot make this folder: {}", folder.string(), failure.message()));
}

std::pair<Descriptor, fs::path> create(const fs::path& folder) {
  make_folder(folder);
  const fs::path path = new_path(folder, "");
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666));
  if (!file.is_open())
    throw Error(fmt::format("{}: cannot write here: {}", path.string(), std::strerror(errno)),
                "check the permissions of the folder, or leave [log] tensorboard off");
  return {std::move(file), path};
}

}  // namespace

EventFile::EventFile(const fs::path& folder, std::optional<int64_t> resumed_at) {
  std::tie(file_, path_) = create(folder);
  std::string start = record_of(version_event(now()));
  if (resumed_at) start += record_of(session_start_event(now(), *resumed_at));
  append_bytes(file_, start, path_);
}

void EventFile::add(int64_t step, const std::vector<std::pair<std::string, double>>& scalars,
                    const std::string& prefix) {
  std::vector<std::pair<std::string, double>> tagged;
  for (const auto& [name, value] : scalars) tagged.emplace_back(prefix + name, value);
  append_bytes(file_, record_of(scalars_event(now(), step, tagged)), path_);
}

std::string event_file_of(const std::map<int64_t, Scalars>& by_step,
                          const std::function<double(int64_t)>& wall_time) {
  std::string bytes = record_of(version_event(by_step.empty() ? 0 : wall_time(by_step.begin()->first)));
  for (const auto& [step, scalars] : by_step)
    bytes += record_of(scalars_event(wall_time(step), step, scalars));
  return bytes;
}

void replace_event_file(const fs::path& folder, const std::string& ending, const std::string& bytes) {
  make_folder(folder);
  const std::vector<fs::path> before = event_files(folder);
  write_file(new_path(folder, ending), bytes);
  std::error_code ignored;  // a file that stays shows its points twice; not worth failing over
  for (const fs::path& other : before)
    if (other.extension() == "." + ending) fs::remove(other, ignored);
}

bool has_event_files(const fs::path& folder, const std::string& but) {
  const std::vector<fs::path> all = event_files(folder);
  return std::any_of(all.begin(), all.end(),
                     [&](const fs::path& path) { return but.empty() || path.extension() != "." + but; });
}

}  // namespace orrery::engine::tensorboard
