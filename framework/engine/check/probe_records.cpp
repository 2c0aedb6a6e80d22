// Checks that a probe's records can be drawn, compared and stored.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/findings.h>

#include <algorithm>
#include <regex>

#include "engine/check/bitwise.h"
#include "engine/check/probe_checks.h"
#include "engine/run/results.h"

namespace orrery::engine::checks {
namespace {

using torch::Tensor;

bool is_file_name(const std::string& name) {
  static const std::regex allowed("[a-z0-9_]+");
  return std::regex_match(name, allowed);
}

std::string shape(const Tensor& x) { return fmt::format("[{}]", fmt::join(x.sizes(), ", ")); }

bool all_finite(const Tensor& x) { return x.to(torch::kFloat64).isfinite().all().item<bool>(); }

// Tick labels name the positions 0, 1, ...; every drawn position must have one.
std::string ticks_fault(const char* axis, const std::vector<std::string>& ticks, const Tensor& at,
                        int64_t n) {
  if (ticks.empty()) return "";
  const int64_t least = at.defined() && at.numel() > 0 ? at.min().item<int64_t>() : 0;
  const int64_t last = at.defined() && at.numel() > 0 ? at.max().item<int64_t>() : n - 1;
  if (least < 0 || last >= static_cast<int64_t>(ticks.size()))
    return fmt::format("{} runs from {} to {}, and {}_ticks has {} names", axis, least, last, axis,
                       ticks.size());
  return "";
}

std::string heatmap_fault(const Figure& figure, const Trace& trace) {
  if (!trace.z.defined() || trace.z.dim() != 2) return "a heatmap needs z [rows, columns]";
  const int64_t rows = trace.z.size(0), columns = trace.z.size(1);
  if (trace.x.defined() && trace.x.numel() != columns)
    return fmt::format("z is {}, and x {}", shape(trace.z), shape(trace.x));
  if (trace.y.defined() && trace.y.numel() != rows)
    return fmt::format("z is {}, and y {}", shape(trace.z), shape(trace.y));
  if (!trace.facet.empty() || !trace.labels.empty() || trace.y_error.defined())
    return "facets, labels and error bars are not for heatmaps";
  const std::string fault = ticks_fault("x", figure.x_ticks, trace.x, columns);
  return fault.empty() ? ticks_fault("y", figure.y_ticks, trace.y, rows) : fault;
}

std::string histogram_fault(const Trace& trace) {
  if (!trace.x.defined() || trace.x.dim() != 1) return "a histogram needs x [n], the values that it counts";
  if (trace.y.defined() || trace.z.defined() || trace.y_error.defined()) return "a histogram has x alone";
  return "";
}

// What belongs to each point of a trace: an error bar, a name.
std::string points_fault(const Trace& trace) {
  const int64_t n = trace.y.numel(), n_labels = static_cast<int64_t>(trace.labels.size());
  if (n_labels > 0 && n_labels != n) return fmt::format("it has {} points, and {} labels", n, n_labels);
  if (!trace.y_error.defined()) return "";
  const auto sizes = trace.y_error.sizes();
  if (sizes != torch::IntArrayRef{n} && sizes != torch::IntArrayRef({2, n}))
    return fmt::format("y is {}, and y_error {}; expected [{}] or [2, {}]", shape(trace.y),
                       shape(trace.y_error), n, n);
  return trace.y_error.lt(0).any().item<bool>() ? "y_error has negative values; it holds lengths" : "";
}

std::string curve_fault(const Figure& figure, const Trace& trace) {
  if (!trace.x.defined() || !trace.y.defined() || trace.x.dim() != 1 || trace.y.dim() != 1)
    return "it needs x [n] and y [n]";
  if (trace.x.numel() != trace.y.numel())
    return fmt::format("x is {}, and y {}", shape(trace.x), shape(trace.y));
  if (trace.z.defined()) return "z is for heatmaps";
  if (!all_finite(trace.x)) return "x is not finite";
  if (figure.x_log && trace.x.numel() > 0 && trace.x.min().item<double>() <= 0)
    return fmt::format("x goes down to {}, on a logarithmic axis", trace.x.min().item<double>());
  if (const std::string fault = points_fault(trace); !fault.empty()) return fault;
  return ticks_fault("x", figure.x_ticks, trace.x, trace.x.numel());
}

std::string trace_fault(const Figure& figure, const Trace& trace) {
  if (figure.kind == Figure::Kind::heatmap) return heatmap_fault(figure, trace);
  return figure.kind == Figure::Kind::histogram ? histogram_fault(trace) : curve_fault(figure, trace);
}

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
    for (const KeptWeights& checkpoint : fixture->checkpoints()) {
      const Result result = see(probe.measure(*fixture, *fixture->at(checkpoint), checkpoint.step));
      if (result.verdict == Verdict::failed)
        return failed(fmt::format("{}, step {}: {}", fixture->name(), checkpoint.step, result.seen),
                      result.advice);
    }
  }
  return ok();
}

std::string name_fault(const std::string& name) {
  if (name.empty() || name.front() == '/' || name.back() == '/' || name.find("//") != std::string::npos)
    return fmt::format("the name \"{}\" has an empty part", name);
  const auto control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  return std::any_of(name.begin(), name.end(), control)
             ? fmt::format("the name \"{}\" has control characters", name)
             : "";
}

// Writing and reading back must give the same record.
std::string stored_fault(const Record& record) {
  for (const auto& [name, value] : record.scalars)
    if (const std::string fault = name_fault(name); !fault.empty()) return fault;
  for (const auto& [name, value] : record.tensors)
    if (const std::string fault = name_fault(name); !fault.empty()) return fault;
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

std::string figure_fault(const Figure& figure) {
  if (!is_file_name(figure.name))
    return fmt::format("the name \"{}\" is not of lower case letters, digits and underscores", figure.name);
  if (figure.title.empty() || figure.x_label.empty() || figure.y_label.empty())
    return fmt::format("\"{}\" has no title, or an axis has no label", figure.name);
  for (const Trace& trace : figure.traces) {
    const std::string fault = trace_fault(figure, trace);
    if (!fault.empty()) return fmt::format("\"{}\", trace \"{}\": {}", figure.name, trace.name, fault);
  }
  return "";
}

std::string finding_fault(const Finding& finding) {
  if (!is_file_name(finding.name) || !is_file_name(finding.kind))
    return fmt::format("its name \"{}\" or kind \"{}\" is not of lower case letters, digits and underscores",
                       finding.name, finding.kind);
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
      if (const std::string fault = figure_fault(figure); !fault.empty())
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
