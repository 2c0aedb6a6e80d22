#include <gtest/gtest.h>
#include <orrery/mlp.h>
#include <orrery/testing/model_on_batch.h>
#include <orrery/transformer.h>
#include <tests/support/hand_built.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>
#include <memory>
#include <vector>

namespace orrery::testing {
namespace {

using torch::Tensor;

Recorder measured(ModelOnBatch& network, const std::string& parameters = "{}") {
  const torch::NoGradGuard no_grad;
  Recorder recorder;
  make_probe(parameters)->measure(network.observe(), recorder);
  return recorder;
}

// A network that says row a of `table` [n, classes] at token a.
ModelOnBatch says(const Tensor& table, const std::vector<int64_t>& labels, Loss loss = Loss::cross_entropy) {
  const int64_t n = table.size(0), classes = table.size(1);
  const TaskSpec spec{.d_vocab = n, .d_vocab_out = classes, .n_ctx = 2, .read_out = {1}, .loss = loss};
  MlpConfig config{.embedding = MlpConfig::Embedding::untied,
                   .collapse = MlpConfig::Collapse::both,
                   .d_mlp = classes,
                   .act_fn = MlpConfig::ActFn::identity};
  auto model = make_mlp(config, spec, make_generator(1));
  const torch::NoGradGuard no_grad;
  model->weight("mlp.W_in_a").copy_(table);
  model->weight("mlp.W_in_b").zero_();
  model->weight("mlp.W_out").copy_(torch::eye(classes));
  Batch batch;
  batch.tokens = torch::stack({torch::arange(n, torch::kInt64), torch::zeros({n}, torch::kInt64)}, 1);
  batch.labels = torch::tensor(labels, torch::kInt64).unsqueeze(1);
  return {spec, std::move(model), batch};
}

std::vector<int64_t> cycled(int64_t n, int64_t classes) {
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < n; ++i) labels.push_back(i % classes);
  return labels;
}

// 1 + x as a float of `bits` significant bits: rounded to the nearest, to even in a tie.
bool is_one(double x, int bits) {
  return std::nearbyint(std::ldexp(1 + x, bits - 1)) == std::ldexp(1.0, bits - 1);
}

TEST(Stability, CollapseIsThatOfTheRoundedSum) {
  const int64_t n = 600, classes = 11;
  Tensor table = torch::randn({n, classes}, make_generator(2));
  table *= torch::linspace(1, 60, n).unsqueeze(1);  // from no collapse to all
  const auto labels = cycled(n, classes);
  auto network = says(table, labels);
  for (const auto& [precision, bits] :
       std::vector<std::pair<std::string, int>>{{"float16", 11}, {"bfloat16", 8}, {"float32", 24}}) {
    double collapsed = 0, right = 0, one_by_one = 0;
    for (int64_t row = 0; row < n; ++row) {
      int64_t best = 0;
      for (int64_t c = 0; c < classes; ++c)
        if (table[row][c].item<float>() > table[row][best].item<float>()) best = c;
      double others = 0;
      bool each = true;
      for (int64_t c = 0; c < classes; ++c) {
        if (c == best) continue;
        const double other =
            std::exp(double(table[row][c].item<float>()) - double(table[row][best].item<float>()));
        others += other;
        each = each && is_one(other, bits);
      }
      one_by_one += each;
      if (!is_one(others, bits)) continue;
      collapsed += 1;
      right += best == labels[row];
    }
    const auto recorder = measured(network, "{\"precision\": \"" + precision + "\"}");
    EXPECT_EQ(scalar(recorder, "softmax_collapse"), collapsed / double(n)) << precision;
    EXPECT_EQ(scalar(recorder, "softmax_collapse/right"), right / double(n)) << precision;
    EXPECT_EQ(scalar(recorder, "softmax_collapse/one_by_one"), one_by_one / double(n)) << precision;
    EXPECT_GT(one_by_one, collapsed) << precision;
    EXPECT_GT(collapsed, n / 10) << precision;
    EXPECT_LT(collapsed, n - n / 10) << precision;
    EXPECT_LT(right, collapsed);
  }
}

// The worked example, the threshold, and a tie of two classes, whose sum is 2.
TEST(Stability, CollapseAtTheEdge) {
  const float edge = 24 * std::log(2.0f);
  auto network = says(torch::tensor({{20.0f, 0.0f, 0.0f}, {0.0f, edge + 1e-3f, -100.0f}}), {0, 1});
  EXPECT_EQ(scalar(measured(network), "softmax_collapse"), 1);
  EXPECT_EQ(scalar(measured(network), "zero_loss"), 1);
  EXPECT_EQ(scalar(measured(network, R"({"precision": "float64"})"), "softmax_collapse"), 0);
  auto before = says(torch::tensor({{edge - 1e-3f, 0.0f, -100.0f}, {500.0f, 500.0f, 0.0f}}), {0, 1});
  EXPECT_EQ(scalar(measured(before), "softmax_collapse"), 0);
  EXPECT_EQ(scalar(measured(before), "zero_loss"), 0);
}

// Labels outside of the loss mask count for nothing.
TEST(Stability, CountsTheScoredLabels) {
  auto network = says(torch::tensor({{90.0f, 0.0f}, {1.0f, 0.0f}, {90.0f, 0.0f}}), {0, 0, 1});
  EXPECT_NEAR(scalar(measured(network), "softmax_collapse"), 2.0 / 3, 1e-12);
  EXPECT_NEAR(scalar(measured(network), "softmax_collapse/right"), 1.0 / 3, 1e-12);
  network.inputs.scored = torch::tensor({false, true, true}).unsqueeze(1);
  const auto recorder = measured(network);
  EXPECT_EQ(scalar(recorder, "softmax_collapse"), 0.5);
  EXPECT_EQ(scalar(recorder, "softmax_collapse/right"), 0);
  EXPECT_EQ(scalar(recorder, "zero_loss"), 0);
  EXPECT_EQ(scalar(recorder, "margin/min"), -90);
  EXPECT_EQ(scalar(recorder, "margin/mean"), -44.5);
  EXPECT_NEAR(scalar(recorder, "logit_scale"), std::sqrt((0.25 + 45.0 * 45.0) / 2), 1e-9);
}

// One token, one neuron of weight s and two logits 2 s (t, -t): where s = sqrt(2) t the gradient is along the
// weights. With the other label it points back.
TEST(Stability, AGradientAlongTheWeightsHasCosineOne) {
  const TaskSpec spec{.d_vocab = 1, .d_vocab_out = 2, .n_ctx = 2, .read_out = {1}};
  const auto with = [&](float s, float t, int64_t label) {
    MlpConfig config{
        .input = MlpConfig::Input::one_hot_sum, .d_mlp = 1, .act_fn = MlpConfig::ActFn::identity};
    Batch batch;
    batch.tokens = torch::zeros({1, 2}, torch::kInt64);
    batch.labels = torch::full({1, 1}, label, torch::kInt64);
    ModelOnBatch network(spec, make_mlp(config, spec, make_generator(1)), batch);
    const torch::NoGradGuard no_grad;
    network.model->weight("mlp.W_in").fill_(s);
    network.model->weight("mlp.W_out").copy_(torch::tensor({{t, -t}}));
    return measured(network);
  };
  const float t = 0.7f, s = std::sqrt(2.0f) * t;
  EXPECT_NEAR(scalar(with(s, t, 0), "nlm_cosine"), 1, 1e-6);
  EXPECT_NEAR(scalar(with(s, t, 1), "nlm_cosine"), -1, 1e-6);
  // 8 s t / (2 sqrt 2 (s^2 + 2 t^2)) where they are out of balance.
  EXPECT_NEAR(scalar(with(3, 1, 0), "nlm_cosine"), 24 / (2 * std::sqrt(2.0) * 11), 1e-6);
  EXPECT_NEAR(scalar(with(3, 1, 0), "nlm_cosine/mlp.W_in"), 1, 1e-6);
  // The logits are 6 and -6.
  const double wrong = 1 / (1 + std::exp(12.0));
  EXPECT_NEAR(scalar(with(3, 1, 0), "gradient_norm"), wrong * std::sqrt(16.0 + 2 * 36.0), 1e-9);
  EXPECT_TRUE(std::isnan(scalar(with(0, 0, 0), "nlm_cosine")));
}

// Against a loop in double precision: logits (A[a] + B[b]) W.
TEST(Stability, TheCosineIsThatOfTheGradient) {
  const int64_t n = 5, classes = 3;
  auto network = says(torch::randn({n, classes}, make_generator(3)), cycled(n, classes));
  const torch::NoGradGuard no_grad;
  for (const char* name : {"mlp.W_in_b", "mlp.W_out"})
    network.model->weight(name).copy_(torch::randn(network.model->weight(name).sizes(), make_generator(4)));
  const auto at = [&](const char* name, int64_t i, int64_t j) {
    return double(network.model->weight(name)[i][j].item<float>());
  };
  std::vector<std::vector<double>> A(n, std::vector<double>(classes)),
      B = A, W(classes, std::vector<double>(classes));
  for (int64_t row = 0; row < n; ++row) {
    std::vector<double> pre(classes), p(classes, 0);
    double sum = 0;
    for (int64_t k = 0; k < classes; ++k) pre[k] = at("mlp.W_in_a", row, k) + at("mlp.W_in_b", 0, k);
    for (int64_t c = 0; c < classes; ++c) {
      for (int64_t k = 0; k < classes; ++k) p[c] += pre[k] * at("mlp.W_out", k, c);
      sum += std::exp(p[c]);
    }
    for (int64_t c = 0; c < classes; ++c) {
      const double d = (std::exp(p[c]) / sum - (c == row % classes)) / double(n);
      for (int64_t k = 0; k < classes; ++k) {
        W[k][c] += d * pre[k];
        A[row][k] += d * at("mlp.W_out", k, c);
        B[0][k] += d * at("mlp.W_out", k, c);
      }
    }
  }
  double dot = 0, gg = 0, ww = 0;
  const auto add = [&](const char* name, const std::vector<std::vector<double>>& g) {
    for (size_t i = 0; i < g.size(); ++i)
      for (size_t k = 0; k < g[i].size(); ++k) {
        const double w = at(name, int64_t(i), int64_t(k));
        dot -= g[i][k] * w, gg += g[i][k] * g[i][k], ww += w * w;
      }
  };
  add("mlp.W_in_a", A), add("mlp.W_in_b", B), add("mlp.W_out", W);
  const auto recorder = measured(network);
  EXPECT_NEAR(scalar(recorder, "nlm_cosine"), dot / std::sqrt(gg * ww), 1e-6);
  EXPECT_NEAR(scalar(recorder, "gradient_norm"), std::sqrt(gg), 1e-6);
  EXPECT_LT(std::abs(dot / std::sqrt(gg * ww)), 0.9);
}

// A task and a network of one hidden layer on all its pairs, as the host shows it: the training set.
ModelOnBatch on_all_pairs(const CyclicTask& task, const MlpConfig& config, uint64_t seed = 3) {
  ModelOnBatch network(task.spec, make_mlp(config, task.spec, make_generator(seed)), *task.split.grid);
  network.structure = task.structure;
  return network;
}

MlpConfig quadratic(int64_t d_mlp) {
  return {.embedding = MlpConfig::Embedding::untied,
          .collapse = MlpConfig::Collapse::both,
          .d_mlp = d_mlp,
          .act_fn = MlpConfig::ActFn::square};
}

// By its definition: the least f_c - f_c' over pairs and wrong classes, over the L_{2,3} norm cubed.
double margin_of(const Model& model, int64_t p) {
  const Tensor U = model.weight("mlp.W_in_a"), V = model.weight("mlp.W_in_b"), W = model.weight("mlp.W_out");
  const auto u = U.accessor<float, 2>(), v = V.accessor<float, 2>(), w = W.accessor<float, 2>();
  const int64_t m = W.size(0);
  double least = INFINITY, norm = 0;
  for (int64_t a = 0; a < p; ++a)
    for (int64_t b = 0; b < p; ++b) {
      std::vector<double> f(p, 0);
      for (int64_t c = 0; c < p; ++c)
        for (int64_t i = 0; i < m; ++i) f[c] += std::pow(double(u[a][i]) + v[b][i], 2) * w[i][c];
      for (int64_t c = 0; c < p; ++c)
        if (c != (a + b) % p) least = std::min(least, f[(a + b) % p] - f[c]);
    }
  for (int64_t i = 0; i < m; ++i) {
    double squares = 0;
    for (int64_t x = 0; x < p; ++x)
      squares += double(u[x][i]) * u[x][i] + double(v[x][i]) * v[x][i] + double(w[i][x]) * w[i][x];
    norm += std::pow(squares, 1.5);
  }
  return least / norm;
}

// The neurons of theorem 7, 25 for each frequency: phases around the circle for both operands, and their sum
// for the class.
void write_waves(Model& model, int64_t p, const std::vector<int64_t>& frequencies) {
  const torch::NoGradGuard no_grad;
  for (NamedWeight& weight : model.weights()) weight.value.zero_();
  int64_t i = 0;
  for (const int64_t k : frequencies)
    for (int64_t at = 0; at < 25; ++at, ++i) {
      const double of_u = 2 * M_PI * double(at / 5) / 5, of_v = 2 * M_PI * double(at % 5) / 5;
      for (int64_t x = 0; x < p; ++x) {
        model.weight("mlp.W_in_a")[x][i] = std::cos(of_u + angle(k, x, p));
        model.weight("mlp.W_in_b")[x][i] = std::cos(of_v + angle(k, x, p));
        model.weight("mlp.W_out")[i][x] = std::cos(of_u + of_v + angle(k, x, p));
      }
    }
}

TEST(Stability, AllFrequenciesReachTheMaximumMargin) {
  for (const auto& [p, all] :
       std::vector<std::pair<int64_t, std::vector<int64_t>>>{{7, {1, 2, 3}}, {5, {1, 2}}}) {
    auto network = on_all_pairs(addition(p), quadratic(80));
    write_waves(*network.model, p, all);
    const auto recorder = measured(network);
    EXPECT_NEAR(scalar(recorder, "normalised_margin/of_maximum"), 1, 1e-5) << p;
    EXPECT_NEAR(scalar(recorder, "normalised_margin"),
                std::sqrt(2.0 / 27) / (std::sqrt(double(p)) * double(p - 1)), 1e-6);
    // The scale of all weights does not matter; that of one neuron does.
    const torch::NoGradGuard no_grad;
    for (NamedWeight& weight : network.model->weights()) weight.value.mul_(2);
    EXPECT_NEAR(scalar(measured(network), "normalised_margin/of_maximum"), 1, 1e-5) << p;
    network.model->weight("mlp.W_out")[0] *= 9;
    const auto uneven = measured(network);
    EXPECT_LT(scalar(uneven, "normalised_margin/of_maximum"), 0.9);
    EXPECT_NEAR(scalar(uneven, "normalised_margin"), margin_of(*network.model, p), 1e-7);
  }
}

// One frequency leaves its neighbour 1 - cos(2 pi / p) below, where all leave every class p / (p - 1).
TEST(Stability, OneFrequencyHasLessMarginAndRandomWeightsNone) {
  const int64_t p = 7;
  auto network = on_all_pairs(addition(p), quadratic(25));
  const auto random = measured(network);
  EXPECT_NEAR(scalar(random, "normalised_margin"), margin_of(*network.model, p), 1e-7);
  EXPECT_LT(scalar(random, "normalised_margin/of_maximum"), 0);
  EXPECT_LT(std::abs(scalar(random, "nlm_cosine")), 0.5);
  EXPECT_EQ(scalar(random, "softmax_collapse"), 0);
  write_waves(*network.model, p, {2});
  const auto one = measured(network);
  EXPECT_NEAR(scalar(one, "normalised_margin"), margin_of(*network.model, p), 1e-7);
  EXPECT_NEAR(scalar(one, "normalised_margin/of_maximum"), (1 - std::cos(2 * M_PI / 7)) * 6 / 7, 1e-5);
}

// Neurons that treat the operands alike add waves of 2 a and 2 b: even with all frequencies, half of the
// margin is gone.
TEST(Stability, TheConstructedSolutionHasHalfOfTheMargin) {
  for (const int64_t p : {7, 11}) {
    auto network = on_all_pairs(addition(p), quadratic(5 * (p - 1) / 2));
    std::vector<int64_t> all;
    for (int64_t k = 1; k <= (p - 1) / 2; ++k) all.push_back(k);
    const torch::NoGradGuard no_grad;
    set_constructed_solution(*network.model, network.spec, all);
    EXPECT_NEAR(scalar(measured(network), "normalised_margin/of_maximum"), 0.5, 1e-5) << p;
  }
}

TEST(Stability, SubtractionIsAdditionByIndex) {
  auto network = on_all_pairs(subtraction(7), quadratic(75));
  write_waves(*network.model, 7, {1, 2, 3});
  const torch::NoGradGuard no_grad;
  const Tensor b = network.model->weight("mlp.W_in_b").clone();
  for (int64_t x = 0; x < 7; ++x) network.model->weight("mlp.W_in_b")[x].copy_(b[(7 - x) % 7]);
  EXPECT_NEAR(scalar(measured(network), "normalised_margin/of_maximum"), 1, 1e-5);
}

// Where theorem 7 says nothing: another activation, a group of even or composite order, other weights.
TEST(Stability, TheMaximumIsKnownOfOneKindOfNetwork) {
  MlpConfig relu = quadratic(15), biased = quadratic(15), tied = quadratic(15);
  relu.act_fn = MlpConfig::ActFn::relu;
  biased.bias = true;
  tied.embedding = MlpConfig::Embedding::input_tied;
  for (const MlpConfig& config : {relu, biased, tied}) {
    auto network = on_all_pairs(addition(7), config);
    EXPECT_FALSE(has_scalar(measured(network), "normalised_margin"));
  }
  for (const CyclicTask& task : {addition(6), addition(9), multiplication(7, 3)}) {
    auto network = on_all_pairs(task, quadratic(15));
    EXPECT_FALSE(has_scalar(measured(network), "normalised_margin"));
  }
  auto without = on_all_pairs(addition(7), quadratic(15));
  without.structure = {};
  EXPECT_FALSE(has_scalar(measured(without), "normalised_margin"));
}

TEST(Stability, ATransformerAndALogitOfItsOwn) {
  const CyclicTask task = addition(5);
  ModelOnBatch transformer(
      task.spec,
      make_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 8}, task.spec, make_generator(1)),
      *task.split.grid);
  EXPECT_EQ(measured(transformer).record().headlines,
            (std::vector<std::string>{"softmax_collapse", "nlm_cosine"}));
  // Hinge loss: 0 beyond the margin, whatever the precision.
  auto hinge = says(torch::tensor({{3.0f}, {0.5f}, {-2.0f}, {2.0f}}), {1, 1, 0, 0}, Loss::hinge);
  const auto recorder = measured(hinge);
  EXPECT_EQ(scalar(recorder, "zero_loss"), 0.5);
  EXPECT_FALSE(has_scalar(recorder, "softmax_collapse"));
  EXPECT_EQ(scalar(recorder, "margin/min"), -2);
  EXPECT_NEAR(scalar(recorder, "margin/mean"), 3.5 / 4, 1e-12);
  EXPECT_NEAR(scalar(recorder, "logit_scale"), std::sqrt((9 + 0.25 + 4 + 4) / 4), 1e-9);
}

}  // namespace
}  // namespace orrery::testing
