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
  const std::string& place = root.value_place("seeds");
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
  if (value)
    if (const auto* number = std::get_if<int64_t>(value); number && *number > most_seeds)
      refuse(place, fmt::format("seeds: expected 1 to {} of them, got {}", most_seeds, *number),
             "more are taken for a slip of the pen");
  refuse(place, fmt::format("seeds: expected their number or a list, for example 8 or [1, 2, 3], got {}",
                            describe(root.content("seeds"))));
}

std::vector<std::string> read_seeds_of(const Table& root, const std::vector<std::string>& names) {
  std::vector<std::string> keys;
  for (const std::string& name : names) {
    if (std::find(seed_names.begin(), seed_names.end(), name) == seed_names.end())
      refuse(root.value_place("seeds_of"),
             fmt::format("seeds_of: there is no seed \"{}\"{}", name, did_you_mean(name, seed_names)),
             "the seeds are data, init and batches");
    keys.push_back("seeds." + name);
  }
  if (keys.empty()) refuse(root.value_place("seeds_of"), "seeds_of: the list is empty");
  return keys;
}

// Refuses a key that two of [set], [grid], the [[zip]]s and the seeds would set.
void refuse_conflicts(const SweepFile& sweep, const std::vector<Override>& fixed, const SweepGrid& grid) {
  std::map<std::string, std::string> set_at;
  const auto claim = [&](const std::string& key, const std::string& place) {
    const auto [found, fresh] = set_at.emplace(key, place);
    if (!fresh)
      refuse(place, fmt::format("{} is set twice, here and at {}", key, found->second),
             "leave out one of them");
  };
  for (const Override& each : fixed) claim(each.key, each.place);
  for (const SweepAxis& axis : grid.axes)
    for (const Override& each : axis.front()) claim(each.key, each.place);
  if (!sweep.seeds.empty())
    for (const std::string& key : sweep.seeds_of) claim(key, sweep.seeds_place);
}

void add_swept_keys(const SweepGrid& grid, std::vector<std::string>& keys) {
  const auto add = [&](const std::vector<Override>& point) {
    for (const Override& each : point)
      if (std::find(keys.begin(), keys.end(), each.key) == keys.end()) keys.push_back(each.key);
  };
  for (const SweepAxis& axis : grid.axes) add(axis.front());
  for (const auto& point : grid.points) add(point);
}

// What the runs differ in.
std::vector<std::string> swept_keys(const SweepFile& sweep) {
  std::vector<std::string> keys;
  if (!sweep.stages.empty()) keys.push_back("stage");
  add_swept_keys(sweep.grid, keys);
  for (const SweepStage& stage : sweep.stages) add_swept_keys(stage.grid, keys);
  if (!sweep.seeds.empty()) keys.push_back("seed");
  return keys;
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

// The base config. An error of its file as a whole has the place where the sweep names it.
Document read_base(const std::string& base, const Table& root) {
  std::error_code failure;
  if (fs::is_regular_file(base, failure)) {
    Document config = Document::load(base);
    if (is_sweep(config))
      throw UsageError(fmt::format("{}: base: {} is a sweep itself", root.value_place("base"), base),
                       "a sweep's base is the config of one run");
    return config;
  }
  try {
    return Document::load(base);
  } catch (const UsageError& error) {
    const std::string hint = "the path of `base` is relative to the sweep's file";
    throw UsageError(fmt::format("{}: base: {}", root.value_place("base"), error.what()),
                     error.hint().empty() ? hint : fmt::format("{}; {}", error.hint(), hint));
  }
}

// The keys at the top of the file.
struct Top {
  std::string name, base;
  Keep keep = Keep::all;
  std::vector<std::string> seeds_of = seed_names;
};

Top read_top(const Table& root, const std::string& stem, const std::string& origin) {
  if (!root.has("base") && root.has("task"))
    throw UsageError(fmt::format("{}: this is the config of one run, not a sweep", origin),
                     fmt::format("orrery train {} trains it; a sweep names it as its `base`", origin));
  const std::vector<Field> fields = {{"name", stem, "what the sweep is called", {}, {}, {}},
                                     {"base", std::string(), "the config", {}, {}, {}},
                                     keep_field("all"),
                                     {"seeds_of", seed_names, "what the seeds set", {}, {}, {}}};
  const Values values = bind_fields(root, fields, "the sweep",
                                    {"seeds", "set", "grid", "zip", "point", "exclude", "stage", "verify",
                                     "gallery", "reading", "class", "expect"});
  Top top;
  top.name = std::get<std::string>(values.at("name"));
  top.base = required_text(root, "base", "the sweep", "the config that its runs share");
  top.keep = keep_of(values);
  top.seeds_of = std::get<std::vector<std::string>>(values.at("seeds_of"));
  check_folder_name(root, "name", top.name);
  return top;
}

}  // namespace

const SweepStage* SweepFile::find_stage(const std::string& stage) const {
  const auto found =
      std::find_if(stages.begin(), stages.end(), [&](const SweepStage& each) { return each.name == stage; });
  return found == stages.end() ? nullptr : &*found;
}

Keep SweepFile::keep_of(const std::string& stage) const {
  const SweepStage* found = find_stage(stage);
  return found ? found->keep : keep;
}

bool is_sweep(const Document& document) { return document.root().has("base"); }

SweepFile read_sweep_text(const std::string& text, const std::string& origin, ReadBase with_base) {
  const Document document = Document::from_toml(text, origin);
  const Table& root = document.root();
  const Top top = read_top(root, fs::path(origin).stem().string(), origin);
  const std::string base = (fs::path(origin).parent_path() / top.base).lexically_normal().string();
  SweepFile sweep{with_base == ReadBase::yes ? read_base(base, root) : document,
                  top.name,
                  text,
                  origin,
                  base,
                  top.keep,
                  kept_as_keys(top.keep, root.place("keep")),
                  read_overrides(root.table("set")),
                  read_grid(root)};
  sweep.seeds = read_seeds(root);
  sweep.seeds_of = read_seeds_of(root, top.seeds_of);
  sweep.seeds_place = root.place("seeds");
  refuse_conflicts(sweep, sweep.fixed, sweep.grid);
  sweep.stages = read_stages(root.tables("stage"), top.keep, root.place("keep"));
  for (const SweepStage& stage : sweep.stages) refuse_conflicts(sweep, stage.fixed, stage.grid);

  const std::vector<std::string> labels =
      with_base == ReadBase::yes ? labels_in(sweep.base) : std::vector<std::string>{};
  sweep.readings = read_readings(root.tables("reading"), with_base == ReadBase::yes ? &labels : nullptr);
  sweep.classes = read_classes(root.tables("class"), sweep.readings);
  const Fields<VerifySettings> verify = fields_of<VerifySettings>();
  sweep.verify = verify.make(bind_fields(root.table("verify"), verify.list(), "[verify]"));
  sweep.gallery = read_sweep_gallery(root);
  sweep.claims = read_claims(root.tables("expect"), sweep);
  return sweep;
}

void check_swept(const SweepFile& sweep) {
  const std::vector<std::string> keys = swept_keys(sweep);
  for (const SweepClaim& claim : sweep.claims)
    for (const SweepClaim::Swept& each : claim.swept)
      if (std::find(keys.begin(), keys.end(), each.key) == keys.end())
        refuse(each.place, fmt::format("{}: the runs do not differ in {}{}", each.path, each.key,
                                       did_you_mean(each.key, keys)));
}

SweepFile read_sweep_file(const fs::path& file) {
  return read_sweep_text(read_config_text(file), file.string(), ReadBase::yes);
}

}  // namespace orrery::engine
