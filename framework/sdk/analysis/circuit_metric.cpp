// What a circuit is asked to keep.
#include <ATen/Functions.h>
#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/loss.h>

#include <algorithm>

#include "sdk/analysis/circuit_parts.h"
#include "sdk/base/losses.h"

namespace orrery {
namespace {

using torch::Tensor;

Tensor at_label(const Tensor& logits, const Tensor& labels) {
  return logits.gather(-1, labels.unsqueeze(-1)).squeeze(-1);
}

// [batch, n_read] of logits [batch, n_read, d_vocab_out].
Tensor margins(CircuitMetric metric, const TaskSpec& spec, const Tensor& logits, const Batch& clean,
               const Batch& corrupted) {
  if (has_one_logit(spec.loss)) return logits.squeeze(-1) * (2 * clean.labels - 1);
  const Tensor right = at_label(logits, clean.labels);
  if (metric == CircuitMetric::logit_difference) return right - at_label(logits, corrupted.labels);
  const auto others = static_cast<double>(logits.size(-1) - 1);
  return right - (logits.sum(-1) - right) / others;
}

// Which labels count: float64 [batch, n_read], their weights in the mean.
Tensor counted(CircuitMetric metric, const Batch& clean, const Batch& corrupted) {
  Tensor mask =
      clean.scored.defined() ? clean.scored.to(torch::kBool) : torch::ones_like(clean.labels, torch::kBool);
  if (metric == CircuitMetric::logit_difference) mask = mask & (clean.labels != corrupted.labels);
  const auto n = mask.sum().item<int64_t>();
  if (n > 0) return mask.to(torch::kFloat64) / static_cast<double>(n);
  if (metric == CircuitMetric::logit_difference)
    throw UsageError(
        fmt::format("none of {} corrupted inputs has another label, so there is no logit difference",
                    clean.size()),
        "choose metric = \"logit_above_mean\" or \"loss\", or more examples");
  throw UsageError("no label of the examples counts in the loss mask", "choose more examples");
}

}  // namespace

Objective circuit_metric(CircuitMetric metric, const TaskSpec& spec, const Batch& clean,
                         const Batch& corrupted,
                         std::function<Tensor(const Tensor& logits, const Batch& inputs)> losses) {
  if (metric == CircuitMetric::loss) {
    counted(metric, clean, corrupted);
    return [clean, losses = std::move(losses), spec](const Tensor& logits) {
      return -mean_over_labels(losses ? losses(logits, clean) : each_loss(spec, logits, clean), clean);
    };
  }
  if (!has_one_logit(spec.loss) && spec.d_vocab_out < 2)
    throw UsageError("the task has one class, so there is no logit to compare with",
                     "choose metric = \"loss\"");
  const Tensor share = counted(metric, clean, corrupted);
  return [=](const Tensor& logits) {
    return (margins(metric, spec, logits, clean, corrupted) * share.to(logits.scalar_type())).sum();
  };
}

int64_t circuit_examples_by_length(const TaskSpec& spec) {
  constexpr int64_t kMost = 128, kLeast = 16, kTokens = 2048;
  return std::clamp(kTokens / std::max<int64_t>(1, spec.n_ctx), kLeast, kMost);
}

CircuitExamples circuit_examples(const Observation& observation, int64_t n, torch::Generator rng) {
  const int64_t there = observation.inputs.size();
  if (n == 0) n = circuit_examples_by_length(observation.spec);
  const Tensor rows = torch::randperm(there, rng, torch::kInt64).narrow(0, 0, std::min(n, there));
  CircuitExamples examples{observation.inputs.rows(rows), {}};
  examples.corrupted = observation.corrupted(examples.clean, rng);
  // Without a grid partners are other examples, and a single one has none.
  if (examples.clean.size() == 1 && examples.corrupted.tokens.equal(examples.clean.tokens))
    throw UsageError("one example has no other to be corrupted with", "choose more examples");
  return examples;
}

}  // namespace orrery
