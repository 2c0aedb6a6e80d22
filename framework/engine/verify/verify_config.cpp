#include "engine/verify/verify_config.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include "engine/experiment/open_run.h"
#include "engine/inspect/run_state.h"
#include "engine/training/training_run.h"

namespace orrery::engine {
namespace fs = std::filesystem;

FoundRun find_run(const fs::path& path, const Settings& settings, const Registry& registry) {
  if (!fs::exists(path / "run.json")) return FoundRun::nothing;
  const RunDirectory run = RunDirectory::open(path, RunDirectory::Access::read);
  Settings stored = read_settings(run, registry);
  // Expectations and the logging of curves do not change the run.
  stored.expectations = settings.expectations;
  stored.verify = settings.verify;
  stored.gallery = settings.gallery;
  stored.log = settings.log;
  stored.stored.clear();  // with every default, as those of the config have them
  if (to_json(stored) != to_json(settings))
    throw UsageError(fmt::format("{}: this run was made with another config", path.string()),
                     "delete it, or keep runs elsewhere with --runs DIR");
  const RunState state = state_of(read_run_json(path), false);
  return state == RunState::finished   ? FoundRun::finished
         : state == RunState::diverged ? FoundRun::diverged
                                       : FoundRun::unfinished;
}

std::optional<std::vector<Verdict>> verify_config(const Registry& registry, const Settings& settings,
                                                  const std::filesystem::path& path, Reporter& reporter) {
  const FoundRun found = find_run(path, settings, registry);
  if (found == FoundRun::finished || found == FoundRun::diverged) {  // the same seeds diverge again
    reporter.note(fmt::format("{}: taken from {}", settings.name, path.string()));
  } else {
    const TrainedRun trained =
        train_run(registry, settings, path, found == FoundRun::nothing ? Start::anew : Start::resume,
                  reporter, Purpose::verify);
    if (trained.ending == Ending::stopped || (!trained.probed && trained.ending != Ending::diverged))
      return std::nullopt;
  }
  return judge(settings.expectations, RunDirectory::open(path, RunDirectory::Access::read));
}

}  // namespace orrery::engine
