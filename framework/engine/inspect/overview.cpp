#include "engine/inspect/overview.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/inspect/sparkline.h"
#include "engine/reporter/numbers.h"
#include "engine/run/curves.h"
#include "engine/run/run_lock.h"
#include "sdk/files/safetensors.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

// Runs `action`; an Error is recorded in `damage`, not propagated.
template <class Action>
void noting(std::vector<Error>& damage, Action action) {
  try {
    action();
  } catch (const Error& error) {
    damage.push_back(error);
  }
}

std::vector<Curve> in_order_of(const std::vector<std::string>& names, std::vector<Curve> curves) {
  const auto place = [&](const Curve& curve) { return std::find(names.begin(), names.end(), curve.name); };
  std::stable_sort(curves.begin(), curves.end(),
                   [&](const Curve& a, const Curve& b) { return place(a) < place(b); });
  return curves;
}

void note_name(std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

void look_at_metrics(const RunDirectory& run, RunOverview& seen) {
  CurveReader reader;
  std::vector<std::string> names;
  const auto rows = run.read_metrics([&](const Error& error) { seen.damage.push_back(error); });
  for (const MetricsRow& row : rows) {
    reader.add_row(row.step, row.values);
    for (const auto& [name, value] : row.values) note_name(names, name);
  }
  seen.n_rows = static_cast<int64_t>(rows.size());
  seen.metrics = in_order_of(names, reader.curves());
}

void look_at_checkpoints(const RunDirectory& run, RunOverview& seen) {
  for (const CheckpointFile& file : run.checkpoints())
    noting(seen.damage, [&] {
      std::error_code ignored;
      seen.checkpoint_bytes += fs::file_size(file.path, ignored);
      safetensors::check_header(file.path);
      seen.checkpoints.push_back(file);
    });
  for (const int64_t step : run.states()) {
    std::error_code ignored;
    seen.checkpoint_bytes += fs::file_size(run.state_path(step), ignored);
    if (std::any_of(seen.checkpoints.begin(), seen.checkpoints.end(),
                    [&](auto& c) { return c.step == step; }))
      seen.resumable_from = step;
  }
}

ProbeOverview look_at_probe(const RunDirectory& run, const ConfiguredProbe& probe, RunOverview& seen) {
  ProbeOverview of;
  of.label = probe.label;
  of.plugin = probe.plugin;
  constexpr auto data = RunDirectory::ProbeData::leave_out;
  CurveReader reader;
  std::vector<std::string> headlines;
  std::set<int64_t> measured;
  noting(seen.damage, [&] {
    auto results =
        run.read_probe_results(probe.label, data, [&](const Error& error) { seen.damage.push_back(error); });
    of.n_results = static_cast<int64_t>(results.size());
    for (const ProbeResult& result : results) {
      measured.insert(result.step);
      if (!std::filesystem::exists(run.checkpoint_path(result.step))) ++of.n_gone;
      reader.add_row(result.step, result.record.scalars);
      for (const std::string& name : result.record.headlines) note_name(headlines, name);
    }
    if (!results.empty()) of.last = std::move(results.back());
  });
  of.n_due = of.n_results;
  for (const CheckpointFile& checkpoint : seen.checkpoints)
    of.n_due +=
        (probe.every == 0 || checkpoint.step % probe.every == 0) && !measured.contains(checkpoint.step);
  std::vector<Curve> curves = reader.curves();
  std::erase_if(curves, [&](const Curve& curve) {
    return std::find(headlines.begin(), headlines.end(), curve.name) == headlines.end();
  });
  of.headlines = in_order_of(headlines, std::move(curves));
  noting(seen.damage, [&] { of.null = run.read_run_level(probe.label, RunLevelResult::null, data); });
  noting(seen.damage,
         [&] { of.conclusion = run.read_run_level(probe.label, RunLevelResult::conclusion, data); });
  if (const auto& any = of.last ? of.last : of.conclusion; any && any->provenance) {
    of.plugin = any->provenance->probe;
    of.version = any->provenance->version;
  }
  return of;
}

void look_at_probes(const RunDirectory& run, RunOverview& seen) {
  std::vector<ConfiguredProbe> probes = seen.info ? seen.info->probes() : std::vector<ConfiguredProbe>();
  for (const std::string& label : run.probe_labels())
    if (std::none_of(probes.begin(), probes.end(), [&](const auto& probe) { return probe.label == label; }))
      probes.push_back({label, label});
  const size_t n_configured = seen.info ? seen.info->probes().size() : probes.size();
  for (size_t i = 0; i < probes.size(); ++i)
    noting(seen.damage, [&] {
      ProbeOverview of = look_at_probe(run, probes[i], seen);
      of.configured = i < n_configured;
      seen.probes.push_back(std::move(of));
    });
}

}  // namespace

int64_t RunOverview::step() const {
  int64_t step = checkpoints.empty() ? 0 : checkpoints.back().step;
  for (const Curve& curve : metrics) step = std::max(step, curve.steps.back());
  return step;
}

std::string RunOverview::step_text(int64_t step) const {
  const std::optional<size_t> session = info ? session_of(*info, step) : std::nullopt;
  return fmt::format("step {}{}", thousands(step),
                     session ? fmt::format(" (session {} of {})", *session, info->sessions.size()) : "");
}

const Curve* RunOverview::metric(const std::string& name) const {
  const auto found =
      std::find_if(metrics.begin(), metrics.end(), [&](const Curve& curve) { return curve.name == name; });
  return found == metrics.end() ? nullptr : &*found;
}

bool RunOverview::scored(const std::string& set) const {
  const Curve* accuracy = metric(set + "/accuracy");
  return accuracy && highest(*accuracy);
}

RunOverview look_at(const fs::path& path) {
  const RunDirectory run = RunDirectory::inspect(path);
  RunOverview seen;
  seen.root = path;
  seen.being_written = RunLock::is_held(path);
  noting(seen.damage, [&] {
    seen.info = read_run_json(path);
    seen.state = state_of(*seen.info, seen.being_written);
  });
  noting(seen.damage, [&] { look_at_metrics(run, seen); });
  noting(seen.damage, [&] { look_at_checkpoints(run, seen); });
  noting(seen.damage, [&] { look_at_probes(run, seen); });
  return seen;
}

namespace {

template <class Better>
std::optional<Extreme> extreme(const Curve& curve, Better better) {
  std::optional<Extreme> found;
  for (size_t i = 0; i < curve.steps.size(); ++i)
    if (!std::isnan(curve.values[i]) && (!found || better(curve.values[i], found->value)))
      found = {curve.steps[i], curve.values[i]};
  return found;
}

bool is_accuracy(const std::string& name) {
  return ("/" + name + "/").find("/accuracy/") != std::string::npos;
}

}  // namespace

std::optional<Extreme> lowest(const Curve& curve) { return extreme(curve, std::less<>()); }
std::optional<Extreme> highest(const Curve& curve) { return extreme(curve, std::greater<>()); }

std::optional<Extreme> best(const Curve& curve) {
  if (is_loss(curve.name)) return lowest(curve);
  if (is_accuracy(curve.name)) return highest(curve);
  return std::nullopt;
}

std::optional<int64_t> first_at_least(const Curve& curve, double threshold) {
  for (size_t i = 0; i < curve.steps.size(); ++i)
    if (curve.values[i] >= threshold) return curve.steps[i];
  return std::nullopt;
}

}  // namespace orrery::engine
