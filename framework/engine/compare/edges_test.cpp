// What two circuits share, whatever their heads are called.
#include "engine/compare/edges.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace orrery::engine {
namespace {

using Scores = std::vector<std::pair<std::string, double>>;

EdgeSet set_of(const Scores& scores, const std::set<std::string>& circuit) {
  std::vector<std::string> names;
  std::vector<double> values;
  for (const auto& [name, value] : scores) {
    names.push_back(name);
    values.push_back(value);
  }
  Record record;
  const auto n = static_cast<int64_t>(names.size());
  record.findings = {
      {"edge_scores", "edge_scores", {{"edges", names}, {"scores", values}, {"n_edges", n}}},
      {"circuit", "circuit", {{"edges", std::vector<std::string>(circuit.begin(), circuit.end())}}}};
  return *edges_of(record);
}

// Two layers of two heads: a previous-token head feeds the keys of an induction head.
EdgeSet induction(const std::string& previous, const std::string& idle, const std::string& head,
                  const std::string& other) {
  return set_of({{"embed -> " + previous + " v", 8},
                 {"embed -> " + idle + " v", 0.5},
                 {previous + " -> " + head + " k", 9},
                 {previous + " -> " + other + " k", 0.1},
                 {idle + " -> " + head + " k", 0.2},
                 {head + " -> logits", 10},
                 {other + " -> logits", -1}},
                {"embed -> " + previous + " v", previous + " -> " + head + " k", head + " -> logits"});
}

TEST(EdgeOverlap, OfOneCircuitWithItselfIsAll) {
  const EdgeSet a = induction("head 0.0", "head 0.1", "head 1.0", "head 1.1");
  const EdgeOverlap same = *edge_overlap(a, a);
  EXPECT_EQ(same.jaccard, 1);
  EXPECT_NEAR(same.correlation, 1, 1e-12);
  EXPECT_FALSE(same.renamed);
  EXPECT_NEAR(same.by_chance, 9.0 / 7, 1e-12);
}

TEST(EdgeOverlap, DoesNotDependOnTheNamesOfHeads) {
  const EdgeSet a = induction("head 0.0", "head 0.1", "head 1.0", "head 1.1");
  for (const EdgeSet& b : {induction("head 0.1", "head 0.0", "head 1.0", "head 1.1"),
                           induction("head 0.1", "head 0.0", "head 1.1", "head 1.0")}) {
    const EdgeOverlap both = *edge_overlap(a, b);
    EXPECT_EQ(both.common, 3u);
    EXPECT_EQ(both.jaccard, 1);
    EXPECT_NEAR(both.correlation, 1, 1e-12);
    EXPECT_TRUE(both.renamed);
  }
}

TEST(EdgeOverlap, CountsWhatIsCommon) {
  const EdgeSet a = set_of({{"embed -> mlp 0", 3}, {"mlp 0 -> logits", 4}, {"embed -> logits", 0}},
                           {"embed -> mlp 0", "mlp 0 -> logits"});
  const EdgeSet b = set_of({{"embed -> mlp 0", 1}, {"mlp 0 -> logits", 0}, {"embed -> logits", 5}},
                           {"embed -> mlp 0", "embed -> logits"});
  const EdgeOverlap both = *edge_overlap(a, b);
  EXPECT_EQ(both.common, 1u);
  EXPECT_NEAR(both.jaccard, 1.0 / 3, 1e-12);
  // 3, 4, 0 about 7/3 and 1, 0, 5 about 2
  const double xy = (2.0 / 3) * -1 + (5.0 / 3) * -2 + (-7.0 / 3) * 3;
  EXPECT_NEAR(both.correlation, xy / std::sqrt((78.0 / 9) * 14), 1e-12);
}

// As on disk, where 10 is an integer.
EdgeSet with_fall(EdgeSet set, const Value& whole, const Value& empty) {
  Record record;
  std::vector<std::string> names;
  std::vector<double> values;
  for (const auto& [name, value] : set.scores) {
    names.push_back(name);
    values.push_back(value);
  }
  record.findings = {
      {"edge_scores",
       "edge_scores",
       {{"edges", names}, {"scores", values}, {"n_edges", set.n_edges}, {"whole", whole}, {"empty", empty}}},
      {"circuit", "circuit", {}}};
  set.fall = edges_of(record)->fall;
  return set;
}

TEST(EdgeOverlap, ListsSharesUnderTheNamesOfTheFirst) {
  const EdgeSet a = with_fall(induction("head 0.0", "head 0.1", "head 1.0", "head 1.1"), int64_t{10}, 0.0);
  const EdgeSet b = with_fall(induction("head 0.1", "head 0.0", "head 1.1", "head 1.0"), 12.5, -7.5);
  EXPECT_EQ(a.fall, 10);
  EXPECT_EQ(b.fall, 20);
  const auto edges = edge_overlap(a, b)->edges;
  ASSERT_EQ(edges.size(), 7u);
  EXPECT_EQ(edges.front().name, "head 1.0 -> logits");
  EXPECT_EQ(edges.front().share_a, 1);
  EXPECT_EQ(edges.front().share_b, 0.5);
  EXPECT_TRUE(edges.front().in_a && edges.front().in_b);
  EXPECT_EQ(edges[3].name, "head 1.1 -> logits");  // a tenth, against the answer
  EXPECT_EQ(edges[3].share_b, -0.05);
  EXPECT_FALSE(edges[3].in_a || edges[3].in_b);
  const EdgeSet unknown = induction("head 0.0", "head 0.1", "head 1.0", "head 1.1");
  EXPECT_TRUE(edge_overlap(a, unknown)->edges.empty());
}

TEST(EdgeOverlap, NeedsGraphsOfOneSizeAndBothFindings) {
  const EdgeSet a = induction("head 0.0", "head 0.1", "head 1.0", "head 1.1");
  EXPECT_FALSE(edge_overlap(a, set_of({{"embed -> logits", 1}}, {})));
  EXPECT_FALSE(edges_of(Record{}));
  const EdgeSet flat = set_of({{"embed -> mlp 0", 1}, {"mlp 0 -> logits", 1}}, {});
  EXPECT_TRUE(std::isnan(edge_overlap(flat, flat)->correlation));
}

}  // namespace
}  // namespace orrery::engine
