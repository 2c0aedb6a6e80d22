#include <gtest/gtest.h>
#include <orrery/probe.h>
#include <tests/support/hand_built.h>

#include <set>

namespace orrery::testing {
namespace {

int64_t n_differing(const torch::Tensor& a, const torch::Tensor& b) { return (a != b).sum().item<int64_t>(); }

TEST(Corrupted, ChangesOneTokenThatMattersAndTakesTheLabelOfTheGrid) {
  const CyclicTask task = addition(7);
  const Batch& clean = task.split.train;
  const Batch partners = corrupted_by_default(clean, task.split, task.structure, make_generator(4));
  ASSERT_EQ(partners.size(), clean.size());
  int64_t left = 0;
  for (int64_t i = 0; i < clean.size(); ++i) {
    EXPECT_EQ(n_differing(partners.tokens[i], clean.tokens[i]), 1);
    EXPECT_EQ(partners.tokens[i][2].item<int64_t>(), 7);  // "=" is the same in every input
    EXPECT_EQ(partners.labels[i][0].item<int64_t>(),
              (partners.tokens[i][0].item<int64_t>() + partners.tokens[i][1].item<int64_t>()) % 7);
    left += partners.tokens[i][0].item<int64_t>() != clean.tokens[i][0].item<int64_t>();
  }
  EXPECT_GT(left, clean.size() / 4);  // either operand
  EXPECT_LT(left, 3 * clean.size() / 4);
}

TEST(Corrupted, KeepsToTheRelevantPositions) {
  std::vector<int64_t> tokens, labels;
  for (int64_t n = 0; n < 16; ++n) {
    for (int64_t bit = 0; bit < 4; ++bit) tokens.push_back(n >> bit & 1);
    labels.push_back((n >> 1 & 1) ^ (n >> 3 & 1));
  }
  const Split split = Split::of_grid({torch::tensor(tokens, torch::kInt64).view({16, 4}),
                                      torch::tensor(labels, torch::kInt64).view({16, 1})},
                                     torch::arange(8), torch::arange(8, 16));
  Structure structure;
  structure.relevant_positions = RelevantPositions{{1, 3}};
  const Batch partners = corrupted_by_default(split.train, split, structure, make_generator(0));
  for (int64_t i = 0; i < 8; ++i) {
    EXPECT_EQ(n_differing(partners.tokens[i], split.train.tokens[i]), 1);
    EXPECT_EQ(partners.tokens[i][0].item<int64_t>(), split.train.tokens[i][0].item<int64_t>());
    EXPECT_EQ(partners.tokens[i][2].item<int64_t>(), split.train.tokens[i][2].item<int64_t>());
    EXPECT_NE(partners.labels[i].item<int64_t>(), split.train.labels[i].item<int64_t>());
  }
}

TEST(Corrupted, ReachesEveryNeighbour) {
  const CyclicTask task = addition(5);
  const Batch one = task.split.grid->rows(torch::zeros({400}, torch::kInt64));
  const Batch partners = corrupted_by_default(one, task.split, task.structure, make_generator(1));
  std::set<std::pair<int64_t, int64_t>> seen;
  for (int64_t i = 0; i < partners.size(); ++i)
    seen.emplace(partners.tokens[i][0].item<int64_t>(), partners.tokens[i][1].item<int64_t>());
  EXPECT_EQ(seen.size(), 8u);  // four other left operands, four other right ones
}

TEST(Corrupted, WithoutAGridIsAnotherExample) {
  const Batch clean{torch::arange(12, torch::kInt64).view({6, 2}),
                    torch::arange(6, torch::kInt64).view({6, 1})};
  const Batch partners = corrupted_by_default(clean, {}, {}, make_generator(2));
  EXPECT_FALSE((partners.labels == clean.labels).any().item<bool>());
  EXPECT_TRUE(std::get<0>(partners.labels.flatten().sort()).equal(clean.labels.flatten()));
  EXPECT_TRUE(partners.tokens.select(1, 0).equal(2 * partners.labels.squeeze(1)));
}

TEST(Corrupted, OneExampleHasAPartnerInTheGrid) {
  const CyclicTask task = addition(5);
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const Batch one = task.split.train.rows(torch::zeros({1}, torch::kInt64));
    const Batch partner = corrupted_by_default(one, task.split, task.structure, make_generator(seed));
    EXPECT_EQ(n_differing(partner.tokens, one.tokens), 1);
    EXPECT_NE(partner.labels.item<int64_t>(), one.labels.item<int64_t>());
  }
}

// Rows (0, 0), (1, 1), (2, 2): none differs from another in one position alone.
TEST(Corrupted, WithoutANeighbourIsAnotherRow) {
  const torch::Tensor digits = torch::arange(3, torch::kInt64);
  const Split split = Split::of_grid({torch::stack({digits, digits}, 1), digits.unsqueeze(1)},
                                     torch::arange(2), torch::arange(2, 3));
  const Batch many = split.grid->rows(torch::arange(300).remainder(3));
  const Batch partners = corrupted_by_default(many, split, {}, make_generator(6));
  EXPECT_FALSE((partners.labels == many.labels).any().item<bool>());
  const torch::Tensor steps = (partners.labels - many.labels).remainder(3).flatten();
  EXPECT_GT((steps == 1).sum().item<int64_t>(), 100);  // either of the others, 150 times or so
  EXPECT_GT((steps == 2).sum().item<int64_t>(), 100);
}

TEST(Corrupted, IsTheSameForTheSameSeed) {
  const CyclicTask task = addition(7);
  const auto tokens = [&](uint64_t seed) {
    return corrupted_by_default(task.split.test, task.split, task.structure, make_generator(seed)).tokens;
  };
  EXPECT_TRUE(tokens(3).equal(tokens(3)));
  EXPECT_FALSE(tokens(3).equal(tokens(4)));
}

}  // namespace
}  // namespace orrery::testing
