// The one way to run probes on a run and to store their results with provenance, during training and at any
// time after it.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/experiment/experiment.h"
#include "engine/probing/checkpoint_pass.h"
#include "engine/probing/conclusion_sources.h"
#include "engine/probing/due_results.h"
#include "engine/probing/work.h"
#include "engine/reporter/reporter.h"
#include "engine/run/curves.h"
#include "engine/run/history.h"
#include "engine/run/run_directory.h"
#include "sdk/files/temporary_folder.h"

namespace orrery::engine {

struct ProbingOptions {
  bool store = true;  ///< if false, leaves the run unchanged and uses no stored results
  Reuse reuse = Reuse::stored;
  /// The number of forked workers, which needs a process with one thread; 0: work in this process.
  int workers = 1;
  /// Measures checkpoints only with probes that wait for a reference: training has asked the others already.
  bool waiting_only = false;
  /// With waiting_only: also what others lack after all, because a power cut took it.
  bool also_lost = false;
};

/// Receives the scalars, headlines and findings of the probes that did not fail.
struct Audience {
  /// Per checkpoint, in ascending order.
  std::function<void(const CheckpointFile& checkpoint, const std::vector<Outcome>& outcomes)> row =
      [](const CheckpointFile&, const std::vector<Outcome>&) {};
  std::function<void(RunLevelResult which, const std::vector<Outcome>& outcomes)> run_level =
      [](RunLevelResult, const std::vector<Outcome>&) {};
};

/// How often a probe was asked by a runner, and how often it failed.
struct ProbeTally {
  std::string label;
  int64_t asked = 0, failed = 0;  ///< at checkpoints
  bool null_failed = false, conclusion_failed = false;
  std::string first_error;  ///< empty if it never failed

  /// Whether it gave nothing: it failed at every checkpoint, or could not conclude.
  bool gave_nothing() const { return (asked > 0 && failed == asked) || conclusion_failed; }
};

enum class Probed { well, with_failures, interrupted };

class ProbeRunner {
 public:
  /// All references must outlive the runner. Failures are warnings to `reporter`, which also receives
  /// progress and may stop the work.
  ProbeRunner(Experiment& experiment, RunDirectory& run, Reporter& reporter, ProbingOptions options = {});

  /// Measures the model's present weights, those of `step`, with `probes` in this process, and stores the
  /// results. Probes that wait for the last checkpoint take this one as their reference; their results are
  /// returned too, but not stored.
  std::vector<Outcome> measure_current(int64_t step, const std::vector<const ProbeInRun*>& probes);

  /// Measures `checkpoints`, and random weights for probes that need a null, then asks for conclusions: from
  /// the whole run only, so none of a probe whose curves, tensors or findings lack checkpoints that were
  /// never asked for. Skips results that are stored already. Throws as plan_rows() does, before computing
  /// anything.
  Probed run(const std::vector<CheckpointFile>& checkpoints, const Audience& audience = {});

  /// One for each probe that was asked. What measure_current() asked for provisionally does not count.
  const std::vector<ProbeTally>& tallies() const { return tallies_; }

 private:
  using Known = std::map<const ProbeInRun*, Record>;
  // How to ask the probes of one job, and how to turn a record into a line of results.
  struct Look {
    std::function<std::vector<Outcome>(CheckpointPass& pass, std::vector<const ProbeInRun*> probes)> ask;
    std::function<std::string(const ProbeInRun& probe, const Record& record)> line;
    std::optional<RunLevelResult> run_level = {};  // nothing: a checkpoint
  };

  void plan(const std::vector<CheckpointFile>& checkpoints);
  void check_references(const std::vector<CheckpointFile>& checkpoints);
  void count(const ProbeInRun& probe, std::optional<RunLevelResult> run_level, const std::string& error);
  void note_what_is_there() const;
  void note_what_is_gone() const;
  void note_states_that_are_gone() const;
  void warn_of_other_plugins() const;
  bool lacks_points(const ProbeInRun& probe) const;
  bool is_asked(const std::string& label) const;
  std::set<int64_t> measured(const std::string& label) const;
  std::optional<SeenCheckpoints> partly_seen(const ProbeInRun& probe, const MadeCheckpoints& made) const;
  Job null_job();
  Job conclusion_job();
  void read_history();
  bool is_read(const std::string& label) const;
  void keep_unstored(const std::string& label, const ProbeResult& result, const PackedResult& packed);
  Look look_at(const Row& row);
  Look look_at(RunLevelResult which);
  std::optional<Provenance> provenance_of(const ProbeInRun& probe, int64_t step);
  void work(std::vector<Job> jobs, const std::vector<Look>& looks,
            const std::function<void(size_t job, const Answer& answer)>& take,
            const std::function<void(size_t job)>& done);
  void rows_and_null();
  void conclusions();
  void keep(const ProbeInRun& probe, RunLevelResult which, const PackedResult& result);
  void show_until(size_t row);
  std::vector<Outcome> outcomes(const Known& known) const;
  std::optional<Record> stored(const ProbeInRun& probe, RunLevelResult which,
                               const std::function<Provenance()>& provenance) const;

  Experiment& experiment_;
  RunDirectory& run_;
  Reporter& reporter_;
  const ProbingOptions options_;
  Provenances provenances_;
  const Audience* audience_ = nullptr;
  std::vector<Row> rows_;
  std::set<int64_t> asked_;  // the steps of this run()
  size_t shown_ = 0;
  std::map<RunLevelResult, Known> run_level_;
  // By label, if results are not stored; their tensors are in the folder.
  std::map<std::string, CurveReader> own_curves_;
  std::map<std::string, std::vector<RecordedStep>> own_records_;
  std::optional<TemporaryFolder> unstored_;
  RunHistory history_;
  std::set<const ProbeInRun*> skipped_;                       // those whose reference does not exist
  std::map<const ProbeInRun*, SeenCheckpoints> partly_seen_;  // by those whose conclusion lacks some
  std::vector<ProbeTally> tallies_;
  bool failed_ = false;
};

}  // namespace orrery::engine
