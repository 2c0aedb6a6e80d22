// One of the runs that `orrery compare` compares: its network at one checkpoint, and what probes recorded of
// it there.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/compare/carried.h"
#include "engine/compare/edges.h"
#include "engine/compare/evidence.h"
#include "engine/experiment/open_run.h"
#include "engine/run/run_directory.h"

namespace orrery::engine {

/// `fourier_basis {"rule":"neurons"}`: the probe and parameters of a result, and its reference unless that is
/// "last".
std::string probe_identity(const Provenance& provenance);

class ComparedRun {
 public:
  /// `which`: see choose_checkpoint(). Throws orrery::UsageError if there is no such checkpoint.
  ComparedRun(const Registry& registry, const std::string& path, const std::string& which);

  const std::string& path() const { return path_; }
  /// The folder's name, or, if several runs share it, enough of the path to tell them apart.
  const std::string& name() const { return name_; }
  void rename(std::string name) { name_ = std::move(name); }
  int64_t step() const { return network_.step(); }
  const CheckpointFile& checkpoint() const { return network_.checkpoint(); }
  /// The step of the run's last evaluation.
  int64_t last_step() const { return last_step_; }
  Experiment& experiment() { return network_.experiment(); }
  const Experiment& experiment() const { return network_.experiment(); }

  /// "train/loss", ... at the last evaluation up to the checkpoint.
  std::optional<double> metric(const std::string& name) const;
  /// The run's evaluations, ascending.
  const std::vector<MetricsRow>& metrics() const { return metrics_; }

  /// Reads, or reads again, the results recorded at the checkpoint.
  void read_results();
  const Signature& signature() const { return signature_; }
  /// The same probes' results for random weights.
  const Signature& null() const { return null_; }
  /// By the identity (see probe_identity) of the probe that found them.
  const std::map<std::string, KeyFrequencySet>& key_frequencies() const { return keys_; }
  /// Likewise the edges of circuits.
  const std::map<std::string, EdgeSet>& edges() const { return edges_; }
  /// Likewise what interchange interventions found.
  const std::map<std::string, CarriedScores>& carried() const { return carried_; }
  /// The probe_identity() of the results that `choice` would give.
  std::string identity_of_choice(const ProbeChoice& choice) const;
  /// Whether results of this identity are there for random weights too.
  bool has_null(const std::string& identity) const { return with_null_.contains(identity); }
  /// For each probe whose conclusion, taken into signature(), lacks checkpoints of the run, by label: how
  /// many it saw.
  const std::map<std::string, SeenCheckpoints>& partly_concluded() const { return partly_concluded_; }

 private:
  std::string identity_of(const ProbeResult& result, const std::string& label) const;
  void add(const ProbeResult& result, const ProbeResult* null, const std::string& label);

  std::string path_, name_;
  NetworkAtStep network_;
  std::vector<MetricsRow> metrics_;
  int64_t last_step_;
  Signature signature_, null_;
  std::map<std::string, KeyFrequencySet> keys_;
  std::map<std::string, EdgeSet> edges_;
  std::map<std::string, CarriedScores> carried_;
  std::map<std::string, SeenCheckpoints> partly_concluded_;
  std::set<std::string> with_null_;
};

}  // namespace orrery::engine
