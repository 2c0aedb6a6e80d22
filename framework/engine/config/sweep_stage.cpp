// The grids of a sweep file, and its stages.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <charconv>

#include "engine/config/reader.h"
#include "engine/config/sweep_reader.h"

namespace orrery::engine {
namespace {

Names<Keep> keeps() {
  return {{"all", Keep::all}, {"last", Keep::last}, {"logarithmic", Keep::logarithmic}, {"none", Keep::none}};
}

SweepAxis read_zip(const Table& table) {
  std::vector<std::vector<Override>> columns;
  for (const WrittenKey& key : written_keys(table)) columns.push_back(read_listed(key));
  if (columns.empty()) refuse(table.place(), "[[zip]] has no keys");
  SweepAxis axis(columns.front().size());
  for (const auto& column : columns) {
    if (column.size() != axis.size())
      refuse(column.front().place,
             fmt::format("{} has {} values, {} has {}", column.front().key, column.size(),
                         columns.front().front().key, axis.size()),
             "the lists of one [[zip]] go together, entry by entry");
    for (size_t i = 0; i < column.size(); ++i) axis[i].push_back(column[i]);
  }
  return axis;
}

StartRule read_start_rule(const Table& entry, const std::string& text) {
  try {
    return parse_start_rule(text);
  } catch (const UsageError& error) {
    refuse(entry.value_place("checkpoint"), fmt::format("checkpoint: {}", error.what()), error.hint());
  }
}

void check_start(const Table& entry, const SweepStage& stage, const std::vector<std::string>& earlier) {
  if (stage.starts_anew() && entry.has("checkpoint"))
    refuse(entry.place("checkpoint"), "checkpoint: this stage starts anew",
           "say from the runs of which stage: from = \"NAME\"");
  if (!stage.sweep.empty() || stage.from.empty()) return;
  if (std::find(earlier.begin(), earlier.end(), stage.from) != earlier.end()) return;
  refuse(entry.value_place("from"),
         fmt::format("from: there is no earlier [[stage]] \"{}\"{}", stage.from,
                     did_you_mean(stage.from, earlier)),
         earlier.empty() ? "this is the first one; for a stage of another sweep say: sweep = \"FOLDER\""
                         : fmt::format("there are: {}", fmt::join(earlier, ", ")));
}

SweepStage read_stage(const Table& entry, const std::vector<std::string>& earlier, Keep keep,
                      const std::string& keep_place) {
  const auto text = [](const char* name, const char* fallback) {
    return Field{name, std::string(fallback), "", {}, {}, {}};
  };
  const Values values =
      bind_fields(entry, {text("from", ""), text("sweep", ""), text("checkpoint", "last"), keep_field("all")},
                  "[[stage]]", {"name", "set", "grid", "zip", "exclude", "point"});
  const auto text_of = [&](const char* key) { return std::get<std::string>(values.at(key)); };
  SweepStage stage{read_word(entry, "[[stage]]", earlier), entry.place(), text_of("from"), text_of("sweep"),
                   read_start_rule(entry, text_of("checkpoint"))};
  stage.start_place = entry.value_place("checkpoint");
  check_start(entry, stage, earlier);
  stage.keep = entry.has("keep") ? keep_of(values) : keep;
  stage.kept = kept_as_keys(stage.keep, entry.has("keep") ? entry.value_place("keep") : keep_place);
  stage.fixed = read_overrides(entry.table("set"));
  stage.grid = read_grid(entry);
  return stage;
}

}  // namespace

StartRule parse_start_rule(const std::string& text) {
  const std::string step = "step ", first = "first ";
  StartRule rule;
  rule.text = text;
  if (text == "last") return rule;
  if (text.starts_with(step)) {
    const char* end = text.data() + text.size();
    const auto [at, failure] = std::from_chars(text.data() + step.size(), end, rule.step);
    rule.kind = StartRule::Kind::step;
    if (failure == std::errc() && at == end && rule.step >= 0) return rule;
  }
  if (text.starts_with(first)) {
    rule.kind = StartRule::Kind::first;
    rule.condition = Condition::parse(text.substr(first.size()));
    if (!rule.condition.empty()) return rule;
  }
  throw UsageError(fmt::format("expected \"last\", \"step NUMBER\" or \"first METRIC >= NUMBER\", got {}",
                               to_string(Value(text))),
                   "for example \"first test/accuracy >= 0.99\"");
}

Field keep_field(const std::string& fallback) {
  std::vector<std::string> choices;
  for (const auto& [text, keep] : keeps()) choices.push_back(text);
  return {"keep", fallback, "which checkpoints to keep", {}, {}, choices};
}

Keep keep_of(const Values& values) {
  for (const auto& [text, keep] : keeps())
    if (text == std::get<std::string>(values.at("keep"))) return keep;
  return Keep::all;
}

// Every run keeps its first and its last checkpoint; "none" is of the same schedule and cleared at the end.
std::vector<Override> kept_as_keys(Keep keep, const std::string& place) {
  if (keep == Keep::all) return {};
  const int64_t per_decade = keep == Keep::logarithmic ? 5 : 0;
  return {{"checkpoints.every", int64_t{0}, place}, {"checkpoints.per_decade", per_decade, place}};
}

SweepGrid read_grid(const Table& owner) {
  SweepGrid read;
  const Table grid = owner.table("grid");
  for (const WrittenKey& key : written_keys(grid)) {
    SweepAxis axis;
    for (Override& value : read_listed(key)) axis.push_back({std::move(value)});
    read.axes.push_back(std::move(axis));
  }
  for (const Table& zip : owner.tables("zip")) read.axes.push_back(read_zip(zip));
  for (const Table& table : owner.tables("exclude")) read.excluded.push_back(read_part(table));
  for (const Table& table : owner.tables("point")) read.points.push_back(read_overrides(table));
  return read;
}

std::vector<SweepStage> read_stages(const std::vector<Table>& entries, Keep keep,
                                    const std::string& keep_place) {
  std::vector<SweepStage> stages;
  std::vector<std::string> names;
  for (const Table& entry : entries) {
    stages.push_back(read_stage(entry, names, keep, keep_place));
    names.push_back(stages.back().name);
  }
  return stages;
}

}  // namespace orrery::engine
