#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/operands.h>
#include <orrery/transformer.h>

namespace orrery {
namespace {

// `name`, or the one of `name`_a and `name`_b that belongs to the operand at `position`; "" if there is none.
std::string of_operand(const Model& model, const std::string& name, int64_t position) {
  if (model.find_weight(name)) return name;
  const std::string own = name + (position == 0 ? "_a" : "_b");
  return model.find_weight(own) ? own : "";
}

// The embedding as the forward pass computes it. hook_embed is [batch, positions or the two operands, d].
torch::Tensor embedding_by_running(const Observation& observation, int64_t position) {
  const TaskSpec& spec = observation.spec;
  const auto tokens = torch::arange(spec.d_vocab, torch::kInt64).unsqueeze(1).expand({-1, spec.n_ctx});
  const torch::NoGradGuard no_grad;
  const auto seen = run_with_cache(observation.model, tokens.to(observation.model.device()), {"hook_embed"});
  return seen.cache["hook_embed"].select(1, position).to(torch::kCPU);
}

[[noreturn]] void refuse_layers(const std::string& found) {
  throw UsageError(
      fmt::format("neurons are measured in a network with exactly one layer of them; this one has {}", found),
      "train a transformer with n_layers = 1 and attn_only = false, or an mlp with n_hidden = 1; where "
      "neurons only find the key frequencies, choose another rule");
}

// The output weights of the neurons of `model`: one per layer of a transformer, the last of an mlp.
std::vector<std::string> output_weights(const Model& model) {
  std::vector<std::string> names = model.weight_names();
  std::erase_if(names, [](const std::string& name) { return !matches("*mlp.W_out", name); });
  return names;
}

size_t n_neuron_layers(const Model& model) {
  return output_weights(model).size() + (model.find_weight("mlp.W_hidden") ? 1 : 0);
}

}  // namespace

torch::Tensor operand_embedding(const Observation& observation, int64_t position) {
  const Model& model = observation.model;
  const bool is_mlp = model.find_weight("mlp.W_in") || model.find_weight("mlp.W_in_a");
  if (position < 0 || position >= (is_mlp ? 2 : observation.spec.n_ctx))
    throw UsageError(fmt::format("the model embeds no operand at position {}", position),
                     "an mlp reads positions 0 and 1, a transformer all of them");
  if (const std::string W_E = of_operand(model, "embed.W_E", position); !W_E.empty())
    return observation.weight(W_E);
  if (model.find_hook_point("hook_embed")) return embedding_by_running(observation, position);
  if (const std::string W_in = of_operand(model, "mlp.W_in", position);
      !W_in.empty() && model.weight(W_in).size(0) == observation.spec.d_vocab)
    return observation.weight(W_in);
  throw UsageError(fmt::format("the model has no embedding of operands; its weights are {}",
                               fmt::join(model.weight_names(), ", ")),
                   "use a transformer, or an mlp with input \"embedding\" or \"one_hot_sum\"");
}

bool has_one_neuron_layer(const Model& model) { return n_neuron_layers(model) == 1; }

torch::Tensor unembedding(const Observation& observation) {
  if (observation.model.find_weight("unembed.W_U")) return observation.weight("unembed.W_U");
  const TransformerConfig* const transformer = observation.model.transformer_config();
  const bool is_tied = transformer ? transformer->unembedding == TransformerConfig::Unembedding::tied
                                   : observation.model.find_hook_point("hook_mlp_out") != nullptr;
  if (!is_tied) return {};  // W_out gives logits
  return operand_embedding(observation, 0).narrow(0, 0, observation.spec.d_vocab_out).t();
}

torch::Tensor neurons_to_logits(const Observation& observation, torch::Dtype dtype) {
  if (const size_t layers = n_neuron_layers(observation.model); layers != 1)
    refuse_layers(std::to_string(layers));
  const auto W_out = observation.weight(output_weights(observation.model).front()).to(dtype);
  const auto W_U = unembedding(observation);
  return W_U.defined() ? W_out.matmul(W_U.to(dtype)) : W_out;
}

const torch::Tensor& neuron_activations(const Observation& observation, const std::string& hook) {
  std::vector<std::string> layers = observation.cache.names();
  std::erase_if(layers, [&](const std::string& name) { return !matches("*mlp." + hook, name); });
  if (layers.size() != 1) refuse_layers(std::to_string(layers.size()));
  if (observation.model.find_weight("mlp.W_hidden")) refuse_layers("2");
  return observation.cache[layers.front()];
}

}  // namespace orrery
