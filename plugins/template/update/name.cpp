// Sign descent with momentum (Bernstein et al. 2018, "signSGD: Compressed optimisation for non-convex
// problems", arXiv 1802.04434, algorithm 2: Signum). Every entry of a weight moves by the learning rate,
// whatever the size of its gradient; only the sign of the momentum says where to:
//   m <- beta m + (1 - beta) g,    w <- w - lr (sign(m) + weight_decay w).
#include <orrery/plugin.h>
#include <orrery/update.h>

namespace {

// The members hold the defaults; `orrery describe @name@` lists what fields() declares.
struct Params {
  double beta = 0.9;

  static void fields(orrery::Fields<Params>& f) {
    f.add("beta", &Params::beta, "share of the momentum that each step keeps").between(0, 1);
  }
};

class @Name@ final : public orrery::Update {
 public:
  explicit @Name@(Params params) : params_(params) {}

  // It moves weights, so it stands in the place of AdamW. A filter of gradients is Stage::gradients.
  Stage stage() const override { return Stage::optimizer; }

  // What is remembered between steps is in states, which the host saves with every checkpoint.
  void step(const orrery::UpdateStep& step) override {
    for (const orrery::UpdatedWeight& weight : step.weights) {
      const torch::Tensor momentum = weight.state("momentum"), w = weight.value();
      momentum.mul_(params_.beta).add_(weight.gradient(), 1 - params_.beta);
      w.mul_(1 - weight.lr * weight.weight_decay).sub_(momentum.sign(), weight.lr);
    }
  }

 private:
  Params params_;
};

}  // namespace

ORRERY_UPDATE(@Name@, Params, "@name@", "1.0.0", "Moves all entries equally far.")
