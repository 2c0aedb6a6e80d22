// The mathematics of orrery/fourier.h against sums written out in double precision, for odd and even orders.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/fourier.h>
#include <orrery/subspace.h>
#include <tests/support/hand_built.h>

#include <array>

namespace orrery {
namespace {

using testing::angle;

double at(const torch::Tensor& x, int64_t i) { return x[i].item<double>(); }
double at(const torch::Tensor& x, int64_t i, int64_t j) { return x[i][j].item<double>(); }

torch::Tensor noise(std::vector<int64_t> sizes, uint64_t seed = 3) {
  return torch::randn(sizes, make_generator(seed), torch::kFloat64);
}

// Row `name` of the basis at x, from its definition.
double wave(const std::string& name, int64_t x, int64_t n) {
  if (name == "const") return 1 / std::sqrt(double(n));
  const int64_t k = std::stoll(name.substr(4));
  if (2 * k == n) return (x % 2 ? -1 : 1) / std::sqrt(double(n));
  const double phase = 2 * M_PI * double(k) * double(x) / double(n);
  return std::sqrt(2.0 / double(n)) * (name[0] == 'c' ? std::cos(phase) : std::sin(phase));
}

class Fourier : public ::testing::TestWithParam<int64_t> {
 protected:
  const int64_t n = GetParam();
  const std::vector<std::string> names = fourier_names(n);
};
INSTANTIATE_TEST_SUITE_P(Orders, Fourier, ::testing::Values(2, 3, 7, 8, 12));

TEST_P(Fourier, BasisIsOrthonormalAndAsNamed) {
  const auto basis = fourier_basis(n);
  ASSERT_EQ(basis.sizes(), (std::vector<int64_t>{n, n}));
  ASSERT_EQ(basis.scalar_type(), torch::kFloat64);
  ASSERT_EQ(names.size(), size_t(n));
  for (int64_t row = 0; row < n; ++row)
    for (int64_t x = 0; x < n; ++x)
      EXPECT_NEAR(at(basis, row, x), wave(names[row], x, n), 1e-14) << names[row];
  for (int64_t row = 0; row < n; ++row)
    for (int64_t other = 0; other < n; ++other) {
      double product = 0;
      for (int64_t x = 0; x < n; ++x) product += at(basis, row, x) * at(basis, other, x);
      EXPECT_NEAR(product, row == other, 1e-14);
    }
}

TEST_P(Fourier, NormsAreThoseOfTheComponents) {
  const auto x = noise({n, 4});
  const auto norms = fourier_norms(x);
  ASSERT_EQ(norms.size(0), n / 2 + 1);
  std::vector<double> expected(n / 2 + 1);
  for (int64_t row = 0; row < n; ++row)
    for (int64_t d = 0; d < 4; ++d) {
      double component = 0;
      for (int64_t i = 0; i < n; ++i) component += wave(names[row], i, n) * at(x, i, d);
      expected[(row + 1) / 2] += component * component;
    }
  for (int64_t k = 0; k <= n / 2; ++k) EXPECT_NEAR(at(norms, k), std::sqrt(expected[k]), 1e-12);
  EXPECT_NEAR(norms.square().sum().item<double>(), x.square().sum().item<double>(), 1e-11);
}

// Component (u, v) of x [n, n], by its double sum.
double component_2d(const torch::Tensor& x, const std::string& u, const std::string& v) {
  double sum = 0;
  for (int64_t i = 0; i < x.size(0); ++i)
    for (int64_t j = 0; j < x.size(0); ++j)
      sum += wave(u, i, x.size(0)) * wave(v, j, x.size(0)) * at(x, i, j);
  return sum;
}

TEST_P(Fourier, TwoDimensionalTransformIsTheDoubleSum) {
  const auto x = noise({n, n, 2});
  const auto transformed = fourier_2d(x);
  for (int64_t m = 0; m < 2; ++m)
    for (int64_t u = 0; u < n; ++u)
      for (int64_t v = 0; v < n; ++v)
        EXPECT_NEAR(transformed[u][v][m].item<double>(), component_2d(x.select(2, m), names[u], names[v]),
                    1e-12);
}

TEST_P(Fourier, ShareOfANeuronIsThatOfItsEightTerms) {
  const auto neurons = noise({n, n, 3}) + 10;
  const auto spectrum = neuron_spectrum(neurons);
  for (int64_t m = 0; m < 3; ++m) {
    const auto x = neurons.select(2, m);
    const double energy = (x - x.mean()).square().sum().item<double>();
    double largest = 0;
    int64_t best = 0;
    for (int64_t k = 1; k <= n / 2; ++k) {
      std::vector<std::string> terms{"const", "cos " + std::to_string(k)};
      if (2 * k < n) terms.push_back("sin " + std::to_string(k));
      double own = -std::pow(component_2d(x, "const", "const"), 2);
      for (const auto& u : terms)
        for (const auto& v : terms) own += std::pow(component_2d(x, u, v), 2);
      if (own / energy > largest) largest = own / energy, best = k;
    }
    EXPECT_NEAR(at(spectrum.share, m), largest, 1e-9);
    EXPECT_EQ(spectrum.frequency[m].item<int64_t>(), best);
  }
  EXPECT_NEAR(spectrum.energy.sum().item<double>(), 1, 1e-12);
}

TEST_P(Fourier, ProjectionIsThatOntoCosAndSinOfTheSum) {
  const auto x = noise({n * n, 3});
  std::vector<int64_t> frequencies{n / 2};
  if (n > 3) frequencies = {n / 2, 1};
  // By its definition: inner products over all pairs with the scaled functions.
  auto expected = torch::zeros({n * n, 3}, torch::kFloat64);
  for (const int64_t k : frequencies)
    for (const bool sine : {false, true}) {
      std::vector<double> direction(n * n);
      double norm = 0;
      for (int64_t cell = 0; cell < n * n; ++cell) {
        const double phase = angle(k, cell / n + cell % n, n);
        direction[cell] = sine ? std::sin(phase) : std::cos(phase);
        norm += direction[cell] * direction[cell];
      }
      if (norm < 1e-9) continue;  // the sine of n/2
      for (int64_t m = 0; m < 3; ++m) {
        double product = 0;
        for (int64_t cell = 0; cell < n * n; ++cell) product += direction[cell] * at(x, cell, m);
        for (int64_t cell = 0; cell < n * n; ++cell) expected[cell][m] += product / norm * direction[cell];
      }
    }
  const auto projected = [&](const std::vector<int64_t>& keys) {
    return functions_of_sum(wave_functions(n, keys)).project(x);
  };
  EXPECT_TRUE(torch::allclose(projected(frequencies), expected, 0, 1e-12));
  EXPECT_TRUE(torch::allclose(testing::project_on_sum(x, frequencies), expected, 0, 1e-12));
  EXPECT_EQ(projected({}).abs().max().item<double>(), 0);
}

TEST_P(Fourier, CosineCoefficientsAreInnerProductsOverAllTriples) {
  const auto x = noise({n * n, n});
  const auto coefficients = cosine_coefficients(x);
  ASSERT_EQ(coefficients.size(0), n / 2 + 1);
  for (int64_t k = 0; k <= n / 2; ++k) {
    double product = 0, norm = 0;
    for (int64_t cell = 0; cell < n * n; ++cell)
      for (int64_t c = 0; c < n; ++c) {
        const double f = std::cos(angle(k, cell / n + cell % n - c, n));
        product += f * at(x, cell, c);
        norm += f * f;
      }
    EXPECT_NEAR(at(coefficients, k), product / std::sqrt(norm), 1e-11) << k;
  }
}

TEST(FourierErrors, FrequenciesThatDoNotExist) {
  EXPECT_THROW(wave_functions(7, {0}), Error);
  EXPECT_THROW(wave_functions(7, {4}), Error);
  EXPECT_THROW(wave_functions(7, {1, 1}), Error);
  EXPECT_THROW(cosine_coefficients(noise({48, 2})), Error);
  EXPECT_THROW(cosine_coefficients(noise({49, 6})), Error);
  EXPECT_THROW(fourier_2d(noise({7, 6, 2})), Error);
  EXPECT_THROW(fourier_basis(0), Error);
}

TEST(FourierBasis, SingularAnglesStayExactAtLargeOrders) {
  const auto basis = fourier_basis(1009);
  const auto product = basis.matmul(basis.t()) - torch::eye(1009, torch::kFloat64);
  EXPECT_LT(product.abs().max().item<double>(), 1e-13);
}

TEST(Gini, KnownValues) {
  const auto of = [](std::vector<double> values) { return gini(torch::tensor(values, torch::kFloat64)); };
  EXPECT_NEAR(of({3, 3, 3, 3}), 0, 1e-15);
  EXPECT_NEAR(of({0, 0, 5, 0}), 0.75, 1e-15);
  EXPECT_NEAR(of({2, 1}), 1.0 / 6, 1e-15);
  EXPECT_NEAR(of({4, 1, 3, 2}), 0.25, 1e-15);  // sum over pairs |x - y| / (2 n^2 mean) = 20 / 80
  EXPECT_EQ(of({0, 0}), 0);
}

TEST(CrossEntropy, KnownValuesAndSmallOnes) {
  const auto logits = torch::tensor({0., 0., 20., 0.}, torch::kFloat64).view({2, 2});
  const auto loss = cross_entropy(logits, torch::tensor({1, 0}, torch::kInt64));
  EXPECT_NEAR(at(loss, 0), std::log(2), 1e-15);
  EXPECT_NEAR(at(loss, 1), std::log1p(std::exp(-20)), 1e-15);  // float32 would say 0
}

TEST(NeuronSpectrum, NeuronsOfKnownFrequency) {
  const int64_t n = 11;
  auto neurons = torch::zeros({n, n, 4});
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      neurons[i][j][0] =
          7 + std::cos(angle(3, i, n) + 0.4) * std::sin(angle(3, j, n)) - std::cos(angle(3, j, n));
      neurons[i][j][1] = std::cos(angle(2, i, n)) + 2 * std::cos(angle(5, j, n));  // 1/5 and 4/5
      neurons[i][j][2] = std::cos(angle(2, i, n)) * std::cos(angle(5, j, n));  // belongs to no one frequency
      neurons[i][j][3] = 0.3;                                                  // constant
    }
  const auto spectrum = neuron_spectrum(neurons);
  const std::array<int64_t, 4> frequencies{3, 5, spectrum.frequency[2].item<int64_t>(), 0};
  const std::array<double, 4> shares{1, 0.8, 0, 0};
  for (int64_t m = 0; m < 4; ++m) {
    EXPECT_EQ(spectrum.frequency[m].item<int64_t>(), frequencies[m]) << m;
    EXPECT_NEAR(at(spectrum.share, m), shares[m], 1e-6) << m;
  }
  const auto clusters = spectrum.clusters(0.75);
  EXPECT_EQ(clusters.sum().item<int64_t>(), 2);
  EXPECT_EQ(clusters[3].item<int64_t>(), 1);
  EXPECT_EQ(clusters[5].item<int64_t>(), 1);
  EXPECT_EQ(spectrum.clusters(0.85).sum().item<int64_t>(), 1);
}

}  // namespace
}  // namespace orrery
