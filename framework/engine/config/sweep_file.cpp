#include "engine/config/sweep_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <map>

#include "engine/config/probe_choice.h"
#include "engine/config/reader.h"
#include "engine/config/sweep_reader.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> seed_names = {"data", "init", "batches"};

// More seeds than this are a slip of the pen.
constexpr int64_t most_seeds = 100000;

std::vector<int64_t> read_seeds(const Table& root) {
  if (!root.has("seeds")) return {};
  const std::string& place = root.place("seeds");
  const auto* value = std::get_if<Value>(&root.content("seeds"));
  if (value)
    if (const auto* number = std::get_if<int64_t>(value); number && *number >= 1 && *number <= most_seeds) {
      std::vector<int64_t> seeds;
      for (int64_t seed = 0; seed < *number; ++seed) seeds.push_back(seed);
      return seeds;
    }
  if (value)
    if (const auto* list = std::get_if<std::vector<int64_t>>(value); list && !list->empty()) {
      for (const int64_t seed : *list)
        if (seed < 0 || std::count(list->begin(), list->end(), seed) > 1)
          refuse(place, fmt::format("seeds: expected integers >= 0, each once, got {}", to_string(*value)));
      return *list;
    }
  refuse(place, fmt::format("seeds: expected their number or a list, for example 8 or [1, 2, 3], got {}",
                            describe(root.content("seeds"))));
}

std::vector<std::string> read_seeds_of(const Table& root, const std::vector<std::string>& names) {
  std::vector<std::string> keys;
  for (const std::string& name : names) {
    if (std::find(seed_names.begin(), seed_names.end(), name) == seed_names.end())
      refuse(root.place("seeds_of"),
             fmt::format("seeds_of: there is no seed \"{}\"{}", name, did_you_mean(name, seed_names)),
             "the seeds are data, init and batches");
    keys.push_back("seeds." + name);
  }
  if (keys.empty()) refuse(root.place("seeds_of"), "seeds_of: the list is empty");
  return keys;
}

// Every run keeps its first and its last checkpoint; "none" is of the same schedule and cleared at the end.
std::vector<Override> kept_as_keys(Keep keep, const std::string& place) {
  if (keep == Keep::all) return {};
  const int64_t per_decade = keep == Keep::logarithmic ? 5 : 0;
  return {{"checkpoints.every", int64_t{0}, place}, {"checkpoints.per_decade", per_decade, place}};
}

SweepAxis read_zip(const Table& table) {
  std::vector<std::vector<Override>> columns;
  for (const WrittenKey& key : written_keys(table)) columns.push_back(read_listed(key));
  if (columns.empty()) refuse(table.place(), "[[zip]] has no keys");
  SweepAxis axis(columns.front().size());
  for (const auto& column : columns) {
    if (column.size() != axis.size())
      refuse(column.front().place,
             fmt::format("{} has {} values, {} has {}", column.front().key, column.size(),
                         columns.front().front().key, axis.size()),
             "the lists of one [[zip]] go together, entry by entry");
    for (size_t i = 0; i < column.size(); ++i) axis[i].push_back(column[i]);
  }
  return axis;
}

std::vector<SweepAxis> read_axes(const Table& root) {
  std::vector<SweepAxis> axes;
  const Table grid = root.table("grid");
  for (const WrittenKey& key : written_keys(grid)) {
    SweepAxis axis;
    for (Override& value : read_listed(key)) axis.push_back({std::move(value)});
    axes.push_back(std::move(axis));
  }
  for (const Table& zip : root.tables("zip")) axes.push_back(read_zip(zip));
  return axes;
}

// Refuses a key that two of [set], [grid], the [[zip]]s and the seeds would set.
void refuse_conflicts(const SweepFile& sweep) {
  std::map<std::string, std::string> set_at;
  const auto claim = [&](const std::string& key, const std::string& place) {
    const auto [found, fresh] = set_at.emplace(key, place);
    if (!fresh)
      refuse(place, fmt::format("{} is set twice, here and at {}", key, found->second),
             "leave out one of them");
  };
  for (const Override& each : sweep.fixed) claim(each.key, each.place);
  for (const SweepAxis& axis : sweep.axes)
    for (const Override& each : axis.front()) claim(each.key, each.place);
  if (!sweep.seeds.empty())
    for (const std::string& key : sweep.seeds_of) claim(key, sweep.seeds_place);
}

std::vector<std::string> swept_keys(const SweepFile& sweep) {
  std::vector<std::string> keys;
  const auto add = [&](const std::vector<Override>& point) {
    for (const Override& each : point)
      if (std::find(keys.begin(), keys.end(), each.key) == keys.end()) keys.push_back(each.key);
  };
  for (const SweepAxis& axis : sweep.axes) add(axis.front());
  for (const auto& point : sweep.points) add(point);
  return keys;
}

void check_part(const SweepPart& part, const std::vector<std::string>& keys, const std::string& owner) {
  for (const auto& [key, values] : part.wanted)
    if (std::find(keys.begin(), keys.end(), key) == keys.end())
      refuse(part.place,
             fmt::format("{}: the runs do not differ in {}{}", owner, key, did_you_mean(key, keys)),
             keys.empty() ? "there is no [grid]" : fmt::format("they differ in {}", fmt::join(keys, ", ")));
}

std::vector<std::string> labels_in(const Document& base) {
  std::vector<std::string> labels;
  for (const Table& probe : base.root().tables("probe"))
    for (const char* key : {"label", "name"})
      if (probe.kind(key) == Table::Kind::value) {
        const auto& value = std::get<Value>(probe.content(key));
        if (const auto* text = std::get_if<std::string>(&value)) labels.push_back(*text);
        break;
      }
  return labels;
}

// The keys at the top of the file.
struct Top {
  std::string name, base;
  Keep keep = Keep::all;
  std::vector<std::string> seeds_of = seed_names;
};

Names<Keep> keeps() {
  return {{"all", Keep::all}, {"last", Keep::last}, {"logarithmic", Keep::logarithmic}, {"none", Keep::none}};
}

Top read_top(const Table& root, const std::string& stem) {
  std::vector<std::string> choices;
  for (const auto& [text, keep] : keeps()) choices.push_back(text);
  const std::vector<Field> fields = {
      {"name", stem, "what the sweep is called", {}, {}, {}},
      {"base", std::string(), "the config", {}, {}, {}},
      {"keep", std::string("all"), "which checkpoints to keep", {}, {}, choices},
      {"seeds_of", seed_names, "what the seeds set", {}, {}, {}}};
  const Values values =
      bind_fields(root, fields, "the sweep",
                  {"seeds", "set", "grid", "zip", "point", "exclude", "reading", "class", "expect"});
  Top top;
  top.name = std::get<std::string>(values.at("name"));
  top.base = required_text(root, "base", "the sweep", "the config that its runs share");
  for (const auto& [text, keep] : keeps())
    if (text == std::get<std::string>(values.at("keep"))) top.keep = keep;
  top.seeds_of = std::get<std::vector<std::string>>(values.at("seeds_of"));
  check_folder_name(root, "name", top.name);
  return top;
}

}  // namespace

bool is_sweep(const Document& document) { return document.root().has("base"); }

SweepFile read_sweep_text(const std::string& text, const std::string& origin, ReadBase with_base) {
  const Document document = Document::from_toml(text, origin);
  const Table& root = document.root();
  const Top top = read_top(root, fs::path(origin).stem().string());
  const std::string base = (fs::path(origin).parent_path() / top.base).lexically_normal().string();
  SweepFile sweep{with_base == ReadBase::yes ? Document::load(base) : document,
                  top.name,
                  text,
                  origin,
                  base,
                  top.keep,
                  kept_as_keys(top.keep, root.place("keep")),
                  read_overrides(root.table("set")),
                  read_axes(root)};
  for (const Table& table : root.tables("exclude")) sweep.excluded.push_back(read_part(table));
  for (const Table& table : root.tables("point")) sweep.points.push_back(read_overrides(table));
  sweep.seeds = read_seeds(root);
  sweep.seeds_of = read_seeds_of(root, top.seeds_of);
  sweep.seeds_place = root.place("seeds");
  refuse_conflicts(sweep);

  std::vector<std::string> keys = swept_keys(sweep);
  for (const SweepPart& part : sweep.excluded) check_part(part, keys, "[[exclude]]");
  if (!sweep.seeds.empty()) keys.push_back("seed");
  const std::vector<std::string> labels =
      with_base == ReadBase::yes ? labels_in(sweep.base) : std::vector<std::string>{};
  sweep.readings = read_readings(root.tables("reading"), with_base == ReadBase::yes ? &labels : nullptr);
  sweep.classes = read_classes(root.tables("class"), sweep.readings);
  sweep.claims = read_claims(root.tables("expect"), sweep, keys);
  for (const SweepClaim& claim : sweep.claims) check_part(claim.where, keys, "where");
  return sweep;
}

SweepFile read_sweep_file(const fs::path& file) {
  return read_sweep_text(read_config_text(file), file.string(), ReadBase::yes);
}

}  // namespace orrery::engine
