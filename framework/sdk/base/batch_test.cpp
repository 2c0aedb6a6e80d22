// Rows, devices and names of the tensors of a batch.
#include <gtest/gtest.h>
#include <orrery/task.h>

namespace orrery {
namespace {

// Row r holds r in every tensor.
Batch full(int64_t n) {
  const auto column = torch::arange(n, torch::kInt64).unsqueeze(1);
  Batch batch{column.repeat({1, 3}), column, column == 1, column, column.repeat({1, 3})};
  batch.weights = column.flatten().to(torch::kFloat32);
  batch.auxiliary = {{"a", column.flatten()}, {"b", column.clone()}};
  return batch;
}

TEST(Batch, NamesEveryDefinedTensor) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : full(2).tensors()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"tokens", "labels", "scored", "groups", "repeat_of", "weights",
                                             "auxiliary/a", "auxiliary/b"}));
  EXPECT_EQ((Batch{.tokens = torch::zeros({1, 1}, torch::kInt64)}.tensors().size()), 1u);
}

TEST(Batch, EveryTensorFollowsTheRows) {
  const Batch all = full(5), some = all.rows(torch::tensor({4, 1}, torch::kInt64));
  const auto before = all.tensors(), after = some.tensors();
  ASSERT_EQ(after.size(), before.size());
  for (size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i].first, before[i].first);
    EXPECT_TRUE(after[i].second[0].equal(before[i].second[4])) << after[i].first;
    EXPECT_TRUE(after[i].second[1].equal(before[i].second[1])) << after[i].first;
  }
}

TEST(Batch, EveryTensorFollowsToADevice) {
  const auto moved = full(3).to(torch::kCPU).tensors();
  EXPECT_EQ(moved.size(), full(3).tensors().size());
  for (const auto& [name, tensor] : moved) EXPECT_TRUE(tensor.is_cpu()) << name;
}

TEST(Batch, AGridGivesItsLabelsToBothSets) {
  const Split split =
      Split::of_grid(full(4), torch::tensor({2, 0}, torch::kInt64), torch::tensor({3}, torch::kInt64));
  EXPECT_TRUE(split.train.auxiliary.at("a").equal(torch::tensor({2, 0}, torch::kInt64)));
  EXPECT_TRUE(split.test.auxiliary.at("b").equal(torch::tensor({3}, torch::kInt64).unsqueeze(1)));
  EXPECT_TRUE(split.train.weights.equal(torch::tensor({2.0f, 0.0f})));
}

TEST(Losses, HaveNames) {
  EXPECT_EQ(to_string(Loss::cross_entropy), "cross_entropy");
  EXPECT_EQ(to_string(Loss::mse_one_hot), "mse_one_hot");
  EXPECT_TRUE(has_one_logit(Loss::hinge) && has_one_logit(Loss::logistic));
  EXPECT_FALSE(has_one_logit(Loss::cross_entropy) || has_one_logit(Loss::mse_one_hot));
}

}  // namespace
}  // namespace orrery
