#include "engine/run/run_json.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <limits>

#include "engine/run/json_write.h"
#include "engine/run/kernels.h"
#include "engine/run/run_directory.h"
#include "engine/run/run_identity.h"
#include "sdk/files/atomic_file.h"

namespace orrery::engine {
namespace {

// Members that may be missing. A member of another type counts as missing.
std::optional<int64_t> integer_in(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_integer()) return std::nullopt;
  return found->get<int64_t>();
}

Json member_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : Json::object();
}

std::vector<Json> objects_in(const Json& object, const char* key) {
  std::vector<Json> objects;
  const auto found = object.find(key);
  if (found != object.end() && found->is_array())
    std::copy_if(found->begin(), found->end(), std::back_inserter(objects),
                 [](const Json& entry) { return entry.is_object(); });
  return objects;
}

SessionInfo session_in(const Json& object) {
  SessionInfo session;
  session.started = text_in(object, "started");
  session.from = integer_in(object, "from").value_or(0);
  session.to = integer_in(object, "to");
  if (const auto found = object.find("seconds"); found != object.end()) session.seconds = as_real(*found);
  if (const std::string ended = text_in(object, "ended"); !ended.empty()) session.ended = ended;
  session.device = text_in(object, "device");
  session.threads = integer_in(object, "threads").value_or(0);
  session.blas = text_in(object, "blas");
  session.blas_core = text_in(object, "blas_core");
  session.cpu_capability = text_in(object, "cpu_capability");
  session.loops = text_in(object, "loops");
  if (const auto found = object.find("flush_subnormals"); found != object.end() && found->is_boolean())
    session.flush_subnormals = found->get<bool>();
  return session;
}

// The config is that of the last session; those before it had what its overrides, and those between,
// replaced.
void read_keep_last(const Json& config, const std::vector<Json>& written,
                    std::vector<SessionInfo>& sessions) {
  int64_t value = integer_in(member_of(config, "checkpoints"), "keep_last").value_or(0);
  for (size_t i = sessions.size(); i-- > 0;) {
    sessions[i].keep_last = value;
    for (const Json& change : objects_in(written[i], "overrides"))
      if (text_in(change, "key") == "checkpoints.keep_last") value = integer_in(change, "from").value_or(0);
  }
}

}  // namespace

std::optional<size_t> session_of(const RunJson& info, int64_t step) {
  for (size_t i = info.sessions.size(); i-- > 0;)
    if (info.sessions[i].from < step || (step == 0 && info.sessions[i].from == 0)) return i + 1;
  return std::nullopt;
}

std::string text_in(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::vector<ConfiguredProbe> RunJson::probes() const {
  std::vector<ConfiguredProbe> all;
  for (const Json& entry : objects_in(config, "probe")) {
    const std::string plugin = text_in(entry, "name"), label = text_in(entry, "label");
    all.push_back({label.empty() ? plugin : label, plugin, integer_in(entry, "every").value_or(0)});
  }
  return all;
}

std::string RunJson::name() const { return text_in(config, "name"); }
std::string RunJson::task() const { return text_in(member_of(config, "task"), "name"); }
std::string RunJson::model() const { return text_in(member_of(config, "model"), "kind"); }
int64_t RunJson::steps() const { return integer_in(member_of(config, "train"), "steps").value_or(0); }
bool RunJson::may_be_thinned(int64_t step) const {
  if (pruned.contains(step)) return true;
  for (size_t i = 0; i < sessions.size(); ++i) {
    // A session that was killed got at most to where the next one began, whatever it left beyond.
    const bool is_last = i + 1 == sessions.size();
    const int64_t until =
        sessions[i].to.value_or(is_last ? std::numeric_limits<int64_t>::max() : sessions[i + 1].from);
    if (sessions[i].keep_last > 0 && step <= until) return true;
  }
  return false;
}
std::string RunJson::stop_when() const { return text_in(member_of(config, "train"), "stop_when"); }
std::string RunJson::ended() const { return sessions.empty() ? "running" : sessions.back().ended; }

RunJson read_run_json(const std::filesystem::path& root) {
  const std::string where = (root / "run.json").string();
  const Json object = parse_checked_object(read_file(where), where);
  if (!object.contains("config") || !object["config"].is_object())
    throw Error(where + ": there is no \"config\" in it",
                "it is not a run that Orrery wrote, or it was changed");
  RunJson info;
  info.orrery = text_in(object, "orrery");
  info.torch = text_in(object, "torch");
  for (const Json& plugin : objects_in(object, "plugins"))
    info.plugins.push_back({text_in(plugin, "kind"), text_in(plugin, "name"), text_in(plugin, "version"),
                            text_in(plugin, "build"), text_in(plugin, "file")});
  info.n_parameters = integer_in(object, "n_parameters");
  info.n_train = integer_in(object, "n_train");
  info.n_test = integer_in(object, "n_test");
  if (const auto found = object.find("endless"); found != object.end() && found->is_boolean())
    info.endless = found->get<bool>();
  info.config = object["config"];
  const std::vector<Json> sessions = objects_in(object, "sessions");
  for (const Json& session : sessions) info.sessions.push_back(session_in(session));
  read_keep_last(info.config, sessions, info.sessions);
  for (const Json& pruned : objects_in(object, "pruned"))
    if (const auto steps = pruned.find("steps"); steps != pruned.end() && steps->is_array())
      for (const Json& step : *steps)
        if (step.is_number_integer()) info.pruned.insert(step.get<int64_t>());
  return info;
}

SessionRecord::SessionRecord(RunDirectory& run, Json about, int64_t step, const std::string& device,
                             int64_t threads)
    : run_(run), object_(std::move(about)) {
  const std::string where = (run.root() / "run.json").string();
  object_["sessions"] = Json::array();
  // What an earlier session was made from says whose the files here are, whatever this one changes.
  std::error_code ignored;
  if (!std::filesystem::exists(where, ignored))
    object_["run"] = identity_of_config(object_.value("config", Json::object()));
  else if (const std::string before = identity_of(run.root()); !before.empty())
    object_["run"] = before;
  if (step > 0) {
    const Json before = parse_checked_object(run.read_run_json(), where);
    if (before.contains("sessions")) object_["sessions"] = before["sessions"];
    if (before.contains("pruned")) object_["pruned"] = before["pruned"];
  }
  const auto named = [](const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); };
  const Kernels kernels = kernels_in_use();
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  object_["sessions"].push_back({{"started", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now))},
                                 {"from", step},
                                 {"device", device},
                                 {"threads", threads},
                                 {"blas", named(kernels.blas)},
                                 {"blas_core", named(kernels.blas_core)},
                                 {"cpu_capability", named(kernels.cpu_capability)},
                                 {"loops", kernels.loops},
                                 {"flush_subnormals", kernels.flushes_subnormals},
                                 {"ended", "running"}});
  write();
}

void SessionRecord::write() { run_.write_run_json(with_checksum(object_).dump(2) + "\n"); }

void SessionRecord::add_overrides(const Json& changes) {
  if (changes.empty()) return;
  object_["sessions"].back()["overrides"] = changes;
  write();
}

std::vector<std::string> SessionRecord::changed_hardware() const {
  constexpr const char* own[] = {"started", "from", "to", "seconds", "ended", "overrides"};
  std::vector<std::string> changed;
  const Json& sessions = object_["sessions"];
  if (sessions.size() < 2 || !sessions[sessions.size() - 2].is_object()) return changed;
  const Json& before = sessions[sessions.size() - 2];
  const auto shown = [](const Json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
  };
  // Versions that did not say so kept subnormal numbers.
  const auto then = [&](const std::string& key) {
    return before.contains(key) ? before[key] : key == "flush_subnormals" ? Json(false) : Json();
  };
  for (const auto& [key, value] : sessions.back().items()) {
    const bool known = before.contains(key) || key == "flush_subnormals";
    if (known && std::find(std::begin(own), std::end(own), key) == std::end(own) && then(key) != value)
      changed.push_back(fmt::format("{}: {}, before {}", key, shown(value), shown(then(key))));
  }
  return changed;
}

void SessionRecord::add(const std::string& key, Json value) { object_[key] = std::move(value); }

void SessionRecord::end(int64_t step, const std::string& ended, double seconds) {
  object_["sessions"].back().update({{"to", step}, {"ended", ended}, {"seconds", seconds}});
  write();
}

double wall_time_of(const RunJson& info, int64_t step) {
  const SessionInfo* made = nullptr;
  for (const SessionInfo& session : info.sessions)
    if (!made || session.from < step) made = &session;
  std::tm started{};
  if (!made || !strptime(made->started.c_str(), "%Y-%m-%dT%H:%M:%SZ", &started)) return 0;
  const double start = static_cast<double>(timegm(&started));
  if (!made->to || !made->seconds || *made->to <= made->from) return start;
  const double share = static_cast<double>(step - made->from) / static_cast<double>(*made->to - made->from);
  return start + *made->seconds * std::clamp(share, 0.0, 1.0);
}

}  // namespace orrery::engine
