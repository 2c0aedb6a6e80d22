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
  /// What Model::read_out returns for tokens, at the positions of the task; null: just that.
  using ReadOutOf = std::function<std::function<torch::Tensor()>(const torch::Tensor& tokens)>;
  ScoredSet(Model& model, const TaskSpec& spec, const Batch& examples,
            const ReadOutOf& read_out_of = nullptr);
  Metrics score(const std::string& prefix) const;

 private:
  struct Piece {
    Batch batch;
    std::function<torch::Tensor()> read_out;
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
  std::function<torch::Tensor()> make_read_out(const torch::Tensor& tokens);
  std::function<torch::Tensor()> make_scored_read_out(const Batch& batch);
  torch::Tensor read_out(const Batch& batch);

  Model& model_;
  const TaskSpec& spec_;
  TrainSettings settings_;
  torch::Dtype loss_dtype_;
  Batch train_, batch_;
  Optimizer optimizer_;
  // One of three is set: every update sees the whole training set, or batches of it, or fresh examples.
  std::function<torch::Tensor()> full_batch_;
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
