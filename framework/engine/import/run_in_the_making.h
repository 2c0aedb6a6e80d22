// Private to the import room: a new run that appears under its name only once it is complete.
#pragma once

#include <filesystem>
#include <optional>

#include "engine/run/run_directory.h"

namespace orrery::engine {

/// Makes the run in a hidden folder beside `path`, ".NAME.importing-PID", and leaves nothing behind if it is
/// never finished. Removes what killed imports left there: folders of this form whose process is gone and
/// whose run nobody writes to.
class RunInTheMaking {
 public:
  /// Throws orrery::UsageError if there is something at `path`.
  explicit RunInTheMaking(std::filesystem::path path);
  ~RunInTheMaking();
  RunInTheMaking(const RunInTheMaking&) = delete;
  RunInTheMaking& operator=(const RunInTheMaking&) = delete;

  RunDirectory& run() { return *run_; }
  /// Gives the run its name. Throws orrery::Error if that fails.
  void finish();

 private:
  void remove() const;

  std::filesystem::path path_, temporary_;
  std::optional<RunDirectory> run_;
  bool done_ = false;
};

}  // namespace orrery::engine
