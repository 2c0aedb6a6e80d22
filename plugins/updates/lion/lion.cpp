// Lion (Chen et al. 2023, "Symbolic discovery of optimization algorithms", arXiv 2302.06675, algorithm 2):
// every entry of a weight moves by the learning rate, up or down,
//   c = beta1 m + (1 - beta1) g,    w <- w - lr (sign(c) + decay w),    m <- beta2 m + (1 - beta2) g.
// The sign makes steps larger than Adam's: the authors take learning rates 3 to 10 times smaller, and decays
// as many times larger.
#include <orrery/plugin.h>
#include <orrery/update.h>

namespace {

struct Params {
  double beta1 = 0.9;
  double beta2 = 0.99;

  static void fields(orrery::Fields<Params>& f) {
    f.add("beta1", &Params::beta1, "share of the momentum in the direction of a step").between(0, 1);
    f.add("beta2", &Params::beta2, "share of the momentum that each step keeps").between(0, 1);
  }
};

class Lion final : public orrery::Update {
 public:
  explicit Lion(Params params) : params_(params) {
    if (params.beta2 == 1)
      throw orrery::UsageError("a beta2 of 1 never takes a gradient in",
                               "choose it below 1, for example 0.99");
  }

  Stage stage() const override { return Stage::optimizer; }

  void step(const orrery::UpdateStep& step) override {
    for (const orrery::UpdatedWeight& weight : step.weights) {
      const torch::Tensor momentum = weight.state("momentum"), gradient = weight.gradient();
      if (weight.weight_decay > 0) weight.value().mul_(1 - weight.lr * weight.weight_decay);
      weight.value().sub_(torch::lerp(momentum, gradient, 1 - params_.beta1).sign_(), weight.lr);
      momentum.lerp_(gradient, 1 - params_.beta2);
    }
  }

 private:
  Params params_;
};

}  // namespace

ORRERY_UPDATE(Lion, Params, "lion", "1.0.0", "Steps of one size, by the sign of the momentum.")
