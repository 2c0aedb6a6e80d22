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

/// What is wanted of a forward pass over a batch that is used many times.
struct ReadOutRequest {
  torch::Tensor tokens;            ///< [batch, n_ctx] int64, on the model's device
  std::vector<int64_t> positions;  ///< the output positions: n_read of them, from 0
  /// Which logits count in the loss: bool [batch, n_read]. The others may be left 0, to save the work.
  /// Undefined: all count.
  torch::Tensor loss_mask = {};
  /// Set for probes: the pass keeps the activations of `hook_points` (names, no globs), and its numbers do
  /// not depend on which of them are listed.
  bool observed = false;
  std::vector<std::string> hook_points = {};
};

/// A forward pass made ready for one request. It refers to the model, which must outlive it.
class ORRERY_API ReadOutPass {
 public:
  virtual ~ReadOutPass();
  /// Runs it with the weights of the moment. Returns logits [batch, n_read, d_vocab_out] on the model's
  /// device, which may be differentiated.
  virtual torch::Tensor logits() = 0;
  /// By hook point, what the last logits() met there at the output positions: [batch, n_read, ...]. An
  /// activation without a position dimension has n_read = 1.
  const std::map<std::string, torch::Tensor>& activations() const { return activations_; }

 protected:
  std::map<std::string, torch::Tensor> activations_;
};

/// A pass that keeps no activations: `logits` is what its logits() calls.
ORRERY_API std::unique_ptr<ReadOutPass> make_pass(std::function<torch::Tensor()> logits);

/// What the framework trains and probes look into.
class ORRERY_API Model {
 public:
  Model();
  virtual ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  /// The plain forward pass, through every hook point.
  /// tokens: [batch, n_ctx] int64, on the model's device. Returns float32 logits [batch, n_ctx, d_vocab_out]
  /// there; a model with one output for the whole input gives it at every position (expand() costs nothing).
  virtual torch::Tensor forward(const torch::Tensor& tokens) = 0;

  /// A pass that gives what forward() gives at the output positions, and may be much faster; it runs no
  /// hooks. Null where the model has none for this request: then plain_read_out() serves. Asked for an
  /// observed request only where fast_read_out_keeps() its hook points. Default: null.
  virtual std::unique_ptr<ReadOutPass> fast_read_out(const ReadOutRequest& request);
  /// Whether fast_read_out() serves observed requests for these hook points. Default: no.
  virtual bool fast_read_out_keeps(const std::vector<std::string>& hook_points) const;

  /// What the model adds to the loss that is minimised: a differentiable scalar of the weights, beside weight
  /// decay and L1. Default: an undefined tensor, nothing. Metrics leave it out of their losses.
  virtual torch::Tensor penalty();

  /// All weights, in a fixed order: float32 leaves of the autograd graph, on device().
  const std::vector<NamedWeight>& weights() const { return parts_->weights; }
  std::vector<NamedWeight>& weights() { return parts_->weights; }
  /// One weight itself, no copy. Throws orrery::Error, with the nearest name, if there is none of this name.
  torch::Tensor weight(const std::string& name) const;
  /// The weight of this name, null if there is none. The pointer stays good until another weight is added.
  const NamedWeight* find_weight(const std::string& name) const;
  /// "embed.W_E", ...: of all weights, in their order.
  std::vector<std::string> weight_names() const;

  /// All hook points, in the order in which a forward pass meets them.
  const std::vector<std::unique_ptr<HookPoint>>& hook_points() const { return parts_->hook_points; }
  /// The hook point of this name, null if there is none. The pointer stays good for the model's life.
  const HookPoint* find_hook_point(const std::string& name) const;
  /// "hook_embed", ...: of all hook points, in their order.
  std::vector<std::string> hook_point_names() const;

  int64_t n_parameters() const;  ///< numbers in all weights
  torch::Device device() const;  ///< of the weights; the CPU for a model without any
  void to(torch::Device device);

 protected:
  /// A model with the weights and hook points of another: for one that stands in front of it.
  struct InFrontOf {
    Model& model;
  };
  explicit Model(InFrontOf other);

  /// Makes a copy of `value` a weight that is trained; returns a handle to it that stays good for the model's
  /// life. Throws orrery::Error for a name that comes twice.
  torch::Tensor add_weight(const std::string& name, torch::Tensor value);
  /// `position_dim`: see HookPoint. The reference stays good for the model's life.
  HookPoint& add_hook_point(const std::string& name, int64_t position_dim = 1);

 private:
  struct Parts {
    std::vector<NamedWeight> weights;
    std::vector<std::unique_ptr<HookPoint>> hook_points;
  };
  std::shared_ptr<Parts> parts_;
};

/// The pass through forward(), which every other pass is held to. `model` outlives it. Throws orrery::Error,
/// with the nearest name, if the request names a hook point that the model has not.
ORRERY_API std::unique_ptr<ReadOutPass> plain_read_out(Model& model, ReadOutRequest request);
/// The model's fast pass, or where it has none for this request, the plain one.
ORRERY_API std::unique_ptr<ReadOutPass> read_out(Model& model, const ReadOutRequest& request);

}  // namespace orrery
