// What SGLD estimates against exact expectations: closed forms for a quadratic, quadrature for products of
// powers, Gibbs sampling for reduced-rank regression. A chain samples exp(-n beta L - gamma/2 |w - w*|^2),
// and rescaling w shows that beyond the step only R = n beta / gamma^(degree of L / 2) matters. So there are
// two comparisons, and none has a tolerance of its own: SGLD at a small R against the exact expectation at
// that R, within four standard errors, which must be small; and the exact expectation at growing R against
// the learning coefficient of the literature.
#include <gtest/gtest.h>
#include <orrery/sgld.h>
#include <orrery/task.h>

#include <array>
#include <cmath>
#include <functional>

namespace orrery::sgld_exact_test {
namespace {

using Function = std::function<double(const double* w, double* gradient)>;

LearningCoefficient sampled(const std::vector<double>& start, const Function& f, const SgldSettings& s) {
  const LossAndGradient loss = [&f](const torch::Tensor& w, const torch::Tensor& gradient) {
    return f(w.data_ptr<double>(), gradient.data_ptr<double>());
  };
  return sgld(
      torch::tensor(start, torch::kFloat64), 0, [&](const torch::Generator&) { return loss; }, s);
}

// Within four standard errors, of which one is at most `precision` of the value.
void expect_estimate(const LearningCoefficient& found, double expected, double precision) {
  EXPECT_TRUE(found.diverged.empty());
  EXPECT_LT(found.standard_error, precision * expected);
  EXPECT_NEAR(found.estimate, expected, 4 * found.standard_error);
}

// --- a regular quadratic, 1/2 sum h_i w_i^2 ---

// w_i is an autoregression with factor 1 - epsilon a / 2, a = n beta h_i + gamma, from w_i = 0 on.
struct Autoregression {
  Autoregression(double h, const SgldSettings& s)
      : a(s.nbeta * h + s.gamma), factor(1 - s.epsilon * a / 2), epsilon(s.epsilon) {}
  double variance(int64_t t) const { return epsilon * (1 - std::pow(factor, 2 * t)) / (1 - factor * factor); }
  double a, factor, epsilon;
};

double exact_mean(const std::vector<double>& h, const SgldSettings& s) {
  double sum = 0;
  for (const double curvature : h) {
    const Autoregression w(curvature, s);
    for (int64_t i = 1; i <= s.n_draws; ++i)
      sum += s.nbeta * curvature / 2 * w.variance(s.n_burn_in + i * s.steps_between);
  }
  return sum / static_cast<double>(s.n_draws);
}

// Of the estimate by one chain: cov(w_s^2, w_t^2) = 2 cov(w_s, w_t)^2.
double exact_deviation(const std::vector<double>& h, const SgldSettings& s) {
  double sum = 0;
  for (const double curvature : h) {
    const Autoregression w(curvature, s);
    const double scale = std::pow(s.nbeta * curvature / 2, 2);
    for (int64_t i = 1; i <= s.n_draws; ++i) {
      const double variance = w.variance(s.n_burn_in + i * s.steps_between);
      for (int64_t j = i; j <= s.n_draws; ++j) {
        const double covariance = variance * std::pow(w.factor, (j - i) * s.steps_between);
        sum += (i == j ? 1 : 2) * scale * 2 * covariance * covariance;
      }
    }
  }
  return std::sqrt(sum) / static_cast<double>(s.n_draws);
}

Function quadratic(std::vector<double> h) {
  return [h](const double* w, double* gradient) {
    double loss = 0;
    for (size_t i = 0; i < h.size(); ++i) {
      loss += 0.5 * h[i] * w[i] * w[i];
      gradient[i] = h[i] * w[i];
    }
    return loss;
  };
}

TEST(SgldExact, OfAQuadraticTheEstimateIsThatOfTheAutoregression) {
  const std::vector<double> h = {10, 3, 1, 0.3, 0};
  for (const int64_t burn_in : {0, 100}) {
    const SgldSettings s{.epsilon = 1e-4,
                         .nbeta = 1000,
                         .gamma = 30,
                         .n_chains = 400,
                         .n_burn_in = burn_in,
                         .n_draws = 100,
                         .steps_between = 2,
                         .seed = 1};
    const auto found = sampled({0, 0, 0, 0, 0}, quadratic(h), s);
    const double error = exact_deviation(h, s) / std::sqrt(400.0);
    expect_estimate(found, exact_mean(h, s), 0.02);
    EXPECT_NEAR(found.estimate, exact_mean(h, s), 4 * error);
    // The deviation of 400 estimates is known to 1/sqrt(2 * 399) = 3.5 % of itself: four of these.
    EXPECT_NEAR(found.standard_error, error, 0.15 * error);
  }
}

TEST(SgldExact, OfAQuadraticTheExpectationGoesToHalfTheDimension) {
  const std::vector<double> h = {10, 3, 1, 0.3};
  const auto at = [&](double nbeta, double stiffness, int64_t burn_in) {
    return exact_mean(h, {.epsilon = stiffness / (10 * nbeta),
                          .nbeta = nbeta,
                          .gamma = 30,
                          .n_burn_in = burn_in,
                          .n_draws = 1});
  };
  const int64_t long_enough = 100'000;
  EXPECT_NEAR(at(1e8, 1e-2, long_enough), 2, 0.002);
  // What keeps it from there: the force back, sum n beta h / (n beta h + gamma) / 2, ...
  EXPECT_NEAR(at(1e3, 1e-2, long_enough), (1 / 1.003 + 1 / 1.01 + 1 / 1.03 + 1 / 1.1) / 2, 0.003);
  // ... the step, 1 / (1 - epsilon a / 4) in the stiffest direction, ...
  EXPECT_NEAR(at(1e8, 2, long_enough), (1 / 0.5 + 1 / 0.85 + 1 / 0.95 + 1 / 0.985) / 2, 0.001);
  // ... and a burn-in that is too short.
  EXPECT_LT(at(1e8, 1e-2, 100), 1.4);
}

// --- products of powers, L = prod w_i^(2 k_i): 1 / (2 max k), of multiplicity #{i : k_i = max k} ---

// E[R L] under exp(-R L - |w|^2 / 2), for one or two weights: the midpoint rule in ln |w_i|.
double quadrature(const std::vector<int>& k, double R) {
  constexpr int n = 1500;
  const double low = std::log(1e-13), step = (std::log(12.0) - low) / n;
  std::vector<double> weight(n), log_w(n);
  for (int i = 0; i < n; ++i) {
    log_w[i] = low + (i + 0.5) * step;
    weight[i] = std::exp(log_w[i] - std::exp(2 * log_w[i]) / 2);
  }
  double sum = 0, norm = 0;
  const auto add = [&](double log_loss, double prior) {
    const double energy = R * std::exp(log_loss), mass = prior * std::exp(-energy);
    norm += mass;
    sum += mass * energy;
  };
  for (int i = 0; i < n; ++i) {
    if (k.size() == 1) add(2 * k[0] * log_w[i], weight[i]);
    for (int j = 0; j < n && k.size() == 2; ++j)
      add(2 * k[0] * log_w[i] + 2 * k[1] * log_w[j], weight[i] * weight[j]);
  }
  return sum / norm;
}

Function product_of_powers(std::vector<int> k) {
  return [k](const double* w, double* gradient) {
    double loss = 1;
    for (size_t i = 0; i < k.size(); ++i)
      for (int j = 0; j < k[i]; ++j) loss *= w[i] * w[i];
    for (size_t i = 0; i < k.size(); ++i) {
      gradient[i] = 2 * k[i];
      for (int j = 0; j < 2 * k[i] - 1; ++j) gradient[i] *= w[i];
      for (size_t other = 0; other < k.size(); ++other)
        for (int j = 0; other != i && j < k[other]; ++j) gradient[i] *= w[other] * w[other];
    }
    return loss;
  };
}

TEST(SgldExact, OfPowersTheEstimateIsThatOfQuadrature) {
  struct Case {
    std::vector<int> k;
    double epsilon;
    int64_t n_draws;
  };
  // Steps so small that even four deviations of the prior away the curvature leaves a stable chain. It
  // forgets its start at epsilon gamma / 2 a step; the burn-in takes three times that.
  for (const Case& c : {Case{{1}, 1e-4, 40'000}, Case{{2}, 4e-4, 70'000}, Case{{3}, 2e-4, 100'000},
                        Case{{1, 1}, 1e-4, 200'000}, Case{{1, 2}, 4e-5, 270'000}}) {
    const SgldSettings s{.epsilon = c.epsilon,
                         .nbeta = 100,
                         .gamma = 1,
                         .n_chains = 16,
                         .n_burn_in = static_cast<int64_t>(6 / c.epsilon),
                         .n_draws = c.n_draws,
                         .seed = 2};
    expect_estimate(sampled(std::vector<double>(c.k.size()), product_of_powers(c.k), s), quadrature(c.k, 100),
                    0.08);
  }
}

TEST(SgldExact, OfPowersTheExpectationGoesToTheLearningCoefficient) {
  // Multiplicity 1: as a power of R.
  EXPECT_NEAR(quadrature({1}, 1e8), 1 / 2.0, 1e-4);
  EXPECT_NEAR(quadrature({2}, 1e12), 1 / 4.0, 1e-4);
  EXPECT_NEAR(quadrature({3}, 1e12), 1 / 6.0, 1e-3);
  EXPECT_NEAR(quadrature({1, 2}, 1e12), 1 / 4.0, 1e-3);
  EXPECT_NEAR(quadrature({1, 3}, 1e12), 1 / 6.0, 1e-3);
  // Multiplicity 2: below it by about 1 / log R. No n of an experiment makes that small.
  for (const int k : {1, 2}) {
    const double at_8 = quadrature({k, k}, 1e8), at_12 = quadrature({k, k}, 1e12);
    EXPECT_LT(at_8, at_12);
    EXPECT_NEAR((0.5 / k - at_12) * std::log(1e12), 1, 0.15);
  }
}

// --- reduced-rank regression, 1/2 |B A - C|^2 for A [H, M], B [N, H] and C of rank r ---

// Aoyagi & Watanabe 2005, "Stochastic complexities of reduced rank regression in Bayesian estimation".
double learning_coefficient(int M, int N, int H, int r) {
  if (N + r <= M + H && M + r <= N + H && H + r <= M + N) {
    const int odd = (M + N + H + r) % 2;
    return (2 * (H + r) * (M + N) - (M - N) * (M - N) - (H + r) * (H + r) + odd) / 8.0;
  }
  if (M + H < N + r) return (H * M - H * r + N * r) / 2.0;
  if (N + H < M + r) return (H * N - H * r + M * r) / 2.0;
  return M * N / 2.0;
}

TEST(SgldExact, TheFormulaOfReducedRankRegressionHasItsKnownCases) {
  // With one hidden unit and C = 0 it is |a|^2 |b|^2: half the smaller dimension.
  for (int M = 1; M < 6; ++M)
    for (int N = 1; N < 6; ++N) EXPECT_EQ(learning_coefficient(M, N, 1, 0), std::min(M, N) / 2.0);
  // Of full rank H it is regular but for the H^2 dimensions of (B g, g^-1 A); with more than M + N hidden
  // units it is a regular function of B A.
  for (int H = 1; H < 4; ++H) EXPECT_EQ(learning_coefficient(4, 5, H, H), H * (4 + 5 - H) / 2.0);
  EXPECT_EQ(learning_coefficient(2, 3, 6, 0), 3);
}

// The columns of A, then the rows of B, of H numbers each: (B A)_kj = row k . column j.
struct ReducedRank {
  int M, N, H, r;

  int size() const { return (M + N) * H; }
  // The most singular factors of C = diag(1, ..., 1, 0, ...): as few hidden units as C has ranks are in use.
  std::vector<double> start() const {
    std::vector<double> w(size(), 0.0);
    for (int i = 0; i < r; ++i) w[i * H + i] = w[(M + i) * H + i] = 1;
    return w;
  }
  double target(int k, int j) const { return k == j && k < r; }

  double operator()(const double* w, double* gradient) const {
    std::fill(gradient, gradient + size(), 0.0);
    double loss = 0;
    for (int k = 0; k < N; ++k)
      for (int j = 0; j < M; ++j) {
        const double *const row = w + (M + k) * H, *const column = w + j * H;
        double residual = -target(k, j);
        for (int h = 0; h < H; ++h) residual += row[h] * column[h];
        loss += 0.5 * residual * residual;
        for (int h = 0; h < H; ++h) {
          gradient[j * H + h] += residual * row[h];
          gradient[(M + k) * H + h] += residual * column[h];
        }
      }
    return loss;
  }
};

// Samples exp(-R L - |w - start|^2 / 2) without a step size: given B, the columns of A are normal, and the
// reverse.
class Gibbs {
 public:
  Gibbs(const ReducedRank& model, double R, uint64_t seed)
      : model_(model), R_(R), w_(model.start()), origin_(model.start()), rng_(make_generator(seed)) {}

  // The mean of R L over `n` sweeps, with A averaged exactly given B.
  double mean_energy(int n) {
    double sum = 0;
    for (int i = -n / 10; i < n; ++i) {
      const double energy = draw(0, model_.M, model_.M, model_.N);  // A given B
      draw(model_.M, model_.N, 0, model_.M);                        // B given A
      if (i >= 0) sum += energy / n;
    }
    return sum;
  }

 private:
  using Square = std::array<std::array<double, 2>, 2>;
  static constexpr int most = 2;  // hidden units

  // Draws the n vectors from `first` on given the n_given from `given` on. Returns the expectation of R L
  // over what may be drawn.
  double draw(int first, int n, int given, int n_given) {
    const int H = model_.H;
    Square precision{};
    for (int h = 0; h < H; ++h) precision[h][h] = 1;
    for (int k = 0; k < n_given; ++k)
      for (int h = 0; h < H; ++h)
        for (int g = 0; g < H; ++g) precision[h][g] += R_ * at(given + k)[h] * at(given + k)[g];
    const Square root = cholesky(precision);
    double energy = 0;
    for (int k = 0; k < n_given; ++k) {  // R / 2 y^T P^-1 y for each of the vectors
      const auto half = solve_lower(root, {at(given + k)[0], H > 1 ? at(given + k)[1] : 0});
      energy += n * R_ / 2 * (half[0] * half[0] + half[1] * half[1]);
    }
    for (int j = 0; j < n; ++j) {
      std::array<double, most> linear{}, noise{};
      for (int h = 0; h < H; ++h) {
        linear[h] = origin_[(first + j) * H + h];
        for (int k = 0; k < n_given; ++k) linear[h] += R_ * model_.target(k, j) * at(given + k)[h];
        noise[h] = normal();
      }
      const auto mean = solve_upper(root, solve_lower(root, linear)), spread = solve_upper(root, noise);
      for (int k = 0; k < n_given; ++k) {
        double residual = -model_.target(k, j);
        for (int h = 0; h < H; ++h) residual += at(given + k)[h] * mean[h];
        energy += R_ / 2 * residual * residual;
      }
      for (int h = 0; h < H; ++h) at(first + j)[h] = mean[h] + spread[h];
    }
    return energy;
  }

  double* at(int vector) { return &w_[vector * model_.H]; }
  double normal() {
    if (used_ == noise_.numel()) {
      noise_.normal_(0, 1, rng_);
      used_ = 0;
    }
    return noise_.data_ptr<double>()[used_++];
  }
  // Lower triangular; for one hidden unit the second row is that of the identity.
  Square cholesky(const Square& p) const {
    Square l{};
    l[0][0] = std::sqrt(p[0][0]);
    l[1][0] = p[1][0] / l[0][0];
    l[1][1] = model_.H > 1 ? std::sqrt(p[1][1] - l[1][0] * l[1][0]) : 1;
    return l;
  }
  static std::array<double, most> solve_lower(const Square& l, const std::array<double, most>& x) {
    const double first = x[0] / l[0][0];
    return {first, (x[1] - l[1][0] * first) / l[1][1]};
  }
  static std::array<double, most> solve_upper(const Square& l, const std::array<double, most>& x) {
    const double second = x[1] / l[1][1];
    return {(x[0] - l[1][0] * second) / l[0][0], second};
  }

  const ReducedRank& model_;
  double R_;
  std::vector<double> w_, origin_;
  torch::Generator rng_;
  torch::Tensor noise_ = torch::empty({4096}, torch::kFloat64);
  int64_t used_ = 4096;
};

struct Measured {
  double mean = 0, error = 0;
};
Measured by_gibbs(const ReducedRank& model, double R, int n) {
  constexpr int n_chains = 8;
  std::array<double, n_chains> means{};
  Measured all;
  for (int i = 0; i < n_chains; ++i)
    all.mean += (means[i] = Gibbs(model, R, 10 + i).mean_energy(n)) / n_chains;
  for (const double mean : means) all.error += std::pow(mean - all.mean, 2);
  all.error = std::sqrt(all.error / (n_chains - 1) / n_chains);
  return all;
}

// M, N, H, r; all of multiplicity 1: M + N + H + r is even.
const ReducedRank shapes[] = {{3, 2, 1, 0}, {2, 2, 2, 0}, {3, 2, 2, 1}};

TEST(SgldExact, OfReducedRankRegressionTheEstimateIsThatOfGibbsSampling) {
  for (const ReducedRank& model : shapes) {
    const SgldSettings s{.epsilon = 1e-4,
                         .nbeta = 100,
                         .gamma = 1,
                         .n_chains = 16,
                         .n_burn_in = 60'000,
                         .n_draws = 100'000,
                         .seed = 3};
    const auto found = sampled(model.start(), model, s);
    const Measured expected = by_gibbs(model, 100, 20'000);
    EXPECT_LT(expected.error, found.standard_error);
    EXPECT_LT(found.standard_error, 0.05 * expected.mean);
    EXPECT_NEAR(found.estimate, expected.mean, 4 * std::hypot(found.standard_error, expected.error));
    // Told from a regular network of as many weights, half the dimension.
    EXPECT_LT(found.estimate + 4 * found.standard_error, model.size() / 2.0);
  }
}

TEST(SgldExact, OfReducedRankRegressionTheExpectationGoesToTheFormula) {
  EXPECT_EQ(learning_coefficient(3, 2, 1, 0), 1);
  EXPECT_EQ(learning_coefficient(2, 2, 2, 0), 1.5);
  EXPECT_EQ(learning_coefficient(3, 2, 2, 1), 2.5);
  for (const ReducedRank& model : shapes) {
    const double formula = learning_coefficient(model.M, model.N, model.H, model.r);
    const Measured coarse = by_gibbs(model, 100, 5'000), fine = by_gibbs(model, 1e5, 30'000);
    EXPECT_LT(coarse.mean, fine.mean);
    EXPECT_LT(fine.error, 0.005 * formula);
    EXPECT_NEAR(fine.mean, formula, 4 * fine.error + 0.01 * formula);  // at R = 1e5 1 % may still be missing
  }
}

}  // namespace
}  // namespace orrery::sgld_exact_test
