// Chains of SGLD against a slow chain, and what they estimate against the exact expectation of cases that
// have one: closed forms for a quadratic, quadrature for products of powers, Gibbs sampling for reduced-rank
// regression. Exact expectations at growing n go to the learning coefficients of the literature.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/sgld.h>
#include <orrery/task.h>

#include <array>
#include <cmath>
#include <functional>
#include <limits>

namespace orrery::sgld_test {
namespace {

using Function = std::function<double(const double* w, double* gradient)>;

LossAndGradient exact(Function f) {
  return [f](const torch::Tensor& w, const torch::Tensor& gradient) {
    return f(w.data_ptr<double>(), gradient.data_ptr<double>());
  };
}

LearningCoefficient sampled(const std::vector<double>& start, const Function& f, const SgldSettings& s) {
  std::vector<double> ignored(start.size());
  const auto loss = exact(f);
  return sgld(
      torch::tensor(start, torch::kFloat64), f(start.data(), ignored.data()),
      [&](const torch::Generator&) { return loss; }, s);
}

// 1/2 sum h_i w_i^2, for curvatures h.
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

// --- the chain ---

struct Slow {
  std::vector<double> losses;
  double acceptance = 0, distance = 0;
};

// log of the density, but for a constant, with which a step from `from` leads to `to`.
double log_density(const std::vector<double>& to, const std::vector<double>& from,
                   const std::vector<double>& drift, double epsilon) {
  double squares = 0;
  for (size_t i = 0; i < to.size(); ++i) squares += std::pow(to[i] - from[i] + epsilon / 2 * drift[i], 2);
  return -squares / (2 * epsilon);
}

// The definitions in the order of the text, with the noise that the chain draws.
Slow by_definition(std::vector<double> w, const Function& f, const SgldSettings& s, torch::Generator rng) {
  const std::vector<double> origin = w;
  const auto d = static_cast<int64_t>(w.size());
  const torch::Tensor noise = torch::empty({std::max<int64_t>(1, 4096 / d) * d}, torch::kFloat64);
  Slow slow;
  std::vector<double> before, drift_before, gradient(w.size()), drift(w.size());
  double energy_before = 0;
  int64_t used = noise.numel(), counted = 0;
  for (int64_t t = 0; t <= s.n_burn_in + s.n_draws * s.steps_between; ++t) {
    const double loss = f(w.data(), gradient.data());
    double energy = s.nbeta * loss;
    for (size_t i = 0; i < w.size(); ++i) {
      energy += s.gamma / 2 * std::pow(w[i] - origin[i], 2);
      drift[i] = s.nbeta * gradient[i] + s.gamma * (w[i] - origin[i]);
    }
    if (t > s.n_burn_in) {
      ++counted;
      slow.acceptance +=
          std::min(1.0, std::exp(energy_before - energy + log_density(before, w, drift, s.epsilon) -
                                 log_density(w, before, drift_before, s.epsilon)));
      if ((t - s.n_burn_in) % s.steps_between == 0) slow.losses.push_back(loss);
    }
    before = w, drift_before = drift, energy_before = energy;
    if (t == s.n_burn_in + s.n_draws * s.steps_between) break;
    if (used == noise.numel()) {
      noise.normal_(0, 1, rng);
      used = 0;
    }
    for (size_t i = 0; i < w.size(); ++i)
      w[i] += -s.epsilon / 2 * drift[i] + std::sqrt(s.epsilon) * noise[used++].item<double>();
  }
  slow.acceptance /= static_cast<double>(counted);
  for (size_t i = 0; i < w.size(); ++i) slow.distance += std::pow(w[i] - origin[i], 2);
  slow.distance = std::sqrt(slow.distance);
  return slow;
}

// (m^2 - 1)^2 for the mean m of the weights, and a quadratic.
Function curved(size_t d) {
  return [d](const double* w, double* gradient) {
    double mean = 0, loss = 0;
    for (size_t i = 0; i < d; ++i) mean += w[i] / static_cast<double>(d);
    for (size_t i = 0; i < d; ++i) {
      gradient[i] = 4 * (mean * mean - 1) * mean / static_cast<double>(d) + 0.3 * (w[i] - 1);
      loss += 0.15 * (w[i] - 1) * (w[i] - 1);
    }
    return loss + (mean * mean - 1) * (mean * mean - 1);
  };
}

TEST(Sgld, IsTheChainOfTheDefinition) {
  for (const size_t d : {1, 3, 8, 21}) {  // below, at and between the lanes of its loop
    const SgldSettings s{
        .epsilon = 0.02, .nbeta = 20, .gamma = 2, .n_burn_in = 7, .n_draws = 30, .steps_between = 3};
    const std::vector<double> start(d, 1.05);
    std::vector<double> ignored(d);
    const double start_loss = curved(d)(start.data(), ignored.data());
    const SgldChain chain =
        sgld_chain(torch::tensor(start, torch::kFloat64), start_loss, exact(curved(d)), s, make_generator(5));
    const Slow slow = by_definition(start, curved(d), s, make_generator(5));
    ASSERT_EQ(chain.losses.size(), 30u);
    double mean = 0;
    int64_t below = 0;
    for (size_t i = 0; i < 30; ++i) {
      ASSERT_NEAR(chain.losses[i], slow.losses[i], 1e-10 * (1 + slow.losses[i]));
      mean += slow.losses[i] / 30;
      below += slow.losses[i] < start_loss;
    }
    EXPECT_NEAR(chain.estimate, 20 * (mean - start_loss), 1e-9);
    EXPECT_NEAR(chain.acceptance, slow.acceptance, 1e-9);
    EXPECT_LT(chain.acceptance, 1);
    EXPECT_NEAR(chain.distance, slow.distance, 1e-10);
    EXPECT_EQ(chain.below, static_cast<double>(below) / 30);
    double halves = 0;
    for (size_t i = 0; i < 15; ++i) halves += (slow.losses[15 + i] - slow.losses[i]) / 15;
    EXPECT_NEAR(chain.drift, 20 * halves, 1e-9);
    EXPECT_EQ(chain.diverged_at, -1);
  }
}

TEST(Sgld, FloatsFollowDoubles) {
  const SgldSettings s{.epsilon = 1e-3, .nbeta = 20, .gamma = 2, .noise_level = 0, .n_draws = 50};
  const torch::Tensor start = torch::full({20}, 1.2, torch::kFloat64);
  const auto of_floats = [](const torch::Tensor& w, const torch::Tensor& gradient) {
    const torch::Tensor exact_w = w.to(torch::kFloat64), exact_gradient = torch::empty_like(exact_w);
    const double loss = curved(20)(exact_w.data_ptr<double>(), exact_gradient.data_ptr<double>());
    gradient.copy_(exact_gradient);
    return loss;
  };
  const SgldChain a = sgld_chain(start, 0, exact(curved(20)), s, make_generator(1));
  const SgldChain b = sgld_chain(start.to(torch::kFloat32), 0, of_floats, s, make_generator(1));
  for (size_t i = 0; i < 50; ++i) EXPECT_NEAR(a.losses[i], b.losses[i], 1e-4 * a.losses[i]);
  EXPECT_EQ(b.end.scalar_type(), torch::kFloat32);
  EXPECT_TRUE(torch::allclose(a.end, b.end.to(torch::kFloat64), 1e-5, 1e-6));
}

TEST(Sgld, WithoutNoiseItIsGradientDescentOnTheSameEnergy) {
  const SgldSettings s{.epsilon = 0.1, .nbeta = 3, .gamma = 2, .noise_level = 0, .n_draws = 4};
  const Function slope = [](const double* w, double* gradient) {
    gradient[0] = 1;
    return w[0];
  };
  const SgldChain chain =
      sgld_chain(torch::zeros({1}, torch::kFloat64), 0, exact(slope), s, make_generator(1));
  double w = 0;
  for (size_t i = 0; i < 4; ++i) {
    w -= 0.05 * (3 + 2 * w);
    EXPECT_NEAR(chain.losses[i], w, 1e-14);
  }
  EXPECT_TRUE(std::isnan(chain.acceptance));  // no proposal to accept
  EXPECT_EQ(chain.below, 1);
}

TEST(Sgld, TheSameSeedGivesTheSameBits) {
  SgldSettings s{.epsilon = 0.01, .nbeta = 20, .gamma = 2, .n_chains = 3, .n_draws = 20, .seed = 4};
  const std::vector<double> start(5, 1);
  const auto losses = [&] {
    std::vector<std::vector<double>> all;
    for (const SgldChain& chain : sampled(start, curved(5), s).chains) all.push_back(chain.losses);
    return all;
  };
  const auto first = losses();
  EXPECT_EQ(losses(), first);
  EXPECT_NE(first[0], first[1]);
  s.n_chains = 2;  // what a chain draws does not depend on how many there are
  EXPECT_EQ(losses()[1], first[1]);
  s.seed = 5;
  const auto other = losses();
  EXPECT_NE(other[0], first[0]);
  EXPECT_NE(other[0], first[1]);  // neighbouring seeds share no chain
}

TEST(Sgld, EveryChainHasMinibatchesOfItsOwn) {
  std::vector<double> drawn;
  const auto loss_of_chain = [&](torch::Generator rng) {
    drawn.push_back(torch::rand({1}, rng, torch::kFloat64).item<double>());
    return exact(quadratic({1}));
  };
  const torch::Tensor start = torch::zeros({1}, torch::kFloat64);
  sgld(start, 0, loss_of_chain, {.n_chains = 3, .n_draws = 2});
  sgld(start, 0, loss_of_chain, {.n_chains = 2, .n_draws = 5});
  ASSERT_EQ(drawn.size(), 5u);
  EXPECT_NE(drawn[0], drawn[1]);
  EXPECT_NE(drawn[1], drawn[2]);
  EXPECT_EQ(drawn[0], drawn[3]);
  EXPECT_EQ(drawn[1], drawn[4]);
  EXPECT_TRUE(start.equal(torch::zeros({1}, torch::kFloat64)));
}

// --- what goes wrong is said ---

TEST(Sgld, OnASlopeTheEstimateIsNegative) {
  const Function slope = [](const double* w, double* gradient) {
    gradient[0] = gradient[1] = 1;
    return w[0] + w[1];
  };
  const auto found = sampled({0, 0}, slope, {.epsilon = 0.01, .nbeta = 100, .gamma = 1, .n_draws = 100});
  EXPECT_LT(found.estimate, -1);
  EXPECT_EQ(found.negative, 1);
  EXPECT_GT(found.below, 0.95);
}

TEST(Sgld, ChainsThatDivergeAreNamedAndLeftOut) {
  // Chain 1 sits on a hill; the others in a valley.
  int64_t chain = 0;
  const auto loss_of_chain = [&](const torch::Generator&) {
    return exact(quadratic({chain++ == 1 ? -1e3 : 1.0}));
  };
  const SgldSettings s{.epsilon = 0.1, .nbeta = 1, .gamma = 1, .n_chains = 3, .n_draws = 300};
  const auto found = sgld(torch::zeros({1}, torch::kFloat64), 0, loss_of_chain, s);
  EXPECT_EQ(found.diverged, std::vector<int64_t>{1});
  EXPECT_TRUE(std::isnan(found.chains[1].estimate));
  // Growing by 1 + 0.05 (1000 - 1) = 51 a step, w^2 passes 1e308 after 154 / log10(51) = 90 steps, a few less
  // for the noise and the curvature.
  EXPECT_NEAR(static_cast<double>(found.chains[1].diverged_at), 90, 4);
  EXPECT_LT(found.chains[1].losses.size(), 95u);
  EXPECT_EQ(found.estimate, (found.chains[0].estimate + found.chains[2].estimate) / 2);
  const auto all = sampled({0}, quadratic({-1e3}), s);
  EXPECT_EQ(all.diverged, (std::vector<int64_t>{0, 1, 2}));
  EXPECT_TRUE(std::isnan(all.estimate));
  EXPECT_TRUE(std::isnan(all.standard_error));
}

TEST(Sgld, ALossThatIsNotFiniteEndsTheChain) {
  int64_t calls = 0;
  const auto loss = [&](const torch::Tensor&, const torch::Tensor& gradient) {
    gradient.zero_();
    return ++calls == 4 ? std::numeric_limits<double>::quiet_NaN() : 1.0;
  };
  const SgldChain chain =
      sgld_chain(torch::zeros({2}, torch::kFloat64), 1, loss, {.n_draws = 50}, make_generator(1));
  EXPECT_EQ(chain.diverged_at, 3);
  EXPECT_EQ(calls, 4);
}

TEST(Sgld, RefusesWhatCannotBeSampled) {
  const torch::Tensor start = torch::zeros({2}, torch::kFloat64);
  const auto chain = [](const torch::Tensor& from, const SgldSettings& s) {
    return sgld_chain(from, 0, exact(quadratic({1, 1})), s, make_generator(1));
  };
  const std::vector<SgldSettings> bad = {
      {.epsilon = 0},      {.epsilon = std::nan("")},
      {.nbeta = 0},        {.nbeta = std::numeric_limits<double>::infinity()},
      {.gamma = -1},       {.noise_level = -1},
      {.n_burn_in = -1},   {.n_draws = 0},
      {.steps_between = 0}};
  for (const SgldSettings& s : bad) EXPECT_THROW(chain(start, s), UsageError);
  EXPECT_THROW(sampled({0, 0}, quadratic({1, 1}), {.n_chains = 0}), UsageError);
  EXPECT_THROW(chain(torch::zeros({2, 2}, torch::kFloat64), {}), Error);
  EXPECT_THROW(chain(torch::zeros({2}, torch::kInt64), {}), Error);
  EXPECT_THROW(chain(torch::full({2}, std::nan(""), torch::kFloat64), {}), Error);
}

}  // namespace
}  // namespace orrery::sgld_test
