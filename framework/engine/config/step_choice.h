// Which checkpoints of a run are meant, and the one text for a checkpoint that is not there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace orrery::engine {

/// Several checkpoints: `--steps` of the command line, `steps` of a pipeline.
class StepChoice {
 public:
  /// What parse() takes, in words.
  static const char* const expected;
  /// "all", "last", "every 500" (multiples of 500) or "0,500,1000". Throws UsageError, opening with `place`.
  static StepChoice parse(const std::string& text, const std::string& place);

  /// Those of `there` (ascending) that are chosen, ascending. Throws UsageError where one that is listed is
  /// missing, or none is chosen; `run` names what has them.
  std::vector<int64_t> choose(const std::vector<int64_t>& there, const std::string& run) const;

 private:
  enum class Kind { all, last, every, list };
  Kind kind_ = Kind::all;
  std::vector<int64_t> steps_;  // of a list, ascending; of `every`, the number
};

/// Throws UsageError: the run `run` has no checkpoint of `step`, only those of `there` (ascending).
/// `asked_by` opens the message: "--step", "probe \"trig_loss\": its reference".
[[noreturn]] void refuse_step(const std::string& asked_by, int64_t step, const std::vector<int64_t>& there,
                              const std::string& run);
/// Throws UsageError where `there` is empty.
void require_checkpoints(const std::vector<int64_t>& there, const std::string& run);

}  // namespace orrery::engine
