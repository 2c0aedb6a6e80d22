#include "engine/verify/verify_config.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include "engine/experiment/open_run.h"
#include "engine/inspect/run_state.h"
#include "engine/training/training_run.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

enum class Found { nothing, unfinished, finished };

// What the directory for the run of `settings` contains. Throws if that is the run of another config.
Found look(const fs::path& path, const Settings& settings, const Registry& registry) {
  if (!fs::exists(path / "run.json")) return Found::nothing;
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
  return state_of(read_run_json(path), false) == RunState::finished ? Found::finished : Found::unfinished;
}

}  // namespace

std::optional<std::vector<Verdict>> verify_config(const Registry& registry, const Settings& settings,
                                                  const std::filesystem::path& path, Reporter& reporter) {
  const Found found = look(path, settings, registry);
  if (found == Found::finished) {
    reporter.note(fmt::format("{}: taken from {}", settings.name, path.string()));
  } else {
    const TrainedRun trained = train_run(registry, settings, path,
                                         found == Found::unfinished ? Start::resume : Start::anew, reporter);
    if (trained.ending == Ending::stopped || (!trained.probed && trained.ending != Ending::diverged))
      return std::nullopt;
  }
  return judge(settings.expectations, RunDirectory::open(path, RunDirectory::Access::read));
}

}  // namespace orrery::engine
