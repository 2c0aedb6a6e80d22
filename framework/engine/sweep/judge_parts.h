// Private to the sweep room: what the judges of claims share.
#pragma once

#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/sweep/judge_sweep.h"
#include "engine/sweep/survival.h"
#include "engine/sweep/wilson.h"

namespace orrery::engine {

inline constexpr double infinity = std::numeric_limits<double>::infinity();

/// The runs that a claim is about.
using ChosenRows = std::vector<const SweepRow*>;

/// Four digits, or all of them if four would lie on the other side of the bound.
std::string number_text(double value);
std::string bounded_text(double value, const Interval& wanted);

/// Of rows whose reading is a number or censored.
std::vector<Observation> observations(const ChosenRows& rows, size_t reading);
/// " (2 of 8 never)", or "".
std::string censored_text(const std::vector<Observation>& all);
/// The quantile of the observations with these indices; infinite if it lies beyond the end.
double quantile_of(const std::vector<Observation>& all, const std::vector<size_t>& indices, double q);

/// The same, and where it was looked for last.
Quantile known_quantile(const std::vector<Observation>& all, const std::vector<size_t>& indices, double q);

/// 0 to n - 1.
std::vector<size_t> all_of(size_t n);
/// "2 to beyond the end"; "" without bounds.
std::string interval_text(const std::optional<Bounds>& bounds);
/// The runs of each value of a key, by the value; empty, and `why`, if they cannot be compared.
std::map<double, std::vector<size_t>> by_number(const ChosenRows& rows, const std::string& key,
                                                std::string& why);

/// The number that the run has for a swept key.
std::optional<double> coordinate(const SweepRow& row, const std::string& key);

/// Each judges a claim of its kind over rows that are done and have the reading, and fills in the verdict.
void judge_spread(const SweepClaim& claim, const ChosenRows& rows, size_t reading, SweepVerdict& verdict);
void judge_monotone(const SweepClaim& claim, const ChosenRows& rows, size_t reading, SweepVerdict& verdict);
void judge_below(const SweepClaim& claim, const ChosenRows& rows, size_t reading, size_t other,
                 SweepVerdict& verdict);
void judge_difference(const SweepClaim& claim, const ChosenRows& rows, size_t reading, size_t other,
                      SweepVerdict& verdict);
/// `reading`: -1 for one about curves.
void judge_equal(const SweepClaim& claim, const ChosenRows& rows, int reading, SweepVerdict& verdict);

}  // namespace orrery::engine
