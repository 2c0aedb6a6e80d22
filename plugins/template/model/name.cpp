// A bag of tokens (after Zaheer et al. 2017, "Deep sets", arXiv 1703.06114): at each position, the sum of the
// embeddings of all tokens up to it, and one hidden layer,
//   bag_t = sum_{s <= t} W_E[token_s],    post_t = relu(bag_t W_in + b_in),
//   logits_t = post_t W_out + b_out.
// It sees which tokens there are, and not in which order: a + b is within its reach, and a - b is not.
#include <orrery/model_maker.h>
#include <orrery/plugin.h>

#include <cmath>

namespace {

// The members hold the defaults; `orrery describe @name@` lists what fields() declares.
struct Params {
  int64_t d_model = 64;
  int64_t d_mlp = 256;

  static void fields(orrery::Fields<Params>& f) {
    f.add("d_model", &Params::d_model, "size of the embedding").between(1, 65536);
    f.add("d_mlp", &Params::d_mlp, "neurons of the hidden layer").between(1, 65536);
  }
};

class @Name@ final : public orrery::Model {
 public:
  // Draws only from `rng`, so that the same seed makes the same network. A weight is what add_weight()
  // returns: it is trained, and in every checkpoint under this name.
  @Name@(Params params, const orrery::TaskSpec& spec, torch::Generator rng) {
    const auto normal = [&](int64_t in, int64_t out) {
      return torch::randn({in, out}, rng) / std::sqrt(static_cast<double>(in));
    };
    W_E_ = add_weight("embed.W_E", torch::randn({spec.d_vocab, params.d_model}, rng));
    W_in_ = add_weight("mlp.W_in", normal(params.d_model, params.d_mlp));
    b_in_ = add_weight("mlp.b_in", torch::zeros({params.d_mlp}));
    W_out_ = add_weight("mlp.W_out", normal(params.d_mlp, spec.d_vocab_out));
    b_out_ = add_weight("mlp.b_out", torch::zeros({spec.d_vocab_out}));
  }

  // tokens: [batch, n_ctx] -> [batch, n_ctx, d_vocab_out]. What goes through a hook point, probes can read
  // and change.
  torch::Tensor forward(const torch::Tensor& tokens) override {
    const auto embed = W_E_.index_select(0, tokens.flatten()).view({tokens.size(0), tokens.size(1), -1});
    const auto bag = hook_bag_(hook_embed_(embed).cumsum(1));
    const auto post = hook_post_(hook_pre_(torch::matmul(bag, W_in_) + b_in_).relu());
    return torch::matmul(post, W_out_) + b_out_;
  }

 private:
  torch::Tensor W_E_, W_in_, b_in_, W_out_, b_out_;
  orrery::HookPoint& hook_embed_ = add_hook_point("hook_embed");    // [batch, n_ctx, d_model]
  orrery::HookPoint& hook_bag_ = add_hook_point("hook_bag");        // [batch, n_ctx, d_model]
  orrery::HookPoint& hook_pre_ = add_hook_point("mlp.hook_pre");    // [batch, n_ctx, d_mlp]
  orrery::HookPoint& hook_post_ = add_hook_point("mlp.hook_post");  // [batch, n_ctx, d_mlp]
};

}  // namespace

ORRERY_MODEL(@Name@, Params, "@name@", "1.0.0", "A hidden layer over summed embeddings.")
