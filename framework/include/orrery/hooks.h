// Looking at, and changing, activations in a forward pass; scoped, so that the model is clean afterwards
// whatever throws. `*` in a glob stands for any run of characters: "blocks.*.attn.hook_pattern".
#pragma once

#include <orrery/export.h>
#include <orrery/model.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace orrery {

/// Activations by hook name, read-only.
class ORRERY_API ActivationCache {
 public:
  /// By its full name, "blocks.0.attn.hook_pattern"; shapes stand in orrery/transformer.h and orrery/mlp.h.
  /// Throws orrery::Error, naming what is there, if the activation was not cached.
  const torch::Tensor& operator[](const std::string& name) const;
  bool contains(const std::string& name) const { return activations_.count(name) != 0; }
  /// In alphabetical order; Model::hook_points() are in that of the forward pass.
  std::vector<std::string> names() const;
  void put(const std::string& name, torch::Tensor activation) { activations_[name] = std::move(activation); }

 private:
  std::map<std::string, torch::Tensor> activations_;
};

/// Where one attention head looks.
struct HeadPattern {
  int64_t layer = 0, head = 0;
  std::string name;       ///< "0.3": head 3 of layer 0
  torch::Tensor pattern;  ///< [batch, n_read, n_ctx], of the cached "blocks.0.attn.hook_pattern"
};
/// All heads whose patterns `cache` holds, layer by layer from 0 on, up to the first layer without.
ORRERY_API std::vector<HeadPattern> heads_in(const ActivationCache& cache);

/// A hook, and the hook points it goes on.
using Hook = std::pair<std::string, HookFunction>;

/// Puts hooks on a model for as long as it lives. Scopes on one model must end in reverse order of their
/// start.
class ORRERY_API HookScope {
 public:
  /// Throws orrery::Error if a glob matches no hook point of the model.
  HookScope(Model& model, const std::vector<Hook>& hooks);
  ~HookScope();
  HookScope(const HookScope&) = delete;
  HookScope& operator=(const HookScope&) = delete;

 private:
  std::vector<HookPoint*> hooked_;
};

struct CachedForward {
  torch::Tensor logits;  ///< [batch, n_ctx, d_vocab_out]
  ActivationCache cache;
};

/// A forward pass that keeps the activations matched by `globs`, at all positions, on the model's device.
/// tokens: [batch, n_ctx] int64 on the same device. Under a NoGradGuard, as probes run, nothing has
/// gradients. Throws orrery::Error, naming the nearest, for a glob that matches no hook point.
ORRERY_API CachedForward run_with_cache(Model& model, const torch::Tensor& tokens,
                                        const std::vector<std::string>& globs = {"*"});

/// A forward pass with hooks in place: the logits [batch, n_ctx, d_vocab_out]. A hook returns an activation
/// of the shape it was given. Throws as run_with_cache does.
ORRERY_API torch::Tensor run_with_hooks(Model& model, const torch::Tensor& tokens,
                                        const std::vector<Hook>& hooks);

/// `activation`, one of `point`, at some positions of the context, as probes are given it: in place of n_ctx
/// positions there are those of `positions` (int64 [n], on the device of the activation); one that belongs to
/// the whole input, as all of an mlp's do, has one position: [batch, 1, ...].
ORRERY_API torch::Tensor at_positions(const HookPoint& point, const torch::Tensor& activation,
                                      const torch::Tensor& positions);

/// Whether the whole of `text` matches `glob`.
ORRERY_API bool matches(const std::string& glob, const std::string& text);
/// The hook points of `model` matched by `glob`. Throws orrery::Error, naming the nearest, if there are none.
ORRERY_API std::vector<HookPoint*> find_hook_points(const Model& model, const std::string& glob);

}  // namespace orrery
