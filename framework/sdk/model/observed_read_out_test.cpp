// What a probe sees of a fast pass is what it would see of the plain one.
#include <gtest/gtest.h>
#include <orrery/transformer.h>
#include <torch/torch.h>

namespace orrery {
namespace {

constexpr int64_t p = 23;
const std::vector<std::string> neurons{"blocks.0.mlp.hook_pre", "blocks.0.mlp.hook_post"};

struct Pairs {
  TaskSpec spec{.d_vocab = p + 1, .d_vocab_out = p, .n_ctx = 3, .read_out = {2}};
  torch::Tensor tokens;  // all pairs, in no order

  Pairs() {
    torch::manual_seed(5);
    const auto all = torch::arange(p, torch::kInt64);
    const auto pairs = torch::cartesian_prod({all, all});
    tokens = torch::cat({pairs, torch::full({p * p, 1}, p, torch::kInt64)}, 1);
    tokens = tokens.index_select(0, torch::randperm(p * p, torch::kInt64));
  }
};

void expect_near(const torch::Tensor& a, const torch::Tensor& b) {
  ASSERT_EQ(a.sizes(), b.sizes());
  EXPECT_LT((a - b).abs().max().item<double>(), 2e-6);
}

TEST(ObservedReadOut, NeuronsAndLogitsAreThoseOfThePlainPass) {
  const Pairs pairs;
  for (const auto act_fn : {TransformerConfig::ActFn::relu, TransformerConfig::ActFn::gelu}) {
    TransformerConfig config{.d_model = 32, .n_heads = 4, .d_head = 8, .d_mlp = 64, .act_fn = act_fn};
    config.biases = TransformerConfig::Biases::all;
    const auto model = make_transformer(config, pairs.spec, make_generator(1));
    const ReadOutRequest request{pairs.tokens, pairs.spec.read_out, {}, /*observed=*/true, neurons};
    ASSERT_TRUE(model->fast_read_out_keeps(neurons));
    const auto fast = model->fast_read_out(request), plain = plain_read_out(*model, request);
    expect_near(fast->logits(), plain->logits());
    for (const std::string& name : neurons)
      expect_near(fast->activations().at(name), plain->activations().at(name));
  }
}

TEST(ObservedReadOut, LogitsDoNotDependOnWhatElseIsAskedFor) {
  const Pairs pairs;
  const auto model = make_transformer({}, pairs.spec, make_generator(2));
  const auto logits = [&](const std::vector<std::string>& names) {
    return model->fast_read_out({pairs.tokens, pairs.spec.read_out, {}, true, names})->logits();
  };
  EXPECT_TRUE(logits({}).equal(logits(neurons)));
  EXPECT_TRUE(logits({}).equal(logits({neurons[0]})));
}

TEST(ObservedReadOut, GradientsReachTheWeightsThroughTheNeurons) {
  const Pairs pairs;
  const auto model = make_transformer({}, pairs.spec, make_generator(3));
  const auto gradients = [&](bool fast) {
    const ReadOutRequest request{pairs.tokens, pairs.spec.read_out, {}, true, neurons};
    const auto pass = fast ? model->fast_read_out(request) : plain_read_out(*model, request);
    const auto logits = pass->logits();
    const auto loss = logits.square().mean() + pass->activations().at(neurons[1]).square().mean();
    std::vector<torch::Tensor> weights;
    for (const auto& weight : model->weights()) weights.push_back(weight.value);
    return torch::autograd::grad({loss}, weights);
  };
  const auto found = gradients(true), expected = gradients(false);
  for (size_t i = 0; i < expected.size(); ++i) expect_near(found[i], expected[i]);
}

}  // namespace
}  // namespace orrery
