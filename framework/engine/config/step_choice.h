// Selects checkpoints of a run, and words the errors about missing ones.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace orrery::engine {

/// Several checkpoints: `--steps` of the command line, `steps` of a pipeline.
class StepChoice {
 public:
  /// What parse() accepts, for messages.
  static const char* const expected;
  /// "all", "every 500" (multiples of 500), or a list of steps, "first", "last" and "grokked", such as
  /// "0,500,grokked". Throws UsageError, opening with `place`.
  static StepChoice parse(const std::string& text, const std::string& place);

  /// The steps that a list names by number.
  const std::vector<int64_t>& listed() const { return kind_ == Kind::list ? steps_ : none_; }

  /// The chosen steps among `there` (ascending), ascending. Throws UsageError, naming `run`, if a listed step
  /// is missing or none is chosen. `grokked` gives the step that this word stands for, or throws.
  std::vector<int64_t> choose(const std::vector<int64_t>& there, const std::string& run,
                              const std::function<int64_t()>& grokked) const;

 private:
  enum class Kind { all, every, list };
  Kind kind_ = Kind::all;
  static inline const std::vector<int64_t> none_;
  std::vector<int64_t> steps_;                           // for `every`: the one number
  bool first_ = false, last_ = false, grokked_ = false;  // further entries of the list
};

/// Throws UsageError: the run `run` has no checkpoint of step `step`, only those of `there` (ascending).
/// `asked_by` opens the message: "--step", "probe \"trig_loss\": its reference".
[[noreturn]] void refuse_step(const std::string& asked_by, int64_t step, const std::vector<int64_t>& there,
                              const std::string& run);
/// Throws UsageError if `there` is empty.
void require_checkpoints(const std::vector<int64_t>& there, const std::string& run);

}  // namespace orrery::engine
