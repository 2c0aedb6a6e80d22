#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/testing/model_on_batch.h>
#include <orrery/testing/plugin_under_test.h>
#include <orrery/transformer.h>

#include <cmath>

namespace orrery::testing {
namespace {

// Random weights, two layers of two heads, on 50 random inputs of four tokens, read out at the last.
ModelOnBatch random_network(uint64_t seed = 1) {
  const TaskSpec spec{.d_vocab = 6, .d_vocab_out = 6, .n_ctx = 4, .read_out = {3}};
  const TransformerConfig config{.n_layers = 2, .d_model = 4, .n_heads = 2, .d_head = 2, .attn_only = true};
  auto rng = make_generator(seed);
  auto model = make_transformer(config, spec, rng);
  return {spec, std::move(model), {.tokens = torch::randint(6, {50, 4}, rng, torch::kInt64)}};
}

// The last position scores log(3) at position 1 for head 0.1, and 0 everywhere else for both heads of layer
// 0: patterns [1/4 1/4 1/4 1/4] and [1/6 1/2 1/6 1/6].
void build_heads(ModelOnBatch& network) {
  const torch::NoGradGuard no_grad;
  Model& model = *network.model;
  for (const char* weight : {"embed.W_E", "blocks.0.attn.W_Q", "blocks.0.attn.W_K"})
    model.weight(weight).zero_();
  model.weight("pos_embed.W_pos").copy_(torch::eye(4));
  model.weight("blocks.0.attn.W_Q")[1][3][0] =
      std::log(3.0) * std::sqrt(2.0);  // scores are over sqrt(d_head)
  model.weight("blocks.0.attn.W_K")[1][1][0] = 1;
}

Recorder measured(ModelOnBatch& network) {
  const auto probe = make_probe();
  Recorder recorder;
  probe->measure(network.observe(), recorder);
  return recorder;
}

TEST(@Name@, IsThatOfHeadsBuiltByHand) {
  auto network = random_network();
  build_heads(network);
  const auto recorder = measured(network);
  // Shares are float32: each is off by 1e-7 of itself or so, and the entropy by a few times that.
  EXPECT_NEAR(scalar(recorder, "entropy/0.0"), std::log(4.0), 1e-6);
  EXPECT_NEAR(scalar(recorder, "entropy/0.1"), 0.5 * std::log(2.0) + 0.5 * std::log(6.0), 1e-6);
}

TEST(@Name@, IsTheMeanOverInputs) {
  auto network = random_network();
  const auto seen = network.observe();
  const auto recorder = measured(network);
  for (int64_t layer = 0; layer < 2; ++layer) {
    const auto pattern = seen.cache["blocks." + std::to_string(layer) + ".attn.hook_pattern"];
    for (int64_t head = 0; head < 2; ++head) {
      double sum = 0;
      for (int64_t input = 0; input < 50; ++input)
        for (int64_t key = 0; key < 4; ++key) {
          const double share = pattern[input][head][0][key].item<double>();
          sum -= share * std::log(share);
        }
      EXPECT_NEAR(scalar(recorder, "entropy/" + std::to_string(layer) + "." + std::to_string(head)), sum / 50,
                  1e-12);
      EXPECT_EQ(tensor(recorder, "entropy")[layer][head].item<double>(),
                scalar(recorder, "entropy/" + std::to_string(layer) + "." + std::to_string(head)));
    }
  }
  EXPECT_NEAR(scalar(recorder, "entropy/mean"), tensor(recorder, "entropy").mean().item<double>(), 1e-12);
}

TEST(@Name@, IsZeroForAHeadThatLooksAtOneToken) {
  auto network = random_network();
  build_heads(network);
  const torch::NoGradGuard no_grad;
  network.model->weight("blocks.0.attn.W_Q").mul_(1000);  // e^-1000 is 0 in float32
  EXPECT_EQ(scalar(measured(network), "entropy/0.1"), 0);
}

TEST(@Name@, DiffersOnRandomWeights) {
  auto network = random_network();
  for (const std::string head : {"0.0", "0.1", "1.0", "1.1"}) {
    const double entropy = scalar(measured(network), "entropy/" + head);
    EXPECT_GT(entropy, 0);
    EXPECT_LT(entropy, std::log(4.0));
  }
}

TEST(@Name@, AsksForPatterns) {
  EXPECT_EQ(make_probe()->needs().inputs, Inputs::test);
  EXPECT_EQ(make_probe(R"({"inputs": "train"})")->needs().inputs, Inputs::train);
  EXPECT_EQ(make_probe(R"({"inputs": "grid"})")->needs().inputs, Inputs::grid);
  EXPECT_EQ(make_probe()->needs().activations, std::vector<std::string>{"blocks.*.attn.hook_pattern"});
  EXPECT_THROW(make_probe(R"({"inputs": "all"})"), Error);
}

}  // namespace
}  // namespace orrery::testing
