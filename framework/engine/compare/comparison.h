// Runs set side by side: what `orrery compare` shows, as text, as JSON and on a page.
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

/// Key frequencies that one probe found in both, where the groups are of one order.
struct FrequencyOverlap {
  std::string probe;
  size_t in_a, in_b, common;
  double by_chance;  ///< how many two random sets of these sizes have in common, on average
};

/// Two runs. The comparison refers to their signatures.
struct ComparedPair {
  size_t a, b;  ///< a < b
  SignatureComparison features;
  /// The distance of each to the other's random weights, on average: what the distance is to be held against.
  std::optional<double> to_random;
  std::vector<FrequencyOverlap> overlaps;
  std::optional<ActivationComparison> activations;
};

/// A probe that two runs or more could have at their checkpoints, and those of them that have it not.
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

/// Compares their signatures, and their activations (compare_activations.h) unless `hooks` is nothing.
Comparison compare_runs(ComparedRuns runs, const std::optional<std::vector<std::string>>& hooks,
                        Reporter& reporter);

/// The config keys on which not all agree, with each one's value: {"task.p", {"113", "97"}}; "-" where a run
/// has no such key. Probes, checkpoints, expectations and the name are left out.
std::vector<std::pair<std::string, std::vector<std::string>>> config_differences(
    const Comparison& comparison);

/// A feature that at least one of the runs has, in all of them.
struct FeatureRow {
  std::string group, name;
  std::vector<const Feature*> values;  ///< null where the run has none
  std::vector<const Feature*> nulls;   ///< of random weights; null where there are none
  std::vector<std::string> absent;     ///< why there is none: "none", "not measured"; empty where there is
  std::optional<double> distance;      ///< the largest between two of the runs; nothing where none counts
};
/// Features of one group stand together, those that more runs have first.
std::vector<FeatureRow> feature_rows(const Comparison& comparison);

}  // namespace orrery::engine
