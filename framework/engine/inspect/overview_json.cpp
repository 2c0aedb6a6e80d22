#include "engine/inspect/overview_json.h"

#include "engine/inspect/changes.h"
#include "engine/run/json_write.h"

namespace orrery::engine {
namespace {

// null for nothing.
Json json(const std::optional<int64_t>& value) { return value ? Json(*value) : Json(nullptr); }
Json json(const std::optional<Extreme>& point) {
  return point ? Json{{"step", point->step}, {"value", json_real(point->value)}} : Json(nullptr);
}

Json curve_json(const Curve& curve) {
  return {{"first", json_real(curve.values.front())},
          {"last", json_real(curve.values.back())},
          {"lowest", json(lowest(curve))},
          {"highest", json(highest(curve))},
          {"best", json(best(curve))},
          {"steps", curve.steps},
          {"values", json_reals(curve.values)}};
}

Json thresholds_json(const RunOverview& seen) {
  Json object = Json::object();
  for (const char* name : {"train/accuracy", "test/accuracy"})
    if (const Curve* curve = seen.metric(name))
      object[name] = {{"0.99", json(first_at_least(*curve, 0.99))}, {"1", json(first_at_least(*curve, 1))}};
  return object;
}

// The scalars and findings of a record, in the format of results.jsonl.
Json record_json(const std::string& label, const std::optional<ProbeResult>& result) {
  if (!result) return nullptr;
  const Json line = Json::parse(result_line(result->step, "", {{label, &result->record}}));
  const Json& recorded = line["probes"][label];
  Json object = Json::object();
  if (result->step >= 0) object["step"] = result->step;
  if (result->until) object["until"] = *result->until;
  if (result->partly)
    object["checkpoints"] = {{"seen", result->partly->seen}, {"made", result->partly->made}};
  object["scalars"] = recorded["scalars"];
  object["findings"] = recorded["findings"];
  return object;
}

Json probe_json(const ProbeOverview& probe) {
  Json headlines = Json::object();
  for (const Curve& curve : probe.headlines) headlines[curve.name] = curve_json(curve);
  return {{"plugin", probe.plugin},
          {"version", probe.version},
          {"configured", probe.configured},
          {"n_results", probe.n_results},
          {"n_due", probe.n_due},
          {"n_gone", probe.n_gone},
          {"headlines", headlines},
          {"last", record_json(probe.label, probe.last)},
          {"null", record_json(probe.label, probe.null)},
          {"conclusion", record_json(probe.label, probe.conclusion)}};
}

Json session_json(const SessionInfo& session) {
  return {{"started", session.started}, {"from", session.from},
          {"to", json(session.to)},     {"seconds", json_real(session.seconds)},
          {"ended", session.ended},     {"device", session.device},
          {"threads", session.threads}, {"blas_core", session.blas_core}};
}

void add_info(Json& object, const RunJson& info, const ParametersOf& parameters_of) {
  Json changed = Json::object(), sessions = Json::array(), plugins = Json::array();
  for (const auto& [key, value] : changed_keys(info.config, parameters_of)) changed[key] = value;
  for (const SessionInfo& session : info.sessions) sessions.push_back(session_json(session));
  for (const PluginInfo& plugin : info.plugins)
    plugins.push_back({{"kind", plugin.kind}, {"name", plugin.name}, {"version", plugin.version}});
  object["name"] = info.name();
  object["task"] = info.task();
  object["model"] = info.model();
  object["n_parameters"] = json(info.n_parameters);
  object["n_train"] = json(info.n_train);
  object["n_test"] = json(info.n_test);
  object["steps"] = info.steps();
  object["ended"] = info.ended();
  object["changed"] = changed;
  object["config"] = info.config;
  object["sessions"] = sessions;
  object["versions"] = {{"orrery", info.orrery}, {"torch", info.torch}, {"plugins", plugins}};
}

Json checkpoints_json(const RunOverview& seen) {
  Json steps = Json::array();
  for (const CheckpointFile& checkpoint : seen.checkpoints) steps.push_back(checkpoint.step);
  return {{"steps", steps}, {"bytes", seen.checkpoint_bytes}};
}

}  // namespace

std::string overview_json(const RunOverview& seen, const ParametersOf& parameters_of) {
  Json object = {{"run", seen.root.string()},
                 {"state", to_string(seen.state)},
                 {"being_written", seen.being_written},
                 {"resumable_from", json(seen.resumable_from)},
                 {"step", seen.step()}};
  if (seen.info) add_info(object, *seen.info, parameters_of);
  object["checkpoints"] = checkpoints_json(seen);
  object["thresholds"] = thresholds_json(seen);
  object["metrics"] = Json::object();
  for (const Curve& curve : seen.metrics) object["metrics"][curve.name] = curve_json(curve);
  object["probes"] = Json::object();
  for (const ProbeOverview& probe : seen.probes) object["probes"][probe.label] = probe_json(probe);
  object["damage"] = Json::array();
  for (const Error& error : seen.damage) object["damage"].push_back(error.what());
  return object.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace orrery::engine
