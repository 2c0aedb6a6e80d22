// Runs sorted into a tree by their distances. Free of LibTorch.
#pragma once

#include <cstddef>
#include <vector>

namespace orrery::engine {

/// [n][n], symmetric, 0 on the diagonal; NaN: not known.
using Distances = std::vector<std::vector<double>>;

/// Two clusters that become one. Clusters 0..n-1 are the items; the i-th merge makes cluster n + i.
struct Merge {
  size_t a, b;    ///< a < b
  double height;  ///< the distance of the two
  size_t size;    ///< items in the new cluster
};

/// Average linkage (UPGMA; Sokal & Michener 1958): again and again the two nearest clusters are merged, their
/// distance being the mean over all pairs of an item of one and an item of the other whose distance is known.
/// Of equally near ones, those with the lowest numbers. Ends when one cluster is left or no distance between
/// clusters is known: n - 1 merges or fewer. Throws orrery::Error unless the matrix is as Distances says.
std::vector<Merge> average_linkage(const Distances& distances);

/// The items from left to right as a drawing of the tree has them, so that no lines cross; trees that were
/// never merged follow each other in the order of their first items.
std::vector<size_t> leaf_order(const std::vector<Merge>& merges, size_t n_items);

}  // namespace orrery::engine
