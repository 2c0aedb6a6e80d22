// Spearman's rank correlation.
#pragma once

#include <optional>
#include <vector>

namespace orrery::engine {

/// Ranks from 1, the mean rank for equal values.
std::vector<double> ranks(const std::vector<double>& values);

/// Between -1 and 1; nothing if one side is constant or there are fewer than 2 pairs. Infinities are larger
/// than all else, and equal.
std::optional<double> spearman(const std::vector<double>& x, const std::vector<double>& y);

}  // namespace orrery::engine
