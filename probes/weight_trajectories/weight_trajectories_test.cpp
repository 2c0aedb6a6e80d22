#include <gtest/gtest.h>
#include <tests/support/hand_built.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>

namespace orrery::testing {
namespace {

using torch::Tensor;

class ReadsBits final : public Model {
 public:
  explicit ReadsBits(const Tensor& W_in) {
    add_weight("mlp.W_in", W_in);
    add_hook_point("hook_input");
  }
  Tensor forward(const Tensor&) override { return {}; }
};

Recorder measured(const Tensor& weights, int64_t n_ctx, std::vector<int64_t> relevant,
                  const std::string& json = "{}") {
  const torch::NoGradGuard no_grad;
  ReadsBits model(weights);
  TaskSpec spec;
  spec.n_ctx = n_ctx;
  Structure structure;
  if (!relevant.empty()) structure.relevant_positions = RelevantPositions{std::move(relevant)};
  const Observation observation{0, spec, structure, {}, {}, model, {}, {}};
  Recorder recorder;
  make_probe(json)->measure(observation, recorder);
  return recorder;
}

bool has_scalar(const Recorder& recorder, const std::string& name) {
  for (const auto& [recorded, value] : recorder.record().scalars)
    if (recorded == name) return true;
  return false;
}

const Tensor three_inputs = torch::tensor({{1.0f, -2.0f}, {0.5f, 0.0f}, {0.001f, 0.0f}});

TEST(WeightTrajectories, TellsRelevantInputsFromDistractors) {
  const auto recorder = measured(three_inputs, 3, {0});
  EXPECT_EQ(scalar(recorder, "largest/relevant"), 2);
  EXPECT_EQ(scalar(recorder, "largest/distractor"), 0.5);
  EXPECT_EQ(scalar(recorder, "live/relevant"), 2);
  EXPECT_EQ(scalar(recorder, "live/distractor"), 1);  // 0.001 is below 1 % of 2
  EXPECT_FALSE(has_scalar(recorder, "largest/ones"));
  EXPECT_TRUE(torch::equal(tensor(recorder, "weights"), three_inputs));
  EXPECT_TRUE(
      torch::equal(tensor(recorder, "kind").to(torch::kInt64), torch::tensor({1, 2, 2}, torch::kInt64)));
}

TEST(WeightTrajectories, AColumnOfOnesIsNoInput) {
  const auto recorder = measured(three_inputs, 2, {1});
  EXPECT_EQ(scalar(recorder, "largest/relevant"), 0.5);
  EXPECT_EQ(scalar(recorder, "largest/distractor"), 2);
  EXPECT_NEAR(scalar(recorder, "largest/ones"), 0.001, 1e-9);
}

TEST(WeightTrajectories, WithoutRelevantPositionsAllAreAlike) {
  for (const auto& recorder : {measured(three_inputs, 3, {}), measured(three_inputs, 7, {0})}) {
    EXPECT_EQ(scalar(recorder, "largest/all"), 2);
    EXPECT_EQ(scalar(recorder, "live/all"), 3);
    EXPECT_FALSE(has_scalar(recorder, "largest/relevant"));
  }
}

TEST(WeightTrajectories, WhatCountsAsPrunedIsAParameter) {
  EXPECT_EQ(scalar(measured(three_inputs, 3, {0}, R"({"pruned_share": 0.0001})"), "live/distractor"), 2);
  EXPECT_EQ(scalar(measured(three_inputs, 3, {0}, R"({"pruned_share": 0.25})"), "live/distractor"), 0);
}

// Entries follow each other in a trace, with a gap between two.
TEST(WeightTrajectories, DrawsEveryEntryOverTheSteps) {
  History history;
  const auto series = [](const std::string& name, std::function<Tensor(int64_t)> read) {
    return TensorSeries{name, {0, 100, 300}, std::move(read)};
  };
  history.tensors = {series("weights", [](int64_t step) { return three_inputs * float(step); }),
                     series("kind", [](int64_t) {
                       return torch::tensor({1, 2, 2}, torch::kInt32);
                     })};
  Recorder recorder;
  make_probe()->conclude(history, recorder);
  const Figure& figure = recorder.record().figures.at(0);
  ASSERT_EQ(figure.traces.size(), 2u);
  EXPECT_EQ(figure.traces[0].name, "distractor");
  const Trace& relevant = figure.traces[1];
  EXPECT_EQ(relevant.name, "relevant");
  const std::vector<float> x{0, 100, 300, 300, 0, 100, 300, 300}, y{0, -200, -600, NAN, 0, 100, 300, NAN};
  ASSERT_EQ(relevant.x.size(0), 8);
  ASSERT_EQ(relevant.y.size(0), 8);
  for (int64_t i = 0; i < 8; ++i)
    for (const auto& [found, expected] : {std::pair{relevant.x, x}, {relevant.y, y}}) {
      const float value = found[i].item<float>();
      EXPECT_TRUE(std::isnan(expected[i]) ? std::isnan(value) : value == expected[i]) << i << " " << value;
    }
}

TEST(WeightTrajectories, DrawsTheLargest) {
  History history;
  history.tensors = {{"weights", {0, 1}, [](int64_t) { return three_inputs; }},
                     {"kind", {0, 1}, [](int64_t) { return torch::zeros({3}, torch::kInt32); }}};
  Recorder recorder;
  make_probe(R"({"max_drawn": 2})")->conclude(history, recorder);
  const Figure& figure = recorder.record().figures.at(0);
  ASSERT_EQ(figure.traces.size(), 1u);
  EXPECT_EQ(figure.traces[0].name, "all");
  EXPECT_EQ(figure.traces[0].y.size(0), 2 * 3);
  EXPECT_EQ(figure.traces[0].y[0].item<float>(), -2);
  EXPECT_EQ(figure.traces[0].y[3].item<float>(), 1);
}

}  // namespace
}  // namespace orrery::testing
