// The chain of updates: its order, who moves which weight, what is saved, and what a plugin may not do.
#include "engine/train/update_chain.h"

#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/transformer.h>

#include <numbers>

#include "engine/train/learning_rate.h"
#include "engine/train/trainer.h"
#include "tests/support/loader_fixtures.h"

namespace orrery::engine {
namespace {

using test::refusal;
using Stage = Update::Stage;
using Step = std::function<void(const UpdateStep&)>;

const TaskSpec shapes{6, 5, 3, {2}, {}};

std::unique_ptr<Model> small_model() {
  return make_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12}, shapes, make_generator(0));
}

Batch examples(int64_t n, uint64_t seed) {
  const torch::Generator rng = make_generator(seed);
  return {
      torch::randint(6, {n, 3}, rng, torch::kInt64), torch::randint(5, {n, 1}, rng, torch::kInt64), {}, {}};
}

// An update that does what a function says.
class Does final : public Update {
 public:
  Does(Stage stage, Step step, bool perturbs = false, std::string refused = "")
      : stage_(stage), step_(std::move(step)), perturbs_(perturbs), refused_(std::move(refused)) {}
  Stage stage() const override { return stage_; }
  bool perturbs_weights() const override { return perturbs_; }
  std::string refusal(const std::string& name, const torch::Tensor&) const override {
    return !refused_.empty() && name.find(refused_) != std::string::npos ? "it does not like it" : "";
  }
  void step(const UpdateStep& step) override { step_(step); }

 private:
  Stage stage_;
  Step step_;
  bool perturbs_;
  std::string refused_;
};

ChainedUpdate does(const std::string& label, Stage stage, Step step, std::vector<std::string> weights = {"*"},
                   bool perturbs = false, std::string refused = "") {
  return {{label, {label, {}}, std::move(weights), ""},
          "update " + label + " 1.0.0",
          std::make_unique<Does>(stage, std::move(step), perturbs, std::move(refused))};
}

template <class... Updates>
std::vector<ChainedUpdate> list(Updates... updates) {
  std::vector<ChainedUpdate> all;
  (all.push_back(std::move(updates)), ...);
  return all;
}

TrainSettings plain_descent(double lr = 0.1) {
  TrainSettings settings;
  settings.optimizer = TrainSettings::Optimizer::sgd;
  settings.weight_decay = 0;
  settings.warmup_steps = 0;
  settings.lr = lr;
  return settings;
}

void fill_gradients(UpdateChain& chain, double value) {
  const torch::NoGradGuard no_grad;
  chain.weights().gradients().fill_(value);
}

void nothing(const UpdateStep&) {}

void double_gradients(const UpdateStep& step) {
  for (const UpdatedWeight& weight : step.weights) weight.gradient().mul_(2);
}

torch::Tensor weight_of(const Model& model, const std::string& name) {
  return model.weight(name).detach().clone();
}

TEST(UpdateChain, FiltersGradientsThenMovesThenChangesWeights) {
  const auto model = small_model();
  const torch::Tensor before = weight_of(*model, "embed.W_E");
  UpdateChain chain(
      *model, plain_descent(),
      list(does("twice", Stage::gradients, double_gradients), does("half", Stage::weights,
                                                                   [](const UpdateStep& step) {
                                                                     for (const auto& weight : step.weights)
                                                                       weight.value().mul_(0.5);
                                                                   })),
      0);
  fill_gradients(chain, 1);
  chain.step(0, 0, nullptr);
  EXPECT_TRUE(torch::allclose(weight_of(*model, "embed.W_E"), (before - 0.2) / 2, 0, 1e-7));
}

TEST(UpdateChain, EachWeightHasOneOptimizer) {
  const auto model = small_model();
  std::vector<std::string> first, second;
  const auto names_into = [](std::vector<std::string>& names) {
    return [&names](const UpdateStep& step) {
      for (const UpdatedWeight& weight : step.weights) names.push_back(weight.name());
    };
  };
  const torch::Tensor W_U = weight_of(*model, "unembed.W_U"), W_E = weight_of(*model, "embed.W_E");
  UpdateChain chain(*model, plain_descent(),
                    list(does("first", Stage::optimizer, names_into(first), {"embed.*"}),
                         does("second", Stage::optimizer, names_into(second), {"*embed.*"})),
                    0);
  fill_gradients(chain, 1);
  chain.step(0, 0, nullptr);
  EXPECT_EQ(first, (std::vector<std::string>{"embed.W_E"}));
  EXPECT_EQ(second, (std::vector<std::string>{"pos_embed.W_pos", "unembed.W_U"}));
  EXPECT_TRUE(torch::equal(weight_of(*model, "unembed.W_U"), W_U));  // "second" moves nothing
  EXPECT_TRUE(torch::equal(weight_of(*model, "embed.W_E"), W_E));
  EXPECT_TRUE(torch::allclose(weight_of(*model, "blocks.0.mlp.b_in"), torch::full({12}, -0.1), 0, 1e-7));
}

TEST(UpdateChain, L1ReachesTheWeightsOfAPluginsOptimizer) {
  const auto model = small_model();
  TrainSettings settings = plain_descent();
  settings.l1 = 0.5;
  const torch::Tensor W_E = weight_of(*model, "embed.W_E"), W_U = weight_of(*model, "unembed.W_U");
  UpdateChain chain(*model, settings,
                    list(does("descent", Stage::optimizer,
                              [](const UpdateStep& step) {
                                for (const auto& weight : step.weights)
                                  weight.value().sub_(weight.gradient(), weight.lr);
                              },
                              {"embed.*"})),
                    0);
  fill_gradients(chain, 1);
  chain.step(0, 0, nullptr);
  EXPECT_TRUE(torch::allclose(weight_of(*model, "embed.W_E"), W_E - 0.1 * (1 + 0.5 * W_E.sign()), 0, 1e-6));
  EXPECT_TRUE(torch::allclose(weight_of(*model, "unembed.W_U"), W_U - 0.1 * (1 + 0.5 * W_U.sign()), 0, 1e-6));
}

TEST(UpdateChain, GroupsHaveTheirOwnRatesAndFrozenWeightsStay) {
  const auto model = small_model();
  TrainSettings settings = plain_descent();
  settings.groups = {
      {{"embed.*"}, 0.5, {}, false, ""}, {{"blocks.*"}, {}, {}, true, ""}, {{"*"}, {}, 0.25, false, ""}};
  const torch::Tensor W_E = weight_of(*model, "embed.W_E"), W_in = weight_of(*model, "blocks.0.mlp.W_in"),
                      W_U = weight_of(*model, "unembed.W_U");
  std::vector<std::string> seen;
  UpdateChain chain(*model, settings,
                    list(does("seen", Stage::gradients,
                              [&](const UpdateStep& step) {
                                for (const auto& weight : step.weights) seen.push_back(weight.name());
                              })),
                    0);
  fill_gradients(chain, 1);
  chain.step(0, 0, nullptr);
  EXPECT_TRUE(torch::allclose(weight_of(*model, "embed.W_E"), W_E - 0.5, 0, 1e-7));
  EXPECT_TRUE(torch::equal(weight_of(*model, "blocks.0.mlp.W_in"), W_in));
  EXPECT_TRUE(torch::allclose(weight_of(*model, "unembed.W_U"), W_U - 0.1 * (1 + 0.25 * W_U), 0, 1e-6));
  EXPECT_EQ(seen, (std::vector<std::string>{"embed.W_E", "pos_embed.W_pos", "unembed.W_U"}));
}

TEST(UpdateChain, RefusesAWrongOrderWithTheReason) {
  const auto model = small_model();
  const std::string text = refusal([&] {
    UpdateChain(*model, {},
                list(does("norm", Stage::weights, nothing), does("filter", Stage::gradients, nothing)), 0);
  });
  EXPECT_CONTAINS(text,
                  "\"filter\" changes gradients, so it cannot come after \"norm\", which changes weights");
  // It would take all gradients anew.
  EXPECT_CONTAINS(
      refusal([&] {
        UpdateChain(*model, {},
                    list(does("filter", Stage::gradients, nothing),
                         does("sharp", Stage::gradients, nothing, {"*"}, /*perturbs=*/true)),
                    0);
      }),
      "\"sharp\" takes all gradients anew, so that nothing is left of what \"filter\" did to them");
  // The framework's own optimiser may be named, and is in its place then.
  ChainedUpdate own{{"adamw", {"adamw", {}}, {"*"}, ""}, "", nullptr};
  const std::string after = refusal(
      [&] { UpdateChain(*model, {}, list(std::move(own), does("filter", Stage::gradients, nothing)), 0); });
  EXPECT_CONTAINS(after, "cannot come after \"adamw\", which moves weights along their gradients");
}

TEST(UpdateChain, RefusesTheFrameworksOptimizerWhereOthersHaveAllWeights) {
  const auto model = small_model();
  const auto chain = [&](bool own_first) {
    ChainedUpdate own{{"adamw", {"adamw", {}}, {"*"}, ""}, "", nullptr};
    ChainedUpdate other = does("a", Stage::optimizer, nothing);
    return refusal([&] {
      UpdateChain(*model, {},
                  own_first ? list(std::move(own), std::move(other)) : list(std::move(other), std::move(own)),
                  0);
    });
  };
  for (const bool own_first : {true, false})
    EXPECT_CONTAINS(chain(own_first), "\"adamw\" has no weight left: other optimisers have them all");
}

TEST(UpdateChain, RefusesWhatItCannotGiveAWeight) {
  const auto model = small_model();
  const auto made = [&](ChainedUpdate update, TrainSettings settings = {}) {
    return refusal([&] { UpdateChain(*model, settings, list(std::move(update)), 0); });
  };
  EXPECT_CONTAINS(made(does("a", Stage::gradients, nothing, {"embed.W_e"})),
                  "no weight is called \"embed.W_e\"");
  EXPECT_CONTAINS(made(does("a", Stage::gradients, nothing, {"*.W_E"}, false, "embed")),
                  "\"a\" cannot act on embed.W_E: it does not like it");
  TrainSettings frozen;
  frozen.groups = {{{"*"}, {}, {}, true, ""}};
  EXPECT_CONTAINS(made(does("a", Stage::gradients, nothing), frozen), "has no weight to act on");
  frozen.groups = {{{"*"}, {}, {}, false, ""}, {{"embed.*"}, {}, {}, true, ""}};
  EXPECT_CONTAINS(made(does("a", Stage::gradients, nothing), frozen),
                  "no weight belongs to the group \"embed.*\"");
  frozen.groups = {{{}, {}, {}, true, ""}};
  EXPECT_CONTAINS(made(does("a", Stage::gradients, nothing), frozen), "names no weight");
  frozen.groups = {{{"*"}, {}, {}, true, ""}};
  EXPECT_CONTAINS(refusal([&] { UpdateChain(*model, frozen, {}, 0); }), "all weights are frozen");
  const std::string twice = refusal([&] {
    UpdateChain(*model, {}, list(does("a", Stage::optimizer, nothing), does("b", Stage::optimizer, nothing)),
                0);
  });
  EXPECT_CONTAINS(twice, "\"b\" has no weight left: optimisers before it have them all");
}

TEST(UpdateChain, AnOptimizerOfAllWeightsLeavesThoseItRefusesAndSaysSo) {
  const auto model = small_model();
  UpdateChain chain(*model, plain_descent(), list(does("a", Stage::optimizer, nothing, {"*"}, false, ".b_")),
                    0);
  ASSERT_EQ(chain.notes().size(), 1u);
  EXPECT_EQ(chain.notes()[0], "a leaves blocks.0.mlp.b_in, blocks.0.mlp.b_out to sgd, which it cannot train");
  fill_gradients(chain, 1);
  chain.step(0, 0, nullptr);
  EXPECT_TRUE(torch::allclose(weight_of(*model, "blocks.0.mlp.b_in"), torch::full({12}, -0.1), 0, 1e-7));
}

// What a plugin's step must not do, and what is said of it.
std::string blamed(Stage stage, Step step) {
  const auto model = small_model();
  UpdateChain chain(*model, plain_descent(), list(does("a", stage, std::move(step), {"embed.W_E"})), 0);
  fill_gradients(chain, 1);
  return refusal([&] { chain.step(7, 0, nullptr); });
}

TEST(UpdateChain, NamesAnUpdateThatBreaksItsContract) {
  const auto first = [](auto&& action) {
    return [action](const UpdateStep& step) { action(step.weights.front()); };
  };
  EXPECT_CONTAINS(
      blamed(Stage::optimizer, first([](const auto& w) { w.value().resize_({2}); })),
      "update a 1.0.0, step 7: the weight of embed.W_E is now another tensor, [2]; it was [6, 8]");
  EXPECT_CONTAINS(blamed(Stage::gradients, first([](const auto& w) {
                           w.gradient().set_(torch::ones({6, 8}));
                         })),
                  "the gradient of embed.W_E is now another tensor");
  EXPECT_CONTAINS(
      blamed(Stage::gradients, first([](const auto& w) { w.gradient().div_(0).sub_(w.gradient()); })),
      "update a 1.0.0, step 7: the gradient of embed.W_E is not finite after it");
  EXPECT_CONTAINS(blamed(Stage::weights, first([](const auto& w) { w.value()[1][2] = NAN; })),
                  "the weight embed.W_E is not finite after it");
  EXPECT_CONTAINS(blamed(Stage::gradients, first([](const auto& w) { w.value().zero_(); })),
                  "it wrote into the weight embed.W_E, and is one of gradients");
  EXPECT_CONTAINS(blamed(Stage::gradients, [](const UpdateStep& step) { step.loss_and_gradients(); }),
                  "does not say that it perturbs weights");
  EXPECT_CONTAINS(blamed(Stage::gradients,
                         [](const UpdateStep& step) {
                           step.weights[0].state("m", {2});
                           step.weights[0].state("m", {3});
                         }),
                  "its state \"m/embed.W_E\" is a tensor [2]");
}

TEST(UpdateChain, BlamesNoPluginForWhatWasNotFiniteBefore) {
  const auto model = small_model();
  UpdateChain filtered(*model, plain_descent(), list(does("twice", Stage::gradients, double_gradients)), 0);
  fill_gradients(filtered, NAN);
  const std::string gradient = refusal([&] { filtered.step(3, 0, nullptr); });
  EXPECT_CONTAINS(gradient, "step 3: the loss is finite, and its gradient is not, in embed.W_E");
  EXPECT_EQ(gradient.find("twice"), std::string::npos);
  UpdateChain after(*model, plain_descent(INFINITY), list(does("norm", Stage::weights, nothing)), 0);
  fill_gradients(after, 1);
  const std::string weight = refusal([&] { after.step(3, 0, nullptr); });
  EXPECT_CONTAINS(weight, "step 3: the weight embed.W_E is not finite after sgd");
  EXPECT_EQ(weight.find("norm"), std::string::npos);
}

TEST(UpdateChain, EachUpdateDrawsItsOwnNumbers) {
  const auto model = small_model();
  std::vector<torch::Tensor> drawn;
  const auto draw = [&](const UpdateStep& step) { drawn.push_back(torch::rand({4}, step.rng)); };
  UpdateChain chain(*model, plain_descent(),
                    list(does("a", Stage::gradients, draw), does("b", Stage::gradients, draw)), 0);
  fill_gradients(chain, 1);
  chain.step(0, 0, nullptr);
  EXPECT_FALSE(torch::equal(drawn.at(0), drawn.at(1)));
}

TEST(UpdateChain, PutsPerturbedWeightsBack) {
  const auto model = small_model();
  const torch::Tensor before = weight_of(*model, "embed.W_E");
  torch::Tensor seen;
  UpdateChain chain(*model, plain_descent(1),
                    list(does(
                        "a", Stage::gradients,
                        [](const UpdateStep& step) {
                          for (const auto& weight : step.weights) weight.value().add_(0.1);
                          EXPECT_EQ(step.loss_and_gradients(), 5);
                        },
                        {"*"}, true)),
                    0);
  fill_gradients(chain, 1);
  chain.step(0, 0, [&] {
    seen = weight_of(*model, "embed.W_E");
    fill_gradients(chain, 3);
    return 5.0;
  });
  EXPECT_TRUE(torch::allclose(seen, before + 0.1, 0, 1e-7));
  EXPECT_TRUE(torch::allclose(weight_of(*model, "embed.W_E"), before - 3, 0, 1e-6));
}

// An average of gradients, and noise.
void smoothed_noise(const UpdateStep& step) {
  step.state("count").add_(1);
  for (const UpdatedWeight& weight : step.weights) {
    const torch::Tensor average = weight.state("average");
    average.mul_(0.9).add_(weight.gradient(), 0.1);
    weight.gradient().copy_(average + 0.01 * torch::randn(average.sizes(), step.rng) *
                                          step.state("count").item<double>());
  }
}

TEST(UpdateChain, GoesOnBitForBitFromItsState) {
  const auto a = small_model(), b = small_model();
  const auto chain_of = [](Model& model) {
    return std::make_unique<UpdateChain>(model, TrainSettings(),
                                         list(does("noise", Stage::gradients, smoothed_noise)), 3);
  };
  const auto first = chain_of(*a), second = chain_of(*b);
  for (int64_t step = 0; step < 6; ++step) {
    fill_gradients(*first, 1.0 + static_cast<double>(step));
    first->step(step, 0, nullptr);
    if (step != 3) continue;
    load_weights(*b, weights_of(*a));
    second->restore(first->state());
  }
  for (int64_t step = 4; step < 6; ++step) {
    fill_gradients(*second, 1.0 + static_cast<double>(step));
    second->step(step, 0, nullptr);
  }
  for (size_t i = 0; i < a->weights().size(); ++i)
    EXPECT_TRUE(torch::equal(a->weights()[i].value, b->weights()[i].value)) << a->weights()[i].name;
}

TEST(LearningRate, FollowsItsSchedule) {
  TrainSettings settings;
  settings.steps = 110;
  settings.warmup_steps = 10;
  const auto at = [&](TrainSettings::Schedule schedule, int64_t step) {
    settings.lr_schedule = schedule;
    return lr_factor(settings, step);
  };
  using enum TrainSettings::Schedule;
  for (const auto schedule : {constant, linear, cosine}) EXPECT_EQ(at(schedule, 5), 0.5);
  EXPECT_EQ(at(constant, 100), 1);
  settings.lr_end = 0.2;
  EXPECT_NEAR(at(linear, 60), 0.6, 1e-12);
  EXPECT_NEAR(at(linear, 110), 0.2, 1e-12);
  EXPECT_NEAR(at(linear, 500), 0.2, 1e-12);
  EXPECT_NEAR(at(cosine, 35), 0.2 + 0.8 * (1 + std::cos(std::numbers::pi / 4)) / 2, 1e-12);
  settings.lr_steps = {50, 80};
  settings.lr_factor = 0.1;
  EXPECT_EQ(at(steps, 49), 1);
  EXPECT_NEAR(at(steps, 50), 0.1, 1e-15);
  EXPECT_NEAR(at(steps, 80), 0.01, 1e-15);
}

// The cross-entropy, as a plugin would give it.
class PluginCrossEntropy final : public LossFunction {
 public:
  torch::Tensor each(const torch::Tensor& logits, const Batch& batch) const override {
    return -torch::log_softmax(logits, -1).gather(-1, batch.labels.unsqueeze(-1)).squeeze(-1) * 2;
  }
};

TEST(Trainer, TrainsOnALossOfAPluginAndReportsTheTasksBesideIt) {
  const Split split{examples(20, 1), examples(10, 2), {}, {}, {}};
  TrainSettings settings = plain_descent(0.2), half = plain_descent(0.1);
  const auto a = small_model(), b = small_model();
  Trainer own(*a, shapes, split, settings, 0);
  Trainer other(*b, shapes, split, half, 0, nullptr, nullptr, {std::make_unique<PluginCrossEntropy>(), {}});
  for (int i = 0; i < 5; ++i) EXPECT_NEAR(2 * own.step(), other.step(), 1e-6);
  EXPECT_TRUE(torch::allclose(a->weights()[0].value, b->weights()[0].value, 1e-5, 1e-6));
  const auto metrics = other.evaluate();
  const std::map<std::string, double> by_name(metrics.begin(), metrics.end());
  EXPECT_NEAR(by_name.at("test/loss"), 2 * by_name.at("test/task_loss"), 1e-9);
}

TEST(Trainer, InFloat64IsADoublePrecisionDescent) {
  const Split split{examples(20, 1), examples(10, 2), {}, {}, {}};
  TrainSettings wide = plain_descent(0.1);
  wide.dtype = TrainSettings::LossDtype::float64;
  const auto model = small_model(), reference = small_model();
  for (NamedWeight& weight : reference->weights())
    weight.value.set_data(weight.value.detach().to(torch::kFloat64));
  Trainer trainer(*model, shapes, split, wide, 0);
  for (int i = 0; i < 5; ++i) {
    for (NamedWeight& weight : reference->weights()) weight.value.mutable_grad() = torch::Tensor();
    const torch::Tensor loss = mean_loss(shapes, reference->forward(split.train.tokens).narrow(1, 2, 1),
                                         split.train, torch::kFloat64);
    EXPECT_NEAR(trainer.step(), loss.item<double>(), 1e-13);
    loss.backward();
    const torch::NoGradGuard no_grad;
    for (NamedWeight& weight : reference->weights()) weight.value.sub_(weight.value.grad(), 0.1);
  }
  for (size_t i = 0; i < model->weights().size(); ++i) {
    EXPECT_EQ(model->weights()[i].value.scalar_type(), torch::kFloat32);  // what probes and checkpoints see
    EXPECT_TRUE(torch::equal(model->weights()[i].value, reference->weights()[i].value.to(torch::kFloat32)));
  }
  // Resumed from its state, it goes on from the float64 weights.
  const auto again = small_model();
  Trainer resumed(*again, shapes, split, wide, 0);
  load_weights(*again, weights_of(*model));
  resumed.restore(trainer.state());
  EXPECT_EQ(trainer.step(), resumed.step());
}

}  // namespace
}  // namespace orrery::engine
