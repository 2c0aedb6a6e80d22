// Linear CKA and principal angles against their definitions, and what they must not depend on.
#include "engine/compare/similarity.h"

#include <gtest/gtest.h>
#include <orrery/error.h>
#include <torch/torch.h>

#include <cmath>
#include <numbers>

namespace orrery::engine {
namespace {

using torch::Tensor;

Tensor random(int64_t rows, int64_t columns, uint64_t seed) {
  auto rng = at::detail::createCPUGenerator(seed);
  return torch::randn({rows, columns}, rng, torch::kFloat64);
}
Tensor rotation(int64_t d, uint64_t seed) { return std::get<0>(at::linalg_qr(random(d, d, seed))); }

// HSIC(K, L) = tr(K H L H) / (n - 1)^2 with H = I - 1 1^T / n, entry by entry (Kornblith et al. 2019, eq. 3).
double hsic(const Tensor& x, const Tensor& y) {
  const int64_t n = x.size(0);
  const Tensor K = x.matmul(x.t()), L = y.matmul(y.t());
  const Tensor H = torch::eye(n, torch::kFloat64) - 1.0 / static_cast<double>(n);
  const Tensor KH = K.matmul(H), LH = L.matmul(H);
  double trace = 0;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) trace += KH[i][j].item<double>() * LH[j][i].item<double>();
  return trace / static_cast<double>((n - 1) * (n - 1));
}

TEST(LinearCka, IsTheNormalisedHsicOfLinearKernels) {
  for (const int64_t n : {3, 10, 17}) {
    const Tensor x = random(n, 5, 1) + 3, y = random(n, 9, 2) - 1;
    EXPECT_NEAR(linear_cka(x, y), hsic(x, y) / std::sqrt(hsic(x, x) * hsic(y, y)), 1e-12) << n;
  }
}

TEST(LinearCka, OfOneFeatureEachIsTheSquaredCorrelation) {
  const Tensor x = torch::tensor({1.0, 2.0, 4.0}).unsqueeze(1),
               y = torch::tensor({1.0, 0.0, 2.0}).unsqueeze(1);
  // About the means: (-4, -1, 5) / 3 and (0, -1, 1); 6/3 squared over (42/9)(2).
  EXPECT_NEAR(linear_cka(x, y), 4.0 / (42.0 / 9 * 2), 1e-12);
}

TEST(LinearCka, KnowsNothingOfRotationsScalesShiftsAndOrder) {
  const Tensor x = random(40, 6, 3), y = random(40, 8, 4).narrow(1, 0, 6) + x;
  const double plain = linear_cka(x, y);
  EXPECT_GT(plain, 0.1);
  EXPECT_LT(plain, 0.9);
  EXPECT_NEAR(linear_cka(x.matmul(rotation(6, 5)), y.matmul(rotation(6, 6))), plain, 1e-12);
  EXPECT_NEAR(linear_cka(x * 7 + 2, y * 1e-3 - 5), plain, 1e-12);
  EXPECT_NEAR(linear_cka(y, x), plain, 1e-12);
  auto rng = at::detail::createCPUGenerator(7);
  const Tensor order = torch::randperm(40, rng, torch::kInt64);
  EXPECT_NEAR(linear_cka(x.index_select(0, order), y.index_select(0, order)), plain, 1e-12);
  EXPECT_NEAR(linear_cka(x, x.matmul(rotation(6, 8)) * 3), 1, 1e-12);
  // But of features stretched by different factors it does know, and of inputs in another order.
  EXPECT_LT(linear_cka(x, x * torch::tensor({9.0, 1.0, 1.0, 1.0, 1.0, 1.0})), 0.9);
  EXPECT_LT(linear_cka(x, x.index_select(0, order)), 0.5);
}

TEST(LinearCka, IsZeroForFunctionsThatAreOrthogonal) {
  const Tensor x = torch::tensor({1.0, -1.0, 1.0, -1.0}).unsqueeze(1);
  const Tensor y = torch::tensor({1.0, 1.0, -1.0, -1.0}).unsqueeze(1);
  EXPECT_NEAR(linear_cka(x, y), 0, 1e-15);
}

TEST(LinearCka, OfAConstantIsNoNumber) {
  EXPECT_TRUE(std::isnan(linear_cka(torch::full({5, 3}, 0.1, torch::kFloat32), random(5, 2, 1))));
  EXPECT_THROW(linear_cka(random(5, 3, 1), random(6, 3, 1)), Error);
}

TEST(LinearCka, TakesFloat32AndComputesInFloat64) {
  const Tensor x = random(30, 4, 1).to(torch::kFloat32), y = random(30, 4, 2).to(torch::kFloat32);
  EXPECT_EQ(linear_cka(x, y), linear_cka(x.to(torch::kFloat64), y.to(torch::kFloat64)));
}

TEST(LeadingComponents, AreTheFewestThatHoldTheShare) {
  // Variances 90, 9, 1 of 100 along three orthogonal functions with mean 0.
  Tensor functions = random(50, 3, 9);
  functions = std::get<0>(at::linalg_qr(functions - functions.mean(0)));
  const Tensor x =
      (functions * torch::tensor({90.0, 9.0, 1.0}).to(torch::kFloat64).sqrt()).matmul(rotation(3, 2)) + 4;
  EXPECT_EQ(leading_components(x, 0.89).size(1), 1);
  EXPECT_EQ(leading_components(x, 0.95).size(1), 2);
  EXPECT_EQ(leading_components(x, 1).size(1), 3);
  const Tensor two = leading_components(x, 0.95);
  EXPECT_TRUE(torch::allclose(two.t().matmul(two), torch::eye(2, torch::kFloat64), 0, 1e-10));
  EXPECT_LT(principal_angles(two, functions.narrow(1, 0, 2)).max().item<double>(), 1e-9);
  EXPECT_EQ(leading_components(torch::ones({5, 3}), 0.99).size(1), 0);
  EXPECT_EQ(leading_components(random(4, 9, 3), 1).size(1), 3);  // centred: one dimension less
}

TEST(PrincipalAngles, OfKnownPlanes) {
  const double pi = std::numbers::pi;
  for (const double angle : {0.0, 1e-9, 1e-4, 0.3, pi / 4, 1.2, pi / 2}) {
    // The first direction is shared, the second turned by `angle` out of the plane.
    const Tensor a = torch::eye(4, torch::kFloat64).narrow(1, 0, 2);
    Tensor b = a.clone();
    b[1][1] = std::cos(angle);
    b[2][1] = std::sin(angle);
    const Tensor found = principal_angles(a, b.matmul(rotation(2, 5)));
    ASSERT_EQ(found.numel(), 2);
    EXPECT_NEAR(found[0].item<double>(), 0, 1e-12) << angle;
    EXPECT_NEAR(found[1].item<double>(), angle, 1e-12) << angle;
  }
}

TEST(PrincipalAngles, AreTheRepeatedLeastAngles) {
  // By definition the first is the least angle between unit vectors of both; here by a search over circles.
  const Tensor a = std::get<0>(at::linalg_qr(random(5, 2, 11))),
               b = std::get<0>(at::linalg_qr(random(5, 2, 12)));
  double best = 0, best_s = 0, best_t = 0;
  const auto unit = [](const Tensor& basis, double t) {
    return basis.matmul(torch::tensor({std::cos(t), std::sin(t)}, torch::kFloat64));
  };
  const Tensor inner = a.t().matmul(b);
  const auto entries = inner.accessor<double, 2>();
  constexpr int steps = 720;
  for (int i = 0; i < steps; ++i)
    for (int j = 0; j < steps; ++j) {
      const double s = std::numbers::pi * i / steps, t = std::numbers::pi * j / steps;
      const double cosine = std::cos(s) * (std::cos(t) * entries[0][0] + std::sin(t) * entries[0][1]) +
                            std::sin(s) * (std::cos(t) * entries[1][0] + std::sin(t) * entries[1][1]);
      if (std::abs(cosine) > best) {
        best = std::abs(cosine);
        best_s = s;
        best_t = t;
      }
    }
  const Tensor found = principal_angles(a, b);
  EXPECT_NEAR(found[0].item<double>(), std::acos(best), 0.01);
  // The second: between what is orthogonal to those, one direction in each plane.
  const double half = std::numbers::pi / 2;
  EXPECT_NEAR(found[1].item<double>(),
              std::acos(std::abs(unit(a, best_s + half).dot(unit(b, best_t + half)).item<double>())), 0.01);
}

TEST(PrincipalAngles, OfDifferentDimensionsAreAsManyAsTheSmallerHas) {
  const Tensor I = torch::eye(6, torch::kFloat64);
  const Tensor a = I.narrow(1, 0, 2), b = I.narrow(1, 1, 4);
  for (const Tensor& found : {principal_angles(a, b), principal_angles(b, a)}) {
    ASSERT_EQ(found.numel(), 2);
    EXPECT_NEAR(found[0].item<double>(), 0, 1e-12);
    EXPECT_NEAR(found[1].item<double>(), std::numbers::pi / 2, 1e-12);
  }
  EXPECT_EQ(principal_angles(a, I.narrow(1, 0, 0)).numel(), 0);
  EXPECT_THROW(principal_angles(a * 2, b), Error);
  EXPECT_THROW(principal_angles(a, torch::eye(5, torch::kFloat64)), Error);
}

}  // namespace
}  // namespace orrery::engine
