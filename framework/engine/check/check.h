// One check of a plugin, and its verdict: what `orrery check` is made of.
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
  std::string seen = {};    ///< ok: on what, may be empty; failed: what and where; not applicable: why
  std::string advice = {};  ///< failed: what to do about it
};
Result ok(std::string on_what = "");
Result failed(std::string seen, std::string advice);
Result not_applicable(std::string why);

/// Told what is about to be done, for whoever must know what was going on when it does not come back.
using Note = std::function<void(const std::string&)>;

struct Check {
  std::string name;
  std::vector<std::string> after;  ///< checks that must not have failed for this one to say anything
  std::function<Result()> run;
};

/// Runs it, unless what it comes after has failed according to `so_far`. What it throws is a failure.
Result run_check(const Check& check, const std::map<std::string, Verdict>& so_far);

/// "3 labels", "1 label": with an s behind the word unless there is one.
std::string counted(int64_t n, const std::string& word);

}  // namespace orrery::engine::checks
