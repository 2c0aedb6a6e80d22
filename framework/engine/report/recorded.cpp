#include "engine/report/recorded.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <map>

#include "engine/run/curves.h"
#include "engine/run/json_write.h"
#include "sdk/files/tensors.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

const Json& recorded_by(const std::string& label, const Json& line, const std::string& where) {
  return member(object_at(line, "probes", where), label.c_str(), where);
}

struct Line {
  ProbeResult result;  // without figures and tensors
  Json findings;
  std::string text, where;
};

// Whole lines of the results, by step.
std::vector<Line> lines_of(const fs::path& path, const std::string& label) {
  std::vector<Line> lines;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return lines;
  for (std::string& text : read_lines(path)) {
    std::string where = fmt::format("{}:{}", path.string(), lines.size() + 1);
    Json line = result_without_figures(text, where);
    Json findings = object_at(recorded_by(label, line, where), "findings", where);
    lines.push_back(
        {parse_result(text, label, where), std::move(findings), std::move(text), std::move(where)});
  }
  std::stable_sort(lines.begin(), lines.end(),
                   [](auto& a, auto& b) { return a.result.step < b.result.step; });
  return lines;
}

// Findings in the format of a line, only at steps where they changed.
class FindingLog {
 public:
  void add(int64_t step, const Json& findings) {
    for (const auto& [name, fields] : findings.items()) {
      Json& at = at_[name];
      if (at.is_null()) at = Json::array();
      if (at.empty() || at.back()[1] != fields) at.push_back(Json::array({step, fields}));
    }
    // A finding that has disappeared.
    for (auto& [name, at] : at_)
      if (!findings.contains(name) && !at.back()[1].is_null()) at.push_back(Json::array({step, nullptr}));
  }

  // At most `most` characters for each, evenly spread.
  Json json(size_t most) const {
    Json all = Json::array();
    for (const auto& [name, at] : at_) {
      const size_t size = at.dump().size();
      Json kept = Json::array();
      for (const size_t i :
           spread(at.size(), size > most ? std::max<size_t>(2, at.size() * most / size) : at.size()))
        kept.push_back(at[i]);
      all.push_back({{"name", name}, {"at", std::move(kept)}});
    }
    return all;
  }

 private:
  std::map<std::string, Json> at_;
};

void add_figures(std::vector<FigureFrames>& all, int64_t step, std::vector<Figure> figures) {
  for (Figure& figure : figures) {
    auto known = std::find_if(all.begin(), all.end(), [&](auto& one) { return one.name == figure.name; });
    if (known == all.end()) known = all.insert(all.end(), {figure.name, {}, {}});
    known->frames.emplace_back(step, std::move(figure));
  }
}

void add_panels(std::vector<ScalarPanel>& all, const std::vector<ScalarPanel>& panels) {
  for (const ScalarPanel& panel : panels) {
    const auto known =
        std::find_if(all.begin(), all.end(), [&](auto& one) { return one.scalars == panel.scalars; });
    known == all.end() ? all.push_back(panel) : void(*known = panel);
  }
}

Json scalars_of(const Record& record) {
  Json scalars = Json::object();
  for (const auto& [name, value] : record.scalars) scalars[name] = json_real(value);
  return scalars;
}

void read_null(const RunDirectory& run, Recorded& recorded) {
  auto null = run.read_run_level(recorded.label, RunLevelResult::null);
  if (!null) return;
  recorded.null = scalars_of(null->record);
  for (Figure& figure : null->record.figures)
    for (FigureFrames& known : recorded.figures)
      if (known.name == figure.name) known.null = std::move(figure);
}

void read_conclusion(const RunDirectory& run, Recorded& recorded) {
  auto conclusion = run.read_run_level(recorded.label, RunLevelResult::conclusion);
  if (!conclusion) return;
  const fs::path path = run.probe_folder(recorded.label) / "conclusion.json";
  const Json line = parse_object(read_file(path), path.string());
  recorded.conclusion = {
      {"scalars", scalars_of(conclusion->record)},
      {"headlines", conclusion->record.headlines},
      {"findings", object_at(recorded_by(recorded.label, line, path.string()), "findings", path.string())}};
  recorded.concluded_until = conclusion->until;
  recorded.concluded_from = conclusion->partly;
  add_figures(recorded.concluding, -1, std::move(conclusion->record.figures));
}

}  // namespace

Recorded read_recorded(const RunDirectory& run, const std::string& label, const std::vector<int64_t>& steps,
                       size_t most) {
  Recorded recorded;
  recorded.label = recorded.plugin = label;
  const fs::path folder = run.probe_folder(label);
  const std::vector<Line> lines = lines_of(folder / "results.jsonl", label);
  recorded.n_results = lines.size();
  CurveReader scalars;
  FindingLog findings;
  std::vector<size_t> drawn;
  for (size_t i = 0; i < lines.size(); ++i) {
    const ProbeResult& result = lines[i].result;
    recorded.steps.push_back(result.step);
    scalars.add_row(result.step, result.record.scalars);
    recorded.headlines = result.record.headlines;
    add_panels(recorded.panels, result.record.panels);
    recorded.plugin = result.provenance ? result.provenance->probe : label;
    findings.add(result.step, lines[i].findings);
    if (steps.empty() || std::find(steps.begin(), steps.end(), result.step) != steps.end())
      drawn.push_back(i);
  }
  recorded.curves = scalars.curves();
  recorded.findings = findings.json(150'000);
  for (const size_t i : spread(drawn.size(), most)) {
    const Line& line = lines[drawn[i]];
    const auto load = [&](int64_t step) {
      return read_tensors(folder / fs::path(RunDirectory::checkpoint_name(step)).filename()).tensors;
    };
    add_figures(recorded.figures, line.result.step,
                std::move(parse_result(line.text, label, line.where, load).record.figures));
    ++recorded.n_read;
  }
  read_null(run, recorded);
  read_conclusion(run, recorded);
  return recorded;
}

}  // namespace orrery::engine
