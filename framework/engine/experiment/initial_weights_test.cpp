#include "engine/experiment/initial_weights.h"

#include <gtest/gtest.h>
#include <orrery/mlp.h>
#include <orrery/transformer.h>

#include <cmath>

#include "engine/experiment/label_noise.h"
#include "sdk/files/named_tensors.h"
#include "tests/support/loader_fixtures.h"

namespace orrery::engine {
namespace {

using test::refusal;
using Distribution = InitialDraw::Distribution;

// Large enough for the spread of its weights to be seen: standard errors are below 1.5 %.
std::unique_ptr<Model> wide_model(uint64_t seed = 0) {
  const TaskSpec spec{.d_vocab = 90, .d_vocab_out = 80, .n_ctx = 60, .read_out = {59}};
  return make_transformer(
      {.d_model = 64, .n_heads = 2, .d_head = 48, .d_mlp = 100, .biases = TransformerConfig::Biases::all},
      spec, make_generator(seed));
}

double spread(const Model& model, const std::string& name) {
  return model.weight(name).detach().to(torch::kFloat64).square().mean().sqrt().item<double>();
}
double largest(const Model& model, const std::string& name) {
  return model.weight(name).detach().abs().max().item<double>();
}

std::unique_ptr<Model> drawn_by(Distribution distribution, double scale = 1) {
  auto model = wide_model();
  redraw(*model, {{{"*"}, distribution, 1, scale, ""}}, 0);
  return model;
}

TEST(InitialWeights, OfPyTorchAreUniformByTheirFanIn) {
  const auto model = drawn_by(Distribution::pytorch);
  EXPECT_NEAR(spread(*model, "embed.W_E"), 1, 0.05);
  for (const auto& [name, fan_in] : std::map<std::string, double>{{"blocks.0.attn.W_Q", 64},
                                                                  {"blocks.0.attn.W_O", 96},
                                                                  {"blocks.0.mlp.W_in", 64},
                                                                  {"blocks.0.mlp.b_in", 64},
                                                                  {"blocks.0.mlp.W_out", 100},
                                                                  {"unembed.W_U", 64}}) {
    EXPECT_LE(largest(*model, name), 1 / std::sqrt(fan_in)) << name;
    EXPECT_GT(largest(*model, name), 0.95 / std::sqrt(fan_in)) << name;
  }
  EXPECT_NEAR(spread(*model, "blocks.0.mlp.W_in") * std::sqrt(3 * 64), 1, 0.03);
}

TEST(InitialWeights, OfTransformerLensAreNormalByDModel) {
  const auto model = drawn_by(Distribution::transformer_lens);
  for (const char* name :
       {"embed.W_E", "pos_embed.W_pos", "blocks.0.attn.W_O", "blocks.0.mlp.W_out", "unembed.W_U"})
    EXPECT_NEAR(spread(*model, name) / (0.8 / 8), 1, 0.05) << name;
  EXPECT_EQ(largest(*model, "blocks.0.attn.b_Q"), 0);
}

TEST(InitialWeights, OfHaikuAreCutOffAtTwoDeviations) {
  const auto model = drawn_by(Distribution::haiku);
  EXPECT_LE(largest(*model, "blocks.0.mlp.W_out"), 2 / std::sqrt(100.0));
  EXPECT_GT(largest(*model, "blocks.0.mlp.W_out"), 1.9 / std::sqrt(100.0));
  // The deviation that is left after the cut: 0.8796.
  EXPECT_NEAR(spread(*model, "blocks.0.mlp.W_out") * 10, 0.8796, 0.03);
  EXPECT_NEAR(spread(*model, "embed.W_E"), 0.8796, 0.03);
}

TEST(InitialWeights, AreScaledAndTheRestStays) {
  const auto own = wide_model(), scaled = wide_model();
  redraw(*scaled,
         {{{"embed.*", "*.b_in"}, Distribution::own, 1, 8, ""},
          {{"unembed.W_U"}, Distribution::normal, 0.25, 2, ""}},
         0);
  EXPECT_TRUE(torch::equal(scaled->weight("embed.W_E"), own->weight("embed.W_E") * 8));
  EXPECT_TRUE(torch::equal(scaled->weight("blocks.0.mlp.W_in"), own->weight("blocks.0.mlp.W_in")));
  EXPECT_NEAR(spread(*scaled, "unembed.W_U"), 0.5, 0.02);
}

TEST(InitialWeights, DependOnTheSeedAlone) {
  const auto a = wide_model(), b = wide_model(), c = wide_model();
  const std::vector<InitialDraw> all = {{{"*"}, Distribution::pytorch, 1, 1, ""}};
  redraw(*a, all, 3);
  redraw(*b, all, 3);
  redraw(*c, all, 4);
  EXPECT_TRUE(torch::equal(a->weight("unembed.W_U"), b->weight("unembed.W_U")));
  EXPECT_FALSE(torch::equal(a->weight("unembed.W_U"), c->weight("unembed.W_U")));
}

// A generator uses 32 bits of its seed, and the model draws from the same seed.
TEST(InitialWeights, AreNotTheModelsOwnNumbersAgain) {
  auto model = wide_model();
  const torch::Tensor own = model->weight("embed.W_E").detach().reshape({-1}).clone();
  redraw(*model, {{{"embed.W_E"}, Distribution::normal, 1, 1, ""}}, 0);
  const torch::Tensor drawn = model->weight("embed.W_E").detach().reshape({-1});
  EXPECT_LT(std::abs(torch::dot(own / own.norm(), drawn / drawn.norm()).item<double>()), 0.05);
}

TEST(InitialWeights, RefuseWhatTheyCannotDraw) {
  auto model = wide_model();
  EXPECT_CONTAINS(refusal([&] {
                    redraw(*model, {{{"embed.W_e"}, Distribution::own, 1, 1, "c.toml:3:1"}}, 0);
                  }),
                  "c.toml:3:1: init.draw: no weight is called \"embed.W_e\" (did you mean \"embed.W_E\"?)");
  const auto mlp =
      make_mlp({.embedding = MlpConfig::Embedding::untied, .collapse = MlpConfig::Collapse::both, .d_mlp = 4},
               {.d_vocab = 5, .d_vocab_out = 5, .n_ctx = 2, .read_out = {1}}, make_generator(0));
  EXPECT_CONTAINS(refusal([&] {
                    redraw(*mlp, {{{"*"}, Distribution::transformer_lens, 1, 1, ""}}, 0);
                  }),
                  "transformer_lens does not tell how to draw mlp.W_in_a");
}

TEST(InitialWeights, AreTransplantedFromACheckpoint) {
  const test::TempFolder folder;
  const auto donor = wide_model(1), own = wide_model(), model = wide_model();
  const std::string file = (folder.path() / "donor.safetensors").string();
  write_tensors(file, weights_of(*donor), {});
  transplant(*model, {{file, {"embed.*", "blocks.0.mlp.*"}, ""}});
  EXPECT_TRUE(torch::equal(model->weight("embed.W_E"), donor->weight("embed.W_E")));
  EXPECT_TRUE(torch::equal(model->weight("blocks.0.mlp.W_out"), donor->weight("blocks.0.mlp.W_out")));
  EXPECT_TRUE(torch::equal(model->weight("unembed.W_U"), own->weight("unembed.W_U")));
  const std::string text = refusal([&] {
    transplant(*model, {{"no/such.safetensors", {"*"}, "c.toml:3:1"}});
  });
  EXPECT_CONTAINS(text, "c.toml:3:1: init.transplant: no/such.safetensors");
}

TEST(LabelNoise, ReplacesItsShareByOtherClasses) {
  const TaskSpec spec{.d_vocab = 5, .d_vocab_out = 7, .n_ctx = 2, .read_out = {1}};
  Batch train{.tokens = torch::zeros({1000, 2}, torch::kInt64),
              .labels = torch::randint(7, {1000, 1}, make_generator(1), torch::kInt64)};
  const torch::Tensor right = train.labels;
  add_label_noise(train, spec, 0.3, 5);
  const torch::Tensor wrong = train.labels != right;
  EXPECT_EQ(wrong.sum().item<int64_t>(), 300);
  EXPECT_GE(train.labels.min().item<int64_t>(), 0);
  EXPECT_LT(train.labels.max().item<int64_t>(), 7);
  // Every other class alike: 50 of each distance expected.
  const torch::Tensor shift = (train.labels - right).remainder(7).view({-1}).bincount({}, 7);
  for (int64_t k = 1; k < 7; ++k) EXPECT_NEAR(shift[k].item<int64_t>(), 50, 30) << k;
  Batch again{.tokens = train.tokens, .labels = right};
  add_label_noise(again, spec, 0.3, 5);
  EXPECT_TRUE(torch::equal(again.labels, train.labels));
  TaskSpec endless = spec;
  endless.endless = true;
  EXPECT_CONTAINS(refusal([&] { add_label_noise(again, endless, 0.1, 0); }), "draws examples without end");
}

}  // namespace
}  // namespace orrery::engine
