#include "engine/report/report.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <set>

#include "engine/report/recorded.h"
#include "engine/report/thin.h"
#include "engine/reporter/numbers.h"
#include "engine/run/curves.h"
#include "engine/run/json_read.h"
#include "engine/run/run_json.h"

namespace orrery::engine {
namespace {

constexpr size_t most_checkpoints = 500;  // to read figures of, which may be megabytes each
constexpr size_t most_points = 4000;      // of a curve

Json pack_curves(const std::vector<Curve>& curves, Numbers& numbers, bool& thinned) {
  Json packed = Json::array();
  for (const Curve& curve : curves) {
    thinned |= curve.steps.size() > most_points;
    const Curve thin = thin_curve(curve, most_points);
    packed.push_back({{"name", thin.name},
                      {"steps", numbers.add_integers(thin.steps)},
                      {"values", numbers.add_float32(thin.values)}});
  }
  return packed;
}

std::string last_ended(const Json& about) {
  const Json sessions = about.value("sessions", Json::array());
  return sessions.empty() || !sessions.back().is_object() ? "" : sessions.back().value("ended", "");
}

// "modular_arithmetic · transformer with 226,688 parameters · 40,000 steps, finished"
std::string facts(const Json& about, int64_t last_step) {
  const Json config = about.value("config", Json::object());
  const auto name = [&](const char* part, const char* key) {
    return config.contains(part) && config[part].is_object() ? config[part].value(key, "") : std::string();
  };
  std::string text = name("task", "name");
  if (const std::string kind = name("model", "kind"); !kind.empty()) text += " · " + kind;
  if (about.contains("n_parameters") && about["n_parameters"].is_number_integer())
    text += fmt::format(", {} parameters", thousands(about["n_parameters"].get<int64_t>()));
  text += fmt::format(" · {} steps", thousands(last_step));
  const std::string ended = last_ended(about);
  const std::map<std::string, std::string> words = {{"finished", ""},
                                                    {"running", "still training, or interrupted"},
                                                    {"condition", "stopped by its condition"}};
  const auto word = words.find(ended);
  const std::string said = word == words.end() ? ended : word->second;
  return said.empty() ? text : text + ", " + said;
}

// The boundaries in findings of kind "phase_change", ascending, each once.
Json phases_of(const std::vector<Recorded>& probes) {
  std::vector<Json> phases;
  for (const Recorded& probe : probes)
    if (probe.conclusion.is_object())
      for (const auto& [name, finding] : probe.conclusion["findings"].items())
        if (finding.value("kind", "") == "phase_change" && finding.contains("step"))
          phases.push_back(finding);
  std::stable_sort(phases.begin(), phases.end(), [](auto& a, auto& b) { return a["step"] < b["step"]; });
  return phases;
}

void note_packing(const std::vector<FigureFrames>& figures, const Packing& packing,
                  std::vector<std::string>& notes) {
  if (packing.precision != Precision::full)
    notes.push_back(fmt::format("Heatmaps are stored to 1/{} of the largest value of each.",
                                packing.precision == Precision::sixteen_bits ? 32767 : 127));
  size_t fewer = 0, least = 0, of = 0;
  for (size_t i = 0; i < figures.size(); ++i)
    if (packing.n_frames[i] < figures[i].frames.size()) {
      if (fewer++ == 0 || packing.n_frames[i] < least) {
        least = packing.n_frames[i];
        of = figures[i].frames.size();
      }
    }
  if (fewer > 0)
    notes.push_back(
        fmt::format("{} of {} figures are shown at fewer checkpoints than were recorded, evenly "
                    "spread: the largest at {} of {}. Each figure names its step.",
                    fewer, figures.size(), least, of));
}

// Results whose checkpoint was thinned.
size_t count_gone(const RunDirectory& run, const std::vector<Recorded>& probes) {
  size_t gone = 0;
  for (const Recorded& probe : probes)
    for (const int64_t step : probe.steps) {
      std::error_code ignored;
      gone += !std::filesystem::exists(run.checkpoint_path(step), ignored);
    }
  return gone;
}

Json pack_panels(const std::vector<ScalarPanel>& panels) {
  Json packed = Json::array();
  for (const ScalarPanel& panel : panels)
    packed.push_back({{"scalars", panel.scalars}, {"title", panel.title}, {"y_label", panel.y_label}});
  return packed;
}

Json pack_probe(const Recorded& probe, const ReportChoices& choices, Numbers& numbers, bool& thinned) {
  const auto summary = choices.summaries.find(probe.plugin);
  return {{"label", probe.label},
          {"plugin", probe.plugin},
          {"summary", summary == choices.summaries.end() ? "" : summary->second},
          {"headlines", probe.headlines},
          {"panels", pack_panels(probe.panels)},
          {"curves", pack_curves(probe.curves, numbers, thinned)},
          {"findings", probe.findings},
          {"null", probe.null},
          {"conclusion", probe.conclusion},
          {"figures", Json::array()},
          {"concluding", Json::array()}};
}

// The name in its config, and the folder that it lies in where that has another name.
std::string title_of(const RunDirectory& run) {
  const std::string folder = std::filesystem::weakly_canonical(run.root()).filename().string();
  const std::string name = read_run_json(run.root()).name();
  return name.empty() || name == folder ? folder : fmt::format("{} ({})", name, folder);
}

}  // namespace

Report make_report(const RunDirectory& run, const ReportChoices& choices) {
  Report report;
  report.title = title_of(run);
  std::vector<Recorded> probes;
  for (const std::string& label : run.probe_labels()) {
    probes.push_back(read_recorded(run, label, choices.steps, most_checkpoints));
    if (probes.back().n_read < probes.back().n_results && choices.steps.empty())
      report.notes.push_back(
          fmt::format("Of {}, the figures of {} of {} checkpoints were read, evenly spread.", label,
                      probes.back().n_read, probes.back().n_results));
  }
  if (const size_t gone = count_gone(run, probes); gone > 0)
    report.notes.push_back(
        fmt::format("{} results are of checkpoints that are gone: they are shown, and cannot be "
                    "computed again.",
                    thousands(static_cast<int64_t>(gone))));
  int64_t last_result = -1;
  for (const Recorded& probe : probes)
    for (const int64_t step : probe.steps) last_result = std::max(last_result, step);
  std::set<std::string> asked;
  for (const ConfiguredProbe& probe : read_run_json(run.root()).probes()) asked.insert(probe.label);
  for (const Recorded& probe : probes)
    if (!asked.contains(probe.label) && probe.concluded_until && *probe.concluded_until < last_result)
      report.notes.push_back(
          fmt::format("The conclusion of {} is of an earlier session: it looked at steps up to {}.",
                      probe.label, thousands(*probe.concluded_until)));
  for (const Recorded& probe : probes)
    if (probe.concluded_from)
      report.notes.push_back(
          fmt::format("The conclusion of {} is {}.", probe.label, to_text(*probe.concluded_from)));
  const std::vector<Curve> metrics = read_curves(run, false).front().curves();
  const Json about = parse_object(run.read_run_json(), (run.root() / "run.json").string());

  bool thinned = false;
  Json data = {{"orrery", about.value("orrery", "")}, {"title", report.title}};
  int64_t last_step = 0;
  for (const Curve& curve : metrics)
    if (!curve.steps.empty()) last_step = std::max(last_step, curve.steps.back());
  data["facts"] = facts(about, last_step);
  data["config"] = about.value("config", Json::object());
  data["loss"] = about.value("loss", "cross_entropy");
  data["differences"] = choices.differences;
  data["phases"] = phases_of(probes);
  data["metrics"] = pack_curves(metrics, report.numbers, thinned);

  // All figures share one budget.
  std::vector<FigureFrames> figures;
  for (Recorded& probe : probes)
    for (FigureFrames& figure : probe.figures) figures.push_back(std::move(figure));
  const Packing packing = choose_packing(figures, choices.byte_budget);
  note_packing(figures, packing, report.notes);
  // Curves are stored together before the figures: the page unpacks them at once, and figures when they are
  // seen.
  data["probes"] = Json::array();
  for (const Recorded& probe : probes)
    data["probes"].push_back(pack_probe(probe, choices, report.numbers, thinned));
  size_t next = 0;
  for (size_t i = 0; i < probes.size(); ++i) {
    Json& packed = data["probes"][i];
    for (size_t j = 0; j < probes[i].figures.size(); ++j, ++next)
      packed["figures"].push_back(
          pack_figure(figures[next], packing.n_frames[next], packing.precision, report.numbers));
    for (const FigureFrames& figure : probes[i].concluding)
      packed["concluding"].push_back(pack_figure(figure, 1, Precision::full, report.numbers));
    report.n_figures += probes[i].figures.size() + probes[i].concluding.size();
  }
  if (thinned)
    report.notes.push_back(
        fmt::format("Curves of more than {} points are drawn through the least and the "
                    "greatest value of each of {} stretches.",
                    most_points, most_points / 2));
  data["notes"] = report.notes;
  report.json = data.dump(-1, ' ', false, Json::error_handler_t::replace);
  return report;
}

std::vector<int64_t> recorded_steps(const RunDirectory& run) {
  std::set<int64_t> steps;
  for (const std::string& label : run.probe_labels())
    for (const ProbeResult& result : run.read_probe_results(label, RunDirectory::ProbeData::leave_out))
      steps.insert(result.step);
  return {steps.begin(), steps.end()};
}

}  // namespace orrery::engine
