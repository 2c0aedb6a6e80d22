// Jobs for probes, and the two ways to get them done: in this process, or in workers that may crash.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/experiment/probe_host.h"
#include "engine/run/results.h"

namespace orrery::engine {

/// `probes` look at `place` ("step 400", "random weights").
struct Job {
  std::string place;
  std::vector<const ProbeInRun*> probes;
};

/// What one probe recorded, or why it recorded nothing.
struct Answer {
  const ProbeInRun* probe = nullptr;  ///< null: the job failed as a whole
  PackedResult result = {};
  std::string error = {}, hint = {};
  bool unusable = false;  ///< it failed on its reference: it will not be asked again
  bool ok() const { return error.empty(); }
};

/// Where whoever works on a job puts what happens.
class ResultSink {
 public:
  virtual ~ResultSink() = default;
  /// `call` is "fit", "measure" or "conclude".
  virtual void begins(const ProbeInRun& probe, const char* call) = 0;
  virtual void answer(const Answer& answer) = 0;
};

struct WorkPlan {
  std::vector<Job> jobs;
  /// Does one job after the other. What it throws is the failure of that job.
  std::function<void(size_t job, const std::vector<const ProbeInRun*>& probes, ResultSink& sink)> work;
  /// Called in this process, job by job in their order. Probes without a result are omitted from `answers`.
  std::function<void(size_t job, const std::vector<Answer>& answers)> done;
  /// Asked often; when it holds, what is left is not done.
  std::function<bool()> stop;
};

/// Does all jobs here. A probe that crashes takes this process with it.
void run_in_process(const WorkPlan& plan);

/// Does all jobs in `processes` forks of this process, which must not have used more than one thread yet. A
/// probe during which a worker ends, by a signal or otherwise, is an answer with an error; the probes that
/// are left of that job are asked again, by a new worker. Holds a bounded number of jobs' answers at a time.
void run_in_workers(const WorkPlan& plan, int processes);

}  // namespace orrery::engine
