// orrery runs DIR...: lists the runs below folders, a line each.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>
#include <memory>
#include <set>

#include "cli/commands/commands.h"
#include "cli/text/table.h"
#include "cli/text/terminal.h"
#include "engine/inspect/listing.h"
#include "engine/reporter/numbers.h"

namespace orrery::cli {
namespace {

struct RunsArguments {
  std::vector<std::string> folders, filters;
  std::string sort = "name";
  bool json = false, sweeps = false;
};

// The least width of a text column on a narrow terminal.
const std::vector<Column> columns = {{},
                                     {Align::left, 0, 8},
                                     {Align::left, 0, 16},
                                     {Align::left, 0, 16},
                                     {Align::right},
                                     {Align::right},
                                     {Align::right},
                                     {},
                                     {},
                                     {Align::left, 0, 11}};
const std::vector<std::string> groups = {"", "", "", "", "", "loss", "", "accuracy", "", ""};
const std::vector<std::string> titles = {"run",   "task", "differs", "kernels", "steps",
                                         "train", "test", "train",   "test",    "state"};

// An accuracy, which must not read 1 unless it is 1.
std::string share_text(std::optional<double> value) {
  if (!value) return "";
  return *value == 1 || *value == 0 ? fmt::format("{}", *value)
                                    : fmt::format("{:.3f}", std::floor(*value * 1e3) / 1e3);
}

std::string loss_text(std::optional<double> value) { return value ? compact(*value) : ""; }

// The loss and accuracy of "train" or "test"; "none" if the set has no examples.
std::pair<std::string, std::string> scores_text(const RunSummary& run, const std::string& set) {
  const auto share = run.metric(set + "/accuracy");
  if (share && std::isnan(*share)) return {"none", "none"};
  return {loss_text(run.metric(set + "/loss")), share_text(share)};
}

std::string steps_text(const RunSummary& run) {
  if (!run.info) return "";
  const int64_t asked = run.info->steps();
  const bool all = run.step == asked || run.state == RunState::imported;
  return all ? thousands(run.step) : fmt::format("{}/{}", thousands(run.step), thousands(asked));
}

// "loops=avx2 blas_core=Haswell", only what the listed runs differ in.
std::string kernels_text(const RunSummary& run) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : run.kernels)
    parts.push_back(fmt::format("{}={}", key, value.find(' ') == value.npos ? value : "\"" + value + "\""));
  return fmt::format("{}", fmt::join(parts, " "));
}

std::vector<std::string> cells_of(const RunSummary& run) {
  ConfigKeys differing;
  for (const Difference& difference : run.differences)
    if (!difference.common) differing.emplace_back(difference.key, difference.value);
  const auto [train_loss, train_share] = scores_text(run, "train");
  const auto [test_loss, test_share] = scores_text(run, "test");
  return {run.path.string(),
          run.info ? run.info->task() : "",
          keys_text(differing),
          kernels_text(run),
          steps_text(run),
          train_loss,
          test_loss,
          train_share,
          test_share,
          run.damage.empty() ? to_string(run.state) : "damaged: " + run.damage};
}

using Rows = std::vector<std::vector<std::string>>;

// The folder that contains all of these runs, with a trailing slash; "" if there is none.
std::string common_folder(const Rows& rows) {
  std::string common = rows[0][0];
  for (const auto& row : rows) {
    const auto [end, other] = std::mismatch(common.begin(), common.end(), row[0].begin(), row[0].end());
    common.erase(end, common.end());
  }
  return common.substr(0, common.rfind('/') + 1);
}

// Two lines of titles, then the rows, without empty columns.
Table table_of(const Rows& rows) {
  std::vector<size_t> filled;
  for (size_t i = 0; i < columns.size(); ++i)
    if (std::any_of(rows.begin(), rows.end(), [&](const auto& row) { return !row[i].empty(); }))
      filled.push_back(i);
  const auto chosen = [&](const auto& all) {
    std::remove_cvref_t<decltype(all)> some;
    for (const size_t i : filled) some.push_back(all[i]);
    return some;
  };
  Table table(chosen(columns));
  table.add(chosen(groups));
  table.add(chosen(titles));
  for (const auto& row : rows) table.add(chosen(row));
  return table;
}

// The same on two lines a run: what it is called and how it differs, then the rest.
std::vector<std::string> two_line_rows(const Rows& rows, size_t width) {
  constexpr size_t name = 0, differs = 2, kernels = 3;
  std::vector<Column> columns = {{}, {Align::left, 0, 8}};
  columns.insert(columns.end(), 5, {Align::right});
  columns.push_back({Align::left, 0, 11});
  Table table(columns);
  const auto rest = [](const std::vector<std::string>& row) {
    std::vector<std::string> some = {""};
    for (size_t i = 1; i < row.size(); ++i)
      if (i != differs && i != kernels) some.push_back(row[i]);
    return some;
  };
  table.add(rest(groups));
  table.add(rest(titles));
  for (const auto& row : rows) table.add(rest(row));
  table.fit(width);
  std::vector<std::string> lines = table.lines();
  for (size_t i = rows.size(); i-- > 0;) {
    std::string head = rows[i][name];
    for (const size_t more : {differs, kernels})
      if (!rows[i][more].empty()) head += "  " + rows[i][more];
    lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(i + 2), head);
  }
  for (std::string& line : lines) line = cut(line, width);
  return lines;
}

std::string table_text(const std::vector<RunSummary>& runs) {
  Rows rows;
  for (const RunSummary& run : runs) rows.push_back(cells_of(run));
  Table table = table_of(rows);
  std::string out;
  const size_t width = line_limit();
  table.fit(width);
  if (const std::string folder = common_folder(rows); table.width() > width && !folder.empty()) {
    for (auto& row : rows) row[0].erase(0, folder.size());
    out = styled(Style::dim, cut("in " + folder, width), Stream::out) + "\n";
    table = table_of(rows);
    table.fit(width);
  }
  const bool two_lines = table.width() > width;
  const std::vector<std::string> lines = two_lines ? two_line_rows(rows, width) : table.lines();
  for (size_t i = 0; i < lines.size(); ++i) {
    const bool title = i < 2,
               damaged = !title && runs[(i - 2) / (two_lines ? 2 : 1)].state == RunState::damaged;
    out += (title     ? styled(Style::dim, lines[i], Stream::out)
            : damaged ? styled(Style::red, lines[i], Stream::out)
                      : lines[i]) +
           "\n";
  }
  return out;
}

// What is below the folders that were named: runs, and sweeps with the number of their runs.
struct Found {
  std::vector<RunSummary> runs;
  std::map<std::filesystem::path, int64_t> sweeps;
};

// `one_by_one`: the runs of sweeps, too.
Found runs_in(const std::vector<std::string>& folders, bool one_by_one) {
  std::set<std::filesystem::path> paths;  // each once, even if folders are nested
  Found found;
  for (const std::string& folder : folders)
    for (const auto& path : find_runs(folder)) {
      const auto sweep = one_by_one ? std::nullopt : sweep_below(folder, path);
      if (sweep)
        ++found.sweeps[sweep->lexically_normal()];
      else
        paths.insert(path.lexically_normal());
    }
  for (const auto& path : paths) found.runs.push_back(list_run(path));
  return found;
}

// A sweep has a table of its own.
std::string sweeps_text(const std::map<std::filesystem::path, int64_t>& sweeps) {
  std::string text;
  for (const auto& [folder, n_runs] : sweeps)
    text += fmt::format("{}: a sweep of {} runs: orrery sweep status {}\n", folder.string(),
                        thousands(n_runs), folder.string());
  return text;
}

// Where nothing was said, and nothing has been trained yet.
bool has_no_runs_yet(const RunsArguments& options) {
  return options.folders.empty() && !std::filesystem::exists("runs");
}

int runs(const RunsArguments& options) {
  if (has_no_runs_yet(options)) {
    note(
        "there is no folder runs here yet; make a first run with: orrery train configs/quickstart.toml\n"
        "runs that --out put elsewhere: orrery runs DIR");
    return 0;
  }
  const std::vector<std::string> folders =
      options.folders.empty() ? std::vector<std::string>{"runs"} : options.folders;
  const Found there = runs_in(folders, options.sweeps || options.json || !options.filters.empty());
  const std::vector<RunSummary>& found = there.runs;
  std::vector<RunSummary> chosen = filtered(found, options.filters);
  sort_runs(chosen, options.sort);
  compare_configs(chosen);
  if (chosen.empty() && !there.sweeps.empty()) {
    std::cout << sweeps_text(there.sweeps) << std::flush;
    return 0;
  }
  if (chosen.empty()) {
    note(found.empty() ? "there are no runs here; those that --out put elsewhere: orrery runs DIR"
                       : fmt::format("none of the {} runs here matches the filters", found.size()));
    return 0;
  }
  if (!options.json) {
    std::cout << table_text(chosen) << sweeps_text(there.sweeps) << std::flush;
    return 0;
  }
  for (const RunSummary& run : chosen) std::cout << listing_json(run) << "\n";
  std::cout << std::flush;
  return 0;
}

}  // namespace

Command add_runs(CLI::App& program) {
  auto options = std::make_shared<RunsArguments>();
  CLI::App* command =
      program.add_subcommand("runs", "List runs: task, differences of their configs, metrics");
  command->add_option("folders", options->folders, "Folders with runs in or below them; by default runs")
      ->type_name("DIR");
  command
      ->add_option(
          "--filter", options->filters,
          "List only runs whose config has this value, e.g. task=modular_arithmetic, p=97, train.lr=0.01, "
          "state=finished")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--sort", options->sort, "The order: name; time, newest first; or a metric, best first")
      ->type_name("KEY");
  command->add_flag("--sweeps", options->sweeps, "List the runs of sweeps one by one, too");
  command->add_flag("--json", options->json, "Print a line of JSON per run");
  command->footer(
      R"(The column "differs" shows the keys of the config on which the listed runs disagree, if a run's value is not that
of most. Parameters of tasks and models are compared among runs of the same task or model; the length of a run, its
evaluations, probes, expectations and logs are not compared. The column "kernels" shows on which implementations of
its arithmetic a run computed, where the listed runs differ in them: the same seeds then end in other bits. Losses and
accuracies are those of the last evaluation. A run that `train --out` put outside of runs is listed only if you name a
folder above it, or the run itself. A sweep below the folders takes one line; its runs are listed with --sweeps, --filter
and --json, and where the folder named is the sweep's.
Lines fit the width of the terminal (of COLUMNS, if it is set and stdout is not a terminal): cells are truncated, then
the common folder of all runs stands above the table, then each run takes two lines.

JSON: run, state, name, task, model, n_parameters, started, ended, step, steps, differs {key: value, for keys on
which the runs disagree}, kernels {key: value, likewise}, metrics {name: value}, damage (null, or what cannot be read).

Examples:
  orrery runs
  orrery runs runs/seeds runs/verify --sort test/loss
  orrery runs --filter task=modular_arithmetic --filter p=113 --json)");
  return {command, [options] { return runs(*options); }};
}

}  // namespace orrery::cli
