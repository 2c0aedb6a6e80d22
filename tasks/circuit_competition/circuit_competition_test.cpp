#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/hooks.h>
#include <tests/support/plugin_under_test.h>

#include <array>
#include <cmath>

namespace orrery::testing {
namespace {

using torch::Tensor;

// The sub-weights, in the order of the model's: w_G1, w_G2, w_M1, w_M2.
using Four = std::array<double, 4>;
const std::array<std::string, 4> names = {"gen.w_1", "gen.w_2", "mem.w_1", "mem.w_2"};

struct Constants {
  double q = 113, P_gen = 1, P_mem = 2, alpha = 0.005, kappa = 1.2;
};

double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

// All inputs of a set are alike, so the losses are those of one input. Varma et al. 2023, appendix C, with q
// classes: on a training input the label has logit w_G + w_M; on a test input it has w_G, another class w_M.
double train_loss(double w_gen, double w_mem, double q) {
  return std::log(std::exp(w_gen + w_mem) + q - 1) - w_gen - w_mem;
}
double test_loss(double w_gen, double w_mem, double q) {
  return std::log(std::exp(w_gen) + std::exp(w_mem) + q - 2) - w_gen;
}
double penalty(const Four& w, const Constants& s) {
  const double e = 1 / s.kappa;
  return s.alpha * (std::pow(std::pow(std::abs(w[0] * w[1]), e) * s.P_gen, 2) +
                    std::pow(std::pow(std::abs(w[2] * w[3]), e) * s.P_mem, 2));
}

// d(train loss + penalty) / d(sub-weights). With p the probability of the label, the loss has slope p - 1 in
// w_G and in w_M alike; P^2 |w|^(2/kappa) has slope 2/kappa P^2 |w|^(2/kappa - 1) sign(w), and by definition
// 0 at w = 0.
Four gradient(const Four& w, const Constants& s) {
  const double w_gen = w[0] * w[1], w_mem = w[2] * w[3], e = 2 / s.kappa;
  const double p = 1 / (1 + (s.q - 1) * std::exp(-w_gen - w_mem));
  const auto slope = [&](double weight, double P) {
    if (weight == 0) return p - 1;
    return p - 1 + s.alpha * e * P * P * std::pow(std::abs(weight), e - 1) * sign(weight);
  };
  const double gen = slope(w_gen, s.P_gen), mem = slope(w_mem, s.P_mem);
  return {gen * w[1], gen * w[0], mem * w[3], mem * w[2]};
}

struct Competition {
  explicit Competition(const std::string& json = "{}")
      : task(make_task(json)),
        spec(task->spec()),
        split(task->split(make_generator(1))),
        model(task->make_model(make_generator(2))) {}

  void set(const Four& w) {
    torch::NoGradGuard no_grad;
    for (size_t i = 0; i < 4; ++i) model->weight(names[i]).fill_(w[i]);
  }
  Four weights() const {
    return read([](const Tensor& weight) { return weight; });
  }
  Four gradients() const {
    return read([](const Tensor& weight) { return weight.grad(); });
  }

  Tensor loss(const Batch& batch) {
    const Tensor log_p = model->forward(batch.tokens).select(1, 0).to(torch::kFloat64).log_softmax(1);
    return -log_p.gather(1, batch.labels).mean();
  }

  // One update of gradient descent, as the trainer makes it.
  void descend(double lr) {
    for (const std::string& name : names) model->weight(name).mutable_grad() = torch::zeros({});
    (loss(split.train) + model->penalty()).backward();
    torch::NoGradGuard no_grad;
    for (const std::string& name : names) {
      Tensor weight = model->weight(name);
      weight.sub_(weight.grad() * lr);
    }
  }

  Instance<Task> task;
  TaskSpec spec;
  Split split;
  std::unique_ptr<Model> model;

 private:
  template <class Part>
  Four read(Part part) const {
    Four four;
    for (size_t i = 0; i < 4; ++i) four[i] = part(model->weight(names[i])).template item<double>();
    return four;
  }
};

const std::vector<Four> points = {
    {0, 0.005, 0, 1}, {0.3, 0.4, 1.5, 2},     {2.7, 2.5, 0.5, 0.3},   {-0.5, 0.5, 0.8, -0.25},
    {0, 0, 0, 0},     {1e-4, 1e-3, 2.7, 2.9}, {-1.5, -1.25, 0, 0.75}, {0.02, 0.0625, -2.5, 1.5}};

// What a float32 computation may be off by: a dozen roundings of 2^-24 on the way to a logit and back, and as
// many again when the 64 gradients of the rows are summed pairwise.
constexpr double kFloat = 24.0 / (1 << 24);

TEST(CircuitCompetition, SpecSaysOneNumberedInput) {
  const auto spec = make_task(R"({"n_classes": 7, "n_train": 5, "n_test": 3})")->spec();
  EXPECT_EQ(spec.d_vocab, 8);
  EXPECT_EQ(spec.d_vocab_out, 7);
  EXPECT_EQ(spec.n_ctx, 1);
  EXPECT_EQ(spec.read_out, std::vector<int64_t>{0});
  EXPECT_EQ(spec.loss, Loss::cross_entropy);
  EXPECT_FALSE(spec.endless);
}

TEST(CircuitCompetition, TheSplitIsTheTasksOwn) {
  const auto task = make_task(R"({"n_classes": 7, "n_train": 5, "n_test": 3})");
  const auto split = task->split(make_generator(1)), other = task->split(make_generator(2));
  ASSERT_TRUE(split.grid);
  EXPECT_TRUE(torch::equal(split.grid->tokens, torch::arange(8, torch::kInt64).unsqueeze(1)));
  EXPECT_TRUE(torch::equal(split.train.tokens, split.grid->tokens.narrow(0, 0, 5)));
  EXPECT_TRUE(torch::equal(split.test.tokens, split.grid->tokens.narrow(0, 5, 3)));
  EXPECT_TRUE(torch::equal(split.test.labels, split.grid->labels.narrow(0, 5, 3)));
  EXPECT_TRUE(torch::equal(split.grid->labels, other.grid->labels));
  EXPECT_EQ(task->show(split.train.tokens[4]), "training input 4");
  EXPECT_EQ(task->show(split.test.tokens[2]), "test input 2");
}

// 2,000 labels of 7 classes: each class has 286 of them, give or take six standard deviations of 16.
TEST(CircuitCompetition, LabelsAndWrongAnswersAreUniform) {
  Competition c(R"({"n_classes": 7, "n_train": 2000, "n_test": 2000})");
  c.set({0, 0, 1, 1});
  const Tensor answers = c.model->forward(c.split.test.tokens).select(1, 0).argmax(1, /*keepdim=*/true);
  const Tensor off = (answers - c.split.test.labels).remainder(7);
  for (int64_t y = 0; y < 7; ++y) {
    EXPECT_NEAR((c.split.train.labels == y).sum().item<double>(), 2000 / 7.0, 94) << y;
    // Six ways to be wrong: 333 each, give or take six of 17.
    EXPECT_NEAR((off == y).sum().item<double>(), y == 0 ? 0 : 2000 / 6.0, y == 0 ? 0 : 100) << y;
  }
  const auto labels = [](const std::string& json) {
    return make_task(json)->split(make_generator(0)).grid->labels;
  };
  EXPECT_FALSE(torch::equal(labels("{}"), labels(R"({"table_seed": 1})")));
}

TEST(CircuitCompetition, CGenIsRightEverywhereAndCMemOnTheTrainingSet) {
  for (const std::string json : {R"({})", R"({"n_classes": 2, "n_train": 1, "n_test": 9})"}) {
    Competition c(json);
    const int64_t q = c.spec.d_vocab_out;
    const auto truth = [&](const Batch& batch) {
      return torch::zeros({batch.size(), q}).scatter_(1, batch.labels, 1).unsqueeze(1);
    };
    c.set({1.5, 2, 0.5, 0});
    for (const Batch& batch : {c.split.train, c.split.test})
      EXPECT_TRUE(torch::equal(c.model->forward(batch.tokens), 3 * truth(batch)));
    c.set({0.5, 0, 1.5, 2});
    EXPECT_TRUE(torch::equal(c.model->forward(c.split.train.tokens), 3 * truth(c.split.train)));
    const Tensor test = c.model->forward(c.split.test.tokens);
    EXPECT_TRUE(torch::equal(test.sum(2), torch::full_like(test.select(2, 0), 3)));  // one class has it all
    EXPECT_EQ((test * truth(c.split.test)).abs().sum().item<double>(), 0);           // and never the label
    EXPECT_EQ(std::get<0>(test.max(2)).min().item<double>(), 3);
  }
}

TEST(CircuitCompetition, EveryPassSeesTheSameLogits) {
  Competition c;
  c.set({1.5, 2, 0.7, 1.1});
  const Tensor tokens = c.split.grid->tokens;
  const auto [logits, cache] = run_with_cache(*c.model, tokens);
  EXPECT_EQ(cache.names(), (std::vector<std::string>{"hook_gen", "hook_mem"}));
  EXPECT_TRUE(torch::equal(cache["hook_gen"] + cache["hook_mem"], logits));
  EXPECT_EQ(cache["hook_gen"].sizes(), (std::vector<int64_t>{64, 1, 113}));
  EXPECT_EQ(cache["hook_gen"].sum().item<double>(), 64 * 3);
  EXPECT_TRUE(torch::equal(read_out(*c.model, {tokens, {0}})->logits(), logits));
  for (const auto& hook : c.model->hook_points()) EXPECT_EQ(hook->position_dim(), 1);
  // A handle made earlier computes with the weights of the moment.
  const auto pass = read_out(*c.model, {tokens, {0}});
  c.set({1, 1, 0, 1});
  EXPECT_TRUE(torch::equal(pass->logits(), c.model->forward(tokens)));
}

TEST(CircuitCompetition, WeightsStartWhereTheParametersSay) {
  Competition c(R"({"gen.w_1": 0.25, "gen.w_2": -0.5, "mem.w_1": 3, "mem.w_2": 0.125})");
  EXPECT_EQ(c.weights(), (Four{0.25, -0.5, 3, 0.125}));
  Competition start;
  EXPECT_EQ(start.model->forward(start.split.grid->tokens).abs().max().item<double>(), 0);
  EXPECT_EQ(start.model->n_parameters(), 4);
}

TEST(CircuitCompetition, LossesAreThoseOfThePaper) {
  Competition c;
  for (const Four& w : points) {
    c.set(w);
    const Four kept = c.weights();  // in float32
    const double w_gen = kept[0] * kept[1], w_mem = kept[2] * kept[3];
    const double error = kFloat * (1 + std::abs(w_gen) + std::abs(w_mem));
    EXPECT_NEAR(c.loss(c.split.train).item<double>(), train_loss(w_gen, w_mem, 113), error);
    EXPECT_NEAR(c.loss(c.split.test).item<double>(), test_loss(w_gen, w_mem, 113), error);
    EXPECT_NEAR(c.model->penalty().item<double>(), penalty(kept, {}), kFloat * penalty(kept, {}));
  }
  c.set({2, 1, 5, 1});  // the example at the top of the plugin
  EXPECT_NEAR(c.loss(c.split.train).item<double>(), 0.097, 5e-4);
  EXPECT_NEAR(c.loss(c.split.test).item<double>(), 3.59, 5e-3);
}

TEST(CircuitCompetition, GradientsAreExact) {
  const std::vector<std::pair<std::string, Constants>> setups = {
      {"{}", {}},
      {R"({"n_classes": 5, "gen.P": 3, "mem.P": 0.5, "alpha": 0.2, "kappa": 0.8, "n_train": 3})",
       {5, 3, 0.5, 0.2, 0.8}},
      {R"({"n_classes": 2, "alpha": 0.1, "kappa": 1.99})", {2, 1, 2, 0.1, 1.99}},
      {R"({"kappa": 2})", {113, 1, 2, 0.005, 2}},
      {R"({"kappa": 3.5, "alpha": 0.05})", {113, 1, 2, 0.05, 3.5}},
      {R"({"alpha": 0})", {113, 1, 2, 0, 1.2}}};
  for (const auto& [json, setup] : setups) {
    Competition c(json);
    for (const Four& w : points) {
      c.set(w);
      const Four kept = c.weights(), expected = gradient(kept, setup);
      c.descend(0);
      const Four found = c.gradients();
      for (size_t i = 0; i < 4; ++i) {
        // The slope of the loss is p - 1, at most 1; that of the penalty adds its own size.
        const double other = std::abs(kept[i ^ 1]), weight = std::abs(kept[i] * kept[i ^ 1]);
        const double P = i < 2 ? setup.P_gen : setup.P_mem;
        const double slope = weight == 0 ? 0 : std::pow(weight, 2 / setup.kappa - 1);
        const double size = 1 + 2 * setup.alpha / setup.kappa * P * P * slope;
        EXPECT_NEAR(found[i], expected[i], kFloat * other * size) << json << " " << names[i];
      }
    }
  }
}

// Gradient descent step by step: from the weights that the model has, one update by hand. The bound holds for
// each step alone, so it need not grow with their number. The whole course of figure 2 (a), run in between
// with large steps: memorised, then C_gen growing, then C_mem removed.
TEST(CircuitCompetition, DescendsAsByHand) {
  Competition c;
  const double lr = 0.01;
  std::vector<double> test_losses;
  for (const Four& start : {Four{0, 0.005, 0, 1}, Four{0.01, 0.01, 2.6, 2.78}, Four{1.4, 1.4, 2.3, 2.5}}) {
    c.set(start);
    for (int64_t step = 0; step < 60; ++step) {
      const Four before = c.weights(), slope = gradient(before, {});
      c.descend(lr);
      const Four after = c.weights();
      for (size_t i = 0; i < 4; ++i) {
        const double size = std::abs(before[i ^ 1]) * 1.2;  // the penalty's slope is below 0.2 throughout
        EXPECT_NEAR(after[i], before[i] - lr * slope[i],
                    lr * kFloat * size + std::abs(before[i]) / (1 << 24) + 1e-12);
      }
    }
    test_losses.push_back(c.loss(c.split.test).item<double>());
  }
  EXPECT_GT(test_losses[0], std::log(113.0));  // C_mem alone: worse than no answer
  EXPECT_GT(test_losses[1], test_losses[0]);
  EXPECT_LT(test_losses[2], test_losses[1]);
}

// At rest the slopes of the two penalties agree, as the loss has the same slope in both weights:
// P_G^2 w_G^(2/kappa - 1) = P_M^2 w_M^(2/kappa - 1), so w_G / w_M = (P_M / P_G)^(2 kappa / (2 - kappa)),
// which is 8 for the defaults.
TEST(CircuitCompetition, TheRatioOfTheCircuitsAtRestIsThatOfTheirEfficiencies) {
  const double ratio = std::pow(2.0, 2 * 1.2 / (2 - 1.2));
  EXPECT_NEAR(ratio, 8, 1e-12);
  // The root of the common slope: p - 1 + alpha e w_G^(e - 1) = 0, by bisection.
  double low = 1, high = 20;
  for (int i = 0; i < 100; ++i) {
    const double w = (low + high) / 2;
    (gradient({w, 1, w / ratio, 1}, {})[0] < 0 ? low : high) = w;
  }
  Competition c;
  const double a = std::sqrt(low), b = std::sqrt(low / ratio);
  c.set({a, a, b, b});
  c.descend(0);
  for (const double slope : c.gradients()) EXPECT_NEAR(slope, 0, 2 * kFloat * a);
  EXPECT_NEAR(c.loss(c.split.test).item<double>(), 0.07767, 1e-5);  // as in float64 after 100,000 steps
}

// Theorem D.4, case 1: from kappa = 2 on one circuit takes all. Exchanging a little weight between the two,
// at equal training loss, lowers the penalty until one is gone; below 2 it is lowest where both are there.
TEST(CircuitCompetition, FromKappaTwoOnOneCircuitTakesAll) {
  const auto penalty_at = [](const std::string& kappa, double w_gen) {
    Competition c("{\"kappa\": " + kappa + "}");
    c.set({w_gen, 1, 8 - w_gen, 1});
    return c.model->penalty().item<double>();
  };
  for (const std::string kappa : {"2", "3"}) {
    EXPECT_LT(penalty_at(kappa, 8), penalty_at(kappa, 7.5)) << kappa;
    EXPECT_LT(penalty_at(kappa, 8), penalty_at(kappa, 0)) << kappa;  // and it is C_gen, the efficient one
  }
  EXPECT_GT(penalty_at("1.2", 8), penalty_at("1.2", 7.5));
}

TEST(CircuitCompetition, RefusesWhatCannotBe) {
  for (const std::string json : {R"({"n_classes": 1})", R"({"n_train": 0})", R"({"n_test": 0})",
                                 R"({"kappa": 0})", R"({"alpha": -1})", R"({"mem.P": -1})"})
    EXPECT_THROW(make_task(json), Error) << json;
}

// w_G and w_M stand in the logits of the test set: at the label, and at the class that C_mem predicts.
TEST(CircuitCompetition, MetricsAreTheRightAxisOfFigure2) {
  Competition c;
  EXPECT_EQ(c.spec.metrics, (std::vector<std::string>{"gen_logit", "mem_logit", "parameter_norm"}));
  c.set({1.5, 2, -0.5, 8});
  const auto metrics = [&](const Batch& batch) {
    torch::NoGradGuard no_grad;
    return c.task->metrics(c.model->forward(batch.tokens), batch);
  };
  const std::vector<double> test = metrics(c.split.test);
  ASSERT_EQ(test.size(), 3u);
  EXPECT_EQ(test[0], 3);
  EXPECT_EQ(test[1], -4);
  // alpha P'^2 is the penalty, 0.005 times the square here.
  EXPECT_NEAR(0.005 * test[2] * test[2], penalty({1.5, 2, -0.5, 8}, {}), 1e-12);
  for (const double value : metrics(c.split.train)) EXPECT_TRUE(std::isnan(value));
}

}  // namespace
}  // namespace orrery::testing
