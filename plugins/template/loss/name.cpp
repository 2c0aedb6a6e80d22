// Focal loss (Lin et al. 2017, "Focal loss for dense object detection", arXiv 1708.02002, section 3): the
// cross-entropy of an example, times what the network gives to the other classes,
//   loss = -(1 - p)^gamma log p,    p = softmax(logits)[label].
// Examples that are right already count less, and the hard ones are what is left. With gamma = 0 it is
// cross-entropy; with gamma = 2, an example at p = 0.9 counts a hundredth of that.
#include <orrery/loss.h>
#include <orrery/plugin.h>

namespace {

// The members hold the defaults; `orrery describe @name@` lists what fields() declares.
struct Params {
  double gamma = 2;

  static void fields(orrery::Fields<Params>& f) {
    f.add("gamma", &Params::gamma, "how much less easy examples count; 0 is cross-entropy").at_least(0);
  }
};

class @Name@ final : public orrery::LossFunction {
 public:
  explicit @Name@(Params params) : params_(params) {}

  // A run on a task that it does not fit is refused before step 0.
  std::string refusal(const orrery::TaskSpec& spec) const override {
    return spec.d_vocab_out < 2 ? "it needs two classes or more, and the task has one logit" : "";
  }

  // logits: [batch, n_read, d_vocab_out] -> [batch, n_read]. The mean over labels is taken by the host.
  torch::Tensor each(const torch::Tensor& logits, const orrery::Batch& batch) const override {
    const auto log_p = torch::log_softmax(logits, -1).gather(-1, batch.labels.unsqueeze(-1)).squeeze(-1);
    const auto others = (-torch::expm1(log_p)).clamp_min(1e-30);  // 1 - p; powers of 0 have no gradient
    return -others.pow(params_.gamma) * log_p;
  }

 private:
  Params params_;
};

}  // namespace

ORRERY_LOSS(@Name@, Params, "@name@", "1.0.0", "Cross-entropy that counts hard examples.")
