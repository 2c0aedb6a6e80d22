// The mean of embeddings and one layer, right in everything but what `fault` names. Without one it passes
// every check.
#include <orrery/error.h>
#include <orrery/model_maker.h>
#include <orrery/plugin.h>

#include <cstdlib>

namespace {

using torch::Tensor;

struct Params {
  std::string fault;
  static void fields(orrery::Fields<Params>& f) {
    f.add("fault", &Params::fault, "what it is wrong in; empty: nothing");
  }
};

class LyingModel final : public orrery::Model {
 public:
  LyingModel(Params params, const orrery::TaskSpec& spec, torch::Generator rng)
      : params_(std::move(params)), hook_mean_(add_hook_point("hook_mean")) {
    if (is("create")) throw orrery::UsageError("asked to fail", "do not ask");
    if (is("refuses_all")) throw orrery::UsageError("it is tired", "let it rest");
    const auto normal = [&](int64_t rows, int64_t columns) {
      return is("draws_beside") ? torch::randn({rows, columns}) : torch::randn({rows, columns}, rng);
    };
    if (is("no_weights")) {
      W_E_ = normal(spec.d_vocab, d), W_U_ = normal(d, spec.d_vocab_out);
      return;
    }
    W_E_ = add_weight("embed.W_E", normal(spec.d_vocab, d));
    W_U_ = add_weight("unembed.W_U", normal(d, spec.d_vocab_out));
    if (is("unused_weight")) add_weight("unembed.b_U", torch::zeros({spec.d_vocab_out}));
    if (is("hook_point_that_nothing_passes")) add_hook_point("hook_nowhere");
  }

  Tensor forward(const Tensor& tokens) override {
    if (is("exits")) std::exit(0);
    if (is("throws")) throw orrery::Error("the table is worn out", "make another");
    Tensor embed = W_E_.index_select(0, tokens.flatten()).view({tokens.size(0), tokens.size(1), d});
    if (is("detached")) embed = embed.detach();
    const Tensor mean = embed.cumsum(1) / torch::arange(1, tokens.size(1) + 1, embed.options()).unsqueeze(-1);
    const Tensor hooked = hook_mean_(mean);
    Tensor logits = torch::matmul(is("hook_is_ignored") ? mean : hooked, W_U_);
    if (is("hook_sees_no_batch")) logits = logits + 0 * hook_mean_(mean[0]).sum();
    if (is("one_position")) logits = logits.select(1, 0);
    if (is("grows")) logits = logits * static_cast<double>(++calls_);
    return logits;
  }

 private:
  static constexpr int64_t d = 16;
  bool is(const std::string& fault) const { return params_.fault == fault; }

  Params params_;
  Tensor W_E_, W_U_;
  orrery::HookPoint& hook_mean_;
  int64_t calls_ = 0;
};

}  // namespace

ORRERY_MODEL(LyingModel, Params, "lying_model", "1.0.0", "Mean of embeddings, with a fault.")
