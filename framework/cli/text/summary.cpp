#include "cli/text/summary.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "cli/text/shown.h"
#include "cli/text/tables.h"
#include "cli/text/terminal.h"
#include "engine/reporter/numbers.h"

namespace orrery::cli {
namespace {

// Not rounded up: 99.996 % is not 100 %.
std::string percent(double share) {
  return share == 1 ? "100 %" : fmt::format("{:.2f} %", std::floor(1e4 * share) / 100);
}

// "reached 100 % at step 200; in the end 100 %, loss 1e-7", or the accuracy and loss in the end, and the best
// accuracy if that was earlier.
std::string accuracy_text(const RunOverview& seen, const std::string& set) {
  const Curve *accuracy = seen.metric(set + "/accuracy"), *loss = seen.metric(set + "/loss");
  if (!seen.scored(set) || !loss) return fmt::format("unknown: there are no {} examples", set);
  const auto most = highest(*accuracy);
  const double last = accuracy->values.back();
  const std::string in_the_end =
      fmt::format("in the end {}, loss {}", percent(last), compact(loss->values.back()));
  if (const auto reached = first_at_least(*accuracy, 1))
    return fmt::format("reached 100 % at step {}; {}", thousands(*reached), in_the_end);
  return most->value > last ? fmt::format("{}; at best {}, at step {}", in_the_end, percent(most->value),
                                          thousands(most->step))
                            : in_the_end;
}

// "at 3 of 11 checkpoints; the first error: ...".
std::string failure_text(const ProbeTally& tally) {
  std::vector<std::string> where;
  if (tally.failed > 0)
    where.push_back(fmt::format("at {} of {} checkpoints", thousands(tally.failed), thousands(tally.asked)));
  if (tally.null_failed) where.push_back("on random weights");
  if (tally.conclusion_failed) where.push_back("in its conclusion");
  std::string error = shortened(tally.first_error, 300);
  std::replace(error.begin(), error.end(), '\n', ' ');
  return fmt::format("failed {}; the first error: {}", fmt::join(where, " and "), error);
}

std::string line(const std::string& name, const std::string& text) {
  return fmt::format("  {:<24}{}\n", name, text);
}

// A probe's headlines, each with its null and `when`, and its findings, except those that another probe
// already had (`seen`).
std::string probe_text(const std::string& label, const Record& record, const Record* null,
                       const std::string& when, std::set<std::string>& seen) {
  std::string out;
  for (const std::string& name : record.headlines)
    for (const auto& [known, value] : record.scalars)
      if (known == name)
        out += line(label, fmt::format("{} {}{}{}", name, compact(value), null_text(null, name), when));
  for (const Finding& finding : record.findings)
    if (const std::string text = finding_words(finding); seen.insert(text).second) out += line(label, text);
  return out;
}

// Of a probe that this session did not ask.
std::string earlier_text(const RunOverview& seen, const ProbeOverview& probe) {
  return "not in this config; " + last_result_text(seen, probe);
}

}  // namespace

std::string last_result_text(const RunOverview& seen, const ProbeOverview& probe) {
  if (probe.last) return "its last result is of " + seen.step_text(probe.last->step);
  if (!probe.conclusion) return "it has no results";
  const auto& until = probe.conclusion->until;
  return until ? "its conclusion is from the curves up to " + seen.step_text(*until)
               : "its conclusion is from earlier curves";
}

std::string summary_text(const RunOverview& seen, const TrainedRun& trained) {
  std::string out =
      fmt::format("\n{} after {} steps{}\n", styled(Style::bold, seen.info->name()), thousands(seen.step()),
                  trained.ending == Ending::condition ? fmt::format(" ({})", seen.info->stop_when()) : "");
  for (const char* set : {"train", "test"})
    out += line(fmt::format("{} accuracy", set), accuracy_text(seen, set));
  std::set<std::string> told;
  for (const ProbeOverview& probe : seen.probes) {
    if (!probe.configured) continue;
    if (probe.last) {
      const int64_t step = probe.last->step;
      const std::string when = step == seen.step() ? "" : fmt::format(", at step {}", thousands(step));
      out +=
          probe_text(probe.label, probe.last->record, probe.null ? &probe.null->record : nullptr, when, told);
    }
    if (probe.conclusion) out += probe_text(probe.label, probe.conclusion->record, nullptr, "", told);
    if (probe.conclusion && probe.conclusion->partly)
      out += line(probe.label, "concluded " + to_text(*probe.conclusion->partly));
  }
  for (const ProbeOverview& probe : seen.probes)
    if (!probe.configured) out += line(probe.label, earlier_text(seen, probe));
  for (const ProbeTally& tally : trained.failed_probes)
    out += line(tally.label, styled(Style::red, failure_text(tally)));
  const std::string path = seen.root.string();
  out += line("run directory", path);
  out += line("next", as_called(fmt::format("orrery report {}", path)));
  return out;
}

}  // namespace orrery::cli
