#include "sdk/analysis/interchange_site.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

namespace orrery::interchanging {

using torch::Tensor;

Slice::Slice(const HookPoint& point, const InterchangeSite& site, const TaskSpec& spec)
    : hook_(point.name()), position_dim_(point.position_dim()), dim_(site.dim), entry_(site.entry) {
  if (position_dim_ < 0) {
    if (site.position >= 0)
      throw UsageError(fmt::format("the activation at \"{}\" belongs to the whole input, and has no position "
                                   "{}",
                                   hook_, site.position),
                       "leave the position out, or choose another site");
    return;
  }
  if (site.position >= spec.n_ctx)
    throw UsageError(fmt::format("there is no position {} in inputs of {} tokens", site.position, spec.n_ctx),
                     fmt::format("positions are 0 to {}", spec.n_ctx - 1));
  if (site.position >= 0)
    positions_ = std::vector<int64_t>{site.position};
  else if (site.positions == Positions::read_out)
    positions_ = spec.read_out;
}

void Slice::check(const Tensor& activation) const {
  if (dim_ < 1) return;
  if (dim_ >= activation.dim() || dim_ == position_dim_ || entry_ < 0 || entry_ >= activation.size(dim_))
    throw UsageError(fmt::format("there is no entry {} of dimension {} in the activation [{}] at \"{}\"",
                                 entry_, dim_, fmt::join(activation.sizes().vec(), ", "), hook_),
                     position_dim_ == dim_ ? "name a position as such" : "");
}

// The chosen entry and positions, in the dimensions that the activation has.
Tensor Slice::narrowed(const Tensor& activation) const {
  check(activation);
  Tensor x = dim_ >= 1 ? activation.narrow(dim_, entry_, 1) : activation;
  if (positions_)
    x = x.index_select(position_dim_, torch::tensor(*positions_, torch::kInt64).to(activation.device()));
  return x;
}

Tensor Slice::taken(const Tensor& activation) const {
  const Tensor x = narrowed(activation);
  if (position_dim_ < 0) return x.reshape({x.size(0), 1, -1});
  return x.movedim(position_dim_, 1).reshape({x.size(0), x.size(position_dim_), -1});
}

Tensor Slice::put(const Tensor& activation, const Tensor& values) const {
  const Tensor there = narrowed(activation);
  Tensor x = position_dim_ < 0
                 ? values.reshape(there.sizes())
                 : values.reshape(there.movedim(position_dim_, 1).sizes()).movedim(1, position_dim_);
  if (positions_) {
    const Tensor whole = dim_ >= 1 ? activation.narrow(dim_, entry_, 1) : activation;
    x = whole.index_copy(position_dim_, torch::tensor(*positions_, torch::kInt64).to(x.device()), x);
  }
  if (dim_ >= 1) x = activation.index_copy(dim_, torch::tensor({entry_}, torch::kInt64).to(x.device()), x);
  return x.contiguous();
}

std::vector<Slice> slices_of(const Model& model, const InterchangeSite& site, const TaskSpec& spec) {
  std::vector<Slice> slices;
  if (site.hook == kLogits) return slices;
  for (const HookPoint* point : find_hook_points(model, site.hook)) slices.emplace_back(*point, site, spec);
  return slices;
}

Tensor exchanged(const Tensor& base, const Tensor& source, const Tensor& directions) {
  if (!directions.defined()) return source;
  if (directions.size(0) == 0) return base;
  if (directions.size(1) != base.size(-1))
    throw UsageError(fmt::format("the directions have {} entries, and the activation has {} features",
                                 directions.size(1), base.size(-1)),
                     "give directions of the site's last dimension (of all its features, if it has more)");
  const Tensor rows = directions.to(base.device());
  const Tensor difference = (source - base).to(rows.scalar_type());
  if (!torch::isfinite(difference).all().item<bool>())
    throw UsageError(
        "activations are not finite (attention scores that are masked), and no subspace holds "
        "them",
        "choose another site, such as attn.hook_pattern, or exchange the whole activation");
  const Tensor moved = difference.matmul(rows.t()).matmul(rows);
  return (base.to(rows.scalar_type()) + moved).to(base.scalar_type());
}

Tensor tokens_of(const Model& model, const Batch& inputs, const Tensor& rows) {
  return inputs.tokens.index_select(0, rows).to(model.device());
}

Tensor at_read_out(const Tensor& logits, const TaskSpec& spec) {
  return logits.index_select(1, torch::tensor(spec.read_out, torch::kInt64).to(logits.device()));
}

Tensor counting(const Tensor& counterfactual, const Tensor& own, const Batch& inputs, const Tensor& base) {
  const Tensor counts = torch::logical_and(counterfactual >= 0, counterfactual != own);
  if (!inputs.scored.defined()) return counts;
  return torch::logical_and(counts, inputs.scored.index_select(0, base));
}

Tensor labels_for(const CounterfactualLabels& labels, const std::string& name, const TaskSpec& spec,
                  const Tensor& base, const Tensor& source) {
  if (!labels) throw Error(fmt::format("the hypothesis \"{}\" has no counterfactual labels", name));
  const Tensor given = labels(base, source);
  const std::vector<int64_t> expected{base.size(0), static_cast<int64_t>(spec.read_out.size())};
  if (!given.defined() || given.scalar_type() != torch::kInt64 || given.sizes().vec() != expected)
    throw Error(
        fmt::format("the counterfactual labels of \"{}\" are {}; expected int64 [{}]", name,
                    given.defined() ? fmt::format("[{}]", fmt::join(given.sizes().vec(), ", ")) : "undefined",
                    fmt::join(expected, ", ")));
  if (given.numel() > 0 && given.max().item<int64_t>() >= spec.d_vocab_out)
    throw Error(fmt::format("a counterfactual label of \"{}\" is {}, and there are {} classes", name,
                            given.max().item<int64_t>(), spec.d_vocab_out));
  return given;
}

void check_request(const TaskSpec& spec, const Batch& inputs, const InterchangePairs& pairs) {
  if (spec.d_vocab_out < 2)
    throw UsageError("the task has one logit, and an interchange asks which of several is the largest",
                     "use a task with a logit for each class");
  if (!pairs.base.defined() || pairs.base.size(0) == 0)
    throw UsageError("there are no pairs to interchange", "draw some with sampled_pairs()");
  for (const Tensor& rows : {pairs.base, pairs.source})
    if (rows.scalar_type() != torch::kInt64 || rows.dim() != 1 || rows.size(0) != pairs.base.size(0) ||
        rows.min().item<int64_t>() < 0 || rows.max().item<int64_t>() >= inputs.size())
      throw Error(fmt::format("pairs must be two tensors int64 [pairs] of rows 0 to {}", inputs.size() - 1));
}

}  // namespace orrery::interchanging
