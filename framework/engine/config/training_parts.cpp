#include "engine/config/training_parts.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <map>
#include <optional>

#include "engine/config/probe_choice.h"
#include "engine/config/reader.h"

namespace orrery::engine {
namespace {

using json = nlohmann::ordered_json;

constexpr const char* losses_hint = "`orrery plugins` lists the losses there are";

PluginChoice loss_from(const Table& table, const std::string& name_key, const std::string& name,
                       const ParametersOf& parameters_of) {
  const auto fields = plugin_fields(table, name_key, "loss", name, {"name"}, parameters_of);
  if (name_key == "loss")
    return {name, bind_fields(Table(table.place("loss"), "train.loss"), fields, "[train]")};
  return {name, bind_fields(table, fields, fmt::format("loss \"{}\"", name), {"name"})};
}

// loss = "mse", or the table [train.loss] with a name and parameters.
PluginChoice read_loss(const Table& table, const ParametersOf& parameters_of) {
  if (table.kind("loss") == Table::Kind::absent) return {task_loss, {}};
  if (table.kind("loss") == Table::Kind::value)
    return loss_from(table, "loss", required_text(table, "loss", "[train]", "the loss"), parameters_of);
  const Table own = table.table("loss");
  return loss_from(own, "name", required_text(own, "name", "[train.loss]", "the loss plugin", losses_hint),
                   parameters_of);
}

// Nothing for one that is not enabled; all that it says is checked nevertheless.
std::optional<UpdateChoice> read_update(const Table& entry, const ParametersOf& parameters_of) {
  const std::string name = required_text(entry, "name", "[[train.update]]", "the update plugin",
                                         "`orrery plugins` lists the updates there are");
  std::vector<Field> fields = update_keys();
  std::vector<std::string> reserved;
  for (const Field& field : fields) reserved.push_back(field.name);
  const auto parameters = plugin_fields(entry, "name", "update", name, reserved, parameters_of);
  std::erase_if(fields, [](const Field& field) { return field.name == "name"; });
  fields.front().fallback = name;  // the label
  fields.insert(fields.end(), parameters.begin(), parameters.end());
  UpdateChoice choice;
  choice.plugin = {name, bind_fields(entry, fields, fmt::format("update \"{}\"", name), {"name"})};
  choice.label = std::get<std::string>(choice.plugin.parameters.extract("label").mapped());
  choice.weights = std::get<std::vector<std::string>>(choice.plugin.parameters.extract("weights").mapped());
  choice.place = entry.place();
  check_folder_name(entry, "label", choice.label);
  if (!std::get<bool>(choice.plugin.parameters.extract("enabled").mapped())) return std::nullopt;
  return choice;
}

std::vector<UpdateChoice> read_updates(const Table& table, const ParametersOf& parameters_of) {
  std::vector<UpdateChoice> updates;
  std::map<std::string, std::string> places;
  for (const Table& entry : table.tables("update")) {
    auto update = read_update(entry, parameters_of);
    if (!update) continue;
    updates.push_back(std::move(*update));
    const auto [first, is_new] = places.emplace(updates.back().label, entry.place());
    if (!is_new)
      refuse(entry.place(),
             fmt::format("a second update with the label \"{}\"; the first is at {}", first->first,
                         first->second),
             "give one of them another label = \"...\"");
  }
  return updates;
}

WeightGroup read_group(const Table& entry) {
  if (!entry.has("weights"))
    refuse(entry.place(), "[[train.group]] needs a key \"weights\", globs of the weights that belong to it");
  const Values values = bind_fields(entry, group_keys(), "[[train.group]]");
  WeightGroup group;
  group.weights = std::get<std::vector<std::string>>(values.at("weights"));
  if (entry.has("lr")) group.lr = std::get<double>(values.at("lr"));
  if (entry.has("weight_decay")) group.weight_decay = std::get<double>(values.at("weight_decay"));
  group.frozen = std::get<bool>(values.at("frozen"));
  group.place = entry.place();
  return group;
}

void check_lr_steps(const Table& table, const TrainSettings& train) {
  const bool stepwise = train.lr_schedule == TrainSettings::Schedule::steps;
  if (stepwise == train.lr_steps.empty())
    refuse(table.value_place(stepwise ? "lr_schedule" : "lr_steps"),
           stepwise ? "train.lr_schedule is \"steps\", but train.lr_steps names none"
                    : "train.lr_steps are for lr_schedule = \"steps\"",
           "for example: lr_schedule = \"steps\", lr_steps = [5000, 8000]");
  const bool falls = train.lr_schedule == TrainSettings::Schedule::linear ||
                     train.lr_schedule == TrainSettings::Schedule::cosine;
  if (train.lr_end != 0 && !falls)
    refuse(table.value_place("lr_end"),
           fmt::format("train.lr_end is for lr_schedule = \"linear\" or \"cosine\", and it is \"{}\"",
                       name_of(train.lr_schedule)),
           "leave it out, or choose one of them");
  if (!std::is_sorted(train.lr_steps.begin(), train.lr_steps.end()) ||
      (stepwise && train.lr_steps.front() < 1))
    refuse(table.value_place("lr_steps"), "train.lr_steps: expected steps from 1 on, ascending");
}

// Naming the framework's optimiser among the updates sets train.optimizer.
void read_optimizer_among(const Table& table, TrainSettings& train) {
  const UpdateChoice* first = nullptr;
  for (const UpdateChoice& update : train.updates)
    for (const auto& [name, optimizer] : names_of(TrainSettings::Optimizer{})) {
      if (update.plugin.name != name) continue;
      if (first)
        refuse(update.place,
               fmt::format("\"{}\" and \"{}\" are both the framework's, which has one optimiser in a run",
                           first->plugin.name, name),
               "name one of them only");
      if (table.has("optimizer") && train.optimizer != optimizer)
        refuse(update.place, fmt::format("the update is \"{}\", but train.optimizer is another", name),
               "name one of them only");
      if (update.weights != std::vector<std::string>{"*"})
        refuse(
            update.place,
            fmt::format("\"{}\" moves all weights that no other optimiser has; they cannot be named", name),
            "name those of the other optimisers, freeze some with [[train.group]], or leave weights out");
      train.optimizer = optimizer;
      first = &update;
    }
}

void check_interventions(const TrainSettings& train) {
  for (const Intervention& each : train.interventions)
    if (each.from_step >= train.steps)
      refuse(
          each.place,
          fmt::format("train.intervene: from_step is {}, and the training makes {} steps: it would never act",
                      each.from_step, train.steps),
          "choose an earlier step, or leave the entry out");
}

}  // namespace

void put(json& object, const std::string& dotted, const Value& value) {
  json* target = &object;
  size_t start = 0;
  for (size_t dot; (dot = dotted.find('.', start)) != std::string::npos; start = dot + 1)
    target = &(*target)[dotted.substr(start, dot - start)];
  (*target)[dotted.substr(start)] = std::visit([](const auto& v) { return json(v); }, value);
}

json to_object(const char* name_key, const PluginChoice& choice) {
  json object{{name_key, choice.name}};
  for (const auto& [name, value] : choice.parameters) put(object, name, value);
  return object;
}

const std::vector<std::string>& part_keys() {
  static const std::vector<std::string> keys = {"loss", "update", "group", "intervene"};
  return keys;
}

std::vector<Field> loss_keys() { return {{"name", std::string(), "the loss plugin", {}, {}, {}}}; }

std::vector<Field> update_keys() {
  return {{"name",
           std::string(),
           "the update plugin, or adamw, adam or sgd: where in the chain the framework's optimiser is",
           {},
           {},
           {}},
          {"label", std::string(), "what its state is called; by default the plugin's name", {}, {}, {}},
          {"weights",
           std::vector<std::string>{"*"},
           "the weights that it is given, by glob; frozen ones never are",
           {},
           {},
           {}},
          {"enabled",
           true,
           "whether it is there; a sweep sets train.update.LABEL.enabled to compare with and without",
           {},
           {},
           {}}};
}

std::vector<Field> group_keys() {
  std::vector<Field> keys = {
      {"weights",
       std::vector<std::string>{},
       "globs of weights; each belongs to the first group it matches",
       {},
       {},
       {}},
      {"lr", 0.0, "learning rate after the warm-up; by default that of [train]", {}, {}, {}},
      {"weight_decay", 0.0, "by default that of [train]", {}, {}, {}},
      {"frozen", false, "whether they stay as they are", {}, {}, {}}};
  keys[1].at_least(0);
  keys[2].at_least(0);
  return keys;
}

void read_training_parts(const Table& table, const ParametersOf& parameters_of, TrainSettings& train) {
  check_lr_steps(table, train);
  train.loss = read_loss(table, parameters_of);
  train.updates = read_updates(table, parameters_of);
  for (const Table& entry : table.tables("group")) train.groups.push_back(read_group(entry));
  train.interventions = read_interventions(table);
  check_interventions(train);
  read_optimizer_among(table, train);
}

void write_training_parts(const TrainSettings& train, json& object) {
  if (train.loss.name != task_loss) object["loss"] = to_object("name", train.loss);
  for (const UpdateChoice& update : train.updates) {
    json entry = to_object("name", update.plugin);
    entry["label"] = update.label;
    entry["weights"] = update.weights;
    object["update"].push_back(std::move(entry));
  }
  for (const WeightGroup& group : train.groups) {
    json entry{{"weights", group.weights}};
    if (group.lr) entry["lr"] = *group.lr;
    if (group.weight_decay) entry["weight_decay"] = *group.weight_decay;
    if (group.frozen) entry["frozen"] = true;
    object["group"].push_back(std::move(entry));
  }
  write_interventions(train.interventions, object);
}

}  // namespace orrery::engine
