#include <gtest/gtest.h>
#include <tests/support/hand_built.h>
#include <tests/support/plugin_under_test.h>

namespace orrery::testing {
namespace {

Recorder measured(const TrainingState& training, GivenWeights& model, const std::string& parameters = "{}") {
  const TaskSpec spec{4, 2, 1, {0}, {}};
  const Batch none;
  const torch::Tensor nothing;
  const ActivationCache cache;
  Observation observation{5, spec, {}, {}, none, model, nothing, cache};
  observation.training = &training;
  Recorder recorder;
  make_probe(parameters)->measure(observation, recorder);
  return recorder;
}

bool has(const Recorder& recorder, const std::string& name) {
  for (const auto& [known, value] : recorder.record().scalars)
    if (known == name) return true;
  return false;
}

TEST(TrainingGradients, AreThoseOfTheWorkedExample) {
  GivenWeights model;
  model.give("w", torch::tensor({3.F, 4.F}));
  const auto recorder = measured({{}, 0.5, {{"w", torch::tensor({-3.F, 4.F})}}, {}}, model);
  EXPECT_DOUBLE_EQ(scalar(recorder, "norm"), 5);
  EXPECT_DOUBLE_EQ(scalar(recorder, "norm/w"), 5);
  EXPECT_DOUBLE_EQ(scalar(recorder, "cosine/weights"), -0.28);
  EXPECT_DOUBLE_EQ(scalar(recorder, "batch_loss"), 0.5);
  EXPECT_FALSE(has(recorder, "cosine/moment"));
  EXPECT_FALSE(has(recorder, "signal_share"));
}

TEST(TrainingGradients, TakeAllWeightsTogether) {
  GivenWeights model;
  model.give("a", torch::tensor({1.F, 0.F}));
  model.give("b", torch::tensor({{2.F}}));
  const TrainingState training{{},
                               1,
                               {{"a", torch::tensor({-1.F, 2.F})}, {"b", torch::tensor({{-2.F}})}},
                               {{"exp_avg/a", torch::tensor({0.F, 2.F})},
                                {"exp_avg/b", torch::tensor({{1.F}})},
                                {"exp_avg_sq/a", torch::tensor({0.F, 8.F})},
                                {"exp_avg_sq/b", torch::tensor({{1.F}})}}};
  const auto recorder = measured(training, model);
  EXPECT_DOUBLE_EQ(scalar(recorder, "norm"), 3);
  EXPECT_DOUBLE_EQ(scalar(recorder, "cosine/weights"), 5 / (3 * std::sqrt(5.0)));
  EXPECT_DOUBLE_EQ(scalar(recorder, "cosine/moment"), 2 / (3 * std::sqrt(5.0)));
  EXPECT_DOUBLE_EQ(scalar(recorder, "signal_share"), (4.0 / 8 + 1) / 2);  // the first of a never moved
  EXPECT_FALSE(has(measured(training, model, R"({"by_weight": false})"), "norm/a"));
}

TEST(TrainingGradients, TakeTheMomentumOfSgd) {
  GivenWeights model;
  model.give("w", torch::tensor({1.F, 1.F}));
  const auto recorder = measured(
      {{}, 1, {{"w", torch::tensor({1.F, 0.F})}}, {{"momentum/w", torch::tensor({1.F, 1.F})}}}, model);
  EXPECT_NEAR(scalar(recorder, "cosine/moment"), std::sqrt(0.5), 1e-12);
  EXPECT_FALSE(has(recorder, "signal_share"));
}

TEST(TrainingGradients, AreNotANumberWhereThereIsNone) {
  GivenWeights model;
  model.give("w", torch::tensor({1.F}));
  const auto recorder = measured({{}, 0, {{"w", torch::tensor({0.F})}}, {}}, model);
  EXPECT_EQ(scalar(recorder, "norm"), 0);
  EXPECT_TRUE(std::isnan(scalar(recorder, "cosine/weights")));
}

}  // namespace
}  // namespace orrery::testing
