// Trains a model on a split, one update at a time, and scores it between updates.
#pragma once

#include <orrery/model.h>
#include <orrery/probe.h>
#include <orrery/task.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/config/train_settings.h"
#include "engine/train/batches.h"
#include "engine/train/dropout.h"
#include "engine/train/interventions.h"
#include "engine/train/loss.h"
#include "engine/train/update_chain.h"
#include "sdk/model/gradient_pass.h"

namespace orrery::engine {

/// Has the contract of Task::metrics.
using TaskMetrics = std::function<std::vector<double>(const torch::Tensor& logits, const Batch& examples)>;

/// A set of examples prepared for repeated scoring.
class ScoredSet {
 public:
  /// Makes the forward pass for some examples; null: the model's read-out at the task's output positions.
  using PassOf = std::function<std::unique_ptr<ReadOutPass>(const Batch& examples)>;
  /// `task_metrics` must be set if `spec` names metrics. `loss`: of a plugin, or null for the task's.
  ScoredSet(Model& model, const TaskSpec& spec, const Batch& examples, TaskMetrics task_metrics,
            const PassOf& pass_of = nullptr, const LossFunction* loss = nullptr, double output_scale = 1);
  /// The metrics of Score, then the task's own, "train/NAME": NaN if there are no examples.
  Metrics score(const std::string& prefix) const;

 private:
  struct Piece {
    Batch batch;
    std::unique_ptr<ReadOutPass> pass;
  };
  const TaskSpec& spec_;
  Batch examples_;  // on the CPU
  TaskMetrics task_metrics_;
  const LossFunction* loss_;
  double output_scale_;
  std::vector<Piece> pieces_;  // bounds the memory of scoring a large set
};

/// Has the contract of Task::sample.
using Sampler = std::function<Batch(int64_t batch_size, int64_t step, torch::Generator rng)>;

class Trainer {
 public:
  /// The model must already be on its device; it and `spec` must outlive the trainer. `sample` draws the
  /// training batches if spec.endless, `task_metrics` computes what spec.metrics names. Throws
  /// orrery::UsageError if the settings do not fit the data. Not thread-safe.
  Trainer(Model& model, const TaskSpec& spec, const Split& split, const TrainSettings& settings,
          uint64_t batch_seed, Sampler sample = nullptr, const TaskMetrics& task_metrics = nullptr,
          TrainingPlugins plugins = {});

  int64_t steps_done() const { return steps_done_; }
  /// Makes one update and returns the loss before it. If that is not finite, updates nothing and counts no
  /// step.
  double step();
  /// What the next step() would start from. Uses up its examples, so call it on a trainer that is made for
  /// this.
  TrainingState upcoming();
  /// Whether no weight is NaN or infinite.
  bool finite() const;
  /// The metrics of the current weights: train/..., test/..., weights/norm. With train.intervene also
  /// intervened/train/..., intervened/test/...: those of the network with the interventions that act at this
  /// step.
  Metrics evaluate() const;

  /// What was decided without being asked, for the user to know.
  const std::vector<std::string>& notes() const { return chain_.notes(); }

  /// Everything besides the weights that the following steps depend on.
  NamedTensors state() const;
  void restore(const NamedTensors& state);

 private:
  enum class Examples { next, same };  // of an update
  double loss_and_gradients(Examples which);
  double backpropagate(Examples which);
  std::pair<torch::Tensor, const Batch*> logits_of(Examples which);
  torch::Tensor loss_of(const torch::Tensor& logits, const Batch& batch) const;
  std::unique_ptr<ReadOutPass> pass_over(const ReadOutRequest& request);
  std::unique_ptr<ReadOutPass> training_pass(const Batch& batch);
  void score_interventions(const Split& split, const TaskMetrics& task_metrics);
  std::vector<Hook> training_hooks();
  torch::Tensor hooked_logits(const torch::Tensor& tokens, const std::vector<Hook>& hooks);

  Model& model_;
  const TaskSpec& spec_;
  TrainSettings settings_;
  torch::Dtype loss_dtype_;
  Batch train_, batch_;
  std::unique_ptr<LossFunction> loss_;  // of a plugin; null: the task's
  mutable UpdateChain chain_;           // evaluating widens weights for a while
  // An update uses the whole training set, batches of it (order_), or fresh examples (sample_).
  bool full_batch_ = false;
  std::unique_ptr<GradientPass> gradient_pass_;   // made once; null where the model has none
  std::unique_ptr<ReadOutPass> full_batch_pass_;  // else: made once; null with dropout
  std::optional<BatchOrder> order_;
  Sampler sample_;
  torch::Generator sample_rng_;
  std::optional<Dropout> dropout_;
  Interventions interventions_;
  ScoredSet train_set_, test_set_;
  // With the interventions in place; none without any.
  std::optional<ScoredSet> intervened_train_, intervened_test_;
  int64_t steps_done_ = 0;
};

}  // namespace orrery::engine
