// One against the rest: a logistic loss for each class (Rifkin & Klautau 2004, "In defense of one-vs-all
// classification"; as binary cross-entropy of sigmoids, Beyer et al. 2020, "Are we done with ImageNet?",
// arXiv 2006.07159). With y_c = 1 for the right class and -1 for the others,
//   loss = sum_c log(1 + exp(-y_c z_c)).
// Classes do not compete as in a softmax: a logit common to all of them matters, and each class has a
// threshold of its own at 0. Accuracy is still that of the largest logit.
#include <orrery/loss.h>
#include <orrery/plugin.h>

namespace {

struct Params {
  enum class Over { sum, mean };
  Over over_classes = Over::sum;

  static void fields(orrery::Fields<Params>& f) {
    f.add("over_classes", &Params::over_classes, "whether losses are summed or averaged over the classes");
  }
  friend orrery::Names<Over> names_of(Over) { return {{"sum", Over::sum}, {"mean", Over::mean}}; }
};

class OneVsRest final : public orrery::LossFunction {
 public:
  explicit OneVsRest(Params params) : params_(params) {}

  std::string refusal(const orrery::TaskSpec& spec) const override {
    return spec.d_vocab_out < 2 ? "it needs two classes or more; for one logit there is loss = \"logistic\""
                                : "";
  }

  torch::Tensor each(const torch::Tensor& logits, const orrery::Batch& batch) const override {
    const torch::Tensor signs =
        torch::full_like(logits.detach(), -1).scatter_(-1, batch.labels.unsqueeze(-1), 1);
    const torch::Tensor losses = -torch::log_sigmoid(signs * logits);
    return params_.over_classes == Params::Over::sum ? losses.sum(-1) : losses.mean(-1);
  }

 private:
  Params params_;
};

}  // namespace

ORRERY_LOSS(OneVsRest, Params, "one_vs_rest", "1.0.0", "A logistic loss for each class against the rest.")
