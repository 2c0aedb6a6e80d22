// Descent with momentum, right in everything but what `fault` names. Without one it passes every check.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/update.h>

#include <cmath>
#include <cstdlib>
#include <map>

namespace {

using torch::Tensor;

struct Params {
  std::string fault, stage = "optimizer";
  static void fields(orrery::Fields<Params>& f) {
    f.add("fault", &Params::fault, "what it is wrong in; empty: nothing");
    f.add("stage", &Params::stage, "where it stands").one_of({"gradients", "optimizer", "weights"});
  }
};

class LyingUpdate final : public orrery::Update {
 public:
  explicit LyingUpdate(Params params) : params_(std::move(params)) {
    if (is("create")) throw orrery::UsageError("asked to fail", "do not ask");
  }

  Stage stage() const override {
    return params_.stage == "gradients"   ? Stage::gradients
           : params_.stage == "optimizer" ? Stage::optimizer
                                          : Stage::weights;
  }

  std::string refusal(const std::string&, const Tensor& weight) const override {
    if (is("refuses_all")) return "it is tired";
    return is("matrices_only") && weight.dim() < 2 ? "it needs a matrix" : "";
  }

  void step(const orrery::UpdateStep& step) override {
    if (is("exits") && step.step == 3) std::quick_exit(0);
    if (is("throws") && step.step == 3) throw orrery::Error("the table is worn out", "make another");
    if (is("asks_without_saying")) step.loss_and_gradients();
    ++calls_;
    for (const orrery::UpdatedWeight& weight : step.weights) {
      if (params_.stage == "gradients")
        filter(weight);
      else
        move(step, weight);
    }
  }

 private:
  bool is(const std::string& fault) const { return params_.fault == fault; }

  void filter(const orrery::UpdatedWeight& weight) const {
    weight.gradient().mul_(0.5);
    if (is("writes_into_weights")) weight.value().mul_(0.9);
  }

  void move(const orrery::UpdateStep& step, const orrery::UpdatedWeight& weight) {
    Tensor w = weight.value(), g = weight.gradient(), m = weight.state("momentum");
    if (is("moment_in_a_member")) m = members_.try_emplace(weight.name(), torch::zeros_like(w)).first->second;
    if (is("draws_beside")) g = g + torch::randn_like(g);
    if (is("divides_by_the_norm")) g = g / g.norm();
    if (is("float32_only")) w.data_ptr<float>();
    m.mul_(0.9).add_(g);
    if (is("counts_in_a_member")) m.div_(static_cast<double>(calls_));
    if (is("replaces_tensors")) {
      w.set_data(w - 0.01 * m);
      return;
    }
    w.sub_(m, is("gives_nan") && step.step == 2 ? std::nan("") : 0.01);
  }

  Params params_;
  int64_t calls_ = 0;
  std::map<std::string, Tensor> members_;
};

}  // namespace

ORRERY_UPDATE(LyingUpdate, Params, "lying_update", "1.0.0", "Descent with momentum, with a fault.")
