// Training at a constant weight norm (Liu, Michaud & Tegmark 2022, "Omnigrok: Grokking beyond algorithmic
// data", arXiv 2210.01117, section 2): after each step the weights are scaled back to a sphere,
//   w <- w norm / |w|,
// so that the loss can be seen as a function of the norm: the reduced landscape, in which grokking is the
// drift from large norms to those where the network generalises. With norm = 0 the sphere is the one on which
// training begins. Differs from the authors' code, which measures before the first step: an update of this
// stage first sees weights after it. With train.warmup_steps above 0 that is the same, because the first step
// then has a learning rate of 0.
#include <orrery/plugin.h>
#include <orrery/update.h>

#include <cmath>

namespace {

struct Params {
  enum class Over { all, weight };
  double norm = 0;
  Over over = Over::all;

  static void fields(orrery::Fields<Params>& f) {
    f.add("norm", &Params::norm, "L2 norm that is kept; 0: that at the start").at_least(0);
    f.add("over", &Params::over, "the norm of all weights together, or of each weight tensor");
  }
  friend orrery::Names<Over> names_of(Over) { return {{"all", Over::all}, {"weight", Over::weight}}; }
};

class NormClamp final : public orrery::Update {
 public:
  explicit NormClamp(Params params) : params_(params) {}

  Stage stage() const override { return Stage::weights; }

  void step(const orrery::UpdateStep& step) override {
    const bool all = params_.over == Params::Over::all;
    const size_t n_spheres = all ? 1 : step.weights.size();
    const torch::Tensor kept = step.state("norm", {static_cast<int64_t>(n_spheres)});
    for (size_t i = 0; i < n_spheres; ++i) {
      const auto weights = all ? step.weights : std::vector<orrery::UpdatedWeight>{step.weights[i]};
      auto& target = kept.data_ptr<double>()[i];
      const double norm = norm_of(weights);
      if (step.step == 0) target = params_.norm > 0 ? params_.norm : norm;
      // A weight that is 0, as biases are at the start, has no direction to be scaled in, and one that began
      // there no norm to keep.
      if (norm == 0 || target == 0) continue;
      for (const orrery::UpdatedWeight& weight : weights) weight.value().mul_(target / norm);
    }
  }

 private:
  static double norm_of(const std::vector<orrery::UpdatedWeight>& weights) {
    double squares = 0;
    for (const orrery::UpdatedWeight& weight : weights)
      squares += std::pow(weight.value().norm(2, torch::kFloat64).item<double>(), 2);
    return std::sqrt(squares);
  }

  Params params_;
};

}  // namespace

ORRERY_UPDATE(NormClamp, Params, "norm_clamp", "1.0.0", "Keeps the norm of the weights constant.")
