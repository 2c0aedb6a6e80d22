// What probes are shown and may not change: copies to compare with after each call, and to restore from.
#pragma once

#include <orrery/probe.h>

#include <string>
#include <utility>
#include <vector>

namespace orrery::engine {

/// The weights, hooks and data of a run. The weights have no gradients during its lifetime, so that a probe
/// that calls backward() finds none of the training's, and leaves none.
class Pristine {
 public:
  /// Copies weights and data. Both arguments must outlive it.
  Pristine(Model& model, const Split& split);
  ~Pristine();
  Pristine(const Pristine&) = delete;
  Pristine& operator=(const Pristine&) = delete;

  /// Restores whatever differs from the copies, bit by bit, and names it: "the weight \"embed.W_E\""; "" if
  /// nothing did. On a device, a tensor is compared only if LibTorch counted a write to it.
  std::string restore();

 private:
  struct Kept {
    std::string name;
    torch::Tensor tensor;   // the very one that is shown
    torch::Tensor storage;  // the same memory, whatever becomes of `tensor`
    torch::Tensor copy;
    int64_t version;
  };
  static Kept keep(std::string name, const torch::Tensor& tensor);
  void keep(const std::string& name, const Batch& batch);
  static bool restore(Kept& kept);
  std::string restore_hooks();

  Model& model_;
  std::vector<NamedWeight> weights_;
  std::vector<torch::Tensor> gradients_;
  std::vector<size_t> n_hooks_;
  std::vector<Kept> kept_;
};

/// How often the tensors of one forward pass were written to. They may be large, so there are no copies.
class WriteCounts {
 public:
  WriteCounts(const torch::Tensor& logits, const ActivationCache& cache);
  /// `the logits`, `the activation "hook_embed"`, or "".
  std::string written() const;

 private:
  std::vector<std::pair<std::string, torch::Tensor>> tensors_;
  std::vector<int64_t> versions_;
};

}  // namespace orrery::engine
