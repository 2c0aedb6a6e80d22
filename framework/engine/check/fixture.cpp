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

void Fixture::train() const {
  TrainSettings settings;
  settings.lr = 0.01;
  settings.batch_size = spec().endless ? 32 : 0;
  Trainer trainer(
      *model_, spec(), split(), settings, 0,
      [this](int64_t batch_size, int64_t step, torch::Generator rng) {
        return task_.task->sample(batch_size, step, rng);
      },
      [this](const torch::Tensor& logits, const Batch& examples) {
        return task_.task->metrics(logits, examples);
      });
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
