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

  /// Everything it sets, in the order in which to apply it.
  std::vector<Override> overrides(const SweepFile& sweep) const;
  /// `keys`, and the seed as the key "seed".
  std::vector<Override> coordinates() const;
};

/// "train.lr = 0.1, seed 3"; "" if there is only one point.
std::string point_text(const SweepPoint& point);

/// The grid without what is excluded, then the single points, each with every seed. Throws UsageError if an
/// [[exclude]] is of no point of the grid, if nothing is left, or for more than 100,000 runs.
std::vector<SweepPoint> expand(const SweepFile& sweep);

}  // namespace orrery::engine
