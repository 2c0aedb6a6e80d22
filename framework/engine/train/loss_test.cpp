// The losses against their formulas: plain loops in double precision, and central differences for gradients.
#include "engine/train/loss.h"

#include <gtest/gtest.h>
#include <orrery/model.h>

#include <cmath>

#include "engine/train/trainer.h"

namespace orrery::engine {
namespace {

struct LossCase {
  const char* name;
  TaskSpec spec;
  bool masked = false;
  int weights = 0;  // dimensions; 0: none
};

void PrintTo(const LossCase& of, std::ostream* out) { *out << of.name; }

// The loss of one label by its formula, with the logits z of its d_vocab_out classes.
double one_loss(const TaskSpec& spec, const std::vector<double>& z, int64_t label) {
  const double y = 2 * static_cast<double>(label) - 1;
  if (spec.loss == Loss::hinge) return std::max(0.0, 1 - y * z[0]);
  if (spec.loss == Loss::logistic) return std::log1p(std::exp(-y * z[0]));
  double sum = 0;
  if (spec.loss == Loss::mse_one_hot) {
    for (size_t c = 0; c < z.size(); ++c)
      sum += std::pow(z[c] - (static_cast<int64_t>(c) == label ? 1 : 0), 2);
    return sum / static_cast<double>(z.size());
  }
  for (const double logit : z) sum += std::exp(logit);
  double loss = 0;
  for (size_t c = 0; c < z.size(); ++c) {
    const double target = (static_cast<int64_t>(c) == label ? 1 - spec.label_smoothing : 0) +
                          spec.label_smoothing / static_cast<double>(z.size());
    loss -= target * (z[c] - std::log(sum));
  }
  return loss;
}

double weight_at(const Batch& batch, int64_t i, int64_t j) {
  if (!batch.weights.defined()) return 1;
  return (batch.weights.dim() == 1 ? batch.weights[i] : batch.weights[i][j]).item<double>();
}

// The weighted mean, in the loops that the header describes.
double reference(const TaskSpec& spec, const torch::Tensor& logits, const Batch& batch) {
  double sum = 0, weight = 0;
  for (int64_t i = 0; i < logits.size(0); ++i)
    for (int64_t j = 0; j < logits.size(1); ++j) {
      if (batch.scored.defined() && !batch.scored[i][j].item<bool>()) continue;
      std::vector<double> z;
      for (int64_t c = 0; c < logits.size(2); ++c) z.push_back(logits[i][j][c].item<double>());
      sum += weight_at(batch, i, j) * one_loss(spec, z, batch.labels[i][j].item<int64_t>());
      weight += weight_at(batch, i, j);
    }
  return sum / weight;
}

Batch drawn(const LossCase& of, int64_t n, int64_t n_read) {
  torch::Generator rng = make_generator(3);
  Batch batch;
  const int64_t labels = has_one_logit(of.spec.loss) ? 2 : of.spec.d_vocab_out;
  batch.labels = torch::randint(labels, {n, n_read}, rng, torch::kInt64);
  if (of.masked) {
    batch.scored = torch::rand({n, n_read}, rng) < 0.6;
    batch.scored[0][0] = true;
  }
  if (of.weights == 1) batch.weights = torch::rand({n}, rng) + 0.1;
  if (of.weights == 2) batch.weights = torch::rand({n, n_read}, rng) + 0.1;
  batch.groups = torch::randint(2, {n, n_read}, rng, torch::kInt64);
  return batch;
}

class LossFormula : public ::testing::TestWithParam<LossCase> {};

TEST_P(LossFormula, ValueAndGradientAreTheFormulas) {
  const LossCase& of = GetParam();
  const Batch batch = drawn(of, 6, 2);
  const torch::Tensor logits =
      2 * torch::randn({6, 2, of.spec.d_vocab_out}, make_generator(5), torch::kFloat64);
  const torch::Tensor leaf = logits.clone().set_requires_grad(true);
  const torch::Tensor loss = mean_loss(of.spec, leaf, batch, torch::kFloat64);
  EXPECT_NEAR(loss.item<double>(), reference(of.spec, logits, batch), 1e-13);
  loss.backward();
  const torch::Tensor flat = logits.flatten(), gradient = leaf.grad().flatten();
  constexpr double h = 1e-5;
  for (int64_t k = 0; k < flat.numel(); ++k) {
    torch::Tensor up = logits.clone(), down = logits.clone();
    up.view({-1})[k] += h;
    down.view({-1})[k] -= h;
    const double slope = (reference(of.spec, up, batch) - reference(of.spec, down, batch)) / (2 * h);
    EXPECT_NEAR(gradient[k].item<double>(), slope, 1e-8) << k;
  }
}

// Reported losses are the training loss: of the whole, and of the groups together.
TEST_P(LossFormula, ScoresAreTheSameLoss) {
  const LossCase& of = GetParam();
  const Batch batch = drawn(of, 30, 2);
  const torch::Tensor logits = torch::randn({30, 2, of.spec.d_vocab_out}, make_generator(7));
  TaskSpec grouped = of.spec;
  grouped.groups = {"a", "b"};
  Score whole(grouped), pieces(grouped);
  whole.add(logits, batch);
  for (const int64_t start : {0, 10}) {
    const int64_t n = start == 0 ? 10 : 20;
    pieces.add(logits.narrow(0, start, n), batch.rows(torch::arange(start, start + n)));
  }
  const Metrics once = whole.metrics("test"), parts = pieces.metrics("test");
  EXPECT_NEAR(once[0].second, reference(of.spec, logits, batch), 1e-12);
  ASSERT_EQ(once.size(), 4u);
  for (size_t i = 0; i < once.size(); ++i)
    EXPECT_NEAR(once[i].second, parts[i].second, 1e-12) << once[i].first;
  double right = 0, count = 0;
  for (int64_t i = 0; i < 30; ++i)
    for (int64_t j = 0; j < 2; ++j) {
      if (batch.scored.defined() && !batch.scored[i][j].item<bool>()) continue;
      const int64_t answer = has_one_logit(of.spec.loss) ? (logits[i][j][0].item<double>() > 0 ? 1 : 0)
                                                         : logits[i][j].argmax().item<int64_t>();
      right += answer == batch.labels[i][j].item<int64_t>();
      ++count;
    }
  EXPECT_NEAR(once[1].second, right / count, 1e-12);  // not weighted
}

TaskSpec of_loss(Loss loss, double smoothing = 0) {
  return {.d_vocab_out = has_one_logit(loss) ? 1 : 5, .loss = loss, .label_smoothing = smoothing};
}

INSTANTIATE_TEST_SUITE_P(Losses, LossFormula,
                         ::testing::Values(LossCase{"plain", of_loss(Loss::cross_entropy)},
                                           LossCase{"smoothed", of_loss(Loss::cross_entropy, 0.2)},
                                           LossCase{"weighted", of_loss(Loss::cross_entropy), false, 1},
                                           LossCase{"weighted_labels", of_loss(Loss::cross_entropy), true, 2},
                                           LossCase{"smoothed_weighted", of_loss(Loss::cross_entropy, 0.1),
                                                    true, 1},
                                           LossCase{"logistic", of_loss(Loss::logistic)},
                                           LossCase{"logistic_weighted", of_loss(Loss::logistic), true, 2},
                                           LossCase{"hinge_weighted", of_loss(Loss::hinge), false, 1},
                                           LossCase{"mse", of_loss(Loss::mse_one_hot), true},
                                           LossCase{"mse_weighted", of_loss(Loss::mse_one_hot), false, 2}),
                         [](const auto& info) { return info.param.name; });

// log1p(e^-z) for a margin of 40 is 4e-18: not 0, and not the linear part of an approximation.
TEST(LogisticLoss, KeepsItsTails) {
  Batch batch;
  batch.labels = torch::tensor({1, 0}, torch::kInt64).view({2, 1});
  const torch::Tensor logits = torch::tensor({40.0, 40.0}, torch::kFloat64).view({2, 1, 1});
  const auto of_row = [&](int64_t row) {
    return mean_loss(of_loss(Loss::logistic), logits.narrow(0, row, 1),
                     batch.rows(torch::tensor({row}, torch::kInt64)), torch::kFloat64)
        .item<double>();
  };
  EXPECT_NEAR(of_row(0), std::exp(-40.0), 1e-30);
  EXPECT_NEAR(of_row(1), 40 + std::exp(-40.0), 1e-13);
}

// Logits are a trained row for each of two tokens.
class Rows final : public Model {
 public:
  explicit Rows(int64_t classes)
      : rows_(add_weight("rows", torch::linspace(-1, 1, 2 * classes).view({2, classes}))) {}
  torch::Tensor forward(const torch::Tensor& tokens) override {
    return rows_.index_select(0, tokens.flatten()).view({tokens.size(0), 1, -1});
  }

 private:
  torch::Tensor rows_;
};

// One step of gradient descent moves the weights by the gradient of the loss that evaluate() reports.
TEST(TrainerLosses, TrainOnWhatTheyReport) {
  for (const TaskSpec& base :
       {of_loss(Loss::cross_entropy, 0.3), of_loss(Loss::logistic), of_loss(Loss::mse_one_hot)}) {
    SCOPED_TRACE(to_string(base.loss));
    TaskSpec spec = base;
    spec.d_vocab = 2;
    spec.n_ctx = 1;
    spec.read_out = {0};
    Rows model(spec.d_vocab_out);
    Batch batch{torch::tensor({0, 1, 1}, torch::kInt64).view({3, 1}),
                torch::tensor({0, 1, 0}, torch::kInt64).view({3, 1})};
    batch.weights = torch::tensor({1.0f, 2.0f, 0.5f});
    TrainSettings settings;
    settings.optimizer = TrainSettings::Optimizer::sgd;
    settings.lr = 0.5;
    settings.weight_decay = 0;
    settings.warmup_steps = 0;
    const Split split{batch, batch, {}, {}, {}};
    Trainer trainer(model, spec, split, settings, 0);
    const torch::Tensor before = model.weight("rows").detach().clone();
    const auto loss_at = [&](const torch::Tensor& rows) {
      return reference(spec, rows.index_select(0, batch.tokens.flatten()).unsqueeze(1), batch);
    };
    EXPECT_NEAR(trainer.evaluate()[0].second, loss_at(before), 1e-7);
    EXPECT_NEAR(trainer.step(), loss_at(before), 1e-7);
    const torch::Tensor moved = (before - model.weight("rows").detach()).flatten() / 0.5;
    for (int64_t k = 0; k < moved.numel(); ++k) {
      torch::Tensor up = before.to(torch::kFloat64), down = up.clone();
      up.view({-1})[k] += 1e-5;
      down.view({-1})[k] -= 1e-5;
      EXPECT_NEAR(moved[k].item<double>(), (loss_at(up) - loss_at(down)) / 2e-5, 1e-6) << k;
    }
  }
}

// The first of n examples is drawn from the generator, the others tell the step.
Batch of_step(int64_t n, int64_t step, torch::Generator rng) {
  torch::Tensor tokens = torch::full({n, 1}, step % 2, torch::kInt64);
  tokens[0] = torch::randint(2, {1}, rng, torch::kInt64);
  return {tokens, (tokens + step / 3).remainder(2)};
}

TEST(TrainerCurriculum, GoesOnAtItsStepBitForBit) {
  const TaskSpec spec{.d_vocab = 2, .d_vocab_out = 2, .n_ctx = 1, .read_out = {0}, .endless = true};
  const Batch some = of_step(4, 0, make_generator(0));
  const Split split{some, some, {}, {}, {}};
  TrainSettings settings;
  settings.batch_size = 4;
  std::vector<int64_t> asked;
  const Sampler sampler = [&](int64_t n, int64_t step, torch::Generator rng) {
    asked.push_back(step);
    return of_step(n, step, rng);
  };
  Rows whole(2), first(2), second(2);
  Trainer uninterrupted(whole, spec, split, settings, 9, sampler);
  for (int i = 0; i < 12; ++i) uninterrupted.step();
  asked.clear();
  Trainer before(first, spec, split, settings, 9, sampler);
  for (int i = 0; i < 7; ++i) before.step();
  const torch::NoGradGuard no_grad;
  second.weight("rows").copy_(first.weight("rows"));
  Trainer after(second, spec, split, settings, 1, sampler);
  after.restore(before.state());
  {
    const torch::AutoGradMode gradients(true);
    for (int i = 0; i < 5; ++i) after.step();
  }
  EXPECT_EQ(asked, (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
  EXPECT_TRUE(second.weight("rows").equal(whole.weight("rows")));
}

TEST(TaskMetricsInScores, SeeTheWholeSetAndFollowTheHostsColumns) {
  TaskSpec spec{.d_vocab = 2, .d_vocab_out = 2, .n_ctx = 1, .read_out = {0}};
  spec.metrics = {"median", "size"};
  spec.auxiliary = {"odd"};
  Rows model(2);
  Batch many = of_step(9000, 0, make_generator(0));  // more than one piece of 8,192
  many.auxiliary["odd"] = torch::arange(9000, torch::kInt64).remainder(2);
  int calls = 0;
  const TaskMetrics metrics = [&](const torch::Tensor& logits, const Batch& examples) {
    ++calls;
    EXPECT_EQ(logits.sizes(), (std::vector<int64_t>{9000, 1, 2}));
    EXPECT_EQ(logits.scalar_type(), torch::kFloat32);
    EXPECT_FALSE(logits.requires_grad());
    EXPECT_EQ(examples.auxiliary.at("odd").sum().item<int64_t>(), 4500);
    return std::vector<double>{logits.median().item<double>(), static_cast<double>(examples.size())};
  };
  const Metrics got = ScoredSet(model, spec, many, metrics).score("test");
  ASSERT_EQ(got.size(), 4u);
  EXPECT_EQ(got[2].first, "test/median");
  EXPECT_EQ(got[3], (std::pair<std::string, double>{"test/size", 9000}));
  EXPECT_EQ(calls, 1);
  // Of no examples there is nothing to compute.
  const Metrics none =
      ScoredSet(model, spec, {torch::empty({0, 1}, torch::kInt64), torch::empty({0, 1}, torch::kInt64)},
                metrics)
          .score("test");
  EXPECT_EQ(calls, 1);
  ASSERT_EQ(none.size(), 4u);
  EXPECT_TRUE(std::isnan(none[3].second));
}

}  // namespace
}  // namespace orrery::engine
