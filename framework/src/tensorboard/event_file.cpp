#include "tensorboard/event_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <orrery/error.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <tuple>

#include "tensorboard/events.h"

namespace orrery::tensorboard {
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

// Names sort by time, and so do the sessions of a run: readers go through the files in this order.
std::string file_name(int number, const std::string& ending) {
  return fmt::format("{}{:010}.{}.{}{}{}", stem, static_cast<int64_t>(now()), host(), number,
                     ending.empty() ? "" : ".", ending);
}

void make_folder(const fs::path& folder) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure)
    throw Error(fmt::format("{}: cannot make this folder: {}", folder.string(), failure.message()));
}

std::pair<Descriptor, fs::path> create(const fs::path& folder) {
  make_folder(folder);
  for (int number = 0;; ++number) {
    const fs::path path = folder / file_name(number, "");
    Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666));
    if (file.is_open()) return {std::move(file), path};
    if (errno != EEXIST)
      throw Error(fmt::format("{}: cannot write here: {}", path.string(), std::strerror(errno)),
                  "check the permissions of the folder, or leave [log] tensorboard off");
  }
}

std::vector<fs::path> event_files(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code failure;
  for (fs::directory_iterator at(folder, failure), end; !failure && at != end; at.increment(failure))
    if (at->path().filename().string().starts_with(stem)) found.push_back(at->path());
  return found;
}

}  // namespace

EventFile::EventFile(const fs::path& folder, int64_t resumed_at) {
  std::tie(file_, path_) = create(folder);
  std::string start = record_of(version_event(now()));
  if (resumed_at > 0) start += record_of(session_start_event(now(), resumed_at + 1));
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
  fs::path path = folder / file_name(0, ending);
  for (int number = 1; std::find(before.begin(), before.end(), path) != before.end(); ++number)
    path = folder / file_name(number, ending);
  write_file(path, bytes);
  std::error_code ignored;  // one that stays shows its points twice; no reason to fail
  for (const fs::path& other : before)
    if (other.extension() == "." + ending) fs::remove(other, ignored);
}

bool has_event_files(const fs::path& folder) { return !event_files(folder).empty(); }

}  // namespace orrery::tensorboard
