// The hand-made solution of modular addition: appendix A of Pearce et al. 2023.
#include <fmt/format.h>
#include <orrery/error.h>

#include <cmath>

#include "sdk/model/mlp_model.h"

namespace orrery {
namespace {

const Mlp& checked(const Model& model) {
  const auto* mlp = dynamic_cast<const Mlp*>(&model);
  if (!mlp) throw UsageError("the constructed solution is one for a model of kind \"mlp\"");
  const MlpConfig& config = mlp->config();
  if (mlp->has_bits() || config.n_hidden != 1)
    throw UsageError(
        fmt::format("the constructed solution has two operands and one hidden layer; the model has "
                    "input \"{}\" and {} hidden",
                    config.input, config.n_hidden),
        "set input = \"embedding\" or \"one_hot_sum\", and n_hidden = 1");
  if (config.d_embed < 2 && !(mlp->reads_tokens() && mlp->writes_logits()))
    throw UsageError("the constructed solution embeds numbers on a circle, and d_embed is 1",
                     "set d_embed to 2 or more");
  if (mlp->d_vocab() < mlp->d_vocab_out())
    throw UsageError(
        fmt::format("the constructed solution adds numbers that are classes too; there are {} "
                    "tokens and {} classes",
                    mlp->d_vocab(), mlp->d_vocab_out()));
  return *mlp;
}

// `block` in the upper left corner of `weight`, zeros elsewhere.
void fill(torch::Tensor& weight, const torch::Tensor& block) {
  weight.zero_();
  weight.narrow(0, 0, block.size(0)).narrow(1, 0, block.size(1)).copy_(block);
}

}  // namespace

void set_constructed_solution(Model& model) {
  const Mlp& mlp = checked(model);
  const torch::NoGradGuard no_grad;
  const int64_t n_neurons = mlp.config().d_mlp;
  const torch::Tensor numbers = unit_circle(mlp.d_vocab_out(), mlp.d_vocab());  // [d_vocab, 2]
  const torch::Tensor classes = numbers.narrow(0, 0, mlp.d_vocab_out()).t();    // [2, d_vocab_out]
  const torch::Tensor directions = unit_circle(n_neurons, n_neurons).t();       // [2, d_mlp]
  const torch::Tensor cosine = directions[0], sine = directions[1];
  // (cos, sin)(2 theta): [d_mlp, 2]
  const torch::Tensor doubled = torch::stack({cosine.square() - sine.square(), 2 * cosine * sine}, 1);
  for (NamedWeight& weight : model.weights()) {
    const std::string& name = weight.name;
    const auto begins = [&](const char* start) { return name.rfind(start, 0) == 0; };
    if (begins("embed.W_E"))
      fill(weight.value, numbers);
    else if (begins("mlp.W_in"))
      fill(weight.value, mlp.reads_tokens() ? numbers.mm(directions) : directions);
    else if (begins("mlp.W_out"))
      fill(weight.value, mlp.writes_logits() ? doubled.mm(classes) : doubled);
    else if (begins("unembed.W_U"))
      fill(weight.value, classes);
    else
      weight.value.zero_();  // biases
  }
}

}  // namespace orrery
