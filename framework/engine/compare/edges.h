// The edges of two networks' circuits, from findings of the kinds "edge_scores" and "circuit"
// (orrery/circuit.h).
#pragma once

#include <orrery/recorder.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace orrery::engine {

/// By the names of edges: "embed -> head 0.1 q".
struct EdgeSet {
  std::map<std::string, double> scores;  ///< of all edges that were listed
  std::set<std::string> circuit;
  int64_t n_edges = 0;  ///< of the graph
  double fall = 0;      ///< what the metric loses with all edges; 0 if it was not recorded
};

/// Those of a record, if it has both findings.
std::optional<EdgeSet> edges_of(const Record& record);

/// An edge by its name in a, and its share of what each network's metric loses with all edges.
struct EdgeInBoth {
  std::string name;
  double share_a = 0, share_b = 0;
  bool in_a = false, in_b = false;  ///< of the circuits
};

/// What two circuits share. Which head of a layer is called 0.0 is an accident of the seed: the heads of b
/// are renamed, layer by layer, so that the scores fit those of a best, as far as exchanges of two improve
/// the fit.
struct EdgeOverlap {
  size_t in_a = 0, in_b = 0, common = 0;
  /// The expected number in common of two random sets of these sizes. Their heads are not renamed to fit;
  /// that would give them more in common.
  double by_chance = 0;
  double jaccard = 0;      ///< common over those in either
  double correlation = 0;  ///< Pearson's, of all scores; NaN where one is constant
  bool renamed = false;    ///< whether heads were renamed
  /// Those of either circuit or of a share of 1 % or more in either, by the larger of the two shares; empty
  /// where a fall was not recorded or is 0.
  std::vector<EdgeInBoth> edges;
};
/// Nothing if the graphs are of different sizes.
std::optional<EdgeOverlap> edge_overlap(const EdgeSet& a, const EdgeSet& b);

}  // namespace orrery::engine
