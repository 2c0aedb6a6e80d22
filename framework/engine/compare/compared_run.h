// One of the runs that `orrery compare` sets side by side: its network at one checkpoint, and what probes
// have recorded of it there.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/compare/evidence.h"
#include "engine/experiment/experiment.h"
#include "engine/run/run_directory.h"

namespace orrery::engine {

/// "fourier_basis {"rule":"neurons"}": what a result answers, of its origin (run/origin.h) as JSON text. The
/// reference is part of it where it is not "last".
std::string question_of(const std::string& origin);

class ComparedRun {
 public:
  /// `which`: "last", a step, or "grokked", the first checkpoint at or after the first evaluation with 99 %
  /// test accuracy. Throws orrery::UsageError if there is none.
  ComparedRun(const Registry& registry, const std::string& path, const std::string& which);

  const std::string& path() const { return path_; }
  /// The folder's name, or what tells it from others of that name.
  const std::string& name() const { return name_; }
  void rename(std::string name) { name_ = std::move(name); }
  int64_t step() const { return checkpoint_.step; }
  const CheckpointFile& checkpoint() const { return checkpoint_; }
  /// Of the last evaluation of the run.
  int64_t last_step() const { return last_step_; }
  Experiment& experiment() { return *experiment_; }
  const Experiment& experiment() const { return *experiment_; }

  /// "train/loss", ... at the last evaluation up to the checkpoint.
  std::optional<double> metric(const std::string& name) const;
  /// The run's evaluations, ascending.
  const std::vector<MetricsRow>& metrics() const { return metrics_; }

  /// Reads what is recorded at the checkpoint, again if it was read before.
  void read_results();
  const Signature& signature() const { return signature_; }
  /// What the same probes say of random weights.
  const Signature& null() const { return null_; }
  /// By the question that found them.
  const std::map<std::string, KeyFrequencySet>& key_frequencies() const { return keys_; }
  /// The question that `choice` would ask.
  std::string question_asked_by(const ProbeChoice& choice) const;
  /// The steps for which the probe `label` has results, though none at the checkpoint.
  const std::map<std::string, std::vector<int64_t>>& elsewhere() const { return elsewhere_; }

 private:
  std::string origin_of(const ProbeResult& result, const std::string& label) const;
  void add(const ProbeResult& result, const ProbeResult* null, const std::string& label);

  const Registry& registry_;
  std::string path_, name_;
  RunDirectory run_;
  std::vector<MetricsRow> metrics_;
  int64_t last_step_ = 0;
  CheckpointFile checkpoint_;
  std::unique_ptr<Experiment> experiment_;
  Signature signature_, null_;
  std::map<std::string, KeyFrequencySet> keys_;
  std::map<std::string, std::vector<int64_t>> elsewhere_;
};

}  // namespace orrery::engine
