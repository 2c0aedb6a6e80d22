// More than two circuits, and norms other than L_2: Varma et al. 2023, appendix D.1.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/hooks.h>
#include <tests/support/plugin_under_test.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace orrery::testing {
namespace {

using torch::Tensor;
using Reals = std::vector<double>;

// What a float32 computation may be off by: a dozen roundings of 2^-24 on the way to a logit and back, and as
// many again in the sums.
constexpr double kFloat = 24.0 / (1 << 24);

struct Constants {
  Reals P = {1, 1.25, 1.5};
  double alpha = 0.05, kappa = 1, q = 2, n_classes = 113;

  // The first two circuits are C_gen and C_mem.
  std::string json() const {
    std::string more_P, zeros, ones;
    for (size_t i = 2; i < P.size(); ++i) {
      const std::string comma = i > 2 ? ", " : "";
      more_P += comma + std::to_string(P[i]);
      zeros += comma + "0";
      ones += comma + "1";
    }
    return "{\"gen.P\": " + std::to_string(P[0]) + ", \"mem.P\": " + std::to_string(P[1]) +
           ", \"more.P\": [" + more_P + "], \"more.w_1\": [" + zeros + "], \"more.w_2\": [" + ones +
           "], \"alpha\": " + std::to_string(alpha) + ", \"kappa\": " + std::to_string(kappa) +
           ", \"q\": " + std::to_string(q) + ", \"n_classes\": " + std::to_string(int(n_classes)) +
           ", \"n_train\": 3, \"n_test\": 5}";
  }
};

double sum(const Reals& w) { return std::accumulate(w.begin(), w.end(), 0.0); }

// All inputs of a set are alike: on a training input every circuit adds to the label, on a test input C_gen
// alone, and the others have a class each.
double train_loss(const Reals& w, const Constants& s) {
  return std::log(std::exp(sum(w)) + s.n_classes - 1) - sum(w);
}
double test_loss(const Reals& w, const Constants& s) {
  double total = s.n_classes - static_cast<double>(w.size());
  for (const double weight : w) total += std::exp(weight);
  return std::log(total) - w[0];
}
double penalty(const Reals& w, const Constants& s) {
  double total = 0;
  for (size_t i = 0; i < w.size(); ++i)
    total += std::pow(std::pow(std::abs(w[i]), 1 / s.kappa) * s.P[i], s.q);
  return s.alpha * total;
}
// d penalty / d w_i; by definition 0 at w_i = 0.
double penalty_slope(const Reals& w, const Constants& s, size_t i) {
  if (w[i] == 0) return 0;
  return s.alpha * s.q / s.kappa * std::pow(s.P[i], s.q) * std::pow(std::abs(w[i]), s.q / s.kappa - 1) *
         (w[i] > 0 ? 1 : -1);
}

struct Competition {
  explicit Competition(const std::string& json)
      : task(make_task(json)),
        spec(task->spec()),
        split(task->split(make_generator(1))),
        model(task->make_model(make_generator(2))) {
    for (const auto& [name, weight] : model->weights())
      if (name.size() > 4 && name.substr(name.size() - 4) == ".w_1")
        circuits.push_back(name.substr(0, name.size() - 4));
  }
  explicit Competition(const Constants& s) : Competition(s.json()) {}

  // Gives circuit i the weight w_i.
  void set(const Reals& w, double second = 1) {
    torch::NoGradGuard no_grad;
    for (size_t i = 0; i < w.size(); ++i) {
      model->weight(circuits[i] + ".w_1").fill_(w[i] / second);
      model->weight(circuits[i] + ".w_2").fill_(second);
    }
  }
  Tensor logits(const Batch& batch) { return model->forward(batch.tokens).select(1, 0); }
  Tensor loss(const Batch& batch) {
    return -logits(batch).to(torch::kFloat64).log_softmax(1).gather(1, batch.labels).mean();
  }
  double objective(const Reals& w) {
    torch::NoGradGuard no_grad;
    set(w);
    return loss(split.train).item<double>() + model->penalty().item<double>();
  }
  Reals metrics(const Batch& batch) {
    torch::NoGradGuard no_grad;
    return task->metrics(model->forward(batch.tokens), batch);
  }

  Instance<Task> task;
  TaskSpec spec;
  Split split;
  std::unique_ptr<Model> model;
  std::vector<std::string> circuits;
};

const Constants kFour = {{1, 2, 3, 0.5}, 0.02, 1.2, 2, 7};

TEST(MoreCircuits, HaveWeightsHooksAndMetricsOfTheirOwn) {
  Competition c(R"({"more.P": [3, 4], "more.w_1": [0.25, -0.5], "more.w_2": [2, 0.125]})");
  EXPECT_EQ(c.circuits, (std::vector<std::string>{"gen", "mem", "mem_2", "mem_3"}));
  EXPECT_EQ(c.model->n_parameters(), 8);
  EXPECT_EQ(c.model->weight("mem_2.w_1").item<double>(), 0.25);
  EXPECT_EQ(c.model->weight("mem_3.w_2").item<double>(), 0.125);
  EXPECT_EQ(c.spec.metrics, (std::vector<std::string>{"gen_logit", "mem_logit", "parameter_norm",
                                                      "mem_2_logit", "mem_3_logit"}));
  c.set({1, 2, 3, 4});
  const Tensor tokens = c.split.grid->tokens;
  const auto [logits, cache] = run_with_cache(*c.model, tokens);
  EXPECT_EQ(cache.names(), (std::vector<std::string>{"hook_gen", "hook_mem", "hook_mem_2", "hook_mem_3"}));
  EXPECT_EQ(cache["hook_mem_3"].sum().item<double>(), 64 * 4);
  EXPECT_TRUE(torch::equal(read_out(*c.model, {tokens, {0}})->logits(), logits));
}

TEST(MoreCircuits, AgreeOnTheTrainingSetAndAreWrongInTheirOwnWayOnTheTestSet) {
  Competition c(R"({"n_classes": 4, "n_train": 50, "n_test": 50, "more.P": [3, 4], "more.w_1": [0, 0],
                    "more.w_2": [1, 1]})");
  std::vector<Tensor> answers;
  for (size_t i = 0; i < 4; ++i) {
    Reals w(4, 0.0);
    w[i] = 3;
    c.set(w);
    const Tensor test = c.logits(c.split.test);
    EXPECT_TRUE(
        torch::equal(c.logits(c.split.train), torch::zeros({50, 4}).scatter_(1, c.split.train.labels, 3.0)));
    EXPECT_TRUE(
        torch::equal(std::get<0>(test.sort(1)), torch::tensor({0.0f, 0.0f, 0.0f, 3.0f}).expand({50, 4})));
    answers.push_back(test.argmax(1, /*keepdim=*/true));
  }
  EXPECT_TRUE(torch::equal(answers[0], c.split.test.labels));
  // Four circuits, four classes: each input has them all.
  EXPECT_TRUE(torch::equal(std::get<0>(torch::cat(answers, 1).sort(1)), torch::arange(4).expand({50, 4})));
}

TEST(MoreCircuits, WithoutThemAllIsAsWithTwo) {
  Competition two("{}"), none(R"({"more.P": [], "more.w_1": [], "more.w_2": [], "q": 2})");
  EXPECT_EQ(none.circuits, (std::vector<std::string>{"gen", "mem"}));
  EXPECT_EQ(none.spec.metrics, two.spec.metrics);
  // The tables of the two do not depend on whether there are more.
  Competition four(R"({"more.P": [3, 4], "more.w_1": [0, 0], "more.w_2": [1, 1]})");
  for (Competition* c : {&two, &none, &four}) c->set({1.5, 2.25});
  EXPECT_TRUE(torch::equal(two.logits(*two.split.grid), none.logits(*two.split.grid)));
  EXPECT_TRUE(torch::equal(two.logits(*two.split.grid), four.logits(*two.split.grid)));
}

TEST(MoreCircuits, LossesAndGradientsAreExact) {
  std::vector<Constants> setups = {kFour};
  for (const auto& [q, kappa] : std::vector<std::pair<double, double>>{
           {2, 1}, {2, 2}, {3, 1.2}, {3, 3}, {3, 4}, {1, 0.8}, {1, 1}, {0.5, 2}, {4.5, 1.7}}) {
    setups.push_back(kFour);
    setups.back().q = q;
    setups.back().kappa = kappa;
  }
  for (const Constants& s : setups) {
    Competition c(s);
    for (const Reals& w :
         std::vector<Reals>{{0.5, 1.5, 0.25, 2}, {3, 0, 1, 0.75}, {-0.5, 2, -1.25, 0.125}, {0, 0, 0, 0}}) {
      SCOPED_TRACE(s.json());
      c.set(w, 2);
      const double error = kFloat * (1 + sum({std::abs(w[0]), std::abs(w[1]), std::abs(w[2]), w[3]}));
      EXPECT_NEAR(c.loss(c.split.train).item<double>(), train_loss(w, s), error);
      EXPECT_NEAR(c.loss(c.split.test).item<double>(), test_loss(w, s), error);
      EXPECT_NEAR(c.model->penalty().item<double>(), penalty(w, s), kFloat * penalty(w, s));
      for (const auto& [name, weight] : c.model->weights()) Tensor(weight).mutable_grad() = torch::zeros({});
      (c.loss(c.split.train) + c.model->penalty()).backward();
      const double p = 1 / (1 + (s.n_classes - 1) * std::exp(-sum(w)));
      for (size_t i = 0; i < 4; ++i) {
        const double of_penalty = penalty_slope(w, s, i), slope = p - 1 + of_penalty;
        const double size = kFloat * (1 + std::abs(of_penalty));
        EXPECT_NEAR(c.model->weight(c.circuits[i] + ".w_1").grad().item<double>(), slope * 2, size * 2) << i;
        EXPECT_NEAR(c.model->weight(c.circuits[i] + ".w_2").grad().item<double>(), slope * w[i] / 2,
                    size * std::abs(w[i]) / 2)
            << i;
      }
    }
  }
}

// At q = 2 the penalty and its norm are computed as squares are: the same bits, not only the same number.
TEST(MoreCircuits, QIsTwoByDefaultBitForBit) {
  for (const std::string q : {"", ", \"q\": 2"})
    for (const double P : {2.0, 1.3, 0.7}) {
      Competition c("{\"mem.P\": " + std::to_string(P) + q + "}");
      for (const Reals& w : std::vector<Reals>{{0.1, 5.3}, {2.7, 0.013}, {-0.3, 1.7}, {0, 3.1}}) {
        c.set(w);
        const auto cost = [&](double norm, const std::string& name) {
          const Tensor size = (c.model->weight(name + ".w_1") * c.model->weight(name + ".w_2")).abs();
          return norm * norm * size.pow(2 / 1.2);
        };
        EXPECT_TRUE(torch::equal(c.model->penalty(), 0.005 * (cost(1, "gen") + cost(P, "mem"))));
        const Reals test = c.metrics(c.split.test);
        const auto norm = [](double weight, double at_one) {
          return std::pow(std::abs(weight), 1 / 1.2) * at_one;
        };
        EXPECT_EQ(test[2], std::hypot(norm(test[0], 1), norm(test[1], P)));
      }
    }
}

// Each weight stands in the test logits at a class of its own; alpha times the norm to the power q is the
// penalty.
TEST(MoreCircuits, MetricsAreTheirWeightsAndTheNormOfAll) {
  for (const double q : {0.5, 1.0, 2.0, 3.0}) {
    Constants s = kFour;
    s.q = q;
    Competition c(s);
    const Reals w = {3, -4, 0.5, 1.25};
    c.set(w);
    const Reals test = c.metrics(c.split.test);
    ASSERT_EQ(test.size(), 5u);
    EXPECT_EQ((Reals{test[0], test[1], test[3], test[4]}), w);
    EXPECT_NEAR(s.alpha * std::pow(test[2], q), penalty(w, s), 1e-12 * penalty(w, s));
    for (const double value : c.metrics(c.split.train)) EXPECT_TRUE(std::isnan(value));
  }
}

// Walks downhill on the objective that the plugin computes, w_i >= 0: along each weight, and from one to
// another, with ever smaller steps. Down to steps of 2^-8: below that, float32 no longer tells the penalties
// apart.
Reals minimised(Competition& c, Reals w) {
  const size_t n = w.size();
  double least = c.objective(w);
  const auto improves = [&](size_t i, double up, size_t j, double down) {
    Reals other = w;
    other[i] = std::max(0.0, other[i] + up);
    other[j] = std::max(0.0, other[j] + down);
    const double value = c.objective(other);
    if (value >= least) return false;
    least = value;
    w = other;
    return true;
  };
  for (double step = 1; step >= 1.0 / 256; step /= 2)
    for (bool moved = true; moved;) {
      moved = false;
      for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < n; ++j) {
          if (i == j)
            moved = improves(i, step, i, 0) || improves(i, -step, i, 0) || moved;
          else
            moved = improves(i, step, j, -step) || moved;
        }
    }
  return w;
}

// Above kappa = q there is a minimum wherever one circuit is alone, so the search starts from each, and from
// all together.
Reals global_minimum(Competition& c) {
  Reals best;
  for (const Reals& start : std::vector<Reals>{{2, 2, 2}, {6, 0, 0}, {0, 6, 0}, {0, 0, 6}}) {
    const Reals found = minimised(c, start);
    if (best.empty() || c.objective(found) < c.objective(best)) best = found;
  }
  return best;
}

TEST(TheoremD4, Case1OnlyTheMostEfficientCircuitHasWeight) {
  for (const auto& [q, kappa] : std::vector<std::pair<double, double>>{{2, 2}, {2, 3}, {3, 3}, {3, 4}}) {
    Competition c(Constants{.kappa = kappa, .q = q});
    const Reals w = global_minimum(c);
    EXPECT_GT(w[0], 1) << q << " " << kappa;
    EXPECT_EQ(w[1], 0) << q << " " << kappa;
    EXPECT_EQ(w[2], 0) << q << " " << kappa;
  }
  // Whichever it is.
  Competition c(Constants{.P = {1.5, 1.25, 1}, .kappa = 3, .q = 3});
  const Reals w = global_minimum(c);
  EXPECT_EQ(w[0], 0);
  EXPECT_EQ(w[1], 0);
  EXPECT_GT(w[2], 1);
}

// w_i proportional to P_i^(-q kappa / (q - kappa)): 1, 0.64, 0.444 for q = 2 and kappa = 1; and for q = 3
// even kappa = 2 is of this case.
TEST(TheoremD4, Case2TheWeightsAreAPowerOfTheNorms) {
  for (const auto& [q, kappa] : std::vector<std::pair<double, double>>{{2, 1}, {2, 1.2}, {3, 1}, {3, 2}}) {
    const Constants s{.kappa = kappa, .q = q};
    Competition c(s);
    const Reals w = global_minimum(c);
    // Two steps of the search, seen from the largest weight.
    for (size_t i = 1; i < 3; ++i)
      EXPECT_NEAR(w[i], w[0] * std::pow(s.P[i] / s.P[0], -q * kappa / (q - kappa)), 2.0 / 256)
          << q << " " << kappa << " " << i;
    // The scale is that of the training loss: its slope and the penalty's cancel.
    const double p = 1 / (1 + (s.n_classes - 1) * std::exp(-sum(w)));
    EXPECT_NEAR(1 - p, penalty_slope(w, s, 0), 2.0 / 256) << q << " " << kappa;
  }
}

TEST(MoreCircuits, ListsOfUnequalLengthAndTooFewClassesAreRefused) {
  const auto refusal = [](const std::string& json) -> std::string {
    try {
      make_task(json);
    } catch (const UsageError& error) {
      return error.what() + ("; " + error.hint());
    }
    return "accepted";
  };
  EXPECT_EQ(
      refusal(R"({"more.P": [3, 4], "more.w_1": [0], "more.w_2": [1, 1]})"),
      "more.P lists 2 circuits, more.w_1 1 and more.w_2 2; give every further circuit an entry in each of "
      "the three lists");
  EXPECT_NE(refusal(R"({"more.w_1": [0]})"), "accepted");
  EXPECT_EQ(refusal(R"({"n_classes": 2, "more.P": [3], "more.w_1": [0], "more.w_2": [1]})"),
            "3 circuits, and n_classes = 2: on the test set each circuit predicts a class of its own; set "
            "n_classes to at least 3");
  EXPECT_EQ(refusal(R"({"n_classes": 3, "more.P": [3], "more.w_1": [0], "more.w_2": [1]})"), "accepted");
  for (const std::string json : {R"({"q": 0})", R"({"q": -2})", R"({"q": 11})",
                                 R"({"more.P": [-1], "more.w_1": [0], "more.w_2": [1]})"})
    EXPECT_THROW(make_task(json), Error) << json;
}

}  // namespace
}  // namespace orrery::testing
