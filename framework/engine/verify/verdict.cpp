#include "engine/verify/verdict.h"

#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/hooks.h>

#include <algorithm>

#include "engine/reporter/numbers.h"
#include "engine/run/run_json.h"
#include "engine/verify/reading.h"

namespace orrery::engine {
namespace {

bool is_glob(const std::string& metric) { return metric.find('*') != std::string::npos; }

Verdict unknown(const Expectation& e, const std::vector<Series>& all) {
  return {&e, false, is_glob(e.metric) ? "no metric matches" : no_such_metric(all, e.metric)};
}

Verdict verdict(const Expectation& e, const std::vector<Series>& all) {
  std::vector<std::pair<const Series*, Evaluated>> answers;
  for (const Series& series : all)
    if (matches(e.metric, series.name)) {
      std::string why;
      const auto asked = asked_series(e, series, all, why);
      if (!asked) return {&e, false, why};
      answers.emplace_back(&series, answer(e, *asked));
    }
  if (answers.empty()) return unknown(e, all);
  const auto& [series, worst] = *std::min_element(answers.begin(), answers.end(), [](auto& a, auto& b) {
    return std::pair(a.second.passed, a.second.margin) < std::pair(b.second.passed, b.second.margin);
  });
  if (!is_glob(e.metric)) return {&e, worst.passed, worst.got};
  const auto failed =
      std::count_if(answers.begin(), answers.end(), [](auto& each) { return !each.second.passed; });
  const std::string rest = worst.passed ? fmt::format("worst of {}", answers.size())
                                        : fmt::format("{} of {} fail", failed, answers.size());
  return {&e, worst.passed, fmt::format("{}: {} ({})", series->name, worst.got, rest)};
}

// "the run diverged after step 300"; "" if it did not.
std::string divergence_of(const RunDirectory& run) {
  try {
    const RunJson info = read_run_json(run.root());
    if (info.ended() != "diverged") return "";
    return fmt::format("the run diverged after step {}", thousands(info.sessions.back().to.value_or(0)));
  } catch (const Error&) {
    return "";  // curves alone can be judged too
  }
}

}  // namespace

std::vector<Verdict> judge(const std::vector<Expectation>& expectations, const RunDirectory& run) {
  const bool with_probes = std::any_of(expectations.begin(), expectations.end(),
                                       [](const Expectation& e) { return may_be_of_probe(e); });
  const std::vector<Series> all = all_series(run, with_probes);
  const std::string diverged = divergence_of(run);
  std::vector<Verdict> verdicts;
  for (const Expectation& e : expectations) {
    verdicts.push_back(verdict(e, all));
    if (diverged.empty()) continue;
    verdicts.back().passed = false;
    verdicts.back().got = fmt::format("{}; until then {}", diverged, verdicts.back().got);
  }
  return verdicts;
}

bool all_passed(const std::vector<Verdict>& verdicts) {
  return !verdicts.empty() &&
         std::all_of(verdicts.begin(), verdicts.end(), [](const Verdict& each) { return each.passed; });
}

}  // namespace orrery::engine
