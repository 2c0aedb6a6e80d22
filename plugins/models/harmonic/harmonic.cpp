// A transformer that reads classes out by distance, for harmonic loss (Baek et al. 2025, "Harmonic Loss
// Trains Interpretable AI Models", arXiv 2502.01628): class i has a centre w_i in the residual stream x, and
//   p_i = d_i^-n / sum_j d_j^-n,    d_i = |x - w_i|,
// which is the softmax of the logits -n log d_i: trained on cross_entropy, the loss is harmonic loss. A right
// answer needs a short distance, not large weights. Centres at 0 and 3, x = 1, n = 2: d = 1 and 2, p = 0.8
// and 0.2.
#include <orrery/error.h>
#include <orrery/model_maker.h>
#include <orrery/plugin.h>
#include <orrery/transformer.h>

#include <cmath>
#include <memory>

namespace {

struct Params {
  double exponent = 0;
  int64_t n_layers = 1, d_model = 128, n_heads = 4, d_head = 32, d_mlp = 512;
  bool attn_only = false;

  static void fields(orrery::Fields<Params>& f) {
    f.add("exponent", &Params::exponent, "the harmonic exponent n; 0: sqrt(d_model)").between(0, 1000);
    f.add("n_layers", &Params::n_layers, "layers").between(1, 1000);
    f.add("d_model", &Params::d_model, "size of the residual stream").between(1, 65536);
    f.add("n_heads", &Params::n_heads, "attention heads of a layer").between(1, 65536);
    f.add("d_head", &Params::d_head, "size of a head").between(1, 65536);
    f.add("d_mlp", &Params::d_mlp, "neurons of a layer").between(1, 1 << 20);
    f.add("attn_only", &Params::attn_only, "without MLPs");
  }
};

// Shorter distances count as this one: the logarithm of 0, and its gradient, are infinite.
constexpr double shortest = 1e-6;

orrery::TransformerConfig up_to_the_stream(const Params& params) {
  orrery::TransformerConfig config;
  config.n_layers = params.n_layers;
  config.d_model = params.d_model;
  config.n_heads = params.n_heads;
  config.d_head = params.d_head;
  config.d_mlp = params.d_mlp;
  config.attn_only = params.attn_only;
  config.unembedding = orrery::TransformerConfig::Unembedding::identity;
  return config;
}

// As far as the transformer is concerned, its classes are the entries of the stream.
orrery::TaskSpec with_stream_for_logits(orrery::TaskSpec spec, int64_t d_model) {
  if (spec.d_vocab_out < 2)
    throw orrery::UsageError(
        "the model harmonic compares distances to classes, and the task has only one logit",
        "choose a task of two classes or more, or another model");
  spec.d_vocab_out = d_model;
  return spec;
}

struct Stream {
  std::unique_ptr<orrery::Model> stream;
};

class Harmonic final : Stream, public orrery::Model {
 public:
  // Centres are drawn as W_U of the transformer: normal with standard deviation 1/sqrt(d_vocab).
  Harmonic(Params params, const orrery::TaskSpec& spec, torch::Generator rng)
      : Stream{orrery::make_transformer(up_to_the_stream(params),
                                        with_stream_for_logits(spec, params.d_model), rng)},
        Model(InFrontOf{*stream}),
        exponent_(params.exponent > 0 ? params.exponent : std::sqrt(static_cast<double>(params.d_model))) {
    centers_ = add_weight("unembed.centers", torch::randn({spec.d_vocab_out, params.d_model}, rng) /
                                                 std::sqrt(static_cast<double>(spec.d_vocab)));
  }

  torch::Tensor forward(const torch::Tensor& tokens) override {
    const torch::Tensor x = stream->forward(tokens);  // [batch, n_ctx, d_model]
    // Not by products of matrices, in which short distances cancel.
    constexpr int64_t directly = 2;
    return -exponent_ * torch::cdist(x, centers_.unsqueeze(0), 2, directly).clamp_min(shortest).log();
  }

 private:
  double exponent_;
  torch::Tensor centers_;  // [d_vocab_out, d_model]
};

}  // namespace

ORRERY_MODEL(Harmonic, Params, "harmonic", "1.0.0",
             "A transformer that reads classes out by distance, for harmonic loss.")
