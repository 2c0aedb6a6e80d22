// What ridge and logistic read-outs share: arguments that are checked, and features in units of their scale.
#pragma once

#include <orrery/read_outs.h>

namespace orrery {

/// x as float64 [n, d] on the CPU. Throws orrery::Error, calling it `name`, unless it is a matrix of finite
/// numbers with a row or more.
torch::Tensor finite_matrix(const torch::Tensor& x, const std::string& name);
/// labels as int64 [n] on the CPU. Throws orrery::Error unless there are n of them.
torch::Tensor labels_of_rows(const torch::Tensor& labels, int64_t n);

/// Features about their mean, in units of feature_scale().
struct ScaledFeatures {
  explicit ScaledFeatures(const torch::Tensor& x);
  /// The map of x that does what `weights` [d, k] and `intercept` [k] do to the scaled features.
  LinearMap unscaled(const torch::Tensor& weights, const torch::Tensor& intercept) const;

  torch::Tensor u, mean;  ///< [n, d], [d] float64
  double scale;
};

/// logistic_fit of checked arguments; a single class is always predicted.
LogisticFit fit_classes(const torch::Tensor& x, const torch::Tensor& labels, double penalty,
                        const LogisticLimits& limits);

}  // namespace orrery
