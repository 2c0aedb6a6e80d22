// Everything that a config names, made and checked: the task and its data, the model, the probes.
#pragma once

#include <orrery/probe.h>
#include <orrery/task.h>

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/config/settings.h"
#include "engine/experiment/probe_host.h"
#include "engine/train/trainer.h"
#include "loader/registry.h"

namespace orrery::engine {

/// Loads every plugin: built-in ones, those in ORRERY_PLUGIN_PATH, and `files`.
std::unique_ptr<Registry> load_plugins(const std::vector<std::string>& files);

/// Whether a part of the framework has this name: the loss "hinge", the update "adamw", the model "mlp".
bool is_frameworks(const std::string& kind, const std::string& name);

/// Looks up parameters of plugins in `registry`, and of the framework's own models.
ParametersOf parameters_from(const Registry& registry);

/// Cannot be moved: its parts refer to each other. Not thread-safe.
class Experiment {
 public:
  /// Makes the task, its data, and the model with random weights drawn from seeds.init, on `device`. Throws
  /// what they throw. `registry` must outlive the experiment.
  Experiment(const Registry& registry, Settings settings, torch::Device device);
  Experiment(const Experiment&) = delete;

  /// If [init] names checkpoints, loads weights from them. Only for a new run; an opened one has checkpoints
  /// of its own. Throws UsageError if the weights cannot be read or do not fit.
  void load_initial_weights();

  /// Makes these probes and checks that this run can meet their needs.
  void add_probes(const std::vector<ProbeChoice>& choices);
  /// What the probe needs. Throws if add_probes() would, but adds nothing.
  Needs check_probe(const ProbeChoice& choice) const;

  /// New instances of the plugins that a trainer of this run needs. Throws UsageError if they cannot be made
  /// or do not fit the task.
  TrainingPlugins training_plugins() const;
  /// A trainer of `model`, which must outlive it and have the architecture of model(), by this config.
  std::unique_ptr<Trainer> make_trainer(Model& model) const;

  /// Says where the state of the training (Trainer::state) that belongs to the present weights of model() is
  /// from, for probes that look into it; null: nowhere. It may throw Error, which is then the probe's.
  void set_training(std::function<NamedTensors()> state) { training_ = std::move(state); }

  const Settings& settings() const { return settings_; }
  const Task& task() const { return *task_; }
  /// Checked examples of an endless task; see Task::sample.
  Batch sample(int64_t batch_size, int64_t step, torch::Generator rng) const;
  /// The task's own metrics, as many as spec() names; see Task::metrics.
  std::vector<double> task_metrics(const torch::Tensor& logits, const Batch& examples) const;
  const TaskSpec& spec() const { return spec_; }
  const Structure& structure() const { return structure_; }
  const Split& split() const { return split_; }
  Model& model() { return *model_; }
  const ProbeHost& probe_host() const { return *probe_host_; }
  const std::vector<ProbeInRun>& probes() const { return probes_; }

  /// The seed of the random weights for the probes' nulls: -1 - seeds.init. Seeds in configs are not
  /// negative, so no run begins with these weights.
  int64_t null_seed() const { return -1 - settings_.seeds.init; }
  /// A network as the config describes it, with random weights drawn from null_seed(). Each `draw` gives
  /// another.
  std::unique_ptr<Model> null_model(int64_t draw = 0) const {
    return make_model_of(null_seed() ^ static_cast<uint32_t>(draw * 0x9e3779b9));
  }
  /// A host that shows `model`, which has the architecture of model() and its own weights, to probes.
  ProbeHost probe_host_of(Model& model) const;

  const Plugin& task_plugin() const { return registry_.find(PluginKind::task, settings_.task.name); }

  /// SHA-256 of the kind of model and the data, on which results depend besides the checkpoint.
  const std::string& setting() const { return setting_; }

  /// {"orrery": ..., "torch": ..., "plugins": ..., "config": ...}: its part of run.json.
  nlohmann::ordered_json describe() const;

 private:
  void make_parts(torch::Device device);
  std::unique_ptr<Model> make_model_of(int64_t seed) const;
  std::unique_ptr<Model> model_as_it_draws(int64_t seed) const;
  std::unique_ptr<Model> make_plugin_model(const torch::Generator& rng) const;
  ProbeInRun make_checked(const ProbeChoice& choice, Instance<Probe>& instance) const;
  std::string hash_setting() const;
  OnDemand on_demand_for(Model& model) const;
  std::unique_ptr<Model> copy_of(const Model& model) const;
  Batch corrupted(const Batch& clean, const torch::Generator& rng) const;
  torch::Tensor losses(const torch::Tensor& logits, const Batch& inputs) const;
  TrainingState training_state(const Model& model, const NamedTensors& state) const;

  const Registry& registry_;
  Settings settings_;
  Who task_who_{};
  Instance<Task> task_;
  TaskSpec spec_;
  Structure structure_;
  Split split_;
  std::unique_ptr<Model> model_;
  std::string setting_;
  std::function<NamedTensors()> training_;
  mutable std::unique_ptr<LossFunction> loss_;  // of a plugin, made when a probe first asks
  std::optional<ProbeHost> probe_host_;
  std::vector<Instance<Probe>> instances_;
  std::vector<ProbeInRun> probes_;
};

}  // namespace orrery::engine
