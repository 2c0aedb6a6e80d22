// What probes look at, without the rest of the forward pass.
#pragma once

#include <torch/types.h>

#include <map>
#include <string>
#include <vector>

namespace orrery {

/// What was seen at n_read positions.
struct ObservedReadOut {
  torch::Tensor logits;                              ///< [batch, n_read, d_vocab_out]
  std::map<std::string, torch::Tensor> activations;  ///< by hook point, [batch, n_read, ...]
};

/// A model whose read-out pass (Model::read_out) can be looked at.
class HasObservedReadOut {
 public:
  virtual ~HasObservedReadOut() = default;
  /// Whether the pass comes by all of these hook points.
  virtual bool read_out_passes(const std::vector<std::string>& hook_points) const = 0;
  /// The logits at `positions`, and the activations there that pass these hook points, as forward() gives
  /// them to rounding. The numbers do not depend on which hook points are asked for.
  virtual ObservedReadOut observe_read_out(const torch::Tensor& tokens, const std::vector<int64_t>& positions,
                                           const std::vector<std::string>& hook_points) = 0;
};

}  // namespace orrery
