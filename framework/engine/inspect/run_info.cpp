#include "engine/inspect/run_info.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <ctime>

#include "sdk/files/atomic_file.h"

namespace orrery::engine {
namespace {

// Members that may be missing; those of another type are as good as missing.
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

SessionInfo session_of(const Json& object) {
  SessionInfo session;
  session.started = text_in(object, "started");
  session.from = integer_in(object, "from").value_or(0);
  session.to = integer_in(object, "to");
  if (const auto found = object.find("seconds"); found != object.end()) session.seconds = as_real(*found);
  if (const std::string ended = text_in(object, "ended"); !ended.empty()) session.ended = ended;
  session.device = text_in(object, "device");
  session.threads = integer_in(object, "threads").value_or(0);
  session.blas_core = text_in(object, "blas_core");
  return session;
}

}  // namespace

std::string text_in(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::vector<ConfiguredProbe> RunInfo::probes() const {
  std::vector<ConfiguredProbe> all;
  for (const Json& entry : objects_in(config, "probe")) {
    const std::string plugin = text_in(entry, "name"), label = text_in(entry, "label");
    all.push_back({label.empty() ? plugin : label, plugin, integer_in(entry, "every").value_or(0)});
  }
  return all;
}

std::string RunInfo::name() const { return text_in(config, "name"); }
std::string RunInfo::task() const { return text_in(member_of(config, "task"), "name"); }
std::string RunInfo::model() const { return text_in(member_of(config, "model"), "kind"); }
int64_t RunInfo::steps() const { return integer_in(member_of(config, "train"), "steps").value_or(0); }
std::string RunInfo::stop_when() const { return text_in(member_of(config, "train"), "stop_when"); }
std::string RunInfo::ended() const { return sessions.empty() ? "running" : sessions.back().ended; }

RunInfo read_run_info(const std::filesystem::path& root) {
  const std::string where = (root / "run.json").string();
  const Json object = parse_object(read_file(where), where);
  if (!object.contains("config") || !object["config"].is_object())
    throw Error(where + ": there is no \"config\" in it",
                "it is not a run that Orrery wrote, or it was changed");
  RunInfo info;
  info.orrery = text_in(object, "orrery");
  info.torch = text_in(object, "torch");
  for (const Json& plugin : objects_in(object, "plugins"))
    info.plugins.push_back({text_in(plugin, "kind"), text_in(plugin, "name"), text_in(plugin, "version")});
  info.n_parameters = integer_in(object, "n_parameters");
  info.n_train = integer_in(object, "n_train");
  info.n_test = integer_in(object, "n_test");
  info.config = object["config"];
  for (const Json& session : objects_in(object, "sessions")) info.sessions.push_back(session_of(session));
  return info;
}

double wall_time_of(const RunInfo& info, int64_t step) {
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
