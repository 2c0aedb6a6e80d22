#include "engine/train/loop.h"

#include <cmath>
#include <map>

namespace orrery::engine {

std::string to_string(Ending ending) {
  switch (ending) {
    case Ending::finished:
      return "finished";
    case Ending::condition:
      return "condition";
    case Ending::stopped:
      return "stopped";
    case Ending::diverged:
      return "diverged";
  }
  return "unknown";
}

Ending run_loop(Trainer& trainer, const TrainSettings& settings, const CheckpointSchedule& schedule,
                const Condition& stop_when, const LoopEvents& events, bool resumed) {
  int64_t evaluated = resumed ? trainer.steps_done() : -1, written = evaluated;
  bool diverged = false;
  while (true) {
    const int64_t step = trainer.steps_done();
    std::optional<Ending> ending;
    if (diverged)
      ending = Ending::diverged;
    else if (events.stop_requested())
      ending = Ending::stopped;
    if (step != evaluated && (step % settings.eval_every == 0 || step == settings.steps)) {
      const Metrics metrics = trainer.evaluate();
      events.evaluated(step, metrics);
      evaluated = step;
      if (!ending && stop_when.holds(std::map<std::string, double>(metrics.begin(), metrics.end())))
        ending = Ending::condition;
    }
    if (!ending && step >= settings.steps) ending = Ending::finished;
    if (step != written && (ending || schedule.due(step))) {
      if (!trainer.finite()) return Ending::diverged;
      events.checkpoint(step, ending);
      written = step;
    }
    if (ending) return *ending;
    const double loss = trainer.step();
    diverged = !std::isfinite(loss);
    if (!diverged) events.stepped(trainer.steps_done(), loss);
  }
}

}  // namespace orrery::engine
