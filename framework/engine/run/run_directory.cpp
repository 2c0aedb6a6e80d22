#include "engine/run/run_directory.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "engine/run/json_read.h"
#include "engine/run/log_claim.h"
#include "engine/run/plain_files.h"
#include "engine/run/run_files.h"
#include "sdk/files/safetensors.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

// The names in a folder, sorted; empty if there is no such folder.
std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code failure;
  if (!fs::exists(folder, failure)) return found;
  for (fs::directory_iterator at(folder, failure), end; !failure && at != end; at.increment(failure))
    found.push_back(at->path());
  if (failure)
    throw Error(fmt::format("{}: cannot list this folder: {}", folder.string(), failure.message()));
  std::sort(found.begin(), found.end());
  return found;
}

// A process that failed to create a run, or was killed before its run.json, may have left this much.
bool is_leftover(const fs::path& path) {
  if (path.filename() == RunLock::file_name || is_temporary(path)) return true;
  std::error_code ignored;
  const bool folder = path.filename() == "checkpoints" || path.filename() == "probes";
  return folder && !fs::is_symlink(path, ignored) && fs::is_directory(path, ignored) &&
         fs::is_empty(path, ignored);
}

bool holds_anything(const fs::path& folder) {
  const std::vector<fs::path> found = entries(folder);
  return !std::all_of(found.begin(), found.end(), is_leftover);
}

void refuse_no_folder(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored))
    throw UsageError(path.string() + ": no such folder", "check the path of the run");
  if (!fs::is_directory(path, ignored))
    throw UsageError(path.string() + ": expected the folder of a run, found a file");
}

[[noreturn]] void refuse_no_run(const fs::path& path) {
  std::error_code ignored;
  if (fs::exists(path / "plan.json", ignored))
    throw UsageError(
        path.string() + ": no run: this is the folder of a sweep",
        fmt::format("orrery sweep status {0}, or sweep report {0}; its runs are in {0}/runs", path.string()));
  throw UsageError(path.string() + ": no run: there is no run.json in this folder",
                   "give the folder that `orrery train` printed at its end");
}

void refuse_occupied(const fs::path& path) {
  std::error_code ignored;
  if (fs::exists(path, ignored) && !fs::is_directory(path, ignored))
    throw UsageError(path.string() + ": expected a folder for a new run, found a file",
                     "choose another --out");
  if (holds_anything(path))
    throw UsageError(path.string() + ": this folder is not empty, and a new run never overwrites",
                     "choose another --out, or resume the run: --resume " + path.string());
}

// Applies `parse` to each line and its place.
template <class Parse>
auto parse_lines(const fs::path& path, const OnDamage& damage, const Parse& parse) {
  std::vector<decltype(parse(std::string(), std::string()))> all;
  size_t index = 0;
  for (const std::string& line : lines_if_any(path)) {
    try {
      all.push_back(parse(line, line_place(path, index++)));
    } catch (const Error& error) {
      if (!damage) throw;
      damage(error);
    }
  }
  return all;
}

// A label names a folder inside the run and must not lead out of it.
void check_label(const std::string& label) {
  const bool good = !label.empty() && label[0] != '.' && std::none_of(label.begin(), label.end(), [](char c) {
    return c == '/' || static_cast<unsigned char>(c) < ' ';
  });
  if (!good)
    throw UsageError(
        fmt::format("a probe cannot be labelled \"{}\": its label is the name of a folder", label),
        "use letters, digits and underscores");
}

// Keeps the later of two lines with the same step. `steps` are those of the lines.
void put_in_order(LineLog& log, const std::vector<int64_t>& steps) {
  log.edit([&](std::vector<std::string>& lines) {
    std::map<int64_t, std::string> by_step;
    for (size_t i = 0; i < lines.size(); ++i) by_step[steps[i]] = std::move(lines[i]);
    lines.clear();
    for (auto& [step, line] : by_step) lines.push_back(std::move(line));
  });
}

// Without bytes, writes no file.
void write_data(const fs::path& path, const std::vector<std::byte>& bytes) {
  if (bytes.empty())
    remove_file(path);
  else
    write_file(path, bytes);
}

}  // namespace

RunDirectory::RunDirectory(fs::path root, Access access) : root_(std::move(root)), access_(access) {}

RunDirectory RunDirectory::create(const fs::path& path) {
  refuse_occupied(path);
  make_folders(path);
  RunDirectory run(path, Access::write);
  run.lock_ = RunLock(path);
  refuse_occupied(path);  // again: another process may have filled it before we held the lock
  run.sweep();
  for (const char* folder : {"checkpoints", "probes"}) make_folders(path / folder);
  return run;
}

RunDirectory RunDirectory::open(const fs::path& path, Access access) {
  std::error_code ignored;
  refuse_no_folder(path);
  refuse_links(path);
  if (!fs::exists(path / "run.json", ignored)) refuse_no_run(path);
  RunDirectory run(path, access);
  run.read_run_json();
  if (access == Access::write) {
    run.lock_ = RunLock(path);
    run.sweep();
  }
  return run;
}

RunDirectory RunDirectory::inspect(const fs::path& path) {
  refuse_no_folder(path);
  refuse_links(path);
  std::error_code ignored;
  const bool some = fs::exists(path / "run.json", ignored) || fs::exists(path / "metrics.jsonl", ignored) ||
                    fs::exists(path / "checkpoints", ignored);
  if (!some) refuse_no_run(path);
  return RunDirectory(path, Access::read);
}

// Removes the temporary files of a killed process. Safe because we hold the lock.
void RunDirectory::sweep() const {
  std::vector<fs::path> folders{root_, root_ / "checkpoints", root_ / "tensorboard", root_ / "set_aside"};
  for (const std::string& label : probe_labels()) folders.push_back(probe_folder(label));
  for (const fs::path& folder : folders)
    for (const fs::path& path : entries(folder))
      if (is_temporary(path)) remove_file(path);
}

void RunDirectory::require_write() const {
  if (access_ == Access::read) throw Error(root_.string() + ": this run was opened for reading only");
}

void RunDirectory::write_run_json(const std::string& text) {
  require_write();
  parse_object(text, (root_ / "run.json").string());
  write_file(root_ / "run.json", text);
}

std::string RunDirectory::read_run_json() const {
  std::string text = read_file(root_ / "run.json");
  parse_object(text, (root_ / "run.json").string());
  return text;
}

std::string RunDirectory::checkpoint_name(int64_t step) {
  return "checkpoints/" + step_name(step, weights_extension);
}
fs::path RunDirectory::checkpoint_path(int64_t step) const { return root_ / checkpoint_name(step); }
fs::path RunDirectory::state_path(int64_t step) const {
  return root_ / "checkpoints" / step_name(step, state_extension);
}

std::vector<CheckpointFile> RunDirectory::files(const fs::path& folder, const std::string& extension) const {
  std::vector<CheckpointFile> found;
  for (const fs::path& path : entries(folder)) {
    const std::string name = path.filename().string();
    int64_t step = -1;
    if (name.starts_with("step_")) std::from_chars(name.data() + 5, name.data() + name.size(), step);
    // Only canonical names: files such as "step_7.safetensors" are not ours.
    if (step >= 0 && name == step_name(step, extension.c_str())) found.push_back({step, path});
  }
  std::sort(found.begin(), found.end(), [](auto& a, auto& b) { return a.step < b.step; });
  return found;
}

std::vector<CheckpointFile> RunDirectory::checkpoints() const {
  return files(root_ / "checkpoints", weights_extension);
}

std::vector<int64_t> RunDirectory::states() const {
  std::vector<int64_t> steps;
  for (const CheckpointFile& file : files(root_ / "checkpoints", state_extension)) steps.push_back(file.step);
  return steps;
}

void RunDirectory::drop_states_but(int64_t step) {
  require_write();
  for (const int64_t stored : states())
    if (stored != step) remove_file(state_path(stored));
}

LineLog& RunDirectory::metrics() {
  require_write();
  if (!metrics_) metrics_.emplace(root_ / "metrics.jsonl");
  return *metrics_;
}

std::optional<LogContent> RunDirectory::claimed_metrics() const {
  const std::optional<int64_t> step = resumable_step();
  if (!step) return std::nullopt;
  try {
    return log_content_in(safetensors::read_metadata(state_path(*step)));
  } catch (const Error&) {  // a writer has gone on meanwhile; damage is reported when it is resumed from
    return std::nullopt;
  }
}

void RunDirectory::check_metrics() const {
  const fs::path path = root_ / "metrics.jsonl";
  if (const auto claimed = claimed_metrics())
    check_log(path, *claimed, fmt::format("when step {} was saved", *resumable_step()));
  else if (const auto step = resumable_step())
    check_reaches(path, *step, root_ / "run.json");
}

std::optional<int64_t> RunDirectory::resumable_step() const {
  const std::vector<int64_t> with_state = states();
  const std::vector<CheckpointFile> all = checkpoints();
  for (auto checkpoint = all.rbegin(); checkpoint != all.rend(); ++checkpoint)
    if (std::binary_search(with_state.begin(), with_state.end(), checkpoint->step)) return checkpoint->step;
  return std::nullopt;
}

void RunDirectory::sync_logs() {
  if (metrics_) metrics_->sync();
  for (auto& [label, log] : probe_logs_) log.lines.sync();
}

std::vector<MetricsRow> RunDirectory::read_metrics(const OnDamage& damage) const {
  try {
    check_metrics();
  } catch (const Error& error) {
    if (!damage) throw;
    damage(error);
  }
  return parse_lines(root_ / "metrics.jsonl", damage, parse_metrics_line);
}

fs::path RunDirectory::probe_folder(const std::string& label) const {
  check_label(label);
  return root_ / "probes" / label;
}

std::vector<std::string> RunDirectory::probe_labels() const {
  std::vector<std::string> labels;
  for (const fs::path& path : entries(root_ / "probes"))
    if (fs::is_directory(path) && path.filename().string()[0] != '.')
      labels.push_back(path.filename().string());
  return labels;
}

RunDirectory::ProbeLog& RunDirectory::probe_log(const std::string& label) {
  const auto known = probe_logs_.find(label);
  if (known != probe_logs_.end()) return known->second;
  const fs::path path = probe_folder(label) / "results.jsonl";
  make_folders(path.parent_path());
  ProbeLog log{LineLog(path), {}};
  log.steps = steps_in_log(path);
  if (std::adjacent_find(log.steps.begin(), log.steps.end(), std::greater_equal<>()) != log.steps.end()) {
    put_in_order(log.lines, log.steps);
    log.steps = steps_in_log(path);
  }
  return probe_logs_.emplace(label, std::move(log)).first->second;
}

void RunDirectory::save_probe_result(const std::string& label, int64_t step, const std::string& checkpoint,
                                     const Record& record, const std::optional<Provenance>& provenance) {
  save_probe_result(label, step,
                    pack_result(result_line(step, checkpoint, {{label, &record}}, provenance), record));
}

void RunDirectory::save_probe_result(const std::string& label, int64_t step, const PackedResult& result) {
  require_write();
  ProbeLog& log = probe_log(label);
  auto at = std::lower_bound(log.steps.begin(), log.steps.end(), step);
  if (at != log.steps.end() && *at == step) {
    log.lines.edit([&](auto& lines) { lines.erase(lines.begin() + (at - log.steps.begin())); });
    at = log.steps.erase(at);
  }
  // The data first, so that a line never names missing data.
  write_data(probe_data_path(label, step), result.data);
  if (at == log.steps.end())
    log.lines.append(result.line);
  else
    log.lines.edit([&](auto& lines) { lines.insert(lines.begin() + (at - log.steps.begin()), result.line); });
  log.steps.insert(at, step);
}

std::vector<ProbeResult> RunDirectory::read_probe_results(const std::string& label, ProbeData data,
                                                          const OnDamage& damage) const {
  const fs::path folder = probe_folder(label);
  const auto load = [&](int64_t step) {
    return read_tensors(folder / step_name(step, weights_extension)).tensors;
  };
  auto results = parse_lines(folder / "results.jsonl", damage, [&](const auto& line, const auto& where) {
    return data == ProbeData::load ? parse_result(line, label, where, load)
                                   : parse_result(line, label, where);
  });
  std::stable_sort(results.begin(), results.end(), [](auto& a, auto& b) { return a.step < b.step; });
  return results;
}

void RunDirectory::clear_probe_results(const std::string& label) {
  require_write();
  probe_logs_.erase(label);
  const fs::path folder = probe_folder(label);
  remove_file(folder / "results.jsonl");  // first, so that a line never names missing data
  for (const CheckpointFile& file : files(folder, weights_extension)) remove_file(file.path);
  for (const RunLevelResult aside : {RunLevelResult::null, RunLevelResult::conclusion})
    drop_run_level(label, aside);
}

void RunDirectory::save_run_level(const std::string& label, RunLevelResult aside,
                                  const PackedResult& result) {
  require_write();
  const fs::path folder = probe_folder(label);
  make_folders(folder);
  write_data(folder / (to_string(aside) + weights_extension), result.data);
  write_file(folder / (to_string(aside) + ".json"), result.line + "\n");
}

std::optional<ProbeResult> RunDirectory::read_run_level(const std::string& label, RunLevelResult aside,
                                                        ProbeData data) const {
  const fs::path path = probe_folder(label) / (to_string(aside) + ".json");
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  const auto load = [&](int64_t) {
    return read_tensors(fs::path(path).replace_extension(weights_extension)).tensors;
  };
  const std::string text = read_file(path);
  return data == ProbeData::load ? parse_result(text, label, path.string(), load)
                                 : parse_result(text, label, path.string());
}

void RunDirectory::drop_run_level(const std::string& label, RunLevelResult aside) {
  const fs::path folder = probe_folder(label);
  remove_file(folder / (to_string(aside) + ".json"));
  remove_file(folder / (to_string(aside) + weights_extension));
}

std::filesystem::path dropped_outputs_path(const RunDirectory& run, int64_t step) {
  return run.root() / "set_aside" / std::filesystem::path(RunDirectory::checkpoint_name(step)).filename();
}

std::filesystem::path new_run_path(const std::string& name) {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  const std::string base = fmt::format("runs/{}-{:%Y%m%d-%H%M%S}", name, fmt::localtime(now));
  std::filesystem::path path = base;
  for (int again = 2; std::filesystem::exists(path); ++again) path = fmt::format("{}-{}", base, again);
  return path;
}

}  // namespace orrery::engine
