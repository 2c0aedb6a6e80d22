// A model: named weights, and a forward pass that sends every activation of interest through a HookPoint.
// Names follow TransformerLens (Nanda & Bloom 2022): `blocks.0.attn.W_Q`, `blocks.0.mlp.hook_post`. Calls on
// one model come from one thread at a time, possibly in a forked process.
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

struct TransformerConfig;

/// Receives an activation and returns the tensor that the forward pass continues with: the same one,
/// unchanged, to observe; another of its shape, dtype and device to intervene.
using HookFunction = std::function<torch::Tensor(const torch::Tensor&)>;

/// A named place in the forward pass. Hooks on it run in the order in which they were added.
class ORRERY_API HookPoint {
 public:
  HookPoint(std::string name, int64_t position_dim) : name_(std::move(name)), position_dim_(position_dim) {}

  const std::string& name() const { return name_; }
  /// The dimension of the activation that runs over positions in the context (for attention patterns, over
  /// query positions); -1 if the activation belongs to the whole input.
  int64_t position_dim() const { return position_dim_; }

  /// What the forward pass continues with. Throws orrery::Error, naming the hook point, if a hook writes into
  /// the activation instead of returning another one, or returns one of another shape, dtype or device.
  torch::Tensor operator()(torch::Tensor activation) const {
    if (hooks_.empty()) return activation;
    return run_hooks(std::move(activation));
  }

  size_t n_hooks() const { return hooks_.size(); }
  /// Removes the hooks that were added after the first `n`: how the host frees a model of a HookScope that
  /// was left behind.
  void drop_hooks_after(size_t n) {
    if (n < hooks_.size()) hooks_.resize(n);
  }

 private:
  friend class HookScope;
  torch::Tensor run_hooks(torch::Tensor activation) const;
  std::string name_;
  int64_t position_dim_;
  std::vector<HookFunction> hooks_;
};

/// A weight under its TransformerLens name.
struct NamedWeight {
  std::string name;
  torch::Tensor value;
};

/// A request for a forward pass over one batch, usually run many times.
struct ReadOutRequest {
  torch::Tensor tokens;            ///< [batch, n_ctx] int64, on the model's device
  std::vector<int64_t> positions;  ///< the output positions, n_read of them, counted from 0
  /// The loss mask, bool [batch, n_read]: which logits count in the loss. A pass may leave the others 0 to
  /// save work. Undefined: all count.
  torch::Tensor loss_mask = {};
  /// Set for probes: the pass keeps the activations at `hook_points` (full names, not globs), and its numbers
  /// do not depend on which of them are listed.
  bool observed = false;
  std::vector<std::string> hook_points = {};
};

/// A forward pass prepared for one request. It refers to the model and keeps the tensors of the request: the
/// model must outlive it and stay on its device.
class ORRERY_API ReadOutPass {
 public:
  virtual ~ReadOutPass();
  /// Runs the pass with the current weights. Returns float32 logits [batch, n_read, d_vocab_out] on the
  /// model's device, differentiable with respect to the weights.
  virtual torch::Tensor logits() = 0;
  /// The activations of the last logits() call by hook point, at the output positions: [batch, n_read, ...],
  /// on the model's device; an activation without a position dimension has n_read = 1. Empty unless the
  /// request was observed. The next call of logits() overwrites them.
  const std::map<std::string, torch::Tensor>& activations() const { return activations_; }

 protected:
  std::map<std::string, torch::Tensor> activations_;
};

/// A pass whose logits() calls `logits` and that keeps no activations.
ORRERY_API std::unique_ptr<ReadOutPass> make_pass(std::function<torch::Tensor()> logits);

/// The network that the framework trains and probes analyse.
class ORRERY_API Model {
 public:
  Model();
  virtual ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  /// The plain forward pass, through every hook point.
  /// tokens: [batch, n_ctx] int64, on the model's device. Returns float32 logits [batch, n_ctx, d_vocab_out]
  /// there; a model with one output for the whole input repeats it at every position (expand() copies
  /// nothing).
  virtual torch::Tensor forward(const torch::Tensor& tokens) = 0;

  /// A pass that returns the logits of forward() at the output positions, up to rounding, and may be much
  /// faster; it runs no hooks. Returns null if the model has none for this request, and plain_read_out() is
  /// used. Called with an observed request only if fast_read_out_keeps() its hook points. Default: null.
  virtual std::unique_ptr<ReadOutPass> fast_read_out(const ReadOutRequest& request);
  /// Whether fast_read_out() serves observed requests for these hook points. Default: no.
  virtual bool fast_read_out_keeps(const std::vector<std::string>& hook_points) const;

  /// A term that the model adds to the training loss, beside weight decay and L1: a differentiable scalar
  /// function of the weights. Reported losses leave it out. Default: an undefined tensor, which adds nothing.
  virtual torch::Tensor penalty();

  /// All weights, in a fixed order: float32 leaves of the autograd graph, on device().
  const std::vector<NamedWeight>& weights() const { return parts_->weights; }
  std::vector<NamedWeight>& weights() { return parts_->weights; }
  /// The weight of this name, not a copy. Throws orrery::Error, with the nearest name, if there is none.
  torch::Tensor weight(const std::string& name) const;
  /// The weight of this name, or null. The pointer is valid until the next add_weight().
  const NamedWeight* find_weight(const std::string& name) const;
  /// The names of all weights, in the order of weights(): "embed.W_E", ...
  std::vector<std::string> weight_names() const;

  /// All hook points, in the order of the forward pass.
  const std::vector<std::unique_ptr<HookPoint>>& hook_points() const { return parts_->hook_points; }
  /// The hook point of this name, or null. The pointer is valid for the model's lifetime.
  const HookPoint* find_hook_point(const std::string& name) const;
  /// The names of all hook points, in the order of hook_points(): "hook_embed", ...
  std::vector<std::string> hook_point_names() const;

  /// The config of a model that make_transformer (orrery/transformer.h) has made; null for any other.
  const TransformerConfig* transformer_config() const { return parts_->transformer_config.get(); }

  int64_t n_parameters() const;   ///< total over all weights
  double parameter_norm() const;  ///< Euclidean norm of all weights together, summed in float64
  torch::Device device() const;   ///< of the weights; the CPU if there are none
  /// Moves all weights, in place: handles and references to them stay valid.
  void to(torch::Device device);

 protected:
  /// Constructs a model that shares the weights and hook points of another one: for wrappers.
  struct InFrontOf {
    Model& model;
  };
  explicit Model(InFrontOf other);

  /// Adds a trained weight, a copy of `value` (float32), and returns a handle that is valid for the model's
  /// lifetime. Throws orrery::Error if the name is taken.
  torch::Tensor add_weight(const std::string& name, torch::Tensor value);
  /// Adds a hook point; call in the order of the forward pass. `position_dim`: see HookPoint. The reference
  /// is valid for the model's lifetime.
  HookPoint& add_hook_point(const std::string& name, int64_t position_dim = 1);
  /// For make_transformer: what transformer_config() returns.
  void set_transformer_config(const TransformerConfig& config);

 private:
  struct Parts {
    std::vector<NamedWeight> weights;
    std::vector<std::unique_ptr<HookPoint>> hook_points;
    std::shared_ptr<const TransformerConfig> transformer_config;
  };
  std::shared_ptr<Parts> parts_;
};

/// The pass through forward(), against which every other pass is tested. `model` must outlive it. Throws
/// orrery::Error, with the nearest name, if the request names a hook point that the model does not have.
ORRERY_API std::unique_ptr<ReadOutPass> plain_read_out(Model& model, ReadOutRequest request);
/// The model's fast pass, or the plain one if it has none for this request. `model` must outlive it.
ORRERY_API std::unique_ptr<ReadOutPass> read_out(Model& model, const ReadOutRequest& request);

}  // namespace orrery
