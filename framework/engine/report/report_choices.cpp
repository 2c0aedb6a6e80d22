#include "engine/report/report_choices.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <nlohmann/json.hpp>
#include <set>

#include "engine/experiment/experiment.h"

namespace orrery::engine {
namespace {

using json = nlohmann::ordered_json;

// What the config would be if it named nothing but the task and the kind of model.
json plain_config(const Registry& registry, const json& config) {
  const json least = {{"task", {{"name", config.at("task").at("name")}}},
                      {"model", {{"kind", config.at("model").at("kind")}}}};
  return json::parse(
      to_json(resolve(Document::from_json(least.dump(), "run.json"), parameters_from(registry))));
}

void add_differences(const json& config, const json& plain, const std::string& where,
                     std::vector<std::string>& differences) {
  static const std::set<std::string> not_settings = {"name", "probe", "verify", "expect"};
  for (const auto& [key, value] : config.items()) {
    if (where.empty() && not_settings.count(key) > 0) continue;
    const bool known = plain.is_object() && plain.contains(key);
    if (value.is_object())
      add_differences(value, known ? plain[key] : json(), where + key + ".", differences);
    else if (known && value != plain[key])
      differences.push_back(
          fmt::format("{}{} {}", where, key, value.is_string() ? value.get<std::string>() : value.dump()));
  }
}

}  // namespace

ReportChoices report_choices(const Registry& registry, const RunDirectory& run) {
  ReportChoices choices;
  for (const auto& plugin : registry.plugins())
    if (plugin->kind == PluginKind::probe) choices.summaries[plugin->name] = plugin->summary;
  try {
    const json config = json::parse(run.read_run_json()).at("config");
    add_differences(config, plain_config(registry, config), "", choices.differences);
  } catch (const Error&) {  // of a task or a version that is not here
  } catch (const json::exception&) {
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
