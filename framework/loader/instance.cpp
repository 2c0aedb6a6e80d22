#include "loader/instance.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <cstdio>

#include "loader/json.h"

namespace orrery {
namespace {

// Exceptions must not leave a destructor, so only reports those of the plugin.
template <class Destroy>
void guarded_destroy(const Who& who, const char* call, Destroy&& destroy) noexcept {
  try {
    guard(who, call, destroy);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "warning: %s\n", error.what());
  }
}

struct DestroyByPlugin {
  Who who;
  void (*destroy)(void*) = nullptr;

  void operator()(void* instance) const noexcept {
    guarded_destroy(who, "destroy", [&] { destroy(instance); });
  }
};
template <class T>
using Raw = std::unique_ptr<T, DestroyByPlugin>;

// Tokens are the training's own: a model that wrote into them would train on other data.
void refuse_written(const torch::Tensor& tokens, int64_t version) {
  if (tokens._version() != version)
    throw Error("it wrote into the tokens it was given", "work on a copy: tokens.clone()");
}

// Likewise the examples that a task's metrics are shown.
std::vector<int64_t> versions_of(const Batch& batch) {
  std::vector<int64_t> versions;
  for (const auto& [name, tensor] : batch.tensors()) versions.push_back(tensor._version());
  return versions;
}

class GuardedPass final : public ReadOutPass {
 public:
  GuardedPass(Who who, torch::Tensor tokens, std::unique_ptr<ReadOutPass> pass)
      : who_(std::move(who)), tokens_(std::move(tokens)), pass_(std::move(pass)) {}
  ~GuardedPass() override {
    guarded_destroy(who_, "the destructor of its model's pass", [&] { pass_.reset(); });
  }

  torch::Tensor logits() override {
    torch::Tensor logits = guard(
        who_, "its model's pass",
        [&] {
          const int64_t version = tokens_._version();
          torch::Tensor logits = pass_->logits();
          refuse_written(tokens_, version);
          return logits;
        },
        Watch::computing);
    activations_ = pass_->activations();
    return logits;
  }

 private:
  Who who_;
  torch::Tensor tokens_;
  std::unique_ptr<ReadOutPass> pass_;
};

// Wraps a plugin's own model: shares its weights and hook points, and names the plugin in every error.
class GuardedModel final : public Model {
  // These calls come in every step.
  template <class Body>
  auto computing(const char* call, Body&& body) const {
    return guard(who_, call, body, Watch::computing);
  }

 public:
  GuardedModel(Who who, std::unique_ptr<Model> model)
      : Model(InFrontOf{*model}), who_(std::move(who)), model_(std::move(model)) {}
  ~GuardedModel() override {
    guarded_destroy(who_, "the destructor of its model", [&] { model_.reset(); });
  }

  torch::Tensor forward(const torch::Tensor& tokens) override {
    return computing("forward", [&] {
      const int64_t version = tokens._version();
      torch::Tensor logits = model_->forward(tokens);
      refuse_written(tokens, version);
      return logits;
    });
  }
  std::unique_ptr<ReadOutPass> fast_read_out(const ReadOutRequest& request) override {
    auto pass = computing("fast_read_out", [&] { return model_->fast_read_out(request); });
    return pass ? std::make_unique<GuardedPass>(who_, request.tokens, std::move(pass)) : nullptr;
  }
  bool fast_read_out_keeps(const std::vector<std::string>& hook_points) const override {
    return computing("fast_read_out_keeps", [&] { return model_->fast_read_out_keeps(hook_points); });
  }
  torch::Tensor penalty() override {
    return computing("penalty", [&] { return model_->penalty(); });
  }

 private:
  Who who_;
  std::unique_ptr<Model> model_;
};

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
      const std::vector<int64_t> versions = versions_of(examples);
      std::vector<double> values = task_->metrics(logits, examples);
      if (versions_of(examples) != versions)
        throw Error("it wrote into the examples it was given", "work on a copy: examples.labels.clone()");
      return values;
    });
  }
  std::unique_ptr<Model> make_model(torch::Generator rng) const override {
    auto model = guard(who_, "make_model", [&] { return task_->make_model(rng); });
    return model ? std::make_unique<GuardedModel>(who_, std::move(model)) : nullptr;
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

// Does not validate the values: the plugin, which declared them, does that in its create() (Fields::make).
std::string parameters_text(const Values& values) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const auto& [name, value] : values) object[name] = to_json(value);
  try {
    return object.dump();
  } catch (const nlohmann::json::exception&) {
    throw UsageError("a parameter's text is not valid UTF-8", "save the config as UTF-8");
  }
}

template <class T>
Raw<T> create(const Plugin& plugin, PluginKind kind, const Values& values) {
  if (plugin.kind != kind)
    throw UsageError(
        fmt::format("\"{}\" is a {}, not a {}", plugin.name, to_string(plugin.kind), to_string(kind)),
        fmt::format("`orrery plugins` lists every {}", to_string(kind)));
  void* instance = guard(plugin.who(), "create", [&] {
    void* made = plugin.info->create(parameters_text(values).c_str());
    if (!made)
      throw Error("nothing was made", "return an instance, or throw an orrery::Error that says why not");
    return made;
  });
  return Raw<T>(static_cast<T*>(instance), {plugin.who(), plugin.info->destroy});
}

}  // namespace

Instance<Task> make_task(const Plugin& plugin, const Values& values) {
  return std::make_unique<GuardedTask>(plugin.who(), create<Task>(plugin, PluginKind::task, values));
}

Instance<Probe> make_probe(const Plugin& plugin, const Values& values) {
  return std::make_unique<GuardedProbe>(plugin.who(), create<Probe>(plugin, PluginKind::probe, values));
}

}  // namespace orrery
