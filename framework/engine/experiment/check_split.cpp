#include "engine/experiment/check_split.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/recorder.h>

#include <algorithm>

namespace orrery::engine {
namespace {

// `names` are those of TaskSpec::metrics or auxiliary.
void check_names(const std::string& member, const std::vector<std::string>& names) {
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string& name = names[i];
    if (const std::string fault = name_fault(name); !fault.empty())
      throw Error(fmt::format("the task's spec() has {}[{}], and {}", member, i, fault),
                  "names are UTF-8 without control characters, in parts that slashes separate");
    if (std::find(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(i), name) !=
        names.begin() + static_cast<std::ptrdiff_t>(i))
      throw Error(fmt::format("the task's spec() has \"{}\" twice in {}", name, member),
                  "give each a name of its own");
  }
}

void check_metric_names(const TaskSpec& spec) {
  check_names("metrics", spec.metrics);
  for (const std::string& name : spec.metrics) {
    const std::string first = name.substr(0, name.find('/'));
    if (first == "loss" || first == "accuracy")
      throw Error(fmt::format("the task's spec() has the metric \"{}\", but \"{}\" is written by the host",
                              name, first),
                  "choose another name, such as \"full_sequence\"");
  }
}

void check_loss(const TaskSpec& spec) {
  if (has_one_logit(spec.loss) && spec.d_vocab_out != 1)
    throw Error(fmt::format("the task's spec() has {} loss and d_vocab_out {}; expected 1",
                            to_string(spec.loss), spec.d_vocab_out));
  const double smoothing = spec.label_smoothing;
  if (!(smoothing >= 0 && smoothing < 1))
    throw Error(fmt::format("the task's spec() has label_smoothing {}; expected 0 or more, and less than 1",
                            smoothing));
  if (smoothing > 0 && spec.loss != Loss::cross_entropy)
    throw Error(fmt::format("the task's spec() has label_smoothing {} and the loss {}, which has none",
                            smoothing, to_string(spec.loss)),
                "set label_smoothing to 0, or the loss to cross_entropy");
}

void check_spec(const TaskSpec& spec) {
  if (spec.d_vocab < 1 || spec.d_vocab_out < 1 || spec.n_ctx < 1)
    throw Error(
        fmt::format("the task's spec() has d_vocab {}, d_vocab_out {}, n_ctx {}; each must be at least 1",
                    spec.d_vocab, spec.d_vocab_out, spec.n_ctx));
  check_loss(spec);
  if (spec.pad_token < -1 || spec.pad_token >= spec.d_vocab)
    throw Error(fmt::format("the task's spec() has pad_token {}; expected a token, 0 to {}, or -1 for none",
                            spec.pad_token, spec.d_vocab - 1));
  const auto& read_out = spec.read_out;
  const bool ascending = std::is_sorted(read_out.begin(), read_out.end(), std::less_equal<>());
  if (read_out.empty() || !ascending || read_out.front() < 0 || read_out.back() >= spec.n_ctx)
    throw Error(fmt::format("the task's spec() has read_out [{}]; expected ascending positions in 0..{}",
                            fmt::join(read_out, ", "), spec.n_ctx - 1));
  check_metric_names(spec);
  check_names("auxiliary", spec.auxiliary);
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
    throw Error(fmt::format("{} of {}; expected [{}] and {}", named.text(), shape_text(tensor),
                            fmt::join(shape, ", "), toString(dtype)),
                fmt::format("make it so with .to(torch::{})", dtype == torch::kBool      ? "kBool"
                                                              : dtype == torch::kFloat32 ? "kFloat32"
                                                                                         : "kInt64"));
}

// A tensor of one number for each example or for each column of one of `widths`.
void check_per_example(const Named& named, torch::Dtype dtype, int64_t n, const std::vector<int64_t>& widths,
                       const std::string& meaning) {
  std::vector<int64_t> shape = {n};
  if (named.tensor.defined() && named.tensor.dim() != 1) {
    const int64_t width = named.tensor.dim() == 2 ? named.tensor.size(1) : -1;
    const bool known = std::find(widths.begin(), widths.end(), width) != widths.end();
    shape.push_back(known ? width : widths.front());
  }
  check_tensor(named, dtype, shape, meaning);
}

void check_auxiliary(const TaskSpec& spec, const std::string& call, const std::string& prefix,
                     const Batch& batch) {
  for (const auto& [name, tensor] : batch.auxiliary)
    if (std::find(spec.auxiliary.begin(), spec.auxiliary.end(), name) == spec.auxiliary.end())
      throw Error(fmt::format("the task's {} gives {}auxiliary[\"{}\"], which its spec() does not name{}",
                              call, prefix, name, did_you_mean(name, spec.auxiliary)),
                  "name it in TaskSpec::auxiliary");
  static const torch::Tensor none;
  for (const std::string& name : spec.auxiliary) {
    const auto found = batch.auxiliary.find(name);
    const torch::Tensor& tensor = found == batch.auxiliary.end() ? none : found->second;
    check_per_example({call, fmt::format("{}auxiliary[\"{}\"]", prefix, name), tensor}, torch::kInt64,
                      batch.size(), {static_cast<int64_t>(spec.read_out.size()), spec.n_ctx},
                      "[batch], [batch, n_read] or [batch, n_ctx]");
  }
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
  if (batch.weights.defined())
    check_per_example(of("weights", batch.weights), torch::kFloat32, n, {n_read},
                      "[batch] or [batch, n_read]");
  check_auxiliary(spec, of.call, of.prefix, batch);
}

void check_weights(const Named& named) {
  if (!named.tensor.defined()) return;
  const torch::Tensor wrong =
      torch::logical_not(named.tensor.isfinite().logical_and(named.tensor > 0)).flatten().nonzero();
  if (wrong.numel() == 0) return;
  const auto first = wrong[0].item<int64_t>();
  throw Error(fmt::format("{} with {} at place {}; expected finite weights above 0", named.text(),
                          named.tensor.flatten()[first].item<double>(), first),
              "to leave a label out of the loss, set it to false in scored");
}

void check_ranges(const TaskSpec& spec, const Source& of, const Batch& batch) {
  check_range(of("tokens", batch.tokens), spec.d_vocab, "d_vocab in spec()");
  if (has_one_logit(spec.loss))
    check_range(of("labels", batch.labels), 2,
                fmt::format("the number of labels of a {} loss", to_string(spec.loss)));
  else
    check_range(of("labels", batch.labels), spec.d_vocab_out, "d_vocab_out in spec()");
  if (!spec.groups.empty())
    check_range(of("groups", batch.groups), static_cast<int64_t>(spec.groups.size()),
                "the number of groups in spec()");
  check_weights(of("weights", batch.weights));
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

void check_metrics(const TaskSpec& spec, const std::vector<double>& values) {
  if (values.size() == spec.metrics.size()) return;
  throw Error(fmt::format("the task's metrics() gives {} numbers; spec() names {}: {}", values.size(),
                          spec.metrics.size(), fmt::join(spec.metrics, ", ")),
              "give one number for each name in TaskSpec::metrics, in their order");
}

void check_corrupted(const TaskSpec& spec, int64_t n, const Batch& batch) {
  check_shapes(spec, {"corrupt()", ""}, batch);
  if (batch.size() != n)
    throw Error(fmt::format("the task's corrupt() gives {} examples for {}", batch.size(), n),
                "give one for each example of `clean`, in its order, or an empty batch for the default");
  check_ranges(spec, {"corrupt()", ""}, batch);
}

void check_sample(const TaskSpec& spec, int64_t batch_size, const Batch& batch) {
  check_sample_shapes(spec, batch_size, batch);
  check_ranges(spec, {"sample()", ""}, batch);
}

}  // namespace orrery::engine
