#include "loader/guarded.h"
#include "loader/shown.h"

namespace orrery {
namespace {

class GuardedPass final : public ReadOutPass {
 public:
  GuardedPass(Who who, torch::Tensor tokens, std::unique_ptr<ReadOutPass> pass)
      : who_(std::move(who)), tokens_(std::move(tokens)), pass_(std::move(pass)) {}
  ~GuardedPass() override {
    guarded_destroy(who_, "the destructor of its model's pass", [&] { pass_.reset(); });
  }

  torch::Tensor logits() override {
    torch::Tensor logits = guard(
        who_, "its model's pass",
        [&] {
          const Shown shown = Shown().add("tokens", tokens_);
          torch::Tensor logits = pass_->logits();
          shown.refuse_writes();
          return logits;
        },
        Watch::computing);
    activations_ = pass_->activations();
    return logits;
  }

 private:
  Who who_;
  torch::Tensor tokens_;
  std::unique_ptr<ReadOutPass> pass_;
};

// Wraps a plugin's own model: shares its weights and hook points, and names the plugin in every error.
class GuardedModel final : public Model {
  // These calls come in every step.
  template <class Body>
  auto computing(const char* call, Body&& body) const {
    return guard(who_, call, body, Watch::computing);
  }

 public:
  GuardedModel(Who who, std::unique_ptr<Model> model)
      : Model(InFrontOf{*model}), who_(std::move(who)), model_(std::move(model)) {}
  ~GuardedModel() override {
    guarded_destroy(who_, "the destructor of its model", [&] { model_.reset(); });
  }

  torch::Tensor forward(const torch::Tensor& tokens) override {
    return computing("forward", [&] {
      // They are the training's own: it would go on with other data.
      const Shown shown = Shown().add("tokens", tokens);
      torch::Tensor logits = model_->forward(tokens);
      shown.refuse_writes();
      return logits;
    });
  }
  std::unique_ptr<ReadOutPass> fast_read_out(const ReadOutRequest& request) override {
    auto pass = computing("fast_read_out", [&] { return model_->fast_read_out(request); });
    return pass ? std::make_unique<GuardedPass>(who_, request.tokens, std::move(pass)) : nullptr;
  }
  bool fast_read_out_keeps(const std::vector<std::string>& hook_points) const override {
    return computing("fast_read_out_keeps", [&] { return model_->fast_read_out_keeps(hook_points); });
  }
  torch::Tensor penalty() override {
    return computing("penalty", [&] { return model_->penalty(); });
  }

 private:
  Who who_;
  std::unique_ptr<Model> model_;
};

}  // namespace

std::unique_ptr<Model> guarded_model(const Who& who, std::unique_ptr<Model> model) {
  return std::make_unique<GuardedModel>(who, std::move(model));
}

}  // namespace orrery
