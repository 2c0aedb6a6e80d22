#include "train/check_split.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>

namespace orrery {
namespace {

void check_spec(const TaskSpec& spec) {
  if (spec.d_vocab < 1 || spec.d_vocab_out < 1 || spec.n_ctx < 1)
    throw Error(
        fmt::format("the task's spec() has d_vocab {}, d_vocab_out {}, n_ctx {}; each must be at least 1",
                    spec.d_vocab, spec.d_vocab_out, spec.n_ctx));
  if (spec.loss == Loss::hinge && spec.d_vocab_out != 1)
    throw Error(
        fmt::format("the task's spec() has hinge loss and d_vocab_out {}; expected 1", spec.d_vocab_out));
  const auto& read_out = spec.read_out;
  const bool ascending = std::is_sorted(read_out.begin(), read_out.end(), std::less_equal<>());
  if (read_out.empty() || !ascending || read_out.front() < 0 || read_out.back() >= spec.n_ctx)
    throw Error(fmt::format("the task's spec() has read_out [{}]; expected ascending positions in 0..{}",
                            fmt::join(read_out, ", "), spec.n_ctx - 1));
}

void check_tensor(const std::string& name, const torch::Tensor& tensor, torch::Dtype dtype,
                  std::vector<int64_t> shape) {
  if (!tensor.defined()) throw Error(fmt::format("the task's split() leaves {} undefined", name));
  if (tensor.scalar_type() != dtype || tensor.sizes() != shape)
    throw Error(fmt::format("the task's split() gives {} of shape [{}] and dtype {}; expected [{}] and {}",
                            name, fmt::join(tensor.sizes(), ", "), toString(tensor.scalar_type()),
                            fmt::join(shape, ", "), toString(dtype)));
}

void check_ranges(const TaskSpec& spec, const std::string& name, const Batch& batch) {
  check_range(name + ".tokens", batch.tokens, spec.d_vocab);
  check_range(name + ".labels", batch.labels, spec.loss == Loss::hinge ? 2 : spec.d_vocab_out);
  if (!spec.groups.empty())
    check_range(name + ".groups", batch.groups, static_cast<int64_t>(spec.groups.size()));
}

}  // namespace

void check_range(const std::string& name, const torch::Tensor& tensor, int64_t end) {
  if (tensor.numel() == 0) return;
  const int64_t low = tensor.min().item<int64_t>(), high = tensor.max().item<int64_t>();
  if (low < 0 || high >= end)
    throw Error(
        fmt::format("the task's split() gives {} from {} to {}; expected 0 to {}", name, low, high, end - 1));
}

void check_shapes(const TaskSpec& spec, const std::string& name, const Batch& batch) {
  const int64_t n = batch.size(), n_read = static_cast<int64_t>(spec.read_out.size());
  check_tensor(name + ".tokens", batch.tokens, torch::kInt64, {n, spec.n_ctx});
  check_tensor(name + ".labels", batch.labels, torch::kInt64, {n, n_read});
  if (batch.scored.defined()) check_tensor(name + ".scored", batch.scored, torch::kBool, {n, n_read});
  if (batch.repeat_of.defined())
    check_tensor(name + ".repeat_of", batch.repeat_of, torch::kInt64, {n, spec.n_ctx});
  if (!spec.groups.empty()) check_tensor(name + ".groups", batch.groups, torch::kInt64, {n, n_read});
}

void check_shapes(const TaskSpec& spec, const Split& split) {
  check_spec(spec);
  check_shapes(spec, "train", split.train);
  check_shapes(spec, "test", split.test);
  if (!split.grid) return;
  check_shapes(spec, "grid", *split.grid);
  check_tensor("train_rows", split.train_rows, torch::kInt64, {split.train.size()});
  check_tensor("test_rows", split.test_rows, torch::kInt64, {split.test.size()});
}

void check_batch(const TaskSpec& spec, const std::string& name, const Batch& batch) {
  check_shapes(spec, name, batch);
  check_ranges(spec, name, batch);
}

void check_split(const TaskSpec& spec, const Split& split) {
  check_shapes(spec, split);
  check_ranges(spec, "train", split.train);
  check_ranges(spec, "test", split.test);
  if (!split.grid) return;
  check_ranges(spec, "grid", *split.grid);
  check_range("train_rows", split.train_rows, split.grid->size());
  check_range("test_rows", split.test_rows, split.grid->size());
}

}  // namespace orrery
