#include "engine/inspect/check_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "engine/run/json_line.h"
#include "engine/run/json_read.h"
#include "engine/run/run_directory.h"
#include "engine/run/run_identity.h"
#include "engine/run/run_json.h"
#include "sdk/files/safetensors.h"
#include "sdk/files/sha256.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

class FileChecker {
 public:
  FileChecker(const fs::path& root, Reporter& reporter)
      : run_(RunDirectory::inspect(root)), reporter_(reporter) {}

  CheckedFiles check() {
    noting([&] { check_run_json(); });
    noting([&] {
      run_.read_metrics([&](const Error& error) { found_.damage.push_back(error); });
      count(run_.root() / "metrics.jsonl", run_.claimed_metrics().has_value());
    });
    check_tensors();
    for (const CheckpointFile& checkpoint : run_.checkpoints()) noting([&] { check_step(checkpoint); });
    for (const CheckpointFile& checkpoint : run_.checkpoints()) check_owner(checkpoint.path);
    for (const int64_t step : run_.states()) check_owner(run_.state_path(step));
    for (const std::string& label : run_.probe_labels()) noting([&] { check_results(label); });
    if (info_) look_for_missing();
    tell_what_is_gone();
    return std::move(found_);
  }

 private:
  template <class Action>
  void noting(Action action) {
    try {
      action();
    } catch (const Error& error) {
      found_.damage.push_back(error);
    }
  }

  void count(const fs::path& file, bool has_checksum) {
    if (has_checksum)
      ++found_.n_checked;
    else if (std::error_code ignored; fs::exists(file, ignored))
      found_.unchecked.push_back(fs::relative(file, run_.root(), ignored).string());
  }

  void check_run_json() {
    const fs::path path = run_.root() / "run.json";
    info_ = read_run_json(run_.root());
    count(path, parse_object(read_file(path), path.string()).contains("sha256"));
  }

  void check_tensors() {
    std::vector<fs::path> files;
    for (const char* folder : {"checkpoints", "probes", "set_aside"}) {
      std::error_code failure;
      for (fs::recursive_directory_iterator at(run_.root() / folder, failure), end; !failure && at != end;
           at.increment(failure))
        if (at->path().extension() == ".safetensors") files.push_back(at->path());
    }
    std::sort(files.begin(), files.end());
    const auto progress = reporter_.progress(static_cast<int64_t>(files.size()), "files");
    for (size_t i = 0; i < files.size(); ++i) {
      noting([&] { count(files[i], safetensors::File(files[i]).has_checksum()); });
      if (progress->due()) progress->show(static_cast<int64_t>(i + 1), files[i].filename().string(), false);
    }
  }

  void check_owner(const fs::path& file) {
    noting([&] { refuse_file_of_other_run(file, run_.root()); });
  }

  static void check_step(const CheckpointFile& checkpoint) {
    safetensors::Metadata metadata;
    try {
      metadata = safetensors::read_metadata(checkpoint.path);
    } catch (const Error&) {  // noted already
      return;
    }
    if (const auto step = metadata.find("step");
        step != metadata.end() && step->second != std::to_string(checkpoint.step))
      throw Error(fmt::format("{}: it is the checkpoint of step {}", checkpoint.path.string(), step->second),
                  "it was renamed, or replaced by another");
  }

  void check_order(const fs::path& log, const std::vector<ProbeResult>& results) const {
    const auto out_of_order = [](auto& a, auto& b) { return a.step >= b.step; };
    if (std::adjacent_find(results.begin(), results.end(), out_of_order) != results.end())
      throw Error(log.string() + ": a step has more than one line",
                  "the later is kept when the run is next probed or resumed");
  }

  // Every line with its data, and that it was computed from the checkpoint that is there.
  void check_results(const std::string& label) {
    const fs::path log = run_.probe_folder(label) / "results.jsonl";
    const auto results = run_.read_probe_results(label, RunDirectory::ProbeData::load,
                                                 [&](const Error& error) { found_.damage.push_back(error); });
    std::error_code ignored;
    bool all = true;
    if (fs::exists(log, ignored))
      for (const std::string& line : read_lines(log)) noting_quietly([&] { all &= check_line(line, ""); });
    count(log, all);
    noting([&] { check_order(log, results); });
    for (const ProbeResult& result : results) noting([&] { check_origin(label, result); });
    for (const RunLevelResult which : {RunLevelResult::null, RunLevelResult::conclusion})
      noting([&] {
        const fs::path path = run_.probe_folder(label) / (to_string(which) + ".json");
        if (!run_.read_run_level(label, which)) return;
        std::string line = read_file(path);
        if (line.ends_with('\n')) line.pop_back();
        count(path, check_line(line, path.string()));
      });
    for (const ProbeResult& result : results) steps_[label].insert(result.step);
  }

  // Damaged lines were noted when they were read.
  template <class Action>
  static void noting_quietly(Action action) {
    try {
      action();
    } catch (const Error&) {
    }
  }

  void check_origin(const std::string& label, const ProbeResult& result) {
    std::error_code ignored;
    const fs::path checkpoint = run_.checkpoint_path(result.step);
    if (!fs::exists(checkpoint, ignored)) {
      const bool thinned = has_dropped_all() || (info_ && info_->may_be_thinned(result.step));
      ++(thinned ? thinned_ : lost_)[label];
      return;
    }
    if (!result.provenance) return;
    auto known = hashes_.find(result.step);
    if (known == hashes_.end()) known = hashes_.emplace(result.step, sha256_of_file(checkpoint)).first;
    if (known->second != result.provenance->of)
      throw Error(fmt::format("{}: it is not the checkpoint that the result of {} was computed from",
                              checkpoint.string(), label),
                  "one of the two is damaged or was replaced");
  }

  // A run that has ended and whose folder for checkpoints is there and empty was trained for its results
  // alone: a sweep with keep = "none" leaves it so.
  bool has_dropped_all() const {
    std::error_code failure;
    return info_ && (info_->ended() == "finished" || info_->ended() == "condition") &&
           fs::is_empty(run_.root() / "checkpoints", failure) && !failure;
  }

  void tell_what_is_gone() {
    for (const auto& [label, count] : thinned_)
      found_.gone.push_back(
          fmt::format("probe {}: {} of its results are of checkpoints that were thinned: they "
                      "are whole, and cannot be computed again",
                      label, count));
    for (const auto& [label, count] : lost_)
      found_.missing.push_back(
          {fmt::format(
               "probe {}: the checkpoints of {} of its results are missing, and nothing says that the "
               "run deleted them",
               label, count),
           "copy them again from where they are; without them the results stay as they are"});
    if (run_.resumable_step() || (info_ && info_->ended() == "imported")) return;
    if (has_dropped_all())
      found_.gone.push_back("no checkpoint was kept: the run can be neither resumed nor probed");
    else
      found_.missing.push_back({"no state beside a checkpoint: the run cannot be resumed",
                                "it can still be shown and, from the checkpoints that it has, probed"});
  }

  void look_for_missing() {
    for (const ConfiguredProbe& probe : info_->probes()) {
      int64_t due = 0, lacking = 0;
      for (const CheckpointFile& checkpoint : run_.checkpoints()) {
        if (probe.every != 0 && checkpoint.step % probe.every != 0) continue;
        ++due;
        lacking += !steps_[probe.label].contains(checkpoint.step);
      }
      if (lacking > 0)
        found_.missing.push_back(
            {fmt::format("probe {}: no result at {} of {} checkpoints", probe.label, lacking, due),
             "compute them: orrery probe " + run_.root().string()});
    }
  }

  RunDirectory run_;
  Reporter& reporter_;
  CheckedFiles found_;
  std::optional<RunJson> info_;
  std::map<std::string, std::set<int64_t>> steps_;
  std::map<int64_t, std::string> hashes_;
  std::map<std::string, int64_t> thinned_, lost_;  // by label, results whose checkpoint is not there
};

}  // namespace

CheckedFiles check_files(const fs::path& run, Reporter& reporter) {
  return FileChecker(run, reporter).check();
}

}  // namespace orrery::engine
