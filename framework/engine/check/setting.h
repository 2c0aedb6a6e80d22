// What a probe is looked at on: a task, a small network for it, and a few of its checkpoints.
#pragma once

#include <orrery/probe.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/check/small_models.h"
#include "engine/check/task_checks.h"
#include "engine/experiment/probe_host.h"
#include "sdk/files/named_tensors.h"

namespace orrery::engine::checks {

struct KeptWeights {
  int64_t step;
  NamedTensors weights;
};

class Setting {
 public:
  /// The task outlives the setting. Nothing is trained yet. Throws as SmallModel::make does; `fits()` says
  /// whether there is a model at all.
  Setting(const Variant& task, const std::string& task_name, const SmallModel& model);

  bool fits() const { return model_ != nullptr; }
  /// "modular_addition (p = 11), one-layer transformer".
  const std::string& name() const { return name_; }
  const std::string& task_name() const { return task_name_; }
  const SmallModel& model() const { return small_; }
  const Variant& task() const { return task_; }
  const TaskSpec& spec() const { return task_.spec; }
  const Structure& structure() const { return task_.structure; }
  const Split& split() const { return task_.split; }

  /// Throws orrery::UsageError where a run would refuse the probe.
  void accept(const ProbeInRun& probe) const;

  /// Steps 0, 8 and 40 of a training run, fewer where its loss stops to be finite. Made when first asked for.
  const std::vector<KeptWeights>& checkpoints() const;
  /// What it wrote down meanwhile: train/loss and so on.
  const std::vector<Curve>& curves() const;

  /// A network of its own, as at step 0.
  std::unique_ptr<Model> fresh() const { return small_.make(*task_.task, spec(), 0); }
  /// Likewise, with the weights of a checkpoint.
  std::unique_ptr<Model> at(const KeptWeights& checkpoint) const;
  /// With other random weights, as for a probe's null.
  std::unique_ptr<Model> null() const { return small_.make(*task_.task, spec(), -1); }

 private:
  void train() const;

  const Variant& task_;
  std::string task_name_, name_;
  const SmallModel& small_;
  std::unique_ptr<Model> model_;
  mutable std::vector<KeptWeights> checkpoints_;
  mutable std::vector<Curve> curves_;
};

}  // namespace orrery::engine::checks
