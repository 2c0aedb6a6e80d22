// Cross-entropy with label smoothing (Szegedy et al. 2016, "Rethinking the Inception architecture for
// computer vision", arXiv 1512.00567, section 7): the target is not the label's class alone but
//   q_c = (1 - s) 1[c = y] + s / C
// over all C classes, so that loss = -sum_c q_c log softmax(z)_c. Its minimum is at finite logits, the right
// one log(1 + C (1 - s) / s) above the others, and is the entropy of q, not 0.
#include <orrery/loss.h>
#include <orrery/plugin.h>

namespace {

struct Params {
  double smoothing = 0.1;

  static void fields(orrery::Fields<Params>& f) {
    f.add("smoothing", &Params::smoothing, "share of the target spread evenly over all classes")
        .between(0, 1);
  }
};

class LabelSmoothing final : public orrery::LossFunction {
 public:
  explicit LabelSmoothing(Params params) : params_(params) {
    if (params.smoothing == 1)
      throw orrery::UsageError("smoothing is 1: the labels would say nothing",
                               "choose it below 1, for example 0.1");
  }

  std::string refusal(const orrery::TaskSpec& spec) const override {
    if (spec.d_vocab_out < 2) return "it needs two classes or more, and the task has one logit";
    return spec.label_smoothing > 0 ? "the task smooths its labels already" : "";
  }

  torch::Tensor each(const torch::Tensor& logits, const orrery::Batch& batch) const override {
    const torch::Tensor log_p = torch::log_softmax(logits, -1);
    const torch::Tensor own = log_p.gather(-1, batch.labels.unsqueeze(-1)).squeeze(-1);
    return -(1 - params_.smoothing) * own - params_.smoothing * log_p.mean(-1);
  }

 private:
  Params params_;
};

}  // namespace

ORRERY_LOSS(LabelSmoothing, Params, "label_smoothing", "1.0.0", "Cross-entropy with smoothed labels.")
