// Shows checkpoints to probes: checks their needs against the run before step 0, then does one forward pass
// per checkpoint and set of inputs for all of them together, or two if some need the plain pass.
#pragma once

#include <orrery/probe.h>

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace orrery::engine {

/// A probe of a run, with its entry in the config.
struct ProbeInRun {
  std::string label;
  int64_t every = 0;               ///< only checkpoints whose step is a multiple; 0: all
  std::string reference = "last";  ///< "last", "first", "grokked", "self" or "step:N", if it needs one
  Probe* probe = nullptr;
  Needs needs;                            ///< as declared when the probe was added
  std::string plugin = {}, version = {};  ///< for the provenance of its results
  Values parameters = {};
  double timeout_s = 0;    ///< seconds that a call may take; 0: no limit
  std::string build = {};  ///< of the plugin's library
  std::string place = {};  ///< of its entry in a config, "configs/x.toml:9:1", if that is at hand

  bool due(int64_t step) const { return every == 0 || step % every == 0; }
  /// Whether it is asked for a conclusion.
  bool concludes() const {
    return !needs.curves.empty() || !needs.tensors.empty() || !needs.findings.empty();
  }
  /// Whether it must wait for a checkpoint other than the one it measures.
  bool waits() const { return needs.reference && reference != "self"; }
};

/// What one probe recorded at one checkpoint, or why it recorded nothing.
struct Outcome {
  const ProbeInRun* probe;
  Record record;
  std::string error, hint;  ///< `error` is empty if the record is good
  bool unusable = false;    ///< it failed on its reference, so do not ask it again
  bool ok() const { return error.empty(); }
};

/// `what` after the place of the probe's entry, if that is known: "configs/x.toml:9:1: probe ...".
std::string with_place(const ProbeInRun& probe, const std::string& what);
/// "probe fourier_basis 1.0.0, measure, step 400: ", of a call at `place`.
std::string call_text(const ProbeInRun& probe, const std::string& call, const std::string& place);

/// Callbacks around each call into a probe, so that a supervisor knows what was running if the process dies.
struct ProbeListener {
  /// `call` is "fit", "measure" or "conclude".
  std::function<void(const ProbeInRun& probe, const char* call)> begins = [](const ProbeInRun&, const char*) {
  };
  std::function<void(const Outcome& outcome)> ended = [](const Outcome&) {};
};

/// The reference of a probe that needs one: the checkpoint it was fitted to before, or the very one it
/// measures (a provisional answer, while training goes on).
enum class Reference { fitted, this_checkpoint };

/// What the host gives probes beyond what it shows them. Functions that are not set are left to the defaults
/// of Observation; without `training`, probes that need the state of the training fail.
struct ProbeServices {
  OnDemand on_demand = {};
  std::function<TrainingState()> training = {};
};

class ProbeHost {
 public:
  /// What becomes of changes that a probe makes to what it is shown: they are restored after its call and
  /// cost it its record, or, for `orrery check`, they stay.
  enum class Writes { refused, left };

  /// All arguments must outlive the host.
  ProbeHost(const TaskSpec& spec, const Structure& structure, const Split& split, Model& model,
            Writes writes = Writes::refused, ProbeServices services = {});

  /// Throws orrery::UsageError, saying what is missing, if this run cannot meet the probe's needs.
  void check(const ProbeInRun& probe) const;

  /// Measures the model with its present weights. Shows logits and activations on the CPU, whatever
  /// the device of the model.
  std::vector<Outcome> measure(int64_t step, const std::vector<const ProbeInRun*>& probes,
                               Reference reference, const ProbeListener& listener = {}) const;
  /// Fits the probes to the model as their reference; those that fail are unusable.
  std::vector<Outcome> fit(int64_t step, const std::vector<const ProbeInRun*>& probes,
                           const ProbeListener& listener = {}) const;

 private:
  struct Seen {  // the result of a forward pass
    torch::Tensor logits;
    ActivationCache cache;
  };
  enum class Pass { plain, fast };
  struct Look {  // which inputs, by which pass, and at which positions activations are kept
    Inputs inputs = Inputs::none;
    Pass pass = Pass::plain;
    Positions positions = Positions::read_out;
    auto operator<=>(const Look&) const = default;
  };

  const Batch& inputs(Inputs which) const;
  std::map<Look, std::vector<std::string>> wanted(const std::vector<const ProbeInRun*>& probes) const;
  Seen look(const Look& which, const std::vector<std::string>& globs) const;
  std::vector<std::string> hook_points(const std::vector<std::string>& globs) const;
  Look look_of(const ProbeInRun& probe) const;
  Seen piece(const torch::Tensor& tokens, const Look& which, const std::vector<std::string>& names) const;
  template <class Action>
  std::vector<Outcome> each(int64_t step, const std::vector<const ProbeInRun*>& probes, const char* call,
                            const ProbeListener& listener, Action&& action) const;

  const TaskSpec& spec_;
  const Structure& structure_;
  const Split& split_;
  Model& model_;
  Writes writes_;
  ProbeServices services_;
};

/// What a probe concludes from. An orrery::Error from it is the failure of that probe.
using HistoryOf = std::function<History(const ProbeInRun& probe)>;

/// Asks the probes for conclusions.
std::vector<Outcome> conclude(const std::vector<const ProbeInRun*>& probes, const HistoryOf& history_of,
                              const ProbeListener& listener = {});

}  // namespace orrery::engine
