// Grokfast-EMA (Lee et al. 2024, "Grokfast: Accelerated grokking by amplifying slow gradients", arXiv
// 2405.20233): adds to each gradient lamb times its exponential moving average,
//   mu <- alpha mu + (1 - alpha) g,    g <- g + lamb mu.
// The average keeps what changes slowly from step to step, which is what generalises; with alpha = 0.98 and
// lamb = 2, the paper's, a constant gradient becomes three times as large and one that alternates stays.
#include <orrery/plugin.h>
#include <orrery/update.h>

namespace {

struct Params {
  double alpha = 0.98;
  double lamb = 2;

  static void fields(orrery::Fields<Params>& f) {
    f.add("alpha", &Params::alpha, "share of the average that each step keeps").between(0, 1);
    f.add("lamb", &Params::lamb, "how often the average is added to the gradient").at_least(0);
  }
};

class GrokfastEma final : public orrery::Update {
 public:
  explicit GrokfastEma(Params params) : params_(params) {}

  Stage stage() const override { return Stage::gradients; }

  void step(const orrery::UpdateStep& step) override {
    for (const orrery::UpdatedWeight& weight : step.weights) {
      const torch::Tensor average = weight.state("average"), gradient = weight.gradient();
      if (step.step == 0)
        average.copy_(gradient);  // as in the authors' code, not 0
      else
        average.lerp_(gradient, 1 - params_.alpha);
      gradient.add_(average, params_.lamb);
    }
  }

 private:
  Params params_;
};

}  // namespace

ORRERY_UPDATE(GrokfastEma, Params, "grokfast_ema", "1.0.0", "Amplifies the slow part of the gradients.")
