#include "engine/check/fixture.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/run/curves.h"
#include "engine/train/trainer.h"

namespace orrery::engine::checks {
namespace {

constexpr int64_t kept_steps[] = {0, 8, 40};

NamedTensors copies(const Model& model) {
  NamedTensors all;
  for (const NamedWeight& weight : model.weights())
    all.emplace_back(weight.name, weight.value.detach().clone());
  return all;
}

}  // namespace

Fixture::Fixture(const Variant& task, const std::string& task_name, const SmallModel& model)
    : task_(task),
      task_name_(task_name),
      name_(fmt::format("{}{}, {}", task_name, task.name.empty() ? "" : fmt::format(" ({})", task.name),
                        model.name)),
      small_(model),
      model_(model.make(*task.task, task.spec, 0)) {}

void Fixture::accept(const ProbeInRun& probe) const {
  ProbeHost(spec(), structure(), split(), *model_).check(probe);
}

Trainer Fixture::trainer_of(Model& model) const {
  TrainSettings settings;
  settings.lr = 0.01;
  settings.batch_size = spec().endless ? 32 : 0;
  return Trainer(
      model, spec(), split(), settings, 0,
      [this](int64_t batch_size, int64_t step, torch::Generator rng) {
        return task_.task->sample(batch_size, step, rng);
      },
      [this](const torch::Tensor& logits, const Batch& examples) {
        return task_.task->metrics(logits, examples);
      });
}

// Some checks take weights away from `model`; its copy has them as they were drawn.
std::unique_ptr<Model> Fixture::copy_of(const Model& model) const {
  torch::NoGradGuard no_grad;
  auto copy = fresh();
  for (const NamedWeight& weight : model.weights()) copy->weight(weight.name).copy_(weight.value);
  return copy;
}

ProbeServices Fixture::services_for(const Split& split, const Structure& structure, Model& model) const {
  ProbeServices services;
  services.on_demand.corrupted = [this, &split, &structure](const Batch& clean, torch::Generator rng) {
    const Batch batch = task_.task->corrupt(clean, rng);
    return batch.size() > 0 ? batch : corrupted_by_default(clean, split, structure, rng);
  };
  services.on_demand.copy_of_model = [this, &model] { return copy_of(model); };
  services.on_demand.random_model = [this](int64_t draw) {
    return small_.make(*task_.task, spec(), -2 - draw);
  };
  services.training = [this, &model] {
    const auto copy = copy_of(model);
    return trainer_of(*copy).upcoming();
  };
  return services;
}

ProbeHost Fixture::host_of(const Structure& structure, const Split& split, Model& model) const {
  return ProbeHost(spec(), structure, split, model, ProbeHost::Writes::left,
                   services_for(split, structure, model));
}

void Fixture::train() const {
  Trainer trainer = trainer_of(*model_);
  CurveReader curves;
  for (const int64_t step : kept_steps) {
    while (trainer.steps_done() < step && std::isfinite(trainer.step()))
      if (trainer.steps_done() % 4 == 0) curves.add_row(trainer.steps_done(), trainer.evaluate());
    if (trainer.steps_done() < step) break;
    checkpoints_.push_back({step, copies(*model_)});
  }
  curves_ = curves.curves();
}

const std::vector<KeptWeights>& Fixture::checkpoints() const {
  if (checkpoints_.empty()) train();
  return checkpoints_;
}

const std::vector<Curve>& Fixture::curves() const {
  checkpoints();
  return curves_;
}

std::unique_ptr<Model> Fixture::at(const KeptWeights& checkpoint) const {
  auto model = fresh();
  load_weights(*model, checkpoint.weights);
  return model;
}

}  // namespace orrery::engine::checks
