#include "engine/config/settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/config/condition.h"
#include "engine/config/config_keys.h"
#include "engine/config/pipeline.h"
#include "engine/config/probe_choice.h"
#include "engine/config/reader.h"
#include "engine/config/reference.h"
#include "engine/config/training_parts.h"
#include "sdk/model/catalog.h"

namespace orrery::engine {
namespace {

using json = nlohmann::ordered_json;

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

TrainSettings read_train(const Table& root, const ParametersOf& parameters_of) {
  const Table table = root.table("train");
  const Fields<TrainSettings> fields = fields_of<TrainSettings>();
  TrainSettings train = fields.make(bind_fields(table, fields.list(), "[train]", part_keys()));
  if (train.betas.size() != 2)
    refuse(table.place("betas"),
           fmt::format("{}: expected two reals, got {}", table.path("betas"), to_string(train.betas)));
  try {
    Condition::parse(train.stop_when);
  } catch (const UsageError& error) {
    refuse(table.place("stop_when"), fmt::format("{}: {}", table.path("stop_when"), error.what()),
           error.hint());
  }
  read_training_parts(table, parameters_of, train);
  return train;
}

json write_train(const Settings& settings) {
  json object = write_struct(settings.train);
  write_training_parts(settings.train, object);
  return object;
}

InitSettings read_init(const Table& root) {
  const Table table = root.table("init");
  const Fields<InitSettings> fields = fields_of<InitSettings>();
  InitSettings init = fields.make(bind_fields(table, fields.list(), "[init]", init_part_keys()));
  read_init_parts(table, init);
  return init;
}

json write_init(const Settings& settings) {
  json object = write_struct(settings.init);
  write_init_parts(settings.init, object);
  return object;
}

json write_probes(const Settings& settings) {
  json list = json::array();
  for (const ProbeChoice& probe : settings.probes) {
    json entry = to_object("name", {probe.plugin, probe.parameters});
    entry["label"] = probe.label;
    entry["every"] = probe.every;
    entry["reference"] = probe.reference;
    entry["timeout_s"] = probe.timeout_s;
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

template <class S>
std::vector<Field> keys_of() {
  return fields_of<S>().list();
}

std::vector<Field> task_keys() {
  return {{"name", std::string(), "the task plugin to train on", {}, {}, {}}};
}

std::vector<Field> train_keys() {
  std::vector<Field> keys = keys_of<TrainSettings>();
  keys.push_back(
      {"loss",
       std::string(task_loss),
       "what is minimised: task, the task's own loss; cross_entropy, hinge, logistic or mse_one_hot, "
       "the framework's; or a loss plugin, whose parameters stand in [train.loss] beside its name",
       {},
       {},
       {}});
  return keys;
}

std::vector<Field> model_keys() {
  return {{"kind",
           std::string("transformer"),
           fmt::format("which model: {}; task, the one that the task brings; or a model plugin",
                       fmt::join(model_kinds(), ", ")),
           {},
           {},
           {}}};
}

// A top-level key of a config. A new one is an entry of sections() and a member of Settings.
struct Section {
  std::string key, meaning;
  bool is_list;
  std::vector<Field> (*keys)();  // without the parameters of a task, model or probe
  void (*read)(const Table& root, const ParametersOf&, Settings&);
  json (*write)(const Settings&);
  std::vector<std::string> required = {};
};

const std::vector<Section>& sections() {
  using P = const ParametersOf&;
  static const std::vector<Section> all = {
      {"task",
       "what is learned; its further keys are the parameters of the task",
       false,
       task_keys,
       [](const Table& root, P of, Settings& s) { s.task = read_task(root, of); },
       [](const Settings& s) { return to_object("name", s.task); },
       {"name"}},
      {"model", "the network; its further keys are the parameters of the kind of model", false, model_keys,
       [](const Table& root, P of, Settings& s) { s.model = read_model(root, of); },
       [](const Settings& s) { return to_object("kind", s.model); }},
      {"train", "how it is trained", false, train_keys,
       [](const Table& root, P of, Settings& s) { s.train = read_train(root, of); }, write_train},
      {"seeds", "the seeds of everything random; the same seeds give the same bits", false,
       keys_of<SeedSettings>,
       [](const Table& root, P, Settings& s) { s.seeds = read_struct<SeedSettings>(root, "seeds"); },
       [](const Settings& s) { return write_struct(s.seeds); }},
      {"init", "which weights to begin with", false, keys_of<InitSettings>,
       [](const Table& root, P, Settings& s) { s.init = read_init(root); }, write_init},
      {"checkpoints", "when weights are kept and probes measure; the first and the last step always are",
       false, keys_of<CheckpointSettings>,
       [](const Table& root, P, Settings& s) {
         s.checkpoints = read_struct<CheckpointSettings>(root, "checkpoints");
       },
       [](const Settings& s) { return write_struct(s.checkpoints); }},
      {"log", "what else is written", false, keys_of<LogSettings>,
       [](const Table& root, P, Settings& s) { s.log = read_struct<LogSettings>(root, "log"); },
       [](const Settings& s) { return write_struct(s.log); }},
      {"probe",
       "a measurement; its further keys are the parameters of the probe",
       true,
       probe_keys,
       [](const Table& root, P of, Settings& s) { s.probes = resolve_probes(root.tables("probe"), of); },
       write_probes,
       {"name"}},
      {"verify", "for `orrery verify --tier`", false, keys_of<VerifySettings>,
       [](const Table& root, P, Settings& s) { s.verify = read_struct<VerifySettings>(root, "verify"); },
       [](const Settings& s) { return write_struct(s.verify); }},
      {"gallery", "what `orrery verify --gallery` says of it, and shows", false, keys_of<GallerySettings>,
       [](const Table& root, P, Settings& s) { s.gallery = read_gallery(root); },
       [](const Settings& s) { return write_struct(s.gallery); }},
      // After the probes, whose labels it uses.
      {"expect",
       "what the literature says of this run, for `orrery verify`",
       true,
       keys_of<Expectation>,
       [](const Table& root, P, Settings& s) { s.expectations = read_expect(root, s.probes); },
       write_expect,
       {"metric", "bound", "source"}},
  };
  return all;
}

Field name_key(const std::string& fallback) {
  return {"name", fallback, "what runs are called; by default the name of the file", {}, {}, {}};
}

// The keys that the table `section` of this config may have; all of them, or none if its plugin is unknown.
std::vector<Field> known_keys(const Section& section, const Table& table, const ParametersOf& parameters_of) {
  std::vector<Field> keys = section.keys();
  const char* choice = section.key == "task" ? "name" : section.key == "model" ? "kind" : nullptr;
  if (!choice) return keys;
  std::string name = section.key == "model" ? "transformer" : "";
  if (table.kind(choice) == Table::Kind::value)
    if (const auto* text = std::get_if<std::string>(&std::get<Value>(table.content(choice)))) name = *text;
  try {
    for (Field& field : parameters_of(section.key, name)) keys.push_back(std::move(field));
  } catch (const Error&) {
    return {};
  }
  return keys;
}

bool has(const std::vector<Field>& fields, const std::string& key) {
  return std::any_of(fields.begin(), fields.end(), [&](const Field& field) {
    return field.name == key || field.name.starts_with(key + ".");
  });
}

Table table_or_none(const Table& root, const std::string& key) {
  return root.kind(key) == Table::Kind::table ? root.table(key) : Table();
}

// Refuses `key` of the table `owner` if it is a key of other tables, and says of which. Every other unknown
// key is left to bind_fields().
void refuse_elsewhere(const Table& root, const Table& at, const std::string& owner, const std::string& key,
                      const ParametersOf& parameters_of) {
  std::vector<std::string> places;
  for (const Section& section : sections())
    if (!section.is_list && section.key != at.path() &&
        has(known_keys(section, table_or_none(root, section.key), parameters_of), key))
      places.push_back(section.key + "." + key);
  if (places.empty() && has(probe_keys(), key) && key != "name") places.push_back("probe.NAME." + key);
  if (places.empty()) return;
  refuse(at.place(key),
         fmt::format("{} has no key \"{}\" (did you mean {}?)", owner, key, fmt::join(places, " or ")),
         places.front().starts_with("probe.")
             ? fmt::format("it is a key of [[probe]]: --set {}=VALUE, with the name or label of the probe",
                           places.front())
             : fmt::format("it is a key of [{0}]; on the command line: --set {1}=VALUE",
                           section_of(places.front()), places.front()));
}

// Finds keys that were written into the wrong table, or outside any.
void check_tables(const Table& root, const ParametersOf& parameters_of) {
  const auto is_section = [](const std::string& key) {
    return std::any_of(sections().begin(), sections().end(), [&](const Section& s) { return s.key == key; });
  };
  for (const std::string& key : root.keys())
    if (key != "name" && !is_section(key)) refuse_elsewhere(root, root, "the config", key, parameters_of);
  for (const Section& section : sections()) {
    if (section.is_list || root.kind(section.key) != Table::Kind::table) continue;
    const Table table = root.table(section.key);
    const std::vector<Field> known = known_keys(section, table, parameters_of);
    for (const std::string& key : table.keys())
      if (!known.empty() && !has(known, key))
        refuse_elsewhere(root, table, "[" + section.key + "]", key, parameters_of);
  }
}

// Of `document` with `root` in place of its own.
Settings resolve_table(const Document& document, const Table& root, const ParametersOf& parameters_of) {
  const std::string stem = std::filesystem::path(document.source()).stem().string();
  std::vector<std::string> keys;
  for (const Section& section : sections()) keys.push_back(section.key);

  check_tables(root, parameters_of);
  Settings settings;
  settings.places = Places(root, document.source());
  settings.name = std::get<std::string>(bind_fields(root, {name_key(stem)}, "the config", keys).at("name"));
  check_folder_name(root, "name", settings.name);
  for (const Section& section : sections()) section.read(root, parameters_of, settings);
  return settings;
}

// Tables below a section.
std::vector<ConfigTable> parts_of(const std::string& section) {
  if (section == "train")
    return {
        {"loss", "[train.loss]", "a loss with parameters; its further keys are those", loss_keys(), {"name"}},
        {"update",
         "[[train.update]]",
         "a part of the update of the weights, in the order of the chain; its further keys are the "
         "parameters of "
         "the plugin",
         update_keys(),
         {"name"}},
        {"group",
         "[[train.group]]",
         "weights that are trained otherwise than the rest",
         group_keys(),
         {"weights"}},
        {"intervene",
         "[[train.intervene]]",
         "activations that training changes for some steps",
         intervention_keys(),
         {"at"}}};
  if (section == "init")
    return {{"draw",
             "[[init.draw]]",
             "how some weights are drawn, in the order of the entries",
             draw_keys(),
             {"weights"}},
            {"transplant",
             "[[init.transplant]]",
             "weights that come from a checkpoint",
             transplant_keys(),
             {"from", "weights"}}};
  return {};
}

}  // namespace

std::vector<ConfigTable> config_tables() {
  std::vector<ConfigTable> tables = {{"config", "outside any table", "the run", {name_key("")}, {}}};
  for (const Section& section : sections()) {
    tables.push_back({section.key,
                      (section.is_list ? "[[" : "[") + section.key + (section.is_list ? "]]" : "]"),
                      section.meaning, section.keys(), section.required});
    for (ConfigTable& part : parts_of(section.key)) tables.push_back(std::move(part));
    if (section.key == "model")
      for (const std::string& kind : model_kinds())
        tables.push_back({kind,
                          fmt::format("[model] with kind = \"{}\"", kind),
                          "its parameters",
                          model_parameters(kind),
                          {}});
  }
  tables.push_back(pipeline_table());
  return tables;
}

Settings resolve(const Document& document, const ParametersOf& parameters_of) {
  return resolve_table(document, document.root(), parameters_of);
}

Settings resolve_with(const Document& document, const std::vector<Override>& overrides,
                      const ParametersOf& parameters_of) {
  Table root = document.root();
  for (const Override& each : overrides) assign(root, each);
  return resolve_table(document, root, parameters_of);
}

namespace {

void keep_keys_of(const json& stored, json& object) {
  for (auto each = object.begin(); each != object.end();) {
    if (!stored.contains(each.key())) {
      each = object.erase(each);
      continue;
    }
    if (each->is_object() && stored[each.key()].is_object()) keep_keys_of(stored[each.key()], *each);
    ++each;
  }
}

}  // namespace

std::string to_json(const Settings& settings) {
  json object{{"name", settings.name}};
  for (const Section& section : sections()) object[section.key] = section.write(settings);
  if (settings.stored.empty()) return object.dump(2);
  const json stored = json::parse(settings.stored);
  for (const char* key : {"task", "model"})
    if (stored.contains(key) && stored[key].is_object()) keep_keys_of(stored[key], object[key]);
  return object.dump(2);
}

}  // namespace orrery::engine
