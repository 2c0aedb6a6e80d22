// An activation at a site of an interchange, as [batch, positions, features] and back; internal.
#pragma once

#include <orrery/interchange.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace orrery::interchanging {

inline constexpr int64_t piece_size = 512;  // inputs in a forward pass
inline const char* const kLogits = "logits";

class Slice {
 public:
  Slice(const HookPoint& point, const InterchangeSite& site, const TaskSpec& spec);

  const std::string& hook() const { return hook_; }
  // [batch, positions, features], in the dtype and on the device of the activation.
  torch::Tensor taken(const torch::Tensor& activation) const;
  // The activation with `values` there; differentiable in both.
  torch::Tensor put(const torch::Tensor& activation, const torch::Tensor& values) const;

 private:
  void check(const torch::Tensor& activation) const;
  torch::Tensor narrowed(const torch::Tensor& activation) const;

  std::string hook_;
  int64_t position_dim_, dim_, entry_;
  std::optional<std::vector<int64_t>> positions_;  // none: all
};

// The hook points of a site, none for "logits".
std::vector<Slice> slices_of(const Model& model, const InterchangeSite& site, const TaskSpec& spec);

// base + (source - base) R^T R for the rows R [m, features] of `directions` (on any device), or the source
// where they are undefined. Both [batch, positions, features]; the result has the dtype of `base`.
torch::Tensor exchanged(const torch::Tensor& base, const torch::Tensor& source,
                        const torch::Tensor& directions);

// [m, n_ctx] tokens of `rows`, on the device of the model.
torch::Tensor tokens_of(const Model& model, const Batch& inputs, const torch::Tensor& rows);
// logits [batch, n_ctx, classes] at the output positions, on their device.
torch::Tensor at_read_out(const torch::Tensor& logits, const TaskSpec& spec);

// Where a label counts: bool [pairs, n_read]. `own` are the labels of the bases.
torch::Tensor counting(const torch::Tensor& counterfactual, const torch::Tensor& own, const Batch& inputs,
                       const torch::Tensor& base);
// The counterfactual labels, checked to be [pairs, n_read].
torch::Tensor labels_for(const CounterfactualLabels& labels, const std::string& name, const TaskSpec& spec,
                         const torch::Tensor& base, const torch::Tensor& source);

// What every call asks of its pairs and its task.
void check_request(const TaskSpec& spec, const Batch& inputs, const InterchangePairs& pairs);

}  // namespace orrery::interchanging
