// The transformer by its formulas, one example, head and query at a time, in float64: what tests hold the
// model to. A query attends to a list of keys, so nothing is masked and no infinity occurs.
#pragma once

#include <orrery/transformer.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace orrery::testing {

class TransformerReference {
 public:
  /// The weights are copied, and leaves of the autograd graph.
  TransformerReference(const Model& model, TransformerConfig config, const TaskSpec& spec)
      : c_(std::move(config)), spec_(spec) {
    for (const NamedWeight& weight : model.weights())
      weights_[weight.name] =
          weight.value.detach().to(torch::kCPU, torch::kFloat64).clone().requires_grad_(true);
  }

  const std::map<std::string, torch::Tensor>& weights() const { return weights_; }

  /// tokens [batch, n] -> logits [batch, n, d_vocab_out] float64.
  torch::Tensor forward(const torch::Tensor& tokens) const {
    std::vector<torch::Tensor> all;
    for (int64_t example = 0; example < tokens.size(0); ++example) all.push_back(logits(tokens[example]));
    return torch::stack(all);
  }

 private:
  using C = TransformerConfig;
  using Rows = std::vector<torch::Tensor>;  // the residual stream: [d_model] at each position

  torch::Tensor weight(const std::string& name) const { return weights_.at(name); }
  torch::Tensor biased(const torch::Tensor& x, const std::string& name) const {
    return weights_.count(name) ? x + weight(name) : x;
  }

  torch::Tensor norm(const torch::Tensor& x, const std::string& name) const {
    using N = C::Normalization;
    if (c_.normalization_type == N::none) return x;
    const bool centres = c_.normalization_type == N::LN || c_.normalization_type == N::LNPre;
    const torch::Tensor from = centres ? x - x.sum() / x.size(0) : x;
    torch::Tensor y = from / ((from * from).sum() / x.size(0) + c_.normalization_eps).sqrt();
    if (weights_.count(name + ".w")) y = y * weight(name + ".w");
    return biased(y, name + ".b");
  }

  // Half of rotary_dim apart, or neighbours: of each pair, (a, b) becomes (a cos - b sin, a sin + b cos).
  torch::Tensor rotated(const torch::Tensor& x, int64_t position) const {
    if (c_.positional_embedding_type != C::PositionalEmbedding::rotary) return x;
    const int64_t dim = c_.rotary_dim > 0 ? c_.rotary_dim : c_.d_head;
    Rows entries;
    for (int64_t i = 0; i < c_.d_head; ++i) entries.push_back(x[i]);
    for (int64_t i = 0; i < dim / 2; ++i) {
      const int64_t first = c_.rotary_adjacent_pairs ? 2 * i : i;
      const int64_t second = c_.rotary_adjacent_pairs ? 2 * i + 1 : i + dim / 2;
      const double angle = double(position) * std::pow(c_.rotary_base, -2.0 * double(i) / double(dim));
      entries[first] = x[first] * std::cos(angle) - x[second] * std::sin(angle);
      entries[second] = x[first] * std::sin(angle) + x[second] * std::cos(angle);
    }
    return torch::stack(entries);
  }

  std::vector<int64_t> keys_of(int64_t query, const torch::Tensor& tokens) const {
    std::vector<int64_t> keys;
    for (int64_t key = 0; key < tokens.size(0); ++key) {
      const bool later = c_.attention_dir == C::AttentionDir::causal && key > query;
      if (!later && tokens[key].item<int64_t>() != spec_.pad_token) keys.push_back(key);
    }
    return keys;
  }

  // What attention adds to the stream.
  Rows attention(const Rows& x, const torch::Tensor& tokens, const std::string& attn) const {
    const double scale = c_.attn_scale > 0 ? c_.attn_scale : std::sqrt(double(c_.d_head));
    Rows out;
    for (size_t i = 0; i < x.size(); ++i)
      out.push_back(biased(torch::zeros({c_.d_model}, torch::kFloat64), attn + "b_O"));
    for (int64_t h = 0; h < c_.n_heads; ++h) {
      const auto project = [&](const torch::Tensor& row, const std::string& letter) {
        const torch::Tensor y = row.matmul(weight(attn + "W_" + letter)[h]);
        return weights_.count(attn + "b_" + letter) ? y + weight(attn + "b_" + letter)[h] : y;
      };
      for (size_t query = 0; query < x.size(); ++query) {
        const auto keys = keys_of(int64_t(query), tokens);
        if (keys.empty()) continue;
        const torch::Tensor q = rotated(project(x[query], "Q"), int64_t(query));
        Rows scores, exponentials;
        for (const int64_t key : keys) scores.push_back(q.dot(rotated(project(x[key], "K"), key)) / scale);
        const double largest = torch::stack(scores).max().item<double>();  // exp of more is infinite
        for (const torch::Tensor& score : scores) exponentials.push_back((score - largest).exp());
        const torch::Tensor total = torch::stack(exponentials).sum();
        for (size_t i = 0; i < keys.size(); ++i)
          out[query] = out[query] + (c_.attn_coeff * exponentials[i] / total + (1 - c_.attn_coeff)) *
                                        project(x[keys[i]], "V").matmul(weight(attn + "W_O")[h]);
      }
    }
    return out;
  }

  torch::Tensor act(const torch::Tensor& x) const {
    const double pi = std::acos(-1.0);
    switch (c_.act_fn) {
      case C::ActFn::relu:
        return x * (x > 0).to(torch::kFloat64);
      case C::ActFn::gelu:
        return x * 0.5 * (1 + torch::erf(x / std::sqrt(2.0)));
      case C::ActFn::gelu_new:
        return x * 0.5 * (1 + torch::tanh(std::sqrt(2 / pi) * (x + 0.044715 * x * x * x)));
      case C::ActFn::silu:
        return x / (1 + torch::exp(-x));
      case C::ActFn::tanh:
        return (torch::exp(x) - torch::exp(-x)) / (torch::exp(x) + torch::exp(-x));
    }
    return {};
  }

  torch::Tensor neurons(const torch::Tensor& x, const std::string& mlp) const {
    const torch::Tensor linear = biased(x.matmul(weight(mlp + "W_in")), mlp + "b_in");
    const torch::Tensor post = c_.gated_mlp ? act(x.matmul(weight(mlp + "W_gate"))) * linear : act(linear);
    return biased(post.matmul(weight(mlp + "W_out")), mlp + "b_out");
  }

  // The stream behind attention, or behind the neurons: x + f(norm(x)) or norm(x + f(x)).
  template <class F>
  void add(Rows& resid, const std::string& name, F&& f) const {
    const bool post = c_.normalization_place == C::NormalizationPlace::post;
    Rows read;
    for (const torch::Tensor& row : resid) read.push_back(post ? row : norm(row, name));
    const Rows added = f(read);
    for (size_t i = 0; i < resid.size(); ++i) {
      resid[i] = resid[i] + added[i];
      if (post) resid[i] = norm(resid[i], name);
    }
  }

  torch::Tensor unembedded(const torch::Tensor& row) const {
    const torch::Tensor x = c_.final_norm ? norm(row, "ln_final") : row;
    if (c_.unembedding == C::Unembedding::identity) return x;
    const torch::Tensor W_U = c_.unembedding == C::Unembedding::own
                                  ? weight("unembed.W_U")
                                  : weight("embed.W_E").t().narrow(1, 0, spec_.d_vocab_out);
    return biased(x.matmul(W_U), "unembed.b_U");
  }

  torch::Tensor logits(const torch::Tensor& tokens) const {
    Rows resid;
    for (int64_t i = 0; i < tokens.size(0); ++i) {
      resid.push_back(weight("embed.W_E")[tokens[i].item<int64_t>()]);
      if (weights_.count("pos_embed.W_pos")) resid.back() = resid.back() + weight("pos_embed.W_pos")[i];
    }
    for (int64_t layer = 0; layer < c_.n_layers; ++layer) {
      const std::string block = "blocks." + std::to_string(layer) + ".";
      add(resid, block + "ln1", [&](const Rows& x) { return attention(x, tokens, block + "attn."); });
      if (c_.attn_only) continue;
      add(resid, block + "ln2", [&](const Rows& x) {
        Rows out;
        for (const torch::Tensor& row : x) out.push_back(neurons(row, block + "mlp."));
        return out;
      });
    }
    for (torch::Tensor& row : resid) row = unembedded(row);
    return torch::stack(resid);
  }

  TransformerConfig c_;
  TaskSpec spec_;
  std::map<std::string, torch::Tensor> weights_;
};

}  // namespace orrery::testing
