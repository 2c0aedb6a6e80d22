// Reads and writes run.json: what a run is, and its sessions. Free of LibTorch, and cheap, because `orrery
// runs` reads hundreds at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/run/json_read.h"

namespace orrery::engine {

struct SessionInfo {
  std::string started;  ///< "2026-01-31T12:00:00Z"
  int64_t from = 0;
  std::optional<int64_t> to;  ///< missing while the session runs, and if it was killed
  std::optional<double> seconds;
  std::string ended = "running";  ///< or "finished", "condition", "stopped", "diverged", "imported"
  std::string device;
  int64_t threads = 0;
  std::string blas = {}, blas_core = {}, cpu_capability = {}, loops = {};  ///< as in Kernels; "" if unknown
  std::optional<bool> flush_subnormals = {};
  int64_t keep_last = 0;  ///< checkpoints.keep_last of its config
};

struct PluginInfo {
  std::string kind, name, version;
  std::string build = {};  ///< of its library; "" in runs of earlier versions
  std::string file = {};   ///< where it was when the run was made; "" for built-in plugins
};

/// A [[probe]] entry of the config.
struct ConfiguredProbe {
  std::string label, plugin;
  int64_t every = 0;
};

/// Members that an older version did not write are empty.
struct RunJson {
  std::string orrery, torch;  ///< versions
  std::vector<PluginInfo> plugins;
  std::optional<int64_t> n_parameters, n_train, n_test;
  bool endless = false;  ///< the task draws examples without end; n_train of them are scored
  Json config;           ///< an object
  std::vector<SessionInfo> sessions;
  std::set<int64_t> pruned;  ///< the steps of checkpoints that `orrery prune` deleted

  /// Whether the run says of itself that a checkpoint of `step` has been deleted, or may have been:
  /// `orrery prune` did it, or a session that made it, or a later one, had a checkpoints.keep_last.
  bool may_be_thinned(int64_t step) const;
  std::vector<ConfiguredProbe> probes() const;
  std::string name() const;
  std::string task() const;
  std::string model() const;
  /// train.steps; 0 if missing.
  int64_t steps() const;
  std::string stop_when() const;
  /// How the last session ended; "running" if there is none.
  std::string ended() const;
};

class RunDirectory;

/// Writes run.json for one session: the experiment and, after the earlier sessions, {"from": 0, "to": 400,
/// "ended": "stopped", "seconds": 3.1, "started": "2026-01-31T12:00:00Z", "device": "cpu", "threads": 1,
/// "blas": "OpenBLAS 0.3.21", "blas_core": "SkylakeX", "cpu_capability": "AVX2", "loops": "avx512",
/// "flush_subnormals": true}, and if the config was changed, "overrides": [{"key": "train.lr", "from": 1e-3,
/// "to": 1e-4}].
class SessionRecord {
 public:
  /// Begins a session at `step`. `about` is Experiment::describe(); it replaces the content of run.json,
  /// except that earlier sessions are kept if `step` > 0.
  SessionRecord(RunDirectory& run, Json about, int64_t step, const std::string& device, int64_t threads);
  /// Keeps in the session what it has changed in the config. end() writes it, too.
  void add_overrides(const Json& changes);
  /// What this session has another value of than the one before: "blas_core: Haswell, before SkylakeX".
  /// Results may then differ in their last bits. Empty if there is none before.
  std::vector<std::string> changed_hardware() const;
  /// Adds a member to run.json: {"import": {...}}. end() writes it.
  void add(const std::string& key, Json value);
  /// Ends the session. `ended` is "finished", "condition", "stopped", "diverged" or "imported".
  void end(int64_t step, const std::string& ended, double seconds);

 private:
  void write();
  RunDirectory& run_;
  Json object_;
};

/// Throws orrery::Error, naming the file and what is wrong with it.
RunJson read_run_json(const std::filesystem::path& root);

/// The session, counted from 1, that made `step`; nothing if none did.
std::optional<size_t> session_of(const RunJson& info, int64_t step);

/// `key` of an object if it is text; else "".
std::string text_in(const Json& object, const char* key);

/// The time of a step, in seconds since 1970, interpolated within its session; 0 if unknown.
double wall_time_of(const RunJson& info, int64_t step);

}  // namespace orrery::engine
