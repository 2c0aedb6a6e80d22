#include "engine/config/settings.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/config/condition.h"
#include "engine/config/probe_choice.h"
#include "engine/config/reader.h"

namespace orrery::engine {
namespace {

using json = nlohmann::ordered_json;

// "split.rule" becomes the key `rule` of an object `split`, as in TOML.
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

// A table whose keys are the fields of the struct S.
template <class S>
S read_struct(const Table& root, const std::string& key) {
  const Fields<S> fields = fields_of<S>();
  return fields.make(bind_fields(root.table(key), fields.list(), "[" + key + "]"));
}

template <class S>
json write_struct(const S& settings) {
  const Fields<S> fields = fields_of<S>();
  const Values values = fields.values(settings);
  json object = json::object();
  for (const Field& field : fields.list()) put(object, field.name, values.at(field.name));
  return object;
}

PluginChoice read_plugin(const Table& table, const std::string& name_key, const std::string& kind,
                         const std::string& name, const ParametersOf& parameters_of) {
  const auto fields = plugin_fields(table, name_key, kind, name, {name_key}, parameters_of);
  return {name, bind_fields(table, fields, fmt::format("{} \"{}\"", kind, name), {name_key})};
}

PluginChoice read_task(const Table& root, const ParametersOf& parameters_of) {
  const Table table = root.table("task");
  const std::string name = required_text(table, "name", "[task]", "the task plugin to train on",
                                         "`orrery plugins` lists what there is");
  return read_plugin(table, "name", "task", name, parameters_of);
}

PluginChoice read_model(const Table& root, const ParametersOf& parameters_of) {
  const Table table = root.table("model");
  const std::string kind = table.has("kind") ? required_text(table, "kind", "[model]", "") : "transformer";
  return read_plugin(table, "kind", "model", kind, parameters_of);
}

TrainSettings read_train(const Table& root) {
  const TrainSettings train = read_struct<TrainSettings>(root, "train");
  const Table table = root.table("train");
  if (train.betas.size() != 2)
    refuse(table.place("betas"),
           fmt::format("{}: expected two reals, got {}", table.path("betas"), to_string(train.betas)));
  try {
    Condition::parse(train.stop_when);
  } catch (const UsageError& error) {
    refuse(table.place("stop_when"), fmt::format("{}: {}", table.path("stop_when"), error.what()),
           error.hint());
  }
  return train;
}

json write_probes(const Settings& settings) {
  json list = json::array();
  for (const ProbeChoice& probe : settings.probes) {
    json entry = to_object("name", {probe.plugin, probe.parameters});
    entry["label"] = probe.label;
    entry["every"] = probe.every;
    entry["reference"] = probe.reference;
    list.push_back(std::move(entry));
  }
  return list;
}

std::vector<Expectation> read_expect(const Table& root, const std::vector<ProbeChoice>& probes) {
  std::vector<std::string> labels;
  for (const ProbeChoice& probe : probes) labels.push_back(probe.label);
  return read_expectations(root.tables("expect"), labels);
}

json write_expect(const Settings& settings) {
  json list = json::array();
  for (const Expectation& expectation : settings.expectations) list.push_back(write_struct(expectation));
  return list;
}

// A top-level key of a config. A new one is a line in sections() and a member of Settings.
struct Section {
  std::string key;
  void (*read)(const Table& root, const ParametersOf&, Settings&);
  json (*write)(const Settings&);
};

const std::vector<Section>& sections() {
  using P = const ParametersOf&;
  static const std::vector<Section> all = {
      {"task", [](const Table& root, P of, Settings& s) { s.task = read_task(root, of); },
       [](const Settings& s) { return to_object("name", s.task); }},
      {"model", [](const Table& root, P of, Settings& s) { s.model = read_model(root, of); },
       [](const Settings& s) { return to_object("kind", s.model); }},
      {"train", [](const Table& root, P, Settings& s) { s.train = read_train(root); },
       [](const Settings& s) { return write_struct(s.train); }},
      {"seeds", [](const Table& root, P, Settings& s) { s.seeds = read_struct<SeedSettings>(root, "seeds"); },
       [](const Settings& s) { return write_struct(s.seeds); }},
      {"init", [](const Table& root, P, Settings& s) { s.init = read_struct<InitSettings>(root, "init"); },
       [](const Settings& s) { return write_struct(s.init); }},
      {"checkpoints",
       [](const Table& root, P, Settings& s) {
         s.checkpoints = read_struct<CheckpointSettings>(root, "checkpoints");
       },
       [](const Settings& s) { return write_struct(s.checkpoints); }},
      {"log", [](const Table& root, P, Settings& s) { s.log = read_struct<LogSettings>(root, "log"); },
       [](const Settings& s) { return write_struct(s.log); }},
      {"probe",
       [](const Table& root, P of, Settings& s) { s.probes = resolve_probes(root.tables("probe"), of); },
       write_probes},
      {"verify",
       [](const Table& root, P, Settings& s) { s.verify = read_struct<VerifySettings>(root, "verify"); },
       [](const Settings& s) { return write_struct(s.verify); }},
      // After the probes, whose labels it uses.
      {"expect", [](const Table& root, P, Settings& s) { s.expectations = read_expect(root, s.probes); },
       write_expect},
  };
  return all;
}

Settings resolve_table(const Table& root, const std::string& origin, const ParametersOf& parameters_of) {
  const std::string stem = std::filesystem::path(origin).stem().string();
  std::vector<std::string> keys;
  for (const Section& section : sections()) keys.push_back(section.key);
  const Field name{"name", stem, "what runs are called", {}, {}, {}};

  Settings settings;
  settings.name = std::get<std::string>(bind_fields(root, {name}, "the config", keys).at("name"));
  check_folder_name(root, "name", settings.name);
  for (const Section& section : sections()) section.read(root, parameters_of, settings);
  return settings;
}

}  // namespace

Settings resolve(const Document& document, const ParametersOf& parameters_of) {
  return resolve_table(document.root(), document.origin(), parameters_of);
}

Settings resolve_with(const Document& document, const std::vector<Override>& overrides,
                      const ParametersOf& parameters_of) {
  Table root = document.root();
  for (const Override& each : overrides) assign(root, each);
  return resolve_table(root, document.origin(), parameters_of);
}

std::string to_json(const Settings& settings) {
  json object{{"name", settings.name}};
  for (const Section& section : sections()) object[section.key] = section.write(settings);
  return object.dump(2);
}

}  // namespace orrery::engine
