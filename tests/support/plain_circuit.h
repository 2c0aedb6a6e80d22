// Edge patching of a transformer by its definition, edge by edge and head by head, in float64: what tests
// hold the circuit graph to. Edges go by their names.
#pragma once

#include <orrery/transformer.h>

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace orrery::testing {

class PlainCircuit {
 public:
  /// By node: what it sends, [batch, n_ctx, d_model]; of "logits" the logits at all positions.
  using Sends = std::map<std::string, torch::Tensor>;

  explicit PlainCircuit(const Model& model) : c_(*model.transformer_config()) {
    for (const NamedWeight& weight : model.weights())
      weights_[weight.name] = weight.value.detach().to(torch::kFloat64);
  }

  /// The edges of `cut` carry what `corrupted` sends.
  Sends pass(const torch::Tensor& tokens, const std::set<std::string>& cut = {},
             const Sends& corrupted = {}) const {
    Sends sends;
    std::vector<std::string> senders;
    torch::Tensor constant = torch::zeros({c_.d_model}, torch::kFloat64);
    const auto into = [&](const std::string& receiver, const std::string& norm) {
      torch::Tensor sum = constant.expand({tokens.size(0), tokens.size(1), c_.d_model}).clone();
      for (const std::string& u : senders)
        sum += cut.count(u + " -> " + receiver) ? corrupted.at(u) : sends.at(u);
      return normalised(sum, norm);
    };
    const auto add = [&](const std::string& node, const torch::Tensor& value) { sends[node] = value; };
    add("embed", torch::embedding(at("embed.W_E"), tokens));
    senders = {"embed"};
    if (weights_.count("pos_embed.W_pos")) {
      add("pos_embed", at("pos_embed.W_pos").narrow(0, 0, tokens.size(1)).expand_as(sends["embed"]));
      senders.push_back("pos_embed");
    }
    for (int64_t layer = 0; layer < c_.n_layers; ++layer) {
      const std::string block = "blocks." + std::to_string(layer) + ".", l = std::to_string(layer);
      std::vector<std::string> heads;
      for (int64_t h = 0; h < c_.n_heads; ++h) {
        heads.push_back("head " + l + "." + std::to_string(h));
        const auto part = [&](const std::string& letter, const std::string& name) {
          const torch::Tensor y =
              into(heads.back() + " " + letter, block + "ln1").matmul(at(block + "attn.W_" + name)[h]);
          const std::string bias = block + "attn.b_" + name;
          return weights_.count(bias) ? y + at(bias)[h] : y;
        };
        add(heads.back(),
            head(part("q", "Q"), part("k", "K"), part("v", "V")).matmul(at(block + "attn.W_O")[h]));
      }
      senders.insert(senders.end(), heads.begin(), heads.end());
      if (weights_.count(block + "attn.b_O")) constant = constant + at(block + "attn.b_O");
      if (c_.attn_only) continue;
      add("mlp " + l,
          torch::relu(into("mlp " + l, block + "ln2").matmul(at(block + "mlp.W_in")) + at(block + "mlp.b_in"))
              .matmul(at(block + "mlp.W_out")));
      senders.push_back("mlp " + l);
      constant = constant + at(block + "mlp.b_out");
    }
    const torch::Tensor logits = into("logits", "ln_final").matmul(at("unembed.W_U"));
    sends["logits"] = weights_.count("unembed.b_U") ? logits + at("unembed.b_U") : logits;
    return sends;
  }

 private:
  const torch::Tensor& at(const std::string& name) const { return weights_.at(name); }

  torch::Tensor normalised(const torch::Tensor& x, const std::string& norm) const {
    if (c_.normalization_type != TransformerConfig::Normalization::LN) return x;
    const torch::Tensor y = x - x.mean(-1, true);
    return y / (y.square().mean(-1, true) + c_.normalization_eps).sqrt() * at(norm + ".w") + at(norm + ".b");
  }

  // q, k, v: [batch, n_ctx, d_head]
  torch::Tensor head(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v) const {
    torch::Tensor z = torch::zeros_like(v);
    for (int64_t query = 0; query < q.size(1); ++query) {
      const torch::Tensor keys = k.narrow(1, 0, query + 1), values = v.narrow(1, 0, query + 1);
      const torch::Tensor scores =
          (keys * q.narrow(1, query, 1)).sum(-1, true) / std::sqrt(double(c_.d_head));  // [batch, keys, 1]
      const torch::Tensor weights = (scores - std::get<0>(scores.max(1, true))).exp();
      z.select(1, query).copy_((weights / weights.sum(1, true) * values).sum(1));
    }
    return z;
  }

  TransformerConfig c_;
  std::map<std::string, torch::Tensor> weights_;
};

}  // namespace orrery::testing
