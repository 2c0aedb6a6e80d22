// All weights of a model in one flat buffer, so that an update takes a handful of long vector operations
// instead of a handful per weight.
#pragma once

#include <orrery/model.h>

#include <string>
#include <utility>
#include <vector>

namespace orrery::engine {

/// A model's weights, laid end to end. The model's own weights become views of them, and their gradients
/// views of `gradients`. The model must outlive this and must not move to another device afterwards.
///
/// In float64 the model has float32 weights, the rounded values, but for the lifetime of a Wide.
class FlatWeights {
 public:
  explicit FlatWeights(Model& model, torch::Dtype dtype = torch::kFloat32);
  torch::Tensor values() const { return values_; }        ///< [n_parameters], of the dtype
  torch::Tensor gradients() const { return gradients_; }  ///< [n_parameters], of the dtype
  void zero_gradients() { gradients_.zero_(); }
  bool is_wide() const { return rounded_.defined(); }
  /// Splits `flat` [n_parameters] into named tensors of the weights' shapes, which share its memory.
  std::vector<std::pair<std::string, torch::Tensor>> unflatten(const torch::Tensor& flat) const;

  /// While it lives, the model computes with float64 weights. Does nothing in float32.
  class Wide {
   public:
    explicit Wide(FlatWeights& weights);
    ~Wide();
    Wide(const Wide&) = delete;
    Wide& operator=(const Wide&) = delete;

   private:
    FlatWeights& weights_;
  };

 private:
  void give(const torch::Tensor& values, const torch::Tensor& gradients);

  Model& model_;
  torch::Tensor values_, gradients_;
  torch::Tensor rounded_;  // float32, what the model has outside of a Wide; undefined in float32
};

}  // namespace orrery::engine
