#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/testing/model_on_batch.h>
#include <orrery/testing/plugin_under_test.h>
#include <orrery/transformer.h>

namespace orrery::testing {
namespace {

// Four inputs of one token, 0 or 1, which is also the carry. The stream is the embedding: (-1, 0) and (3, 0).
ModelOnBatch network(const std::vector<int64_t>& carry) {
  const TaskSpec spec{.d_vocab = 2, .d_vocab_out = 2, .n_ctx = 1, .read_out = {0}, .auxiliary = {"carry"}};
  const TransformerConfig config{.d_model = 2, .n_heads = 1, .d_head = 2, .attn_only = true};
  auto model = make_transformer(config, spec, make_generator(1));
  const torch::NoGradGuard no_grad;
  for (auto& weight : model->weights()) weight.value.zero_();
  model->weight("embed.W_E").copy_(torch::tensor({-1.0f, 0.0f, 3.0f, 0.0f}).view({2, 2}));
  Batch inputs{.tokens = torch::tensor({0, 0, 1, 1}, torch::kInt64).view({4, 1})};
  inputs.auxiliary["carry"] = torch::tensor(carry, torch::kInt64).view({4, 1});
  return {spec, std::move(model), inputs};
}

Recorder measured(ModelOnBatch network) {
  Recorder recorder;
  make_probe()->measure(network.observe(), recorder);
  return recorder;
}

TEST(CarryDirection, IsTheDifferenceOfMeansAndPredictsWhatItTells) {
  const auto told = measured(network({0, 0, 1, 1}));
  EXPECT_EQ(scalar(told, "predicted"), 1);
  EXPECT_TRUE(tensor(told, "direction").equal(torch::tensor({4.0, 0.0}, torch::kFloat64)));
  EXPECT_EQ(std::get<double>(finding(told, "carry").fields.at("share")), 1);
  // Where half of each token carries, nothing does.
  const auto chance = measured(network({0, 1, 0, 1}));
  EXPECT_EQ(scalar(chance, "predicted"), 0.5);
  EXPECT_TRUE(chance.record().findings.empty());
}

Finding found(double share) { return {"carry", "direction_found", {{"share", share}}}; }

// The direction turns from x to y between steps 10 and 20, and is found at 10.
History turning() {
  const auto direction = [](int64_t step) {
    return step < 20 ? torch::tensor({1.0, 0.0}) : torch::tensor({0.1, 1.0});
  };
  return {.tensors = {{"direction", {0, 10, 20, 30}, direction}},
          .findings = {{"carry", {10, 20, 30}, {found(0.9), found(1), found(1)}}}};
}

TEST(CarryDirection, ConcludesWhenItWasFoundAndWhenItSettled) {
  Recorder recorder;
  make_probe()->conclude(turning(), recorder);
  EXPECT_EQ(scalar(recorder, "settled/step"), 20);
  EXPECT_EQ(scalar(recorder, "found/step"), 10);
  const auto cosines = recorder.record().figures.at(0).traces.at(0).y;
  EXPECT_NEAR(cosines[0].item<double>(), 0.1 / std::sqrt(1.01), 1e-6);
  EXPECT_NEAR(cosines[3].item<double>(), 1, 1e-6);
}

TEST(CarryDirection, ConcludesNothingOfWhatItNeverFound) {
  History history = turning();
  history.findings.clear();
  Recorder recorder;
  make_probe()->conclude(history, recorder);
  EXPECT_FALSE(has_scalar(recorder, "found/step"));
}

TEST(CarryDirection, AsksForItsOwnRecordsAndForTheCarries) {
  const Needs needs = make_probe()->needs();
  EXPECT_EQ(needs.tensors, std::vector<std::string>{"direction"});
  EXPECT_EQ(needs.findings, std::vector<std::string>{"carry"});
  EXPECT_EQ(needs.auxiliary, std::vector<std::string>{"carry"});
  EXPECT_THROW(make_probe(R"({"found": 2})"), Error);
}

}  // namespace
}  // namespace orrery::testing
