#include <gtest/gtest.h>
#include <tests/support/hand_built.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>

namespace orrery::testing {
namespace {

using torch::Tensor;

Recorder measured(const Batch& inputs, const Tensor& logits, GivenWeights& model, int64_t d_vocab_out) {
  const torch::NoGradGuard no_grad;
  TaskSpec spec;
  spec.d_vocab_out = d_vocab_out;
  const Observation observation{0, spec, {}, {}, inputs, model, logits, {}};
  Recorder recorder;
  make_probe()->measure(observation, recorder);
  return recorder;
}

Batch labelled(const Tensor& labels) {
  Batch batch;
  batch.tokens = torch::zeros({labels.size(0), 1}, torch::kInt64);
  batch.labels = labels;
  return batch;
}

TEST(CorrectLogit, OfTwoClasses) {
  GivenWeights model;
  model.give("a", torch::tensor({3.0, 0.0}));
  model.give("b", torch::tensor({{-4.0}}));
  const auto recorder = measured(labelled(torch::tensor({0, 1}, torch::kInt64).unsqueeze(1)),
                                 torch::tensor({{3.0f, -1.0f}, {2.0f, 4.0f}}).unsqueeze(1), model, 2);
  EXPECT_EQ(scalar(recorder, "correct_logit"), 3.5);
  EXPECT_EQ(scalar(recorder, "margin"), 3);
  EXPECT_EQ(scalar(recorder, "parameter_norm"), 5);
  EXPECT_EQ(recorder.record().headlines, (std::vector<std::string>{"correct_logit", "parameter_norm"}));
}

// A wrong answer has a negative margin; what the loss mask leaves out does not count.
TEST(CorrectLogit, CountsWhatTheLossMaskKeeps) {
  GivenWeights model;
  Batch inputs = labelled(torch::tensor({{2, 0}, {1, 1}}, torch::kInt64));
  inputs.scored = torch::tensor({{true, false}, {true, true}});
  const Tensor logits = torch::tensor({1.0f, 7.0f, 2.0f, 9.0f, 9.0f, 9.0f,  //
                                       0.0f, 4.0f, 1.0f, 5.0f, 5.0f, -1.0f})
                            .view({2, 2, 3});
  const auto recorder = measured(inputs, logits, model, 3);
  EXPECT_NEAR(scalar(recorder, "correct_logit"), (2 + 4 + 5) / 3.0, 1e-12);
  EXPECT_NEAR(scalar(recorder, "margin"), (-5 + 3 + 0) / 3.0, 1e-12);
}

TEST(CorrectLogit, OfOneLogitIsItsSignedValue) {
  GivenWeights model;
  const auto recorder = measured(labelled(torch::tensor({1, 0, 0}, torch::kInt64).unsqueeze(1)),
                                 torch::tensor({2.0f, -3.0f, 0.5f}).view({3, 1, 1}), model, 1);
  EXPECT_NEAR(scalar(recorder, "correct_logit"), (2 + 3 - 0.5) / 3, 1e-12);
  EXPECT_NEAR(scalar(recorder, "margin"), (2 + 3 - 0.5) / 3, 1e-12);
}

// Against a mean in double precision, on noise.
TEST(CorrectLogit, AgreesWithItsDefinition) {
  GivenWeights model;
  const int64_t n = 50, q = 7;
  const Tensor logits = torch::randn({n, 1, q}, make_generator(1));
  const Tensor labels = torch::randint(q, {n, 1}, make_generator(2), torch::kInt64);
  double correct = 0, margin = 0;
  for (int64_t i = 0; i < n; ++i) {
    const auto label = labels[i][0].item<int64_t>();
    double best = -INFINITY;
    for (int64_t c = 0; c < q; ++c)
      if (c != label) best = std::max(best, logits[i][0][c].item<double>());
    correct += logits[i][0][label].item<double>() / n;
    margin += (logits[i][0][label].item<double>() - best) / n;
  }
  const auto recorder = measured(labelled(labels), logits, model, q);
  EXPECT_NEAR(scalar(recorder, "correct_logit"), correct, 1e-12);
  EXPECT_NEAR(scalar(recorder, "margin"), margin, 1e-12);
}

TEST(CorrectLogit, ReadsTheExamplesThatItIsTold) {
  EXPECT_EQ(make_probe()->needs().inputs, Inputs::train);
  EXPECT_EQ(make_probe(R"({"inputs": "test"})")->needs().inputs, Inputs::test);
}

}  // namespace
}  // namespace orrery::testing
