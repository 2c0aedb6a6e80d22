// A probe: a measurement of what a network has learned. It declares what it needs, and the host gives it one
// read-only observation per checkpoint, during training or afterwards, with the same numbers. Register one
// with ORRERY_PROBE (orrery/plugin.h).
#pragma once

#include <orrery/export.h>
#include <orrery/history.h>
#include <orrery/hooks.h>
#include <orrery/model.h>
#include <orrery/recorder.h>
#include <orrery/task.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace orrery {

/// The inputs a probe is measured on. `grid`: every possible input of the task. `none`: no forward pass by
/// the host, for probes that read only weights or run the model on their own inputs (on `model.device()`,
/// with run_with_cache or run_with_hooks of orrery/hooks.h).
enum class Inputs { grid, train, test, none };
ORRERY_API std::string to_string(Inputs inputs);

/// The requirements of a probe. A run that cannot meet them refuses the probe before step 0 and says why.
struct Needs {
  Inputs inputs = Inputs::grid;
  std::vector<Capability> structure = {};      ///< capabilities that the task must declare
  std::vector<Capability> structure_any = {};  ///< at least one of these, unless empty
  std::vector<std::string> activations = {};  ///< hook points, by glob; observed at the output positions only
  std::vector<std::string> weights = {};      ///< weights, by glob
  /// Call `fit` with a reference checkpoint (the last, unless the config says otherwise) before the first
  /// `measure`.
  bool reference = false;
  /// Also measure random weights once: a network of the same architecture at step 0, drawn from another seed.
  /// The result is reported beside the others as their null, the baseline.
  bool null = true;
  /// Curves of the run for `conclude`, by glob: "test/loss*", "probe/trig_loss/*". `conclude` is called
  /// unless this list and the next two are empty. A glob that matches no curve, or no tensor, costs the
  /// conclusion.
  std::vector<std::string> curves = {};
  /// Tensors that probes recorded at the checkpoints of the run, for `conclude`, by glob: "probe/LABEL/NAME",
  /// or "NAME" alone for this probe's own.
  std::vector<std::string> tensors = {};
  /// Likewise findings. A glob may match none, because nothing was found; but the run must have results of
  /// the probe it names.
  std::vector<std::string> findings = {};
  /// Labels that the task must have in Batch::auxiliary, by name.
  std::vector<std::string> auxiliary = {};
  /// What the lists above cannot state about the network ("one layer", "no MLPs"): returns why this model
  /// cannot be measured, in a few words, or "". Looks at names and shapes, not at the values of weights.
  /// Unset: any model that has the activations and weights named above.
  std::function<std::string(const Model& model, const TaskSpec& spec)> refusal = {};
};

/// A Needs::refusal for probes that measure cross-entropies: refuses a task that is trained on another loss,
/// or with label smoothing, and says which.
ORRERY_API std::string refuse_other_losses(const Model& model, const TaskSpec& spec);

/// One checkpoint, observed on one set of inputs. Valid during the call only: copy what must outlive it.
/// Everything in it is shared with the training and with other probes, so write to a copy (clone()). The host
/// looks after each call: what a probe changed is restored, and costs the probe its record.
struct Observation {
  int64_t step;  ///< updates before this checkpoint; 0 for the untrained network
  const TaskSpec& spec;
  const Structure& structure;
  const Split& split;
  /// The batch that `Needs::inputs` names, on the CPU. Empty for Inputs::none, as are `logits` and `cache`.
  const Batch& inputs;
  Model& model;  ///< on its own device
  /// [batch, n_read, d_vocab_out] float32, for `inputs`, at the output positions; on the CPU, wherever the
  /// model is
  const torch::Tensor& logits;
  /// The activations named by `Needs::activations`, float32 on the CPU, at the output positions: n_read in
  /// place of n_ctx (for a pattern [batch, n_heads, n_ctx, n_ctx], the query positions: [batch, n_heads,
  /// n_read, n_ctx]). An activation of the whole input, like all of an mlp's, has one position: [batch, 1,
  /// ...].
  const ActivationCache& cache;

  /// A copy of a weight: float32, detached, on the CPU; yours to change. Throws orrery::Error, with the
  /// nearest name, if the model does not have it.
  ORRERY_API torch::Tensor weight(const std::string& name) const;
};

/// The interface of a probe plugin. The constructor takes the parameters and may throw orrery::UsageError
/// about them. Gradients are off in fit() and measure(); a probe that needs them turns them on itself
/// (at::AutoGradMode).
/// Threads: the host calls an instance from one thread at a time. Checkpoints may be shared out among forked
/// processes, each with its own copy of the instance. An exception is reported with the probe's name and the
/// step, and costs that record only.
class ORRERY_API Probe {
 public:
  virtual ~Probe();
  /// The requirements. Constant: a function of the parameters alone, called any number of times.
  virtual Needs needs() const = 0;
  /// Takes in the reference checkpoint, if needs().reference is set. A later call replaces it by another one.
  /// Default: does nothing.
  virtual void fit(const Observation& reference);
  /// Measures one checkpoint. Checkpoints may come in any order: the record must depend only on the
  /// observation, the parameters and the last `fit`.
  virtual void measure(const Observation& observation, Recorder& recorder) = 0;
  /// Evaluates what the run recorded over its steps, as far as needs() names it (curves, tensors, findings),
  /// after the last checkpoint was measured. The record is kept as the probe's conclusion. Default: records
  /// nothing.
  virtual void conclude(const History& history, Recorder& recorder);
};

}  // namespace orrery
