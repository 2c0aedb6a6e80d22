#include "engine/sweep_report/sweep_page.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/version.h>

#include <algorithm>
#include <limits>

#include "engine/reporter/numbers.h"
#include "engine/run/json_write.h"
#include "engine/sweep/judge_sweep.h"
#include "engine/sweep_report/page_estimates.h"
#include "engine/sweep_report/swept_curves.h"
#include "sdk/files/atomic_file.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

Json json_states(const std::vector<SweepRow>& rows) {
  Json all = Json::array();
  for (const SweptState state : swept_states()) {
    const auto n = std::count_if(rows.begin(), rows.end(),
                                 [&](const SweepRow& row) { return row.status.state == state; });
    if (n > 0 || state == SweptState::done) all.push_back({{"state", to_string(state)}, {"n", n}});
  }
  return all;
}

Json key_and_value(const Override& each) { return Json::array({each.key, orrery::to_string(each.value)}); }

// What every run of the sweep sets, beside the base.
Json json_fixed(const SweepFile& file) {
  Json all = Json::array();
  for (const auto& list : {file.kept, file.fixed})
    for (const Override& each : list) all.push_back(key_and_value(each));
  return all;
}

Json json_keys(const SweepPlan& plan, const std::vector<SweptKey>& keys) {
  Json all = Json::array();
  for (const SweptKey& key : keys)
    all.push_back({{"name", key.name},
                   {"values", key.texts},
                   {"numbers", json_reals(key.numbers)},
                   {"sets", key.is_seed() ? Json(plan.file.seeds_of) : Json::array()}});
  return all;
}

bool is_a_step(const Reading& reading) { return reading.kind >= Reading::Kind::first_step; }

// "test/accuracy, first step >= 0.99", "test/loss, end".
std::string question_text(const Expectation& question) {
  std::string text = question.metric;
  if (question.of != "every") text += ", " + question.of;
  return question.of == "every" || question.when != "always" ? text + ", " + question.when : text;
}

Json json_readings(const SweepPlan& plan) {
  Json all = Json::array();
  for (const SweepReading& reading : plan.file.readings)
    all.push_back({{"name", reading.name},
                   {"what", question_text(reading.question)},
                   {"metric", reading.question.metric},
                   {"is_step", is_a_step(reading.question.reading)},
                   {"may_never_come", reading.question.reading.kind == Reading::Kind::first_step}});
  return all;
}

Json json_classes(const SweepPlan& plan) {
  Json all = Json::array();
  for (const SweepClass& each : plan.file.classes)
    all.push_back({{"name", each.name}, {"if", each.otherwise ? "all others" : each.text}});
  return all;
}

// Relative to the folder of the page, so that both can be moved together.
std::string link_from(const fs::path& page, const fs::path& target) {
  std::error_code failed;
  const fs::path from = fs::weakly_canonical(fs::absolute(page).parent_path(), failed);
  const fs::path to = fs::weakly_canonical(fs::absolute(target), failed);
  return to.lexically_proximate(from).generic_string();
}

Json json_reading(const ReadingValue& value) {
  Json made = {{"value", json_real(value.value)}};
  if (value.censored_at) made["censored_at"] = *value.censored_at;
  if (!value.why.empty()) made["why"] = value.why;
  return made;
}

Json json_run(const SweepPlan& plan, const SweepRow& row, const fs::path& page) {
  const fs::path folder = plan.run_folder(*row.run), report = folder / "report.html";
  std::error_code ignored;
  Json run = {{"id", row.run->id},
              {"folder", folder.generic_string()},
              {"report", fs::exists(report, ignored) ? Json(link_from(page, report)) : Json(nullptr)},
              {"state", to_string(row.status.state)},
              {"diverged", row.status.diverged},
              {"error", row.status.error},
              {"step", row.status.step},
              {"seconds", row.status.seconds},
              {"class", nullptr},
              {"sets", Json::array()},
              {"readings", Json::array()}};
  for (size_t i = 0; i < plan.file.classes.size(); ++i)
    if (plan.file.classes[i].name == row.name_of_class) run["class"] = i;
  for (const Override& each : row.run->point.keys) run["sets"].push_back(key_and_value(each));
  if (row.run->point.seed)
    for (const std::string& key : plan.file.seeds_of)
      run["sets"].push_back(Json::array({key, std::to_string(*row.run->point.seed)}));
  for (const ReadingValue& value : row.readings) run["readings"].push_back(json_reading(value));
  return run;
}

Json json_runs(const SweepPlan& plan, const std::vector<SweepRow>& rows, const std::vector<SweptKey>& keys,
               const fs::path& page) {
  Json all = Json::array();
  for (size_t i = 0; i < rows.size(); ++i) {
    Json run = json_run(plan, rows[i], page);
    run["keys"] = Json::array();
    for (const SweptKey& key : keys) run["keys"].push_back(key.of_run[i]);
    all.push_back(std::move(run));
  }
  return all;
}

// Of the runs that a claim is about, those that neither ended well nor failed.
size_t unfinished_of(const SweepClaim& claim, const std::vector<SweepRow>& rows) {
  return static_cast<size_t>(std::count_if(rows.begin(), rows.end(), [&](const SweepRow& row) {
    const SweptState state = row.status.state;
    return state != SweptState::done && state != SweptState::failed && claim.where.holds(row.run->values());
  }));
}

// The verdicts of `verify`, but a claim over a run that is not done is open, because `verify` would run it.
Json json_claims(const SweepPlan& plan, const std::vector<SweepRow>& rows) {
  Json all = Json::array();
  for (const SweepVerdict& each : judge_sweep(plan, rows)) {
    const bool open = unfinished_of(*each.claim, rows) > 0;
    all.push_back({{"expected", sentence(*each.claim)},
                   {"got", each.got},
                   {"interval", each.interval},
                   {"n", each.n},
                   {"source", cited(each.claim->source, each.claim->claim)},
                   {"verdict", open          ? "open"
                               : each.passed ? "ok"
                                             : "failed"}});
  }
  return all;
}

std::string add_steps(const std::vector<int64_t>& steps, Numbers& numbers) {
  if (steps.back() > std::numeric_limits<int32_t>::max()) return numbers.add_integers(steps);
  const std::vector<int32_t> shorter(steps.begin(), steps.end());
  return numbers.add("i32", std::as_bytes(std::span(shorter)));
}

Json json_curves(const SweptCurves& curves, Numbers& numbers) {
  Json all = Json::array();
  for (const SweptMetric& metric : curves.metrics) {
    Json packed = {{"name", metric.name}, {"curves", Json::array()}};
    for (size_t i = 0; i < metric.runs.size(); ++i)
      packed["curves"].push_back({{"run", metric.runs[i]},
                                  {"steps", add_steps(metric.curves[i].steps, numbers)},
                                  {"values", numbers.add_float32(metric.curves[i].values)}});
    all.push_back(std::move(packed));
  }
  return all;
}

void note_curves(const SweptCurves& curves, std::vector<std::string>& notes) {
  if (curves.thinned)
    notes.push_back(fmt::format(
        "Curves of more than {0} points are drawn through the least and the greatest value of each "
        "of {1} stretches.",
        curves.most_points, (curves.most_points - 2) / 2));
  if (!curves.damaged.empty())
    notes.push_back(fmt::format("The curves of {} run{} cannot be read: {}{}", curves.damaged.size(),
                                curves.damaged.size() == 1 ? "" : "s", curves.damaged.front(),
                                curves.damaged.size() > 1 ? "; ..." : ""));
}

// "36 runs of ../quickstart.toml".
std::string facts_of(const SweepPlan& plan) {
  return fmt::format("{} run{} of {}", thousands(static_cast<int64_t>(plan.runs.size())),
                     plan.runs.size() == 1 ? "" : "s", plan.file.base_path);
}

}  // namespace

SweepPage make_sweep_page(const SweepPlan& plan, const std::vector<SweepRow>& rows, const fs::path& file) {
  SweepPage page;
  const std::vector<SweptKey> keys = swept_keys(plan);
  const SweptCurves curves = read_swept_curves(plan, rows);
  note_curves(curves, page.notes);
  const Json data = {{"orrery", version()},
                     {"title", plan.file.name},
                     {"facts", facts_of(plan)},
                     {"folder", plan.folder.generic_string()},
                     {"file", plan.file.origin},
                     {"states", json_states(rows)},
                     {"fixed", json_fixed(plan.file)},
                     {"keys", json_keys(plan, keys)},
                     {"readings", json_readings(plan)},
                     {"classes", json_classes(plan)},
                     {"claims", json_claims(plan, rows)},
                     {"runs", json_runs(plan, rows, keys, file)},
                     {"estimates", json_estimates(plan, rows, keys)},
                     {"survival", json_survival(plan, rows, keys)},
                     {"grids", json_grids(plan, rows, keys)},
                     {"metrics", json_curves(curves, page.numbers)},
                     {"notes", page.notes}};
  page.json = data.dump(-1, ' ', false, Json::error_handler_t::replace);
  return page;
}

void write_sweep_page(const SweepPlan& plan, const fs::path& file, Reporter& reporter) {
  require_page();
  const std::vector<SweepRow> rows = read_rows(plan);
  const SweepPage page = make_sweep_page(plan, rows, file);
  const std::string html = html_page(plan.file.name + " · Orrery", "sweep", page.json, page.numbers);
  write_file(file, html);
  std::vector<std::string> states;
  for (const Json& each : json_states(rows))
    states.push_back(fmt::format("{} {}", each.at("n").get<size_t>(), each.at("state").get<std::string>()));
  reporter.note(fmt::format("{}: {:.1f} MB, {} runs: {}", file.string(),
                            static_cast<double>(html.size()) / 1e6, rows.size(), fmt::join(states, ", ")));
  for (const std::string& line : page.notes) reporter.note("  " + line);
}

}  // namespace orrery::engine
