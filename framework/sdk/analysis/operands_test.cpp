// Operands in, neurons out, and the Fourier analysis over them: transformers and every mlp of two operands.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/fourier.h>
#include <orrery/operands.h>
#include <tests/support/model_on_grid.h>

namespace orrery {
namespace {

using testing::constructed_mlp;
using testing::every_mlp_of_operands;
using testing::ModelOnGrid;
using testing::random_mlp;
using testing::random_transformer;
using testing::wiring;

torch::Tensor tokens_at(const ModelOnGrid& seen, int64_t position) {
  return seen.task.split.grid->tokens.select(1, position);
}

// A sum of m products in float32 is off by at most m 6e-8 times the sum of their sizes: here m <= 17, sizes
// add up to less than 10.
constexpr double kRounding = 1e-5;

TEST(Operands, AddUpToThePreActivationsOfEveryMlp) {
  for (const MlpConfig& config : every_mlp_of_operands(5, 6)) {
    SCOPED_TRACE(wiring(config));
    ModelOnGrid seen = random_mlp(config, 7);
    const auto observation = seen.observe();
    auto pre = torch::zeros_like(seen.cache["mlp.hook_pre"].select(1, 0));
    for (int64_t position = 0; position < 2; ++position) {
      const auto embedding = operand_embedding(observation, position);
      ASSERT_EQ(embedding.size(0), 8);
      EXPECT_FALSE(embedding.requires_grad());
      auto x = embedding.index_select(0, tokens_at(seen, position));
      if (seen.model->find_weight("mlp.W_in_a") && embedding.size(1) != 6)
        x = x.matmul(observation.weight(position ? "mlp.W_in_b" : "mlp.W_in_a"));
      else if (embedding.size(1) != 6)
        x = x.matmul(observation.weight("mlp.W_in"));
      pre = pre + x;
    }
    EXPECT_TRUE(torch::allclose(pre, seen.cache["mlp.hook_pre"].select(1, 0), 0, kRounding));
  }
}

TEST(Operands, OfATransformerAreItsEmbedding) {
  ModelOnGrid seen = random_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12}, 7);
  const auto observation = seen.observe();
  EXPECT_TRUE(operand_embedding(observation, 0).equal(seen.model->weight("embed.W_E")));
  EXPECT_TRUE(operand_embedding(observation, 1).equal(operand_embedding(observation, 0)));
}

TEST(Operands, AreRefusedWhereThereAreNone) {
  CyclicStructure xor_structure{
      .order = 2, .left = {0, 1}, .right = {0, 1}, .result = {0, 1}};  // of the first two of five bits
  testing::CyclicTask task = testing::cyclic_task(xor_structure);
  task.spec = {.d_vocab = 2, .d_vocab_out = 2, .n_ctx = 5, .read_out = {4}};
  task.split = Split::of_grid({torch::tensor({0, 0, 0, 1, 1, 0, 1, 1}, torch::kInt64)
                                   .view({4, 2})
                                   .repeat({1, 3})
                                   .narrow(1, 0, 5)
                                   .contiguous(),
                               torch::tensor({0, 1, 1, 0}, torch::kInt64).view({4, 1}),
                               {},
                               {}},
                              torch::arange(2), torch::arange(2, 4));
  ModelOnGrid bits(task,
                   make_mlp({.input = MlpConfig::Input::bits, .d_mlp = 4}, task.spec, make_generator(1)));
  const auto observation = bits.observe();
  EXPECT_THROW(operand_embedding(observation, 0), UsageError);
  EXPECT_NO_THROW(neurons_to_logits(observation));

  ModelOnGrid mlp = random_mlp({.d_embed = 4}, 5);
  const auto of_mlp = mlp.observe();
  EXPECT_THROW(operand_embedding(of_mlp, 2), UsageError);
  EXPECT_THROW(operand_embedding(of_mlp, -1), UsageError);
}

TEST(Neurons, WriteTheLogitsOfEveryMlp) {
  for (const MlpConfig& config : every_mlp_of_operands(5, 6)) {
    SCOPED_TRACE(wiring(config));
    ModelOnGrid seen = random_mlp(config, 7);
    const auto observation = seen.observe();
    const auto post = neuron_activations(observation, "hook_post").select(1, 0);
    const auto written = post.matmul(neurons_to_logits(observation));
    EXPECT_TRUE(torch::allclose(written, seen.logits.select(1, 0), 0, kRounding));
  }
}

TEST(Neurons, OfATransformerWriteThroughTheResidualStream) {
  ModelOnGrid seen = random_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12}, 7);
  const auto observation = seen.observe();
  const auto written = neuron_activations(observation, "hook_post").matmul(neurons_to_logits(observation));
  const auto direct = seen.cache["blocks.0.hook_resid_mid"].matmul(observation.weight("unembed.W_U"));
  EXPECT_TRUE(torch::allclose(written + direct, seen.logits, 0, kRounding));
}

// The logits with one neuron at 1 and the others at 0, less those with all at 0: [d_mlp, d_vocab_out]
// float64.
torch::Tensor map_by_perturbing(ModelOnGrid& seen, const std::string& hook, int64_t d_mlp) {
  const torch::NoGradGuard no_grad;
  const auto tokens = seen.task.split.grid->tokens.narrow(0, 0, 1);
  const auto logits_with = [&](int64_t neuron) {
    const auto set = [neuron](const torch::Tensor& post) {
      auto given = torch::zeros_like(post);
      if (neuron >= 0) given.select(-1, neuron).fill_(1);
      return given;
    };
    return run_with_hooks(*seen.model, tokens, {{hook, set}})[0].select(0, 2).to(torch::kFloat64);
  };
  const auto off = logits_with(-1);
  std::vector<torch::Tensor> rows;
  for (int64_t neuron = 0; neuron < d_mlp; ++neuron) rows.push_back(logits_with(neuron) - off);
  return torch::stack(rows);
}

// With whole numbers for weights, and mod 4, whose circle has the corners (1, 0), (0, 1), ..., float32 adds
// up without rounding: what is left is cos(pi/2) = 6e-17.
void give_whole_numbers(Model& model) {
  const torch::NoGradGuard no_grad;
  auto rng = make_generator(11);
  for (NamedWeight& weight : model.weights())
    weight.value.copy_(torch::randint(-4, 5, weight.value.sizes(), rng, torch::kFloat32));
}

void expect_brute_force_agrees(ModelOnGrid& seen, const std::string& hook, int64_t d_mlp) {
  const auto observation = seen.observe();
  const auto map = neurons_to_logits(observation, torch::kFloat64);
  EXPECT_EQ(map.scalar_type(), torch::kFloat64);
  EXPECT_FALSE(map.requires_grad());
  const auto expected = map_by_perturbing(seen, hook, d_mlp);
  ASSERT_EQ(map.sizes(), expected.sizes());
  EXPECT_LT((map - expected).abs().max().item<double>(), 1e-12);
  EXPECT_TRUE(neurons_to_logits(observation).equal(map.to(torch::kFloat32)));
  EXPECT_GT(expected.abs().max().item<double>(), 1);
  EXPECT_TRUE(has_one_neuron_layer(*seen.model));
}

TEST(Neurons, MapToLogitsAsPerturbingEachShowsForEveryMlp) {
  for (MlpConfig config : every_mlp_of_operands(5, 6)) {
    SCOPED_TRACE(wiring(config));
    config.bias = true;
    ModelOnGrid seen = random_mlp(config, 4);
    give_whole_numbers(*seen.model);
    expect_brute_force_agrees(seen, "mlp.hook_post", 6);
  }
}

TEST(Neurons, MapToLogitsAsPerturbingEachShowsForTransformers) {
  ModelOnGrid seen = random_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12}, 4);
  give_whole_numbers(*seen.model);
  seen.model->weight("blocks.0.attn.W_V").detach().zero_();  // softmax gives no whole numbers
  expect_brute_force_agrees(seen, "blocks.0.mlp.hook_post", 12);
}

TEST(Neurons, AreUnembeddedByWhatTheModelHas) {
  const auto unembedding_of = [](const MlpConfig& config) {
    ModelOnGrid seen = random_mlp(config, 4);
    const auto observation = seen.observe();
    return std::pair(unembedding(observation), std::move(seen));
  };
  const auto [tied, of_tied] =
      unembedding_of({.embedding = MlpConfig::Embedding::tied, .d_embed = 3, .d_mlp = 4});
  EXPECT_TRUE(tied.equal(of_tied.model->weight("embed.W_E").detach().narrow(0, 0, 4).t()));
  const auto [own, of_own] =
      unembedding_of({.embedding = MlpConfig::Embedding::untied, .d_embed = 3, .d_mlp = 4});
  EXPECT_TRUE(own.equal(of_own.model->weight("unembed.W_U").detach()));
  const auto [circle, of_circle] =
      unembedding_of({.embedding = MlpConfig::Embedding::circular, .d_embed = 2, .d_mlp = 4});
  EXPECT_TRUE(torch::allclose(
      circle, torch::tensor({{1., 0., -1., 0.}, {0., 1., 0., -1.}}).to(torch::kFloat32), 0, 1e-6));
  const auto [none, collapsed] = unembedding_of(
      {.embedding = MlpConfig::Embedding::circular, .collapse = MlpConfig::Collapse::output, .d_embed = 2});
  EXPECT_FALSE(none.defined());
}

// Tied and identity, mod 4 with four entries in the stream, so that shapes cannot tell them apart.
TEST(Neurons, AreUnembeddedAsTheTransformerSays) {
  using Unembedding = TransformerConfig::Unembedding;
  for (const auto kind : {Unembedding::own, Unembedding::tied, Unembedding::identity}) {
    ModelOnGrid seen =
        random_transformer({.d_model = 4, .n_heads = 2, .d_head = 4, .d_mlp = 12, .unembedding = kind}, 4);
    give_whole_numbers(*seen.model);
    seen.model->weight("blocks.0.attn.W_V").detach().zero_();  // softmax gives no whole numbers
    expect_brute_force_agrees(seen, "blocks.0.mlp.hook_post", 12);
    const auto observation = seen.observe();
    EXPECT_EQ(unembedding(observation).defined(), kind != Unembedding::identity);
  }
}

TEST(Neurons, AreRefusedUnlessTheyAreOneLayer) {
  ModelOnGrid two_hidden = random_mlp({.d_embed = 4, .n_hidden = 2}, 5);
  ModelOnGrid two_blocks =
      random_transformer({.n_layers = 2, .d_model = 8, .n_heads = 1, .d_head = 8, .d_mlp = 8}, 5);
  ModelOnGrid none = random_transformer({.d_model = 8, .n_heads = 1, .d_head = 8, .attn_only = true}, 5);
  for (ModelOnGrid* seen : {&two_hidden, &two_blocks, &none}) {
    const auto observation = seen->observe();
    EXPECT_THROW(neurons_to_logits(observation), UsageError);
    EXPECT_FALSE(has_one_neuron_layer(*seen->model));
    EXPECT_THROW(neuron_activations(observation, "hook_post"), UsageError);
    EXPECT_THROW(CyclicView(observation).neurons(), UsageError);
  }
}

KeyFrequencies keys_of(ModelOnGrid& seen, const std::string& rule, double threshold = 0.75) {
  const auto observation = seen.observe();
  KeyFrequencyParams params;
  params.rule = rule;
  params.threshold = threshold;
  return find_key_frequencies(params, CyclicView(observation));
}

// post = (cos(t - wa) + cos(t - wb))^2 holds cos(2t - 2wa)/2, the same of b, and 2 cos(t - wa) cos(t - wb):
// energies 1/8, 1/8 and 1, so 0.8 of it is at frequency 1. Summed against cos(2t - wc), of the logits only
// cos w(a + b - c)/1 and cos(2wa - wc)/2, cos(2wb - wc)/2 survive: 1 / (1 + 1/4 + 1/4) = 2/3 is at
// frequency 1.
TEST(FourierOfMlps, ReadsTheConstructedSolutionWhateverTheWiring) {
  for (MlpConfig config : every_mlp_of_operands(5, 7)) {
    SCOPED_TRACE(wiring(config));
    config.act_fn = MlpConfig::ActFn::square;
    ModelOnGrid seen = constructed_mlp(config, 17);
    for (const std::string rule : {"neurons", "embedding", "logits"})
      EXPECT_EQ(keys_of(seen, rule).frequencies, std::vector<int64_t>{1}) << rule;
    EXPECT_TRUE(keys_of(seen, "neurons", 0.81).frequencies.empty());
    const auto observation = seen.observe();
    const CyclicView view(observation);
    EXPECT_NEAR(view.neurons().share.min().item<double>(), 0.8, kRounding);
    EXPECT_NEAR(view.neurons().share.max().item<double>(), 0.8, kRounding);
    EXPECT_NEAR(view.logit_shares()[1].item<double>(), 2.0 / 3, kRounding);
    const auto norms = view.embedding_norms();
    EXPECT_LT(norms[2].item<double>(), kRounding * norms[1].item<double>());
  }
}

TEST(FourierOfMlps, FindsNothingInRandomWeights) {
  for (const MlpConfig& config : every_mlp_of_operands(16, 12)) {
    if (config.embedding == MlpConfig::Embedding::circular)
      continue;  // its embedding is a wave from the start
    SCOPED_TRACE(wiring(config));
    ModelOnGrid seen = random_mlp(config, 23);
    EXPECT_TRUE(keys_of(seen, "neurons").frequencies.empty());
    EXPECT_GT(keys_of(seen, "embedding").frequencies.size(), 5u);  // noise is spread over all eleven
  }
}

TEST(FourierOfMlps, PairsInOneOrderAreASplitOfTheWholeGrid) {
  ModelOnGrid seen = constructed_mlp({.d_embed = 4, .d_mlp = 7}, 11);
  const auto in_order = (tokens_at(seen, 0) <= tokens_at(seen, 1)).nonzero().flatten();
  ASSERT_EQ(in_order.size(0), 66);
  seen.task.split =
      Split::of_grid(*seen.task.split.grid, in_order.narrow(0, 0, 20), in_order.narrow(0, 20, 46));
  EXPECT_EQ(keys_of(seen, "neurons", 0.5).frequencies, std::vector<int64_t>{1});
  const auto observation = seen.observe();
  const CyclicView view(observation);
  const auto losses = view.losses(view.logits());
  const auto of = [&](const torch::Tensor& rows) {
    return cross_entropy(seen.logits.select(1, 0), seen.task.split.grid->labels.select(1, 0))
        .index_select(0, rows)
        .mean()
        .item<double>();
  };
  EXPECT_NEAR(losses.at(0).second, of(seen.task.split.train_rows), 1e-12);
  EXPECT_NEAR(losses.at(1).second, of(seen.task.split.test_rows), 1e-12);
  EXPECT_NEAR(losses.at(2).second, of(torch::arange(121)), 1e-12);
}

TEST(FourierOfMlps, AGridWithoutSomePairsIsRefusedWithAWayOut) {
  ModelOnGrid seen = constructed_mlp({.d_embed = 4, .d_mlp = 7}, 5);
  const auto in_order = (tokens_at(seen, 0) <= tokens_at(seen, 1)).nonzero().flatten();
  seen.task.split =
      Split::of_grid(seen.task.split.grid->rows(in_order), torch::arange(10), torch::arange(10, 15));
  seen.logits = seen.logits.index_select(0, in_order);
  const auto observation = seen.observe();
  try {
    CyclicView view(observation);
    FAIL() << "not refused";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "no row of the grid holds the indices 1 and 0");
    EXPECT_NE(error.hint().find("train_rows"), std::string::npos);
  }
}

}  // namespace
}  // namespace orrery
