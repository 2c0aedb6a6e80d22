// A run on disk: a folder that anyone can open without us.
//
//   run.json                                    the resolved config, seeds, versions
//   metrics.jsonl                               a line per evaluation
//   checkpoints/step_00001000.safetensors       weights; step_00001000.state.safetensors: what resuming
//   needs,
//                                               and in its metadata what metrics.jsonl then held
//   probes/LABEL/results.jsonl                  a line per checkpoint, ascending
//   probes/LABEL/step_00001000.safetensors      the tensors and figure data of that line
//   set_aside/LABEL.conclusion_00001000.json    a conclusion from curves up to this step, which were cut
//   since probes/LABEL/null.json, conclusion.json     its results for random weights, and from the run's
//   curves;
//                                               null.safetensors, conclusion.safetensors: the data
#pragma once

#include <orrery/error.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
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

/// The probes that a session asks, by label, and up to which step what the run has stays true: a conclusion
/// from curves that reach further does not.
struct Asked {
  std::set<std::string> labels;
  int64_t true_until;
};

/// A conclusion that was moved, and where to: a path relative to the run.
struct SetAside {
  std::string label, path;
};

/// Called for each line that cannot be read, which is then skipped. Empty: the error is thrown instead.
using OnDamage = std::function<void(const Error&)>;

class RunDirectory {
 public:
  /// One process may write a run while others read it.
  enum class Access { read, write };
  /// Whether to load figures and tensors, which may be many times larger than the rest.
  enum class ProbeData { leave_out, load };

  /// Creates the folder and its parents. Throws orrery::UsageError if it exists and holds more than what is
  /// left of a run killed before its run.json.
  static RunDirectory create(const std::filesystem::path& path);
  /// Throws orrery::UsageError if there is no run, orrery::Error if its run.json is not JSON, if it has links
  /// or devices in it, or if another process is writing to it and Access::write was asked for.
  static RunDirectory open(const std::filesystem::path& path, Access access = Access::write);

  /// Opens a run for reading even if its run.json is damaged. Throws orrery::UsageError if there is no run,
  /// orrery::Error if it has links or devices in it.
  static RunDirectory inspect(const std::filesystem::path& path);

  const std::filesystem::path& root() const { return root_; }
  void write_run_json(const std::string& text);
  std::string read_run_json() const;

  /// Relative to the root, as in results.
  static std::string checkpoint_name(int64_t step);
  std::filesystem::path checkpoint_path(int64_t step) const;
  std::filesystem::path state_path(int64_t step) const;
  /// The checkpoints in the folder, ascending, without temporary and state files.
  std::vector<CheckpointFile> checkpoints() const;
  /// The steps that have a state file, ascending.
  std::vector<int64_t> states() const;
  /// The newest checkpoint that has a state: training goes on from there. Nothing if there is none.
  std::optional<int64_t> resumable_step() const;
  /// Drops all states but one: only the newest checkpoint is resumed from, and states are twice as large as
  /// the weights.
  void drop_states_but(int64_t step);

  LineLog& metrics();
  /// Checks them against claimed_metrics(), too; `damage` also hears if lines are missing.
  std::vector<MetricsRow> read_metrics(const OnDamage& damage = nullptr) const;
  /// What metrics.jsonl held, at least, when the newest resumable checkpoint was written. Nothing if there is
  /// none, or if an earlier version wrote it.
  std::optional<LogContent> claimed_metrics() const;
  /// Throws orrery::Error if metrics.jsonl has lost lines that it once held, or if they have changed. Of a
  /// run of an earlier version, checks only that it reaches the newest resumable checkpoint.
  void check_metrics() const;
  /// Returns once every line written so far, of metrics and results, is on disk.
  void sync_logs();

  std::filesystem::path probe_folder(const std::string& label) const;
  /// The file with the tensors and figure data of a result.
  std::filesystem::path probe_data_path(const std::string& label, int64_t step) const {
    return probe_folder(label) / std::filesystem::path(checkpoint_name(step)).filename();
  }
  /// The labels that have results, in alphabetical order.
  std::vector<std::string> probe_labels() const;
  /// Replaces the probe's result at this step, if there is one. Keeps lines ascending by step.
  void save_probe_result(const std::string& label, int64_t step, const PackedResult& result);
  void save_probe_result(const std::string& label, int64_t step, const std::string& checkpoint,
                         const Record& record, const std::optional<Provenance>& provenance = std::nullopt);
  /// Ascending by step. Empty if the probe has no results.
  std::vector<ProbeResult> read_probe_results(const std::string& label, ProbeData data = ProbeData::load,
                                              const OnDamage& damage = nullptr) const;
  /// Removes the probe's results, including run-level ones.
  void clear_probe_results(const std::string& label);

  void save_run_level(const std::string& label, RunLevelResult aside, const PackedResult& result);
  /// Nothing if there is none.
  std::optional<ProbeResult> read_run_level(const std::string& label, RunLevelResult aside,
                                            ProbeData data = ProbeData::load) const;

  /// Drops everything that a run resumed at `step` makes anew: metrics, checkpoints, states and probe results
  /// beyond `step`, and the run-level results of the probes that are `asked` (nothing: of all). The others
  /// keep theirs, except conclusions that have become untrue, which move to set_aside/ and are returned.
  /// Reads everything first: drops nothing if a line is damaged.
  std::vector<SetAside> trim_after(int64_t step, const std::optional<Asked>& asked = std::nullopt);
  /// Drops one checkpoint and its probe results.
  void drop_checkpoint(int64_t step);
  /// Drops one checkpoint; what was measured from it stays. Throws orrery::Error if it is resumable_step().
  void drop_weights(int64_t step);
  /// Whether the probe has a result of this step.
  bool has_result(const std::string& label, int64_t step);

 private:
  struct ProbeLog {
    LineLog lines;
    std::vector<int64_t> steps;  // of the lines, ascending
  };

  RunDirectory(std::filesystem::path root, Access access);
  void sweep() const;
  bool reaches_beyond(int64_t step) const;
  std::optional<int64_t> untrue_conclusion(const std::string& label, int64_t true_until, bool cut) const;
  std::optional<SetAside> set_conclusion_aside(const std::string& label, int64_t true_until, bool cut);
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

/// The file for the output columns that an import dropped from the network of this step.
std::filesystem::path dropped_outputs_path(const RunDirectory& run, int64_t step);

/// "runs/NAME-20260131-120000", with a number appended if that exists.
std::filesystem::path new_run_path(const std::string& name);

}  // namespace orrery::engine
