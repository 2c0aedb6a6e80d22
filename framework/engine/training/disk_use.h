// How much a training writes, told before it begins.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "engine/experiment/experiment.h"
#include "engine/reporter/reporter.h"
#include "engine/train/trainer.h"

namespace orrery::engine {

struct DiskUse {
  uint64_t checkpoints =
      0;  ///< bytes: the weights that stay, and one state for resuming, twice while it is replaced
  uint64_t metrics = 0;  ///< bytes of metrics.jsonl
  uint64_t probes = 0;   ///< bytes, a guess: how much a probe records is not known before

  uint64_t total() const { return checkpoints + metrics + probes; }
};

/// What a training from the trainer's step on writes until it ends, if train.stop_when does not end it early.
/// `metrics` are those of one evaluation.
DiskUse disk_use(Experiment& experiment, const Trainer& trainer, const Metrics& metrics);

/// Bytes that are free where `path` is, or will be made. Nothing if that cannot be told.
std::optional<uint64_t> free_space(const std::filesystem::path& path);

/// Notes "writes about 120 MB to runs/x (64 GB free)"; warns if that is more than what is free.
void tell_disk_use(const std::filesystem::path& run, const DiskUse& use, Reporter& reporter);

}  // namespace orrery::engine
