// Trains a model on a split: one update at a time, and scores between them.
#pragma once

#include <orrery/model.h>
#include <orrery/task.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/config/train_settings.h"
#include "engine/train/batches.h"
#include "engine/train/dropout.h"
#include "engine/train/loss.h"
#include "engine/train/optimizer.h"

namespace orrery::engine {

/// A set of examples, made ready to be scored again and again.
class ScoredSet {
 public:
  /// The pass for some examples; null: read_out() at the output positions of the task.
  using PassOf = std::function<std::unique_ptr<ReadOutPass>(const Batch& examples)>;
  ScoredSet(Model& model, const TaskSpec& spec, const Batch& examples, const PassOf& pass_of = nullptr);
  Metrics score(const std::string& prefix) const;

 private:
  struct Piece {
    Batch batch;
    std::unique_ptr<ReadOutPass> pass;
  };
  const TaskSpec& spec_;
  std::vector<Piece> pieces_;  // a large set is scored piece by piece, to bound memory
};

/// Task::sample.
using Sampler = std::function<Batch(int64_t batch_size, torch::Generator rng)>;

class Trainer {
 public:
  /// The model already lies on the device it is trained on; it and `spec` outlive the trainer.
  /// `sample` draws the training batches where spec.endless. Throws orrery::UsageError where the settings do
  /// not fit the data.
  Trainer(Model& model, const TaskSpec& spec, const Split& split, const TrainSettings& settings,
          uint64_t batch_seed, Sampler sample = nullptr);

  int64_t steps_done() const { return steps_done_; }
  /// One update. Returns the loss before it. If that is not finite, nothing is updated and no step is
  /// counted.
  double step();
  /// The metrics of this moment: train/..., test/..., weights/norm.
  Metrics evaluate() const;

  /// Everything besides the weights that the following steps depend on.
  NamedTensors state() const;
  void restore(const NamedTensors& state);

 private:
  double learning_rate() const;
  std::pair<torch::Tensor, const Batch*> next_logits();
  std::unique_ptr<ReadOutPass> pass_over(const ReadOutRequest& request);
  std::unique_ptr<ReadOutPass> training_pass(const Batch& batch);
  torch::Tensor dropped_out_logits(const Batch& batch);

  Model& model_;
  const TaskSpec& spec_;
  TrainSettings settings_;
  torch::Dtype loss_dtype_;
  Batch train_, batch_;
  Optimizer optimizer_;
  // Every update sees the whole training set, or batches of it (order_), or fresh examples (sample_).
  bool full_batch_ = false;
  std::unique_ptr<ReadOutPass> full_batch_pass_;  // made once; null with dropout
  std::optional<BatchOrder> order_;
  Sampler sample_;
  torch::Generator sample_rng_;
  std::optional<Dropout> dropout_;
  ScoredSet train_set_, test_set_;
  int64_t steps_done_ = 0;
};

/// The device that [train] device names. Throws orrery::UsageError where it is "cuda" and there is none.
torch::Device choose_device(const std::string& name);

/// Sets the number of threads of LibTorch and, where it is OpenBLAS, of BLAS. Early: before the first
/// product.
void use_threads(int64_t threads);

/// Lets the process keep the memory that a step frees, for the next one. A Trainer does so by itself.
void keep_freed_memory();

}  // namespace orrery::engine
