// The comparison of several runs that `orrery compare` shows as text, as JSON and on a page.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/compare/clustering.h"
#include "engine/compare/compare_activations.h"
#include "engine/compare/compared_run.h"
#include "engine/compare/signature.h"
#include "engine/reporter/reporter.h"

namespace orrery::engine {

/// Key frequencies that one probe found in both networks, for groups of the same order.
struct FrequencyOverlap {
  std::string probe;
  size_t in_a, in_b, common;
  double by_chance;  ///< the expected overlap of two random sets of these sizes
};

/// The edges of circuits that one probe, asked the same, found in both networks.
struct CircuitOverlap {
  std::string probe;
  EdgeOverlap edges;
};

/// What sites of both networks carry, by the interchanges of one probe that was asked the same.
struct CarriedOverlap {
  std::string probe;
  CarriedInBoth variables;
};

/// Two runs. `features` refers to their signatures.
struct ComparedPair {
  size_t a, b;  ///< a < b
  SignatureComparison features;
  /// The mean distance of each to the other's random weights: the baseline for the distance.
  std::optional<double> to_random;
  std::vector<FrequencyOverlap> overlaps;
  std::vector<CircuitOverlap> circuits;
  std::vector<CarriedOverlap> carried;
  std::optional<ActivationComparison> activations;
};

/// A probe that applies to at least two of the runs, and the runs that lack its results at their checkpoint.
struct MissingProbe {
  std::string plugin;
  std::vector<size_t> runs;
};

using ComparedRuns = std::vector<std::unique_ptr<ComparedRun>>;

struct Comparison {
  ComparedRuns runs;
  std::vector<ComparedPair> pairs;  ///< (0, 1), (0, 2), ..., (1, 2), ...
  std::vector<Merge> tree;
  std::vector<size_t> order;  ///< of the runs along the tree
  std::vector<MissingProbe> missing;

  const ComparedPair& pair(size_t a, size_t b) const;
};

/// Compares the signatures of the runs and, if `hooks` is given, their activations (compare_activations.h).
Comparison compare_runs(ComparedRuns runs, const std::optional<std::vector<std::string>>& hooks,
                        Reporter& reporter);

/// The config keys on which the runs disagree, with the value in each: {"task.p", {"113", "97"}}; "-" for a
/// run without the key. Leaves out probes, checkpoints, expectations and the name.
std::vector<std::pair<std::string, std::vector<std::string>>> config_differences(
    const Comparison& comparison);

/// A feature that at least one of the runs has, with its value in each.
struct FeatureRow {
  std::string group, name;
  std::vector<const Feature*> values;  ///< null for a run without it
  std::vector<const Feature*> nulls;   ///< for random weights; null if there is none
  std::vector<std::string> absent;     ///< why one is missing: "none", "not measured", "other parameters"
  std::optional<double> distance;      ///< the largest between two of the runs; nothing if no pair counts
};
/// Grouped; within a group, features that more runs have come first.
std::vector<FeatureRow> feature_rows(const Comparison& comparison);

}  // namespace orrery::engine
