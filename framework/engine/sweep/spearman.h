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

/// The partial rank correlation of x and y given z: what is left of it between runs of equal z, by the linear
/// formula (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2)(1 - r_yz^2)) on ranks. Nothing where spearman() gives
/// nothing for one of the pairs, or z is x or y over again.
std::optional<double> partial_spearman(const std::vector<double>& x, const std::vector<double>& y,
                                       const std::vector<double>& z);

}  // namespace orrery::engine
