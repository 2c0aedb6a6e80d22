#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/read_outs.h>
#include <orrery/task.h>

#include <cmath>
#include <limits>
#include <set>

namespace orrery::testing::read_outs_test {
namespace {

using torch::Tensor;

Tensor normal(std::vector<int64_t> shape, uint64_t seed) {
  return torch::randn(shape, make_generator(seed), torch::kFloat64);
}
double largest(const Tensor& x) { return x.abs().max().item<double>(); }

template <class E, class Action>
std::string message(const Action& action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  }
  return "";
}

using Rows = std::vector<std::vector<double>>;
Rows rows_of(const Tensor& x) {
  Rows rows(x.size(0));
  for (int64_t i = 0; i < x.size(0); ++i)
    for (int64_t j = 0; j < x.size(1); ++j) rows[i].push_back(x[i][j].item<double>());
  return rows;
}

// Gauss's elimination with pivots: A [m, m], right [m, k].
Rows solved(Rows A, Rows right) {
  const size_t m = A.size();
  for (size_t column = 0; column < m; ++column) {
    size_t pivot = column;
    for (size_t row = column; row < m; ++row)
      if (std::abs(A[row][column]) > std::abs(A[pivot][column])) pivot = row;
    std::swap(A[column], A[pivot]), std::swap(right[column], right[pivot]);
    for (size_t row = 0; row < m; ++row) {
      if (row == column) continue;
      const double times = A[row][column] / A[column][column];
      for (size_t j = 0; j < m; ++j) A[row][j] -= times * A[column][j];
      for (size_t j = 0; j < right[row].size(); ++j) right[row][j] -= times * right[column][j];
    }
  }
  for (size_t row = 0; row < m; ++row)
    for (double& value : right[row]) value /= A[row][row];
  return right;
}

// The normal equations of the objective with the intercept as a last feature that is not penalised:
// [d + 1, k], W above b.
Rows by_normal_equations(const Tensor& x, const Tensor& y, double penalty) {
  const Rows features = rows_of(torch::cat({x, torch::ones({x.size(0), 1}, torch::kFloat64)}, 1));
  const Rows targets = rows_of(y);
  const size_t n = features.size(), m = features[0].size(), k = targets[0].size();
  double variance = 0;
  for (size_t j = 0; j + 1 < m; ++j) {
    double mean = 0, squares = 0;
    for (size_t i = 0; i < n; ++i) mean += features[i][j] / double(n);
    for (size_t i = 0; i < n; ++i) squares += std::pow(features[i][j] - mean, 2) / double(n);
    variance += squares / double(m - 1);
  }
  Rows A(m, std::vector<double>(m, 0)), right(m, std::vector<double>(k, 0));
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < m; ++j) {
      for (size_t l = 0; l < m; ++l) A[j][l] += features[i][j] * features[i][l] / double(n);
      for (size_t l = 0; l < k; ++l) right[j][l] += features[i][j] * targets[i][l] / double(n);
    }
  for (size_t j = 0; j + 1 < m; ++j) A[j][j] += penalty * variance;
  return solved(A, right);
}

double distance(const LinearMap& map, const Rows& expected) {
  double far = 0;
  for (int64_t j = 0; j <= map.weights.size(0); ++j)
    for (int64_t l = 0; l < map.weights.size(1); ++l) {
      const Tensor entry = j < map.weights.size(0) ? map.weights[j][l] : map.intercept[l];
      far = std::max(far, std::abs(entry.item<double>() - expected[j][l]));
    }
  return far;
}

TEST(RidgeFit, SolvesTheNormalEquations) {
  const Tensor y = normal({20, 2}, 2) + 3;
  for (const int64_t d : {1, 4, 20, 50})  // more features than rows, too
    for (const double penalty : {1e-3, 0.1, 10.0}) {
      const Tensor x = 5 * normal({20, d}, 1) + torch::arange(d, torch::kFloat64);
      // The loop does not centre its features: the condition of its equations reaches 1e7, of 1e-16.
      EXPECT_LT(distance(ridge_fit(x, y, penalty), by_normal_equations(x, y, penalty)), 1e-8)
          << d << " " << penalty;
    }
  const Tensor x = normal({20, 4}, 1);
  EXPECT_LT(distance(ridge_fit(x, y, 0), by_normal_equations(x, y, 0)), 1e-12);  // least squares
  EXPECT_TRUE(ridge_fit(x, y.select(1, 0), 0.1).weights.equal(ridge_fit(x, y.narrow(1, 0, 1), 0.1).weights));
}

TEST(RidgeFit, WithoutAPenaltyItIsTheSmallestThatFits) {
  const Tensor x = normal({8, 30}, 1), y = normal({8, 1}, 2);
  const LinearMap map = ridge_fit(x, y, 0);
  EXPECT_LT(largest(map(x) - y), 1e-10);
  // The smallest has no part that the rows about their mean cannot see.
  const Tensor seen = x - x.mean(0);
  const Tensor other = normal({30, 1}, 3);
  const Tensor unseen = other - ridge_fit(x, seen.matmul(other), 0).weights;
  EXPECT_LT(largest(seen.matmul(unseen)), 1e-10);
  EXPECT_NEAR(map.weights.t().matmul(unseen).item<double>(), 0, 1e-10);
}

TEST(RidgeFit, IgnoresConstantFeaturesAndTurnsWithTheOthers) {
  const Tensor x = normal({20, 3}, 1), y = normal({20, 1}, 2);
  const Tensor with = torch::cat({x, torch::full({20, 1}, 7.0, torch::kFloat64)}, 1);
  // The unit of the penalty is the mean variance, over four features now.
  const LinearMap map = ridge_fit(with, y, 0.4);
  EXPECT_NEAR(map.weights[3].item<double>(), 0, 1e-15);
  EXPECT_LT(largest(map.weights.narrow(0, 0, 3) - ridge_fit(x, y, 0.3).weights), 1e-12);
  const Tensor nothing = torch::full({20, 2}, 0.1, torch::kFloat64);
  EXPECT_LT(largest(ridge_fit(nothing, y, 0.1)(nothing) - y.mean()), 1e-12);
  EXPECT_EQ(feature_scale(nothing), 1);
  const Tensor turn = std::get<0>(at::linalg_qr(normal({3, 3}, 5)));
  EXPECT_LT(largest(turn.matmul(ridge_fit(x.matmul(turn), y, 0.3).weights) - ridge_fit(x, y, 0.3).weights),
            1e-12);
}

// The gradient of the objective by its definition, in a loop: [d + 1, k], the intercept's last.
Rows gradient_in_a_loop(const Tensor& x, const Tensor& labels, const LogisticFit& fit, double penalty) {
  const Rows features = rows_of(x), W = rows_of(fit.map.weights);
  const size_t n = features.size(), d = W.size(), k = W[0].size();
  const double s = feature_scale(x);
  Rows gradient(d + 1, std::vector<double>(k, 0));
  for (size_t i = 0; i < n; ++i) {
    std::vector<double> p(k);
    double sum = 0;
    for (size_t c = 0; c < k; ++c) {
      double logit = fit.map.intercept[int64_t(c)].item<double>();
      for (size_t j = 0; j < d; ++j) logit += features[i][j] * W[j][c];
      sum += p[c] = std::exp(logit);
    }
    for (size_t c = 0; c < k; ++c) {
      const bool right = fit.classes[int64_t(c)].item<int64_t>() == labels[int64_t(i)].item<int64_t>();
      const double residual = p[c] / sum - (right ? 1 : 0);
      for (size_t j = 0; j < d; ++j) gradient[j][c] += residual * features[i][j] / double(n);
      gradient[d][c] += residual / double(n);
    }
  }
  for (size_t j = 0; j < d; ++j)
    for (size_t c = 0; c < k; ++c) gradient[j][c] += penalty * s * s * W[j][c];
  return gradient;
}

double largest(const Rows& rows) {
  double most = 0;
  for (const auto& row : rows)
    for (const double value : row) most = std::max(most, std::abs(value));
  return most;
}

TEST(LogisticFit, HasNoGradientAtTheOptimum) {
  const LogisticLimits exact{.tolerance = 1e-10, .iterations = 5000};
  const Tensor labels = torch::randint(-1, 3, {60}, make_generator(4), torch::kInt64) * 5;
  for (const int64_t d : {1, 3, 80})
    for (const double penalty : {1e-3, 0.1}) {
      const Tensor x = 2 * normal({60, d}, 1) + 1;
      const LogisticFit fit = logistic_fit(x, labels, penalty, exact);
      EXPECT_TRUE(fit.converged) << d << " " << penalty << ": " << fit.largest_gradient;
      EXPECT_LT(largest(gradient_in_a_loop(x, labels, fit, penalty)), 1e-9) << d << " " << penalty;
      // It is the optimum of this penalty and of no other.
      EXPECT_GT(largest(gradient_in_a_loop(x, labels, fit, 2 * penalty)), 1e-5) << d << " " << penalty;
    }
}

TEST(LogisticFit, OfFeaturesThatSayNothingIsTheFrequencies) {
  const Tensor labels = torch::tensor({4, 4, 4, 9, 4, 2, 9, 4}, torch::kInt64);
  const LogisticFit fit = logistic_fit(torch::full({8, 3}, 0.1), labels, 0.1, {1e-10, 500});
  EXPECT_TRUE(fit.classes.equal(torch::tensor({2, 4, 9}, torch::kInt64)));
  const Tensor p = fit.map(torch::full({1, 3}, 0.1)).softmax(1)[0];
  EXPECT_LT(largest(p - torch::tensor({1.0 / 8, 5.0 / 8, 2.0 / 8}, torch::kFloat64)), 1e-9);
  EXPECT_TRUE(fit.predicted(torch::full({1, 3}, 0.1)).equal(torch::tensor({4}, torch::kInt64)));
}

// Two points, at 1 and -1: by symmetry W = (w, -w) with 1 / (1 + e^(2w)) = penalty w, s being 1.
TEST(LogisticFit, SeparableClassesHaveAnOptimumWithAPenalty) {
  const Tensor x = torch::tensor({1.0, -1.0}, torch::kFloat64).unsqueeze(1);
  const Tensor labels = torch::tensor({1, 0}, torch::kInt64);
  for (const double penalty : {1e-4, 1e-2, 1.0}) {
    double low = 0, high = 1 / penalty;
    for (int i = 0; i < 200; ++i) {
      const double w = (low + high) / 2;
      (1 / (1 + std::exp(2 * w)) > penalty * w ? low : high) = w;
    }
    const LogisticFit fit = logistic_fit(x, labels, penalty, {1e-12, 500});
    EXPECT_NEAR(fit.map.weights[0][1].item<double>(), low, 1e-6 * low) << penalty;
    EXPECT_NEAR(fit.map.weights[0][0].item<double>(), -low, 1e-6 * low) << penalty;
    EXPECT_TRUE(fit.predicted(x).equal(labels));
  }
}

TEST(HeldOutRows, AreDisjointCompleteAndSeeded) {
  for (const auto& [n, share, expected] :
       std::vector<std::tuple<int64_t, double, int64_t>>{{10, 0.3, 3}, {3, 0.01, 1}, {3, 0.99, 2}}) {
    const HeldOut parts = held_out_rows(n, share, make_generator(1));
    EXPECT_EQ(parts.held_out.size(0), expected);
    EXPECT_TRUE(std::get<0>(torch::cat({parts.fitted, parts.held_out}).sort())
                    .equal(torch::arange(n, torch::kInt64)));
  }
  const auto drawn = [](uint64_t seed) { return held_out_rows(50, 0.5, make_generator(seed)).held_out; };
  EXPECT_TRUE(drawn(1).equal(drawn(1)));
  EXPECT_FALSE(drawn(1).equal(drawn(2)));
}

TEST(HeldOutRows, KeepGroupsTogether) {
  const Tensor groups = torch::randint(-3, 5, {100}, make_generator(3), torch::kInt64) * 7;
  const HeldOut parts = held_out_rows(100, 0.25, make_generator(1), groups);
  std::set<int64_t> fitted, out;
  for (int64_t i = 0; i < parts.fitted.size(0); ++i) fitted.insert(groups[parts.fitted[i]].item<int64_t>());
  for (int64_t i = 0; i < parts.held_out.size(0); ++i) out.insert(groups[parts.held_out[i]].item<int64_t>());
  EXPECT_EQ(parts.fitted.size(0) + parts.held_out.size(0), 100);
  EXPECT_EQ(fitted.size(), 6u);
  EXPECT_EQ(out.size(), 2u);
  for (const int64_t group : out) EXPECT_EQ(fitted.count(group), 0u);
}

TEST(RidgeReadOut, FindsARelationThatItsNullDoesNotHave) {
  const Tensor x = normal({400, 6}, 1), noise = normal({400, 2}, 3);
  const Tensor clean = x.matmul(normal({6, 2}, 2)), y = clean + noise;
  const ReadOut read_out = ridge_read_out(x, y, {.penalties = {1e-3}});
  // What noise leaves: 1 - var(noise) / var(y), within a few per cent for 100 rows held out.
  const double reachable = 1 - noise.var().item<double>() / (y - y.mean(0)).square().mean().item<double>();
  EXPECT_NEAR(read_out.held_out, reachable, 0.06);
  EXPECT_NEAR(read_out.train, reachable, 0.06);
  EXPECT_EQ(read_out.shuffled.size(), 5u);
  EXPECT_LT(read_out.null_mean, 0.02);
  EXPECT_GT(read_out.null_mean, -0.15);
  EXPECT_GT(read_out.null_sd, 0);
  EXPECT_LE(read_out.chance, 0);
  // The scores are those of the map on the rows.
  const auto& [fitted, held_out] = read_out.rows;
  EXPECT_EQ(read_out.held_out,
            r_squared(read_out.map(x.index_select(0, held_out)), y.index_select(0, held_out)));
  EXPECT_EQ(read_out.train, r_squared(read_out.map(x.index_select(0, fitted)), y.index_select(0, fitted)));
  EXPECT_TRUE(read_out.map.weights.equal(
      ridge_fit(x.index_select(0, fitted), y.index_select(0, fitted), 1e-3).weights));
}

TEST(RidgeReadOut, RSquaredIsThatOfTheDefinition) {
  const Tensor y = torch::tensor({1.0, 2.0, 6.0, 0.0, 4.0, 2.0}, torch::kFloat64).view({3, 2});
  const Tensor guess = torch::tensor({1.0, 2.0, 4.0, 1.0, 4.0, 0.0}, torch::kFloat64).view({3, 2});
  // About the column means 11/3 and 4/3: 12 2/3 and 2 2/3. Off by 4, 1 and 4.
  EXPECT_NEAR(r_squared(guess, y), 1 - 9 / (38.0 / 3 + 8.0 / 3), 1e-14);
  EXPECT_EQ(r_squared(y, y), 1);
  EXPECT_EQ(r_squared(y.mean(0).expand_as(y), y), 0);
  EXPECT_TRUE(std::isnan(r_squared(y, torch::ones_like(y))));
  // The mean of three times 0.1 is not 0.1 in float64.
  const Tensor tenth = torch::full({3, 1}, 0.1, torch::kFloat64);
  EXPECT_TRUE(std::isnan(r_squared(tenth + 1, tenth)));
}

// Every group has a number of its own, and a feature that tells it from the others. A held-out row of a known
// group is read out; a group that was never seen is not.
TEST(ReadOuts, WithGroupsHeldOutWhatIsLearnedByHeartDoesNotCount) {
  const Tensor group = torch::arange(200, torch::kInt64).remainder(20);
  const Tensor x = torch::one_hot(group, 20).to(torch::kFloat64);
  const Tensor y = normal({20}, 2).index_select(0, group);
  const ReadOutOptions one{.penalties = {1e-6}};
  EXPECT_GT(ridge_read_out(x, y, one).held_out, 0.999);
  ReadOutOptions apart = one;
  apart.groups = group;
  EXPECT_LT(ridge_read_out(x, y, apart).held_out, 0.1);
  const Tensor sign = (y > 0).to(torch::kInt64);
  EXPECT_EQ(logistic_read_out(x, sign, one).held_out, 1);
  EXPECT_LT(logistic_read_out(x, sign, apart).held_out, 0.9);
}

TEST(LogisticReadOut, FindsAClassThatItsNullDoesNotHave) {
  const Tensor x = normal({300, 5}, 1);
  const Tensor labels = x.matmul(normal({5, 4}, 2)).argmax(1) + 10;
  const ReadOut read_out = logistic_read_out(x, labels, {.penalties = {1e-4}});
  EXPECT_TRUE(read_out.converged);
  EXPECT_GT(read_out.train, 0.97);
  EXPECT_GT(read_out.held_out, 0.9);
  int64_t right = 0, most = 0, majority = 0;
  const auto& [fitted, held_out] = read_out.rows;
  for (int64_t c = 10; c < 14; ++c) {
    const auto count = (labels.index_select(0, fitted) == c).sum().item<int64_t>();
    if (count > most) most = count, majority = c;
  }
  for (int64_t i = 0; i < held_out.size(0); ++i) right += labels[held_out[i]].item<int64_t>() == majority;
  EXPECT_EQ(read_out.chance, double(right) / double(held_out.size(0)));
  // 75 rows: five deviations of a share are 0.29 at the most, and the mean of five has less.
  EXPECT_NEAR(read_out.null_mean, read_out.chance, 0.25);
  EXPECT_LT(read_out.null_mean + 4 * read_out.null_sd, read_out.held_out);
  EXPECT_TRUE(read_out.classes.equal(torch::arange(10, 14, torch::kInt64)));
}

// The part for the choice is drawn after the held-out part, from the same generator.
TEST(ReadOuts, ChooseThePenaltyOnAPartOfTheTrainingRows) {
  const Tensor x = normal({80, 40}, 1), y = x.narrow(1, 0, 1) + 2 * normal({80, 1}, 2);
  const std::vector<double> penalties{1e-6, 1e-2, 1, 100};
  std::set<double> chosen;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const auto rng = make_generator(seed);
    const Tensor training = held_out_rows(80, 0.25, rng).fitted;
    const HeldOut inner = held_out_rows(60, 0.25, rng);
    const Tensor fitted = training.index_select(0, inner.fitted),
                 rest = training.index_select(0, inner.held_out);
    double best = 0, best_score = -1e9;
    for (const double penalty : penalties) {
      const double score = r_squared(
          ridge_fit(x.index_select(0, fitted), y.index_select(0, fitted), penalty)(x.index_select(0, rest)),
          y.index_select(0, rest));
      if (score > best_score) best = penalty, best_score = score;
    }
    chosen.insert(best);
    EXPECT_EQ(ridge_read_out(x, y, {.penalties = penalties, .seed = seed}).penalty, best) << seed;
  }
  EXPECT_EQ(chosen.count(1e-6), 0u);  // as many features as rows: it pays to hold back
  // Of equal scores the largest penalty.
  const Tensor far = torch::tensor({-9.0, 9.0}, torch::kFloat64).repeat({20}).unsqueeze(1);
  EXPECT_EQ(logistic_read_out(far, (far.select(1, 0) > 0).to(torch::kInt64)).penalty, 1e-1);
}

TEST(ReadOuts, AreTheSameBitsForTheSameSeed) {
  const Tensor x = normal({100, 8}, 1), y = normal({100, 1}, 2);
  const Tensor labels = (x.select(1, 0) + y.select(1, 0) > 0).to(torch::kInt64);
  const auto both = [&](uint64_t seed) {
    std::vector<double> scores;
    for (const ReadOut& r : {ridge_read_out(x, y + x.narrow(1, 0, 1), {.seed = seed}),
                             logistic_read_out(x, labels, {.seed = seed})}) {
      scores.insert(scores.end(), {r.train, r.held_out, r.null_mean, r.null_sd, r.chance, r.penalty});
      scores.push_back(r.map.weights.sum().item<double>());
    }
    return scores;
  };
  EXPECT_EQ(both(3), both(3));
  EXPECT_NE(both(3), both(4));
}

TEST(ReadOuts, SayWhatCannotBeReadOut) {
  const Tensor x = normal({10, 2}, 1), y = normal({10, 1}, 2);
  const Tensor same = torch::full({10}, 4, torch::kInt64),
               two = torch::arange(10, torch::kInt64).remainder(2);
  EXPECT_EQ(message<Error>([&] { logistic_fit(x, same, 0.1); }),
            "all rows of a logistic fit have the label 4: there is nothing to read out");
  EXPECT_EQ(message<Error>([&] { logistic_read_out(x, same); }),
            "all training rows of a read-out have the label 4: there is nothing to read out");
  EXPECT_EQ(message<Error>([&] { ridge_read_out(x, torch::ones({10})); }),
            "the target y of a read-out is the same in every row: there is nothing to read out");
  EXPECT_EQ(message<Error>([&] { logistic_fit(x, two, 0); }),
            "the penalty 0 of a logistic fit is not above 0");
  EXPECT_EQ(message<Error>([&] {
              logistic_read_out(x, two, {.penalties = {1, 0}});
            }),
            "the penalty 0 of a read-out is not above 0");
  EXPECT_EQ(message<Error>([&] { ridge_read_out(x, y, {.penalties = {}}); }),
            "a read-out has no penalty to choose from");
  EXPECT_EQ(message<Error>([&] { ridge_read_out(x, y, {.held_out = 1}); }),
            "a share of 1 cannot be held out");
  EXPECT_EQ(message<Error>([&] { ridge_read_out(x, y, {.groups = same}); }),
            "nothing can be held out of 1 group");
  EXPECT_EQ(message<Error>([&] {
              ridge_fit(x, normal({9, 1}, 1), 1);
            }),
            "a read-out has 10 rows of features and 9 of targets");
  EXPECT_EQ(message<Error>([&] { logistic_fit(x, two.to(torch::kInt32), 1); }),
            "the labels of a read-out are not 10 numbers of type int64");
  EXPECT_EQ(
      message<Error>([&] {
        ridge_fit(x.view({10, 2, 1}), y, 1);
      }),
      "x, the features of a read-out, has the shape [10, 2, 1]; expected [rows, columns] with a row or more");
  Tensor masked = x.clone();
  masked[3][1] = -std::numeric_limits<double>::infinity();
  EXPECT_EQ(message<Error>([&] { ridge_fit(masked, y, 1); }),
            "1 of the 20 entries of x, the features of a read-out, are not finite");
}

TEST(ReadOuts, HaveNoNullWithoutShuffles) {
  const ReadOut none = ridge_read_out(normal({10, 2}, 1), normal({10, 1}, 2), {.shuffles = 0});
  EXPECT_TRUE(none.shuffled.empty());
  EXPECT_TRUE(std::isnan(none.null_mean));
  const ReadOut one = ridge_read_out(normal({10, 2}, 1), normal({10, 1}, 2), {.shuffles = 1});
  EXPECT_EQ(one.null_mean, one.shuffled[0]);
  EXPECT_TRUE(std::isnan(one.null_sd));
}

}  // namespace
}  // namespace orrery::testing::read_outs_test
