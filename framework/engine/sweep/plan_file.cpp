// FOLDER/plan.json: {"orrery": "0.3.0", "origin": "configs/sweeps/x.toml", "text": "base = ...", "n_points":
// 8, "runs": [{"id": "60303ae22b99", "keys": {"train.lr": 0.1}, "seed": 3}]}; a run may also have "stage":
// "fewer", "starts_from": {"sweep": "", "stage": "full", "run": "0a1b2c3d4e5f", "checkpoint": "last"}, and
// "resolved": {"train.steps": 400}, keys that claims ask for. "defaults" is the config of the task, the model
// and the probes of the first run with every other key at its default, and "config" of a run what its own
// has beside that, null for a key that it lacks. Earlier versions wrote neither these nor "sha256".
#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/version.h>

#include "engine/run/json_read.h"
#include "engine/run/json_write.h"
#include "engine/sweep/sweep_plan.h"
#include "sdk/files/atomic_file.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

// The runs are named by their configs, so that the file alone is enough to write the plan anew.
std::string advice(const fs::path& path) {
  return fmt::format(
      "nothing of the runs is lost; write it anew from the sweep's file: orrery sweep plan FILE "
      "--out {}",
      path.parent_path().string());
}

Json read_checked(const fs::path& path) {
  try {
    return parse_checked_object(read_file(path), path.string());
  } catch (const UsageError&) {
    throw;
  } catch (const Error& error) {
    throw Error(error.what(), advice(path));
  }
}

ConfigValues read_values(const Json& json, const char* key, const std::string& where) {
  ConfigValues values;
  if (json.contains(key))
    for (const auto& [name, value] : object_at(json, key, where).items()) values[name] = value;
  return values;
}

SweptRun read_run(const Json& json, const std::string& where) {
  SweptRun run;
  run.id = text_of(member(json, "id", where), "id", where);
  for (const auto& [key, value] : object_at(json, "keys", where).items())
    run.point.keys.push_back({key, value_of_json(value, where), where});
  if (json.contains("seed")) run.point.seed = integer_of(json.at("seed"), "seed", where);
  if (json.contains("stage")) run.point.stage = text_of(json.at("stage"), "stage", where);
  if (json.contains("starts_from")) {
    const Json& start = object_at(json, "starts_from", where);
    const auto text = [&](const char* key) { return text_of(member(start, key, where), key, where); };
    run.start = SweepStart{text("sweep"), text("stage"), text("run"), parse_start_rule(text("checkpoint"))};
  }
  if (json.contains("resolved"))
    for (const auto& [key, value] : object_at(json, "resolved", where).items())
      run.resolved.push_back({key, value_of_json(value, where), where});
  run.config = read_values(json, "config", where);
  return run;
}

// Reads it without the plans of other sweeps.
SweepPlan read_plan_alone(const fs::path& folder) {
  const fs::path path = folder / "plan.json";
  std::error_code ignored;
  if (!fs::exists(path, ignored))
    throw UsageError(fmt::format("{}: no sweep: there is no plan.json in this folder", folder.string()),
                     "give the sweep's file, or the folder that `orrery sweep plan` names");
  const std::string where = path.string();
  const Json object = read_checked(path);
  if (!object.contains("text") || !object.contains("runs"))
    throw Error(where + ": it is no plan: there is no \"text\" or no \"runs\" in it", advice(path));
  SweepPlan plan{read_sweep_text(text_of(member(object, "text", where), "text", where),
                                 text_of(member(object, "origin", where), "origin", where), ReadBase::no),
                 folder,
                 {},
                 static_cast<size_t>(integer_of(member(object, "n_points", where), "n_points", where)),
                 read_values(object, "defaults", where)};
  for (const Json& run : list_at(object, "runs", where)) plan.runs.push_back(read_run(run, where));
  return plan;
}

}  // namespace

Value value_of_json(const Json& json, const std::string& where) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_integer()) return json.get<int64_t>();
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  const auto all = [&](auto&& is) { return std::all_of(json.begin(), json.end(), is); };
  if (json.is_array() && all([](const Json& each) { return each.is_number_integer(); }))
    return json.get<std::vector<int64_t>>();
  if (json.is_array() && all([](const Json& each) { return each.is_number(); }))
    return json.get<std::vector<double>>();
  if (json.is_array() && all([](const Json& each) { return each.is_string(); }))
    return json.get<std::vector<std::string>>();
  throw Error(where + ": not the value of a key: " + json.dump());
}

void write_plan(const SweepPlan& plan) {
  Json object = {{"orrery", version()},       {"origin", plan.file.origin}, {"text", plan.file.text},
                 {"n_points", plan.n_points}, {"defaults", plan.defaults},  {"runs", Json::array()}};
  for (const SweptRun& run : plan.runs) {
    Json entry = {{"id", run.id}, {"keys", Json::object()}};
    for (const Override& each : run.point.keys) entry["keys"][each.key] = json_value(each.value);
    if (run.point.seed) entry["seed"] = *run.point.seed;
    if (!run.point.stage.empty()) entry["stage"] = run.point.stage;
    if (run.start)
      entry["starts_from"] = {{"sweep", run.start->sweep.string()},
                              {"stage", run.start->stage},
                              {"run", run.start->run},
                              {"checkpoint", run.start->rule.text}};
    for (const Override& each : run.resolved) entry["resolved"][each.key] = json_value(each.value);
    entry["config"] = run.config;
    object["runs"].push_back(std::move(entry));
  }
  std::error_code failure;
  fs::create_directories(plan.folder / "runs", failure);
  if (failure)
    throw Error(fmt::format("{}: cannot make this folder: {}", plan.folder.string(), failure.message()));
  write_file(plan.folder / "plan.json", with_checksum(std::move(object)).dump(1) + "\n");
}

SweepPlan read_plan(const fs::path& folder) {
  SweepPlan plan = read_plan_alone(folder);
  for (const SweptRun& run : plan.runs) {
    if (!run.start || run.start->sweep.empty() || plan.others.count(run.start->sweep.string())) continue;
    try {
      plan.others[run.start->sweep.string()] =
          std::make_shared<const SweepPlan>(read_plan_alone(run.start->sweep));
    } catch (const Error&) {  // its runs are looked at without it
      plan.others[run.start->sweep.string()] = nullptr;
    }
  }
  return plan;
}

}  // namespace orrery::engine
