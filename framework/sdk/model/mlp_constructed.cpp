// Solutions that can be written down: of modular addition (appendix A of Pearce et al. 2023), and of parity.
#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/mlp.h>

#include <set>

#include "sdk/model/mlp_model.h"

namespace orrery {
namespace {

void check_constructible(const Model& model, const TaskSpec& spec) {
  const bool has_operands =
      model.find_weight("mlp.W_in_a") || model.find_hook_point("hook_embed") ||
      (model.find_weight("mlp.W_in") && model.weight("mlp.W_in").size(0) == spec.d_vocab);
  if (!has_operands || !model.find_weight("mlp.W_out") || model.find_weight("mlp.W_hidden"))
    throw UsageError("the constructed solution is one for an mlp of two operands with one hidden layer",
                     "set input = \"embedding\" or \"one_hot_sum\", and n_hidden = 1");
  if (spec.d_vocab < spec.d_vocab_out)
    throw UsageError(
        "the constructed solution adds numbers that are classes too; there are more classes than "
        "tokens",
        "choose modular_arithmetic with operation = \"add\"");
}

void check_frequencies(const Model& model, const TaskSpec& spec, const std::vector<int64_t>& frequencies) {
  const auto n = static_cast<int64_t>(frequencies.size());
  const int64_t n_neurons = model.weight("mlp.W_out").size(0);
  const std::set<int64_t> different(frequencies.begin(), frequencies.end());
  if (n == 0 || static_cast<int64_t>(different.size()) < n || *different.begin() < 1 ||
      *different.rbegin() > (spec.d_vocab_out - 1) / 2)
    throw UsageError(fmt::format("the constructed solution has waves of different frequencies, got {}",
                                 to_string(Value(frequencies))),
                     fmt::format("set frequencies to some of 1 to {}", (spec.d_vocab_out - 1) / 2));
  if (n_neurons % n != 0)
    throw UsageError(fmt::format("{} neurons cannot be shared evenly among {} frequencies", n_neurons, n),
                     fmt::format("set d_mlp to a multiple of {}", n));
  for (const char* name : {"embed.W_E", "embed.W_E_a", "embed.W_E_b"})
    if (model.find_weight(name) && model.weight(name).size(1) < 2 * n)
      throw UsageError(
          fmt::format(
              "the constructed solution embeds numbers on a circle for each frequency, and d_embed is {}",
              model.weight(name).size(1)),
          fmt::format("set d_embed to {} or more", 2 * n));
  const bool circular = model.find_hook_point("hook_embed") && !model.find_weight("embed.W_E") &&
                        !model.find_weight("embed.W_E_a");
  if (circular && frequencies != std::vector<int64_t>{1})
    throw UsageError("the circular embedding is one circle, of frequency 1",
                     "leave frequencies out, or choose another embedding");
}

// A circle for each frequency, side by side: [d_vocab, 2 F]. Rows of tokens that are no numbers are zero.
torch::Tensor circles(const TaskSpec& spec, const std::vector<int64_t>& frequencies) {
  const torch::Tensor circle = unit_circle(spec.d_vocab_out, spec.d_vocab);
  std::vector<torch::Tensor> all;
  for (const int64_t k : frequencies) {
    torch::Tensor turned = circle.clone();
    const torch::Tensor rows =
        (k * torch::arange(spec.d_vocab_out, torch::kInt64)).remainder(spec.d_vocab_out);
    turned.narrow(0, 0, spec.d_vocab_out).copy_(circle.index_select(0, rows));
    all.push_back(turned);
  }
  return torch::cat(all, 1);
}

void check_parity_constructible(const MlpConfig& c, const TaskSpec& spec) {
  if (c.act_fn != MlpConfig::ActFn::relu || c.n_hidden != 1)
    throw UsageError("the constructed parity is one for an mlp with one hidden layer of ReLU neurons",
                     "set act_fn = \"relu\" and n_hidden = 1");
  if (!c.bias_column && !c.bias)
    throw UsageError("the neurons of the constructed parity have thresholds, and the model has no biases",
                     "set bias_column = true");
  if (c.d_mlp < 2 || c.d_mlp > spec.n_ctx + 1)
    throw UsageError(
        fmt::format("the constructed parity of k bits has k + 1 neurons; d_mlp = {} does not fit "
                    "strings of {} bits",
                    c.d_mlp, spec.n_ctx),
        fmt::format("set d_mlp to 2 to {}; the relevant positions are then 0 to d_mlp - 2", spec.n_ctx + 1));
  if (spec.d_vocab_out > 2)
    throw UsageError(fmt::format("a parity is one logit or two, and the task has {}", spec.d_vocab_out),
                     "choose a task such as sparse_parity");
}

}  // namespace

void set_constructed_parity(Model& model, const TaskSpec& spec) {
  auto* const mlp = dynamic_cast<Mlp*>(&model);
  if (!mlp || !mlp->has_bits())
    throw UsageError("the constructed parity is one for an mlp that reads bits", "set input = \"bits\"");
  const MlpConfig& c = mlp->config();
  check_parity_constructible(c, spec);
  const torch::NoGradGuard no_grad;
  const int64_t k = c.d_mlp - 1;
  const bool signs = c.bit_values == MlpConfig::BitValues::signs;  // then s = (k + sum of the bits) / 2
  const torch::Tensor i = torch::arange(k + 1, torch::kFloat64);
  const torch::Tensor threshold = (signs ? double(k) / 2 : 0) + 1 - i;
  torch::Tensor w = 8 * i.remainder(2) - 4;
  w[0] = -1;
  w[1] = 3;
  for (NamedWeight& weight : model.weights()) weight.value.zero_();
  torch::Tensor W_in = model.weight("mlp.W_in"), W_out = model.weight("mlp.W_out");
  W_in.narrow(0, 0, k).fill_(signs ? 0.5 : 1);
  (c.bias_column ? W_in[spec.n_ctx] : model.weight("mlp.b_in")).copy_(threshold);
  W_out.copy_(spec.d_vocab_out == 1 ? w.unsqueeze(1) : torch::stack({-w / 2, w / 2}, 1));
}

void set_constructed_solution(Model& model, const TaskSpec& spec, const std::vector<int64_t>& frequencies) {
  check_constructible(model, spec);
  const torch::NoGradGuard no_grad;
  check_frequencies(model, spec, frequencies);
  const auto n_groups = static_cast<int64_t>(frequencies.size());
  const int64_t n_neurons = model.weight("mlp.W_out").size(0) / n_groups;  // in a group
  const auto numbers = circles(spec, frequencies);                         // [d_vocab, 2 F]
  const auto classes = numbers.narrow(0, 0, spec.d_vocab_out).t();         // [2 F, d_vocab_out]
  const auto directions = unit_circle(n_neurons, n_neurons).t();           // [2, d_mlp / F]
  const auto cosine = directions[0], sine = directions[1];
  // (cos, sin)(2 theta): [d_mlp / F, 2]
  const auto doubled = torch::stack({cosine.square() - sine.square(), 2 * cosine * sine}, 1);
  const auto in = torch::block_diag(std::vector<torch::Tensor>(frequencies.size(), directions));
  const auto out = torch::block_diag(std::vector<torch::Tensor>(frequencies.size(), doubled));
  const bool reads_tokens = !model.find_hook_point("hook_embed");
  const bool writes_logits = !model.find_hook_point("hook_mlp_out");
  // `block` in the upper left corner, zeros elsewhere.
  const auto fill = [](torch::Tensor weight, const torch::Tensor& block) {
    weight.zero_();
    weight.narrow(0, 0, block.size(0)).narrow(1, 0, block.size(1)).copy_(block);
  };
  for (const NamedWeight& weight : model.weights()) {
    const auto begins = [&](const char* start) { return weight.name.rfind(start, 0) == 0; };
    if (begins("embed.W_E"))
      fill(weight.value, numbers);
    else if (begins("mlp.W_in"))
      fill(weight.value, reads_tokens ? numbers.mm(in) : in);
    else if (begins("mlp.W_out"))
      fill(weight.value, writes_logits ? out.mm(classes) : out);
    else if (begins("unembed.W_U"))
      fill(weight.value, classes);
    else
      torch::Tensor(weight.value).zero_();  // biases
  }
}

}  // namespace orrery
