// orrery runs DIR...: the runs below folders, a line each.
#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <set>

#include "cli/commands/commands.h"
#include "cli/text/terminal.h"
#include "engine/inspect/listing.h"
#include "engine/reporter/numbers.h"

namespace orrery::cli {
namespace {

struct Options {
  std::vector<std::string> folders, filters;
  std::string sort = "name";
  bool json = false;
};

enum class Align { left, right };
struct Column {
  std::string group, title;
  Align align;
  size_t least;  // how far it may be narrowed where the terminal is; 0: not at all
};

const std::vector<Column> columns = {{"", "run", Align::left, 0},           {"", "task", Align::left, 8},
                                     {"", "differs", Align::left, 16},      {"", "steps", Align::right, 0},
                                     {"loss", "train", Align::right, 0},    {"", "test", Align::right, 0},
                                     {"accuracy", "train", Align::left, 0}, {"", "test", Align::left, 0},
                                     {"", "state", Align::left, 11}};

// Of an accuracy, which is not to read 1 where it is not.
std::string share_text(std::optional<double> value) {
  if (!value) return "";
  return *value == 1 || *value == 0 ? fmt::format("{}", *value)
                                    : fmt::format("{:.3f}", std::floor(*value * 1e3) / 1e3);
}

std::string loss_text(std::optional<double> value) { return value ? compact(*value) : ""; }

std::string steps_text(const ListedRun& run) {
  if (!run.info) return "";
  const int64_t asked = run.info->steps();
  const bool all = run.step == asked || run.state == RunState::imported;
  return all ? thousands(run.step) : fmt::format("{}/{}", thousands(run.step), thousands(asked));
}

std::vector<std::string> cells_of(const ListedRun& run) {
  ConfigKeys differing;
  for (const Difference& difference : run.differences)
    if (!difference.common) differing.emplace_back(difference.key, difference.value);
  return {run.path.string(),
          run.info ? run.info->task() : "",
          keys_text(differing),
          steps_text(run),
          loss_text(run.metric("train/loss")),
          loss_text(run.metric("test/loss")),
          share_text(run.metric("train/accuracy")),
          share_text(run.metric("test/accuracy")),
          run.damage.empty() ? to_string(run.state) : "damaged: " + run.damage};
}

using Rows = std::vector<std::vector<std::string>>;

// Columns without anything in them are left out.
std::vector<size_t> widths_of(const Rows& rows) {
  std::vector<size_t> widths(columns.size());
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  for (size_t i = 0; i < widths.size(); ++i)
    if (widths[i] > 0) widths[i] = std::max({widths[i], columns[i].title.size(), columns[i].group.size()});
  return widths;
}

size_t total_of(const std::vector<size_t>& widths) {
  size_t total = 0;
  for (const size_t width : widths) total += width > 0 ? width + 2 : 0;
  return total;
}

// Takes from the widest column that may be narrowed until a line fits, or nothing more can be taken.
void narrow(std::vector<size_t>& widths, size_t available) {
  while (total_of(widths) > available + 2) {
    size_t widest = columns.size();
    for (size_t i = 0; i < columns.size(); ++i)
      if (columns[i].least > 0 && widths[i] > columns[i].least &&
          (widest == columns.size() || widths[i] > widths[widest]))
        widest = i;
    if (widest == columns.size()) return;
    --widths[widest];
  }
}

// The folder that all of these runs lie in or below, with a slash behind it; "" where there is none.
std::string common_folder(const Rows& rows) {
  std::string common = rows[0][0];
  for (const auto& row : rows) {
    const auto [end, other] = std::mismatch(common.begin(), common.end(), row[0].begin(), row[0].end());
    common.erase(end, common.end());
  }
  return common.substr(0, common.rfind('/') + 1);
}

std::string line_of(const std::vector<std::string>& cells, const std::vector<size_t>& widths) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (widths[i] == 0) continue;
    const std::string text = cut(cells[i], widths[i]), pad(widths[i] - width_of(text), ' ');
    line += (columns[i].align == Align::left ? text + pad : pad + text) + "  ";
  }
  return line.substr(0, line.find_last_not_of(' ') + 1);
}

std::string table_text(const std::vector<ListedRun>& runs) {
  Rows rows;
  for (const ListedRun& run : runs) rows.push_back(cells_of(run));
  std::vector<size_t> widths = widths_of(rows);
  std::string out;
  if (output_is_terminal()) {
    narrow(widths, output_width());
    if (const std::string folder = common_folder(rows);
        total_of(widths) > output_width() + 2 && !folder.empty()) {
      for (auto& row : rows) row[0].erase(0, folder.size());
      out = styled(Style::dim, "in " + folder, Stream::out) + "\n";
      widths = widths_of(rows);
      narrow(widths, output_width());
    }
  }
  std::vector<std::string> groups, titles;
  for (const Column& column : columns) {
    groups.push_back(column.group);
    titles.push_back(column.title);
  }
  for (const auto& row : {groups, titles})
    out += styled(Style::dim, line_of(row, widths), Stream::out) + "\n";
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string line = line_of(rows[i], widths);
    out += (runs[i].state == RunState::damaged ? styled(Style::red, line, Stream::out) : line) + "\n";
  }
  return out;
}

std::vector<ListedRun> runs_in(const std::vector<std::string>& folders) {
  std::set<std::filesystem::path> paths;  // each once, even where folders lie in each other
  for (const std::string& folder : folders)
    for (const auto& path : find_runs(folder)) paths.insert(path.lexically_normal());
  std::vector<ListedRun> all;
  for (const auto& path : paths) all.push_back(list_run(path));
  return all;
}

int runs(const Options& options) {
  const std::vector<std::string> folders =
      options.folders.empty() ? std::vector<std::string>{"runs"} : options.folders;
  const std::vector<ListedRun> found = runs_in(folders);
  std::vector<ListedRun> chosen = filtered(found, options.filters);
  sort_runs(chosen, options.sort);
  compare_configs(chosen);
  if (chosen.empty()) {
    note(found.empty() ? "there are no runs here"
                       : fmt::format("none of the {} runs here is one of these", found.size()));
    return 0;
  }
  if (!options.json) {
    std::cout << table_text(chosen) << std::flush;
    return 0;
  }
  for (const ListedRun& run : chosen) std::cout << listing_json(run) << "\n";
  std::cout << std::flush;
  return 0;
}

}  // namespace

Command add_runs(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      program.add_subcommand("runs", "List runs: task, what differs in their configs, metrics");
  command->add_option("folders", options->folders, "Folders with runs in or below them; by default runs")
      ->type_name("DIR");
  command
      ->add_option("--filter", options->filters,
                   "Only runs whose config has this, e.g. task=modular_arithmetic, p=97, train.lr=0.01, "
                   "state=finished")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--sort", options->sort, "name; time, the newest first; or a metric, the best first")
      ->type_name("KEY");
  command->add_flag("--json", options->json, "Print a line of JSON per run");
  command->footer(
      R"(The column "differs" has the keys of the config that not all of the listed runs agree on, where a run has another
value than most. Parameters of tasks and models are compared among runs of the same one; how long a run is, how
often it is looked at, and probes, expectations and logs are not compared. Losses and accuracies are those of the
last evaluation. Lines are cut to the width of the terminal, and not where stdout is none; on a narrow one the folder that all
runs lie in stands above the table.

JSON: run, state, name, task, model, n_parameters, started, ended, step, steps, differs {key: value, of all that not
all runs agree on}, metrics {name: value}, damage (null, or what cannot be read).

Examples:
  orrery runs
  orrery runs runs/seeds runs/verify --sort test/loss
  orrery runs --filter task=modular_arithmetic --filter p=113 --json)");
  return {command, [options] { return runs(*options); }};
}

}  // namespace orrery::cli
