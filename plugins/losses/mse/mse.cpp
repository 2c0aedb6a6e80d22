// The square loss for classification, with the two parameters of Hui & Belkin 2021 ("Evaluation of neural
// architectures trained with square loss vs cross-entropy in classification tasks", arXiv 2006.07322,
// section 5): with C classes, logits z and the right class y,
//   loss = 1/C (k (z_y - M)^2 + sum_{c != y} z_c^2).
// k = M = 1 is the mean squared error against one-hot targets, the framework's mse_one_hot. Where C is large
// almost every target is 0, and the right class hardly counts: a larger k or M brings it back.
#include <orrery/loss.h>
#include <orrery/plugin.h>

namespace {

struct Params {
  enum class Over { mean, sum };
  double k = 1;
  double M = 1;
  Over over_classes = Over::mean;

  static void fields(orrery::Fields<Params>& f) {
    f.add("k", &Params::k, "weight of the right class's square").at_least(0);
    f.add("M", &Params::M, "target of the right class's logit; the others' is 0");
    f.add("over_classes", &Params::over_classes, "whether squares are averaged or summed over the classes");
  }
  friend orrery::Names<Over> names_of(Over) { return {{"mean", Over::mean}, {"sum", Over::sum}}; }
};

class Mse final : public orrery::LossFunction {
 public:
  explicit Mse(Params params) : params_(params) {
    if (params.k == 0)
      throw orrery::UsageError("k is 0: the right class would not count, and all logits of 0 be perfect",
                               "choose k above 0");
    if (params.M == 0)
      throw orrery::UsageError("M is 0: the right class would have the target of the others",
                               "choose another M, for example 1");
  }

  std::string refusal(const orrery::TaskSpec& spec) const override {
    return spec.d_vocab_out < 2 ? "it needs two classes or more, and the task has one logit" : "";
  }

  torch::Tensor each(const torch::Tensor& logits, const orrery::Batch& batch) const override {
    const torch::Tensor own = logits.gather(-1, batch.labels.unsqueeze(-1)).squeeze(-1);
    // Not all squares less the right one: that difference loses its digits where the right logit is large.
    const torch::Tensor others = logits.scatter(-1, batch.labels.unsqueeze(-1), 0);
    const torch::Tensor sum = params_.k * (own - params_.M).square() + others.square().sum(-1);
    return params_.over_classes == Params::Over::mean ? sum / logits.size(-1) : sum;
  }

 private:
  Params params_;
};

}  // namespace

ORRERY_LOSS(Mse, Params, "mse", "1.0.0", "Square loss against one-hot targets, which can be scaled.")
