// One check of a plugin, and its verdict: the unit of `orrery check`.
#pragma once

#include <orrery/fields.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace orrery::engine::checks {

enum class Verdict { ok, failed, not_applicable };
using orrery::to_string;
/// "ok", "failed", "not applicable".
std::string to_string(Verdict verdict);

struct Result {
  Verdict verdict = Verdict::ok;
  std::string seen = {};    ///< ok: what it ran on, may be empty; failed: what and where; not applicable: why
  std::string advice = {};  ///< failed: how to mend it
};
Result ok(std::string on_what = "");
Result failed(std::string seen, std::string advice);
Result not_applicable(std::string why);

/// Called before each step of a check, so that the parent knows what was running if the child crashes or
/// hangs.
using Note = std::function<void(const std::string&)>;

struct Check {
  std::string name;
  std::vector<std::string> after;  ///< checks whose failure would make this one meaningless
  std::function<Result()> run;
};

/// Runs `check` unless, according to `so_far`, one of those in `after` failed. An exception is a failure.
Result run_check(const Check& check, const std::map<std::string, Verdict>& so_far);

/// "3 labels", "1 label".
std::string counted(int64_t n, const std::string& word);

}  // namespace orrery::engine::checks
