// Multinomial logistic regression by L-BFGS (Liu and Nocedal 1989, "On the limited memory BFGS method for
// large scale optimization"), with a backtracking line search. The objective is convex, so a step that
// decreases it enough is all that is needed. Newton's Hessian would have (d k)^2 entries, 2 * 10^8 for 128
// features and 113 classes.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/read_outs.h>

#include <deque>

#include "sdk/analysis/read_outs_shared.h"

namespace orrery {
namespace {

constexpr size_t kPairsKept = 10;
constexpr double kSufficientDecrease = 1e-4;  // of Armijo's rule
constexpr int kHalvings = 40;

// The mean of -log p(label) plus penalty/2 |W|^2, as a function of W and b behind one another: [(d + 1) k].
class LogisticObjective {
 public:
  LogisticObjective(const torch::Tensor& u, const torch::Tensor& labels, int64_t k, double penalty)
      : u_(u), labels_(labels.unsqueeze(1)), d_(u.size(1)), k_(k), penalty_(penalty) {}

  torch::Tensor start() const { return torch::zeros({(d_ + 1) * k_}, torch::kFloat64); }
  torch::Tensor weights(const torch::Tensor& at) const { return at.narrow(0, 0, d_ * k_).view({d_, k_}); }
  torch::Tensor intercept(const torch::Tensor& at) const { return at.narrow(0, d_ * k_, k_); }

  double value(const torch::Tensor& at, torch::Tensor& gradient) const {
    const torch::Tensor W = weights(at), log_p = torch::addmm(intercept(at), u_, W).log_softmax(1);
    const double n = static_cast<double>(u_.size(0));
    const double loss = -log_p.gather(1, labels_).sum().item<double>() / n;
    const torch::Tensor residual =
        log_p.exp().scatter_add_(1, labels_, torch::full_like(labels_, -1, u_.options())).div_(n);
    gradient = torch::cat({(u_.t().matmul(residual) + penalty_ * W).flatten(), residual.sum(0)});
    return loss + 0.5 * penalty_ * W.square().sum().item<double>();
  }

 private:
  torch::Tensor u_, labels_;
  int64_t d_, k_;
  double penalty_;
};

// The last steps and what they changed of the gradient: an approximation of the inverse Hessian.
class InverseHessian {
 public:
  void add(const torch::Tensor& step, const torch::Tensor& change) {
    const double product = step.dot(change).item<double>();
    if (product <= 0) return;  // rounding: the objective is convex
    pairs_.push_back({step, change, product});
    if (pairs_.size() > kPairsKept) pairs_.pop_front();
  }

  bool empty() const { return pairs_.empty(); }

  // The two loops of Liu and Nocedal's algorithm.
  torch::Tensor times(const torch::Tensor& gradient) const {
    const torch::Tensor x = gradient.clone();
    std::vector<double> along(pairs_.size());
    for (size_t i = pairs_.size(); i-- > 0;) {
      along[i] = pairs_[i].step.dot(x).item<double>() / pairs_[i].product;
      x.add_(pairs_[i].change, -along[i]);
    }
    if (!pairs_.empty()) x.mul_(pairs_.back().product / pairs_.back().change.dot(pairs_.back().change));
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const double against = pairs_[i].change.dot(x).item<double>() / pairs_[i].product;
      x.add_(pairs_[i].step, along[i] - against);
    }
    return x;
  }

 private:
  struct Pair {
    torch::Tensor step, change;
    double product;
  };
  std::deque<Pair> pairs_;
};

double largest_entry(const torch::Tensor& x) { return x.abs().max().item<double>(); }

// Moves `at` to the minimum. Returns the largest entry of the gradient there.
double minimise(const LogisticObjective& objective, torch::Tensor& at, const LogisticLimits& limits) {
  torch::Tensor gradient;
  double value = objective.value(at, gradient);
  InverseHessian hessian;
  for (int64_t i = 0; i < limits.iterations && largest_entry(gradient) > limits.tolerance; ++i) {
    const torch::Tensor direction = -hessian.times(gradient);
    const double slope = direction.dot(gradient).item<double>();
    double length = hessian.empty() ? 1 / std::max(1.0, gradient.norm().item<double>()) : 1;
    torch::Tensor next, next_gradient;
    double next_value = value;
    int halvings = 0;
    for (; halvings < kHalvings; ++halvings, length /= 2) {
      next = at + length * direction;
      next_value = objective.value(next, next_gradient);
      if (next_value <= value + kSufficientDecrease * length * slope) break;
    }
    if (halvings == kHalvings) break;  // no decrease that float64 can tell
    hessian.add(next - at, next_gradient - gradient);
    at = next, gradient = next_gradient, value = next_value;
  }
  return largest_entry(gradient);
}

}  // namespace

torch::Tensor LogisticFit::predicted(const torch::Tensor& x) const {
  return classes.index_select(0, map(x).argmax(1));
}

LogisticFit fit_classes(const torch::Tensor& x, const torch::Tensor& labels, double penalty,
                        const LogisticLimits& limits) {
  const auto [classes, index, counts] = at::_unique2(labels, /*sorted=*/true, /*return_inverse=*/true);
  const ScaledFeatures features(x);
  const LogisticObjective objective(features.u, index, classes.size(0), penalty);
  torch::Tensor at = objective.start();
  LogisticFit fit;
  fit.largest_gradient = minimise(objective, at, limits);
  fit.converged = fit.largest_gradient <= limits.tolerance;
  fit.map = features.unscaled(objective.weights(at), objective.intercept(at));
  fit.classes = classes;
  return fit;
}

LogisticFit logistic_fit(const torch::Tensor& x, const torch::Tensor& labels, double penalty,
                         const LogisticLimits& limits) {
  const torch::Tensor exact = finite_matrix(x, "x, the features of a read-out");
  const torch::Tensor classes = labels_of_rows(labels, exact.size(0));
  if (!(penalty > 0) || !std::isfinite(penalty))
    throw Error(fmt::format("the penalty {} of a logistic fit is not above 0", penalty),
                "without a penalty, classes that can be separated have no optimum");
  if ((classes == classes[0]).all().item<bool>())
    throw Error(fmt::format("all rows of a logistic fit have the label {}: there is nothing to read out",
                            classes[0].item<int64_t>()));
  return fit_classes(exact, classes, penalty, limits);
}

}  // namespace orrery
