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
#include <map>
#include <memory>
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
  std::vector<std::string> activations = {};   ///< hook points, by glob, for Observation::cache
  Positions positions = Positions::read_out;   ///< those at which `activations` are kept
  std::vector<std::string> weights = {};       ///< weights, by glob
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
  /// Set Observation::training. Such a probe is asked while the run trains, and afterwards only at a
  /// checkpoint whose training state is still there: the last, or with checkpoints.keep_states any.
  bool training = false;
  /// What the lists above cannot state about the network ("one layer", "no MLPs"): returns why this model
  /// cannot be measured, in a few words, or "". Looks at names and shapes, not at the values of weights.
  /// Unset: any model that has the activations and weights named above.
  std::function<std::string(const Model& model, const TaskSpec& spec)> refusal = {};
};

/// A Needs::refusal for probes that measure cross-entropies: refuses a task that is trained on another loss,
/// or with label smoothing, and says which.
ORRERY_API std::string refuse_other_losses(const Model& model, const TaskSpec& spec);

/// The training at a checkpoint: what the next update starts from. Looking at it changes no bit of the
/// training.
struct TrainingState {
  Batch batch = {};  ///< the examples of the next update, on the CPU; the whole training set if it takes all
  double loss = 0;   ///< the training loss on `batch`, as train.loss has it
  /// The gradient of that loss, and of what the model adds to it (Model::penalty), by weight: of the shape
  /// and dtype of the weight, on the CPU, before any update changes it.
  std::map<std::string, torch::Tensor> gradients = {};
  /// What optimiser and updates keep, by the names in training_state.safetensors: "exp_avg/embed.W_E" of
  /// Adam, ... On the CPU.
  std::map<std::string, torch::Tensor> moments = {};
};

/// What the host does for an observation when asked; see the functions of Observation, which fall back on the
/// defaults given there where one is not set, as in a test.
struct OnDemand {
  std::function<torch::Tensor(const torch::Tensor& logits, const Batch& inputs)> losses = {};
  std::function<Batch(const Batch& clean, torch::Generator rng)> corrupted = {};
  std::function<std::unique_ptr<Model>()> copy_of_model = {};
  std::function<std::unique_ptr<Model>(int64_t draw)> random_model = {};
};

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
  /// ...]. With Positions::all in Needs::positions they have all n_ctx positions; one of the whole input
  /// still has one.
  const ActivationCache& cache;
  const OnDemand* on_demand = nullptr;      ///< for the functions below
  const TrainingState* training = nullptr;  ///< null unless Needs::training

  /// A copy of a weight: float32, detached, on the CPU; yours to change. Throws orrery::Error, with the
  /// nearest name, if the model does not have it.
  ORRERY_API torch::Tensor weight(const std::string& name) const;

  /// The loss of each label, [batch, n_read], before the loss mask and the weights; differentiable in
  /// `logits` [batch, n_read, d_vocab_out], of any float dtype and kept in it (take float64).
  /// mean_over_labels (orrery/loss.h) makes the reported loss of it. It is the loss of the run, train.loss;
  /// where the host is not there, that of the task.
  ORRERY_API torch::Tensor losses(const torch::Tensor& logits, const Batch& inputs) const;
  /// A corrupted partner for each example of `clean`, by Task::corrupt; draws from `rng`, on the CPU.
  /// Default: corrupted_by_default().
  ORRERY_API Batch corrupted(const Batch& clean, torch::Generator rng) const;
  /// A network of the same architecture with the same weights, on the same device, to be changed at will. Its
  /// hook points have no hooks. Throws orrery::Error where the host is not there, unless the model is a
  /// transformer of orrery/transformer.h.
  ORRERY_API std::unique_ptr<Model> copy_of_model() const;
  /// A network of the same architecture with random weights, drawn as those of the run but from a seed of
  /// its own; each `draw` (0, 1, ...) gives another one. Throws like copy_of_model().
  ORRERY_API std::unique_ptr<Model> random_model(int64_t draw = 0) const;
};

/// The default of Task::corrupt. For a task with a grid: another row of the grid that differs in the token of
/// one position, drawn evenly among the relevant positions (Structure::relevant_positions, or all but those
/// that hold the same token in every input) at which there is such a row; its label is the grid's. A row
/// without such a neighbour gets one drawn from the whole grid. Other tasks: the next example of `clean` in a
/// random order, whole. Draws from `rng`.
ORRERY_API Batch corrupted_by_default(const Batch& clean, const Split& split, const Structure& structure,
                                      torch::Generator rng);

/// The interface of a probe plugin. The constructor takes the parameters and may throw orrery::UsageError
/// about them. Gradients are off in fit() and measure(); orrery/gradients.h takes them, or a probe turns them
/// on itself (at::AutoGradMode). Train or perturb a copy, Observation::copy_of_model(), never the model.
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
