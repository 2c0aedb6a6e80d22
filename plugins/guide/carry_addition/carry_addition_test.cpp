#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/testing/plugin_under_test.h>

#include <cmath>

namespace orrery::testing {
namespace {

using Numbers = std::vector<int64_t>;

const std::string two_digits = R"({"n_digits": 2, "without_carries": 5, "n_test": 40})";

Numbers numbers(const torch::Tensor& row) {
  const auto own = row.contiguous();
  return {own.data_ptr<int64_t>(), own.data_ptr<int64_t>() + own.numel()};
}

// As one learns it at school.
void expect_added(const Batch& batch, int64_t n) {
  for (int64_t row = 0; row < batch.size(); ++row) {
    const Numbers tokens = numbers(batch.tokens[row]), labels = numbers(batch.labels[row]),
                  carry = numbers(batch.auxiliary.at("carry")[row]);
    int64_t a = 0, b = 0, power = 1;
    for (int64_t i = 0; i < n; ++i) a = 10 * a + tokens.at(i), b = 10 * b + tokens.at(n + i);
    for (int64_t place = 0; place <= n; ++place, power *= 10) {
      EXPECT_EQ(labels.at(place), (a + b) / power % 10);
      EXPECT_EQ(carry.at(place), a % power + b % power >= power ? 1 : 0);
    }
  }
}

TEST(CarryAddition, TheLabelsAreTheDigitsAndTheCarriesWhatComesIn) {
  const auto task = make_task(two_digits);
  expect_added(task->sample(200, final_step, make_generator(1)), 2);
  expect_added(task->sample(200, 0, make_generator(1)), 2);
  expect_added(make_task(R"({"n_digits": 5})")->sample(200, 1000, make_generator(2)), 5);
}

TEST(CarryAddition, TheCurriculumBeginsWithoutCarries) {
  const auto task = make_task(two_digits);
  const auto carries = [&](int64_t step) {
    return task->sample(300, step, make_generator(3)).auxiliary.at("carry").sum().item<int64_t>();
  };
  EXPECT_EQ(carries(0), 0);
  EXPECT_EQ(carries(4), 0);
  EXPECT_GT(carries(5), 200);  // of 900 digits two in three, nearly half carry
  // Only the step decides: the generator is used alike.
  EXPECT_TRUE(task->sample(9, 0, make_generator(3))
                  .tokens.narrow(1, 0, 2)
                  .equal(task->sample(9, 5, make_generator(3)).tokens.narrow(1, 0, 2)));
  EXPECT_GT(task->split(make_generator(1)).test.auxiliary.at("carry").sum().item<int64_t>(), 0);
}

TEST(CarryAddition, ItsMetricsCountWholeSumsAndDigitsAfterACarry) {
  const auto task = make_task(R"({"n_digits": 1})");
  EXPECT_EQ(task->spec().metrics, (std::vector<std::string>{"whole_sum", "after_carry"}));
  Batch examples;  // 5 + 7 = 12, 1 + 2 = 3, 9 + 9 = 18, ones first
  examples.labels = torch::tensor({2, 1, 3, 0, 8, 1}, torch::kInt64).view({3, 2});
  examples.auxiliary["carry"] = torch::tensor({0, 1, 0, 0, 0, 1}, torch::kInt64).view({3, 2});
  // It says 12, 13 and 08: one sum of three, and one of the two digits that a carry comes into.
  const auto answers = torch::tensor({2, 1, 3, 1, 8, 0}, torch::kInt64).view({3, 2, 1});
  const auto logits = torch::zeros({3, 2, 10}).scatter_(-1, answers, 1);
  const auto values = task->metrics(logits, examples);
  ASSERT_EQ(values.size(), 2u);
  EXPECT_DOUBLE_EQ(values[0], 1. / 3);
  EXPECT_DOUBLE_EQ(values[1], 1. / 2);
  examples.auxiliary["carry"].zero_();
  EXPECT_TRUE(std::isnan(task->metrics(logits, examples)[1]));
}

TEST(CarryAddition, ShowsSumsAndRefusesWhatCannotBe) {
  const auto task = make_task(R"({"n_digits": 3})");
  EXPECT_EQ(task->show(torch::tensor({0, 4, 8, 3, 7, 5, 10, 10, 10, 10}, torch::kInt64)), "048 + 375====");
  for (const std::string json : {R"({"n_digits": 0})", R"({"without_carries": -1})"})
    EXPECT_THROW(make_task(json), Error) << json;
}

}  // namespace
}  // namespace orrery::testing
