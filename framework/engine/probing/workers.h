// Work in other processes, so that a probe that crashes costs its own result and nothing else.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/experiment/observer.h"
#include "engine/run/results.h"

namespace orrery::engine {

/// One thing to be done: `probes` look at `place` ("step 400", "random weights").
struct Job {
  std::string place;
  std::vector<const ProbeInRun*> probes;
};

/// What one probe said, or why it said nothing.
struct Answer {
  const ProbeInRun* probe = nullptr;  ///< null: the job failed as a whole
  PackedResult result = {};
  std::string error = {}, hint = {};
  bool unusable = false;  ///< it failed on its reference: it will not be asked again
  bool ok() const { return error.empty(); }
};

/// How a worker tells what it does.
class Teller {
 public:
  virtual ~Teller() = default;
  virtual void begins(const ProbeInRun& probe, const char* call) = 0;
  virtual void answer(const Answer& answer) = 0;
};

struct WorkPlan {
  int processes = 1;
  std::vector<Job> jobs;
  /// Runs in a worker, for one job after the other. What it throws is the failure of that job.
  std::function<void(size_t job, const std::vector<const ProbeInRun*>& probes, Teller& teller)> work;
  /// Runs here, job by job in their order. What nobody answered for is not among `answers`.
  std::function<void(size_t job, const std::vector<Answer>& answers)> done;
  /// Asked often; what is not done when it holds is left undone.
  std::function<bool()> stop;
};

/// Does all jobs in `processes` forks of this process, which must not have used more than one thread yet. A
/// probe during which a worker ends, by a signal or otherwise, is an answer with an error; the probes that
/// are left of that job are asked again, by a new worker. Holds a bounded number of jobs' answers at a time.
void run_in_workers(const WorkPlan& plan);

}  // namespace orrery::engine
