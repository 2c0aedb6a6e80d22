// What a probe is checked on: a task, a small network for it, and a few of its checkpoints.
#pragma once

#include <orrery/probe.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/check/small_models.h"
#include "engine/check/task_checks.h"
#include "engine/experiment/probe_host.h"
#include "engine/train/trainer.h"
#include "sdk/files/named_tensors.h"

namespace orrery::engine::checks {

struct KeptWeights {
  int64_t step;
  NamedTensors weights;
};

class Fixture {
 public:
  /// The task and the model description must outlive the fixture. Trains nothing yet. Throws as
  /// SmallModel::make does; `fits()` says whether there is a model at all.
  Fixture(const Variant& task, const std::string& task_name, const SmallModel& model);

  bool fits() const { return model_ != nullptr; }
  /// "modular_addition (p = 11), one-layer transformer".
  const std::string& name() const { return name_; }
  const std::string& task_name() const { return task_name_; }
  const SmallModel& model() const { return small_; }
  const Variant& task() const { return task_; }
  const TaskSpec& spec() const { return task_.spec; }
  const Structure& structure() const { return task_.structure; }
  const Split& split() const { return task_.split; }

  /// Throws orrery::UsageError if a run would refuse the probe.
  void accept(const ProbeInRun& probe) const;

  /// Steps 0, 8 and 40 of a training run; fewer if the loss stops being finite. Trained on first use.
  const std::vector<KeptWeights>& checkpoints() const;
  /// The metrics of that training run: train/loss and so on.
  const std::vector<Curve>& curves() const;

  /// A new network with the weights of step 0.
  std::unique_ptr<Model> fresh() const { return small_.make(*task_.task, spec(), 0); }
  /// A new network with the weights of a checkpoint.
  std::unique_ptr<Model> at(const KeptWeights& checkpoint) const;
  /// What shows `model`, which has the architecture of this fixture's, to probes, and keeps what they write.
  /// All arguments must outlive it.
  ProbeHost host_of(const Structure& structure, const Split& split, Model& model) const;
  ProbeHost host_of(const Split& split, Model& model) const { return host_of(structure(), split, model); }
  /// A new network with other random weights, as for a probe's null.
  std::unique_ptr<Model> null() const { return small_.make(*task_.task, spec(), -1); }

 private:
  void train() const;
  Trainer trainer_of(Model& model) const;
  std::unique_ptr<Model> copy_of(const Model& model) const;
  ProbeServices services_for(const Split& split, const Structure& structure, Model& model) const;

  const Variant& task_;
  std::string task_name_, name_;
  const SmallModel& small_;
  std::unique_ptr<Model> model_;
  mutable std::vector<KeptWeights> checkpoints_;
  mutable std::vector<Curve> curves_;
};

}  // namespace orrery::engine::checks
