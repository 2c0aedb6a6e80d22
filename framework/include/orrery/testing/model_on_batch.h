// A model on a batch of inputs, as the host shows it to a probe: for the tests of probes.
#pragma once

#include <orrery/hooks.h>
#include <orrery/probe.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace orrery::testing {

/// Observations refer to it, so it must outlive them, and observe() makes the one before it stale.
class ModelOnBatch {
 public:
  /// `inputs` must be of `spec`; labels may be left undefined for a probe that does not look at them.
  ModelOnBatch(TaskSpec of, std::unique_ptr<Model> with, Batch on)
      : spec(std::move(of)), inputs(std::move(on)), model(std::move(with)) {}

  /// Runs the model with the weights of the moment, and keeps the activations that `globs` match, at the
  /// read-out positions: all of them, or what the host would keep for a probe, probe->needs().activations.
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
