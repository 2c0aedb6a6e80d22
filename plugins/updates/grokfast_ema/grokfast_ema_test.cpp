#include <gtest/gtest.h>
#include <orrery/testing/plugin_under_test.h>

namespace orrery::testing {
namespace {

// The gradients that come out, for those that go in, of one weight with a single entry.
std::vector<double> filtered(const std::string& parameters, const std::vector<double>& gradients) {
  const auto update = make_update(parameters);
  UpdateState state;
  std::vector<double> out;
  for (size_t i = 0; i < gradients.size(); ++i) {
    const torch::Tensor gradient = torch::full({1}, gradients[i], torch::kFloat64);
    UpdateStep step;
    step.step = static_cast<int64_t>(i);
    step.kept = &state;
    step.weights.emplace_back("w", torch::zeros({1}, torch::kFloat64), gradient, state);
    update->step(step);
    out.push_back(gradient.item<double>());
  }
  return out;
}

TEST(GrokfastEma, AddsTheAverageOfTheGradients) {
  const std::vector<double> given = {1, -2, 0.5, 3};
  const std::vector<double> out = filtered(R"({"alpha": 0.9, "lamb": 4})", given);
  double average = given[0];
  for (size_t i = 0; i < given.size(); ++i) {
    if (i > 0) average = 0.9 * average + 0.1 * given[i];
    EXPECT_NEAR(out[i], given[i] + 4 * average, 1e-12);
  }
}

TEST(GrokfastEma, TriplesAConstantGradient) {
  for (const double out : filtered("{}", std::vector<double>(5, 0.5))) EXPECT_NEAR(out, 1.5, 1e-12);
}

TEST(GrokfastEma, LeavesWhatAlternatesNearlyAlone) {
  std::vector<double> given;
  for (int i = 0; i < 1000; ++i) given.push_back(i % 2 ? -1 : 1);
  EXPECT_NEAR(filtered("{}", given).back(), -1, 0.03);
}

}  // namespace
}  // namespace orrery::testing
