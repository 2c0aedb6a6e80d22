// What an experiment does for its probes on demand (orrery/probe.h).
#include <orrery/error.h>

#include "engine/experiment/check_split.h"
#include "engine/experiment/experiment.h"
#include "sdk/base/losses.h"
#include "sdk/files/named_tensors.h"

namespace orrery::engine {

std::unique_ptr<Trainer> Experiment::make_trainer(Model& model) const {
  return std::make_unique<Trainer>(
      model, spec_, split_, settings_.train, settings_.seeds.batches,
      [this](int64_t batch_size, int64_t step, torch::Generator rng) {
        return sample(batch_size, step, std::move(rng));
      },
      [this](const torch::Tensor& logits, const Batch& examples) { return task_metrics(logits, examples); },
      training_plugins());
}

ProbeHost Experiment::probe_host_of(Model& model) const {
  // Random weights have not been trained: their state is that before the first update.
  return {spec_,
          structure_,
          split_,
          model,
          ProbeHost::Writes::refused,
          ProbeServices{on_demand_for(model), [this, &model] { return training_state(model, {}); }}};
}

OnDemand Experiment::on_demand_for(Model& model) const {
  return {
      .losses = [this](const torch::Tensor& logits, const Batch& inputs) { return losses(logits, inputs); },
      .corrupted = [this](const Batch& clean, torch::Generator rng) { return corrupted(clean, rng); },
      .copy_of_model = [this, &model] { return copy_of(model); },
      .random_model =
          [this, &model](int64_t draw) {
            auto random = null_model(1 + draw);  // draw 0 is the network of the null itself
            random->to(model.device());
            return random;
          }};
}

std::unique_ptr<Model> Experiment::copy_of(const Model& model) const {
  auto copy = make_model_of(settings_.seeds.init);
  NamedTensors weights;
  for (const NamedWeight& weight : model.weights())
    weights.emplace_back(weight.name, weight.value.detach().to(torch::kCPU));
  load_weights(*copy, weights);
  copy->to(model.device());
  return copy;
}

Batch Experiment::corrupted(const Batch& clean, const torch::Generator& rng) const {
  Batch batch = task_->corrupt(clean, rng);
  if (batch.size() == 0 && clean.size() > 0) return corrupted_by_default(clean, split_, structure_, rng);
  guard(
      task_who_, "corrupt", [&] { check_corrupted(spec_, clean.size(), batch); }, Watch::nothing);
  return batch;
}

torch::Tensor Experiment::losses(const torch::Tensor& unscaled, const Batch& inputs) const {
  const double scale = settings_.train.output_scale;
  const torch::Tensor logits = scale == 1 ? unscaled : unscaled * scale;
  const bool of_a_plugin =
      settings_.train.loss.name != task_loss && !is_frameworks("loss", settings_.train.loss.name);
  if (!of_a_plugin) return each_loss(spec_, logits, inputs);
  if (!loss_) loss_ = training_plugins().loss;
  return loss_->each(logits, inputs);
}

// By a trainer of its own on a copy, whether the run trains now or was stored: the numbers are the same, and
// no bit of the training changes.
TrainingState Experiment::training_state(const Model& model, const NamedTensors& state) const {
  const auto copy = copy_of(model);
  const auto trainer = make_trainer(*copy);
  if (!state.empty()) trainer->restore(state);
  return trainer->upcoming();
}

}  // namespace orrery::engine
