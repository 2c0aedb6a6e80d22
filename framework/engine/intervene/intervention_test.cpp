// Interventions against what they are by hand, on small transformers and mlps.
#include "engine/intervene/intervention.h"

#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/mlp.h>
#include <orrery/transformer.h>

#include <cmath>

namespace orrery::engine {
namespace {

const TaskSpec spec{6, 5, 3, {1, 2}, {"middle", "end"}};

std::unique_ptr<Model> two_layers() {
  return make_transformer({.n_layers = 2, .d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12}, spec,
                          make_generator(3));
}

Batch examples(int64_t n, uint64_t seed = 1) {
  torch::Generator rng = make_generator(seed);
  Batch batch{torch::randint(6, {n, 3}, rng, torch::kInt64), torch::randint(5, {n, 2}, rng, torch::kInt64)};
  batch.groups = torch::arange(2, torch::kInt64).expand({n, 2});
  return batch;
}

torch::Tensor plain(Model& model, const torch::Tensor& tokens) {
  return model.forward(tokens).narrow(1, 1, 2).detach();
}

double difference(const torch::Tensor& a, const torch::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Intervention, WithNothingExchangedIsThePlainForwardPass) {
  const auto model = two_layers();
  const Batch batch = examples(7);
  EXPECT_EQ(difference(intervene(*model, spec, batch.tokens, {}, zeros()), plain(*model, batch.tokens)), 0);
}

TEST(Intervention, AHeadSetToZeroIsAHeadWithoutOutputWeights) {
  const auto model = two_layers(), without = two_layers();
  const Batch batch = examples(7);
  without->weight("blocks.1.attn.W_O").detach().select(0, 1).zero_();
  const auto ablated = intervene(*model, spec, batch.tokens, {head_component(*model, 1, 1)}, zeros());
  EXPECT_LT(difference(ablated, plain(*without, batch.tokens)), 1e-6);
  EXPECT_GT(difference(ablated, plain(*model, batch.tokens)), 1e-3);
}

TEST(Intervention, NeuronsSetToZeroAreNeuronsWithoutOutputWeights) {
  const auto model = two_layers(), without = two_layers();
  const Batch batch = examples(7);
  for (const int64_t neuron : {2, 9})
    without->weight("blocks.0.mlp.W_out").detach().select(0, neuron).zero_();
  const auto ablated =
      intervene(*model, spec, batch.tokens, {neuron_component(*model, 0, {2, 9}, "neurons")}, zeros());
  EXPECT_LT(difference(ablated, plain(*without, batch.tokens)), 1e-6);
}

TEST(Intervention, TheMeanIsThatOfTheInputsAtEachPosition) {
  const auto model = two_layers();
  const Batch batch = examples(9);
  const auto head = head_component(*model, 0, 1);
  const auto z = run_with_cache(*model, batch.tokens, {"blocks.0.attn.hook_z"}).cache["blocks.0.attn.hook_z"];
  const torch::Tensor mean = z.select(2, 1).mean(0);  // [pos, d_head]
  const auto by_hand =
      run_with_hooks(*model, batch.tokens, {{"blocks.0.attn.hook_z", [&](const auto& activation) {
                                               torch::Tensor changed = activation.clone();
                                               changed.select(2, 1) = mean;
                                               return changed;
                                             }}});
  const auto ablated = intervene(*model, spec, batch.tokens, {head}, means(*model, batch, {head}));
  EXPECT_LT(difference(ablated, by_hand.narrow(1, 1, 2)), 1e-6);
}

TEST(Intervention, ResamplingGivesEveryInputTheActivationOfAnother) {
  const auto model = two_layers();
  // The whole network is patched: the logits are those of the donors, a permutation without a fixed point.
  const Batch batch = examples(50);
  const std::vector<Component> all = {whole_component(*model, "blocks.1.hook_resid_post")};
  const auto logits =
      intervene(*model, spec, batch.tokens, all, resampled(*model, batch, all, make_generator(1)));
  const auto own = plain(*model, batch.tokens);
  std::vector<bool> taken(50);
  for (int64_t row = 0; row < 50; ++row)
    for (int64_t donor = 0; donor < 50; ++donor)
      if (difference(logits[row], own[donor]) < 1e-6 && !taken[static_cast<size_t>(donor)]) {
        taken[static_cast<size_t>(donor)] = true;
        EXPECT_TRUE(row != donor || torch::equal(batch.tokens[row], batch.tokens[donor]));
        break;
      }
  EXPECT_EQ(std::count(taken.begin(), taken.end(), true), 50);
}

TEST(Intervention, PatchingEverythingGivesTheSource) {
  const auto model = two_layers(),
             other = make_transformer({.n_layers = 2, .d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12},
                                      spec, make_generator(4));
  const Batch batch = examples(5), source = examples(5, 2);
  const std::vector<Component> all = {whole_component(*model, "blocks.1.hook_resid_post")};
  EXPECT_LT(difference(intervene(*model, spec, batch.tokens, all, patched(*model, source.tokens, all)),
                       plain(*model, source.tokens)),
            1e-6);
  // Between networks: what leaves the last block of the other, read by the unembedding of this one.
  const auto read = run_with_cache(*other, batch.tokens)
                        .cache["blocks.1.hook_resid_post"]
                        .matmul(model->weight("unembed.W_U"));
  EXPECT_LT(
      difference(intervene(*model, spec, batch.tokens, all, patched(*other, {}, all)), read.narrow(1, 1, 2)),
      1e-5);
}

TEST(Intervention, OfOnePositionLeavesTheOthers) {
  const auto model = two_layers();
  const torch::Tensor input = torch::tensor({{1, 2, 3}}, torch::kInt64);
  const torch::Tensor source = torch::tensor({{1, 2, 5}}, torch::kInt64);
  const std::vector<Component> last = {whole_component(*model, "blocks.0.hook_resid_pre", 2)};
  const auto patched_in = intervene(*model, spec, input, last, patched(*model, source, last));
  EXPECT_LT(difference(patched_in, plain(*model, source)), 1e-6);  // they differ there only
  const std::vector<Component> first = {whole_component(*model, "blocks.0.hook_resid_pre", 0)};
  EXPECT_LT(
      difference(intervene(*model, spec, input, first, patched(*model, source, first)), plain(*model, input)),
      1e-6);
}

TEST(Intervention, ADirectionIsProjectedOut) {
  const auto model = two_layers();
  const Batch batch = examples(6);
  torch::Generator rng = make_generator(8);
  const torch::Tensor two = torch::randn({2, 8}, rng);  // neither orthogonal nor of norm 1
  const auto component = direction_component(*model, "blocks.1.hook_resid_post", two, "d");
  const torch::Tensor activation = torch::randn({4, 3, 8}, rng);
  const torch::Tensor without = component.patch(activation, torch::zeros_like(activation));
  EXPECT_LT(without.matmul(two.t()).abs().max().item<double>(), 1e-5);
  // The change lies in the span of both directions, so anything orthogonal to them stays.
  const torch::Tensor q = std::get<0>(torch::linalg_qr(two.t()));
  const torch::Tensor change = (activation - without).reshape({-1, 8});
  EXPECT_LT(difference(change.mm(q).mm(q.t()), change), 1e-5);
  EXPECT_EQ(message_of([&] {
              const auto narrow = direction_component(*model, "blocks.1.mlp.hook_post", two, "d");
              intervene(*model, spec, batch.tokens, {narrow}, zeros());
            }),
            "d: the direction has 8 entries, the activation at \"blocks.1.mlp.hook_post\" has 12");
}

TEST(Intervention, HooksAreGoneWhateverThrows) {
  const auto model = two_layers();
  const Batch batch = examples(3);
  const torch::Tensor before = plain(*model, batch.tokens);
  Component broken = head_component(*model, 0, 0);
  broken.patch = [](const auto&, const auto&) -> torch::Tensor { throw Error("broken"); };
  EXPECT_THROW(intervene(*model, spec, batch.tokens, {head_component(*model, 1, 0), broken}, zeros()), Error);
  EXPECT_EQ(difference(plain(*model, batch.tokens), before), 0);
}

TEST(Intervention, PiecesDoNotMatter) {
  const auto model = two_layers();
  const Batch batch = examples(5000);  // more than one piece
  const auto head = head_component(*model, 0, 0);
  const auto whole = intervene(*model, spec, batch.tokens, {head}, means(*model, batch, {head}));
  const auto mean = run_with_cache(*model, batch.tokens, {"blocks.0.attn.hook_z"})
                        .cache["blocks.0.attn.hook_z"]
                        .mean(0, true);
  const Source given = [&](int64_t, const torch::Tensor&) {
    ActivationCache cache;
    cache.put("blocks.0.attn.hook_z", mean);
    return cache;
  };
  EXPECT_LT(difference(whole, intervene(*model, spec, batch.tokens, {head}, given)), 1e-6);
}

TEST(Intervention, ScoresAreTheirFormulas) {
  const Batch batch = examples(4);
  torch::Generator rng = make_generator(5);
  const torch::Tensor logits = torch::randn({4, 2, 5}, rng);
  double loss = 0, right = 0, end = 0;
  for (int64_t row = 0; row < 4; ++row)
    for (int64_t read = 0; read < 2; ++read) {
      double sum = 0, mean = 0;
      for (int64_t c = 0; c < 5; ++c) {
        sum += std::exp(logits[row][read][c].item<double>());
        mean += logits[row][read][c].item<double>() / 5;
      }
      const double correct = logits[row][read][batch.labels[row][read].item<int64_t>()].item<double>();
      loss += (std::log(sum) - correct) / 8;
      right += (correct - mean) / 8;
      if (read == 1) end += (correct - mean) / 4;
    }
  const Metrics all = scores(spec, logits, batch);
  std::map<std::string, double> by_name(all.begin(), all.end());
  EXPECT_NEAR(by_name.at("loss"), loss, 1e-6);
  EXPECT_NEAR(by_name.at("logit"), right, 1e-6);
  EXPECT_NEAR(by_name.at("logit/end"), end, 1e-6);
  EXPECT_EQ(by_name.count("loss/middle"), 1u);
  EXPECT_NEAR((by_name.at("loss/middle") + by_name.at("loss/end")) / 2, loss, 1e-6);
}

TEST(Intervention, PartsThatAreNotThereAreRefused) {
  const auto model = two_layers();
  EXPECT_EQ(message_of([&] { head_component(*model, 2, 0); }), "there is no layer 2 with attention heads");
  EXPECT_EQ(message_of([&] { head_component(*model, 1, 2); }), "there is no head 1.2");
  EXPECT_EQ(message_of([&] { neuron_component(*model, 0, {3, 12}, ""); }), "there is no neuron 0.12");
  EXPECT_EQ(
      message_of([&] { whole_component(*model, "blocks.0.hook_resid_par"); }),
      "the model has no hook point \"blocks.0.hook_resid_par\" (did you mean \"blocks.0.hook_resid_pre\"?)");
  const auto mlp = make_mlp({.d_embed = 4, .d_mlp = 5}, {6, 5, 3, {2}, {}}, make_generator(0));
  EXPECT_EQ(message_of([&] { head_component(*mlp, 0, 0); }), "the model has no attention heads");
  EXPECT_EQ(message_of([&] { whole_component(*mlp, "mlp.hook_post", 1); }),
            "the activation at \"mlp.hook_post\" belongs to the whole input, not to a position");
  EXPECT_EQ(main_components(*mlp).size(), 1u);
  EXPECT_EQ(main_components(*model).size(), 6u);
  EXPECT_NO_THROW(neuron_component(*mlp, 0, {4}, ""));
}

}  // namespace
}  // namespace orrery::engine
