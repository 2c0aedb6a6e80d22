#include "engine/sweep/sweep_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <set>

#include "engine/config/config_keys.h"
#include "engine/sweep/stage_check.h"
#include "engine/sweep/swept_config.h"
#include "sdk/files/sha256.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

constexpr size_t id_digits = 12;

// The keys of the axes of a grid.
std::vector<Override> written_by(const SweepGrid& grid) {
  std::vector<Override> keys;
  for (const SweepAxis& axis : grid.axes) keys.insert(keys.end(), axis.front().begin(), axis.front().end());
  return keys;
}

class Planner {
 public:
  Planner(SweepPlan& plan, const ParametersOf& parameters_of) : plan_(plan), parameters_of_(parameters_of) {}

  void plan() {
    if (plan_.file.stages.empty()) add(expand(plan_.file), std::nullopt);
    for (const SweepStage& stage : plan_.file.stages)
      if (stage.starts_anew())
        add(expand(plan_.file, stage), std::nullopt);
      else
        add_stage(stage);
    check_excluded(plan_.file.grid.excluded, written_by(plan_.file.grid));
    for (const SweepStage& stage : plan_.file.stages) {
      std::vector<Override> written = written_by(stage.grid);
      if (stage.starts_anew())
        for (Override& each : written_by(plan_.file.grid)) written.push_back(std::move(each));
      check_excluded(stage.grid.excluded, written);
    }
    if (plan_.runs.empty()) throw UsageError(plan_.file.origin + ": every point of the grid is excluded");
    check_swept(plan_.file);
    for (const SweepClaim& claim : plan_.file.claims) check_where(claim);
  }

 private:
  Settings resolve_point(const SweepPoint& point) const;
  void add(std::vector<SweepPoint> points, const std::optional<SweepStart>& start);
  void add_stage(const SweepStage& stage);
  std::vector<SweptRun> parents_elsewhere(const SweepStage& stage) const;
  const ConfigValues& defaults_of(const Json& config);
  bool is_excluded(const SweepPoint& point, const Json& config);
  void check_excluded(const std::vector<SweepPart>& parts, const std::vector<Override>& written) const;
  void check_where(const SweepClaim& claim);
  void refuse_value_of_no_run(const SweepPart::Wanted& wanted, bool any) const;
  [[noreturn]] void refuse_key(const SweepPart::Wanted& wanted, const std::string& owner) const;

  SweepPlan& plan_;
  const ParametersOf& parameters_of_;
  std::set<std::string> known_;
  std::map<std::string, ConfigValues> defaults_;  // by the choice of task, model and probes
  std::vector<Json> configs_;                     // of the runs
  std::set<const SweepPart*> excluding_;          // those that are of some point
};

// An error names the point.
Settings Planner::resolve_point(const SweepPoint& point) const {
  try {
    return resolve_with(plan_.file.base, point.overrides(plan_.file), parameters_of_);
  } catch (const UsageError& error) {
    const std::string text = point_text(point);
    throw UsageError(text.empty() ? error.what() : fmt::format("{} (at {})", error.what(), text),
                     error.hint());
  }
}

Json config_of(const Settings& settings) { return parse_object(to_json(settings), "the config"); }

// Which task, model and probes `config` has.
Json choices_in(const Json& config) {
  Json choices = {{"name", "defaults"},
                  {"task", {{"name", config.at("task").at("name")}}},
                  {"model", {{"kind", config.at("model").at("kind")}}},
                  {"probe", Json::array()}};
  for (const Json& probe : config.at("probe"))
    choices["probe"].push_back({{"name", probe.at("name")}, {"label", probe.at("label")}});
  return choices;
}

// The config of those choices with every other key at its default.
const ConfigValues& Planner::defaults_of(const Json& config) {
  const std::string choices = choices_in(config).dump();
  auto found = defaults_.find(choices);
  if (found == defaults_.end()) {
    const Settings bare = resolve(Document::from_json(choices, "defaults"), parameters_of_);
    found = defaults_.emplace(choices, config_values(config_of(bare))).first;
  }
  return found->second;
}

// The keys of a point, and what its config has for the other keys of `part`.
std::vector<Override> values_for(const SweepPart& part, const SweepPoint& point, const Json& config) {
  std::vector<Override> values = point.coordinates();
  for (const SweepPart::Wanted& each : part.wanted) {
    if (std::any_of(values.begin(), values.end(), [&](const Override& has) { return has.key == each.key; }))
      continue;
    if (const auto value = value_in(config, each.key)) values.push_back({each.key, *value, ""});
  }
  return values;
}

bool Planner::is_excluded(const SweepPoint& point, const Json& config) {
  if (!point.of_grid) return false;
  bool excluded = false;
  const auto look = [&](const std::vector<SweepPart>& parts) {
    for (const SweepPart& part : parts)
      if (!is_written(part, point.keys) && part.holds(values_for(part, point, config))) {
        excluding_.insert(&part);
        excluded = true;
      }
  };
  const SweepStage* stage = plan_.file.find_stage(point.stage);
  if (!stage || stage->starts_anew()) look(plan_.file.grid.excluded);
  if (stage) look(stage->grid.excluded);
  return excluded;
}

void Planner::add(std::vector<SweepPoint> points, const std::optional<SweepStart>& start) {
  for (SweepPoint& point : points) {
    auto settings = std::make_shared<const Settings>(resolve_point(point));
    Json config = config_of(*settings);
    if (is_excluded(point, config)) continue;
    ++plan_.n_points;
    const ConfigValues& defaults = defaults_of(config);
    const ConfigValues values = config_values(config);
    std::string id = identity_of(choices_in(config), beside(defaults, values), start);
    if (!known_.insert(id).second) continue;
    if (plan_.defaults.empty()) plan_.defaults = defaults;
    plan_.runs.push_back({std::move(id), std::move(point), std::move(settings), start});
    plan_.runs.back().config = beside(plan_.defaults, values);
    configs_.push_back(std::move(config));
  }
}

// The runs of another sweep's folder.
std::vector<SweptRun> Planner::parents_elsewhere(const SweepStage& stage) const {
  try {
    const auto kept = std::make_shared<const SweepPlan>(read_plan(stage.sweep));
    plan_.others[stage.sweep] = kept;
    const SweepPlan& other = *kept;
    if (stage.from.empty() && !other.file.stages.empty())
      throw UsageError(fmt::format("{}: this sweep has stages; say which", stage.sweep), "from = \"NAME\"");
    std::vector<SweptRun> runs;
    for (const SweptRun& run : other.runs) {
      const auto& seeds = plan_.file.seeds;
      if (!seeds.empty() && !(run.point.seed && std::count(seeds.begin(), seeds.end(), *run.point.seed)))
        continue;
      if (run.point.stage == stage.from) runs.push_back(run);
    }
    if (runs.empty())
      throw UsageError(fmt::format("{}: it has no run{}{}", stage.sweep,
                                   stage.from.empty() ? "" : " of stage " + stage.from,
                                   plan_.file.seeds.empty() ? "" : " with one of these seeds"),
                       fmt::format("its file is {}", other.file.origin));
    return runs;
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}: stage {}: {}", stage.place, stage.name, error.what()),
                     error.hint().find("plan.json") == std::string::npos && !fs::exists(stage.sweep)
                         ? "run that sweep first: orrery sweep run FILE"
                         : error.hint());
  }
}

void Planner::add_stage(const SweepStage& stage) {
  std::vector<SweptRun> parents;
  if (stage.sweep.empty()) {
    for (const SweptRun& run : plan_.runs)
      if (run.point.stage == stage.from) parents.push_back(run);
  } else {
    parents = parents_elsewhere(stage);
  }
  for (const SweptRun& parent : parents) check_start(plan_, stage, parent);
  for (const SweptRun& parent : parents)
    add(expand(plan_.file, stage, parent.point),
        SweepStart{stage.sweep, parent.point.stage, parent.id, stage.start});
}

void Planner::refuse_key(const SweepPart::Wanted& wanted, const std::string& owner) const {
  std::vector<std::string> keys;
  for (const Json& config : configs_)
    for (const auto& [key, value] : config_keys(config, Sections::all))
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  for (const std::string& key : plan_.keys()) keys.push_back(key);
  throw UsageError(fmt::format("{}: {}: no run has a key {}{}", wanted.place, owner, wanted.key,
                               did_you_mean(wanted.key, keys)));
}

// `written`: the keys of the axes. Parts of those alone were checked when the points were made.
void Planner::check_excluded(const std::vector<SweepPart>& parts,
                             const std::vector<Override>& written) const {
  for (const SweepPart& part : parts) {
    if (excluding_.count(&part) || is_written(part, written)) continue;
    for (const SweepPart::Wanted& each : part.wanted)
      if (!is_written({"", {each}}, written) &&
          std::none_of(configs_.begin(), configs_.end(),
                       [&](const Json& config) { return value_in(config, each.key).has_value(); }))
        refuse_key(each, "[[exclude]]");
    throw UsageError(part.place + ": this [[exclude]] is of no point of the grid",
                     "its keys and values must be those of some points");
  }
}

// Fills in what the runs have for the keys of a claim, and refuses one that is of no run.
void Planner::check_where(const SweepClaim& claim) {
  std::vector<bool> known(claim.where.wanted.size(), false);
  bool any = claim.where.wanted.empty();
  for (size_t i = 0; i < plan_.runs.size(); ++i) {
    SweptRun& run = plan_.runs[i];
    for (size_t w = 0; w < claim.where.wanted.size(); ++w) {
      const std::string& key = claim.where.wanted[w].key;
      const std::vector<Override> has = run.values();
      if (std::none_of(has.begin(), has.end(), [&](const Override& each) { return each.key == key; })) {
        const auto value = value_in(configs_[i], key);
        if (!value) continue;
        run.resolved.push_back({key, *value, ""});
      }
      known[w] = true;
    }
    any = any || claim.where.holds(run.values());
  }
  for (size_t w = 0; w < known.size(); ++w)
    if (!known[w]) refuse_key(claim.where.wanted[w], "where");
  for (const SweepPart::Wanted& each : claim.where.wanted) refuse_value_of_no_run(each, any);
}

// A value that no run has would silently narrow a list, or leave nothing (not `any`).
void Planner::refuse_value_of_no_run(const SweepPart::Wanted& wanted, bool any) const {
  std::vector<Value> there;
  for (const SweptRun& run : plan_.runs)
    for (const Override& each : run.values())
      if (each.key == wanted.key && std::none_of(there.begin(), there.end(), [&](const Value& known) {
            return same_value(known, each.value);
          }))
        there.push_back(each.value);
  const auto missing = std::find_if(wanted.values.begin(), wanted.values.end(), [&](const Value& value) {
    return std::none_of(there.begin(), there.end(),
                        [&](const Value& known) { return same_value(known, value); });
  });
  if (any && missing == wanted.values.end()) return;
  std::vector<std::string> texts;
  for (size_t i = 0; i < std::min<size_t>(there.size(), 12); ++i)
    texts.push_back(orrery::to_string(there[i]));
  const std::string what = any ? fmt::format("no run has {} = {}", wanted.key, orrery::to_string(*missing))
                               : "no run is of this part";
  throw UsageError(fmt::format("{}: where: {}", wanted.value_place, what),
                   fmt::format("{} is {} in the runs", wanted.key, fmt::join(texts, ", ")));
}

// The entry of a list of tables with this label, or else this name; null if there is none.
const Json* entry_of(const Json& list, const std::string& name) {
  for (const char* key : {"label", "name"})
    for (const Json& entry : list)
      if (entry.is_object() && entry.contains(key) && entry.at(key) == Json(name)) return &entry;
  return nullptr;
}

}  // namespace

std::optional<Value> value_in(const Json& config, const std::string& key) {
  const Json* at = &config;
  for (size_t begin = 0; begin <= key.size();) {
    const size_t end = std::min(key.find('.', begin), key.size());
    const std::string part = key.substr(begin, end - begin);
    if (at->is_array())
      at = entry_of(*at, part);
    else
      at = at->is_object() && at->contains(part) ? &at->at(part) : nullptr;
    if (!at) return std::nullopt;
    begin = end + 1;
  }
  if (at->is_object() || at->is_null()) return std::nullopt;
  if (at->is_array() && !at->empty() && at->front().is_structured()) return std::nullopt;
  return value_of_json(*at, key);
}

std::vector<Override> SweptRun::values() const {
  std::vector<Override> all = point.coordinates();
  all.insert(all.end(), resolved.begin(), resolved.end());
  return all;
}

std::vector<std::string> SweepPlan::keys() const {
  std::vector<std::string> keys;
  bool seeds = false;
  for (const SweptRun& run : runs) {
    seeds = seeds || run.point.seed;
    for (const Override& each : run.point.coordinates())
      if (each.key != "seed" && std::find(keys.begin(), keys.end(), each.key) == keys.end())
        keys.push_back(each.key);
  }
  if (seeds) keys.push_back("seed");
  return keys;
}

const SweptRun* SweepPlan::find(const std::string& id) const {
  const auto found =
      std::find_if(runs.begin(), runs.end(), [&](const SweptRun& run) { return run.id == id; });
  return found == runs.end() ? nullptr : &*found;
}

std::string identity_of(const Json& choices, const ConfigValues& set,
                        const std::optional<SweepStart>& start) {
  Json identity = {{"choices", choices}, {"set", Json::object()}};
  for (const auto& [key, value] : set) identity["set"][key] = value;
  if (start) identity["starts_from"] = {{"run", start->run}, {"checkpoint", start->rule.text}};
  return sha256(identity.dump()).substr(0, id_digits);
}

std::string earlier_identity_of(Json config, const std::optional<SweepStart>& start) {
  for (const std::string& key : describing_keys()) config.erase(key);
  if (start) config["starts_from"] = {{"run", start->run}, {"checkpoint", start->rule.text}};
  return sha256(config.dump()).substr(0, id_digits);
}

fs::path sweep_folder(const SweepFile& file) { return fs::path("runs") / "sweeps" / file.name; }

SweepPlan plan_sweep(const fs::path& path, const ParametersOf& parameters_of, const fs::path& folder) {
  SweepPlan plan{read_sweep_file(path), folder, {}, 0};
  if (folder.empty()) plan.folder = sweep_folder(plan.file);
  Planner(plan, parameters_of).plan();
  return plan;
}

std::vector<std::string> left_over(const SweepPlan& plan) {
  std::set<std::string> known;
  for (const SweptRun& run : plan.runs) known.insert(run.id);
  std::vector<std::string> left;
  std::error_code failure;
  for (fs::directory_iterator at(plan.folder / "runs", failure), end; !failure && at != end;
       at.increment(failure)) {
    const std::string name = at->path().filename().string();
    if (!known.count(name)) left.push_back(name);
  }
  std::sort(left.begin(), left.end());
  return left;
}

}  // namespace orrery::engine
