// A real model on the grid of a task, as the host shows it to a probe.
#pragma once

#include <orrery/mlp.h>
#include <orrery/transformer.h>
#include <tests/support/hand_built.h>

#include <memory>
#include <string>
#include <vector>

namespace orrery::testing {

/// Runs `model` on every input of `task` and keeps all activations at the output positions.
struct ModelOnGrid {
  ModelOnGrid(CyclicTask of, std::unique_ptr<Model> with) : task(std::move(of)), model(std::move(with)) {
    const torch::NoGradGuard no_grad;
    const auto positions = torch::tensor(task.spec.read_out, torch::kInt64);
    const auto seen = run_with_cache(*model, task.split.grid->tokens);
    logits = seen.logits.index_select(1, positions);
    for (const auto& point : model->hook_points())
      cache.put(point->name(), at_positions(*point, seen.cache[point->name()], positions));
  }

  Observation observe() {
    return {0, task.spec, task.structure, task.split, *task.split.grid, *model, logits, cache};
  }

  CyclicTask task;
  std::unique_ptr<Model> model;
  torch::Tensor logits;  ///< [grid, n_read, d_vocab_out]
  ActivationCache cache;
};

/// An mlp that solves a + b mod p (set_constructed_solution).
inline ModelOnGrid constructed_mlp(const MlpConfig& config, int64_t p) {
  CyclicTask task = addition(p);
  auto model = make_mlp(config, task.spec, make_generator(0));
  set_constructed_solution(*model, task.spec);
  return {std::move(task), std::move(model)};
}
inline ModelOnGrid random_mlp(const MlpConfig& config, int64_t p, uint64_t seed = 3) {
  CyclicTask task = addition(p);
  auto model = make_mlp(config, task.spec, make_generator(seed));
  return {std::move(task), std::move(model)};
}
inline ModelOnGrid random_transformer(const TransformerConfig& config, int64_t p, uint64_t seed = 3) {
  CyclicTask task = addition(p);
  auto model = make_transformer(config, task.spec, make_generator(seed));
  return {std::move(task), std::move(model)};
}

/// "embedding tied untied none": how the mlp is wired, for the trace of a failure.
inline std::string wiring(const MlpConfig& c) {
  return name_of(c.input) + " " + name_of(c.embedding) + " " + name_of(c.hidden) + " " + name_of(c.collapse);
}

/// Every way in which an mlp of two operands can be wired.
inline std::vector<MlpConfig> every_mlp_of_operands(int64_t d_embed, int64_t d_mlp) {
  using Embedding = MlpConfig::Embedding;
  using Hidden = MlpConfig::Hidden;
  using Collapse = MlpConfig::Collapse;
  std::vector<MlpConfig> all{{.input = MlpConfig::Input::one_hot_sum, .d_mlp = d_mlp}};
  for (const auto embedding :
       {Embedding::tied, Embedding::input_tied, Embedding::untied, Embedding::circular})
    for (const auto hidden : {Hidden::tied, Hidden::untied})
      for (const auto collapse : {Collapse::none, Collapse::input, Collapse::output, Collapse::both}) {
        const bool input = collapse == Collapse::input || collapse == Collapse::both;
        if (embedding == Embedding::tied && collapse != Collapse::none) continue;
        if (embedding == Embedding::circular && input) continue;
        all.push_back({.embedding = embedding,
                       .hidden = hidden,
                       .collapse = collapse,
                       .d_embed = embedding == Embedding::circular ? 2 : d_embed,
                       .d_mlp = d_mlp});
      }
  return all;
}

}  // namespace orrery::testing
