// A probe: a measurement of what a network has learned. It says what it needs; the host gives it one
// read-only observation per checkpoint, during training or afterwards, and the numbers are the same. Register
// one with ORRERY_PROBE (orrery/plugin.h).
#pragma once

#include <orrery/export.h>
#include <orrery/hooks.h>
#include <orrery/model.h>
#include <orrery/recorder.h>
#include <orrery/task.h>

#include <cstdint>
#include <string>
#include <vector>

namespace orrery {

/// The inputs a probe looks at. `grid` is every possible input of the task. `none`: the host runs the model
/// for it on nothing, as it looks at weights only, or runs the model itself on inputs of its own making (own
/// inputs belong on `model.device()`; run_with_cache and run_with_hooks in orrery/hooks.h).
enum class Inputs { grid, train, test, none };
ORRERY_API std::string to_string(Inputs inputs);

/// What a probe needs. A run that cannot give it refuses the probe before step 0, with the reason.
struct Needs {
  Inputs inputs = Inputs::grid;
  std::vector<Capability> structure = {};      ///< what the task must declare
  std::vector<Capability> structure_any = {};  ///< at least one of these, where there are any
  std::vector<std::string> activations = {};   ///< hook points, by glob; given at the read-out positions only
  std::vector<std::string> weights = {};       ///< weights, by glob
  /// The probe looks at a reference checkpoint (the last, unless the config says otherwise) in `fit` before
  /// it measures the first one.
  bool reference = false;
  /// The probe is also measured once on random weights: a network of the same architecture at step 0, drawn
  /// from another seed. What it says there is reported beside its results as their null.
  bool null = true;
  /// Curves of the run, by glob: "test/loss*", "probe/trig_loss/*". Where there are any, `conclude` is
  /// called.
  std::vector<std::string> curves = {};
};

/// Numbers that a run wrote down while it trained: a column of metrics.jsonl, or a scalar of a probe under
/// the name "probe/LABEL/SCALAR".
struct Curve {
  std::string name;
  std::vector<int64_t> steps;  ///< ascending
  std::vector<double> values;  ///< one for each step; may be NaN or infinite
};

/// One checkpoint, seen through one set of inputs.
struct Observation {
  int64_t step;  ///< updates made before this checkpoint: 0 for the network as it was drawn
  const TaskSpec& spec;
  const Structure& structure;
  const Split& split;
  /// The batch that `Needs::inputs` asked for; all tensors lie on the CPU. Empty for Inputs::none, as are
  /// `logits` and `cache`.
  const Batch& inputs;
  Model& model;  ///< on its own device; to be left as it is
  /// [batch, n_read, d_vocab_out] float32, of `inputs`; on the CPU, wherever the model is
  const torch::Tensor& logits;
  /// The activations asked for, float32 on the CPU, at the read-out positions: in place of n_ctx positions
  /// there are n_read (of a pattern [batch, n_heads, n_ctx, n_ctx] the queries: [batch, n_heads, n_read,
  /// n_ctx]); one that belongs to the whole input, as all of an mlp's do, has one position: [batch, 1, ...].
  const ActivationCache& cache;

  /// A weight, detached, on the CPU. Throws orrery::Error, with the nearest name, if the model has none of
  /// this name.
  ORRERY_API torch::Tensor weight(const std::string& name) const;
};

/// What a probe plugin implements. It runs without gradients.
class ORRERY_API Probe {
 public:
  virtual ~Probe();
  virtual Needs needs() const = 0;
  /// Looks at the reference checkpoint, where needs().reference is set. May be called again with another one.
  virtual void fit(const Observation& reference);
  /// Looks at one checkpoint. Checkpoints may come in any order and in several processes: what it records
  /// depends on the observation, the parameters and `fit` alone. Whatever it throws is reported with the
  /// probe's name and the step, and costs this record only.
  virtual void measure(const Observation& observation, Recorder& recorder) = 0;
  /// Looks at the curves asked for in needs().curves, once, after the last checkpoint was measured. What it
  /// records is kept as the probe's conclusion.
  virtual void conclude(const std::vector<Curve>& curves, Recorder& recorder);
};

}  // namespace orrery
