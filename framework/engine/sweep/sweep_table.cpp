#include "engine/sweep/sweep_table.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <map>

#include "engine/run/json_write.h"
#include "engine/verify/reading.h"

namespace orrery::engine {
namespace {

// "test/accuracy", "probe/trig_loss/loss/test".
bool is_of_test_set(const std::string& metric) {
  return ("/" + metric + "/").find("/test/") != std::string::npos;
}

ReadingValue read_one(const SweepReading& reading, const std::vector<Series>& all, bool has_test_set) {
  if (!has_test_set && (is_of_test_set(reading.question.metric) || is_of_test_set(reading.question.minus)))
    return {{}, {}, "no test set", true};
  const Series* found = find_series(all, reading.question.metric);
  if (!found) return {{}, {}, no_such_metric(all, reading.question.metric)};
  std::string why;
  const auto asked = asked_series(reading.question, *found, all, why);
  if (!asked) return {{}, {}, why};
  const Evaluated answered = answer(reading.question, *asked);
  if (answered.value) return {answered.value, {}, ""};
  return {{}, answered.not_until, answered.not_until ? "" : answered.got};
}

std::string class_of(const std::vector<SweepClass>& classes, const std::vector<SweepReading>& readings,
                     const std::vector<ReadingValue>& values) {
  std::map<std::string, double> known;
  for (size_t i = 0; i < readings.size(); ++i)
    if (values[i].value) known[readings[i].name] = *values[i].value;
  for (const SweepClass& each : classes)
    if (each.otherwise || each.condition.holds(known)) return each.name;
  return "";
}

// Of a run that diverged: no condition is asked of what it was before.
std::string class_of_diverged(const std::vector<SweepClass>& classes) {
  const auto others =
      std::find_if(classes.begin(), classes.end(), [](const SweepClass& each) { return each.otherwise; });
  return others == classes.end() ? "" : others->name;
}

void read_done(const SweepPlan& plan, SweepRow& row) {
  const auto& readings = plan.file.readings;
  const auto& claims = plan.file.claims;
  const bool with_probes =
      std::any_of(readings.begin(), readings.end(),
                  [](const SweepReading& reading) { return may_be_of_probe(reading.question); }) ||
      std::any_of(claims.begin(), claims.end(), [](const SweepClaim& claim) {
        return claim.of_curves() && may_be_of_probe(claim.subject);
      });
  std::vector<Series> all;
  std::string damage;
  try {
    all = all_series(RunDirectory::open(plan.run_folder(*row.run), RunDirectory::Access::read), with_probes);
  } catch (const Error& error) {
    damage = error.what();
  }
  for (const SweepReading& reading : readings)
    row.readings.push_back(damage.empty() ? read_one(reading, all, row.status.has_test_set)
                                          : ReadingValue{{}, {}, damage});
  for (const SweepClaim& claim : claims)
    if (claim.of_curves())
      if (const Series* found = find_series(all, claim.subject))
        for (const Point& point : found->points) row.curves[claim.subject][point.step] = point.value;
  if (damage.empty()) row.name_of_class = class_of(plan.file.classes, readings, row.readings);
}

bool may_be_censored(const SweepReading& reading) {
  return reading.question.reading.kind == Reading::Kind::first_step;
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

std::string cell_of(const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text ? *text : orrery::to_string(value);
}

std::string reading_text(double value, Digits digits) {
  return digits == Digits::all ? fmt::format("{}", value) : fmt::format("{:.6g}", value);
}

// A key of another point is left empty.
std::string key_cell(const SweptRun& run, const std::string& key) {
  for (const Override& each : run.point.coordinates())
    if (each.key == key) return cell_of(each.value);
  return "";
}

}  // namespace

std::vector<SweepRow> read_rows(const SweepPlan& plan) {
  std::vector<SweepRow> rows;
  std::vector<SweptStatus> states = status_of(plan);
  for (size_t i = 0; i < plan.runs.size(); ++i) {
    SweepRow row{&plan.runs[i], std::move(states[i]), {}, ""};
    if (row.status.state == SweptState::done) read_done(plan, row);
    if (row.status.state == SweptState::failed && row.status.diverged)
      row.name_of_class = class_of_diverged(plan.file.classes);
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<std::vector<std::string>> table_cells(const SweepPlan& plan, const std::vector<SweepRow>& rows,
                                                  Digits digits) {
  const std::vector<std::string> keys = plan.keys();
  std::vector<std::vector<std::string>> cells = {{"index", "run"}};
  auto& titles = cells.front();
  titles.insert(titles.end(), keys.begin(), keys.end());
  titles.push_back("status");
  if (!plan.file.classes.empty()) titles.push_back("class");
  for (const SweepReading& reading : plan.file.readings) {
    titles.push_back(reading.name);
    if (may_be_censored(reading)) titles.push_back(reading.name + "_censored_at");
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    const SweepRow& row = rows[i];
    std::vector<std::string> line = {std::to_string(i), row.run->id};
    for (const std::string& key : keys) line.push_back(key_cell(*row.run, key));
    line.push_back(to_string(row.status.state));
    if (!plan.file.classes.empty()) line.push_back(row.name_of_class);
    for (size_t r = 0; r < plan.file.readings.size(); ++r) {
      const ReadingValue reading = r < row.readings.size() ? row.readings[r] : ReadingValue{};
      const char* without = reading.no_test_set && digits == Digits::few ? "-" : "";
      line.push_back(reading.value ? reading_text(*reading.value, digits) : without);
      if (may_be_censored(plan.file.readings[r]))
        line.push_back(reading.censored_at ? std::to_string(*reading.censored_at) : "");
    }
    cells.push_back(std::move(line));
  }
  return cells;
}

std::string table_csv(const SweepPlan& plan, const std::vector<SweepRow>& rows) {
  std::string text;
  for (const auto& line : table_cells(plan, rows, Digits::all)) {
    for (size_t i = 0; i < line.size(); ++i) text += (i ? "," : "") + csv_cell(line[i]);
    text += "\n";
  }
  return text;
}

std::string table_json(const SweepPlan& plan, const std::vector<SweepRow>& rows) {
  std::string text;
  for (size_t i = 0; i < rows.size(); ++i) {
    const SweepRow& row = rows[i];
    Json object = {{"index", i}, {"run", row.run->id}, {"folder", plan.run_folder(*row.run).string()}};
    object["stage"] = row.run->point.stage.empty() ? Json(nullptr) : Json(row.run->point.stage);
    object["keys"] = Json::object();
    for (const Override& each : row.run->point.keys) object["keys"][each.key] = json_value(each.value);
    object["seed"] = row.run->point.seed ? Json(*row.run->point.seed) : Json(nullptr);
    object["status"] = to_string(row.status.state);
    object["error"] = row.status.error.empty() ? Json(nullptr) : Json(row.status.error);
    object["class"] = row.name_of_class.empty() ? Json(nullptr) : Json(row.name_of_class);
    object["readings"] = Json::object();
    for (size_t r = 0; r < row.readings.size(); ++r) {
      const ReadingValue& reading = row.readings[r];
      object["readings"][plan.file.readings[r].name] = {
          {"value", json_real(reading.value)},
          {"censored_at", reading.censored_at ? Json(*reading.censored_at) : Json(nullptr)},
          {"why", reading.why.empty() ? Json(nullptr) : Json(reading.why)}};
    }
    text += object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  return text;
}

}  // namespace orrery::engine
