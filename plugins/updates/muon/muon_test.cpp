#include <gtest/gtest.h>
#include <orrery/error.h>

#include <cmath>

#include "tests/support/update_by_hand.h"

namespace orrery::testing {
namespace {

using Matrix = std::vector<std::vector<double>>;

Matrix entries(const torch::Tensor& matrix) {
  Matrix all;
  for (int64_t i = 0; i < matrix.size(0); ++i) all.push_back(numbers(matrix[i]));
  return all;
}

Matrix transposed(const Matrix& a) {
  Matrix t(a[0].size(), std::vector<double>(a.size()));
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t j = 0; j < a[0].size(); ++j) t[j][i] = a[i][j];
  return t;
}

Matrix product(const Matrix& a, const Matrix& b) {
  Matrix c(a.size(), std::vector<double>(b[0].size(), 0));
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t j = 0; j < b[0].size(); ++j)
      for (size_t k = 0; k < b.size(); ++k) c[i][j] += a[i][k] * b[k][j];
  return c;
}

Matrix combined(double s, const Matrix& a, double t, const Matrix& b) {
  Matrix c = a;
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t j = 0; j < a[0].size(); ++j) c[i][j] = s * a[i][j] + t * b[i][j];
  return c;
}

// The iteration as it is written, on the matrix as it stands.
Matrix newton_schulz(const Matrix& g, int steps) {
  double squares = 0;
  for (const auto& row : g)
    for (const double entry : row) squares += entry * entry;
  Matrix x = combined(1 / (std::sqrt(squares) + 1e-7), g, 0, g);
  for (int i = 0; i < steps; ++i) {
    const Matrix gram = product(x, transposed(x)), cubic = product(gram, x);
    x = combined(1, combined(3.4445, x, -4.7750, cubic), 2.0315, product(gram, cubic));
  }
  return x;
}

// The algorithm on one matrix [in, out], over several steps.
struct Reference {
  Matrix weight, momentum;
  double beta = 0.95, lr = 0.02, decay = 0.1, factor = 1;
  bool nesterov = true;
  int steps = 5;

  explicit Reference(const torch::Tensor& start) : weight(entries(start)) {
    momentum = combined(0, weight, 0, weight);
    const auto in = static_cast<double>(weight.size()), out = static_cast<double>(weight[0].size());
    factor = std::sqrt(std::max(1.0, out / in));
  }
  void step(const torch::Tensor& gradient) {
    const Matrix g = entries(gradient);
    momentum = combined(beta, momentum, 1 - beta, g);
    const Matrix along = nesterov ? combined(1 - beta, g, beta, momentum) : momentum;
    weight = combined(1 - lr * decay, weight, -lr * factor, newton_schulz(along, steps));
  }
};

void expect_equal(const torch::Tensor& own, const Matrix& expected) {
  const Matrix is = entries(own);
  for (size_t i = 0; i < is.size(); ++i)
    for (size_t j = 0; j < is[0].size(); ++j) EXPECT_NEAR(is[i][j], expected[i][j], 1e-11);
}

void expect_as_reference(
    std::vector<int64_t> sizes, const std::string& parameters,
    const std::function<void(Reference&)>& change = [](Reference&) {}) {
  const torch::Generator rng = make_generator(1);
  const torch::Tensor start = torch::randn(sizes, rng, torch::kFloat64);
  Reference reference(start);
  change(reference);
  UpdateByHand update(parameters);
  update.add("w", start.clone());
  update.lr = 0.02;
  update.weight_decay = 0.1;
  for (int step = 0; step < 6; ++step) {
    const torch::Tensor gradient = torch::randn(sizes, rng, torch::kFloat64);
    update.step({gradient});
    reference.step(gradient);
    expect_equal(update.value(0), reference.weight);
  }
}

TEST(Muon, IsTheAlgorithm) {
  expect_as_reference({4, 9}, "{}");  // wide: in < out
  expect_as_reference({7, 3}, "{}");  // tall
  expect_as_reference({5, 5}, "{}");
}

TEST(Muon, HasOptions) {
  expect_as_reference({4, 9}, R"({"nesterov": false, "momentum": 0.5, "ns_steps": 2})", [](Reference& r) {
    r.nesterov = false;
    r.beta = 0.5;
    r.steps = 2;
  });
  expect_as_reference({4, 9}, R"({"scale": "rms"})", [](Reference& r) { r.factor = 0.2 * 3; });
  expect_as_reference({4, 9}, R"({"scale": "none"})", [](Reference& r) { r.factor = 1; });
}

// Each head of W_Q [n_heads, d_model, d_head] for itself.
TEST(Muon, TakesLeadingDimensionsForMatrices) {
  const torch::Generator rng = make_generator(2);
  const torch::Tensor start = torch::randn({2, 6, 3}, rng, torch::kFloat64);
  std::vector<Reference> heads = {Reference(start[0]), Reference(start[1])};
  UpdateByHand update;
  update.add("blocks.0.attn.W_Q", start.clone());
  update.lr = 0.02;
  update.weight_decay = 0.1;
  for (int step = 0; step < 3; ++step) {
    // A head with gradients a thousand times as large takes no part of the other's step.
    torch::Tensor gradient = torch::randn({2, 6, 3}, rng, torch::kFloat64);
    gradient[1] *= 1000;
    update.step({gradient});
    for (int64_t head = 0; head < 2; ++head) {
      heads[head].step(gradient[head]);
      expect_equal(update.value(0)[head], heads[head].weight);
    }
  }
}

TEST(Muon, MakesItsStepNearlyOrthogonal) {
  UpdateByHand update(R"({"momentum": 0.0})");
  update.add("w", torch::zeros({8, 8}, torch::kFloat64));
  update.lr = 1;
  update.step({torch::randn({8, 8}, make_generator(3), torch::kFloat64)});
  const auto singular = numbers(torch::linalg_svdvals(update.value(0)));
  EXPECT_LT(singular.front(), 1.3);
  EXPECT_GT(singular.back(), 0.3);
}

TEST(Muon, RefusesVectors) {
  const auto update = make_update();
  EXPECT_NE(update->refusal("blocks.0.mlp.b_in", torch::zeros({8})), "");
  EXPECT_NE(update->refusal("blocks.0.attn.b_Q", torch::zeros({2, 4})), "");
  EXPECT_EQ(update->refusal("blocks.0.mlp.W_in", torch::zeros({8, 4})), "");
  EXPECT_EQ(update->refusal("blocks.0.attn.W_Q", torch::zeros({2, 8, 4})), "");
  EXPECT_THROW(make_update(R"({"momentum": 1.0})"), UsageError);
  EXPECT_THROW(make_update(R"({"eps": 1e-60})"), UsageError);
}

}  // namespace
}  // namespace orrery::testing
