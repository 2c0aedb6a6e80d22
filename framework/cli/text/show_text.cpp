#include "cli/text/show_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "cli/text/summary.h"
#include "cli/text/table.h"
#include "cli/text/tables.h"
#include "cli/text/terminal.h"
#include "engine/inspect/changes.h"
#include "engine/reporter/numbers.h"
#include "engine/training/training_run.h"

namespace orrery::cli {
namespace {

constexpr size_t fact_column = 17;  // where the text of a fact begins

std::string bold(const std::string& text) { return styled(Style::bold, text, Stream::out); }
std::string dim(const std::string& text) { return styled(Style::dim, text, Stream::out); }

// The lines "  name    text" at the top.
class Facts {
 public:
  explicit Facts(size_t width) : width_(width) {}
  void add(const std::string& name, const std::string& text) {
    if (text.empty()) return;
    const std::string block = wrapped(std::string(fact_column, ' ') + text, fact_column, width_);
    out_ += fmt::format("  {:<{}}{}\n", name, fact_column - 2, block.substr(fact_column));
  }
  const std::string& text() const { return out_; }

 private:
  size_t width_;
  std::string out_;
};

// The keys of these sections that are not at their defaults.
std::string changed_text(const RunJson& info, const ParametersOf& parameters_of,
                         const std::vector<std::string>& sections) {
  auto keys = changed_keys(info.config, parameters_of);
  std::erase_if(keys, [&](const auto& entry) {
    return entry.first == "train.steps" || entry.first == "train.stop_when" ||
           std::find(sections.begin(), sections.end(), section_of(entry.first)) == sections.end();
  });
  return keys_text(keys);
}

std::string seeds_text(const RunJson& info) {
  std::vector<std::string> parts;
  if (const auto seeds = info.config.find("seeds"); seeds != info.config.end() && seeds->is_object())
    for (const auto& [name, value] : seeds->items())
      parts.push_back(fmt::format("{} {}", name, value_text(value)));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string state_text(const RunOverview& seen) {
  const std::string path = seen.root.string(), stop_when = seen.info ? seen.info->stop_when() : "";
  switch (seen.state) {
    case RunState::finished:
      return (seen.info->ended() == "condition" ? "finished, as " + stop_when : "finished") +
             (seen.being_written ? "; a process is writing to it now" : "");
    case RunState::training:
      return "being trained now";
    case RunState::interrupted:
      if (!seen.resumable_from) return "interrupted, without a checkpoint that it could go on from";
      return fmt::format("interrupted; go on from step {} with: orrery train --resume {}",
                         thousands(*seen.resumable_from), path);
    case RunState::diverged:
      return "diverged: the loss became NaN or infinite";
    case RunState::imported:
      return "imported";
    case RunState::damaged:
      return "damaged: run.json cannot be read";
  }
  return "";
}

std::string time_text(const RunJson& info) {
  if (info.sessions.empty()) return "";
  double seconds = 0;
  for (const SessionInfo& session : info.sessions) seconds += session.seconds.value_or(0);
  const SessionInfo& last = info.sessions.back();
  std::string text = fmt::format("{} in {} session{}, {} thread{} on {}", duration(seconds),
                                 info.sessions.size(), info.sessions.size() > 1 ? "s" : "", last.threads,
                                 last.threads == 1 ? "" : "s", last.device);
  if (!last.blas_core.empty()) text += fmt::format(" ({})", last.blas_core);
  return text + fmt::format(", the last begun {}", last.started);
}

std::string versions_text(const RunJson& info) {
  std::vector<std::string> parts = {"orrery " + info.orrery, "LibTorch " + info.torch};
  for (const PluginInfo& plugin : info.plugins) {
    const std::string text = fmt::format("{} {}", plugin.name, plugin.version);
    if (std::find(parts.begin(), parts.end(), text) == parts.end()) parts.push_back(text);
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string steps_text(const RunOverview& seen) {
  const int64_t asked = seen.info ? seen.info->steps() : 0;
  const std::string done = thousands(seen.step());
  if (asked == 0 || seen.state == RunState::imported) return done;
  return asked == seen.step() ? fmt::format("{}, all that were asked for", done)
                              : fmt::format("{} of {}", done, thousands(asked));
}

std::string checkpoints_text(const RunOverview& seen) {
  const auto& all = seen.checkpoints;
  if (all.empty()) return "none";
  return fmt::format("{}, steps {} to {}, {} on disk", thousands(static_cast<int64_t>(all.size())),
                     thousands(all.front().step), thousands(all.back().step),
                     bytes_text(seen.checkpoint_bytes));
}

std::string head_text(const RunOverview& seen, const ParametersOf& parameters_of, size_t width) {
  Facts facts(width);
  std::string title = bold(seen.root.string());
  if (const auto& info = seen.info)
    title = wrapped(network_text(info->name(), info->model(), info->task(),
                                 {info->n_parameters, info->n_train, info->n_test, info->endless}),
                    2, width);
  if (const size_t colon = title.find(':'); seen.info && colon != std::string::npos)
    title = bold(title.substr(0, colon)) + title.substr(colon);
  if (seen.info) {
    const RunJson& info = *seen.info;
    facts.add("task", changed_text(info, parameters_of, {"task"}));
    facts.add("model", changed_text(info, parameters_of, {"model", "init"}));
    facts.add("training", changed_text(info, parameters_of, {"train", "checkpoints"}));
    facts.add("seeds", seeds_text(info));
  }
  facts.add("steps", steps_text(seen));
  facts.add("state", state_text(seen));
  if (seen.info) {
    facts.add("time", time_text(*seen.info));
    facts.add("versions", versions_text(*seen.info));
  }
  facts.add("checkpoints", checkpoints_text(seen));
  facts.add("run directory", seen.root.string());
  return title + "\n" + facts.text();
}

// A line of a table of curves; `more` is its fourth column.
struct CurveLine {
  const Curve* curve;
  std::string name, more;
};

// Every table of a run has the same columns, so that its sparklines stand below each other.
class CurveTables {
 public:
  CurveTables(size_t width, int64_t last_step, Glyphs glyphs)
      : width_(width), last_step_(last_step), glyphs_(glyphs) {}

  void measure(const std::vector<CurveLine>& lines) {
    for (const CurveLine& line : lines) {
      name_ = std::max(name_, std::min<size_t>(width_of(line.name), 30));
      more_ = std::max(more_, width_of(line.more));
    }
  }

  std::string text(const std::vector<CurveLine>& lines, const std::string& more) const {
    if (lines.empty()) return "";
    std::string out = dim(fmt::format("  {:<{}}{:>9}{:>9}  {}", "", name_, "first", "last", more)) + "\n";
    for (const CurveLine& line : lines) {
      const size_t pad = name_ - std::min(name_, width_of(line.name));
      std::string row = fmt::format("  {}{}{:>9}{:>9}  ", cut(line.name, name_), std::string(pad, ' '),
                                    compact(line.curve->values.front()), compact(line.curve->values.back()));
      row += line.more + std::string(more_ - width_of(line.more) + 2, ' ');
      const size_t used = name_ + more_ + 24, most = 60;
      if (width_ >= used + 8)
        row += sparkline(*line.curve, last_step_, std::min(most, width_ - used), glyphs_);
      out += row.substr(0, row.find_last_not_of(' ') + 1) + "\n";
    }
    return out;
  }

 private:
  size_t width_;
  int64_t last_step_;
  Glyphs glyphs_;
  size_t name_ = 12, more_ = 4;
};

// Whether it is of a training or test set of no examples.
bool of_empty_set(const RunOverview& seen, const Curve& curve) {
  const std::string set = curve.name.substr(0, curve.name.find('/'));
  return seen.metric(set + "/accuracy") && !seen.scored(set);
}

std::vector<CurveLine> metric_lines(const RunOverview& seen) {
  std::vector<CurveLine> lines;
  for (const Curve& curve : seen.metrics) {
    if (of_empty_set(seen, curve)) continue;
    const auto point = best(curve);
    lines.push_back({&curve, curve.name,
                     point ? fmt::format("{} at {}", compact(point->value), thousands(point->step)) : ""});
  }
  // The losses of groups, train/loss/GROUP, come after the metrics that every run has.
  std::stable_partition(lines.begin(), lines.end(), [](const CurveLine& line) {
    return std::count(line.name.begin(), line.name.end(), '/') < 2;
  });
  return lines;
}

std::vector<CurveLine> headline_lines(const ProbeOverview& probe) {
  std::vector<CurveLine> lines;
  for (const Curve& curve : probe.headlines) {
    std::string null;
    if (probe.null)
      for (const auto& [name, value] : probe.null->record.scalars)
        if (name == curve.name) null = compact(value);
    lines.push_back({&curve, curve.name, null});
  }
  return lines;
}

// "train/accuracy reached 0.99 at step 140; test/accuracy at step 3,150, 3,010 steps later".
std::string threshold_text(const RunOverview& seen) {
  for (const char* set : {"train", "test"})
    if (seen.metric(set + std::string("/accuracy")) && !seen.scored(set))
      return fmt::format("there are no {} examples", set);
  const Curve *train = seen.metric("train/accuracy"), *test = seen.metric("test/accuracy");
  if (!train || !test || seen.n_rows < 2) return "";
  const auto train_at = first_at_least(*train, 0.99), test_at = first_at_least(*test, 0.99);
  const auto at = [](const char* name, std::optional<int64_t> step) {
    return step ? fmt::format("{} accuracy reached 0.99 at step {}", name, thousands(*step))
                : fmt::format("{} accuracy did not reach 0.99", name);
  };
  std::string text = at("train", train_at) + "; " + at("test", test_at);
  if (train_at && test_at && *test_at > *train_at)
    text += fmt::format(", {} steps later", thousands(*test_at - *train_at));
  return text;
}

std::string sentences(const Record& record, std::set<std::string>& told, size_t width) {
  std::string out;
  for (const Finding& finding : record.findings)
    if (const std::string words = finding_words(finding); told.insert(words).second)
      out += "  " + wrapped(words, 4, width) + "\n";
  return out;
}

// A probe's conclusion from the curves: each headline with its details.
std::string conclusion_text(const Record& record, std::set<std::string>& told, size_t width) {
  std::string out;
  for (const std::string& name : record.headlines)
    for (const auto& [known, value] : record.scalars)
      if (known == name) out += "  " + wrapped(fmt::format("{}: {:.6g}", name, value), 4, width) + "\n";
  return out + sentences(record, told, width);
}

// "at 12 checkpoints, 8 of them pruned since; no result at 2 more".
std::string measured_text(const ProbeOverview& probe) {
  std::string text =
      fmt::format("at {} checkpoint{}", thousands(probe.n_results), probe.n_results == 1 ? "" : "s");
  if (probe.n_gone > 0) text += fmt::format(", {} of them pruned since", thousands(probe.n_gone));
  const int64_t lacking = probe.n_due - probe.n_results;
  if (lacking > 0 && probe.configured) text += fmt::format("; no result at {} more", thousands(lacking));
  return text;
}

std::string probe_text(const RunOverview& seen, const ProbeOverview& probe, const CurveTables& tables,
                       std::set<std::string>& told, size_t width) {
  std::string title = probe.label;
  if (!probe.plugin.empty() && probe.plugin != probe.label) title += fmt::format(" ({})", probe.plugin);
  std::string out = "\n" + bold(title);
  if (probe.n_results > 0)
    out += fmt::format(", {}{}\n", probe.version.empty() ? "" : probe.version + ", ", measured_text(probe));
  else
    out += probe.conclusion || !probe.configured
               ? "\n"
               : fmt::format(": no results yet; orrery probe {}\n", seen.root.string());
  if (!probe.configured) out += fmt::format("  not in the config; {}\n", last_result_text(seen, probe));
  out += tables.text(headline_lines(probe), "null");
  if (probe.last) out += sentences(probe.last->record, told, width);
  if (probe.conclusion && probe.conclusion->until && *probe.conclusion->until < seen.step())
    out += fmt::format("  from the curves up to {}:\n", seen.step_text(*probe.conclusion->until));
  if (probe.conclusion && probe.conclusion->partly)
    out += fmt::format("  {}:\n", to_text(*probe.conclusion->partly));
  if (probe.conclusion) out += conclusion_text(probe.conclusion->record, told, width);
  return out;
}

}  // namespace

std::string show_text(const RunOverview& seen, const ParametersOf& parameters_of, size_t width,
                      Glyphs glyphs) {
  CurveTables tables(width, seen.step(), glyphs);
  tables.measure(metric_lines(seen));
  for (const ProbeOverview& probe : seen.probes) tables.measure(headline_lines(probe));
  std::string out = head_text(seen, parameters_of, width);
  if (!seen.metrics.empty()) {
    out += fmt::format("\n{}, {} rows\n", bold("metrics"), thousands(seen.n_rows));
    out += tables.text(metric_lines(seen), "best");
    if (const std::string text = threshold_text(seen); !text.empty())
      out += "  " + wrapped(text, 4, width) + "\n";
  }
  std::set<std::string> told;
  for (const ProbeOverview& probe : seen.probes) out += probe_text(seen, probe, tables, told, width);
  return out;
}

}  // namespace orrery::cli
