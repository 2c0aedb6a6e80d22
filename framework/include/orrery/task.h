// A task: what is learned. It says how long its inputs are and which vocabulary they use, makes the data, and
// declares the structure that probes may rely on. Register one with ORRERY_TASK (orrery/plugin.h).
#pragma once

#include <orrery/export.h>
#include <orrery/fields.h>
#include <orrery/model.h>
#include <orrery/structure.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace orrery {

/// What is minimised, as a mean over the labels that count.
enum class Loss {
  cross_entropy,  ///< of d_vocab_out classes, in nats
  hinge  ///< max(0, 1 - y z) for one logit z (d_vocab_out is 1) and y = 2 label - 1; labels are 0 and 1
};

/// The shapes of a task: all that is needed to build a model for it.
struct TaskSpec {
  int64_t d_vocab = 0;                 ///< number of input tokens
  int64_t d_vocab_out = 0;             ///< number of output classes
  int64_t n_ctx = 0;                   ///< tokens in an input
  std::vector<int64_t> read_out = {};  ///< ascending positions whose logits are scored; n_read of them
  /// Names of the loss groups that Batch::groups refers to; empty when the task has one loss only.
  std::vector<std::string> groups = {};
  Loss loss = Loss::cross_entropy;
  /// Training batches are drawn by Task::sample, without end; Split::train is a sample that is only scored.
  bool endless = false;
};

/// Examples. All tensors lie on the CPU; the framework moves them.
struct Batch {
  torch::Tensor tokens = {};  ///< [batch, n_ctx] int64, each in [0, d_vocab)
  torch::Tensor labels = {};  ///< [batch, n_read] int64, each in [0, d_vocab_out)  (0 or 1 for Loss::hinge)
  /// [batch, n_read] bool: which labels count. Undefined: all of them.
  torch::Tensor scored = {};
  /// [batch, n_read] int64: index into TaskSpec::groups. Undefined: the task has no groups.
  torch::Tensor groups = {};
  /// [batch, n_ctx] int64: the nearest earlier position of which this token is the repeat, -1 where it is
  /// none. Undefined unless the task declares RepeatStructure.
  torch::Tensor repeat_of = {};

  int64_t size() const { return tokens.defined() ? tokens.size(0) : 0; }
  /// The examples `rows` (int64 [n]), in that order.
  ORRERY_API Batch rows(const torch::Tensor& rows) const;
  ORRERY_API Batch to(torch::Device device) const;
};

/// The data of one run.
struct Split {
  Batch train = {};
  Batch test = {};
  /// Every possible input, where the task is small enough to list them; `train_rows` and `test_rows` (int64)
  /// then say which of its rows the other two are.
  std::optional<Batch> grid = {};
  torch::Tensor train_rows = {}, test_rows = {};

  /// A split of `grid`: train and test are its rows `train_rows` [n_train] and `test_rows` [n_test], int64.
  ORRERY_API static Split of_grid(Batch grid, torch::Tensor train_rows, torch::Tensor test_rows);
};

/// What a task plugin implements. Parameters reach the constructor; it may throw orrery::UsageError about
/// them. The host checks the shapes, dtypes and ranges that spec() and split() return, and names the task in
/// what it says.
class ORRERY_API Task {
 public:
  virtual ~Task();

  virtual TaskSpec spec() const = 0;

  /// The data. Same generator state, same data, bit for bit; draw from `rng` only.
  virtual Split split(torch::Generator rng) const = 0;

  /// `batch_size` fresh training examples, where spec().endless; else never called. Draw from `rng` only.
  virtual Batch sample(int64_t batch_size, torch::Generator rng) const;

  /// A model of the task's own, its weights drawn from `rng`, where the config says `[model] kind = "task"`.
  /// Its forward() takes tokens [batch, n_ctx] to logits [batch, n_ctx, d_vocab_out]. Default: null, the task
  /// has none.
  virtual std::unique_ptr<Model> make_model(torch::Generator rng) const;

  /// What probes may rely on. Default: nothing.
  virtual Structure structure() const;

  /// `tokens` as a person would write it: "50 + 70 =". Default: the numbers, separated by spaces.
  /// tokens: [n_ctx] int64.
  virtual std::string show(const torch::Tensor& tokens) const;
};

/// A CPU generator whose stream depends on `seed` alone.
ORRERY_API torch::Generator make_generator(uint64_t seed);

}  // namespace orrery
