// The solution of modular addition that can be written down: appendix A of Pearce et al. 2023.
#include <orrery/error.h>
#include <orrery/mlp.h>

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
  for (const char* name : {"embed.W_E", "embed.W_E_a", "embed.W_E_b"})
    if (model.find_weight(name) && model.weight(name).size(1) < 2)
      throw UsageError("the constructed solution embeds numbers on a circle, and d_embed is 1",
                       "set d_embed to 2 or more");
  if (spec.d_vocab < spec.d_vocab_out)
    throw UsageError(
        "the constructed solution adds numbers that are classes too; there are more classes than "
        "tokens",
        "choose modular_arithmetic with operation = \"add\"");
}

}  // namespace

void set_constructed_solution(Model& model, const TaskSpec& spec) {
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

}  // namespace orrery
