// A run on disk: a folder that anyone can open without us.
//
//   run.json                                    the resolved config, seeds, versions
//   metrics.jsonl                               a line per evaluation
//   checkpoints/step_00001000.safetensors       weights; step_00001000.state.safetensors: what resuming needs
//   probes/LABEL/results.jsonl                  a line per checkpoint, ascending
//   probes/LABEL/step_00001000.safetensors      the tensors and figure data of that line
//   probes/LABEL/null.json, conclusion.json     what it says of random weights, and of the run's curves;
//                                               null.safetensors, conclusion.safetensors: the data
#pragma once

#include <orrery/error.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/run/json_line.h"
#include "engine/run/results.h"
#include "engine/run/run_lock.h"
#include "sdk/files/atomic_file.h"

namespace orrery::engine {

struct CheckpointFile {
  int64_t step;
  std::filesystem::path path;
};

/// Told of each line that cannot be read; it is passed over then. Empty: the error is thrown instead.
using OnDamage = std::function<void(const Error&)>;

class RunDirectory {
 public:
  /// One process may write a run while others read it.
  enum class Access { read, write };
  /// Figures and tensors may be many times larger than the rest.
  enum class ProbeData { leave_out, load };

  /// Makes the folder, and those above it. Throws orrery::UsageError if it exists and is not empty.
  static RunDirectory create(const std::filesystem::path& path);
  /// Throws orrery::UsageError if there is no run, orrery::Error if its run.json is not JSON, or if another
  /// process is writing to it and Access::write was asked for.
  static RunDirectory open(const std::filesystem::path& path, Access access = Access::write);

  /// For reading what is left of a run, whatever its run.json says. Throws orrery::UsageError if there is
  /// none.
  static RunDirectory inspect(const std::filesystem::path& path);

  const std::filesystem::path& root() const { return root_; }
  void write_run_json(const std::string& text);
  std::string read_run_json() const;

  /// Relative to the root, as results name it.
  static std::string checkpoint_name(int64_t step);
  std::filesystem::path checkpoint_path(int64_t step) const;
  std::filesystem::path state_path(int64_t step) const;
  /// Those in the folder, ascending. Temporary and state files are none.
  std::vector<CheckpointFile> checkpoints() const;
  /// The steps there is a state file for, ascending.
  std::vector<int64_t> states() const;
  /// Only the newest checkpoint can be resumed from; states are twice the size of the weights.
  void drop_states_but(int64_t step);

  LineLog& metrics();
  std::vector<MetricsRow> read_metrics(const OnDamage& damage = nullptr) const;

  std::filesystem::path probe_folder(const std::string& label) const;
  /// The labels that have results, in alphabetical order.
  std::vector<std::string> probe_labels() const;
  /// Replaces what the probe had at this step, if it had anything. Lines stay ascending by step.
  void save_probe_result(const std::string& label, int64_t step, const PackedResult& result);
  void save_probe_result(const std::string& label, int64_t step, const std::string& checkpoint,
                         const Record& record, const std::optional<Provenance>& provenance = std::nullopt);
  /// Ascending by step. Nothing if the probe has no results.
  std::vector<ProbeResult> read_probe_results(const std::string& label, ProbeData data = ProbeData::load,
                                              const OnDamage& damage = nullptr) const;
  /// Results and asides.
  void clear_probe_results(const std::string& label);

  void save_run_level(const std::string& label, RunLevelResult aside, const PackedResult& result);
  /// Nothing where there is none.
  std::optional<ProbeResult> read_run_level(const std::string& label, RunLevelResult aside,
                                            ProbeData data = ProbeData::load) const;

  /// Drops metrics, checkpoints, states and probe results beyond `step`, and what was said of the run as a
  /// whole: what a resumed run makes anew.
  void trim_after(int64_t step);
  /// Drops one checkpoint and what probes said of it.
  void drop_checkpoint(int64_t step);

 private:
  struct ProbeLog {
    LineLog lines;
    std::vector<int64_t> steps;  // of each line, ascending
  };

  RunDirectory(std::filesystem::path root, Access access);
  void sweep() const;
  void require_write() const;
  ProbeLog& probe_log(const std::string& label);
  void drop_run_level(const std::string& label, RunLevelResult aside);
  std::vector<CheckpointFile> files(const std::filesystem::path& folder, const std::string& extension) const;

  std::filesystem::path root_;
  Access access_;
  RunLock lock_;
  std::optional<LineLog> metrics_;
  std::map<std::string, ProbeLog> probe_logs_;
};

/// Where an import keeps the outputs of the network of this step that have no place in the model.
std::filesystem::path dropped_outputs_path(const RunDirectory& run, int64_t step);

/// "runs/NAME-20260131-120000"; with a number behind where that exists.
std::filesystem::path new_run_path(const std::string& name);

}  // namespace orrery::engine
