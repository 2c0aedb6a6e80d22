#include "own_frequency.h"

#include <gtest/gtest.h>
#include <orrery/error.h>
#include <tests/support/model_on_grid.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>
#include <functional>

namespace orrery::testing {
namespace {

using torch::Tensor;

// Neurons that are given for every pair, and logits that are linear in them: [n*n, m] and [m, n].
class GivenNeurons final : public Model {
 public:
  GivenNeurons(int64_t n, Tensor neurons, const Tensor& W_L)
      : n_(n), neurons_(std::move(neurons)), W_L_(add_weight("mlp.W_out", W_L)) {
    post_ = &add_hook_point("mlp.hook_post", -1);
  }
  Tensor forward(const Tensor& tokens) override {
    const Tensor pair = tokens.select(1, 0) * n_ + tokens.select(1, 1);
    return (*post_)(neurons_.index_select(0, pair)).matmul(W_L_).unsqueeze(1).expand({-1, 3, -1});
  }

 private:
  int64_t n_;
  Tensor neurons_, W_L_;
  HookPoint* post_;
};

ModelOnGrid with_neurons(int64_t n, const Tensor& neurons, const Tensor& W_L) {
  return {addition(n),
          std::make_unique<GivenNeurons>(n, neurons.to(torch::kFloat32), W_L.to(torch::kFloat32))};
}

Recorder measured(ModelOnGrid& network, const std::string& more = "") {
  const auto probe = make_probe(R"({"subspace": "own_frequency")" + more + "}");
  EXPECT_FALSE(probe->needs().reference);
  Recorder recorder;
  probe->measure(network.observe(), recorder);
  return recorder;
}

// Neurons 1 + cos(w_k i + f) + cos(w_k j + f) + cos(w_k i + f) cos(w_k j + f), five for each frequency, and
// the logits height cos(w_k (i + j - c)) that the products make of them.
Tensor waves_of_pairs(int64_t n, const std::vector<int64_t>& frequencies) {
  Tensor neurons = torch::zeros({n * n, 5 * int64_t(frequencies.size())}, torch::kFloat64);
  auto at = neurons.accessor<double, 2>();
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      for (size_t f = 0; f < frequencies.size(); ++f)
        for (int64_t phase = 0; phase < 5; ++phase) {
          const double x = std::cos(angle(frequencies[f], i, n) + 2 * M_PI * double(phase) / 5),
                       y = std::cos(angle(frequencies[f], j, n) + 2 * M_PI * double(phase) / 5);
          at[i * n + j][5 * int64_t(f) + phase] = 1 + x + y + x * y;
        }
  return neurons;
}
Tensor waves_of_classes(int64_t n, const std::vector<int64_t>& frequencies, double height) {
  Tensor W_L = torch::zeros({5 * int64_t(frequencies.size()), n}, torch::kFloat64);
  for (size_t f = 0; f < frequencies.size(); ++f)
    for (int64_t phase = 0; phase < 5; ++phase)
      for (int64_t c = 0; c < n; ++c)
        W_L[5 * int64_t(f) + phase][c] =
            height * std::cos(angle(frequencies[f], c, n) + 4 * M_PI * double(phase) / 5);
  return W_L;
}

// The fit of values [n*n] by the nine functions, by least squares; `share` of the variance.
Tensor fitted(const Tensor& values, int64_t k, int64_t n, double* share = nullptr) {
  Tensor functions = torch::zeros({n * n, 9}, torch::kFloat64);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      const double of_i[] = {1, std::cos(angle(k, i, n)), std::sin(angle(k, i, n))};
      const double of_j[] = {1, std::cos(angle(k, j, n)), std::sin(angle(k, j, n))};
      for (int64_t u = 0; u < 3; ++u)
        for (int64_t v = 0; v < 3; ++v) functions[i * n + j][3 * u + v] = of_i[u] * of_j[v];
    }
  const Tensor normal = functions.t().matmul(functions);
  const Tensor fit = functions.matmul(normal.inverse().matmul(functions.t().matmul(values)));
  if (share)
    *share = 1 - ((values - fit).square().sum() / (values - values.mean()).square().sum()).item<double>();
  return fit;
}
// Of each column at its best frequency.
Tensor all_fitted(const Tensor& neurons, int64_t n, std::vector<double>& shares) {
  std::vector<Tensor> columns;
  for (int64_t m = 0; m < neurons.size(1); ++m) {
    double best = -1;
    Tensor column = neurons.select(1, m).mean().expand({n * n});  // of a neuron that is constant
    for (int64_t k = 1; k <= n / 2; ++k) {
      double share = 0;
      const Tensor fit = fitted(neurons.select(1, m), k, n, &share);
      if (share > best) best = share, column = fit;
    }
    shares.push_back(best);
    columns.push_back(column);
  }
  return torch::stack(columns, 1);
}

// By their definitions: rows i*n + j of logits.
struct Scores {
  double loss = 0, accuracy = 0;
};
Scores scores(const CyclicTask& task, const Tensor& rows, const Tensor& logits, int64_t n) {
  Scores sum;
  for (int64_t r = 0; r < rows.size(0); ++r) {
    const Tensor tokens = task.split.grid->tokens[rows[r].item<int64_t>()];
    const auto i = tokens[0].item<int64_t>(), j = tokens[1].item<int64_t>();
    const Tensor row = logits[i * n + j];
    sum.loss += (row.logsumexp(0) - row[(i + j) % n]).item<double>() / double(rows.size(0));
    sum.accuracy += double(row.argmax().item<int64_t>() == (i + j) % n) / double(rows.size(0));
  }
  return sum;
}

TEST(OwnFrequency, NeuronsThatAreWavesStayAsTheyAre) {
  const int64_t n = 11;
  auto network = with_neurons(n, waves_of_pairs(n, {2, 5}), waves_of_classes(n, {2, 5}, 8));
  const auto recorder = measured(network);
  for (const std::string set : {"train", "test", "all"}) {
    EXPECT_NEAR(scalar(recorder, "loss_change/" + set), 0, 1e-5) << set;
    EXPECT_EQ(scalar(recorder, "accuracy/" + set), 1) << set;
    EXPECT_LT(scalar(recorder, "loss/" + set), 0.1) << set;
    // The null: nothing is left at another frequency but the mean, which says the same of every pair.
    EXPECT_GT(scalar(recorder, "other_frequency/loss/" + set), std::log(double(n)) - 1e-3) << set;
    EXPECT_LT(scalar(recorder, "other_frequency/accuracy/" + set), 0.5) << set;
  }
  EXPECT_NEAR(scalar(recorder, "variance_explained/median"), 1, 1e-9);
  EXPECT_EQ(scalar(recorder, "variance_explained/above_0.9"), 1);
  EXPECT_EQ(recorder.record().headlines, std::vector<std::string>{"loss/test"});
  // Without what the frequency explains there is nothing.
  EXPECT_NEAR(scalar(measured(network, R"(, "part": "remove")"), "loss/all"), std::log(double(n)), 1e-5);
}

// Neurons of two frequencies and noise, one that is constant, against least squares.
TEST(OwnFrequency, IsTheBestFitByNineFunctions) {
  const int64_t n = 7;
  Tensor neurons = torch::cat({waves_of_pairs(n, {1, 3}), torch::ones({n * n, 1}, torch::kFloat64)}, 1);
  neurons.narrow(1, 0, 10) += torch::randn({n * n, 10}, make_generator(4), torch::kFloat64);
  neurons = neurons.to(torch::kFloat32).to(torch::kFloat64);
  const Tensor W_L = torch::randn({11, n}, make_generator(5), torch::kFloat64).to(torch::kFloat32);
  auto network = with_neurons(n, neurons, W_L);
  const auto recorder = measured(network);

  std::vector<double> shares;
  const Tensor fit =
      torch::cat({all_fitted(neurons.narrow(1, 0, 10), n, shares), neurons.narrow(1, 10, 1)}, 1);
  const Tensor logits = fit.matmul(W_L.to(torch::kFloat64)), as_is = neurons.matmul(W_L.to(torch::kFloat64));
  const auto rows = [&](const std::string& set) {
    return set == "train" ? network.task.split.train_rows : network.task.split.test_rows;
  };
  for (const std::string set : {"train", "test"}) {
    const Scores expected = scores(network.task, rows(set), logits, n);
    const double plain = scores(network.task, rows(set), as_is, n).loss;
    EXPECT_NEAR(scalar(recorder, "loss/" + set), expected.loss, 1e-5);  // logits of order 1 in float32
    EXPECT_NEAR(scalar(recorder, "loss_change/" + set), expected.loss - plain, 1e-5);
    EXPECT_NEAR(scalar(recorder, "accuracy/" + set), expected.accuracy, 1e-12);
    EXPECT_GT(std::abs(expected.loss - plain), 0.01);
  }
  std::sort(shares.begin(), shares.end());
  EXPECT_NEAR(scalar(recorder, "variance_explained/median"), (shares[4] + shares[5]) / 2, 1e-6);
  EXPECT_NEAR(scalar(recorder, "variance_explained/above_0.85"),
              double(std::count_if(shares.begin(), shares.end(), [](double x) { return x > 0.85; })) / 10,
              1e-12);
}

// (cos x + cos y)^2 has waves of the double frequency, with a fifth of its variance: what is left is 0.8.
TEST(OwnFrequency, OfSquaredNeuronsIsFourFifths) {
  auto network = constructed_mlp({.embedding = MlpConfig::Embedding::circular,
                                  .d_embed = 2,
                                  .d_mlp = 7,
                                  .act_fn = MlpConfig::ActFn::square},
                                 13);
  const auto recorder = measured(network);
  EXPECT_NEAR(scalar(recorder, "variance_explained/median"), 0.8, 1e-6);
  EXPECT_EQ(scalar(recorder, "variance_explained/above_0.85"), 0);
  EXPECT_EQ(scalar(recorder, "accuracy/all"), 1);
}

// Of two layers the last is replaced, at the position that is read out.
TEST(OwnFrequency, RunsOnFromTheLastLayer) {
  const int64_t n = 5;
  auto network = random_transformer({.n_layers = 2,
                                     .d_model = 16,
                                     .n_heads = 2,
                                     .d_head = 8,
                                     .d_mlp = 12,
                                     .act_fn = TransformerConfig::ActFn::gelu},
                                    n);
  const auto recorder = measured(network);
  std::vector<double> shares;
  const torch::NoGradGuard no_grad;
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) tokens.insert(tokens.end(), {i, j, n});
  const auto replace = [&](const Tensor& x) {
    Tensor y = x.clone();
    y.select(1, 2).copy_(all_fitted(x.select(1, 2).to(torch::kFloat64), n, shares));
    return y;
  };
  const Tensor logits = run_with_hooks(*network.model, torch::tensor(tokens, torch::kInt64).view({-1, 3}),
                                       {{"blocks.1.mlp.hook_post", replace}})
                            .select(1, 2)
                            .to(torch::kFloat64);
  const Scores expected = scores(network.task, network.task.split.test_rows, logits, n);
  EXPECT_NEAR(scalar(recorder, "loss/test"), expected.loss, 1e-5);
  EXPECT_GT(std::abs(scalar(recorder, "loss_change/test")), 1e-5);
  const auto both = measured(network, R"(, "site": "blocks.*.mlp.hook_post")");
  EXPECT_GT(std::abs(scalar(both, "loss/test") - expected.loss), 1e-5);
}

TEST(OwnFrequency, OfNeuronsThatAreConstantIsNothing) {
  auto network = with_neurons(5, torch::ones({25, 3}), torch::ones({3, 5}));
  const auto recorder = measured(network);
  EXPECT_EQ(scalar(recorder, "loss_change/all"), 0);
  EXPECT_TRUE(std::isnan(scalar(recorder, "variance_explained/median")));
  EXPECT_TRUE(std::isnan(scalar(recorder, "variance_explained/above_0.9")));
}

TEST(OwnFrequency, AnotherFrequencyIsAnother) {
  const Tensor own = torch::tensor({1, 2, 3, 4, 5, 0, 5, 1}, torch::kInt64);
  const Tensor other = subspace_loss::other_frequencies(own, 11);
  EXPECT_FALSE((other == own).any().item<bool>());
  EXPECT_TRUE(torch::logical_and(other >= 1, other <= 5).all().item<bool>());
  EXPECT_TRUE(other.equal(subspace_loss::other_frequencies(own, 11)));
}

TEST(OwnFrequency, IsForNeuronsOnly) {
  for (const char* parameters : {R"({"subspace": "own_frequency", "site": "logits"})",
                                 R"({"subspace": "own_frequency", "preset": "demo_excluded"})",
                                 R"({"subspace": "own_frequency", "rule": "given", "frequencies": [3]})"})
    EXPECT_THROW(make_probe(parameters), UsageError) << parameters;
  EXPECT_EQ(make_probe(R"({"subspace": "own_frequency"})")->needs().activations,
            std::vector<std::string>{"*mlp.hook_post*"});
}

}  // namespace
}  // namespace orrery::testing
