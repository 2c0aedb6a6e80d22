// Gradient clipping (Pascanu et al. 2013, "On the difficulty of training recurrent neural networks", arXiv
// 1211.5063): scales the gradients of all weights that it is given down to a norm, as
// torch.nn.utils.clip_grad_norm_ does,
//   g <- g min(1, norm / (|g| + 1e-6)),
// |g| being the L2 norm of all these gradients together. `value` limits each entry first, as
// torch.nn.utils.clip_grad_value_.
#include <orrery/plugin.h>
#include <orrery/update.h>

#include <cmath>

namespace {

struct Params {
  double norm = 1;
  double value = 0;

  static void fields(orrery::Fields<Params>& f) {
    f.add("norm", &Params::norm, "largest norm of the gradients together; 0: no limit").at_least(0);
    f.add("value", &Params::value, "largest modulus of an entry; 0: no limit").at_least(0);
  }
};

class Clip final : public orrery::Update {
 public:
  explicit Clip(Params params) : params_(params) {
    if (params.norm == 0 && params.value == 0)
      throw orrery::UsageError("norm and value are both 0, no limit: it would do nothing",
                               "set one of them, for example norm = 1.0");
  }

  Stage stage() const override { return Stage::gradients; }

  void step(const orrery::UpdateStep& step) override {
    if (params_.value > 0)
      for (const orrery::UpdatedWeight& weight : step.weights)
        weight.gradient().clamp_(-params_.value, params_.value);
    if (params_.norm == 0) return;
    double squares = 0;
    for (const orrery::UpdatedWeight& weight : step.weights)
      squares += std::pow(weight.gradient().norm(2, torch::kFloat64).item<double>(), 2);
    const double factor = params_.norm / (std::sqrt(squares) + 1e-6);
    if (factor >= 1) return;
    for (const orrery::UpdatedWeight& weight : step.weights) weight.gradient().mul_(factor);
  }

 private:
  Params params_;
};

}  // namespace

ORRERY_UPDATE(Clip, Params, "clip", "1.0.0", "Limits the norm of the gradients, or their entries.")
