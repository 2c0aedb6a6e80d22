// Sharpness-aware minimisation (Foret et al. 2021, "Sharpness-aware minimization for efficiently improving
// generalization", arXiv 2010.01412, algorithm 1 with p = 2): takes the gradients not at the weights w but
// where the loss is about the highest within a radius rho of them,
//   g = gradient of the loss at w + rho g_0 / |g_0|,
// g_0 being the gradients at w and |g_0| their norm over all weights that it is given. Each step takes two
// passes over the batch.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/update.h>

#include <cmath>

namespace {

struct Params {
  double rho = 0.05;

  static void fields(orrery::Fields<Params>& f) {
    f.add("rho", &Params::rho, "distance at which gradients are taken, in the L2 norm of all weights")
        .at_least(0);
  }
};

class Sam final : public orrery::Update {
 public:
  explicit Sam(Params params) : params_(params) {
    if (params.rho == 0)
      throw orrery::UsageError("rho is 0: it would take the same gradients a second time",
                               "choose it above 0, for example 0.05");
  }

  Stage stage() const override { return Stage::gradients; }
  bool perturbs_weights() const override { return true; }

  void step(const orrery::UpdateStep& step) override {
    double squares = 0;
    for (const orrery::UpdatedWeight& weight : step.weights)
      squares += std::pow(weight.gradient().norm(2, torch::kFloat64).item<double>(), 2);
    const double factor = params_.rho / (std::sqrt(squares) + 1e-12);
    for (const orrery::UpdatedWeight& weight : step.weights) weight.value().add_(weight.gradient(), factor);
    const double loss = step.loss_and_gradients();
    if (!std::isfinite(loss))
      throw orrery::Error("the loss is not finite at a distance of rho = " + std::to_string(params_.rho) +
                              " from the weights",
                          "choose a smaller rho");
  }

 private:
  Params params_;
};

}  // namespace

ORRERY_UPDATE(Sam, Params, "sam", "1.0.0", "Gradients from where the loss nearby is highest.")
