// Cuts in whole networks: those given by hand, and small transformers and multilayer perceptrons.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/mlp.h>
#include <orrery/subspace.h>
#include <orrery/transformer.h>
#include <tests/support/hand_built.h>

#include <functional>

namespace orrery::testing::subspace_sites_test {
namespace {

using torch::Tensor;

// A model that really runs, with random weights, on addition mod n.
struct Running {
  CyclicTask task;
  std::unique_ptr<Model> model;
  CachedForward forward;
  Tensor logits;
  ActivationCache cache;

  explicit Running(int64_t n, const std::function<std::unique_ptr<Model>(const TaskSpec&)>& make)
      : task(addition(n)), model(make(task.spec)) {
    const torch::NoGradGuard no_grad;
    for (auto& [name, weight] : model->weights())  // biases, too
      weight.copy_(torch::randn(weight.sizes(), make_generator(7)) / 3);
    forward = run_with_cache(*model, task.split.grid->tokens);
    logits = forward.logits.narrow(1, 2, 1);
    const auto read_out = torch::tensor(task.spec.read_out, torch::kInt64);
    for (const auto& point : model->hook_points())
      cache.put(point->name(), at_positions(*point, forward.cache[point->name()], read_out));
  }
  Observation observe() {
    return {0, task.spec, task.structure, task.split, *task.split.grid, *model, logits, cache};
  }
  Tensor weight(const std::string& name) const { return model->weight(name).detach().to(torch::kFloat64); }
};

std::unique_ptr<Model> transformer(
    const TaskSpec& spec, int64_t n_layers = 1,
    TransformerConfig::Normalization normalization_type = TransformerConfig::Normalization::none) {
  return make_transformer({.n_layers = n_layers,
                           .d_model = 16,
                           .n_heads = 2,
                           .d_head = 8,
                           .d_mlp = 24,
                           .normalization_type = normalization_type},
                          spec, make_generator(3));
}
Running small_transformer(int64_t n_layers = 1, TransformerConfig::Normalization normalization_type =
                                                    TransformerConfig::Normalization::none) {
  return Running(5, [=](const TaskSpec& spec) { return transformer(spec, n_layers, normalization_type); });
}

// Logits of order one, computed in float32 through sums of at most a hundred terms.
constexpr double float_rounding = 1e-5;

double distance(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

template <class NetworkOrModel>
Tensor logits_after(NetworkOrModel& network, const SubspaceCut& how) {
  const auto observation = network.observe();
  return cut_logits(how, laid_out(CyclicView(observation)), observation);
}
template <class NetworkOrModel>
Tensor plain_logits(NetworkOrModel& network) {
  const auto observation = network.observe();
  return CyclicView(observation).logits();
}

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const UsageError& error) {
    return std::string(error.what()) + "\n" + error.hint();
  }
  return "";
}
bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

OverInputs waves(int64_t n, const std::vector<int64_t>& frequencies) {
  return functions_of_sum(wave_functions(n, frequencies));
}

TEST(SubspaceSites, LogitsAreProjectedOnTheSum) {
  Network network(addition(11));
  build_noise(network, 4);
  const auto plain = plain_logits(network), kept = project_on_sum(plain, {2, 5});
  EXPECT_LE(distance(logits_after(network, {waves(11, {2, 5}), Part::keep}), kept), 1e-12);
  EXPECT_LE(distance(logits_after(network, {waves(11, {2, 5}), Part::remove}), plain - kept), 1e-12);
  EXPECT_LE(distance(logits_after(network, {waves(11, {2, 5}), Part::keep, Bias::logits}),
                     kept + (plain - kept).mean(0)),
            1e-12);
  // At this site the two biases are one.
  EXPECT_LE(distance(logits_after(network, {waves(11, {2, 5}), Part::keep, Bias::site}),
                     kept + (plain - kept).mean(0)),
            1e-12);
}

// The Grokking_Demo of TransformerLens, in plain loops: each neuron's components along cos and sin of w_k(a +
// b) and its mean, unembedded; the mean logits put back.
TEST(SubspaceSites, NeuronsAreThoseOfTheDemo) {
  const int64_t n = 5, d_mlp = 6, k = 2;
  Network network(addition(n));
  build_noise(network, 4, d_mlp);
  const auto plain = plain_logits(network);
  const auto W_out = network.model.weight("blocks.0.mlp.W_out").detach().to(torch::kFloat64);
  const auto W_U = network.model.weight("unembed.W_U").detach().to(torch::kFloat64);
  const auto observation = network.observe();
  const auto neurons = CyclicView(observation).inputs(network.cache["blocks.0.mlp.hook_post"].select(1, 0));

  std::vector<std::vector<double>> part(n * n, std::vector<double>(d_mlp)), mean = part;
  for (int64_t m = 0; m < d_mlp; ++m) {
    double of_cos = 0, of_sin = 0, sum = 0;
    for (int64_t r = 0; r < n * n; ++r) {
      const double value = neurons[r][m].item<double>();
      of_cos += value * std::cos(angle(k, r / n + r % n, n)) * 2 / double(n * n);
      of_sin += value * std::sin(angle(k, r / n + r % n, n)) * 2 / double(n * n);
      sum += value / double(n * n);
    }
    for (int64_t r = 0; r < n * n; ++r) {
      part[r][m] =
          of_cos * std::cos(angle(k, r / n + r % n, n)) + of_sin * std::sin(angle(k, r / n + r % n, n));
      mean[r][m] = sum;
    }
  }
  const auto unembedded = [&](const std::vector<std::vector<double>>& x, int64_t r, int64_t c) {
    double logit = 0;
    for (int64_t m = 0; m < d_mlp; ++m)
      for (int64_t d = 0; d < W_out.size(1); ++d)
        logit += x[r][m] * W_out[m][d].item<double>() * W_U[d][c].item<double>();
    return logit;
  };
  const auto kept = logits_after(network, {waves(n, {k}), Part::keep, Bias::none, "neurons"});
  const auto with_mean = logits_after(network, {waves(n, {k}), Part::keep, Bias::site, "neurons"});
  const auto restricted = logits_after(network, {waves(n, {k}), Part::keep, Bias::logits, "neurons"});
  const auto excluded = logits_after(network, {waves(n, {k}), Part::remove, Bias::none, "neurons"});
  for (int64_t c = 0; c < n; ++c) {
    double mean_logit = 0;
    for (int64_t r = 0; r < n * n; ++r) mean_logit += plain[r][c].item<double>() / double(n * n);
    for (int64_t r = 0; r < n * n; ++r) {
      const double logit = unembedded(part, r, c);
      EXPECT_NEAR(kept[r][c].item<double>(), logit, 1e-12);
      EXPECT_NEAR(with_mean[r][c].item<double>(), logit + unembedded(mean, r, c), 1e-12);
      EXPECT_NEAR(restricted[r][c].item<double>(), logit + mean_logit, 1e-12);  // waves have mean zero
      EXPECT_NEAR(excluded[r][c].item<double>(), plain[r][c].item<double>() - logit, 1e-12);
    }
  }
}

TEST(SubspaceSites, NeuronsOfAModelAreTheForwardPassWithoutThem) {
  using Embedding = MlpConfig::Embedding;
  using Collapse = MlpConfig::Collapse;
  const auto mlp = [](Embedding embedding, Collapse collapse) {
    return Running(5, [=](const TaskSpec& spec) {
      const int64_t d_embed = embedding == Embedding::circular ? 2 : 5;
      return make_mlp(
          {.embedding = embedding, .collapse = collapse, .d_embed = d_embed, .d_mlp = 9, .bias = true}, spec,
          make_generator(3));
    });
  };
  std::vector<std::pair<std::string, Running>> networks;
  networks.emplace_back("blocks.0.mlp.hook_post", small_transformer());
  networks.emplace_back("mlp.hook_post", mlp(Embedding::tied, Collapse::none));
  networks.emplace_back("mlp.hook_post", mlp(Embedding::untied, Collapse::none));
  networks.emplace_back("mlp.hook_post", mlp(Embedding::circular, Collapse::none));
  networks.emplace_back("mlp.hook_post", mlp(Embedding::circular, Collapse::output));
  networks.emplace_back("mlp.hook_post", mlp(Embedding::input_tied, Collapse::output));
  for (auto& [hook, network] : networks) {
    const auto removed = logits_after(network, {waves(5, {1}), Part::remove, Bias::none, "neurons"});
    const auto kept = logits_after(network, {waves(5, {1}), Part::keep, Bias::none, "neurons"});
    const auto by_hook = logits_after(network, {waves(5, {1}), Part::remove, Bias::none, hook});
    EXPECT_LT(distance(removed, by_hook), float_rounding);
    EXPECT_LT(distance(kept + removed, plain_logits(network)), 1e-12);
    EXPECT_GT(kept.abs().max().item<double>(), 1e-2);
  }
}

TEST(SubspaceSites, NeuronsAreRefusedWhereLogitsAreNotLinearInThem) {
  for (const auto type : {TransformerConfig::Normalization::LN, TransformerConfig::Normalization::LNPre}) {
    auto network = small_transformer(1, type);
    const SubspaceCut how{waves(5, {1}), Part::keep, Bias::none, "neurons"};
    EXPECT_TRUE(says(refusal([&] { logits_after(network, how); }), "not linear")) << name_of(type);
  }
  auto deep = small_transformer(2);
  const SubspaceCut how{waves(5, {1}), Part::keep, Bias::none, "neurons"};
  EXPECT_TRUE(says(refusal([&] { logits_after(deep, how); }), "blocks.1.mlp.hook_post"));
}

// A direction of the residual stream, removed before the MLP at the read-out position; by hand, in double
// precision, from the stream that was cached.
TEST(SubspaceSites, ADirectionRemovedFromATransformer) {
  auto network = small_transformer();
  const auto direction = torch::randn({16}, make_generator(9), torch::kFloat64);
  const auto unit = direction / direction.square().sum().sqrt();
  const auto observation = network.observe();
  auto stream = CyclicView(observation)
                    .inputs(network.cache["blocks.0.hook_resid_mid"].select(1, 0))
                    .to(torch::kFloat64);
  stream = stream - stream.matmul(unit).unsqueeze(1) * unit;
  const auto post =
      (stream.matmul(network.weight("blocks.0.mlp.W_in")) + network.weight("blocks.0.mlp.b_in")).clamp_min(0);
  const auto after =
      stream + post.matmul(network.weight("blocks.0.mlp.W_out")) + network.weight("blocks.0.mlp.b_out");
  const auto expected = after.matmul(network.weight("unembed.W_U"));
  const SubspaceCut how{OverFeatures(orthonormal_rows(direction)), Part::remove, Bias::none,
                        "blocks.0.hook_resid_mid"};
  EXPECT_LT(distance(logits_after(network, how), expected), float_rounding);
  EXPECT_GT(distance(expected, plain_logits(network)), 0.1);
}

TEST(SubspaceSites, AHookPointIsCutAtTheReadOutOrEverywhere) {
  auto network = small_transformer();
  const auto direction = torch::randn({16}, make_generator(9), torch::kFloat64);
  const auto unit = (direction / direction.square().sum().sqrt()).to(torch::kFloat32);
  const auto observation = network.observe();
  const auto tokens = CyclicView(observation).inputs(network.task.split.grid->tokens);
  const auto by_hand = [&](bool everywhere) {
    const torch::NoGradGuard no_grad;
    const auto hook = [&](const Tensor& x) {
      const auto less = x - x.matmul(unit).unsqueeze(-1) * unit;
      return everywhere ? less : torch::cat({x.narrow(1, 0, 2), less.narrow(1, 2, 1)}, 1);
    };
    return run_with_hooks(*network.model, tokens, {{"blocks.0.hook_resid_pre", hook}})
        .select(1, 2)
        .to(torch::kFloat64);
  };
  const auto cut_at = [&](Positions positions) {
    return logits_after(network, {OverFeatures(orthonormal_rows(direction)), Part::remove, Bias::none,
                                  "blocks.*.hook_resid_pre", positions});
  };
  EXPECT_LT(distance(cut_at(Positions::read_out), by_hand(false)), float_rounding);
  EXPECT_LT(distance(cut_at(Positions::all), by_hand(true)), float_rounding);
  EXPECT_GT(distance(by_hand(false), by_hand(true)), 0.01);
}

TEST(SubspaceSites, FunctionsOfTheInputsAtAHookPoint) {
  auto network = small_transformer();
  const auto observation = network.observe();
  const CyclicView view(observation);
  // Each entry of the pattern [pairs, head, query, key] is a function of the pair; the queries are positions.
  const auto pattern = view.inputs(network.forward.cache["blocks.0.attn.hook_pattern"]).detach();
  const auto here = pattern.select(2, 2);
  const auto kept = project_on_sum(here.reshape({25, -1}), {1}).view(here.sizes()) + here.mean(0, true);
  auto replaced = pattern.clone();
  replaced.select(2, 2).copy_(kept);
  const torch::NoGradGuard no_grad;
  const auto expected =
      run_with_hooks(*network.model, view.inputs(network.task.split.grid->tokens),
                     {{"blocks.0.attn.hook_pattern", [&](const Tensor&) { return replaced; }}})
          .select(1, 2)
          .to(torch::kFloat64);
  const SubspaceCut how{waves(5, {1}), Part::keep, Bias::site, "blocks.0.attn.hook_pattern"};
  EXPECT_LT(distance(logits_after(network, how), expected), float_rounding);
  EXPECT_GT(distance(plain_logits(network), expected), 0.01);
}

TEST(SubspaceSites, RefusesASiteOrShapeThatDoesNotFit) {
  auto network = small_transformer();
  const auto direction = OverFeatures(orthonormal_rows(torch::ones({4})));
  const auto at = [&](const Subspace& subspace, const std::string& site) {
    return refusal([&] { logits_after(network, {subspace, Part::remove, Bias::none, site}); });
  };
  const auto unknown = at(direction, "blocks.0.hook_resid_mud");
  EXPECT_TRUE(says(unknown, "no site \"blocks.0.hook_resid_mud\"")) << unknown;
  EXPECT_TRUE(says(unknown, "did you mean \"blocks.0.hook_resid_mid\"?")) << unknown;
  EXPECT_TRUE(says(at(direction, "logit"), "did you mean \"logits\"?"));
  const auto wide = at(direction, "blocks.0.hook_resid_mid");
  EXPECT_TRUE(says(wide, "\"blocks.0.hook_resid_mid\": ")) << wide;
  EXPECT_TRUE(says(wide, "[..., 4], found [25, 16]")) << wide;
  EXPECT_TRUE(says(at(waves(7, {1}), "blocks.0.hook_resid_mid"), "[49, ...], found [25, 16]"));
  EXPECT_TRUE(says(at(waves(7, {1}), "logits"), "[49, ...], found [25, 5]"));
  network.cache = {};
  EXPECT_TRUE(says(at(waves(5, {1}), "neurons"), "observed were 0"));
  const SubspaceCut everywhere{waves(5, {1}), Part::remove, Bias::none, "blocks.0.attn.hook_attn_scores",
                               Positions::all};
  EXPECT_TRUE(says(refusal([&] { logits_after(network, everywhere); }), "infinite"));
}

}  // namespace
}  // namespace orrery::testing::subspace_sites_test
