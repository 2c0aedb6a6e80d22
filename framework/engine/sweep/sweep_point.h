// The points of a sweep: what each run sets. Pure combinatorics; no config is resolved here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/config/sweep_file.h"

namespace orrery::engine {

struct SweepPoint {
  std::vector<Override> keys;   ///< what tells it from the others: of the grid, a [[zip]] or a [[point]]
  std::optional<int64_t> seed;  ///< nothing if the seeds are those of the base
  std::string stage = {};       ///< "" in a sweep without stages
  bool of_grid = true;          ///< not a [[point]]

  /// Everything it sets, in the order in which to apply it.
  std::vector<Override> overrides(const SweepFile& sweep) const;
  /// `keys`, before them the stage as the key "stage", after them the seed as the key "seed".
  std::vector<Override> coordinates() const;
};

/// "train.lr = 0.1, seed 3"; "" if there is only one point.
std::string point_text(const SweepPoint& point);

/// The grid without what is excluded, then the single points, each with every seed. An [[exclude]] with a key
/// that the grid does not write is left to the caller, who knows the resolved configs. Throws UsageError if
/// one is of no point of the grid, if nothing is left, or for more than 100,000 runs.
std::vector<SweepPoint> expand(const SweepFile& sweep);
/// The same for a stage that starts anew: the grid of the sweep times that of the stage.
std::vector<SweepPoint> expand(const SweepFile& sweep, const SweepStage& stage);
/// The points of a stage whose runs start from that of `parent`: its keys and its seed, times the grid of the
/// stage. Throws UsageError also if the stage sets a key of the parent.
std::vector<SweepPoint> expand(const SweepFile& sweep, const SweepStage& stage, const SweepPoint& parent);

/// Whether every key of `part` is one that `points` write.
bool is_written(const SweepPart& part, const std::vector<Override>& keys);

}  // namespace orrery::engine
