#include "engine/sweep/swept_config.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>

#include "engine/config/config_keys.h"
#include "engine/run/json_write.h"
#include "engine/run/run_json.h"
#include "sdk/files/atomic_file.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

std::string label_of(const Json& entry) {
  for (const char* key : {"label", "name"})
    if (const auto found = entry.find(key); found != entry.end() && found->is_string())
      return found->get<std::string>();
  return "";
}

bool is_list_of_tables(const Json& value) {
  return value.is_array() && !value.empty() && value.front().is_object();
}

void add_values(const Json& value, const std::string& path, ConfigValues& into) {
  if (value.is_object()) {
    for (const auto& [key, inner] : value.items()) add_values(inner, path + "." + key, into);
  } else if (is_list_of_tables(value)) {
    for (const Json& entry : value) add_values(entry, path + "." + label_of(entry), into);
  } else if (path != "probe") {  // an empty list
    into[path] = value;
  }
}

// Which task, model or probe: that has no default.
bool is_choice(const std::string& key) {
  return key == "task.name" || key == "model.kind" || (key.starts_with("probe.") && key.ends_with(".name"));
}

struct DifferingKey {
  std::string key;
  Json is, wanted;  // null: it has no such key
};

std::string text_of_json(const Json& value, const char* without) {
  return value.is_null() ? without : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string text_of_key(const DifferingKey& each) {
  return fmt::format("{} is {}, and the sweep has {} for this run", each.key,
                     text_of_json(each.is, "not there"), text_of_json(each.wanted, "no such key"));
}

// The keys that the sweep sets for this run.
std::vector<Override> set_by_sweep(const SweepPlan& plan, const SweptRun& run) {
  std::vector<Override> keys = run.point.keys;
  if (run.point.seed)
    for (const std::string& key : plan.file.seeds_of) keys.push_back({key, *run.point.seed, ""});
  return keys;
}

std::vector<DifferingKey> compared_whole(const SweepPlan& plan, const SweptRun& run, ConfigValues has) {
  ConfigValues wanted = plan.defaults;
  for (const auto& [key, value] : run.config) wanted[key] = value;
  if (run.start) {  // the checkpoint has a path of its own; see compared_start()
    has.erase("init.from");
    wanted.erase("init.from");
  }
  std::vector<DifferingKey> found;
  for (const auto& [key, value] : wanted) {
    const auto is = has.find(key);
    const bool by_default = !run.config.count(key) && !is_choice(key);
    if (is == has.end() ? !by_default && !value.is_null() : is->second != value)
      found.push_back({key, is == has.end() ? Json() : is->second, value});
  }
  for (const auto& [key, value] : has)
    if (!wanted.count(key)) found.push_back({key, value, Json()});
  return found;
}

// Of a plan that says of each run what the sweep sets alone.
std::vector<DifferingKey> compared_set(const SweepPlan& plan, const SweptRun& run, const Json& config) {
  std::vector<DifferingKey> found;
  for (const Override& each : set_by_sweep(plan, run))
    if (const auto is = value_in(config, each.key); is && !same_value(*is, each.value))
      found.push_back({each.key, json_value(*is), json_value(each.value)});
  return found;
}

// Those that the sweep sets first: they are what a reader knows the run by.
void put_set_first(const SweepPlan& plan, const SweptRun& run, std::vector<DifferingKey>& differing) {
  std::map<std::string, size_t> rank;
  for (const Override& each : set_by_sweep(plan, run)) rank.emplace(each.key, rank.size());
  const auto rank_of = [&](const DifferingKey& each) {
    const auto found = rank.find(each.key);
    return found == rank.end() ? rank.size() : found->second;
  };
  std::stable_sort(differing.begin(), differing.end(),
                   [&](const auto& a, const auto& b) { return rank_of(a) < rank_of(b); });
}

// RUN/checkpoints/step_00000400.safetensors names the run, wherever the sweep's folder is by now.
std::string compared_start(const SweptRun& run, const Json& config) {
  if (!run.start) return "";
  const auto init = config.find("init");
  const std::string from = init != config.end() && init->is_object() ? text_in(*init, "from") : "";
  const std::string parent = fs::path(from).parent_path().parent_path().filename().string();
  if (parent == run.start->run) return "";
  return fmt::format("init.from is \"{}\", and the sweep has a checkpoint of run {} for this run", from,
                     run.start->run);
}

// A session that trained with another value than the sweep's, whatever later ones had.
std::string compared_sessions(const std::string& where) {
  const std::string text = read_file(where);
  if (text.find("\"overrides\"") == std::string::npos) return "";  // as almost always: parsing takes longer
  const Json object = parse_checked_object(text, where);
  if (!object.contains("sessions")) return "";
  const Json& sessions = list_at(object, "sessions", where);
  for (size_t i = 0; i < sessions.size(); ++i) {
    const Json& session = sessions.at(i);
    if (!session.is_object() || !session.contains("overrides")) continue;
    for (const Json& each : list_at(session, "overrides", where)) {
      const std::string key = each.is_object() ? text_in(each, "key") : "";
      if (key.empty() || describes(key) || key.starts_with("log.")) continue;
      return fmt::format(
          "session {} changed {}, and the sweep trains this run with the same value throughout", i + 1, key);
    }
  }
  return "";
}

std::string differs(const SweepPlan& plan, const SweptRun& run, const Json& config,
                    const std::string& where) {
  const bool whole = !plan.defaults.empty();
  std::vector<DifferingKey> found =
      whole ? compared_whole(plan, run, config_values(config)) : compared_set(plan, run, config);
  if (!found.empty()) {
    put_set_first(plan, run, found);
    const size_t more = found.size() - 1;
    return text_of_key(found.front()) +
           (more > 0 ? fmt::format(" ({} more key{} too)", more, more > 1 ? "s differ" : " differs") : "");
  }
  if (const std::string other = compared_start(run, config); !other.empty()) return other;
  if (!whole && !run.start && earlier_identity_of(config, run.start) != run.id)
    return "its config is not the one that this folder is named for";
  return compared_sessions(where);
}

}  // namespace

ConfigValues config_values(const Json& config) {
  ConfigValues values;
  for (const auto& [key, value] : config.items())
    if (!describes(key)) add_values(value, key, values);
  return values;
}

ConfigValues beside(const ConfigValues& defaults, const ConfigValues& config) {
  ConfigValues found;
  for (const auto& [key, value] : config)
    if (const auto known = defaults.find(key); known == defaults.end() || known->second != value)
      found[key] = value;
  for (const auto& [key, value] : defaults)
    if (!config.count(key)) found[key] = nullptr;
  return found;
}

std::string other_run(const SweepPlan& plan, const SweptRun& run, const Json& config) {
  const std::string where = (plan.run_folder(run) / "run.json").string();
  const std::string what = differs(plan, run, config, where);
  return what.empty() ? "" : where + ": " + what;
}

}  // namespace orrery::engine
