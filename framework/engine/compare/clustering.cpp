#include "engine/compare/clustering.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <cmath>

namespace orrery::engine {
namespace {

// The mean of the known distances between the items of two clusters.
struct Link {
  double sum = 0;
  size_t count = 0;
  double mean() const { return sum / static_cast<double>(count); }
};

void check(const Distances& distances) {
  for (size_t i = 0; i < distances.size(); ++i) {
    if (distances[i].size() != distances.size())
      throw Error(fmt::format("row {} of {} distances has {}", i, distances.size(), distances[i].size()));
    if (distances[i][i] != 0) throw Error(fmt::format("item {} is at a distance from itself", i));
    for (size_t j = 0; j < i; ++j) {
      const double there = distances[i][j], back = distances[j][i];
      if (there != back && !(std::isnan(there) && std::isnan(back)))
        throw Error(fmt::format("the distance of items {} and {} depends on the direction", i, j));
      if (there < 0 || std::isinf(there))
        throw Error(fmt::format("the distance of items {} and {} is {}", i, j, there));
    }
  }
}

void add_leaves(const std::vector<Merge>& merges, size_t n_items, size_t cluster,
                std::vector<size_t>& order) {
  if (cluster < n_items) {
    order.push_back(cluster);
    return;
  }
  add_leaves(merges, n_items, merges[cluster - n_items].a, order);
  add_leaves(merges, n_items, merges[cluster - n_items].b, order);
}

}  // namespace

std::vector<Merge> average_linkage(const Distances& distances) {
  check(distances);
  const size_t n = distances.size();
  std::vector<std::vector<Link>> links(n, std::vector<Link>(n));
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < n; ++j)
      if (!std::isnan(distances[i][j])) links[i][j] = {distances[i][j], 1};
  std::vector<size_t> sizes(n, 1);
  std::vector<bool> open(n, true);
  std::vector<Merge> merges;
  while (true) {
    const Link* nearest = nullptr;
    size_t a = 0, b = 0;
    for (size_t j = 0; j < links.size(); ++j)
      for (size_t i = 0; i < j && open[j]; ++i)
        if (open[i] && links[i][j].count > 0 && (!nearest || links[i][j].mean() < nearest->mean())) {
          nearest = &links[i][j];
          a = i;
          b = j;
        }
    if (!nearest) return merges;
    merges.push_back({a, b, nearest->mean(), sizes[a] + sizes[b]});
    open[a] = open[b] = false;
    std::vector<Link> joined(links.size());
    for (size_t other = 0; other < links.size(); ++other)
      joined[other] = {links[a][other].sum + links[b][other].sum,
                       links[a][other].count + links[b][other].count};
    for (size_t other = 0; other < links.size(); ++other) links[other].push_back(joined[other]);
    joined.emplace_back();
    links.push_back(std::move(joined));
    sizes.push_back(sizes[a] + sizes[b]);
    open.push_back(true);
  }
}

std::vector<size_t> leaf_order(const std::vector<Merge>& merges, size_t n_items) {
  std::vector<bool> inside(n_items + merges.size(), false);
  for (const Merge& merge : merges) inside[merge.a] = inside[merge.b] = true;
  std::vector<std::vector<size_t>> trees;
  for (size_t cluster = 0; cluster < inside.size(); ++cluster)
    if (!inside[cluster]) add_leaves(merges, n_items, cluster, trees.emplace_back());
  std::sort(trees.begin(), trees.end(), [](const auto& a, const auto& b) {
    return *std::min_element(a.begin(), a.end()) < *std::min_element(b.begin(), b.end());
  });
  std::vector<size_t> order;
  for (const auto& tree : trees) order.insert(order.end(), tree.begin(), tree.end());
  return order;
}

}  // namespace orrery::engine
