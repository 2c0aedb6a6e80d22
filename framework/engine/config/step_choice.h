// Selects checkpoints of a run, and words the errors about missing ones.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace orrery::engine {

/// Several checkpoints: `--steps` of the command line, `steps` of a pipeline.
class StepChoice {
 public:
  /// What parse() accepts, for messages.
  static const char* const expected;
  /// "all", "last", "every 500" (multiples of 500) or "0,500,1000". Throws UsageError, opening with `place`.
  static StepChoice parse(const std::string& text, const std::string& place);

  /// The chosen steps among `there` (ascending), ascending. Throws UsageError, naming `run`, if a listed step
  /// is missing or none is chosen.
  std::vector<int64_t> choose(const std::vector<int64_t>& there, const std::string& run) const;

 private:
  enum class Kind { all, last, every, list };
  Kind kind_ = Kind::all;
  std::vector<int64_t> steps_;  // for `list`: ascending; for `every`: the one number
};

/// Throws UsageError: the run `run` has no checkpoint of step `step`, only those of `there` (ascending).
/// `asked_by` opens the message: "--step", "probe \"trig_loss\": its reference".
[[noreturn]] void refuse_step(const std::string& asked_by, int64_t step, const std::vector<int64_t>& there,
                              const std::string& run);
/// Throws UsageError if `there` is empty.
void require_checkpoints(const std::vector<int64_t>& there, const std::string& run);

}  // namespace orrery::engine
