// Losses, updates and models made by plugins.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include "loader/guarded.h"
#include "loader/instance.h"
#include "loader/shown.h"

namespace orrery {
namespace {

std::string shape_text(const torch::Tensor& tensor) {
  return tensor.defined() ? fmt::format("a tensor [{}] of dtype {}", fmt::join(tensor.sizes(), ", "),
                                        toString(tensor.scalar_type()))
                          : "an undefined tensor";
}

class GuardedLoss final : public LossFunction {
 public:
  GuardedLoss(Who who, Raw<LossFunction> loss) : who_(std::move(who)), loss_(std::move(loss)) {}
  ~GuardedLoss() override;

  std::string refusal(const TaskSpec& spec) const override {
    return guard(who_, "refusal", [&] { return loss_->refusal(spec); });
  }
  torch::Tensor each(const torch::Tensor& logits, const Batch& batch) const override {
    return guard(
        who_, "each",
        [&] {
          // They are the training's own: it would go on with other data.
          const Shown shown = Shown().add("logits", logits).add("batch", batch);
          torch::Tensor each = loss_->each(logits, batch);
          shown.refuse_writes();
          if (!each.defined() || each.sizes() != batch.labels.sizes() ||
              each.scalar_type() != logits.scalar_type())
            throw Error(fmt::format("it gives {}; expected one loss for each label, [{}] of dtype {}",
                                    shape_text(each), fmt::join(batch.labels.sizes(), ", "),
                                    toString(logits.scalar_type())),
                        "leave means and sums to reduce()");
          if (torch::GradMode::is_enabled() && logits.requires_grad() && !each.requires_grad())
            throw Error("it gives losses that do not depend on the logits",
                        "compute with the tensors it is given, without detach(), item() or a NoGradGuard");
          return each;
        },
        Watch::computing);
  }
  torch::Tensor reduce(const torch::Tensor& each, const Batch& batch) const override {
    return guard(
        who_, "reduce",
        [&] {
          const Shown shown = Shown().add("batch", batch);
          torch::Tensor total = loss_->reduce(each, batch);
          shown.refuse_writes();
          if (!total.defined() || total.dim() != 0)
            throw Error(fmt::format("it gives {}; expected one number, of no dimensions", shape_text(total)),
                        "end with .sum() or .mean()");
          if (each.requires_grad() && !total.requires_grad())
            throw Error("it gives a number that does not depend on the logits",
                        "compute with the tensors it is given, without detach(), item() or a NoGradGuard");
          return total;
        },
        Watch::computing);
  }

 private:
  Who who_;
  Raw<LossFunction> loss_;
};

class GuardedUpdate final : public Update {
 public:
  GuardedUpdate(Who who, Raw<Update> update)
      : who_(std::move(who)),
        update_(std::move(update)),
        stage_(guard(who_, "stage", [&] { return update_->stage(); })) {}
  ~GuardedUpdate() override;

  Stage stage() const override { return stage_; }
  bool perturbs_weights() const override {
    return guard(who_, "perturbs_weights", [&] { return update_->perturbs_weights(); });
  }
  std::string refusal(const std::string& name, const torch::Tensor& weight) const override {
    return guard(who_, "refusal", [&] { return update_->refusal(name, weight); });
  }
  void step(const UpdateStep& step) override {
    guard(
        who_, "step", step.step, [&] { update_->step(step); }, Watch::computing);
  }

 private:
  Who who_;
  Raw<Update> update_;
  Stage stage_;
};

class GuardedModelMaker final : public ModelMaker {
 public:
  GuardedModelMaker(Who who, Raw<ModelMaker> maker) : who_(std::move(who)), maker_(std::move(maker)) {}
  ~GuardedModelMaker() override;

  std::unique_ptr<Model> make(const TaskSpec& spec, torch::Generator rng) const override {
    auto model = guard(who_, "make", [&] { return maker_->make(spec, rng); });
    return guarded_model(who_, std::move(model));
  }

 private:
  Who who_;
  Raw<ModelMaker> maker_;
};

GuardedLoss::~GuardedLoss() = default;
GuardedUpdate::~GuardedUpdate() = default;
GuardedModelMaker::~GuardedModelMaker() = default;

}  // namespace

Instance<LossFunction> make_loss(const Plugin& plugin, const Values& values) {
  return std::make_unique<GuardedLoss>(plugin.who(), create<LossFunction>(plugin, PluginKind::loss, values));
}

Instance<Update> make_update(const Plugin& plugin, const Values& values) {
  return std::make_unique<GuardedUpdate>(plugin.who(), create<Update>(plugin, PluginKind::update, values));
}

Instance<ModelMaker> make_model_maker(const Plugin& plugin, const Values& values) {
  return std::make_unique<GuardedModelMaker>(plugin.who(),
                                             create<ModelMaker>(plugin, PluginKind::model, values));
}

}  // namespace orrery
