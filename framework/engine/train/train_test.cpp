// The parts of training, each against a plain account of it.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/transformer.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <cmath>
#include <set>

#include "engine/train/hardware.h"
#include "engine/train/loop.h"
#include "engine/train/trainer.h"

namespace orrery::engine {
namespace {

const TaskSpec spec{6, 5, 3, {2}, {}};
const TransformerConfig tiny{.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12};

std::unique_ptr<Model> model() { return make_transformer(tiny, spec, make_generator(0)); }

Batch batch(int64_t n, uint64_t seed) {
  torch::Generator rng = make_generator(seed);
  return {
      torch::randint(6, {n, 3}, rng, torch::kInt64), torch::randint(5, {n, 1}, rng, torch::kInt64), {}, {}};
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

// Ours against one of LibTorch's, over the same gradients.
template <class Reference>
void expect_same_updates(TrainSettings settings,
                         const std::function<Reference(std::vector<torch::Tensor>)>& make) {
  const auto ours = model(), theirs = model();
  settings.lr = 3e-3;
  settings.warmup_steps = 0;
  UpdateChain chain(*ours, settings, {}, 0);
  std::vector<torch::Tensor> parameters;
  for (NamedWeight& weight : theirs->weights()) parameters.push_back(weight.value);
  Reference reference = make(parameters);
  for (int step = 0; step < 20; ++step) {
    const Batch examples = batch(10, step);
    const auto backward = [&](Model& m) {
      mean_loss(spec, m.forward(examples.tokens).narrow(1, 2, 1), examples, torch::kFloat64).backward();
    };
    chain.weights().zero_gradients();
    reference.zero_grad();
    backward(*ours);
    backward(*theirs);
    chain.step(step, 0, nullptr);
    reference.step();
  }
  for (size_t i = 0; i < parameters.size(); ++i)
    EXPECT_TRUE(torch::allclose(ours->weights()[i].value, parameters[i], 1e-5, 1e-7))
        << ours->weights()[i].name;
}

TEST(OptimizerTest, AdamWIsThatOfLibTorch) {
  TrainSettings settings;
  settings.weight_decay = 0.7;
  expect_same_updates<torch::optim::AdamW>(settings, [](std::vector<torch::Tensor> parameters) {
    return torch::optim::AdamW(
        parameters, torch::optim::AdamWOptions(3e-3).betas(std::make_tuple(0.9, 0.98)).weight_decay(0.7));
  });
}

TEST(OptimizerTest, AdamIsThatOfLibTorch) {
  TrainSettings settings;
  settings.optimizer = TrainSettings::Optimizer::adam;
  settings.weight_decay = 0.1;
  expect_same_updates<torch::optim::Adam>(settings, [](std::vector<torch::Tensor> parameters) {
    return torch::optim::Adam(
        parameters, torch::optim::AdamOptions(3e-3).betas(std::make_tuple(0.9, 0.98)).weight_decay(0.1));
  });
}

TEST(OptimizerTest, SgdIsThatOfLibTorch) {
  TrainSettings settings;
  settings.optimizer = TrainSettings::Optimizer::sgd;
  settings.weight_decay = 0.1;
  settings.momentum = 0.9;
  expect_same_updates<torch::optim::SGD>(settings, [](std::vector<torch::Tensor> parameters) {
    return torch::optim::SGD(parameters, torch::optim::SGDOptions(3e-3).momentum(0.9).weight_decay(0.1));
  });
}

TEST(OptimizerTest, L1PullsByTheSign) {
  const auto m = model();
  TrainSettings settings;
  settings.optimizer = TrainSettings::Optimizer::sgd;
  settings.weight_decay = 0;
  settings.l1 = 0.5;
  settings.lr = 0.1;
  settings.warmup_steps = 0;
  const torch::Tensor before = m->weight("embed.W_E").detach().clone();
  UpdateChain(*m, settings, {}, 0).step(0, 0, nullptr);
  EXPECT_TRUE(torch::allclose(m->weight("embed.W_E"), before - 0.05 * before.sign(), 0, 1e-7));
}

TEST(MeanLoss, HingeIsItsFormula) {
  Batch examples;
  examples.labels = torch::tensor({0, 1, 1, 0}, torch::kInt64).view({4, 1});
  const torch::Tensor logits = torch::tensor({-2.0f, 0.25f, -1.0f, 0.5f}).view({4, 1, 1});
  EXPECT_NEAR(mean_loss({.loss = Loss::hinge}, logits, examples, torch::kFloat64).item<double>(),
              (0 + 0.75 + 2 + 1.5) / 4, 1e-12);
  Score score({.loss = Loss::hinge});
  score.add(logits, examples);
  EXPECT_EQ(score.metrics("test")[1].second, 0.5);
}

TEST(TrainerTest, EndlessDataNeedsABatchSizeAndDrawsItsOwnBatches) {
  const auto m = model();
  TaskSpec endless = spec;
  endless.endless = true;
  const Split split{batch(20, 1), batch(20, 2), {}, {}, {}};
  TrainSettings settings;
  std::vector<std::pair<int64_t, int64_t>> asked;
  const Sampler sampler = [&](int64_t n, int64_t step, torch::Generator rng) {
    asked.emplace_back(n, step);
    return Batch{torch::randint(6, {n, 3}, rng, torch::kInt64),
                 torch::randint(5, {n, 1}, rng, torch::kInt64)};
  };
  EXPECT_EQ(message_of([&] { Trainer(*m, endless, split, settings, 0, sampler); }).substr(0, 24),
            "train.batch_size is 0, t");
  settings.batch_size = 7;
  Trainer trainer(*m, endless, split, settings, 0, sampler);
  const double first = trainer.step(), second = trainer.step();
  EXPECT_NE(first, second);
  EXPECT_EQ(asked, (std::vector<std::pair<int64_t, int64_t>>{{7, 0}, {7, 1}}));
}

// The test set is drawn from a generator of seeds.data, which is 0 as seeds.batches is.
TEST(TrainerTest, EndlessDataAreNotThoseOfTheSplit) {
  const auto m = model();
  TaskSpec endless = spec;
  endless.endless = true;
  TrainSettings settings;
  settings.batch_size = 7;
  torch::Tensor first;
  const Sampler sampler = [&](int64_t n, int64_t, torch::Generator rng) {
    first = torch::randint(6, {n, 3}, rng, torch::kInt64);
    return Batch{first, torch::randint(5, {n, 1}, rng, torch::kInt64)};
  };
  Trainer(*m, endless, {batch(20, 1), batch(20, 2), {}, {}, {}}, settings, 0, sampler).step();
  EXPECT_FALSE(torch::equal(first, torch::randint(6, {7, 3}, make_generator(0), torch::kInt64)));
}

// A model with one weight w, whose logits are w and 0, and which is drawn to w = 3.
class Pulled final : public Model {
 public:
  Pulled() : w_(add_weight("w", torch::zeros({1}))) {}
  torch::Tensor forward(const torch::Tensor& tokens) override {
    return torch::cat({w_, torch::zeros_like(w_)}).expand({tokens.size(0), tokens.size(1), 2});
  }
  torch::Tensor penalty() override { return 0.5 * (w_ - 3).square().sum(); }

 private:
  torch::Tensor w_;
};

TEST(TrainerTest, AModelsOwnPenaltyIsMinimisedToo) {
  Pulled pulled;
  const TaskSpec two{1, 2, 1, {0}, {}};
  const Batch all{torch::zeros({4, 1}, torch::kInt64), torch::zeros({4, 1}, torch::kInt64)};
  TrainSettings settings;
  settings.optimizer = TrainSettings::Optimizer::sgd;
  settings.lr = 0.1;
  settings.weight_decay = 0;
  settings.warmup_steps = 0;
  Trainer trainer(pulled, two, Split{all, all, {}, {}, {}}, settings, 0);
  EXPECT_NEAR(trainer.step(), std::log(2), 1e-12);  // the loss alone
  // d/dw of log(1 + exp(-w)) + (w - 3)^2 / 2 at w = 0 is -1/2 - 3.
  EXPECT_NEAR(pulled.weight("w").item<double>(), 0.35, 1e-6);
}

TEST(DropoutTest, ZerosItsShareAndKeepsTheMean) {
  const auto m = model();
  TrainSettings settings;
  EXPECT_FALSE(Dropout::from(settings, *m, 1));
  settings.dropout = 0.25;
  auto dropout = Dropout::from(settings, *m, 1);
  const auto hooks = dropout->hooks();
  ASSERT_EQ(hooks.size(), 2u);
  EXPECT_EQ(hooks[0].first, "blocks.0.hook_attn_out");
  EXPECT_EQ(hooks[1].first, "blocks.0.hook_mlp_out");
  constexpr int64_t n = 100000;
  const torch::Tensor thinned = hooks[0].second(torch::ones({n}));
  const double zeros = (thinned == 0).sum().item<double>() / n;
  EXPECT_NEAR(zeros, 0.25, 6 * std::sqrt(0.25 * 0.75 / n));  // six standard deviations
  EXPECT_TRUE(((thinned == 0) | (thinned == 1 / 0.75f)).all().item<bool>());
  EXPECT_FALSE(torch::equal(thinned, hooks[0].second(torch::ones({n}))));
  auto again = Dropout::from(settings, *m, 1);
  EXPECT_TRUE(torch::equal(thinned, again->hooks()[0].second(torch::ones({n}))));
}

TEST(DropoutTest, IsOffWhereScoresAreTaken) {
  const auto plain = model(), thinned = model();
  const Split split{batch(20, 1), batch(20, 2), {}, {}, {}};
  TrainSettings settings;
  Trainer without(*plain, spec, split, settings, 0);
  settings.dropout = 0.5;
  Trainer with(*thinned, spec, split, settings, 0);
  EXPECT_EQ(without.evaluate(), with.evaluate());
  EXPECT_NE(without.step(), with.step());
}

TEST(DropoutTest, NeedsAHookPoint) {
  const auto m = model();
  TrainSettings settings;
  settings.dropout = 0.1;
  settings.dropout_at = {"*hook_mpl_out"};
  EXPECT_EQ(
      message_of([&] { Dropout::from(settings, *m, 0); }),
      "train.dropout is 0.1, but train.dropout_at = [\"*hook_mpl_out\"] matches no hook point of the model");
}

TEST(OptimizerTest, RestoredStateGoesOnBitForBit) {
  const auto a = model(), b = model();
  UpdateChain first(*a, {}, {}, 0), second(*b, {}, {}, 0);
  const auto update = [](Model& m, UpdateChain& chain, int64_t seed) {
    const Batch examples = batch(10, seed);
    chain.weights().zero_gradients();
    mean_loss(spec, m.forward(examples.tokens).narrow(1, 2, 1), examples, torch::kFloat64).backward();
    chain.step(seed + 10, 0, nullptr);
  };
  for (int step = 0; step < 5; ++step) update(*a, first, step);
  load_weights(*b, weights_of(*a));
  second.restore(first.state());
  update(*a, first, 9);
  update(*b, second, 9);
  for (size_t i = 0; i < a->weights().size(); ++i)
    EXPECT_TRUE(a->weights()[i].value.equal(b->weights()[i].value));
}

TEST(CrossEntropy, IsTheMeanOverLabelsThatCount) {
  const torch::Tensor logits = torch::randn({4, 2, 3}, make_generator(1));
  Batch examples;
  examples.labels = torch::tensor({0, 1, 2, 0, 1, 2, 2, 1}, torch::kInt64).view({4, 2});
  examples.scored = torch::tensor({1, 0, 1, 1, 0, 0, 1, 1}, torch::kInt64).view({4, 2}).to(torch::kBool);
  double sum = 0, count = 0;
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t j = 0; j < 2; ++j) {
      if (!examples.scored[i][j].item<bool>()) continue;
      double total = 0;
      for (int64_t c = 0; c < 3; ++c) total += std::exp(logits[i][j][c].item<double>());
      sum += std::log(total) - logits[i][j][examples.labels[i][j].item<int64_t>()].item<double>();
      ++count;
    }
  EXPECT_NEAR(mean_loss(spec, logits, examples, torch::kFloat64).item<double>(), sum / count, 1e-12);
  EXPECT_NEAR(mean_loss(spec, logits, examples, torch::kFloat32).item<double>(), sum / count, 1e-6);
}

TEST(CrossEntropy, InFloat64GoesBelowTheFloorOfFloat32) {
  Batch examples;
  examples.labels = torch::zeros({1, 1}, torch::kInt64);
  const torch::Tensor logits = torch::tensor({20.0f, 0.0f}).view({1, 1, 2});
  EXPECT_NEAR(mean_loss(spec, logits, examples, torch::kFloat64).item<double>(), std::exp(-20.0), 1e-13);
  EXPECT_EQ(mean_loss(spec, logits, examples, torch::kFloat32).item<double>(), 0);
}

TEST(ScoreTest, GroupsAddUpAndPiecesDoNotMatter) {
  Batch examples;
  examples.labels = torch::randint(5, {30, 2}, make_generator(1), torch::kInt64);
  examples.groups = torch::randint(2, {30, 2}, make_generator(2), torch::kInt64);
  const torch::Tensor logits = torch::randn({30, 2, 5}, make_generator(3));
  const TaskSpec grouped{.groups = {"a", "b"}};
  Score whole(grouped), pieces(grouped);
  whole.add(logits, examples);
  for (int64_t start : {0, 10}) {
    const int64_t n = start == 0 ? 10 : 20;
    pieces.add(logits.narrow(0, start, n), examples.rows(torch::arange(start, start + n)));
  }
  const Metrics m = whole.metrics("test"), p = pieces.metrics("test");
  ASSERT_EQ(m.size(), 4u);
  EXPECT_EQ(m[2].first, "test/loss/a");
  for (size_t i = 0; i < m.size(); ++i) EXPECT_NEAR(m[i].second, p[i].second, 1e-12) << m[i].first;
  const double share = (examples.groups == 0).to(torch::kFloat64).mean().item<double>();
  EXPECT_NEAR(m[0].second, share * m[2].second + (1 - share) * m[3].second, 1e-12);
  EXPECT_NEAR(m[0].second, mean_loss(spec, logits, examples, torch::kFloat64).item<double>(), 1e-12);
  const double accuracy = (logits.argmax(-1) == examples.labels).to(torch::kFloat64).mean().item<double>();
  EXPECT_NEAR(m[1].second, accuracy, 1e-12);
}

TEST(ScoreTest, AnEmptySetIsNaN) { EXPECT_TRUE(std::isnan(Score(spec).metrics("test")[0].second)); }

TEST(BatchOrderTest, EveryEpochSeesEveryExampleOnce) {
  BatchOrder order(10, 4, 3);
  std::vector<int64_t> drawn;
  for (int i = 0; i < 10; ++i) {
    const torch::Tensor rows = order.next().contiguous();
    ASSERT_EQ(rows.numel(), 4);
    drawn.insert(drawn.end(), rows.data_ptr<int64_t>(), rows.data_ptr<int64_t>() + 4);
  }
  for (int epoch = 0; epoch < 4; ++epoch)
    EXPECT_EQ(std::set<int64_t>(drawn.begin() + 10 * epoch, drawn.begin() + 10 * (epoch + 1)).size(), 10u)
        << epoch;
}

TEST(BatchOrderTest, RestoredStateGoesOn) {
  BatchOrder a(10, 3, 1), b(10, 3, 2);
  for (int i = 0; i < 5; ++i) a.next();
  b.restore(a.state());
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(a.next().equal(b.next()));
}

TEST(TrainerTest, WarmsUpLinearlyFromZero) {
  const auto m = model();
  const Split split{batch(20, 1), batch(20, 2), {}, {}, {}};
  TrainSettings settings;
  settings.warmup_steps = 4;
  Trainer trainer(*m, spec, split, settings, 0);
  const torch::Tensor before = m->weight("embed.W_E").detach().clone();
  trainer.step();
  EXPECT_TRUE(m->weight("embed.W_E").equal(before));  // the first learning rate is 0
  trainer.step();
  EXPECT_FALSE(m->weight("embed.W_E").equal(before));
}

TEST(TrainerTest, RefusesWhatDoesNotFit) {
  const auto m = model();
  const Split split{batch(20, 1), batch(20, 2), {}, {}, {}};
  TrainSettings settings;
  settings.batch_size = 21;
  EXPECT_EQ(message_of([&] { Trainer(*m, spec, split, settings, 0); }),
            "train.batch_size is 21, but there are only 20 training examples");
  EXPECT_EQ(message_of([&] { choose_device("cuda"); }).substr(0, 23),
            at::hasCUDA() ? "nothing was thrown" : "train.device is \"cuda\",");
}

TEST(LoadWeights, NamesEveryMismatchAndChangesNothing) {
  const auto m = model();
  NamedTensors tensors;
  for (const auto& [name, tensor] : weights_of(*m)) tensors.emplace_back(name, tensor.clone() + 1);
  tensors[0].second = torch::zeros({7, 8});
  tensors[2].first = "blocks.0.attn.WQ";
  const torch::Tensor before = m->weight("blocks.0.mlp.W_in").detach().clone();
  EXPECT_EQ(message_of([&] { load_weights(*m, tensors); }),
            "the checkpoint does not fit the model:\n"
            "  embed.W_E: shape [7, 8], expected [6, 8]\n"
            "  blocks.0.attn.W_Q: missing, expected [2, 8, 4]\n"
            "  blocks.0.attn.WQ: the model has no such weight (did you mean \"blocks.0.attn.W_Q\"?)");
  EXPECT_TRUE(m->weight("blocks.0.mlp.W_in").equal(before));
}

}  // namespace
}  // namespace orrery::engine
