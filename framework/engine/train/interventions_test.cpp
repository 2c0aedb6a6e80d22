// Interventions against the same thing done to the network by hand.
#include "engine/train/interventions.h"

#include <gtest/gtest.h>
#include <orrery/transformer.h>

#include "engine/train/trainer.h"
#include "tests/support/loader_fixtures.h"

namespace orrery::engine {
namespace {

using test::refusal;
using Action = Intervention::Action;

const TaskSpec shape{.d_vocab = 6, .d_vocab_out = 5, .n_ctx = 4, .read_out = {3}};

std::unique_ptr<Model> two_heads() {
  return make_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12}, shape, make_generator(0));
}

torch::Tensor some_tokens() { return torch::randint(6, {7, 4}, make_generator(1), torch::kInt64); }

torch::Tensor activation(Model& model, const Intervention& entry, const std::string& name) {
  torch::Tensor seen;
  std::vector<Hook> hooks = Interventions({entry}, model).hooks(0);
  hooks.emplace_back(name, [&](const torch::Tensor& x) {
    seen = x;
    return x;
  });
  run_with_hooks(model, some_tokens(), hooks);
  return seen;
}

Intervention entry_at(const std::string& at, Action action) {
  Intervention entry;
  entry.at = {at};
  entry.action = action;
  return entry;
}

TEST(Interventions, AblateOneHead) {
  const auto model = two_heads();
  Intervention entry = entry_at("blocks.0.attn.hook_z", Action::zero);
  entry.heads = {1};
  const torch::Tensor z = activation(*model, entry, "blocks.0.attn.hook_z");
  EXPECT_EQ(z.select(2, 1).abs().max().item<float>(), 0);
  EXPECT_GT(z.select(2, 0).abs().max().item<float>(), 0);
}

TEST(Interventions, PutAMeanAConstantOrNothingNewInPlace) {
  const auto model = two_heads();
  const std::string at = "blocks.0.mlp.hook_post";
  const auto [logits, cache] = run_with_cache(*model, some_tokens());
  const torch::Tensor plain = cache[at];
  EXPECT_TRUE(
      torch::equal(activation(*model, entry_at(at, Action::mean), at), plain.mean(0, true).expand_as(plain)));
  Intervention clamp = entry_at(at, Action::clamp);
  clamp.value = 0.5;
  EXPECT_TRUE((activation(*model, clamp, at) == 0.5).all().item<bool>());
  const torch::Tensor frozen = activation(*model, entry_at(at, Action::freeze), at);
  EXPECT_TRUE(torch::equal(frozen, plain));
  EXPECT_FALSE(frozen.requires_grad());
}

TEST(Interventions, LeaveAQueryBlindToWhatFollowsIt) {
  const auto model = two_heads();
  for (const Action action : {Action::zero, Action::clamp}) {
    Intervention entry = entry_at("blocks.0.attn.hook_attn_scores", action);
    entry.value = 2;
    const torch::Tensor pattern = activation(*model, entry, "blocks.0.attn.hook_pattern");
    const torch::Tensor alike = torch::ones({4, 4}).tril() / torch::arange(1, 5).unsqueeze(1);
    EXPECT_TRUE(torch::allclose(pattern, alike.expand_as(pattern)));
  }
}

TEST(Interventions, TurnAttention) {
  const auto model = two_heads();
  const std::string at = "blocks.0.attn.hook_pattern";
  const auto attends = [&](Intervention::Attend attend) {
    Intervention entry = entry_at(at, Action::pattern);
    entry.attend = attend;
    entry.heads = {0};
    return activation(*model, entry, at)[0][0];
  };
  using enum Intervention::Attend;
  const auto rows = [](std::vector<float> values) { return torch::tensor(values).view({4, 4}); };
  EXPECT_TRUE(torch::equal(attends(previous), rows({1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0})));
  EXPECT_TRUE(torch::equal(attends(first), rows({1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0})));
  EXPECT_TRUE(torch::equal(attends(self), torch::eye(4)));
  EXPECT_TRUE(torch::allclose(attends(uniform).sum(1), torch::ones(4)));
  EXPECT_EQ(attends(uniform)[1][2].item<float>(), 0);
}

TEST(Interventions, RefuseWhatTheModelDoesNotHave) {
  const auto model = two_heads();
  const auto made = [&](Intervention entry) {
    entry.place = "c.toml:9:1";
    return refusal([&] { Interventions({entry}, *model); });
  };
  EXPECT_CONTAINS(made(entry_at("blocks.0.hook_zz", Action::zero)), "c.toml:9:1: train.intervene: ");
  Intervention headless = entry_at("blocks.0.mlp.hook_post", Action::zero);
  headless.heads = {0};
  EXPECT_CONTAINS(made(headless), "blocks.0.mlp.hook_post has no heads");
  Intervention third = entry_at("blocks.0.attn.hook_z", Action::zero);
  third.heads = {2};
  EXPECT_CONTAINS(made(third), "there is no head 2 at blocks.0.attn.hook_z\nit has the heads 0 to 1");
  EXPECT_CONTAINS(made(entry_at("blocks.0.attn.hook_z", Action::pattern)), "is for hook_pattern");
}

Split random_split() {
  const auto batch = [](int64_t n, uint64_t seed) {
    const torch::Generator rng = make_generator(seed);
    return Batch{.tokens = torch::randint(6, {n, 4}, rng, torch::kInt64),
                 .labels = torch::randint(5, {n, 1}, rng, torch::kInt64)};
  };
  return {batch(20, 1), batch(10, 2), {}, {}, {}};
}

TEST(Interventions, ActInTheirStepsOnly) {
  TrainSettings settings;
  settings.interventions = {entry_at("blocks.0.hook_mlp_out", Action::zero)};
  settings.interventions[0].from_step = 2;
  settings.interventions[0].to_step = 4;
  const Split split = random_split();
  const auto model = two_heads();
  Trainer trainer(*model, shape, split, settings, 0);
  std::vector<bool> moved;
  for (int i = 0; i < 6; ++i) {
    trainer.step();
    moved.push_back(model->weight("blocks.0.mlp.W_in").grad().any().item<bool>());
  }
  EXPECT_EQ(moved, (std::vector<bool>{true, true, false, false, true, true}));
}

TEST(Interventions, AreScoredBesideTheNetworkItself) {
  TrainSettings settings;
  settings.interventions = {entry_at("blocks.0.hook_resid_post", Action::zero)};
  const Split split = random_split();
  const auto model = two_heads();
  const Trainer trainer(*model, shape, split, settings, 0);
  const auto metrics = trainer.evaluate();
  const std::map<std::string, double> by_name(metrics.begin(), metrics.end());
  EXPECT_NEAR(by_name.at("intervened/test/loss"), std::log(5), 1e-6);  // logits of 0
  EXPECT_GT(std::abs(by_name.at("test/loss") - std::log(5)), 1e-3);
}

TEST(OutputScale, MultipliesTheLogitsOfTheLoss) {
  TrainSettings plain, scaled;
  plain.loss_dtype = scaled.loss_dtype = TrainSettings::LossDtype::float64;
  scaled.output_scale = 3;
  const Split split = random_split();
  const auto a = two_heads(), b = two_heads();
  {
    const torch::NoGradGuard no_grad;
    a->weight("unembed.W_U").mul_(3);
  }
  Trainer first(*a, shape, split, plain, 0), second(*b, shape, split, scaled, 0);
  EXPECT_NEAR(first.evaluate()[0].second, second.evaluate()[0].second, 1e-6);
  EXPECT_NEAR(first.step(), second.step(), 1e-6);
}

}  // namespace
}  // namespace orrery::engine
