// Checks that a probe's records can be drawn, compared and stored.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/findings.h>

#include "engine/check/bitwise.h"
#include "engine/check/probe_checks.h"
#include "engine/run/results.h"

namespace orrery::engine::checks {
namespace {

// The findings of orrery/findings.h, which say what fields each kind has.
const std::vector<Finding>& known_findings() {
  static const auto* all = new std::vector<Finding>{
      key_frequencies_finding(1, {1}, {1}), key_representations_finding("", 1, {""}, {1}),
      head_role_finding(0, 0, "", 0),       ablation_finding("", "", "", 0, 0),
      circuit_efficiency_finding(0, 0, 0),  phase_change_finding("", "", 0, 0, 0, 0, 0),
  };
  return *all;
}

std::string fields_text(const Finding& finding) {
  std::vector<std::string> texts;
  for (const auto& [name, value] : finding.fields)
    texts.push_back(fmt::format("{} ({})", name, Field{name, value, "", {}, {}, {}}.type()));
  return fmt::format("{}", fmt::join(texts, ", "));
}

bool same_fields(const Finding& a, const Finding& b) { return fields_text(a) == fields_text(b); }

// Runs `see` on the record of every checkpoint of every fixture, until one fails.
template <class See>
Result each_record(ProbeUnderCheck& probe, See&& see) {
  for (const Fixture* fixture : probe.fixtures()) {
    probe.note(fixture->name());
    const std::vector<Record>& records = probe.records(*fixture);
    for (size_t i = 0; i < records.size(); ++i) {
      const Result result = see(records[i]);
      if (result.verdict == Verdict::failed)
        return failed(
            fmt::format("{}, step {}: {}", fixture->name(), fixture->checkpoints()[i].step, result.seen),
            result.advice);
    }
  }
  return ok();
}

// Writing and reading back must give the same record.
std::string stored_fault(const Record& record) {
  for (const ScalarPanel& panel : record.panels)
    if (panel.title.empty() || panel.y_label.empty())
      return fmt::format("the panel of the scalars \"{}\" has no title or no y label", panel.scalars);
  const std::string line = result_line(0, "checkpoint", {{"probe", &record}});
  pack_result(line, record);
  const NamedTensors tensors = result_tensors(record);
  const Record back = parse_result(line, "probe", "the record", [&](int64_t) { return tensors; }).record;
  for (size_t i = 0; i < record.scalars.size(); ++i)
    if (back.scalars.size() <= i || !same(back.scalars[i].second, record.scalars[i].second))
      return fmt::format("scalar \"{}\" is not read back as it was written", record.scalars[i].first);
  if (back.tensors.size() != record.tensors.size() || back.figures.size() != record.figures.size() ||
      back.findings.size() != record.findings.size() || back.panels.size() != record.panels.size())
    return "it is not read back as it was written";
  return "";
}

}  // namespace

std::string drawing_fault(const Figure& figure) {
  if (std::string fault = figure_fault(figure); !fault.empty()) return fault;
  if (figure.title.empty() || figure.x_label.empty() || figure.y_label.empty())
    return fmt::format("\"{}\" has no title, or an axis has no label", figure.name);
  return "";
}

std::string finding_fault(const Finding& finding) {
  for (const std::string* name : {&finding.name, &finding.kind})
    if (std::string fault = name_fault(*name); !fault.empty()) return fault;
  if (finding.fields.empty()) return fmt::format("\"{}\" has no fields", finding.name);
  for (const Finding& known : known_findings())
    if (known.kind == finding.kind && !same_fields(known, finding))
      return fmt::format("\"{}\" is of kind {} with fields {}; expected {}", finding.name, finding.kind,
                         fields_text(finding), fields_text(known));
  return "";
}

Result measures_null(ProbeUnderCheck& probe) {
  if (!probe.needs().null) return not_applicable("it asks for no null");
  for (const Fixture* fixture : probe.fixtures()) {
    probe.note(fixture->name() + ", its null");
    probe.measure(*fixture, *fixture->null(), 0);
  }
  return ok();
}

Result figures_whole(ProbeUnderCheck& probe) {
  bool any = false;
  const Result result = each_record(probe, [&](const Record& record) {
    for (const Figure& figure : record.figures) {
      any = true;
      if (const std::string fault = drawing_fault(figure); !fault.empty())
        return failed(fault, "orrery/recorder.h says what each kind of figure needs");
    }
    return ok();
  });
  return result.verdict == Verdict::ok && !any ? not_applicable("it records no figures") : result;
}

Result findings_of_their_kind(ProbeUnderCheck& probe) {
  std::map<std::string, Finding> first_of_kind;
  const Result result = each_record(probe, [&](const Record& record) {
    for (const Finding& finding : record.findings) {
      if (const std::string fault = finding_fault(finding); !fault.empty())
        return failed(fault, "make it with the function of its kind in orrery/findings.h");
      const Finding& other = first_of_kind.emplace(finding.kind, finding).first->second;
      if (!same_fields(finding, other))
        return failed(fmt::format("two findings of kind {} have fields {}, and {}", finding.kind,
                                  fields_text(other), fields_text(finding)),
                      "give the same kind the same fields everywhere");
    }
    return ok();
  });
  return result.verdict == Verdict::ok && first_of_kind.empty() ? not_applicable("it records no findings")
                                                                : result;
}

Result records_stored(ProbeUnderCheck& probe) {
  return each_record(probe, [](const Record& record) {
    const std::string fault = stored_fault(record);
    return fault.empty()
               ? ok()
               : failed(fault, "name it with words, separated by slashes, and record plain numbers");
  });
}

}  // namespace orrery::engine::checks
