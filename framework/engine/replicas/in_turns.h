// A run that takes turns with others.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "engine/config/settings.h"
#include "engine/replicas/turns.h"
#include "engine/reporter/reporter.h"

namespace orrery::engine {

/// What two runs must have in common to share a process as replicas: the task and the model, with all their
/// sizes, and the kernels. Seeds, learning rates, decays, steps, stop conditions and probes may differ.
/// Nothing if a run gains nothing from company: it is neither an mlp nor a transformer of one layer, and so
/// its steps are so long that what a process costs does not show, or it wants threads or a device of its own.
std::optional<std::string> replica_shape(const Settings& settings);

/// How many runs like this one should share a process, where nobody says otherwise. A process costs some 10
/// ms more than a turn, which shows in short runs of an mlp only (docs/benchmarks.md); others have their own,
/// so that a crash costs one of them.
size_t replicas_by_default(const Settings& settings);

/// The reporter of such a run: passes everything on, and lets the other runs have their turns between its
/// steps.
class InTurns final : public Reporter {
 public:
  InTurns(Reporter& reporter, Turns& turns) : reporter_(reporter), turns_(turns) {}
  void note(const std::string& text) override { reporter_.note(text); }
  void warning(const std::string& what, const std::string& hint) override { reporter_.warning(what, hint); }
  std::unique_ptr<Progress> progress(int64_t total, const std::string& unit) override {
    return reporter_.progress(total, unit);
  }
  bool stop_requested() const override {
    turns_.pass_if_due();
    return reporter_.stop_requested();
  }

 private:
  Reporter& reporter_;
  Turns& turns_;
};

}  // namespace orrery::engine
