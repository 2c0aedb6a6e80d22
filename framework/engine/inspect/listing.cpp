#include "engine/inspect/listing.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "engine/inspect/sparkline.h"
#include "engine/run/json_write.h"
#include "engine/run/plain_files.h"
#include "engine/run/run_directory.h"
#include "engine/run/run_lock.h"
#include "sdk/files/atomic_file.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

bool is_run(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "run.json", ignored) || fs::exists(folder / "metrics.jsonl", ignored);
}

void find_below(const fs::path& folder, std::vector<fs::path>& found) {
  if (is_run(folder)) {
    found.push_back(folder);
    return;
  }
  std::error_code failure;
  for (fs::directory_iterator at(folder, failure), end; !failure && at != end; at.increment(failure)) {
    std::error_code ignored;
    if (!at->is_directory(ignored) || at->path().filename().string()[0] == '.') continue;
    if (!at->is_symlink(ignored))
      find_below(at->path(), found);
    else if (is_run(at->path()))
      found.push_back(at->path());
  }
}

void read_last_row(RunSummary& run) {
  const fs::path path = run.path / "metrics.jsonl";
  std::error_code ignored;
  const bool there = fs::exists(path, ignored);
  const RunDirectory directory = RunDirectory::inspect(run.path);
  const auto claimed = directory.claimed_metrics();
  // Hashing every log of a long list takes time; `orrery show` does.
  if (!claimed || (there ? fs::file_size(path, ignored) : 0) < claimed->bytes) directory.check_metrics();
  if (!there) return;
  const std::string line = read_last_line(path);
  if (!line.empty()) run.last = parse_metrics_line(line, path.string() + ": its last line");
}

// The value of `run` for the key of a filter.
std::optional<std::string> value_at(const RunSummary& run, const std::string& key) {
  if (key == "state") return to_string(run.state);
  if (!run.info) return std::nullopt;
  if (key == "task") return run.info->task();
  if (key == "model") return run.info->model();
  if (key == "name") return run.info->name();
  for (const auto& [known, value] : config_keys(run.info->config))
    if (known == key || known.ends_with("." + key)) return value_text(value);
  return std::nullopt;
}

std::optional<double> number_in(const std::string& text) {
  double number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool equal(const std::string& a, const std::string& b) {
  const auto left = number_in(a), right = number_in(b);
  return a == b || (left && right && *left == *right);
}

void refuse_key(const std::vector<RunSummary>& runs, const std::string& key) {
  std::set<std::string> known = {"task", "model", "name", "state"};
  for (const RunSummary& run : runs)
    if (run.info)
      for (const auto& [name, value] : config_keys(run.info->config)) known.insert(name);
  const std::vector<std::string> names(known.begin(), known.end());
  throw UsageError(
      fmt::format("--filter: none of these runs has a key \"{}\"{}", key, did_you_mean(key, names)),
      fmt::format("there are: {}", fmt::join(names, ", ")));
}

void refuse_metric(const std::vector<RunSummary>& runs, const std::string& metric) {
  std::set<std::string> known = {"name", "time"};
  for (const RunSummary& run : runs)
    if (run.last)
      for (const auto& [name, value] : run.last->values) known.insert(name);
  const std::vector<std::string> names(known.begin(), known.end());
  throw UsageError(
      fmt::format("--sort: none of these runs has a metric \"{}\"{}", metric, did_you_mean(metric, names)),
      fmt::format("there are: {}", fmt::join(names, ", ")));
}

std::string started(const RunSummary& run) {
  return run.info && !run.info->sessions.empty() ? run.info->sessions.back().started : "";
}

}  // namespace

std::optional<double> RunSummary::metric(const std::string& name) const {
  if (last)
    for (const auto& [known, value] : last->values)
      if (known == name) return value;
  return std::nullopt;
}

std::vector<fs::path> find_runs(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored))
    throw UsageError(fmt::format("{}: no such folder", folder.string()),
                     "give a folder that holds runs; `orrery train` puts them into runs/");
  std::vector<fs::path> found;
  find_below(folder, found);
  std::sort(found.begin(), found.end());
  return found;
}

std::optional<fs::path> sweep_below(const fs::path& folder, const fs::path& path) {
  const auto within = path.lexically_normal().lexically_relative((folder / "").lexically_normal());
  if (within.empty() || *within.begin() == ".." || *within.begin() == ".") return std::nullopt;
  fs::path sweep = folder;
  std::error_code ignored;
  for (const fs::path& part : within.parent_path()) {
    sweep /= part;
    if (fs::exists(sweep / "plan.json", ignored)) return sweep;
  }
  return std::nullopt;
}

RunSummary list_run(const fs::path& path) {
  RunSummary run;
  run.path = path;
  try {
    refuse_links_at_top(path);
    run.info = read_run_json(path);
    run.state = state_of(*run.info, RunLock::is_held(path));
    if (!run.info->sessions.empty()) run.step = run.info->sessions.back().to.value_or(0);
    read_last_row(run);
    if (run.last) run.step = std::max(run.step, run.last->step);
  } catch (const Error& error) {
    run.state = RunState::damaged;
    run.damage = error.what();
  }
  return run;
}

std::vector<RunSummary> filtered(std::vector<RunSummary> runs, const std::vector<std::string>& filters) {
  for (const std::string& filter : filters) {
    const size_t sign = filter.find('=');
    if (sign == std::string::npos || sign == 0)
      throw UsageError(fmt::format("--filter {}: expected KEY=VALUE", filter),
                       "for example: --filter task=modular_arithmetic --filter train.lr=0.001");
    const std::string key = filter.substr(0, sign), wanted = filter.substr(sign + 1);
    if (!runs.empty() &&
        std::none_of(runs.begin(), runs.end(), [&](auto& run) { return value_at(run, key); }))
      refuse_key(runs, key);
    std::erase_if(runs, [&](const RunSummary& run) {
      const auto value = value_at(run, key);
      return !value || !equal(*value, wanted);
    });
  }
  return runs;
}

void sort_runs(std::vector<RunSummary>& runs, const std::string& by) {
  if (by == "name") {
    std::stable_sort(runs.begin(), runs.end(), [](auto& a, auto& b) { return a.path < b.path; });
    return;
  }
  if (by == "time") {
    std::stable_sort(runs.begin(), runs.end(), [](auto& a, auto& b) { return started(a) > started(b); });
    return;
  }
  if (!runs.empty() && std::none_of(runs.begin(), runs.end(), [&](auto& run) { return run.metric(by); }))
    refuse_metric(runs, by);
  const auto rank = [&](const RunSummary& run) {
    const std::optional<double> value = run.metric(by);
    if (!value || std::isnan(*value)) return std::numeric_limits<double>::infinity();
    return is_loss(by) ? *value : -*value;
  };
  std::stable_sort(runs.begin(), runs.end(), [&](auto& a, auto& b) { return rank(a) < rank(b); });
}

namespace {

// Those of the last session; "" where it does not say.
std::vector<std::pair<std::string, std::string>> kernels_of(const RunSummary& run) {
  if (!run.info || run.info->sessions.empty()) return {};
  const SessionInfo& last = run.info->sessions.back();
  const auto& flushes = last.flush_subnormals;
  return {{"blas", last.blas},
          {"blas_core", last.blas_core},
          {"cpu_capability", last.cpu_capability},
          {"loops", last.loops},
          {"flush_subnormals", !flushes   ? ""
                               : *flushes ? "true"
                                          : "false"}};
}

void compare_kernels(std::vector<RunSummary>& runs) {
  std::map<std::string, std::set<std::string>> values;
  for (const RunSummary& run : runs)
    for (const auto& [key, value] : kernels_of(run))
      if (!value.empty()) values[key].insert(value);
  for (RunSummary& run : runs)
    for (auto& [key, value] : kernels_of(run))
      if (values[key].size() > 1 && !value.empty()) run.kernels.emplace_back(key, value);
}

}  // namespace

void compare_configs(std::vector<RunSummary>& runs) {
  compare_kernels(runs);
  std::vector<const Json*> configs;
  for (const RunSummary& run : runs)
    if (run.info) configs.push_back(&run.info->config);
  auto differing = differences(configs);
  size_t next = 0;
  for (RunSummary& run : runs)
    if (run.info) run.differences = std::move(differing[next++]);
}

std::string listing_json(const RunSummary& run) {
  Json object = {{"run", run.path.string()}, {"state", to_string(run.state)}};
  if (run.info) {
    object["name"] = run.info->name();
    object["task"] = run.info->task();
    object["model"] = run.info->model();
    object["n_parameters"] = run.info->n_parameters ? Json(*run.info->n_parameters) : Json(nullptr);
    object["started"] = run.info->sessions.empty() ? "" : run.info->sessions.back().started;
    object["ended"] = run.info->ended();
    object["step"] = run.step;
    object["steps"] = run.info->steps();
  }
  object["differs"] = Json::object();
  for (const Difference& difference : run.differences) object["differs"][difference.key] = difference.value;
  object["kernels"] = Json::object();
  for (const auto& [key, value] : run.kernels) object["kernels"][key] = value;
  object["metrics"] = Json::object();
  if (run.last)
    for (const auto& [name, value] : run.last->values) object["metrics"][name] = json_real(value);
  object["damage"] = run.damage.empty() ? Json(nullptr) : Json(run.damage);
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace orrery::engine
