// The local learning coefficient of a minimum w* of a loss L, by stochastic gradient Langevin dynamics (Lau
// et al. 2023, "The local learning coefficient: a singularity-aware complexity measure", arXiv 2308.12108).
// Chains start at w* and sample exp(-n beta L(w) - gamma/2 |w - w*|^2),
//
//     w <- w - epsilon/2 (n beta grad L(w) + gamma (w - w*)) + noise_level sqrt(epsilon) N(0, 1),
//
// and the estimate is n beta (mean of L over the draws - L(w*)). Names are those of devinterp: n beta is one
// number, nbeta; gamma is its localization, epsilon its lr. What it says of a case with a known value, and
// how far a finite n and a finite step keep it from there, docs/landscape.md tells.
#pragma once

#include <orrery/export.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace orrery {

/// Returns the loss at `w` [d] and overwrites `gradient` [d]; of a fixed set of examples, or of another
/// minibatch with each call. Both tensors are contiguous, on the CPU, of the dtype of the start, and the same
/// two in every call of one chain. The gradient is not used where the loss is not finite.
using LossAndGradient = std::function<double(const torch::Tensor& w, const torch::Tensor& gradient)>;

struct SgldSettings {
  double epsilon = 1e-4;      ///< the step; above 0
  double nbeta = 1;           ///< the inverse temperature n beta; above 0
  double gamma = 1;           ///< the force back to the start; 0 for none
  double noise_level = 1;     ///< 1 for Langevin dynamics, 0 for gradient descent
  int64_t n_chains = 4;       ///< of sgld(); at least 1
  int64_t n_burn_in = 0;      ///< steps before those that count
  int64_t n_draws = 200;      ///< at least 1
  int64_t steps_between = 1;  ///< steps from one draw to the next; at least 1
  uint64_t seed = 0;          ///< of sgld(): the same seed gives the same bits
};

/// One chain. Draw i, counted from 0, is the point after n_burn_in + (i + 1) steps_between steps: unlike in
/// devinterp, w* itself is never a draw.
struct SgldChain {
  std::vector<double> losses;  ///< [n_draws], shorter where the chain diverged
  double estimate = 0;         ///< of the learning coefficient; NaN if the chain diverged
  /// The mean over the steps after the burn-in of the probability with which the Metropolis-adjusted Langevin
  /// algorithm would accept them (Roberts & Tweedie 1996); SGLD accepts all. With minibatches the two ends of
  /// a step are measured on different ones, as in devinterp. NaN if noise_level is not 1.
  double acceptance = 0;
  double below = 0;     ///< the share of draws whose loss is below L(w*)
  double distance = 0;  ///< |w - w*| in the end
  double drift = 0;     ///< the estimate by the second half of the draws minus that by the first
  /// The number of steps after which the loss or the position was no longer finite; -1 if it always was.
  int64_t diverged_at = -1;
  torch::Tensor end;  ///< [d]: where the chain stopped
};

/// Runs one chain from `start` [d], float32 or float64 on the CPU, whose loss is `start_loss`: the L(w*) that
/// the estimate is relative to. Noise is drawn from `rng`; `start` is not changed. Calls `loss` once for
/// every step and once more. Threads: uses the caller's only. Throws orrery::UsageError for settings out of
/// bounds, orrery::Error for a start of another shape or dtype or that is not finite.
ORRERY_API SgldChain sgld_chain(const torch::Tensor& start, double start_loss, const LossAndGradient& loss,
                                const SgldSettings& settings, torch::Generator rng);

/// Several chains, and what they say together. Chains that diverged are left out of all means.
struct LearningCoefficient {
  double start_loss = 0;  ///< L(w*)
  std::vector<SgldChain> chains;
  double estimate = 0;        ///< the mean over chains; NaN if all diverged
  double standard_error = 0;  ///< of the mean, from the spread of the chains; NaN for fewer than two
  double acceptance = 0, below = 0, distance = 0, drift = 0;  ///< means over chains
  double negative = 0;            ///< the share of chains with an estimate below 0
  std::vector<int64_t> diverged;  ///< the chains that did, counted from 0
};

/// Runs n_chains chains one after another. `loss_of_chain` is called before each with a generator for its
/// minibatches, and gives its loss; noise and minibatches of every chain have streams of their own, which
/// depend on the seed and the chain's number alone.
ORRERY_API LearningCoefficient sgld(const torch::Tensor& start, double start_loss,
                                    const std::function<LossAndGradient(torch::Generator rng)>& loss_of_chain,
                                    const SgldSettings& settings);

}  // namespace orrery
