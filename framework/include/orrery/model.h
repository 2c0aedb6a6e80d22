// A model: named weights and a forward pass in which every interesting activation passes a HookPoint.
// Names are TransformerLens's (Nanda & Bloom 2022): `blocks.0.attn.W_Q`, `blocks.0.mlp.hook_post`.
#pragma once

#include <orrery/export.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace orrery {

/// Sees an activation and returns what the forward pass goes on with (the same tensor, to only look).
using HookFunction = std::function<torch::Tensor(const torch::Tensor&)>;

/// A named place in the forward pass.
class ORRERY_API HookPoint {
 public:
  HookPoint(std::string name, int64_t position_dim) : name_(std::move(name)), position_dim_(position_dim) {}

  const std::string& name() const { return name_; }
  /// The dimension of the activation that runs over positions in the context (for attention patterns: over
  /// query positions). -1: none; the activation belongs to the whole input.
  int64_t position_dim() const { return position_dim_; }

  torch::Tensor operator()(torch::Tensor activation) const {
    for (const HookFunction& hook : hooks_) activation = hook(activation);
    return activation;
  }

 private:
  friend class HookScope;
  std::string name_;
  int64_t position_dim_;
  std::vector<HookFunction> hooks_;
};

/// A weight under its TransformerLens name.
struct NamedWeight {
  std::string name;
  torch::Tensor value;
};

/// What the framework trains and probes look into.
class ORRERY_API Model {
 public:
  Model();
  virtual ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  /// The plain forward pass, through every hook point.
  /// tokens: [batch, n_ctx] int64, on the model's device. Returns logits [batch, n_ctx, d_vocab_out]; a model
  /// with one output for the whole input gives it at every position (expand() costs nothing).
  virtual torch::Tensor forward(const torch::Tensor& tokens) = 0;

  /// A forward pass for a batch that is used many times: what it returns computes, with the weights of the
  /// moment of the call, the logits [batch, n_read, d_vocab_out] at `positions`, and may be differentiated.
  /// It equals forward() at those positions but may be much faster; it passes no hook point.
  virtual std::function<torch::Tensor()> read_out(torch::Tensor tokens, std::vector<int64_t> positions);
  /// The same where only those logits count at which `scored`, bool [batch, n_read], is true: the others may
  /// be left 0, to save the work. Default: read_out(), which computes them all.
  virtual std::function<torch::Tensor()> read_out_scored(torch::Tensor tokens, std::vector<int64_t> positions,
                                                         torch::Tensor scored);

  /// What the model adds to the loss that is minimised: a differentiable scalar of the weights, beside weight
  /// decay and L1. Default: an undefined tensor, nothing. Metrics leave it out of their losses.
  virtual torch::Tensor penalty();

  /// All weights, in a fixed order: float32 leaves of the autograd graph, on device().
  const std::vector<NamedWeight>& weights() const { return weights_; }
  std::vector<NamedWeight>& weights() { return weights_; }
  /// One weight itself, no copy. Throws orrery::Error, with the nearest name, if there is none of this name.
  torch::Tensor weight(const std::string& name) const;
  /// The weight of this name, null if there is none. The pointer stays good until another weight is added.
  const NamedWeight* find_weight(const std::string& name) const;
  /// "embed.W_E", ...: of all weights, in their order.
  std::vector<std::string> weight_names() const;

  /// All hook points, in the order in which a forward pass meets them.
  const std::vector<std::unique_ptr<HookPoint>>& hook_points() const { return hook_points_; }
  /// The hook point of this name, null if there is none. The pointer stays good for the model's life.
  const HookPoint* find_hook_point(const std::string& name) const;
  /// "hook_embed", ...: of all hook points, in their order.
  std::vector<std::string> hook_point_names() const;

  int64_t n_parameters() const;  ///< numbers in all weights
  torch::Device device() const;  ///< of the weights; the CPU for a model without any
  void to(torch::Device device);

 protected:
  /// Makes a copy of `value` a weight that is trained; returns a handle to it that stays good for the model's
  /// life. Throws orrery::Error for a name that comes twice.
  torch::Tensor add_weight(const std::string& name, torch::Tensor value);
  /// `position_dim`: see HookPoint. The reference stays good for the model's life.
  HookPoint& add_hook_point(const std::string& name, int64_t position_dim = 1);

 private:
  std::vector<NamedWeight> weights_;
  std::vector<std::unique_ptr<HookPoint>> hook_points_;
};

}  // namespace orrery
