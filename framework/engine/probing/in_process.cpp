#include <orrery/error.h>

#include "engine/probing/work.h"

namespace orrery::engine {
namespace {

class Collector final : public ResultSink {
 public:
  void begins(const ProbeInRun&, const char*) override {}
  void answer(const Answer& answer) override { answers.push_back(answer); }
  std::vector<Answer> answers;
};

}  // namespace

void run_in_process(const WorkPlan& plan) {
  for (size_t job = 0; job < plan.jobs.size() && !plan.stop(); ++job) {
    Collector collector;
    try {
      plan.work(job, plan.jobs[job].probes, collector);
    } catch (const Error& error) {
      collector.answers.push_back({.error = error.what(), .hint = error.hint()});
    }
    plan.done(job, collector.answers);
  }
}

}  // namespace orrery::engine
