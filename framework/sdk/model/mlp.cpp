#include <ATen/Functions.h>
#include <fmt/format.h>
#include <orrery/error.h>

#include <cmath>

#include "sdk/model/mlp_model.h"
#include "sdk/model/plus.h"
#include "sdk/model/room.h"

namespace orrery {

void MlpConfig::fields(Fields<MlpConfig>& f) {
  using C = MlpConfig;
  f.add("input", &C::input, "two embedded operands, all tokens as bits, or the sum of two one-hot operands");
  f.add("embedding", &C::embedding, "which of the embeddings of a, of b, and the unembedding are one matrix");
  f.add("hidden", &C::hidden, "whether a and b share the weights into the hidden layer");
  f.add("collapse", &C::collapse, "which side is one matrix instead of a product with the embedding");
  f.add("d_embed", &C::d_embed, "width of the embedding; 2 where it is circular").at_least(1);
  f.add("d_mlp", &C::d_mlp, "neurons per hidden layer").at_least(1);
  f.add("n_hidden", &C::n_hidden, "hidden layers").between(1, 2);
  f.add("act_fn", &C::act_fn, "activation function; square is x^2, identity makes the network linear");
  f.add("bias", &C::bias, "biases in every layer");
  f.add("circle_radius", &C::circle_radius, "embedding circular: radius; sqrt(2/p) has columns of norm 1")
      .at_least(1e-6);
  f.add("bit_values", &C::bit_values, "input bits: the numbers that stand for tokens 0 and 1");
  f.add("bias_column", &C::bias_column, "input bits: a last column of ones");
  f.add("init", &C::init,
        "how weights are drawn; haiku as in the notebooks of Pearce et al. 2023; constructed is a solution "
        "that is written down: theirs of a + b mod p, for bits one of the parity of the first d_mlp - 1");
  f.add("init_scale", &C::init_scale, "factor on all initial weights").at_least(0);
  f.add("frequencies", &C::frequencies,
        "init constructed, of two operands: the waves that the neurons are shared among, in equal parts")
      .at_least(1);
}

torch::Tensor unit_circle(int64_t n, int64_t n_rows) {
  const torch::Tensor angle =
      torch::arange(n, torch::kFloat64) * (2 * std::acos(-1.0) / static_cast<double>(n));
  torch::Tensor rows = torch::zeros({n_rows, 2}, torch::kFloat64);
  rows.narrow(0, 0, n).copy_(torch::stack({angle.cos(), angle.sin()}, 1));
  return rows;
}

namespace {

using Input = MlpConfig::Input;
using Embedding = MlpConfig::Embedding;
using Hidden = MlpConfig::Hidden;
using Collapse = MlpConfig::Collapse;
using ActFn = MlpConfig::ActFn;
using BitValues = MlpConfig::BitValues;
using Init = MlpConfig::Init;

bool collapses_input(const MlpConfig& c) {
  return c.collapse == Collapse::input || c.collapse == Collapse::both;
}
bool collapses_output(const MlpConfig& c) {
  return c.collapse == Collapse::output || c.collapse == Collapse::both;
}

void check_embedding(const MlpConfig& c, const TaskSpec& spec) {
  if (c.embedding == Embedding::tied && c.collapse != Collapse::none)
    throw UsageError(fmt::format("embedding \"tied\" is one matrix for embedding and unembedding, and "
                                 "collapse \"{}\" leaves no such pair",
                                 name_of(c.collapse)),
                     "set embedding = \"input_tied\", or collapse = \"none\"");
  if (c.embedding == Embedding::circular && collapses_input(c))
    throw UsageError(fmt::format("embedding \"circular\" is fixed, and collapse \"{}\" leaves no embedding",
                                 name_of(c.collapse)),
                     "set collapse to \"none\" or \"output\"");
  if (c.embedding == Embedding::circular && c.d_embed != 2)
    throw UsageError(fmt::format("embedding \"circular\" has d_embed 2, got {}", c.d_embed),
                     "set d_embed = 2");
  if ((c.embedding == Embedding::tied || c.embedding == Embedding::circular) &&
      spec.d_vocab < spec.d_vocab_out)
    throw UsageError(fmt::format("embedding \"{}\" takes the output classes for tokens, and the task has {} "
                                 "classes for {} tokens",
                                 name_of(c.embedding), spec.d_vocab_out, spec.d_vocab),
                     "set embedding = \"input_tied\" or \"untied\"");
}

void check(const MlpConfig& c, const TaskSpec& spec) {
  if (c.input == Input::bits && spec.d_vocab != 2)
    throw UsageError(fmt::format("input \"bits\" needs a task with 2 tokens, got {}", spec.d_vocab),
                     "set input = \"embedding\" or \"one_hot_sum\", or choose a task such as sparse_parity");
  if (c.input != Input::bits && spec.n_ctx < 2)
    throw UsageError(fmt::format("input \"{}\" reads the operands at positions 0 and 1, and the task's "
                                 "inputs have {} token",
                                 name_of(c.input), spec.n_ctx),
                     "choose a task with two operands");
  if (c.input != Input::bits && spec.n_ctx > 3)
    throw UsageError(
        fmt::format("input \"{}\" reads the operands at positions 0 and 1, and the task's "
                    "inputs have {} tokens, more than two operands and \"=\"",
                    name_of(c.input), spec.n_ctx),
        "choose a task whose inputs are two operands, input = \"bits\" for strings of bits, or kind = "
        "\"transformer\"");
  if (c.input == Input::embedding) check_embedding(c, spec);
}

// Standard normal numbers, those within two standard deviations of the mean. By the inverse of the
// distribution function, so that shapes alone decide how many draws are taken; by rejection, luck would.
torch::Tensor truncated_normal(const std::vector<int64_t>& shape, torch::Generator rng) {
  const torch::Tensor uniform = torch::rand(shape, rng, torch::kFloat64) * 2 - 1;
  return torch::erfinv(uniform * std::erf(std::sqrt(2.0))) * std::sqrt(2.0);
}
constexpr double truncated_deviation = 0.87962566103423978;  // the standard deviation of the above

}  // namespace

Mlp::Mlp(const MlpConfig& config, const TaskSpec& spec, torch::Generator rng)
    : config_(config), d_vocab_(spec.d_vocab), d_vocab_out_(spec.d_vocab_out) {
  check(config, spec);
  add_input(spec, rng);
  add_hidden(rng);
  add_output(rng);
}

bool Mlp::reads_tokens() const {
  return config_.input == Input::one_hot_sum ||
         (config_.input == Input::embedding && collapses_input(config_));
}

bool Mlp::writes_logits() const { return config_.input != Input::embedding || collapses_output(config_); }

torch::Tensor Mlp::draw(std::vector<int64_t> shape, bool embedding, torch::Generator rng) const {
  refuse_without_room(shape, "a weight");
  const double scale = config_.init_scale / std::sqrt(static_cast<double>(shape[0]));
  if (config_.init == Init::normal) return torch::randn(shape, rng) * scale;
  const double factor = embedding ? std::sqrt(2.0) / truncated_deviation : 1;
  return (truncated_normal(shape, rng) * (factor * scale)).to(torch::kFloat32);
}

void Mlp::add_input(const TaskSpec& spec, torch::Generator rng) {
  const MlpConfig& c = config_;
  if (c.input != Input::embedding) {
    const int64_t d_in = has_bits() ? spec.n_ctx + (c.bias_column ? 1 : 0) : d_vocab_;
    W_in_[0] = add_weight("mlp.W_in", draw({d_in, c.d_mlp}, false, rng));
    hook_input_ = &add_hook_point("hook_input", -1);
    return;
  }
  const bool collapsed = reads_tokens(), two_embeddings = c.embedding == Embedding::untied;
  if (c.embedding == Embedding::circular) {
    circle_ = (unit_circle(d_vocab_out_, d_vocab_) * c.circle_radius).to(torch::kFloat32);
  } else if (!collapsed) {
    W_E_[0] = W_E_[1] =
        add_weight(two_embeddings ? "embed.W_E_a" : "embed.W_E", draw({d_vocab_, c.d_embed}, true, rng));
    if (two_embeddings) W_E_[1] = add_weight("embed.W_E_b", draw({d_vocab_, c.d_embed}, true, rng));
  }
  // Collapsed, there is one product per embedding, even where hidden is tied: W_E_a W_in is not W_E_b W_in.
  const bool two = c.hidden == Hidden::untied || (collapsed && two_embeddings);
  const std::vector<int64_t> shape{collapsed ? d_vocab_ : c.d_embed, c.d_mlp};
  W_in_[0] = W_in_[1] = add_weight(two ? "mlp.W_in_a" : "mlp.W_in", draw(shape, collapsed, rng));
  if (two) W_in_[1] = add_weight("mlp.W_in_b", draw(shape, collapsed, rng));
  if (!collapsed) hook_embed_ = &add_hook_point("hook_embed", -1);
}

void Mlp::add_hidden(torch::Generator rng) {
  const int64_t d_mlp = config_.d_mlp;
  if (config_.bias) b_in_ = add_weight("mlp.b_in", torch::zeros({d_mlp}));
  hook_pre_ = &add_hook_point("mlp.hook_pre", -1);
  hook_post_ = &add_hook_point("mlp.hook_post", -1);
  if (config_.n_hidden == 1) return;
  W_hidden_ = add_weight("mlp.W_hidden", draw({d_mlp, d_mlp}, false, rng));
  if (config_.bias) b_hidden_ = add_weight("mlp.b_hidden", torch::zeros({d_mlp}));
  hook_pre_2_ = &add_hook_point("mlp.hook_pre_2", -1);
  hook_post_2_ = &add_hook_point("mlp.hook_post_2", -1);
}

void Mlp::add_output(torch::Generator rng) {
  const MlpConfig& c = config_;
  const int64_t width = writes_logits() ? d_vocab_out_ : c.d_embed;
  W_out_ = add_weight("mlp.W_out", draw({c.d_mlp, width}, false, rng));
  if (c.bias) b_out_ = add_weight("mlp.b_out", torch::zeros({width}));
  if (writes_logits()) return;
  hook_mlp_out_ = &add_hook_point("hook_mlp_out", -1);
  if (c.embedding == Embedding::input_tied || c.embedding == Embedding::untied)
    W_U_ = add_weight("unembed.W_U", draw({c.d_embed, d_vocab_out_}, true, rng));
}

torch::Tensor Mlp::circle(torch::Device device) const {
  if (circle_.device() != device) circle_ = circle_.to(device);
  return circle_.to(weights().front().value.scalar_type());
}

torch::Tensor Mlp::embedding_of(size_t operand) const {
  return circle_.defined() ? circle(device()) : W_E_[operand];
}

torch::Tensor Mlp::unembedding() const {
  return W_U_.defined() ? W_U_ : embedding_of(0).narrow(0, 0, d_vocab_out_).t();
}

torch::Tensor Mlp::activate(const torch::Tensor& pre) const {
  switch (config_.act_fn) {
    case ActFn::relu:
      return pre.relu();
    case ActFn::square:
      return pre.square();
    case ActFn::gelu:
      return torch::gelu(pre);
    case ActFn::identity:
      return pre;
  }
  throw Error("no such activation function");
}

torch::Tensor Mlp::bits(const torch::Tensor& tokens) const {
  torch::Tensor values = tokens.to(weights().front().value.scalar_type());
  if (config_.bit_values == BitValues::signs) values = 2 * values - 1;
  return config_.bias_column ? torch::cat({values, torch::ones_like(values.narrow(1, 0, 1))}, 1) : values;
}

torch::Tensor Mlp::one_hot_sum(const torch::Tensor& tokens) const {
  return at::one_hot(tokens.narrow(1, 0, 2), d_vocab_).sum(1).to(weights().front().value.scalar_type());
}

torch::Tensor Mlp::first_layer(const torch::Tensor& tokens) {
  // hook_input has to see the vector itself, so it is multiplied here where the read-out pass looks up rows.
  if (hook_input_) return (*hook_input_)(has_bits() ? bits(tokens) : one_hot_sum(tokens)).matmul(W_in_[0]);
  const torch::Tensor a = tokens.select(1, 0), b = tokens.select(1, 1);
  if (reads_tokens()) return torch::embedding(W_in_[0], a) + torch::embedding(W_in_[1], b);
  const torch::Tensor embed = (*hook_embed_)(
      torch::stack({torch::embedding(embedding_of(0), a), torch::embedding(embedding_of(1), b)}, 1));
  return embed.select(1, 0).matmul(W_in_[0]) + embed.select(1, 1).matmul(W_in_[1]);
}

torch::Tensor Mlp::forward(const torch::Tensor& tokens) {
  torch::Tensor post = (*hook_post_)(activate((*hook_pre_)(plus(first_layer(tokens), b_in_))));
  if (W_hidden_.defined())
    post = (*hook_post_2_)(activate((*hook_pre_2_)(plus(post.matmul(W_hidden_), b_hidden_))));
  torch::Tensor out = plus(post.matmul(W_out_), b_out_);
  if (!writes_logits()) out = (*hook_mlp_out_)(out).matmul(unembedding());
  // A view: the positions share the logits of the whole input.
  return out.unsqueeze(1).expand({-1, tokens.size(1), -1});
}

std::unique_ptr<Model> make_mlp(const MlpConfig& config, const TaskSpec& spec, torch::Generator rng) {
  auto model = std::make_unique<Mlp>(config, spec, rng);
  if (config.init != Init::constructed) return model;
  model->has_bits() ? set_constructed_parity(*model, spec)
                    : set_constructed_solution(*model, spec, config.frequencies);
  const torch::NoGradGuard no_grad;
  for (NamedWeight& weight : model->weights()) weight.value.mul_(config.init_scale);
  return model;
}

}  // namespace orrery
