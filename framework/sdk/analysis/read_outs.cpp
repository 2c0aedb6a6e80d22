#include <ATen/ATen.h>
#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/read_outs.h>
#include <orrery/task.h>

#include <cmath>
#include <functional>
#include <limits>
#include <memory>

#include "sdk/analysis/read_outs_shared.h"

namespace orrery {
namespace {

constexpr double no_score = std::numeric_limits<double>::quiet_NaN();

torch::Tensor matrix_of_targets(const torch::Tensor& y, int64_t n) {
  const torch::Tensor matrix =
      finite_matrix(y.defined() && y.dim() == 1 ? y.unsqueeze(1) : y, "y, the target of a read-out");
  if (matrix.size(0) != n)
    throw Error(fmt::format("a read-out has {} rows of features and {} of targets", n, matrix.size(0)));
  return matrix;
}

// One decomposition of the features serves every penalty and every set of targets.
class RidgeProblem {
 public:
  explicit RidgeProblem(const torch::Tensor& x) : x_(x), wide_(x.size(1) > x.size(0)) {
    const torch::Tensor gram = wide_ ? x_.u.matmul(x_.u.t()) : x_.u.t().matmul(x_.u);
    std::tie(values_, vectors_) = at::linalg_eigh(gram);
  }

  LinearMap solve(const torch::Tensor& y, double penalty) const {
    const torch::Tensor mean = y.mean(0), about_mean = y - mean;
    const torch::Tensor right = wide_ ? about_mean : x_.u.t().matmul(about_mean);
    torch::Tensor weights = vectors_.matmul(inverse(penalty).unsqueeze(1) * vectors_.t().matmul(right));
    if (wide_) weights = x_.u.t().matmul(weights);
    return x_.unscaled(weights, mean);
  }

 private:
  // 1 / (eigenvalue + n penalty). What rounding leaves of a zero eigenvalue is no direction of the features.
  torch::Tensor inverse(double penalty) const {
    const double largest = std::max(0.0, values_.max().item<double>());
    const double zero = largest * static_cast<double>(std::max(x_.u.size(0), x_.u.size(1))) * 2.3e-16;
    const torch::Tensor sum = values_ + static_cast<double>(x_.u.size(0)) * penalty;
    return torch::where(values_ > zero, sum.reciprocal(), torch::zeros_like(sum));
  }

  ScaledFeatures x_;
  bool wide_;
  torch::Tensor values_, vectors_;
};

void check_options(const ReadOutOptions& options, bool zero_allowed) {
  if (options.penalties.empty())
    throw Error("a read-out has no penalty to choose from", "name one or more in penalties");
  for (const double penalty : options.penalties)
    if (!std::isfinite(penalty) || penalty < 0 || (penalty == 0 && !zero_allowed))
      throw Error(fmt::format("the penalty {} of a read-out is not {}", penalty,
                              zero_allowed ? "0 or more" : "above 0"),
                  zero_allowed ? "" : "without a penalty, classes that can be separated have no optimum");
  if (options.shuffles < 0) throw Error(fmt::format("{} shuffles of a read-out", options.shuffles));
}

torch::Tensor groups_at(const torch::Tensor& groups, const torch::Tensor& rows) {
  return groups.defined() ? groups.index_select(0, rows) : groups;
}

// What a kind of read-out does with rows of its own features and targets.
class ReadOutKind {
 public:
  virtual ~ReadOutKind() = default;
  virtual void features(const torch::Tensor& rows) = 0;
  virtual void fit(const torch::Tensor& targets, double penalty) = 0;
  virtual double score(const torch::Tensor& rows, const torch::Tensor& targets) const = 0;
};

class Ridge final : public ReadOutKind {
 public:
  explicit Ridge(const torch::Tensor& x) : x_(x) {}
  void features(const torch::Tensor& rows) override {
    problem_ = std::make_unique<RidgeProblem>(x_.index_select(0, rows));
  }
  void fit(const torch::Tensor& targets, double penalty) override { map = problem_->solve(targets, penalty); }
  double score(const torch::Tensor& rows, const torch::Tensor& targets) const override {
    return r_squared(map(x_.index_select(0, rows)), targets);
  }
  LinearMap map;

 private:
  torch::Tensor x_;
  std::unique_ptr<RidgeProblem> problem_;
};

class Logistic final : public ReadOutKind {
 public:
  Logistic(const torch::Tensor& x, const LogisticLimits& limits) : x_(x), limits_(limits) {}
  void features(const torch::Tensor& rows) override { of_rows_ = x_.index_select(0, rows); }
  void fit(const torch::Tensor& targets, double penalty) override {
    found = fit_classes(of_rows_, targets, penalty, limits_);
  }
  double score(const torch::Tensor& rows, const torch::Tensor& targets) const override {
    return (found.predicted(x_.index_select(0, rows)) == targets).to(torch::kFloat64).mean().item<double>();
  }
  LogisticFit found;

 private:
  torch::Tensor x_, of_rows_;
  LogisticLimits limits_;
};

double chosen_penalty(ReadOutKind& kind, const torch::Tensor& targets, const torch::Tensor& training,
                      const ReadOutOptions& options, const torch::Generator& rng) {
  if (options.penalties.size() == 1) return options.penalties[0];
  const HeldOut inner =
      held_out_rows(training.size(0), options.chosen_on, rng, groups_at(options.groups, training));
  const torch::Tensor fitted = training.index_select(0, inner.fitted),
                      scored = training.index_select(0, inner.held_out);
  kind.features(fitted);
  double best = options.penalties[0], best_score = -std::numeric_limits<double>::infinity();
  for (const double penalty : options.penalties) {
    kind.fit(targets.index_select(0, fitted), penalty);
    const double score = kind.score(scored, targets.index_select(0, scored));
    if (score > best_score || (score == best_score && penalty > best)) best = penalty, best_score = score;
  }
  return best;
}

void add_null(ReadOutKind& kind, const torch::Tensor& targets, const ReadOutOptions& options,
              const torch::Generator& rng, ReadOut& result) {
  for (int64_t i = 0; i < options.shuffles; ++i) {
    const torch::Tensor mixed = targets.index_select(0, torch::randperm(targets.size(0), rng, torch::kInt64));
    kind.fit(mixed.index_select(0, result.rows.fitted), result.penalty);
    result.shuffled.push_back(kind.score(result.rows.held_out, mixed.index_select(0, result.rows.held_out)));
  }
  const torch::Tensor all = torch::tensor(result.shuffled, torch::kFloat64);
  result.null_mean = options.shuffles > 0 ? all.mean().item<double>() : no_score;
  result.null_sd = options.shuffles > 1 ? all.std().item<double>() : no_score;
}

// Fits, scores, and adds the null. `keep` takes what was fitted before the shuffles replace it.
ReadOut scored(ReadOutKind& kind, const torch::Tensor& targets, const ReadOutOptions& options,
               const std::function<void(ReadOut&)>& keep) {
  const torch::Generator rng = make_generator(options.seed);
  ReadOut result;
  result.rows = held_out_rows(targets.size(0), options.held_out, rng, options.groups);
  const torch::Tensor &training = result.rows.fitted, &rest = result.rows.held_out;
  result.penalty = chosen_penalty(kind, targets, training, options, rng);
  kind.features(training);
  kind.fit(targets.index_select(0, training), result.penalty);
  keep(result);
  result.train = kind.score(training, targets.index_select(0, training));
  result.held_out = kind.score(rest, targets.index_select(0, rest));
  add_null(kind, targets, options, rng, result);
  return result;
}

}  // namespace

torch::Tensor finite_matrix(const torch::Tensor& x, const std::string& name) {
  if (!x.defined() || x.dim() != 2 || x.size(0) == 0)
    throw Error(fmt::format("{}, has the shape {}; expected [rows, columns] with a row or more", name,
                            x.defined() ? fmt::format("[{}]", fmt::join(x.sizes(), ", ")) : "of no tensor"));
  const torch::Tensor exact = x.detach().to(torch::kCPU, torch::kFloat64).contiguous();
  if (const auto bad = exact.numel() - torch::isfinite(exact).sum().item<int64_t>(); bad > 0)
    throw Error(fmt::format("{} of the {} entries of {}, are not finite", bad, exact.numel(), name),
                "leave them out; masked attention scores, for one, are minus infinity");
  return exact;
}

torch::Tensor labels_of_rows(const torch::Tensor& labels, int64_t n) {
  if (!labels.defined() || labels.dim() != 1 || labels.scalar_type() != torch::kInt64 || labels.size(0) != n)
    throw Error(fmt::format("the labels of a read-out are not {} numbers of type int64", n));
  return labels.to(torch::kCPU).contiguous();
}

ScaledFeatures::ScaledFeatures(const torch::Tensor& x) : mean(x.mean(0)), scale(feature_scale(x)) {
  u = (x - mean) / scale;
}

LinearMap ScaledFeatures::unscaled(const torch::Tensor& weights, const torch::Tensor& intercept) const {
  const torch::Tensor of_x = weights / scale;
  return {of_x, intercept - mean.matmul(of_x)};
}

HeldOut held_out_rows(int64_t n, double share, torch::Generator rng, const torch::Tensor& groups) {
  if (!(share > 0 && share < 1))
    throw Error(fmt::format("a share of {} cannot be held out", share), "take one between 0 and 1");
  torch::Tensor group = torch::arange(n, torch::kInt64);
  int64_t n_groups = n;
  if (groups.defined()) {
    const auto [values, inverse, counts] =
        at::_unique2(labels_of_rows(groups, n), /*sorted=*/true, /*return_inverse=*/true);
    group = inverse, n_groups = values.size(0);
  }
  if (n_groups < 2)
    throw Error(fmt::format("nothing can be held out of {} {}", n_groups, groups.defined() ? "group" : "row"),
                "two or more are needed");
  const auto wanted = static_cast<int64_t>(std::llround(share * static_cast<double>(n_groups)));
  const auto drawn = torch::randperm(n_groups, rng, torch::kInt64)
                         .narrow(0, 0, std::clamp<int64_t>(wanted, 1, n_groups - 1));
  const torch::Tensor out =
      torch::zeros({n_groups}, torch::kBool).index_fill_(0, drawn, true).index_select(0, group);
  return {out.logical_not().nonzero().flatten(), out.nonzero().flatten()};
}

torch::Tensor LinearMap::operator()(const torch::Tensor& x) const {
  return x.to(torch::kCPU, torch::kFloat64).matmul(weights) + intercept;
}

double feature_scale(const torch::Tensor& x) {
  const torch::Tensor exact = x.to(torch::kFloat64);
  const torch::Tensor mean = exact.mean(0);
  const double variance = (exact - mean).square().mean().item<double>();
  // What rounding leaves of features that are constant is no scale.
  return variance > 1e-28 * mean.square().mean().item<double>() ? std::sqrt(variance) : 1;
}

double r_squared(const torch::Tensor& predicted, const torch::Tensor& y) {
  const torch::Tensor exact = y.to(torch::kFloat64);
  const double total = (exact - exact.mean(0)).square().sum().item<double>();
  const double left = (exact - predicted.to(torch::kFloat64).view_as(exact)).square().sum().item<double>();
  // What rounding leaves of a constant target is no spread.
  return total > 1e-24 * exact.square().sum().item<double>() ? 1 - left / total : no_score;
}

LinearMap ridge_fit(const torch::Tensor& x, const torch::Tensor& y, double penalty) {
  const torch::Tensor exact = finite_matrix(x, "x, the features of a read-out");
  check_options({.penalties = {penalty}}, /*zero_allowed=*/true);
  return RidgeProblem(exact).solve(matrix_of_targets(y, exact.size(0)), penalty);
}

ReadOut ridge_read_out(const torch::Tensor& x, const torch::Tensor& y, const ReadOutOptions& options) {
  check_options(options, /*zero_allowed=*/true);
  const torch::Tensor exact = finite_matrix(x, "x, the features of a read-out");
  const torch::Tensor targets = matrix_of_targets(y, exact.size(0));
  if ((targets == targets[0]).all().item<bool>())
    throw Error("the target y of a read-out is the same in every row: there is nothing to read out");
  Ridge ridge(exact);
  ReadOut result = scored(ridge, targets, options, [&](ReadOut& read_out) { read_out.map = ridge.map; });
  const torch::Tensor scored_rows = targets.index_select(0, result.rows.held_out);
  result.chance = r_squared(
      targets.index_select(0, result.rows.fitted).mean(0).expand_as(scored_rows).contiguous(), scored_rows);
  return result;
}

ReadOut logistic_read_out(const torch::Tensor& x, const torch::Tensor& labels,
                          const ReadOutOptions& options) {
  check_options(options, /*zero_allowed=*/false);
  const torch::Tensor exact = finite_matrix(x, "x, the features of a read-out");
  const torch::Tensor classes = labels_of_rows(labels, exact.size(0));
  Logistic logistic(exact, options.limits);
  const auto keep = [&](ReadOut& read_out) {
    if (logistic.found.classes.size(0) < 2)
      throw Error(
          fmt::format("all training rows of a read-out have the label {}: there is nothing to read out",
                      logistic.found.classes[0].item<int64_t>()));
    read_out.map = logistic.found.map;
    read_out.classes = logistic.found.classes;
    read_out.converged = logistic.found.converged;
  };
  ReadOut result = scored(logistic, classes, options, keep);
  const auto [values, inverse, counts] =
      at::_unique2(classes.index_select(0, result.rows.fitted), true, false, /*return_counts=*/true);
  const torch::Tensor majority = values[counts.argmax()];
  result.chance =
      (classes.index_select(0, result.rows.held_out) == majority).to(torch::kFloat64).mean().item<double>();
  return result;
}

}  // namespace orrery
