// The event files in a run's folder tensorboard/: its curves, for TensorBoard to follow live. Free of
// LibTorch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sdk/files/atomic_file.h"

namespace orrery::engine::tensorboard {

/// An event file that grows during training. TensorBoard may read it meanwhile.
class EventFile {
 public:
  /// Creates a new file "events.out.tfevents.SECONDS.HOST" in `folder`, which it creates if needed. If
  /// training was `resumed_at` a step, tells readers to drop what earlier files have at that step (it may be
  /// incomplete) and beyond. Throws orrery::Error.
  EventFile(const std::filesystem::path& folder, std::optional<int64_t> resumed_at);

  /// Appends the scalars of a step, with `prefix` before their names. Writes whole records only.
  void add(int64_t step, const std::vector<std::pair<std::string, double>>& scalars,
           const std::string& prefix = "");

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  Descriptor file_;
};

using Scalars = std::vector<std::pair<std::string, double>>;

/// The bytes of a whole file with these scalars, one event per step. `wall_time` gives the time of a step, in
/// seconds since 1970.
std::string event_file_of(const std::map<int64_t, Scalars>& by_step,
                          const std::function<double(int64_t step)>& wall_time);

/// Writes such a file as "events.out.tfevents.SECONDS.HOST.ENDING", then deletes older files of this ending.
/// Throws orrery::Error.
void replace_event_file(const std::filesystem::path& folder, const std::string& ending,
                        const std::string& bytes);

/// Whether `folder` contains an event file, those of the ending `but` not counted.
bool has_event_files(const std::filesystem::path& folder, const std::string& but = "");

}  // namespace orrery::engine::tensorboard
