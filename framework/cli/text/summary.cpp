#include "cli/text/summary.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <set>

#include "cli/text/tables.h"
#include "cli/text/terminal.h"
#include "engine/reporter/numbers.h"

namespace orrery::cli {
namespace {

// "reached 100 % at step 200", or the accuracy it reached; and the last loss.
std::string accuracy_text(const RunOverview& seen, const std::string& set) {
  const Curve *accuracy = seen.metric(set + "/accuracy"), *loss = seen.metric(set + "/loss");
  const auto reached = accuracy ? first_at_least(*accuracy, 1) : std::nullopt;
  const auto most = accuracy ? highest(*accuracy) : std::nullopt;
  // Not rounded up: 99.996 % is not 100.0 %.
  const std::string how_far =
      reached ? fmt::format("reached 100 % at step {}", thousands(*reached))
              : fmt::format("came to {:.2f} %", std::floor(1e4 * (most ? most->value : 0)) / 100);
  return fmt::format("{}; loss in the end {}", how_far, compact(loss ? loss->values.back() : std::nan("")));
}

std::string line(const std::string& name, const std::string& text) {
  return fmt::format("  {:<24}{}\n", name, text);
}

// A probe's headlines, each with its null, and its findings, except those that another probe already had
// (`seen`).
std::string probe_text(const std::string& label, const Record& record, const Record* null,
                       std::set<std::string>& seen) {
  std::string out;
  for (const std::string& name : record.headlines)
    for (const auto& [known, value] : record.scalars)
      if (known == name)
        out += line(label, fmt::format("{} {}{}", name, compact(value), null_text(null, name)));
  for (const Finding& finding : record.findings)
    if (const std::string text = finding_words(finding); seen.insert(text).second) out += line(label, text);
  return out;
}

}  // namespace

std::string summary_text(const RunOverview& seen, Ending ending) {
  std::string out =
      fmt::format("\n{} after {} steps{}\n", styled(Style::bold, seen.info->name()), thousands(seen.step()),
                  ending == Ending::condition ? fmt::format(" ({})", seen.info->stop_when()) : "");
  for (const char* set : {"train", "test"})
    out += line(fmt::format("{} accuracy", set), accuracy_text(seen, set));
  std::set<std::string> told;
  for (const ProbeOverview& probe : seen.probes) {
    if (probe.last)
      out += probe_text(probe.label, probe.last->record, probe.null ? &probe.null->record : nullptr, told);
    if (probe.conclusion) out += probe_text(probe.label, probe.conclusion->record, nullptr, told);
  }
  const std::string path = seen.root.string();
  out += line("run directory", path);
  out += line("next", fmt::format("orrery probe {} --steps last", path));
  return out;
}

}  // namespace orrery::cli
