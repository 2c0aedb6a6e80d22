// A task: what a network learns. It defines the shapes and vocabulary of its inputs, generates the data, and
// declares the structure that probes may rely on. Register one with ORRERY_TASK (orrery/plugin.h).
#pragma once

#include <orrery/export.h>
#include <orrery/fields.h>
#include <orrery/model.h>
#include <orrery/structure.h>
#include <torch/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace orrery {

/// The training loss, a mean over the labels that the loss mask (Batch::scored) keeps, weighted by
/// Batch::weights. The losses reported of train and test are the same mean.
enum class Loss {
  cross_entropy,  ///< of d_vocab_out classes, in nats
  hinge,       ///< max(0, 1 - y z) for one logit z (d_vocab_out is 1) and y = 2 label - 1; labels are 0 and 1
  logistic,    ///< log(1 + exp(-y z)) in nats, for the same z and y
  mse_one_hot  ///< the mean over classes c of (z_c - 1[c = label])^2 (Gromov 2023, arXiv 2301.02679)
};
/// "cross_entropy", "hinge", ...
ORRERY_API std::string to_string(Loss loss);
/// Whether the loss is of one logit, whose sign is the answer: hinge and logistic.
constexpr bool has_one_logit(Loss loss) { return loss == Loss::hinge || loss == Loss::logistic; }

/// The shapes of a task: everything needed to build a model for it.
struct TaskSpec {
  int64_t d_vocab = 0;      ///< number of input tokens
  int64_t d_vocab_out = 0;  ///< number of output classes
  int64_t n_ctx = 0;        ///< tokens in an input
  /// The output positions, n_read of them, ascending and counted from 0: those whose logits are scored.
  std::vector<int64_t> read_out = {};
  /// Names of the loss groups that Batch::groups refers to; empty if the task has only one loss.
  std::vector<std::string> groups = {};
  Loss loss = Loss::cross_entropy;
  /// Training batches are drawn by Task::sample without end, and Split::train is a sample used for scoring
  /// only.
  bool endless = false;
  /// s in [0, 1), of Loss::cross_entropy only: the target is (1 - s) of the label's class and s spread evenly
  /// over all d_vocab_out classes (Szegedy et al. 2016, section 7). Reported losses are smoothed, too.
  double label_smoothing = 0;
  /// Names of the numbers that Task::metrics() gives, columns "train/NAME" and "test/NAME" of metrics.jsonl.
  /// By the rule of name_fault() (orrery/recorder.h), each once; "loss" and "accuracy" belong to the host.
  std::vector<std::string> metrics = {};
  /// Names of the tensors in Batch::auxiliary, the same in every batch; rule as for `metrics`.
  std::vector<std::string> auxiliary = {};
  /// The token that pads shorter inputs to n_ctx, or -1 for none. A transformer (orrery/transformer.h)
  /// attends to no key at this token; a query at it is computed as any other. Whether its label counts is for
  /// the loss mask to say.
  int64_t pad_token = -1;
};

/// The `step` of examples that are not drawn for an update but for scoring: beyond any training, so a
/// curriculum is at its end. 2^40: products with numbers below 2^23 do not overflow.
inline constexpr int64_t final_step = int64_t{1} << 40;

/// A batch of examples. Tasks and probes see its tensors on the CPU; the framework moves them.
struct Batch {
  torch::Tensor tokens = {};  ///< [batch, n_ctx] int64, each in [0, d_vocab)
  torch::Tensor labels = {};  ///< [batch, n_read] int64, each in [0, d_vocab_out); 0 or 1 for one logit
  /// The loss mask, [batch, n_read] bool: which labels count. Undefined: all of them.
  torch::Tensor scored = {};
  /// [batch, n_read] int64: index into TaskSpec::groups. Undefined: the task has no groups.
  torch::Tensor groups = {};
  /// [batch, n_ctx] int64: the nearest earlier position that this token repeats, -1 if it repeats none.
  /// Undefined unless the task declares RepeatStructure.
  torch::Tensor repeat_of = {};
  /// Weights in the mean of the loss, finite and above 0: [batch] or [batch, n_read] float32. Accuracy is not
  /// weighted. Undefined: all are 1.
  torch::Tensor weights = {};
  /// Labels that are not trained on, for probes and Task::metrics(): int64 [batch], [batch, n_read] or
  /// [batch, n_ctx], by the names in TaskSpec::auxiliary. Any values.
  std::map<std::string, torch::Tensor> auxiliary = {};

  int64_t size() const { return tokens.defined() ? tokens.size(0) : 0; }
  /// The examples `rows` (int64 [n]), in that order.
  ORRERY_API Batch rows(const torch::Tensor& rows) const;
  /// This batch with all defined tensors on `device`.
  ORRERY_API Batch to(torch::Device device) const;
  /// Every defined tensor, not a copy, by name: "tokens", "labels", ..., "auxiliary/NAME".
  ORRERY_API std::vector<std::pair<std::string, torch::Tensor>> tensors() const;
};

/// The data of one run.
struct Split {
  Batch train = {};
  Batch test = {};
  /// Every possible input, if the task is small enough to list them. Then train and test are its rows
  /// `train_rows` [n_train] and `test_rows` [n_test], int64.
  std::optional<Batch> grid = {};
  torch::Tensor train_rows = {}, test_rows = {};

  /// Splits `grid` into its rows `train_rows` [n_train] and `test_rows` [n_test], int64.
  ORRERY_API static Split of_grid(Batch grid, torch::Tensor train_rows, torch::Tensor test_rows);
};

/// The interface of a task plugin. The constructor takes the parameters and may throw orrery::UsageError
/// about them. The host checks the shapes, dtypes and ranges that spec() and split() return, and names the
/// task in its errors.
/// Threads: the host calls an instance from one thread at a time, possibly in a forked process. Any function
/// may be called more than once: spec() and structure() must return the same values every time, split(),
/// sample() and metrics() must depend only on the parameters and their arguments.
class ORRERY_API Task {
 public:
  virtual ~Task();

  /// The shapes. Constant: called before and after split(), any number of times.
  virtual TaskSpec spec() const = 0;

  /// The data, on the CPU. The same generator state must give the same data, bit for bit; draw from `rng`
  /// only.
  virtual Split split(torch::Generator rng) const = 0;

  /// `batch_size` new examples for the update after `step` updates (0 for the first), on the CPU. Called only
  /// if spec().endless. Draw from `rng` only, and let a curriculum depend on `step` alone: a resumed run asks
  /// for the step at which it goes on. For examples that are not trained on, `step` is final_step.
  virtual Batch sample(int64_t batch_size, int64_t step, torch::Generator rng) const;

  /// The task's own metrics, one for each name in spec().metrics and in their order; NaN and infinities are
  /// kept. `examples` is the whole training or test set, never empty; `logits` are the network's on it,
  /// [batch, n_read, d_vocab_out] float32, those outside of the loss mask included. Both are on the CPU and
  /// without gradients; write to a copy. Called at every evaluation, and only if spec() names metrics.
  virtual std::vector<double> metrics(const torch::Tensor& logits, const Batch& examples) const;

  /// A model that the task brings itself, on the CPU, its weights drawn from `rng`; used if the config says
  /// `[model] kind = "task"`. Model::forward gives its shapes. Default: null, the task has none.
  virtual std::unique_ptr<Model> make_model(torch::Generator rng) const;

  /// The structure that probes may rely on. Default: none.
  virtual Structure structure() const;

  /// A corrupted partner for each example of `clean`, in its order: an input that differs from it in what the
  /// task is about and has another answer where that can be, with its own labels. Interventions take
  /// activations from it. On the CPU; draw from `rng` only. Default: an empty batch, which asks for
  /// corrupted_by_default() of orrery/probe.h.
  virtual Batch corrupt(const Batch& clean, torch::Generator rng) const;

  /// `tokens` ([n_ctx] int64, on the CPU) as a person would write them: "50 + 70 =". Default: the numbers,
  /// separated by spaces.
  virtual std::string show(const torch::Tensor& tokens) const;
};

/// A CPU generator whose stream depends only on `seed`.
ORRERY_API torch::Generator make_generator(uint64_t seed);

}  // namespace orrery
