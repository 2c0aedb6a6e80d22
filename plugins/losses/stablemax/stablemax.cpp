// StableMax cross-entropy (Prieto et al. 2025, "Grokking at the edge of numerical stability", arXiv
// 2501.04697, section 3.2): minus the logarithm of
//   StableMax(z)_y = s(z_y) / sum_c s(z_c),    s(z) = z + 1 for z >= 0, 1 / (1 - z) below.
// Where softmax's exponentials absorb each other in float32 and gradients vanish (softmax collapse), s grows
// linearly: a right logit ten times as large makes the loss a tenth, and the network goes on to generalise
// without weight decay.
#include <orrery/loss.h>
#include <orrery/plugin.h>

namespace {

struct Params {
  static void fields(orrery::Fields<Params>&) {}
};

class Stablemax final : public orrery::LossFunction {
 public:
  explicit Stablemax(Params) {}

  std::string refusal(const orrery::TaskSpec& spec) const override {
    return spec.d_vocab_out < 2 ? "it needs two classes or more, and the task has one logit" : "";
  }

  torch::Tensor each(const torch::Tensor& logits, const orrery::Batch& batch) const override {
    // log s, each side computed where it is used: the other may be infinite there.
    const torch::Tensor log_s =
        torch::where(logits >= 0, torch::log1p(logits.clamp_min(0)), -torch::log1p(-logits.clamp_max(0)));
    return torch::logsumexp(log_s, -1) - log_s.gather(-1, batch.labels.unsqueeze(-1)).squeeze(-1);
  }
};

}  // namespace

ORRERY_LOSS(Stablemax, Params, "stablemax", "1.0.0",
            "Cross-entropy of StableMax, which does not collapse in float32.")
