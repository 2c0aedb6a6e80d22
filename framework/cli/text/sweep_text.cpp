#include "cli/text/sweep_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "cli/text/table.h"
#include "engine/reporter/numbers.h"
#include "engine/run/json_write.h"

namespace orrery::cli {
namespace {

std::vector<size_t> in_state(const std::vector<SweptStatus>& states, SweptState wanted) {
  std::vector<size_t> indices;
  for (size_t i = 0; i < states.size(); ++i)
    if (states[i].state == wanted) indices.push_back(i);
  return indices;
}

std::string counts_text(const std::vector<SweptStatus>& states) {
  std::vector<std::string> parts;
  for (const SweptState state : swept_states())
    if (const size_t n = in_state(states, state).size(); n > 0 || state == SweptState::done)
      parts.push_back(fmt::format("{} {}", n, to_string(state)));
  return fmt::format("{}", fmt::join(parts, ", "));
}

// The values that a key takes, in the order of the runs.
std::string values_text(const SweepPlan& plan, const std::string& key) {
  std::vector<std::string> values;
  for (const SweptRun& run : plan.runs)
    for (const Override& each : run.point.coordinates())
      if (each.key == key)
        if (std::string text = to_string(each.value);
            std::find(values.begin(), values.end(), text) == values.end())
          values.push_back(std::move(text));
  constexpr size_t most = 12;
  const size_t n = values.size();
  if (n > most) {
    values.erase(values.begin() + most - 1, values.end() - 1);
    values.insert(values.end() - 1, "...");
  }
  return fmt::format("{}{}", fmt::join(values, ", "), n > most ? fmt::format(" ({} values)", n) : "");
}

std::string disk_text(const SweepEstimate& estimate) {
  if (estimate.run_bytes)
    return fmt::format("{} a run, the mean of those that are done", bytes_text(*estimate.run_bytes));
  if (estimate.least_bytes)
    return fmt::format("up to {} of weights a run; what probes store comes on top",
                       bytes_text(*estimate.least_bytes));
  return "unknown";
}

std::string time_text(const SweepEstimate& estimate, size_t left) {
  if (left == 0) return "nothing is left to do";
  if (!estimate.seconds) return "unknown until a run of this sweep is done";
  return fmt::format("about {} with one job, by steps x parameters", duration(*estimate.seconds));
}

// Which runs keep less than the sweep asks for, or "".
std::string kept_less_text(const std::vector<SweptStatus>& states) {
  std::vector<size_t> indices;
  for (size_t i = 0; i < states.size(); ++i)
    if (states[i].kept_less) indices.push_back(i);
  return indices.empty()
             ? ""
             : fmt::format(
                   "  {} done without checkpoints, as keep = \"none\" had it: {}; to have them, delete "
                   "their folders and run again\n",
                   indices.size(), indices_text(indices));
}

// Which runs have lost results since they were done, or "".
std::string lost_text(const std::vector<SweptStatus>& states) {
  std::vector<size_t> indices;
  std::string what;
  for (size_t i = 0; i < states.size(); ++i) {
    if (states[i].lost.empty()) continue;
    if (indices.empty()) what = states[i].lost;
    indices.push_back(i);
  }
  return indices.empty()
             ? ""
             : fmt::format(
                   "  {} stale, as they have lost results since they were done: {} ({}{}); "
                   "`orrery sweep run` asks their probes again\n",
                   indices.size(), indices_text(indices), what, indices.size() > 1 ? ", ..." : "");
}

std::string indented_titles(const std::string& title) { return fmt::format("  {:<11}", title); }

// A line for each stage: how many runs, what they set, what they start from.
std::string stages_text(const SweepPlan& plan) {
  Table table;
  for (const SweepStage& stage : plan.file.stages) {
    const auto n = std::count_if(plan.runs.begin(), plan.runs.end(),
                                 [&](const SweptRun& run) { return run.point.stage == stage.name; });
    std::vector<std::string> sets;
    for (const Override& each : stage.fixed)
      sets.push_back(fmt::format("{} = {}", each.key, to_string(each.value)));
    std::string text = fmt::format("{} runs", n);
    if (!stage.starts_anew())
      text += fmt::format(", each from {} of its run{}{}",
                          stage.start.text == "last" ? "the last checkpoint" : stage.start.text,
                          stage.from.empty() ? "" : " of " + stage.from,
                          stage.sweep.empty() ? "" : " in " + stage.sweep);
    if (!sets.empty()) text += fmt::format("; sets {}", fmt::join(sets, ", "));
    table.add({"  stage", stage.name, text});
  }
  return table.text();
}

// The lines of the runs in `state`, with what is wrong.
void add_errors(const SweepPlan& plan, const std::vector<SweptStatus>& states, SweptState state,
                Table& table) {
  for (const size_t i : in_state(states, state))
    table.add({fmt::format("  {}", i), plan.runs[i].id, to_string(state), point_text(plan.runs[i].point),
               states[i].error});
}

}  // namespace

std::string plan_text(const SweepPlan& plan, const std::vector<SweptStatus>& states,
                      const SweepEstimate& estimate) {
  std::string text =
      fmt::format("{}: {} runs of {}\n", plan.file.name, plan.runs.size(), plan.file.base_path);
  Table keys;
  for (const Override& each : plan.file.fixed) keys.add({"  set", each.key, to_string(each.value)});
  for (const std::string& key : plan.keys())
    if (key != "stage")
      keys.add({"  vary", key == "seed" ? fmt::format("seed ({})", fmt::join(plan.file.seeds_of, ", ")) : key,
                values_text(plan, key)});
  text += keys.text();
  text += stages_text(plan);
  if (plan.n_points > plan.runs.size())
    text += fmt::format("{}{} of {} points resolve to the config of another\n", indented_titles("same"),
                        plan.n_points - plan.runs.size(), plan.n_points);
  text += indented_titles("state") + counts_text(states) + "\n" + kept_less_text(states);
  const size_t left = states.size() - in_state(states, SweptState::done).size();
  text += indented_titles("time") + time_text(estimate, left) + "\n";
  text += indented_titles("disk") + disk_text(estimate) + "\n";
  text += indented_titles("folder") + plan.folder.string() + "\n";
  if (const auto left_behind = left_over(plan); !left_behind.empty()) {
    constexpr size_t most = 10;
    const std::vector<std::string> shown(left_behind.begin(),
                                         left_behind.begin() + std::min(most, left_behind.size()));
    text += fmt::format("{}{} of {}, of no run of this plan: {}{}\n", indented_titles("left over"),
                        left_behind.size(), (plan.folder / "runs").string(), fmt::join(shown, ", "),
                        left_behind.size() > most ? ", ..." : "");
  }
  return text;
}

std::string status_text(const SweepPlan& plan, const std::vector<SweptStatus>& states, bool only_failed,
                        bool indices) {
  std::string text;
  if (indices && only_failed) return indices_text(in_state(states, SweptState::failed)) + "\n";
  if (!only_failed)
    text = fmt::format("{}: {} runs: {}\n", plan.file.name, states.size(), counts_text(states));
  if (indices) {
    Table table;
    for (const SweptState state : swept_states())
      if (const auto found = in_state(states, state); !found.empty())
        table.add({"  " + to_string(state), indices_text(found)});
    return text + table.text();
  }
  Table table;
  add_errors(plan, states, SweptState::failed, table);
  if (!only_failed) {
    add_errors(plan, states, SweptState::damaged, table);
    add_errors(plan, states, SweptState::blocked, table);
  }
  text += table.text();
  if (only_failed) return text;
  for (size_t i = 0; i < states.size(); ++i)
    if (!states[i].waits.empty() && !plan.runs[i].start->sweep.empty()) {
      text += fmt::format("  {} of {}: {}\n", i, plan.runs[i].point.stage, states[i].waits);
      break;
    }
  if (!in_state(states, SweptState::damaged).empty())
    text += "  `orrery sweep run` sets damaged runs aside and makes them anew\n";
  return text + lost_text(states) + kept_less_text(states);
}

std::string table_note(const SweepPlan& plan, const std::vector<SweepRow>& rows) {
  size_t damaged = 0, unread = 0, without = 0;
  std::string what, why;
  for (const SweepRow& row : rows) {
    if (row.status.state == SweptState::damaged && damaged++ == 0)
      what = fmt::format("{}: {}", row.run->id, row.status.error);
    without += std::any_of(row.readings.begin(), row.readings.end(),
                           [](const ReadingValue& reading) { return reading.no_test_set; });
    for (size_t r = 0; r < row.readings.size(); ++r)
      if (!row.readings[r].why.empty() && !row.readings[r].no_test_set && unread++ == 0)
        why = fmt::format("{} of {}: {}", plan.file.readings[r].name, row.run->id, row.readings[r].why);
  }
  std::string text;
  if (damaged > 0)
    text = fmt::format(
        "{} of {} runs are damaged, so nothing is read from them ({}); `orrery sweep run` sets "
        "them aside and makes them anew",
        damaged, rows.size(), what);
  if (unread > 0)
    text += fmt::format("{}{} readings are empty because they could not be read ({})",
                        text.empty() ? "" : "\n", unread, why);
  if (without > 0)
    text += fmt::format("{}{} of {} runs have no test set, and no readings of one", text.empty() ? "" : "\n",
                        without, rows.size());
  return text;
}

std::string sweep_table_text(const SweepPlan& plan, const std::vector<SweepRow>& rows) {
  std::vector<std::vector<std::string>> cells = table_cells(plan, rows, Digits::few);
  // A censored reading in its own column, for people.
  for (size_t column = 0; column < cells.front().size(); ++column) {
    if (!cells.front()[column].ends_with("_censored_at")) continue;
    for (size_t row = 1; row < cells.size(); ++row)
      if (const std::string at = cells[row][column]; !at.empty())
        cells[row][column - 1] = fmt::format("never (> {})", at);
    for (auto& line : cells) line.erase(line.begin() + static_cast<std::ptrdiff_t>(column));
    --column;
  }
  Table table;
  for (auto& line : cells) table.add(std::move(line));
  return table.text();
}

std::string sweep_verdict_table(const std::vector<SweepVerdict>& verdicts, size_t width) {
  Table table({{Align::left, 0, 14, true},
               {Align::left, 0, 12, true},
               {Align::left, 0, 10, true},
               {Align::right},
               {Align::left, 0, 12, true}});
  table.add({"expected", "got", "95 % interval", "n", "source", "verdict"});
  for (const SweepVerdict& each : verdicts)
    table.add({sentence(*each.claim), each.got, each.interval.empty() ? "-" : each.interval,
               std::to_string(each.n), cited(each.claim->source, each.claim->claim),
               each.passed ? "ok" : "FAILED"});
  return table.text(width);
}

std::string sweep_verdict_json(const std::string& file, const std::vector<SweepVerdict>& verdicts) {
  std::string out;
  for (const SweepVerdict& each : verdicts)
    out += Json{{"config", file},
                {"expected", sentence(*each.claim)},
                {"claim", each.claim->claim},
                {"source", each.claim->source},
                {"got", each.got},
                {"interval", each.interval},
                {"n", each.n},
                {"passed", each.passed}}
               .dump(-1, ' ', false, Json::error_handler_t::replace) +
           "\n";
  return out;
}

}  // namespace orrery::cli
