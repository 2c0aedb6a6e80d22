// The stages of the framework's models, from their weights.
#include <ATen/Functions.h>
#include <fmt/format.h>
#include <orrery/error.h>

#include <cmath>

#include "sdk/analysis/circuit_parts.h"
#include "sdk/model/mlp_model.h"
#include "sdk/model/plus.h"

namespace orrery {
namespace {

using Kind = CircuitStage::Kind;

// The weights of a model as copies in another dtype, on the CPU.
class Copies {
 public:
  Copies(const Model& model, torch::Dtype dtype) : model_(model), dtype_(dtype) {}
  torch::Tensor operator[](const std::string& name) const { return of(model_.weight(name)); }
  /// Undefined where the model has no such weight.
  torch::Tensor optional(const std::string& name) const {
    return model_.find_weight(name) ? (*this)[name] : torch::Tensor();
  }
  torch::Tensor of(const torch::Tensor& value) const {
    return value.detach().to(torch::kCPU, dtype_).clone();
  }

 private:
  const Model& model_;
  torch::Dtype dtype_;
};

bool single_neurons(const CircuitOptions& options, bool mlp) {
  return options.grain == CircuitGrain::neurons || (mlp && options.grain == CircuitGrain::automatic);
}

// What the stages so far add to the stream without any edge.
class ConstantSum {
 public:
  void add(const torch::Tensor& bias) {
    if (bias.defined()) sum_ = sum_.defined() ? sum_ + bias : bias;
  }
  const torch::Tensor& sum() const { return sum_; }

 private:
  torch::Tensor sum_;
};

class TransformerStages {
 public:
  TransformerStages(const Model& model, const TaskSpec& spec, const CircuitOptions& options)
      : config_(*model.transformer_config()), spec_(spec), weights_(model, options.dtype) {
    parts_.dtype = options.dtype;
    parts_.read_out = spec.read_out;
    parts_.causal = config_.attention_dir == TransformerConfig::AttentionDir::causal;
    parts_.attn_coeff = config_.attn_coeff;
    embeddings();
    for (int64_t layer = 0; layer < config_.n_layers; ++layer) {
      heads(layer);
      if (!config_.attn_only) neurons(layer, single_neurons(options, false));
    }
    logits();
  }
  CircuitGraph::Parts take() { return std::move(parts_); }

 private:
  Norm norm(const std::string& name) const {
    return {config_.normalization_type, config_.normalization_eps, weights_.optional(name + ".w"),
            weights_.optional(name + ".b")};
  }

  // Every stage reads all before it.
  CircuitStage& add(Kind kind, int64_t n_nodes, const std::string& name = "", int64_t n_named = 0) {
    CircuitStage stage;
    stage.kind = kind;
    stage.n_nodes = n_nodes;
    stage.n_read = static_cast<int64_t>(parts_.stages.size());
    stage.constant = constant_.sum();
    const auto depth = static_cast<int64_t>(parts_.stages.size());
    for (int64_t i = 0; i < n_named; ++i)
      parts_.nodes.push_back({fmt::format("{}.{}", name, i), depth_, depth});
    parts_.stages.push_back(std::move(stage));
    return parts_.stages.back();
  }

  void embeddings() {
    const torch::Tensor W_E = weights_["embed.W_E"], W_pos = weights_.optional("pos_embed.W_pos");
    add(Kind::embeddings, W_pos.defined() ? 2 : 1);
    parts_.nodes.push_back({"embed", -1, 0});
    if (W_pos.defined()) parts_.nodes.push_back({"pos_embed", -1, 0});
    parts_.embed = [W_E, W_pos](const torch::Tensor& tokens) {
      const torch::Tensor embed = torch::embedding(W_E, tokens).unsqueeze(0);
      if (!W_pos.defined()) return embed;
      return torch::cat(
          {embed, W_pos.narrow(0, 0, tokens.size(1)).unsqueeze(0).unsqueeze(0).expand_as(embed)});
    };
  }

  void heads(int64_t layer) {
    depth_ = layer;
    const std::string block = fmt::format("blocks.{}.", layer);
    CircuitStage& stage = add(Kind::heads, config_.n_heads, fmt::format("head {}", layer), config_.n_heads);
    stage.norm = norm(block + "ln1");
    stage.W_Q = weights_[block + "attn.W_Q"];
    stage.W_K = weights_[block + "attn.W_K"];
    stage.W_V = weights_[block + "attn.W_V"];
    stage.W_O = weights_[block + "attn.W_O"];
    stage.b_Q = weights_.optional(block + "attn.b_Q");
    stage.b_K = weights_.optional(block + "attn.b_K");
    stage.b_V = weights_.optional(block + "attn.b_V");
    parts_.attn_scale =
        config_.attn_scale > 0 ? config_.attn_scale : std::sqrt(static_cast<double>(config_.d_head));
    constant_.add(weights_.optional(block + "attn.b_O"));
  }

  void neurons(int64_t layer, bool single) {
    const std::string block = fmt::format("blocks.{}.", layer);
    const int64_t n_nodes = single ? config_.d_mlp : 1;
    CircuitStage& stage = add(single ? Kind::neurons : Kind::mlp, n_nodes, fmt::format("neuron {}", layer),
                              single ? n_nodes : 0);
    if (!single)
      parts_.nodes.push_back(
          {fmt::format("mlp {}", layer), layer, static_cast<int64_t>(parts_.stages.size()) - 1});
    stage.norm = norm(block + "ln2");
    stage.W_in = weights_[block + "mlp.W_in"];
    stage.b_in = weights_.optional(block + "mlp.b_in");
    stage.W_gate = weights_.optional(block + "mlp.W_gate");
    stage.W_out = weights_[block + "mlp.W_out"];
    stage.act = [act_fn = config_.act_fn](const torch::Tensor& pre) { return activate(pre, act_fn); };
    constant_.add(weights_.optional(block + "mlp.b_out"));
  }

  void logits() {
    using Unembedding = TransformerConfig::Unembedding;
    CircuitStage& stage = add(Kind::logits, 1);
    parts_.nodes.push_back({"logits", -1, static_cast<int64_t>(parts_.stages.size()) - 1});
    stage.norm = norm("ln_final");
    if (!config_.final_norm) stage.norm.type = TransformerConfig::Normalization::none;
    if (config_.unembedding == Unembedding::own) stage.W_U = weights_["unembed.W_U"];
    if (config_.unembedding == Unembedding::tied)
      stage.W_U = weights_["embed.W_E"].narrow(0, 0, spec_.d_vocab_out).t().contiguous();
    stage.b_U = weights_.optional("unembed.b_U");
  }

  const TransformerConfig& config_;
  const TaskSpec& spec_;
  Copies weights_;
  CircuitGraph::Parts parts_;
  ConstantSum constant_;
  int64_t depth_ = -1;  // the layer of the nodes being added
};

torch::Tensor mlp_activation(const torch::Tensor& pre, MlpConfig::ActFn act_fn) {
  using ActFn = MlpConfig::ActFn;
  switch (act_fn) {
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

// What a node sends is what it adds to the next layer's pre-activations, or to what is unembedded: layers
// read their predecessor only, so W_in belongs to the sender.
class MlpStages {
 public:
  MlpStages(const Mlp& model, const TaskSpec& spec, const CircuitOptions& options)
      : config_(model.config()), model_(model), spec_(spec), weights_(model, options.dtype) {
    parts_.dtype = options.dtype;
    parts_.read_out.assign(spec.read_out.size(), 0);  // one output for all positions
    embeddings();
    const bool two = config_.n_hidden == 2, single = single_neurons(options, true);
    layer(0, single, hidden_bias_, weights_[two ? "mlp.W_hidden" : "mlp.W_out"]);
    if (two) layer(1, single, weights_.optional("mlp.b_hidden"), weights_["mlp.W_out"]);
    logits();
  }
  CircuitGraph::Parts take() { return std::move(parts_); }

 private:
  CircuitStage& add(Kind kind, int64_t n_nodes) {
    CircuitStage stage;
    stage.kind = kind;
    stage.n_nodes = n_nodes;
    stage.n_read = parts_.stages.empty() ? 0 : 1;
    stage.first_read = static_cast<int64_t>(parts_.stages.size()) - stage.n_read;
    parts_.stages.push_back(std::move(stage));
    return parts_.stages.back();
  }

  // The rows of a table [tokens, d_mlp] that each operand looks up.
  torch::Tensor table(const char* operand) const {
    const auto own = [&](const std::string& name) {
      const torch::Tensor both = weights_.optional(name);
      return both.defined() ? both : weights_[name + "_" + operand];
    };
    const torch::Tensor W_in = own("mlp.W_in");
    if (model_.reads_tokens()) return W_in;
    if (config_.embedding != MlpConfig::Embedding::circular) return own("embed.W_E").matmul(W_in);
    const torch::Tensor circle = unit_circle(spec_.d_vocab_out, spec_.d_vocab) * config_.circle_radius;
    return weights_.of(circle.to(torch::kFloat32)).matmul(W_in);
  }

  void embeddings() {
    hidden_bias_ = weights_.optional("mlp.b_in");
    if (model_.has_bits()) return bits();
    add(Kind::embeddings, 2);
    parts_.nodes = {{"a", -1, 0}, {"b", -1, 0}};
    const torch::Tensor a = table("a"), b = table("b");
    parts_.embed = [a, b](const torch::Tensor& tokens) {
      return torch::stack(
                 {torch::embedding(a, tokens.select(1, 0)), torch::embedding(b, tokens.select(1, 1))})
          .unsqueeze(2);
    };
  }

  void bits() {
    const torch::Tensor W_in = weights_["mlp.W_in"];
    const bool signs = config_.bit_values == MlpConfig::BitValues::signs;
    add(Kind::embeddings, spec_.n_ctx);
    for (int64_t i = 0; i < spec_.n_ctx; ++i) parts_.nodes.push_back({fmt::format("bit {}", i), -1, 0});
    if (config_.bias_column) {
      const torch::Tensor column = W_in[spec_.n_ctx];
      hidden_bias_ = hidden_bias_.defined() ? hidden_bias_ + column : column;
    }
    parts_.embed = [rows = W_in.narrow(0, 0, spec_.n_ctx), signs](const torch::Tensor& tokens) {
      torch::Tensor values = tokens.to(rows.scalar_type());
      if (signs) values = 2 * values - 1;
      return (values.t().unsqueeze(-1) * rows.unsqueeze(1)).unsqueeze(2);  // [n_ctx, batch, 1, d_mlp]
    };
  }

  void layer(int64_t number, bool single, const torch::Tensor& bias, const torch::Tensor& W_out) {
    CircuitStage& stage = add(single ? Kind::neurons : Kind::mlp, single ? config_.d_mlp : 1);
    const int64_t depth = number + 1;
    if (!single) parts_.nodes.push_back({fmt::format("mlp {}", number), number, depth});
    for (int64_t i = 0; single && i < config_.d_mlp; ++i)
      parts_.nodes.push_back({fmt::format("neuron {}.{}", number, i), number, depth});
    stage.b_in = bias;
    stage.W_out = W_out;
    stage.act = [act_fn = config_.act_fn](const torch::Tensor& pre) { return mlp_activation(pre, act_fn); };
  }

  void logits() {
    CircuitStage& stage = add(Kind::logits, 1);
    parts_.nodes.push_back({"logits", -1, static_cast<int64_t>(parts_.stages.size()) - 1});
    stage.constant = weights_.optional("mlp.b_out");
    if (model_.writes_logits()) return;
    stage.W_U = weights_.optional("unembed.W_U");
    if (stage.W_U.defined()) return;
    const torch::Tensor embedding =
        config_.embedding == MlpConfig::Embedding::circular
            ? weights_.of(
                  (unit_circle(spec_.d_vocab_out, spec_.d_vocab) * config_.circle_radius).to(torch::kFloat32))
            : weights_["embed.W_E"];
    stage.W_U = embedding.narrow(0, 0, spec_.d_vocab_out).t().contiguous();
  }

  const MlpConfig& config_;
  const Mlp& model_;
  const TaskSpec& spec_;
  Copies weights_;
  CircuitGraph::Parts parts_;
  torch::Tensor hidden_bias_;
};

std::string transformer_refusal(const TransformerConfig& c, const TaskSpec& spec, bool neurons) {
  using C = TransformerConfig;
  if (c.positional_embedding_type == C::PositionalEmbedding::rotary)
    return "it has rotary positions, which no edge carries";
  if (c.normalization_type != C::Normalization::none && c.normalization_place == C::NormalizationPlace::post)
    return "its normalisation is behind the sum, so a node's input is no sum over nodes";
  if (spec.pad_token >= 0) return "the task has a pad_token, which attention passes over";
  if (c.attn_only || !neurons) return "";
  if (c.normalization_type != C::Normalization::none)
    return "its neurons stand behind a normalisation; a graph of layers is possible";
  return c.gated_mlp ? "its neurons are gated; a graph of layers is possible" : "";
}

int64_t transformer_edges(const TransformerConfig& c, bool neurons) {
  int64_t senders = c.positional_embedding_type == TransformerConfig::PositionalEmbedding::none ? 1 : 2;
  int64_t edges = 0;
  for (int64_t layer = 0; layer < c.n_layers; ++layer) {
    edges += 3 * c.n_heads * senders;
    senders += c.n_heads;
    if (c.attn_only) continue;
    const int64_t n = neurons ? c.d_mlp : 1;
    edges += n * senders;
    senders += n;
  }
  return edges + senders;
}

int64_t mlp_edges(const Mlp& model, const TaskSpec& spec, bool neurons) {
  const int64_t n = neurons ? model.config().d_mlp : 1;
  return n * (model.has_bits() ? spec.n_ctx : 2) + (model.config().n_hidden == 2 ? n * n : 0) + n;
}

}  // namespace

std::string CircuitGraph::refusal(const Model& model, const TaskSpec& spec, const CircuitOptions& options) {
  const auto* const mlp = dynamic_cast<const Mlp*>(&model);
  if (!mlp && !model.transformer_config())
    return "it is neither a transformer nor an mlp of the framework, so its graph is not known";
  const bool neurons = single_neurons(options, mlp != nullptr);
  if (!mlp) {
    const std::string reason = transformer_refusal(*model.transformer_config(), spec, neurons);
    if (!reason.empty()) return reason;
  }
  const int64_t n =
      mlp ? mlp_edges(*mlp, spec, neurons) : transformer_edges(*model.transformer_config(), neurons);
  if (n <= options.max_edges) return "";
  return fmt::format("its graph has {} edges, more than {}{}", n, options.max_edges,
                     neurons ? "; a graph of layers is possible" : "");
}

CircuitGraph::Parts circuit_parts(Model& model, const TaskSpec& spec, const CircuitOptions& options) {
  if (const auto* const mlp = dynamic_cast<const Mlp*>(&model)) return MlpStages(*mlp, spec, options).take();
  return TransformerStages(model, spec, options).take();
}

}  // namespace orrery
