// Gradients of a loss or of any function of the logits, with respect to weights and to activations, for
// probes. They are returned, never accumulated: no weight has a gradient afterwards that it had not before.
#pragma once

#include <orrery/export.h>
#include <orrery/hooks.h>
#include <orrery/model.h>
#include <orrery/task.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace orrery {

/// A scalar (0-d, float64 preferred) function of logits [batch, n_read, d_vocab_out], differentiable in them.
using Objective = std::function<torch::Tensor(const torch::Tensor& logits)>;

/// With respect to what gradients are taken.
struct GradientRequest {
  std::vector<std::string> weights = {};      ///< by glob; "*" for all
  std::vector<std::string> activations = {};  ///< hook points, by glob
  /// Hooks of the forward pass, which run before activations are taken: gradients are those at the activation
  /// that the pass goes on with.
  std::vector<Hook> hooks = {};
};

struct Gradients {
  double value = 0;      ///< of the objective
  torch::Tensor logits;  ///< [batch, n_read, d_vocab_out] float32, detached, on the model's device
  std::map<std::string, torch::Tensor> of_weights;  ///< by weight, of its shape; zeros if it plays no part
  /// By hook point, at all positions and on the model's device, detached: the activations, and the gradients
  /// of the objective with respect to them, zeros if they play no part. One that a model computes several
  /// times is the last one.
  ActivationCache activations, of_activations;
};

/// Runs the plain forward pass on `tokens` [batch, n_ctx] (on the model's device) and differentiates
/// `objective` of the logits at `read_out`, the output positions. Works whether gradients are on or off, and
/// leaves that as it is. The whole batch is held in memory with its graph. Threads: as for Model. Throws
/// orrery::Error, with the nearest name, for a glob that matches nothing, and if the objective is not a
/// differentiable scalar.
ORRERY_API Gradients gradients(Model& model, const torch::Tensor& tokens,
                               const std::vector<int64_t>& read_out, const Objective& objective,
                               const GradientRequest& request);

}  // namespace orrery
