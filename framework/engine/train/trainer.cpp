#include "engine/train/trainer.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/config/random_streams.h"
#include "engine/train/hardware.h"
#include "sdk/kernels/cross_entropy.h"
#include "sdk/kernels/positions.h"

namespace orrery::engine {
namespace {

constexpr int64_t piece_size = 8192;

// Fast passes compute in float32.
TrainSettings with_kernel(TrainSettings settings) {
  if (settings.dtype == TrainSettings::LossDtype::float64) settings.kernel = TrainSettings::Kernel::plain;
  return settings;
}

TrainSettings checked(const TrainSettings& settings, const TaskSpec& spec, const Split& split) {
  if (settings.betas.size() != 2)
    throw UsageError(fmt::format("train.betas: expected two numbers, got {}", settings.betas.size()));
  if (settings.optimizer != TrainSettings::Optimizer::sgd) {
    for (const double beta : settings.betas)
      if (beta >= 1)
        throw UsageError(
            fmt::format("train.betas: a decay rate of {} never forgets, and the first update divides by 0",
                        beta),
            "choose both below 1, for example [0.9, 0.98]");
    if (static_cast<float>(settings.eps) <= 0)
      throw UsageError(
          fmt::format("train.eps is {}, 0 in single precision, and the update of a weight without a "
                      "gradient is divided by it",
                      settings.eps),
          "choose a small number above 0, for example 1e-8");
  }
  if (spec.endless) {
    if (settings.batch_size > 0) return settings;
    throw UsageError(
        "train.batch_size is 0, the whole training set, but this task draws examples without end",
        "set it, for example to 128");
  }
  if (split.train.size() == 0) throw UsageError("the task gives no training examples");
  if (settings.batch_size > split.train.size())
    throw UsageError(fmt::format("train.batch_size is {}, but there are only {} training examples",
                                 settings.batch_size, split.train.size()),
                     "use 0 for the whole training set");
  return settings;
}

}  // namespace

ScoredSet::ScoredSet(Model& model, const TaskSpec& spec, const Batch& examples, TaskMetrics task_metrics,
                     const PassOf& pass_of, const LossFunction* loss, double output_scale)
    : spec_(spec),
      examples_(examples),
      task_metrics_(std::move(task_metrics)),
      loss_(loss),
      output_scale_(output_scale) {
  for (int64_t start = 0; start < examples.size(); start += piece_size) {
    const int64_t end = std::min(start + piece_size, examples.size());
    Batch batch = examples.rows(torch::arange(start, end)).to(model.device());
    auto pass = pass_of ? pass_of(batch) : read_out(model, {batch.tokens, spec.read_out});
    pieces_.push_back({std::move(batch), std::move(pass)});
  }
}

Metrics ScoredSet::score(const std::string& prefix) const {
  torch::NoGradGuard no_grad;
  Score score(spec_, loss_);
  std::vector<torch::Tensor> all_logits;
  for (const Piece& piece : pieces_) {
    const torch::Tensor logits = piece.pass->logits();
    score.add(output_scale_ == 1 ? logits : logits * output_scale_, piece.batch);
    if (!spec_.metrics.empty()) all_logits.push_back(logits.to(torch::kCPU, torch::kFloat32));
  }
  Metrics metrics = score.metrics(prefix);
  std::vector<double> own(spec_.metrics.size(), std::numeric_limits<double>::quiet_NaN());
  if (!all_logits.empty()) own = task_metrics_(torch::cat(all_logits), examples_);
  for (size_t i = 0; i < own.size(); ++i) metrics.emplace_back(prefix + "/" + spec_.metrics.at(i), own[i]);
  return metrics;
}

Trainer::Trainer(Model& model, const TaskSpec& spec, const Split& split, const TrainSettings& settings,
                 uint64_t batch_seed, Sampler sample, const TaskMetrics& task_metrics,
                 TrainingPlugins plugins)
    : model_(model),
      spec_(spec),
      settings_(with_kernel(checked(settings, spec, split))),
      loss_dtype_(settings.loss_dtype == TrainSettings::LossDtype::float32 ? torch::kFloat32
                                                                           : torch::kFloat64),
      train_(split.train.to(model.device())),
      loss_(std::move(plugins.loss)),
      chain_(model, settings_, std::move(plugins.updates), batch_seed),
      sample_rng_(make_generator(seed_of(RandomStream::endless_examples, batch_seed))),
      dropout_(Dropout::from(settings, model, batch_seed)),
      interventions_(settings.interventions, model),
      train_set_(
          model, spec, split.train, task_metrics,
          [this](const Batch& batch) {
            return pass_over({batch.tokens, spec_.read_out});
          },
          loss_.get(), settings.output_scale),
      test_set_(
          model, spec, split.test, task_metrics,
          [this](const Batch& batch) {
            return pass_over({batch.tokens, spec_.read_out});
          },
          loss_.get(), settings.output_scale) {
  keep_freed_memory();
  score_interventions(split, task_metrics);
  if (spec.endless) {
    sample_ = std::move(sample);
    return;
  }
  const bool full = settings.batch_size == 0 || settings.batch_size == split.train.size();
  full_batch_ = full;
  // These inputs never change, so what a pass works out about them (which rows repeat) is worked out once.
  if (full && !dropout_ && interventions_.empty()) {
    const bool fused = settings_.kernel == TrainSettings::Kernel::automatic &&
                       loss_dtype_ == torch::kFloat64 && !loss_ && settings_.output_scale == 1;
    if (fused) gradient_pass_ = gradient_pass(model, spec, train_);
    if (!gradient_pass_) full_batch_pass_ = training_pass(train_);
  }
  if (!full) order_.emplace(split.train.size(), settings.batch_size, batch_seed);
}

void Trainer::score_interventions(const Split& split, const TaskMetrics& task_metrics) {
  if (interventions_.empty()) return;
  const auto pass_of = [this](const Batch& batch) {
    return make_pass(
        [this, tokens = batch.tokens] { return hooked_logits(tokens, interventions_.hooks(steps_done_)); });
  };
  const double scale = settings_.output_scale;
  intervened_train_.emplace(model_, spec_, split.train, task_metrics, pass_of, loss_.get(), scale);
  intervened_test_.emplace(model_, spec_, split.test, task_metrics, pass_of, loss_.get(), scale);
}

std::pair<torch::Tensor, const Batch*> Trainer::logits_of(Examples which) {
  if (full_batch_pass_) return {full_batch_pass_->logits(), &train_};
  if (!full_batch_ && which == Examples::next)
    batch_ = sample_ ? sample_(settings_.batch_size, steps_done_, sample_rng_).to(model_.device())
                     : train_.rows(order_->next().to(model_.device()));
  const Batch& batch = full_batch_ ? train_ : batch_;
  const std::vector<Hook> hooks = training_hooks();
  return {hooks.empty() ? training_pass(batch)->logits() : hooked_logits(batch.tokens, hooks), &batch};
}

std::unique_ptr<ReadOutPass> Trainer::pass_over(const ReadOutRequest& request) {
  return settings_.kernel == TrainSettings::Kernel::plain ? plain_read_out(model_, request)
                                                          : read_out(model_, request);
}

std::unique_ptr<ReadOutPass> Trainer::training_pass(const Batch& batch) {
  return pass_over({batch.tokens, spec_.read_out, batch.scored});
}

// Interventions come last, so that what they put in stays.
std::vector<Hook> Trainer::training_hooks() {
  std::vector<Hook> hooks;
  if (dropout_) hooks = dropout_->hooks();
  for (Hook& hook : interventions_.hooks(steps_done_)) hooks.push_back(std::move(hook));
  return hooks;
}

// Hooks need the plain pass: a fast one shares work between examples, and dropout draws for each of them.
torch::Tensor Trainer::hooked_logits(const torch::Tensor& tokens, const std::vector<Hook>& hooks) {
  const torch::Tensor positions = kernels::positions_on(tokens.device(), spec_.read_out);
  return run_with_hooks(model_, tokens, hooks).index_select(1, positions);
}

torch::Tensor Trainer::loss_of(const torch::Tensor& unscaled, const Batch& batch) const {
  const torch::Tensor logits = settings_.output_scale == 1 ? unscaled : unscaled * settings_.output_scale;
  if (loss_) return loss_->reduce(loss_->each(logits.to(loss_dtype_), batch), batch);
  const bool fused = settings_.kernel == TrainSettings::Kernel::automatic &&
                     kernels::cross_entropy_fits(spec_, batch, logits, loss_dtype_);
  return fused ? kernels::cross_entropy(logits, batch) : mean_loss(spec_, logits, batch, loss_dtype_);
}

// The loss, and its gradients in the weights, by autograd.
double Trainer::backpropagate(Examples which) {
  torch::AutoGradMode with_gradients(true);
  chain_.weights().zero_gradients();
  const auto [logits, batch] = logits_of(which);
  const torch::Tensor loss = loss_of(logits, *batch);
  const double value = loss.item<double>();
  if (!std::isfinite(value)) return value;
  // Trained on, but not part of the value that is returned: that is the loss of the task, for any model.
  const torch::Tensor penalty = model_.penalty();
  (penalty.defined() ? loss + penalty : loss).backward();
  return value;
}

double Trainer::loss_and_gradients(Examples which) {
  return gradient_pass_ ? gradient_pass_->loss_and_gradients() : backpropagate(which);
}

double Trainer::step() {
  const FlatWeights::Wide wide(chain_.weights());
  const double value = loss_and_gradients(Examples::next);
  // An update would write what is not finite into weights and moments, and the last checkpoint of a run that
  // diverges has to hold good ones.
  if (!std::isfinite(value)) return value;
  chain_.step(steps_done_, value, [this] { return loss_and_gradients(Examples::same); });
  ++steps_done_;
  return value;
}

TrainingState Trainer::upcoming() {
  const FlatWeights::Wide wide(chain_.weights());
  TrainingState now;
  now.loss = loss_and_gradients(Examples::next);
  now.batch = (full_batch_ ? train_ : batch_).to(torch::kCPU);
  for (auto& [name, gradient] : chain_.weights().unflatten(chain_.weights().gradients()))
    now.gradients[name] = gradient.to(torch::kCPU, /*non_blocking=*/false, /*copy=*/true);
  for (const auto& [name, tensor] : chain_.state())
    if (name != "updates" && !name.starts_with("rng/") && !name.starts_with("float64/"))
      now.moments[name] = tensor.to(torch::kCPU, /*non_blocking=*/false, /*copy=*/true);
  return now;
}

bool Trainer::finite() const {
  torch::NoGradGuard no_grad;
  return std::all_of(model_.weights().begin(), model_.weights().end(),
                     [](const NamedWeight& weight) { return weight.value.isfinite().all().item<bool>(); });
}

Metrics Trainer::evaluate() const {
  const FlatWeights::Wide wide(chain_.weights());
  Metrics all = train_set_.score("train");
  for (auto& metric : test_set_.score("test")) all.push_back(std::move(metric));
  if (intervened_train_) {
    for (auto& metric : intervened_train_->score("intervened/train")) all.push_back(std::move(metric));
    for (auto& metric : intervened_test_->score("intervened/test")) all.push_back(std::move(metric));
  }
  double squares = 0;
  for (const NamedWeight& weight : model_.weights())
    squares += weight.value.detach().to(torch::kFloat64).square().sum().item<double>();
  all.emplace_back("weights/norm", std::sqrt(squares));
  return all;
}

NamedTensors Trainer::state() const {
  NamedTensors all = chain_.state();
  all.emplace_back("steps_done", torch::tensor(steps_done_, torch::kInt64));
  if (order_)
    for (auto& entry : order_->state()) all.push_back(std::move(entry));
  if (sample_) all.emplace_back("batches/rng", sample_rng_.get_state());
  if (dropout_) all.emplace_back("dropout/rng", dropout_->rng().get_state());
  return all;
}

void Trainer::restore(const NamedTensors& state) {
  chain_.restore(state);
  steps_done_ = find_named(state, "steps_done").item<int64_t>();
  if (order_) order_->restore(state);
  if (sample_) sample_rng_.set_state(find_named(state, "batches/rng"));
  if (dropout_) dropout_->rng().set_state(find_named(state, "dropout/rng"));
}

}  // namespace orrery::engine
