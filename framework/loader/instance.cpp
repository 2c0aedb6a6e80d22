#include "loader/instance.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include "loader/guarded.h"
#include "loader/shown.h"

namespace orrery {
namespace {

class GuardedTask final : public Task {
 public:
  GuardedTask(Who who, Raw<Task> task) : who_(std::move(who)), task_(std::move(task)) {}
  ~GuardedTask() override;

  TaskSpec spec() const override {
    return guard(who_, "spec", [&] { return task_->spec(); });
  }
  Split split(torch::Generator rng) const override {
    return guard(who_, "split", [&] { return task_->split(rng); });
  }
  Batch sample(int64_t batch_size, int64_t step, torch::Generator rng) const override {
    return guard(who_, "sample", step, [&] { return task_->sample(batch_size, step, rng); });
  }
  std::vector<double> metrics(const torch::Tensor& logits, const Batch& examples) const override {
    return guard(who_, "metrics", [&] {
      const Shown shown = Shown().add("examples", examples);
      std::vector<double> values = task_->metrics(logits, examples);
      shown.refuse_writes();
      return values;
    });
  }
  std::unique_ptr<Model> make_model(torch::Generator rng) const override {
    auto model = guard(who_, "make_model", [&] { return task_->make_model(rng); });
    return model ? guarded_model(who_, std::move(model)) : nullptr;
  }
  Batch corrupt(const Batch& clean, torch::Generator rng) const override {
    return guard(who_, "corrupt", [&] {
      const Shown shown = Shown().add("clean", clean);
      Batch corrupted = task_->corrupt(clean, rng);
      shown.refuse_writes();
      return corrupted;
    });
  }
  Structure structure() const override {
    return guard(who_, "structure", [&] { return task_->structure(); });
  }
  std::string show(const torch::Tensor& tokens) const override {
    return guard(who_, "show", [&] { return task_->show(tokens); });
  }

 private:
  Who who_;
  Raw<Task> task_;
};

class GuardedProbe final : public Probe {
 public:
  GuardedProbe(Who who, Raw<Probe> probe) : who_(std::move(who)), probe_(std::move(probe)) {}
  ~GuardedProbe() override;

  Needs needs() const override {
    Needs needs = guard(who_, "needs", [&] { return probe_->needs(); });
    if (needs.refusal)
      needs.refusal = [who = who_, refusal = std::move(needs.refusal)](const Model& model,
                                                                       const TaskSpec& spec) {
        return guard(who, "needs, its refusal", [&] { return refusal(model, spec); });
      };
    return needs;
  }
  void fit(const Observation& reference) override {
    guard(who_, "fit", reference.step, [&] { probe_->fit(reference); });
  }
  void measure(const Observation& observation, Recorder& recorder) override {
    guard(who_, "measure", observation.step, [&] { probe_->measure(observation, recorder); });
  }
  void conclude(const History& history, Recorder& recorder) override {
    guard(who_, "conclude", [&] { probe_->conclude(history, recorder); });
  }

 private:
  Who who_;
  Raw<Probe> probe_;
};

GuardedTask::~GuardedTask() = default;
GuardedProbe::~GuardedProbe() = default;

}  // namespace

Instance<Task> make_task(const Plugin& plugin, const Values& values) {
  return std::make_unique<GuardedTask>(plugin.who(), create<Task>(plugin, PluginKind::task, values));
}

Instance<Probe> make_probe(const Plugin& plugin, const Values& values) {
  return std::make_unique<GuardedProbe>(plugin.who(), create<Probe>(plugin, PluginKind::probe, values));
}

}  // namespace orrery
