// What a run loses: what a resumed session makes anew, and checkpoints that are not kept.
#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>

#include "engine/run/run_directory.h"
#include "engine/run/run_files.h"

namespace orrery::engine {
namespace {

void drop_beyond(LineLog& log, int64_t step) {
  size_t index = 0;
  log.drop_lines(
      [&](std::string_view line) { return parse_step(line, line_place(log.path(), index++)) > step; });
}

bool any_beyond(const std::filesystem::path& log, int64_t step) {
  const std::vector<int64_t> steps = steps_in_log(log);
  return std::any_of(steps.begin(), steps.end(), [&](int64_t known) { return known > step; });
}

}  // namespace

// Reads every line, so that a damaged one is met before anything is dropped.
bool RunDirectory::reaches_beyond(int64_t step) const {
  bool beyond = any_beyond(root_ / "metrics.jsonl", step);
  for (const std::string& label : probe_labels())
    beyond |= any_beyond(probe_folder(label) / "results.jsonl", step);
  return beyond;
}

std::vector<SetAside> RunDirectory::trim_after(int64_t step, const std::optional<Asked>& asked) {
  require_write();
  const bool cut = reaches_beyond(step);
  std::vector<SetAside> set_aside;
  const auto is_asked = [&](const std::string& label) { return !asked || asked->labels.contains(label); };
  for (const std::string& label : probe_labels())
    if (!is_asked(label))
      if (auto moved = set_conclusion_aside(label, asked->true_until, cut)) set_aside.push_back(*moved);
  drop_beyond(metrics(), step);
  for (const CheckpointFile& file : checkpoints())
    if (file.step > step) remove_file(file.path);
  for (const int64_t stored : states())
    if (stored > step) remove_file(state_path(stored));
  for (const std::string& label : probe_labels()) {
    ProbeLog& log = probe_log(label);
    drop_beyond(log.lines, step);
    std::erase_if(log.steps, [&](int64_t known) { return known > step; });
    for (const CheckpointFile& file : files(probe_folder(label), weights_extension))
      if (file.step > step) remove_file(file.path);
    if (is_asked(label))
      for (const RunLevelResult which : {RunLevelResult::null, RunLevelResult::conclusion})
        drop_run_level(label, which);
  }
  return set_aside;
}

// Nothing if it is there and true. One that cannot be read is not known to be.
std::optional<int64_t> RunDirectory::untrue_conclusion(const std::string& label, int64_t true_until,
                                                       bool cut) const {
  constexpr int64_t unknown = -1;
  try {
    const auto conclusion = read_run_level(label, RunLevelResult::conclusion, ProbeData::leave_out);
    if (!conclusion || (conclusion->until ? *conclusion->until <= true_until : !cut)) return std::nullopt;
    return conclusion->until.value_or(unknown);
  } catch (const Error&) {
    return unknown;
  }
}

// The data are copied before the line is moved, so that neither line names missing data.
std::optional<SetAside> RunDirectory::set_conclusion_aside(const std::string& label, int64_t true_until,
                                                           bool cut) {
  const std::filesystem::path line = probe_folder(label) / "conclusion.json",
                              data = probe_folder(label) / "conclusion.safetensors";
  const std::optional<int64_t> until = untrue_conclusion(label, true_until, cut);
  if (!until) return std::nullopt;
  const std::string name =
      *until < 0 ? label + ".conclusion" : fmt::format("{}.conclusion_{:08}", label, *until);
  const std::filesystem::path target = root_ / "set_aside" / name;
  make_folders(target.parent_path());
  std::error_code ignored;
  if (std::filesystem::exists(data, ignored)) write_file(target.string() + ".safetensors", read_file(data));
  write_file(target.string() + ".json", read_file(line));
  drop_run_level(label, RunLevelResult::conclusion);
  return SetAside{label, "set_aside/" + name + ".json"};
}

void RunDirectory::drop_checkpoint(int64_t step) {
  require_write();
  remove_file(checkpoint_path(step));
  remove_file(state_path(step));
  for (const std::string& label : probe_labels()) {
    ProbeLog& log = probe_log(label);
    if (std::erase(log.steps, step) == 0) continue;
    log.lines.drop_lines(
        [&](std::string_view line) { return parse_step(line, log.lines.path().string()) == step; });
    remove_file(probe_data_path(label, step));
  }
}

void RunDirectory::drop_weights(int64_t step) {
  require_write();
  if (resumable_step() == step)
    throw Error(
        fmt::format("{}: the run goes on from this checkpoint, so it stays", checkpoint_path(step).string()));
  remove_file(checkpoint_path(step));
  remove_file(state_path(step));
}

bool RunDirectory::has_result(const std::string& label, int64_t step) {
  require_write();
  std::error_code ignored;
  if (!std::filesystem::exists(probe_folder(label) / "results.jsonl", ignored)) return false;
  const std::vector<int64_t>& steps = probe_log(label).steps;
  return std::binary_search(steps.begin(), steps.end(), step);
}

}  // namespace orrery::engine
