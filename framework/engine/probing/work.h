// Jobs for probes, and the two ways to run them: in this process, or in worker processes that may crash.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/experiment/probe_host.h"
#include "engine/run/results.h"

namespace orrery::engine {

/// Measures `place` ("step 400", "random weights") with `probes`.
struct Job {
  std::string place;
  std::vector<const ProbeInRun*> probes;
};

/// What one probe recorded, or why it recorded nothing.
struct Answer {
  const ProbeInRun* probe = nullptr;  ///< null: the job failed as a whole
  PackedResult result = {};
  std::string error = {}, hint = {};
  bool unusable = false;  ///< it failed on its reference and will not be asked again
  bool ok() const { return error.empty(); }
};

/// Receives the events of a job.
class ResultSink {
 public:
  virtual ~ResultSink() = default;
  /// `call` is "fit", "measure" or "conclude".
  virtual void begins(const ProbeInRun& probe, const char* call) = 0;
  virtual void answer(const Answer& answer) = 0;
};

struct WorkPlan {
  std::vector<Job> jobs;
  /// Runs one job; called for one after the other. An exception is the failure of that job.
  std::function<void(size_t job, const std::vector<const ProbeInRun*>& probes, ResultSink& sink)> work;
  /// Called in this process, in the order of the jobs. Probes without a result are omitted from `answers`.
  std::function<void(size_t job, const std::vector<Answer>& answers)> done;
  /// Asked often; once it returns true, the remaining jobs are skipped.
  std::function<bool()> stop;
};

/// Runs all jobs in this process, which a crashing probe takes with it.
void run_in_process(const WorkPlan& plan);

/// Runs all jobs in `processes` forks of this process, which must not have used more than one thread yet. If
/// a worker dies, by a signal or otherwise, the running probe gets an answer with an error, and a new worker
/// asks the remaining probes of that job. Holds the answers of a bounded number of jobs at a time.
void run_in_workers(const WorkPlan& plan, int processes);

}  // namespace orrery::engine
