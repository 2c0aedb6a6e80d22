#include "engine/report/report_choices.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <nlohmann/json.hpp>

#include "engine/config/config_keys.h"
#include "engine/experiment/experiment.h"
#include "engine/run/json_read.h"

namespace orrery::engine {
namespace {

// "train.lr 0.01". Throws if the task or the model is unknown.
std::vector<std::string> changed(const Registry& registry, const nlohmann::ordered_json& config) {
  const ParametersOf parameters_of = parameters_from(registry);
  parameters_of("task", config.at("task").at("name"));
  parameters_of("model", config.at("model").at("kind"));
  std::vector<std::string> texts;
  for (const auto& [key, value] : changed_keys(config, parameters_of, Sections::all))
    texts.push_back(fmt::format("{} {}", key, value_text(value)));
  return texts;
}

}  // namespace

ReportChoices report_choices(const Registry& registry, const RunDirectory& run) {
  ReportChoices choices;
  for (const auto& plugin : registry.plugins())
    if (plugin->kind == PluginKind::probe) choices.summaries[plugin->name] = plugin->summary;
  try {
    choices.differences = changed(registry, parse_object(run.read_run_json(), "run.json").at("config"));
  } catch (const Error&) {  // an unknown task or version
  } catch (const nlohmann::json::exception&) {
  }
  return choices;
}

void write_report(const RunDirectory& run, const ReportChoices& choices, const std::filesystem::path& file,
                  Reporter& reporter) {
  require_page();
  const Report report = make_report(run, choices);
  const std::string html = html_page(report.title + " · Orrery", "report", report.json, report.numbers);
  write_file(file, html);
  reporter.note(fmt::format("{}: {:.1f} MB, {} figures", file.string(),
                            static_cast<double>(html.size()) / 1e6, report.n_figures));
  for (const std::string& line : report.notes) reporter.note("  " + line);
}

}  // namespace orrery::engine
