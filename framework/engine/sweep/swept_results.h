// What a run of a sweep has of results, and whether it has lost any since it was done.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "engine/run/run_json.h"

namespace orrery::engine {

/// What a run held when it was done. Its log keeps it as a line.
struct SweptResults {
  struct OfProbe {
    size_t steps = 0;  ///< how many it was measured at
    /// Of its results.jsonl, null.json and conclusion.json; "" for one that is not there.
    std::string sha256, null = {}, conclusion = {};
  };
  std::string metrics_sha256;  ///< of metrics.jsonl
  std::map<std::string, OfProbe> probes = {};
  std::string run = {};  ///< its id; "" if an earlier version wrote it

  /// {"metrics": "60303a...", "probes": {"weight_structure": {"steps": 3, "sha256": "0a1b...", "null":
  /// "77f0...", "conclusion": ""}}, "run":
  /// "0a1b2c3d4e5f"}
  std::string text() const;
  /// Nothing if `text` is not what text() gives.
  static std::optional<SweptResults> parse(const std::string& text);
};

/// Reads everything that the table of a sweep may be made of, or only compares it if it is what it was
/// `then`, when the run was done. Throws orrery::Error where it is damaged, also if metrics.jsonl is not what
/// it was, or if the log or the results are of another run.
SweptResults read_swept_results(const std::filesystem::path& folder,
                                const std::optional<SweptResults>& then = std::nullopt);

/// What a finished run has lost.
struct LostResults {
  std::string what;         ///< "results of weight_structure at 2 checkpoints"; "": nothing
  bool can_be_made = true;  ///< from the checkpoints that are there
};

/// `then`: what its log says that it held; nothing if an earlier version wrote it, or if it is not of a
/// sweep. Then every probe is to have a result of every checkpoint, and of the last step, unless `may_lack`:
/// its log says that a probe failed.
LostResults lost_results(const std::filesystem::path& folder, const RunJson& info, const SweptResults& now,
                         const std::optional<SweptResults>& then, bool may_lack);

}  // namespace orrery::engine
