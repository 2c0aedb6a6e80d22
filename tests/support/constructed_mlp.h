// The hand-made solution of modular addition: appendix A of Pearce et al. 2023.
#pragma once

#include <orrery/error.h>
#include <orrery/mlp.h>

#include <cmath>

namespace orrery::testing {

/// The unit circle: row i of [n_rows, 2] float64 is (cos, sin)(2 pi i / n) for i < n, and 0 after that.
inline torch::Tensor unit_circle(int64_t n, int64_t n_rows) {
  const auto angle = torch::arange(n, torch::kFloat64) * (2 * M_PI / static_cast<double>(n));
  auto rows = torch::zeros({n_rows, 2}, torch::kFloat64);
  rows.narrow(0, 0, n).copy_(torch::stack({angle.cos(), angle.sin()}, 1));
  return rows;
}

/// Throws orrery::UsageError unless the model is an mlp with one hidden layer and operands for input (not
/// bits), whose embedding, if it has one, has d_embed >= 2, with d_vocab >= d_vocab_out.
inline void check_constructible(const Model& model, const TaskSpec& spec) {
  const bool has_operands =
      model.find_weight("mlp.W_in_a") || model.find_hook_point("hook_embed") ||
      (model.find_weight("mlp.W_in") && model.weight("mlp.W_in").size(0) == spec.d_vocab);
  if (!has_operands || !model.find_weight("mlp.W_out") || model.find_weight("mlp.W_hidden"))
    throw UsageError("the constructed solution is one for an mlp of two operands with one hidden layer");
  for (const char* name : {"embed.W_E", "embed.W_E_a", "embed.W_E_b"})
    if (model.find_weight(name) && model.weight(name).size(1) < 2)
      throw UsageError("the constructed solution embeds numbers on a circle, and d_embed is 1");
  if (spec.d_vocab < spec.d_vocab_out)
    throw UsageError(
        "the constructed solution adds numbers that are classes too; there are more classes than "
        "tokens");
}

/// Writes a solution of a + b mod p into a model made by make_mlp for the task `spec`, p being d_vocab_out: N
/// = d_mlp neurons look in N evenly spaced directions, neuron i at theta_i = 2 pi i / N, and its output turns
/// twice as fast:
///
///     pre_i = cos(theta_i - 2 pi a/p) + cos(theta_i - 2 pi b/p)
///           = 2 cos(pi (a - b)/p) cos(theta_i - pi (a + b)/p)
///     logit_c = sum_i act_fn(pre_i) cos(2 theta_i - 2 pi c/p)
///
/// For odd p and act_fn "square" the largest logit is that of c = a + b for every pair, for N = 3 and every N
/// >= 5. With "relu" the sum points in the direction 2 pi (a + b)/p + d, where d comes from the harmonics
/// 2 + jN, j != 0, of relu(cos x); a pair is right where |d| < pi/p. At most |d| is 0.027 for N = 5 (every
/// pair is right up to p = 117), 0.0092 for N = 7, but 0.15 for N = 6 and 0.055 for N = 8: an odd number of
/// neurons, from 5 on, does as well as twice as many. For even p the pairs with a - b = p/2 leave all neurons
/// at 0. Throws as check_constructible does.
inline void set_constructed_solution(Model& model, const TaskSpec& spec) {
  check_constructible(model, spec);
  const torch::NoGradGuard no_grad;
  const int64_t n_neurons = model.weight("mlp.W_out").size(0);
  const auto numbers = unit_circle(spec.d_vocab_out, spec.d_vocab);  // [d_vocab, 2]
  const auto classes = numbers.narrow(0, 0, spec.d_vocab_out).t();   // [2, d_vocab_out]
  const auto directions = unit_circle(n_neurons, n_neurons).t();     // [2, d_mlp]
  const auto cosine = directions[0], sine = directions[1];
  // (cos, sin)(2 theta): [d_mlp, 2]
  const auto doubled = torch::stack({cosine.square() - sine.square(), 2 * cosine * sine}, 1);
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
      fill(weight.value, reads_tokens ? numbers.mm(directions) : directions);
    else if (begins("mlp.W_out"))
      fill(weight.value, writes_logits ? doubled.mm(classes) : doubled);
    else if (begins("unembed.W_U"))
      fill(weight.value, classes);
    else
      torch::Tensor(weight.value).zero_();  // biases
  }
}

}  // namespace orrery::testing
