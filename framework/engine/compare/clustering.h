// Hierarchical clustering of runs by their distances. Free of LibTorch.
#pragma once

#include <cstddef>
#include <vector>

namespace orrery::engine {

/// [n][n], symmetric, 0 on the diagonal; NaN: unknown.
using Distances = std::vector<std::vector<double>>;

/// Joins two clusters. Clusters 0..n-1 are the items; the i-th merge makes cluster n + i.
struct Merge {
  size_t a, b;    ///< a < b
  double height;  ///< the distance between the two
  size_t size;    ///< items in the new cluster
};

/// Average linkage (UPGMA; Sokal & Michener 1958): repeatedly merges the two nearest clusters, whose distance
/// is the mean over all pairs of an item of each whose distance is known. Ties go to the lowest numbers. Ends
/// when one cluster is left or no distance between clusters is known, after at most n - 1 merges. Throws
/// orrery::Error unless the matrix is as Distances says.
std::vector<Merge> average_linkage(const Distances& distances);

/// The items from left to right in a drawing of the tree without crossing lines. Separate trees follow each
/// other in the order of their first items.
std::vector<size_t> leaf_order(const std::vector<Merge>& merges, size_t n_items);

}  // namespace orrery::engine
