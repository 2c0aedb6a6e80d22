#include <gtest/gtest.h>
#include <orrery/error.h>

#include <deque>
#include <numeric>

#include "tests/support/update_by_hand.h"

namespace orrery::testing {
namespace {

// The algorithm of the paper, as its authors run it: a queue of gradients.
struct Reference {
  size_t window;
  double lamb;
  bool mean, warmup;
  std::deque<double> queue = {};

  double filtered(double gradient) {
    queue.push_back(gradient);
    if (queue.size() > window) queue.pop_front();
    if (warmup && queue.size() < window) return gradient;
    const double sum = std::accumulate(queue.begin(), queue.end(), 0.0);
    return gradient + lamb * (mean ? sum / static_cast<double>(queue.size()) : sum);
  }
};

void expect_as(Reference reference, const std::string& parameters) {
  UpdateByHand update(parameters);
  update.add("w", torch::zeros({2, 3}, torch::kFloat64));
  std::vector<Reference> entries(6, reference);
  const torch::Generator rng = make_generator(1);
  for (int step = 0; step < 20; ++step) {
    const torch::Tensor gradient = torch::randn({2, 3}, rng, torch::kFloat64);
    const auto out = numbers(update.step({gradient})[0]), in = numbers(gradient);
    for (size_t i = 0; i < 6; ++i)
      EXPECT_NEAR(out[i], entries[i].filtered(in[i]), 1e-12) << parameters << ", step " << step;
  }
}

TEST(GrokfastMa, IsTheAlgorithmOfThePaper) {
  expect_as({4, 5, true, true}, R"({"window": 4})");
  expect_as({7, 2, true, false}, R"({"window": 7, "lamb": 2, "warmup": false})");
  expect_as({3, 0.5, false, true}, R"({"window": 3, "lamb": 0.5, "filter_type": "sum"})");
  expect_as({3, 0.5, false, false}, R"({"window": 3, "lamb": 0.5, "filter_type": "sum", "warmup": false})");
  expect_as({1, 5, true, true}, R"({"window": 1})");
  expect_as({50, 5, true, false}, R"({"window": 50, "warmup": false})");
}

TEST(GrokfastMa, HasTheDefaultsOfTheAuthors) {
  UpdateByHand update;
  update.add("w", torch::zeros({1}, torch::kFloat64));
  for (int step = 0; step < 110; ++step) {
    const double expected = step < 99 ? 0.5 : 3;
    EXPECT_NEAR(update.step({torch::full({1}, 0.5, torch::kFloat64)})[0].item<double>(), expected, 1e-12);
  }
}

// In float32 a running sum would keep the rounding error of the large ones: up to 2e6 ulp/2 = 0.06.
TEST(GrokfastMa, ForgetsLargeGradientsEntirely) {
  UpdateByHand update(R"({"window": 4, "lamb": 4})");
  update.add("w", torch::zeros({1}, torch::kFloat32));
  torch::Tensor last;
  for (const double gradient : {1e6 + 0.1, 3e5 + 0.7, 2e6 + 0.3, 0.1, 0.1, 0.1, 0.1, 0.1})
    last = update.step({torch::full({1}, gradient, torch::kFloat32)})[0];
  EXPECT_NEAR(last.item<double>(), 0.5, 1e-6);
}

TEST(GrokfastMa, RefusesAnEmptyWindow) { EXPECT_THROW(make_update(R"({"window": 0})"), Error); }

}  // namespace
}  // namespace orrery::testing
