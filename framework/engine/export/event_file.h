// The event files in a run's folder tensorboard/: its curves, for those who leave TensorBoard open. Free of
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

/// A file that grows while a network is trained. TensorBoard may follow it.
class EventFile {
 public:
  /// Makes a new file in `folder` (made too), "events.out.tfevents.SECONDS.HOST". Where training is
  /// `resumed_at` a step, it tells readers to drop what earlier files have of this step (they may lack some
  /// of it) and beyond. Throws orrery::Error.
  EventFile(const std::filesystem::path& folder, std::optional<int64_t> resumed_at);

  /// Adds the scalars of a step, with `prefix` before their names. Whole records only.
  void add(int64_t step, const std::vector<std::pair<std::string, double>>& scalars,
           const std::string& prefix = "");

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  Descriptor file_;
};

using Scalars = std::vector<std::pair<std::string, double>>;

/// The bytes of a whole file with these scalars by step, an event for each. `wall_time` says, in seconds
/// since 1970, when a step was made.
std::string event_file_of(const std::map<int64_t, Scalars>& by_step,
                          const std::function<double(int64_t step)>& wall_time);

/// Writes such a file as "events.out.tfevents.SECONDS.HOST.ENDING", then deletes those of this ending that
/// were there before. Throws orrery::Error.
void replace_event_file(const std::filesystem::path& folder, const std::string& ending,
                        const std::string& bytes);

/// Whether a file in `folder` is an event file.
bool has_event_files(const std::filesystem::path& folder);

}  // namespace orrery::engine::tensorboard
