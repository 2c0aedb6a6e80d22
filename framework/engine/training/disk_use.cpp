#include "engine/training/disk_use.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/reporter/numbers.h"
#include "engine/run/json_line.h"
#include "engine/train/schedule.h"
#include "engine/training/thinning.h"
#include "sdk/files/named_tensors.h"

namespace orrery::engine {
namespace {

// A safetensors file describes each tensor in about a hundred bytes, and aligns it.
constexpr uint64_t header = 128;
// Built-in probes record from 1 KiB to 50 KiB at a checkpoint of the experiments in configs/.
constexpr uint64_t result = 16 << 10;

uint64_t file_size_of(const NamedTensors& tensors) {
  uint64_t bytes = header;
  for (const auto& [name, tensor] : tensors) bytes += tensor.nbytes() + header;
  return bytes;
}

// With checkpoints.keep_last: the first, the newest, those of per_decade, those of references, the grokked
// one.
int64_t most_kept(const Experiment& experiment, const CheckpointSchedule& schedule) {
  const Settings& settings = experiment.settings();
  int64_t kept = 2 + static_cast<int64_t>(referenced_steps(settings.probes).size());
  for (const int64_t step :
       CheckpointSchedule({.every = 0, .per_decade = settings.checkpoints.per_decade}, settings.train.steps)
           .steps())
    kept += schedule.is_logarithmic(step);
  return kept + std::min(settings.checkpoints.keep_last, settings.train.steps);
}

}  // namespace

DiskUse disk_use(Experiment& experiment, const Trainer& trainer, const Metrics& metrics) {
  const Settings& settings = experiment.settings();
  const int64_t done = trainer.steps_done(), last = settings.train.steps;
  const CheckpointSchedule schedule(settings.checkpoints, last);
  const int64_t from = done > 0 ? done + 1 : 0, written = schedule.count(from);
  const int64_t staying =
      settings.checkpoints.keep_last > 0 ? std::min(written, most_kept(experiment, schedule)) : written;

  DiskUse use;
  use.checkpoints = static_cast<uint64_t>(staying) * file_size_of(weights_of(experiment.model())) +
                    2 * file_size_of(trainer.state());
  use.metrics = static_cast<uint64_t>((last - done) / settings.train.eval_every + 1) *
                (metrics_line(last, metrics).size() + 1);
  for (const ProbeInRun& probe : experiment.probes()) {
    const int64_t due = schedule.count(from, std::max<int64_t>(probe.every, 1));
    use.probes +=
        result * static_cast<uint64_t>((probe.waits() ? std::min(due, staying) : due) + probe.needs.null);
  }
  return use;
}

std::optional<uint64_t> free_space(const std::filesystem::path& path) {
  std::error_code failure;
  std::filesystem::path there = std::filesystem::absolute(path, failure);
  while (!std::filesystem::exists(there, failure) && there.has_relative_path()) there = there.parent_path();
  const std::filesystem::space_info space = std::filesystem::space(there, failure);
  return failure ? std::nullopt : std::optional<uint64_t>(space.available);
}

void tell_disk_use(const std::filesystem::path& run, const DiskUse& use, Reporter& reporter) {
  const auto free = free_space(run);
  const std::string writes = fmt::format("writes about {} to {}", bytes_text(use.total()), run.string());
  if (!free || use.total() <= *free) {
    reporter.note(free ? fmt::format("{} ({} free)", writes, bytes_text(*free)) : writes);
    return;
  }
  reporter.warning(
      fmt::format("{}, where {} are free", writes, bytes_text(*free)),
      fmt::format("{} are checkpoints, {} a guess of what probes record; write fewer "
                  "(checkpoints.every), keep fewer (checkpoints.keep_last), or take another --out",
                  bytes_text(use.checkpoints), bytes_text(use.probes)));
}

}  // namespace orrery::engine
