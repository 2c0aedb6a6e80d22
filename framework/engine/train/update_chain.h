// What happens between the gradients of a step and the next step: updates that filter gradients, optimisers,
// and updates that change weights after they have moved.
#pragma once

#include <orrery/model.h>
#include <orrery/update.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/config/train_settings.h"
#include "engine/train/flat_weights.h"
#include "engine/train/optimizer.h"
#include "engine/train/training_plugins.h"
#include "sdk/files/named_tensors.h"

namespace orrery::engine {

class UpdateChain {
 public:
  /// The model must outlive it. Throws orrery::UsageError, with the entry's place, for updates that cannot be
  /// chained in this order, globs that match nothing, and weights that an update refuses.
  UpdateChain(Model& model, const TrainSettings& settings, std::vector<ChainedUpdate> updates, uint64_t seed);
  UpdateChain(const UpdateChain&) = delete;
  ~UpdateChain();

  /// The update after `step` updates, from the current gradients. `loss`: of the batch, before it. `again`
  /// returns the loss of the same batch anew, and overwrites the gradients. Throws orrery::Error, naming
  /// update, step and weight, if a plugin breaks its contract.
  void step(int64_t step, double loss, const std::function<double()>& again);
  FlatWeights& weights() { return flat_; }
  /// What was decided without being asked: which weights an update has left to train.optimizer.
  const std::vector<std::string>& notes() const { return notes_; }

  /// Everything besides the weights that the next update depends on, by name.
  NamedTensors state() const;
  void restore(const NamedTensors& state);

 private:
  struct Link;
  void add(ChainedUpdate update, uint64_t seed);
  void check_order(const Link& link) const;
  void match(Link& link);
  void take(Link& link);
  std::vector<WeightRange> ranges() const;
  void blame_loss(int64_t step) const;
  void blame_optimizer(int64_t step) const;
  void run(Link& link, int64_t step, double loss, const std::function<double()>& again);
  void check(const Link& link, const std::vector<UpdatedWeight>& given, int64_t step, int64_t version) const;
  void check_finite(const Link& link, const std::vector<UpdatedWeight>& given, int64_t step) const;
  [[noreturn]] void blame(const Link& link, int64_t step, const std::string& what,
                          const std::string& hint) const;

  /// How a weight is trained.
  struct Trained {
    std::string name;
    int64_t begin, size;
    double lr, weight_decay;
    bool frozen = false;
    bool taken = false;  ///< by an optimiser that is a plugin
  };
  static std::vector<Trained> trained_weights(const Model& model, const TrainSettings& settings);

  Model& model_;
  TrainSettings settings_;
  FlatWeights flat_;
  std::vector<Trained> trained_;
  std::vector<std::unique_ptr<Link>> links_;  // those of plugins, in order
  std::vector<std::string> notes_;
  std::unique_ptr<Optimizer> optimizer_;
  double factor_ = 1;            // of the learning rates, in this step
  torch::Tensor values_before_;  // while gradients are filtered
};

}  // namespace orrery::engine
