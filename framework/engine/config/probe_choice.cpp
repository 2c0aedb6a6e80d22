#include "engine/config/probe_choice.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "engine/config/parse_text.h"
#include "engine/config/reader.h"

namespace orrery::engine {
namespace {

// The keys of [[probe]] that are the host's.
const std::vector<Field>& host_fields() {
  static const std::vector<Field> fields = [] {
    const std::string text;
    std::vector<Field> list{
        {"label", text, "what results are called; by default the probe's name", {}, {}, {}},
        {"every", int64_t{0}, "steps between measurements; 0 for every checkpoint", {}, {}, {}},
        {"reference",
         std::string("last"),
         "checkpoint to fit to: last, first, grokked, step:N, or self, the one that is measured",
         {},
         {},
         {}},
        {"timeout_s", 0.0, "seconds that a call may take; 0 for no limit", {}, {}, {}}};
    list[1].at_least(0);
    list[3].at_least(0);
    return list;
  }();
  return fields;
}

const std::vector<std::string> reserved_keys = {"name", "label", "every", "reference", "timeout_s"};

bool is_step(std::string_view text) {
  constexpr std::string_view prefix = "step:";
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return !text.starts_with('-') && parse_integer(text).has_value();
}

void check_reference(const Table& entry, const std::string& reference) {
  const std::vector<std::string> words = {"last", "first", "grokked", "self"};
  if (std::find(words.begin(), words.end(), reference) != words.end() || is_step(reference)) return;
  refuse(entry.place("reference"),
         fmt::format("{}: expected \"last\", \"first\", \"grokked\", \"self\" or \"step:N\", got {}{}",
                     entry.path("reference"), to_string(reference), did_you_mean(reference, words)));
}

Table table_of_argument(const std::string& text, const std::string& place) {
  const std::string name = split_outside_quotes(text, ':').front();
  Table entry(place, entry_path("probe", "", name));
  if (name.empty()) refuse(place, "expected NAME or NAME:key=value,key=value");
  entry.set("name", place, Value(name));
  if (name.size() == text.size()) return entry;
  for (const std::string& assignment :
       split_outside_quotes(std::string_view(text).substr(name.size() + 1), ','))
    assign(entry, assignment, place);
  return entry;
}

// Whether a place is one in a file, "configs/x.toml:9:1", rather than an option or a whole file.
bool has_line(std::string_view place) {
  for (int i = 0; i < 2; ++i) {
    const size_t digits = place.find_last_not_of("0123456789");
    if (digits == place.npos || digits + 1 == place.size() || place[digits] != ':') return false;
    place = place.substr(0, digits);
  }
  return !place.starts_with("--");
}

}  // namespace

bool ProbeChoice::operator==(const ProbeChoice& other) const {
  const auto measured = [](const ProbeChoice& choice) {
    return std::tie(choice.plugin, choice.label, choice.every, choice.reference, choice.parameters,
                    choice.timeout_s);
  };
  return measured(*this) == measured(other);
}

void check_folder_name(const Table& table, const std::string& key, const std::string& name) {
  const bool bad = name.empty() || name.front() == '.' || name.size() > 100 ||
                   std::any_of(name.begin(), name.end(), [](unsigned char c) {
                     return c < 0x20 || c == 0x7f || c == '/' || c == '\\';
                   });
  if (bad)
    refuse(table.place(key),
           fmt::format("{}: expected what can name a folder, got {}", table.path(key), to_string(name)),
           "use 1 to 100 bytes, no slashes or control characters, no dot in front");
}

std::vector<Field> plugin_fields(const Table& table, const std::string& name_key, const std::string& kind,
                                 const std::string& name, const std::vector<std::string>& reserved,
                                 const ParametersOf& parameters_of) {
  std::vector<Field> fields;
  try {
    fields = parameters_of(kind, name);
  } catch (const UsageError& error) {
    refuse(table.place(name_key), error.what(), error.hint());
  }
  const std::string who = fmt::format("{} \"{}\"", kind, name);
  for (const Field& field : fields) {
    const std::string first = field.name.substr(0, field.name.find('.'));
    if (std::find(reserved.begin(), reserved.end(), first) != reserved.end())
      throw Error(fmt::format("{} declares a parameter \"{}\", but the key \"{}\" is Orrery's", who,
                              field.name, first),
                  "rename the parameter");
    for (const Field& other : fields)
      if (other.name.starts_with(field.name + "."))
        throw Error(fmt::format("{} declares \"{}\" as a value and, with \"{}\", as a table", who, field.name,
                                other.name),
                    "rename one of the two parameters");
  }
  return fields;
}

std::vector<Field> probe_keys() {
  std::vector<Field> keys = {{"name", std::string(), "the probe plugin to run", {}, {}, {}}};
  keys.insert(keys.end(), host_fields().begin(), host_fields().end());
  return keys;
}

ProbeChoice resolve_probe(const Table& entry, const ParametersOf& parameters_of) {
  const std::string name = required_text(entry, "name", "[[probe]]", "the probe plugin to run",
                                         "`orrery plugins` lists what there is");
  std::vector<Field> fields = host_fields();
  fields.front().fallback = name;
  const auto parameters = plugin_fields(entry, "name", "probe", name, reserved_keys, parameters_of);
  fields.insert(fields.end(), parameters.begin(), parameters.end());

  ProbeChoice probe;
  probe.plugin = name;
  probe.parameters = bind_fields(entry, fields, fmt::format("probe \"{}\"", name), {"name"});
  const auto take = [&](const char* key) { return probe.parameters.extract(key).mapped(); };
  probe.label = std::get<std::string>(take("label"));
  probe.every = std::get<int64_t>(take("every"));
  probe.reference = std::get<std::string>(take("reference"));
  probe.timeout_s = std::get<double>(take("timeout_s"));
  check_folder_name(entry, "label", probe.label);
  check_reference(entry, probe.reference);
  if (has_line(entry.place())) probe.place = entry.place();
  return probe;
}

std::vector<ProbeChoice> resolve_probes(const std::vector<Table>& entries,
                                        const ParametersOf& parameters_of) {
  std::vector<ProbeChoice> probes;
  std::map<std::string, std::string> places;
  for (const Table& entry : entries) {
    probes.push_back(resolve_probe(entry, parameters_of));
    const auto [first, is_new] = places.emplace(probes.back().label, entry.place());
    if (!is_new)
      refuse(entry.place(),
             fmt::format("a second probe with the label \"{}\"; the first is at {}", first->first,
                         first->second),
             "give one of them another label = \"...\"");
  }
  return probes;
}

ProbeChoice parse_probe(const std::string& text, const ParametersOf& parameters_of) {
  return resolve_probe(table_of_argument(text, "--probe " + text), parameters_of);
}

std::vector<ProbeChoice> parse_probes(const std::vector<std::string>& texts,
                                      const ParametersOf& parameters_of) {
  std::vector<Table> entries;
  for (const std::string& text : texts) entries.push_back(table_of_argument(text, "--probe " + text));
  return resolve_probes(entries, parameters_of);
}

}  // namespace orrery::engine
