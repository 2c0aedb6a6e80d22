// Shows a model on a batch of inputs to a probe as the host does: for tests of probes.
#pragma once

#include <orrery/hooks.h>
#include <orrery/probe.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace orrery::testing {

/// A model and a batch, both on the CPU. Observations refer to this object, which must outlive them;
/// observe() invalidates the previous one.
class ModelOnBatch {
 public:
  /// `on` must have the shapes of `of`; labels may be undefined for a probe that does not read them.
  ModelOnBatch(TaskSpec of, std::unique_ptr<Model> with, Batch on)
      : spec(std::move(of)), inputs(std::move(on)), model(std::move(with)) {}

  /// Runs the model with its current weights and keeps the activations that match `globs`, at the output
  /// positions: all by default; probe->needs().activations for what the host would keep.
  Observation observe(int64_t step = 0, const std::vector<std::string>& globs = {"*"}) {
    const torch::NoGradGuard no_grad;
    const auto positions = torch::tensor(spec.read_out, torch::kInt64);
    const auto seen = run_with_cache(*model, inputs.tokens, globs);
    logits_ = seen.logits.index_select(1, positions);
    cache_ = {};
    for (const auto& point : model->hook_points()) {
      if (!seen.cache.contains(point->name())) continue;
      cache_.put(point->name(), at_positions(*point, seen.cache[point->name()], positions));
    }
    return {step, spec, structure, split, inputs, *model, logits_, cache_};
  }

  TaskSpec spec;
  Structure structure;  ///< none, unless a test fills it in
  Split split;          ///< likewise
  Batch inputs;
  std::unique_ptr<Model> model;

 private:
  torch::Tensor logits_;  // [batch, n_read, d_vocab_out]
  ActivationCache cache_;
};

}  // namespace orrery::testing
