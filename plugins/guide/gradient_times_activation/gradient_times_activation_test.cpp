#include <gtest/gtest.h>
#include <orrery/gradients.h>
#include <orrery/loss.h>
#include <orrery/testing/model_on_batch.h>
#include <orrery/testing/plugin_under_test.h>
#include <orrery/transformer.h>

namespace orrery::testing {
namespace {

// Two layers of two heads without a kink, as ReLU has them, read out at the last two of four positions.
ModelOnBatch network() {
  const TaskSpec spec{.d_vocab = 6, .d_vocab_out = 6, .n_ctx = 4, .read_out = {2, 3}};
  const TransformerConfig config{.n_layers = 2, .d_model = 8, .n_heads = 2, .d_head = 4, .attn_only = true};
  auto rng = make_generator(1);
  auto model = make_transformer(config, spec, rng);
  Batch inputs{.tokens = torch::randint(6, {20, 4}, rng, torch::kInt64),
               .labels = torch::randint(6, {20, 2}, rng, torch::kInt64)};
  return {spec, std::move(model), inputs};
}

Recorder measured(ModelOnBatch& network) {
  Recorder recorder;
  make_probe()->measure(network.observe(), recorder);
  return recorder;
}

// The mean loss with the output of one head at one position times `factor`.
double loss_with(ModelOnBatch& network, int64_t layer, int64_t head, int64_t position, double factor) {
  const torch::NoGradGuard no_grad;
  const Observation seen = network.observe();
  const Hook scaled{"blocks." + std::to_string(layer) + ".attn.hook_z", [&](const torch::Tensor& z) {
                      const torch::Tensor changed = z.clone();
                      changed.select(1, position).select(1, head).mul_(factor);
                      return changed;
                    }};
  const auto logits = run_with_hooks(*network.model, network.inputs.tokens, {scaled})
                          .index_select(1, torch::tensor(network.spec.read_out, torch::kInt64));
  return mean_over_labels(seen.losses(logits.to(torch::kFloat64), network.inputs), network.inputs)
      .item<double>();
}

TEST(GradientTimesActivation, IsTheFiniteDifferenceOfAFactor) {
  auto net = network();
  const auto recorder = measured(net);
  const auto lost = tensor(recorder, "lost");
  ASSERT_EQ(lost.sizes(), (std::vector<int64_t>{2, 2, 4}));
  const double step = 3e-3;  // the network is float32: 1e-7 over 0.006 is 2e-5, and the next term is step^2
  for (int64_t layer = 0; layer < 2; ++layer)
    for (int64_t head = 0; head < 2; ++head) {
      double sum = 0;
      for (int64_t position = 0; position < 4; ++position) {
        const double slope = (loss_with(net, layer, head, position, 1 + step) -
                              loss_with(net, layer, head, position, 1 - step)) /
                             (2 * step);
        EXPECT_NEAR(lost[layer][head][position].item<double>(), -slope, 1e-4);
        sum += lost[layer][head][position].item<double>();
      }
      EXPECT_NEAR(scalar(recorder, "head/" + std::to_string(layer) + "." + std::to_string(head)), sum, 1e-12);
    }
  EXPECT_GT(lost.abs().max().item<double>(), 1e-2);  // there is something to compare
  // What layer 1 says at positions that are not read out reaches no loss.
  EXPECT_EQ(lost[1].narrow(1, 0, 2).abs().max().item<double>(), 0);
  EXPECT_GT(lost[0].narrow(1, 0, 2).abs().max().item<double>(), 0);
}

TEST(GradientTimesActivation, OfAHeadThatIsNotReadIsZero) {
  auto net = network();
  const torch::NoGradGuard no_grad;
  net.model->weight("blocks.1.attn.W_O")[1].zero_();
  const auto recorder = measured(net);
  EXPECT_EQ(scalar(recorder, "head/1.1"), 0);
  EXPECT_NE(scalar(recorder, "head/1.0"), 0);
}

TEST(GradientTimesActivation, LeavesTheModelAsItWas) {
  auto net = network();
  const auto before = net.observe().logits.clone();
  measured(net);
  EXPECT_TRUE(net.observe().logits.equal(before));
  for (const auto& [name, weight] : net.model->weights()) EXPECT_FALSE(weight.grad().defined()) << name;
}

}  // namespace
}  // namespace orrery::testing
