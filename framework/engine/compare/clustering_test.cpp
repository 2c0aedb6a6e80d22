// Average linkage against its definition: at every step, the mean over all pairs of items.
#include "engine/compare/clustering.h"

#include <gtest/gtest.h>
#include <orrery/error.h>

#include <cmath>
#include <limits>
#include <random>
#include <set>

namespace orrery::engine {
namespace {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

Distances random_distances(size_t n, unsigned seed, double unknown_share = 0) {
  std::mt19937 rng(seed);
  std::uniform_real_distribution<double> uniform(0, 1);
  Distances all(n, std::vector<double>(n, 0));
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < i; ++j)
      all[i][j] = all[j][i] = uniform(rng) < unknown_share ? unknown : uniform(rng);
  return all;
}

struct Cluster {
  size_t number;
  std::vector<size_t> items;
};

double mean_distance(const Distances& distances, const Cluster& a, const Cluster& b) {
  double sum = 0, count = 0;
  for (const size_t i : a.items)
    for (const size_t j : b.items)
      if (!std::isnan(distances[i][j])) {
        sum += distances[i][j];
        ++count;
      }
  return count > 0 ? sum / count : unknown;
}

// Straight from the definition: nothing is kept from one step to the next but who belongs together.
std::vector<Merge> by_definition(const Distances& distances) {
  std::vector<Cluster> clusters;
  for (size_t i = 0; i < distances.size(); ++i) clusters.push_back({i, {i}});
  std::vector<Merge> merges;
  while (true) {
    double best = std::numeric_limits<double>::infinity();
    size_t x = 0, y = 0;
    for (size_t j = 0; j < clusters.size(); ++j)
      for (size_t i = 0; i < j; ++i)
        if (const double d = mean_distance(distances, clusters[i], clusters[j]); d < best) {
          best = d;
          x = i;
          y = j;
        }
    if (std::isinf(best)) return merges;
    Cluster joined{distances.size() + merges.size(), clusters[x].items};
    joined.items.insert(joined.items.end(), clusters[y].items.begin(), clusters[y].items.end());
    merges.push_back({std::min(clusters[x].number, clusters[y].number),
                      std::max(clusters[x].number, clusters[y].number), best, joined.items.size()});
    clusters.erase(clusters.begin() + static_cast<std::ptrdiff_t>(y));
    clusters.erase(clusters.begin() + static_cast<std::ptrdiff_t>(x));
    clusters.push_back(joined);
  }
}

void expect_same(const std::vector<Merge>& got, const std::vector<Merge>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].a, wanted[i].a) << i;
    EXPECT_EQ(got[i].b, wanted[i].b) << i;
    EXPECT_EQ(got[i].size, wanted[i].size) << i;
    EXPECT_NEAR(got[i].height, wanted[i].height, 1e-12) << i;
  }
}

TEST(AverageLinkage, IsWhatItsDefinitionSays) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    const Distances distances = random_distances(2 + seed % 11, seed);
    expect_same(average_linkage(distances), by_definition(distances));
  }
}

TEST(AverageLinkage, LeavesOutWhatIsNotKnown) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    const Distances distances = random_distances(2 + seed % 9, seed, 0.6);
    expect_same(average_linkage(distances), by_definition(distances));
  }
}

TEST(AverageLinkage, WorkedByHand) {
  // 0 and 1 are near; 2 is at 4 and 6 from them, 5 on average; 3 has nothing to do with any.
  const Distances distances = {
      {0, 1, 4, unknown}, {1, 0, 6, unknown}, {4, 6, 0, unknown}, {unknown, unknown, unknown, 0}};
  expect_same(average_linkage(distances), {{0, 1, 1, 2}, {2, 4, 5, 3}});
  EXPECT_EQ(leaf_order(average_linkage(distances), 4), (std::vector<size_t>{2, 0, 1, 3}));
}

TEST(AverageLinkage, OfOneItemIsNoMerge) {
  EXPECT_TRUE(average_linkage({{0}}).empty());
  EXPECT_TRUE(average_linkage({}).empty());
  EXPECT_EQ(leaf_order({}, 2), (std::vector<size_t>{0, 1}));
}

TEST(AverageLinkage, RefusesWhatIsNoDistance) {
  EXPECT_THROW(average_linkage({{0, 1}, {2, 0}}), Error);
  EXPECT_THROW(average_linkage({{1, 1}, {1, 0}}), Error);
  EXPECT_THROW(average_linkage({{0, -1}, {-1, 0}}), Error);
  EXPECT_THROW(average_linkage({{0, unknown}, {1, 0}}), Error);
  EXPECT_THROW(average_linkage({{0, 1}}), Error);
}

TEST(LeafOrder, HoldsEachItemOnceAndClustersTogether) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    const size_t n = 9;
    const auto merges = average_linkage(random_distances(n, seed));
    const auto order = leaf_order(merges, n);
    EXPECT_EQ(std::set<size_t>(order.begin(), order.end()).size(), n);
    std::vector<std::set<size_t>> members(n + merges.size());
    for (size_t i = 0; i < n; ++i) members[i] = {i};
    for (size_t m = 0; m < merges.size(); ++m) {
      members[n + m] = members[merges[m].a];
      members[n + m].insert(members[merges[m].b].begin(), members[merges[m].b].end());
      size_t first = n, last = 0;
      for (size_t place = 0; place < n; ++place)
        if (members[n + m].contains(order[place])) {
          first = std::min(first, place);
          last = place;
        }
      EXPECT_EQ(last - first + 1, members[n + m].size());
    }
  }
}

}  // namespace
}  // namespace orrery::engine
