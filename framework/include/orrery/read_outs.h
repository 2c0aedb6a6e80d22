// Small linear read-outs of activations, scored on a held-out part and beside their nulls: ridge regression
// (Hoerl and Kennard 1970) of numbers, multinomial logistic regression of classes. A linear probe (Alain and
// Bengio 2016, arXiv 1610.01644) is one of them at a hook point. A score means something only beside what the
// same fit reaches on shuffled labels, which nothing but its own capacity explains (the control tasks of
// Hewitt and Liang 2019, arXiv 1909.03368, serve the same end).
//
// Everything is computed in float64 on the CPU and depends on the arguments alone: the same seed gives the
// same bits, on the same BLAS. Functions keep no state and may be called from any thread.
#pragma once

#include <orrery/export.h>
#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace orrery {

/// The rows that a read-out is fitted on and those that it is scored on: int64, ascending, disjoint, together
/// all rows.
struct HeldOut {
  torch::Tensor fitted, held_out;
};

/// Holds out round(share n) of the rows 0..n-1, at least one and not all, drawn from `rng`. With groups
/// (int64 [n]) the share is one of the groups, and rows of one group stay together: that the same element of
/// a variable is not in both parts, however the rows are drawn. Throws orrery::Error unless 0 < share < 1 and
/// there are two rows, or two groups, or more.
ORRERY_API HeldOut held_out_rows(int64_t n, double share, torch::Generator rng,
                                 const torch::Tensor& groups = {});

/// x [n, d] -> x weights + intercept.
struct LinearMap {
  torch::Tensor weights;    ///< [d, k] float64
  torch::Tensor intercept;  ///< [k] float64

  /// x: [n, d], any real dtype -> [n, k] float64.
  ORRERY_API torch::Tensor operator()(const torch::Tensor& x) const;
};

/// s, the unit in which penalties count weights: the square root of the mean variance of the d features of x
/// [n, d], 1 if none of them varies. One number for all features, so that penalties do not depend on the
/// basis: turning x turns the read-out. A feature that is constant gets weight 0.
ORRERY_API double feature_scale(const torch::Tensor& x);

/// Minimises, in closed form, the mean over the rows of |y - x W - b|^2, plus penalty s^2 |W|^2. x: [n, d],
/// y: [n, k] or [n], any real dtype; d may exceed n. penalty: 0 or more; at 0 it is the solution of least
/// norm. Throws orrery::Error for other shapes and for numbers that are not finite.
ORRERY_API LinearMap ridge_fit(const torch::Tensor& x, const torch::Tensor& y, double penalty);

/// A multinomial logistic regression: the probability of the class classes[c] is softmax(map(x))[c].
struct LogisticFit {
  LinearMap map;
  torch::Tensor classes;  ///< [k] int64, ascending: the labels that occurred
  /// The largest absolute entry of the gradient of the objective where the fit stopped, in units of the
  /// scaled features x / s.
  double largest_gradient = 0;
  bool converged = false;  ///< whether that is at most the tolerance

  /// x: [n, d] -> the most probable class of each row, [n] int64.
  ORRERY_API torch::Tensor predicted(const torch::Tensor& x) const;
};

/// When logistic_fit stops.
struct LogisticLimits {
  double tolerance = 1e-6;  ///< of LogisticFit::largest_gradient
  int64_t iterations = 500;
};

/// Minimises the mean over the rows of -log p(label), in nats, plus penalty/2 s^2 |W|^2, by L-BFGS (Liu and
/// Nocedal 1989) from W = 0; b is not penalised. x: [n, d], any real dtype. labels: int64 [n], any values.
/// penalty: above 0, so that there is an optimum where classes can be separated. Throws orrery::Error for
/// other shapes, for numbers that are not finite, and if there is only one class.
ORRERY_API LogisticFit logistic_fit(const torch::Tensor& x, const torch::Tensor& labels, double penalty,
                                    const LogisticLimits& limits = {});

/// 1 - sum |y - predicted|^2 / sum |y - mean of y|^2, over all entries of y [n, k] or [n] and in one sum over
/// columns. Below 0 where the mean predicts better; NaN where y does not vary.
ORRERY_API double r_squared(const torch::Tensor& predicted, const torch::Tensor& y);

struct ReadOutOptions {
  double held_out = 0.25;     ///< share of the rows, or of the groups, that the fit is scored on
  torch::Tensor groups = {};  ///< int64 [n]; see held_out_rows. Undefined: each row is its own
  /// One is taken as it is. Of several, the one that scores best on a part of the training rows when fitted
  /// on the others; of equals the largest. Then all training rows are fitted with it.
  std::vector<double> penalties = {1e-3, 1e-1};
  double chosen_on = 0.25;  ///< that part: share of the training rows, or of their groups
  int64_t shuffles = 5;     ///< fits with shuffled labels; 0 for none
  uint64_t seed = 0;  ///< of the held-out part, the part for the choice, and the shuffles, in this order
  LogisticLimits limits = {};  ///< of logistic fits
};

/// A read-out with its scores: R^2 of a ridge regression, accuracy of a logistic one.
struct ReadOut {
  LinearMap map;               ///< fitted on rows.fitted
  torch::Tensor classes = {};  ///< of a logistic read-out, see LogisticFit
  double penalty = 0;          ///< the one that was chosen
  bool converged = true;       ///< of the logistic fit on rows.fitted
  double train = 0;            ///< score on rows.fitted
  double held_out = 0;         ///< score on rows.held_out
  /// What is scored without looking at x. Accuracy: the share of held-out rows with the most frequent label
  /// of the training rows (the smallest of several). R^2: that of the mean of the training rows, 0 or below.
  double chance = 0;
  /// Held-out scores of the same fit, same penalty and parts, to labels shuffled among all rows.
  std::vector<double> shuffled = {};
  double null_mean = 0,
         null_sd = 0;  ///< of `shuffled`; NaN for none, the deviation (n - 1) for fewer than two
  HeldOut rows;
};

/// y: [n, k] or [n], see ridge_fit. Throws orrery::Error as it does, if y is the same in every row, and for
/// options that cannot be.
ORRERY_API ReadOut ridge_read_out(const torch::Tensor& x, const torch::Tensor& y,
                                  const ReadOutOptions& options = {});

/// labels: int64 [n], see logistic_fit. A class that no training row has is never predicted. Throws
/// orrery::Error as logistic_fit does, for all rows and for the training rows, and for options that cannot
/// be.
ORRERY_API ReadOut logistic_read_out(const torch::Tensor& x, const torch::Tensor& labels,
                                     const ReadOutOptions& options = {});

}  // namespace orrery
