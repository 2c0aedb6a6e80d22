#include "engine/verify/verdict.h"

#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/hooks.h>

#include <algorithm>

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

}  // namespace

std::vector<Verdict> judge(const std::vector<Expectation>& expectations, const RunDirectory& run) {
  const bool with_probes = std::any_of(expectations.begin(), expectations.end(),
                                       [](const Expectation& e) { return may_be_of_probe(e); });
  const std::vector<Series> all = all_series(run, with_probes);
  std::vector<Verdict> verdicts;
  for (const Expectation& e : expectations) verdicts.push_back(verdict(e, all));
  return verdicts;
}

bool all_passed(const std::vector<Verdict>& verdicts) {
  return !verdicts.empty() &&
         std::all_of(verdicts.begin(), verdicts.end(), [](const Verdict& each) { return each.passed; });
}

}  // namespace orrery::engine
