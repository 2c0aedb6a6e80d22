// Bootstrap intervals (Efron's percentile method), seeded: the same runs give the same interval everywhere.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "engine/sweep/wilson.h"

namespace orrery::engine {

/// The middle 95 % of `statistic` over 2,000 resamples, with replacement, of the indices 0 to n - 1. It may
/// be infinite; resamples for which it is nothing are left out. Nothing if it is nothing for all, and for one
/// index alone, which says nothing about others.
std::optional<Bounds> bootstrap_interval(
    size_t n, const std::function<std::optional<double>(const std::vector<size_t>&)>& statistic);

/// The same, but each group of indices is drawn from itself, so that its size stays; nothing if one has a
/// single index. The sample holds the indices of the first group first.
std::optional<Bounds> bootstrap_interval_within(
    const std::vector<std::vector<size_t>>& groups,
    const std::function<std::optional<double>(const std::vector<size_t>&)>& statistic);

}  // namespace orrery::engine
