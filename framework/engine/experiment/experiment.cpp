#include "engine/experiment/experiment.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/version.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "engine/experiment/builtin_plugins.h"
#include "engine/experiment/check_split.h"
#include "engine/experiment/initial_weights.h"
#include "engine/experiment/label_noise.h"
#include "engine/train/loss.h"
#include "sdk/files/named_tensors.h"
#include "sdk/files/sha256.h"
#include "sdk/files/tensors.h"
#include "sdk/model/catalog.h"

namespace orrery::engine {
namespace {

std::filesystem::path& other_builtin_plugins() {
  static std::filesystem::path folder;
  return folder;
}

}  // namespace

std::filesystem::path builtin_plugins() {
  std::error_code failed;
  if (!other_builtin_plugins().empty()) return other_builtin_plugins();
  const auto program = std::filesystem::read_symlink("/proc/self/exe", failed);
  const auto folder = program.parent_path().parent_path() / "plugins";
  return std::filesystem::is_directory(folder, failed) ? folder : std::filesystem::path();
}

void set_builtin_plugins(std::filesystem::path folder) { other_builtin_plugins() = std::move(folder); }

namespace {

// The data themselves, not the parameters that they come from: another version of the task may make other
// data, and so may a file of examples that has changed.
void add_data(Sha256& hash, const Split& split) {
  const auto add = [&](const torch::Tensor& tensor) {
    const torch::Tensor own = tensor.defined() ? tensor.contiguous() : torch::empty({0});
    hash.add(fmt::format("[{}]", fmt::join(own.sizes(), ", ")));
    hash.add(std::span(static_cast<const std::byte*>(own.data_ptr()), own.nbytes()));
  };
  for (const Batch* batch : {&split.train, &split.test})
    for (const torch::Tensor& part :
         {batch->tokens, batch->labels, batch->scored, batch->groups, batch->repeat_of})
      add(part);
  if (split.grid) {
    add(split.grid->tokens);
    add(split.grid->labels);
  }
  // By name, and only where there are some: other tasks keep the results they have stored.
  const auto add_named = [&](const Batch& batch) {
    for (const auto& [name, tensor] : batch.tensors())
      if (name == "weights" || name.starts_with("auxiliary/")) {
        hash.add(name);
        add(tensor);
      }
  };
  add_named(split.train);
  add_named(split.test);
  if (split.grid) add_named(*split.grid);
}

std::string hash_of_data(const Split& split) {
  Sha256 hash;
  add_data(hash, split);
  return hash.digest();
}

}  // namespace

std::unique_ptr<Registry> load_plugins(const std::vector<std::string>& files) {
  auto registry = std::make_unique<Registry>();
  const char* path = std::getenv("ORRERY_PLUGIN_PATH");
  registry->load_search_path(builtin_plugins(), path ? path : "", {files.begin(), files.end()});
  return registry;
}

namespace {

bool is_kind_of_model(const std::string& name) {
  const std::vector<std::string> kinds = model_kinds();
  return name == task_model || std::find(kinds.begin(), kinds.end(), name) != kinds.end();
}

bool is_frameworks_loss(const std::string& name) { return name == task_loss || loss_named(name); }

bool is_frameworks_optimizer(const std::string& name) {
  const auto known = names_of(TrainSettings::Optimizer{});
  return std::any_of(known.begin(), known.end(), [&](const auto& each) { return each.first == name; });
}

// A model plugin; for a name that nothing has, the error lists the framework's kinds as well.
const Plugin& model_plugin(const Registry& registry, const std::string& name) {
  if (const Plugin* plugin = registry.find_or_null(PluginKind::model, name)) return *plugin;
  std::vector<std::string> known = model_kinds();
  known.push_back(task_model);
  for (const auto& plugin : registry.plugins())
    if (plugin->kind == PluginKind::model) known.push_back(plugin->name);
  try {
    return registry.find(PluginKind::model, name);  // says which library of that name is broken
  } catch (const UsageError& error) {
    const std::string text = error.what();
    throw UsageError(fmt::format("there is no model of kind \"{}\"{}{}", name, did_you_mean(name, known),
                                 text.substr(std::min(text.find('\n'), text.size()))),
                     fmt::format("known kinds: {}", fmt::join(known, ", ")));
  }
}

}  // namespace

bool is_frameworks(const std::string& kind, const std::string& name) {
  return (kind == "model" && is_kind_of_model(name)) || (kind == "loss" && is_frameworks_loss(name)) ||
         (kind == "update" && is_frameworks_optimizer(name));
}

ParametersOf parameters_from(const Registry& registry) {
  return [&registry](const std::string& kind, const std::string& name) -> std::vector<Field> {
    if (is_frameworks(kind, name)) {
      if (const Plugin* plugin = registry.find_or_null(kind_named(kind), name))
        throw UsageError(fmt::format("the {} \"{}\" is the framework's, and {} has a plugin of that name",
                                     kind, name, plugin->file.string()),
                         "give the plugin another name");
      return kind == "model" ? model_parameters(name) : std::vector<Field>();
    }
    if (kind == "model") return model_plugin(registry, name).parameters;
    return registry.find(kind_named(kind), name).parameters;
  };
}

Experiment::Experiment(const Registry& registry, Settings settings, torch::Device device)
    : registry_(registry), settings_(std::move(settings)) {
  settings_.places.in([&] { make_parts(device); });
  setting_ = hash_setting();
  probe_host_.emplace(spec_, structure_, split_, *model_, ProbeHost::Writes::refused,
                      ProbeServices{on_demand_for(*model_), [this] {
                                      if (!training_)
                                        throw Error("there is no state of the training here",
                                                    "ask the probe while the run trains: [[probe]] in its "
                                                    "config");
                                      return training_state(*model_, training_());
                                    }});
}

namespace {

// An mlp of operands reads the tokens at positions 0 and 1, whatever they are.
void refuse_other_positions(const PluginChoice& model, const Structure& structure) {
  const auto input = model.parameters.find("input");
  if (model.name != "mlp" || input == model.parameters.end() || input->second == Value(std::string("bits")))
    return;
  const int64_t right = structure.cyclic  ? structure.cyclic->right_position
                        : structure.group ? structure.group->right_position
                                          : 1;
  if (right != 1)
    throw UsageError(
        fmt::format(
            "model: an mlp reads the operands at positions 0 and 1, and the task has the second one at {}",
            right),
        "leave out the operator's token, or use a transformer");
}

}  // namespace

namespace {

// One of the framework's losses in place of the task's.
void replace_loss(TaskSpec& spec, Loss loss) {
  if (loss == spec.loss) return;
  if (has_one_logit(loss) != (spec.d_vocab_out == 1))
    throw UsageError(
        fmt::format("train.loss is {}, which is of {}, and the task has {} (d_vocab_out)", to_string(loss),
                    has_one_logit(loss) ? "one logit" : "two classes or more", spec.d_vocab_out),
        fmt::format("leave it out: the loss of the task is {}", to_string(spec.loss)));
  spec.loss = loss;
  if (loss != Loss::cross_entropy) spec.label_smoothing = 0;
}

}  // namespace

void Experiment::make_parts(torch::Device device) {
  const Plugin& plugin = registry_.find(PluginKind::task, settings_.task.name);
  task_who_ = plugin.who();
  task_ = make_task(plugin, settings_.task.parameters);
  spec_ = task_->spec();
  structure_ = task_->structure();
  split_ = task_->split(make_generator(settings_.seeds.data));
  guard(task_who_, "split", [&] { check_split(spec_, split_); });
  if (const auto loss = loss_named(settings_.train.loss.name)) replace_loss(spec_, *loss);
  add_label_noise(split_.train, spec_, settings_.train.label_noise, settings_.seeds.data);
  settings_.places.in([&] { refuse_other_positions(settings_.model, structure_); });
  model_ = make_model_of(settings_.seeds.init);
  model_->to(device);
}

void Experiment::load_initial_weights() {
  const std::string& from = settings_.init.from;
  if (!from.empty()) try {
      load_weights(*model_, read_tensors(from).tensors);
    } catch (const Error& error) {
      throw UsageError(settings_.places.placed(fmt::format("init.from: {}", error.what())),
                       error.hint().empty()
                           ? "train the run that it belongs to first, or name another checkpoint"
                           : error.hint());
    }
  transplant(*model_, settings_.init.transplants);
}

std::unique_ptr<Model> Experiment::make_model_of(int64_t seed) const {
  auto model = model_as_it_draws(seed);
  settings_.places.in([&] { redraw(*model, settings_.init.draws, seed); });
  return model;
}

std::unique_ptr<Model> Experiment::model_as_it_draws(int64_t seed) const {
  torch::Generator rng = make_generator(seed);
  if (!is_kind_of_model(settings_.model.name)) return make_plugin_model(rng);
  if (settings_.model.name != task_model) try {
      return make_model(settings_.model.name, settings_.model.parameters, spec_, rng);
    } catch (const UsageError& error) {  // names parameters, which may be at their defaults
      throw UsageError(std::string("model: ") + error.what(), error.hint());
    }
  if (auto own = task_->make_model(rng)) {
    guard(task_who_, "make_model", [&] { check_model(*own, spec_, split_.train); });
    return own;
  }
  throw UsageError(
      fmt::format("model.kind is \"task\", but the task {} brings no model of its own", settings_.task.name),
      "name one of the framework's, such as \"transformer\"");
}

std::unique_ptr<Model> Experiment::make_plugin_model(const torch::Generator& rng) const {
  const Plugin& plugin = model_plugin(registry_, settings_.model.name);
  auto model = make_model_maker(plugin, settings_.model.parameters)->make(spec_, rng);
  guard(plugin.who(), "make", [&] { check_model(*model, spec_, split_.train); });
  return model;
}

TrainingPlugins Experiment::training_plugins() const {
  TrainingPlugins plugins;
  const PluginChoice& loss = settings_.train.loss;
  if (!is_frameworks_loss(loss.name)) {
    plugins.loss = make_loss(registry_.find(PluginKind::loss, loss.name), loss.parameters);
    if (const std::string refusal = plugins.loss->refusal(spec_); !refusal.empty())
      throw UsageError(fmt::format("train.loss: {} cannot be the loss of this task: {}", loss.name, refusal),
                       fmt::format("leave it out: the loss of the task is {}", to_string(spec_.loss)));
  }
  for (const UpdateChoice& choice : settings_.train.updates) {
    ChainedUpdate chained{choice, "train.optimizer", nullptr};
    if (!is_frameworks_optimizer(choice.plugin.name)) {
      const Plugin& plugin = registry_.find(PluginKind::update, choice.plugin.name);
      chained.who = fmt::format("update {} {}", plugin.name, plugin.version);
      chained.update = make_update(plugin, choice.plugin.parameters);
    }
    plugins.updates.push_back(std::move(chained));
  }
  return plugins;
}

Batch Experiment::sample(int64_t batch_size, int64_t step, torch::Generator rng) const {
  Batch batch = task_->sample(batch_size, step, rng);
  guard(
      task_who_, "sample", step, [&] { check_sample(spec_, batch_size, batch); }, Watch::nothing);
  return batch;
}

std::vector<double> Experiment::task_metrics(const torch::Tensor& logits, const Batch& examples) const {
  std::vector<double> values = task_->metrics(logits, examples);
  guard(
      task_who_, "metrics", [&] { check_metrics(spec_, values); }, Watch::nothing);
  return values;
}

ProbeInRun Experiment::make_checked(const ProbeChoice& choice, Instance<Probe>& instance) const try {
  const Plugin& plugin = registry_.find(PluginKind::probe, choice.plugin);
  instance = make_probe(plugin, choice.parameters);
  ProbeInRun probe{choice.label,      choice.every, choice.reference, instance.get(),
                   instance->needs(), plugin.name,  plugin.version,   choice.parameters,
                   choice.timeout_s,  plugin.build, choice.place};
  probe_host_->check(probe);
  return probe;
} catch (const UsageError& error) {
  if (choice.place.empty()) throw;
  throw UsageError(fmt::format("{}: {}", choice.place, error.what()), error.hint());
}

void Experiment::add_probes(const std::vector<ProbeChoice>& choices) {
  const auto add = [&] {
    for (const ProbeChoice& choice : choices) {
      instances_.emplace_back();
      probes_.push_back(make_checked(choice, instances_.back()));
    }
  };
  if (choices == settings_.probes)
    settings_.places.in(add);
  else
    add();  // named on the command line or in a pipeline
}

Needs Experiment::check_probe(const ProbeChoice& choice) const {
  Instance<Probe> instance;
  return make_checked(choice, instance).needs;
}

std::string Experiment::hash_setting() const {
  const nlohmann::ordered_json config = nlohmann::ordered_json::parse(to_json(settings_));
  Sha256 hash;
  hash.add(config["model"].dump() + config["task"].dump());
  if (config["init"].contains("draw")) hash.add(config["init"]["draw"].dump());  // the null is drawn so, too
  add_data(hash, split_);
  return hash.digest();
}

nlohmann::ordered_json Experiment::describe() const {
  using json = nlohmann::ordered_json;
  json plugins = json::array();
  const std::filesystem::path builtin = builtin_plugins();
  const auto add = [&](PluginKind kind, const std::string& name) {
    const Plugin& plugin = registry_.find(kind, name);
    plugins.push_back(
        {{"kind", to_string(kind)}, {"name", name}, {"version", plugin.version}, {"build", plugin.build}});
    std::error_code ignored;
    const auto file = std::filesystem::absolute(plugin.file, ignored);
    if (file.parent_path() != builtin) plugins.back()["file"] = file.lexically_normal().string();
  };
  add(PluginKind::task, settings_.task.name);
  if (!is_kind_of_model(settings_.model.name)) add(PluginKind::model, settings_.model.name);
  const TrainSettings& train = settings_.train;
  if (!is_frameworks_loss(train.loss.name)) add(PluginKind::loss, train.loss.name);
  for (const UpdateChoice& update : train.updates)
    if (!is_frameworks_optimizer(update.plugin.name)) add(PluginKind::update, update.plugin.name);
  for (const ProbeChoice& probe : settings_.probes) add(PluginKind::probe, probe.plugin);
  json about = {{"orrery", version()},
                {"torch", torch_version()},
                {"plugins", plugins},
                {"n_parameters", model_->n_parameters()},
                {"n_train", split_.train.size()},
                {"n_test", split_.test.size()},
                {"data", hash_of_data(split_)}};
  if (spec_.endless) about["endless"] = true;
  const std::string loss = is_frameworks_loss(train.loss.name) ? to_string(spec_.loss) : train.loss.name;
  if (loss != to_string(Loss::cross_entropy)) about["loss"] = loss;
  about["config"] = json::parse(to_json(settings_));
  return about;
}

}  // namespace orrery::engine
