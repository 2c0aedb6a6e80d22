// A part of the update of the weights: a filter of gradients, an optimiser, or what happens to the weights
// afterwards. Register one with ORRERY_UPDATE (orrery/plugin.h); a config lists them, in order, as
// [[train.update]].
#pragma once

#include <orrery/export.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace orrery {

/// The tensors that an update keeps between steps. The host writes them beside every checkpoint, so that a
/// resumed run goes on with the same bits.
class ORRERY_API UpdateState {
 public:
  /// The tensor of this name: zeros when it is first asked for. Throws orrery::Error if it was kept with
  /// other sizes or another dtype.
  torch::Tensor get(const std::string& name, torch::IntArrayRef sizes, torch::TensorOptions options);
  const std::map<std::string, torch::Tensor>& tensors() const { return tensors_; }
  /// Replaces all of it.
  void restore(std::map<std::string, torch::Tensor> tensors) { tensors_ = std::move(tensors); }

 private:
  std::map<std::string, torch::Tensor> tensors_;
};

/// One weight, as an update sees it in one step.
class ORRERY_API UpdatedWeight {
 public:
  UpdatedWeight(std::string name, torch::Tensor value, torch::Tensor gradient, UpdateState& state)
      : name_(std::move(name)), value_(std::move(value)), gradient_(std::move(gradient)), state_(&state) {}

  const std::string& name() const { return name_; }  ///< "blocks.0.mlp.W_in"
  /// The weight itself, float32 (float64 with train.dtype = "float64"), on the model's device and outside
  /// the autograd graph. To change it, write into it: weight.value().sub_(...).
  torch::Tensor value() const { return value_; }
  /// The gradient of the loss, of the shape and dtype of value(), after the updates before this one.
  torch::Tensor gradient() const { return gradient_; }
  double lr = 0;            ///< the learning rate of this weight in this step, by its group and the schedule
  double weight_decay = 0;  ///< its decay, by its group

  /// A tensor of the update's own that belongs to this weight, such as a moment: see UpdateState::get(). Of
  /// the shape and dtype of value(), or of `sizes`.
  torch::Tensor state(const std::string& name) const { return state(name, value_.sizes()); }
  torch::Tensor state(const std::string& name, torch::IntArrayRef sizes) const;

 private:
  std::string name_;
  torch::Tensor value_, gradient_;
  UpdateState* state_;
};

/// What Update::step is given.
struct ORRERY_API UpdateStep {
  int64_t step = 0;  ///< the updates made before this one: 0 in the first step of a run
  double loss = 0;   ///< of the training batch, before this update
  /// The weights that the config gives this update, in the order of Model::weights(), without frozen ones.
  std::vector<UpdatedWeight> weights;
  /// For what the update draws at random. It is saved with its state.
  torch::Generator rng;
  /// Returns the loss of the same batch with the weights as they are now, and overwrites all gradients with
  /// those of it. For updates that perturb weights; throws orrery::Error for others.
  std::function<double()> loss_and_gradients;
  UpdateState* kept = nullptr;

  /// A float64 tensor of the update's own that belongs to no weight: see UpdateState::get().
  torch::Tensor state(const std::string& name, torch::IntArrayRef sizes = {}) const;
};

/// The interface of an update plugin. The constructor takes the parameters and may throw orrery::UsageError
/// about them. An instance keeps nothing between steps itself: what has to be remembered is in the states,
/// which the host saves.
/// After each call the host checks that every weight and gradient is the same tensor, of the same shape, and
/// finite, and that only what the stage may write has changed. It names the update, the step and the weight
/// where that is not so.
/// Threads: the host calls an instance from one thread at a time.
class ORRERY_API Update {
 public:
  /// A chain goes through its stages in this order, whatever the number of updates in each.
  enum class Stage {
    gradients,  ///< changes gradients: filters, clipping, penalties
    optimizer,  ///< moves weights along their gradients. Each weight has one; those that no update of this
                ///< stage is given have that of train.optimizer
    weights     ///< changes weights after they have moved: projections, norms
  };

  virtual ~Update();
  virtual Stage stage() const = 0;
  /// Whether step() changes weights in Stage::gradients in order to take gradients elsewhere
  /// (UpdateStep::loss_and_gradients). The host puts the weights back afterwards, bit for bit. Default: no.
  virtual bool perturbs_weights() const;
  /// Why it cannot act on this weight, "it needs a matrix", or "". Asked once, before the first step.
  /// Default: "".
  virtual std::string refusal(const std::string& name, const torch::Tensor& weight) const;
  /// Its part of one update, with gradients off (torch::NoGradGuard).
  virtual void step(const UpdateStep& step) = 0;
};
/// "gradients", "optimizer", "weights".
ORRERY_API std::string to_string(Update::Stage stage);

}  // namespace orrery
