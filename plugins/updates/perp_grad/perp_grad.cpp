// perpGrad (Prieto et al. 2025, "Grokking at the edge of numerical stability", arXiv 2501.04697, section 5):
// takes out of each gradient its component along the weight itself,
//   g <- g - (w.g / w.w) w.
// After memorisation that component is most of the gradient: to scale the weights, and with them the logits,
// lowers the loss without changing an answer (naive loss minimisation), until the softmax collapses. Without
// it the network cannot wait there, and generalises early.
#include <orrery/plugin.h>
#include <orrery/update.h>

#include <cmath>

namespace {

struct Params {
  enum class Over { weight, all };
  Over over = Over::weight;
  bool rescale = false;

  static void fields(orrery::Fields<Params>& f) {
    f.add("over", &Params::over, "orthogonal to each weight tensor, or to all of them as one vector");
    f.add("rescale", &Params::rescale,
          "give what is left the norm of the whole gradient, as the authors' code");
  }
  friend orrery::Names<Over> names_of(Over) { return {{"weight", Over::weight}, {"all", Over::all}}; }
};

double inner_product(const torch::Tensor& a, const torch::Tensor& b) {
  return torch::dot(a.view({-1}), b.view({-1})).item<double>();
}

class PerpGrad final : public orrery::Update {
 public:
  explicit PerpGrad(Params params) : params_(params) {}

  Stage stage() const override { return Stage::gradients; }

  void step(const orrery::UpdateStep& step) override {
    if (params_.over == Params::Over::all) return project(step.weights);
    for (const orrery::UpdatedWeight& weight : step.weights) project({weight});
  }

 private:
  void project(const std::vector<orrery::UpdatedWeight>& weights) const {
    double along = 0, squares = 0, before = 0;
    for (const orrery::UpdatedWeight& weight : weights) {
      along += inner_product(weight.value(), weight.gradient());
      squares += inner_product(weight.value(), weight.value());
      if (params_.rescale) before += inner_product(weight.gradient(), weight.gradient());
    }
    if (squares == 0) return;  // a weight of zeros, such as a bias at the start, has no direction
    for (const orrery::UpdatedWeight& weight : weights)
      weight.gradient().sub_(weight.value(), along / squares);
    if (!params_.rescale) return;
    double after = 0;
    for (const orrery::UpdatedWeight& weight : weights)
      after += inner_product(weight.gradient(), weight.gradient());
    if (after == 0) return;
    for (const orrery::UpdatedWeight& weight : weights) weight.gradient().mul_(std::sqrt(before / after));
  }

  Params params_;
};

}  // namespace

ORRERY_UPDATE(PerpGrad, Params, "perp_grad", "1.0.0", "Removes the gradients' components along the weights.")
