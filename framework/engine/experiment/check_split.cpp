#include "engine/experiment/check_split.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>

namespace orrery::engine {
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

// The name of a tensor that a task returned.
struct Named {
  std::string call, name;  // "split()", "train.labels"
  const torch::Tensor& tensor;

  std::string text() const { return fmt::format("the task's {} gives {}", call, name); }
};

// The name of a batch: "train." opens the names of its tensors.
struct Source {
  std::string call, prefix;

  Named operator()(const std::string& name, const torch::Tensor& tensor) const {
    return {call, prefix + name, tensor};
  }
};

std::string shape_text(const torch::Tensor& tensor) {
  return fmt::format("shape [{}] and dtype {}", fmt::join(tensor.sizes(), ", "),
                     toString(tensor.scalar_type()));
}

// `meaning`: the names of the dimensions, "[batch, n_read]".
void check_tensor(const Named& named, torch::Dtype dtype, const std::vector<int64_t>& shape,
                  const std::string& meaning) {
  const torch::Tensor& tensor = named.tensor;
  if (!tensor.defined())
    throw Error(fmt::format("the task's {} leaves {} undefined", named.call, named.name),
                fmt::format("it is a tensor {}, here [{}], of dtype {}", meaning, fmt::join(shape, ", "),
                            toString(dtype)));
  if (tensor.sizes() != shape)
    throw Error(fmt::format("{} of {}; expected [{}] and {}", named.text(), shape_text(tensor),
                            fmt::join(shape, ", "), toString(dtype)),
                fmt::format("it is {}; n_ctx and read_out are what spec() says{}", meaning,
                            tensor.dim() + 1 == static_cast<int64_t>(shape.size()) && shape.back() == 1
                                ? "; .unsqueeze(1) adds a dimension of 1"
                                : ""));
  if (tensor.scalar_type() != dtype)
    throw Error(
        fmt::format("{} of {}; expected [{}] and {}", named.text(), shape_text(tensor),
                    fmt::join(shape, ", "), toString(dtype)),
        dtype == torch::kBool ? "make it so with .to(torch::kBool)" : "make it so with .to(torch::kInt64)");
}

// In one pass over the numbers, because every batch of an endless task is checked.
void check_range(const Named& named, int64_t end, const std::string& bound) {
  const torch::Tensor tensor = named.tensor.contiguous();
  const int64_t* const numbers = tensor.data_ptr<int64_t>();
  const auto [low, high] = std::minmax_element(numbers, numbers + tensor.numel());
  if (tensor.numel() == 0 || (*low >= 0 && *high < end)) return;
  throw Error(fmt::format("{} from {} to {}; expected 0 to {}", named.text(), *low, *high, end - 1),
              fmt::format("{} is {}; mend that, or what makes the numbers", bound, end));
}

void check_shapes(const TaskSpec& spec, const Source& of, const Batch& batch) {
  const int64_t n = batch.size(), n_read = static_cast<int64_t>(spec.read_out.size());
  const std::string whole = "[batch, n_ctx]",
                    read = "[batch, n_read], a column for each position in read_out";
  check_tensor(of("tokens", batch.tokens), torch::kInt64, {n, spec.n_ctx}, whole);
  check_tensor(of("labels", batch.labels), torch::kInt64, {n, n_read}, read);
  if (batch.scored.defined()) check_tensor(of("scored", batch.scored), torch::kBool, {n, n_read}, read);
  if (batch.repeat_of.defined())
    check_tensor(of("repeat_of", batch.repeat_of), torch::kInt64, {n, spec.n_ctx}, whole);
  if (!spec.groups.empty()) check_tensor(of("groups", batch.groups), torch::kInt64, {n, n_read}, read);
}

void check_ranges(const TaskSpec& spec, const Source& of, const Batch& batch) {
  check_range(of("tokens", batch.tokens), spec.d_vocab, "d_vocab in spec()");
  if (spec.loss == Loss::hinge)
    check_range(of("labels", batch.labels), 2, "the number of labels of a hinge loss");
  else
    check_range(of("labels", batch.labels), spec.d_vocab_out, "d_vocab_out in spec()");
  if (!spec.groups.empty())
    check_range(of("groups", batch.groups), static_cast<int64_t>(spec.groups.size()),
                "the number of groups in spec()");
}

const char* const rows_meaning = "[n], a row of the grid for each example";

}  // namespace

void check_shapes(const TaskSpec& spec, const Split& split) {
  check_spec(spec);
  check_shapes(spec, {"split()", "train."}, split.train);
  check_shapes(spec, {"split()", "test."}, split.test);
  if (!split.grid) return;
  check_shapes(spec, {"split()", "grid."}, *split.grid);
  check_tensor({"split()", "train_rows", split.train_rows}, torch::kInt64, {split.train.size()},
               rows_meaning);
  check_tensor({"split()", "test_rows", split.test_rows}, torch::kInt64, {split.test.size()}, rows_meaning);
}

void check_rows(const std::string& name, const torch::Tensor& rows, const Batch& grid) {
  check_range({"split()", name, rows}, grid.size(), "the number of examples in the grid");
}

void check_split(const TaskSpec& spec, const Split& split) {
  check_shapes(spec, split);
  check_ranges(spec, {"split()", "train."}, split.train);
  check_ranges(spec, {"split()", "test."}, split.test);
  if (!split.grid) return;
  check_ranges(spec, {"split()", "grid."}, *split.grid);
  check_rows("train_rows", split.train_rows, *split.grid);
  check_rows("test_rows", split.test_rows, *split.grid);
}

void check_sample_shapes(const TaskSpec& spec, int64_t batch_size, const Batch& batch) {
  check_shapes(spec, {"sample()", ""}, batch);
  if (batch.size() != batch_size)
    throw Error(
        fmt::format("the task's sample() gives {} examples; it was asked for {}", batch.size(), batch_size),
        "make as many examples as its argument batch_size says");
}

void check_sample(const TaskSpec& spec, int64_t batch_size, const Batch& batch) {
  check_sample_shapes(spec, batch_size, batch);
  check_ranges(spec, {"sample()", ""}, batch);
}

}  // namespace orrery::engine
