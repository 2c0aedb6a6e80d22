// The simple recurrent network of Elman (1990, "Finding structure in time"): the tokens one after the other,
//   x_t = W_E[token_t],    pre_t = x_t W_ih + h_{t-1} W_hh + b_h,    h_t = tanh(pre_t),    h_{-1} = 0,
//   logits_t = h_t W_U + b_U.
// Where a transformer looks back, it has to remember: a network without attention to compare circuits with.
#include <orrery/model_maker.h>
#include <orrery/plugin.h>

#include <cmath>

namespace {

struct Params {
  enum class ActFn { tanh, relu };
  int64_t d_embed = 64;
  int64_t d_hidden = 128;
  ActFn act_fn = ActFn::tanh;

  static void fields(orrery::Fields<Params>& f) {
    f.add("d_embed", &Params::d_embed, "size of the embedding").between(1, 65536);
    f.add("d_hidden", &Params::d_hidden, "size of the hidden state").between(1, 65536);
    f.add("act_fn", &Params::act_fn, "activation function of the hidden state");
  }
  friend orrery::Names<ActFn> names_of(ActFn) { return {{"tanh", ActFn::tanh}, {"relu", ActFn::relu}}; }
};

class Rnn final : public orrery::Model {
 public:
  // Weights uniform in +-1/sqrt(d_hidden), those of the embedding normal, as torch.nn.RNN and
  // torch.nn.Embedding.
  Rnn(Params params, const orrery::TaskSpec& spec, torch::Generator rng) : params_(params) {
    const auto uniform = [&](std::vector<int64_t> sizes) {
      return (torch::rand(sizes, rng) * 2 - 1) / std::sqrt(static_cast<double>(params.d_hidden));
    };
    const int64_t d = params.d_hidden;
    W_E_ = add_weight("embed.W_E", torch::randn({spec.d_vocab, params.d_embed}, rng));
    W_ih_ = add_weight("rnn.W_ih", uniform({params.d_embed, d}));
    W_hh_ = add_weight("rnn.W_hh", uniform({d, d}));
    b_h_ = add_weight("rnn.b_h", uniform({d}));
    W_U_ = add_weight("unembed.W_U", uniform({d, spec.d_vocab_out}));
    b_U_ = add_weight("unembed.b_U", uniform({spec.d_vocab_out}));
  }

  torch::Tensor forward(const torch::Tensor& tokens) override {
    const torch::Tensor input =
        torch::matmul(
            hook_embed_(
                W_E_.index_select(0, tokens.reshape({-1})).view({tokens.size(0), tokens.size(1), -1})),
            W_ih_) +
        b_h_;
    torch::Tensor h = torch::zeros({tokens.size(0), params_.d_hidden}, input.options());
    std::vector<torch::Tensor> post;
    for (int64_t t = 0; t < tokens.size(1); ++t) {
      const torch::Tensor pre = input.select(1, t) + torch::matmul(h, W_hh_);
      h = params_.act_fn == Params::ActFn::tanh ? pre.tanh() : pre.relu();
      post.push_back(h);
    }
    // A hook here changes what is read out, and not what the next position remembers.
    return torch::matmul(hook_post_(torch::stack(post, 1)), W_U_) + b_U_;
  }

 private:
  Params params_;
  torch::Tensor W_E_, W_ih_, W_hh_, b_h_, W_U_, b_U_;
  orrery::HookPoint& hook_embed_ = add_hook_point("hook_embed");
  orrery::HookPoint& hook_post_ = add_hook_point("rnn.hook_post");
};

}  // namespace

ORRERY_MODEL(Rnn, Params, "rnn", "1.0.0", "A simple recurrent network.")
