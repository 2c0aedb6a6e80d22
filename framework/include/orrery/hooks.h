// Observing and changing activations in a forward pass. Hooks are scoped, so that the model is left clean
// even by an exception. `*` in a glob stands for any run of characters: "blocks.*.attn.hook_pattern".
// Functions here add hooks to the model: use one model from one thread at a time.
#pragma once

#include <orrery/export.h>
#include <orrery/model.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace orrery {

/// The positions of the context at which activations are looked at or changed: the output positions
/// (TaskSpec::read_out), or every one.
enum class Positions { read_out, all };

/// Activations by hook name, read-only.
class ORRERY_API ActivationCache {
 public:
  /// An activation by its full name, "blocks.0.attn.hook_pattern"; orrery/transformer.h and orrery/mlp.h list
  /// shapes. Throws orrery::Error, listing the cached names, if there is none.
  const torch::Tensor& operator[](const std::string& name) const;
  bool contains(const std::string& name) const { return activations_.count(name) != 0; }
  /// In alphabetical order (Model::hook_points() are in the order of the forward pass).
  std::vector<std::string> names() const;
  /// Stores `activation`, not a copy, in place of any earlier one of this name.
  void put(const std::string& name, torch::Tensor activation) { activations_[name] = std::move(activation); }

 private:
  std::map<std::string, torch::Tensor> activations_;
};

/// The attention pattern of one head.
struct HeadPattern {
  int64_t layer = 0, head = 0;
  std::string name;       ///< "0.3": head 3 of layer 0
  torch::Tensor pattern;  ///< [batch, n_read, n_ctx], of the cached "blocks.0.attn.hook_pattern"
};
/// All heads whose patterns `cache` holds, layer by layer from 0 up to the first layer without a pattern.
/// `cache` is that of an Observation; patterns share its storage.
ORRERY_API std::vector<HeadPattern> heads_in(const ActivationCache& cache);

/// A glob of hook points, and the function to add to each of them.
using Hook = std::pair<std::string, HookFunction>;

/// Adds hooks to a model for the lifetime of the scope. Hooks on one point run in the order in which they
/// were added, those of an outer scope first. Scopes on one model must end in the reverse order of their
/// construction, and before the model does.
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

/// The result of run_with_cache.
struct CachedForward {
  torch::Tensor logits;  ///< [batch, n_ctx, d_vocab_out] float32
  ActivationCache cache;
};

/// Runs a forward pass and keeps the activations that match `globs`, at all positions, on the model's device.
/// tokens: [batch, n_ctx] int64 on the same device. Activations are not detached; probes run with gradients
/// off. Throws orrery::Error, with the nearest name, for a glob that matches no hook point.
ORRERY_API CachedForward run_with_cache(Model& model, const torch::Tensor& tokens,
                                        const std::vector<std::string>& globs = {"*"});

/// Runs a forward pass with `hooks` in place. tokens: as for run_with_cache. Returns float32 logits [batch,
/// n_ctx, d_vocab_out] on the model's device. A hook must return an activation of the shape it was given.
/// Throws as run_with_cache does.
ORRERY_API torch::Tensor run_with_hooks(Model& model, const torch::Tensor& tokens,
                                        const std::vector<Hook>& hooks);

/// `activation` of `point` restricted to `positions` (int64 [n], on the device of the activation), as probes
/// receive it: n in place of n_ctx. An activation of the whole input, like all of an mlp's, gets one
/// position: [batch, 1, ...].
ORRERY_API torch::Tensor at_positions(const HookPoint& point, const torch::Tensor& activation,
                                      const torch::Tensor& positions);

/// Whether the whole of `text` matches `glob`.
ORRERY_API bool matches(const std::string& glob, const std::string& text);
/// The hook points of `model` that match `glob`, in the order of the forward pass. Throws orrery::Error, with
/// the nearest name, if there are none.
ORRERY_API std::vector<HookPoint*> find_hook_points(const Model& model, const std::string& glob);

}  // namespace orrery
