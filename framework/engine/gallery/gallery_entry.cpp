#include "engine/gallery/gallery_entry.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>

#include "engine/config/config_keys.h"
#include "engine/config/sweep_file.h"
#include "sdk/files/sha256.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

using Names = std::vector<std::string>;

void add_content(const Table::Content& content, std::string& text);

// The keys of `table` that `keep` is true for, sorted, with their contents.
template <class Keep>
void add_table(const Table& table, std::string& text, Keep&& keep) {
  Names keys = table.keys();
  std::sort(keys.begin(), keys.end());
  text += "{";
  for (const std::string& key : keys) {
    if (!keep(key)) continue;
    text += key + "=";
    add_content(table.content(key), text);
  }
  text += "}";
}

void add_content(const Table::Content& content, std::string& text) {
  const auto all = [](const std::string&) { return true; };
  if (const auto* value = std::get_if<Value>(&content)) text += orrery::to_string(*value) + ";";
  if (const auto* table = std::get_if<Table>(&content)) add_table(*table, text, all);
  if (const auto* list = std::get_if<std::vector<Table>>(&content))
    for (const Table& table : *list) add_table(table, text, all);
}

// What a sweep reads from its runs.
bool is_asked(const std::string& key) { return key == "reading" || key == "class"; }

Document base_of(const Document& sweep) {
  const std::string base = required_text(sweep.root(), "base", "the sweep", "the config that its runs share");
  return Document::load((fs::path(sweep.source()).parent_path() / base).lexically_normal());
}

std::string text_or(const Table& table, const char* key, const std::string& fallback) {
  return table.has(key) ? required_text(table, key, "[[expect]]", "") : fallback;
}

Json json_of(const GalleryEntry& entry) {
  Json outcomes = Json::array(), pictures = Json::array();
  for (const GalleryOutcome& each : entry.outcomes)
    outcomes.push_back({{"expected", each.expected},
                        {"claim", each.claim},
                        {"source", each.source},
                        {"got", each.got},
                        {"interval", each.interval},
                        {"n", each.n},
                        {"passed", each.passed}});
  for (const GalleryPicture& each : entry.pictures)
    pictures.push_back(
        {{"file", each.file}, {"figure", each.figure}, {"caption", each.caption}, {"width", each.width}});
  return {{"config", entry.config},
          {"name", entry.name},
          {"sweep", entry.is_sweep},
          {"title", entry.title},
          {"text", entry.text},
          {"tier", entry.tier},
          {"experiment", entry.experiment},
          {"expectations", entry.expectations},
          {"orrery", entry.orrery},
          {"date", entry.date},
          {"kernels", entry.kernels},
          {"seconds", entry.seconds},
          {"runs", entry.n_runs},
          {"outcomes", std::move(outcomes)},
          {"pictures", std::move(pictures)}};
}

bool truth_of(const Json& value, const char* key, const std::string& where) {
  const Json& found = member(value, key, where);
  if (!found.is_boolean()) throw Error(fmt::format("{}: {}: expected true or false", where, key));
  return found.get<bool>();
}

GalleryEntry entry_of(const Json& json, const std::string& where) {
  const auto text = [&](const Json& of, const char* key) {
    return text_of(member(of, key, where), key, where);
  };
  const auto whole = [&](const Json& of, const char* key) {
    return integer_of(member(of, key, where), key, where);
  };
  GalleryEntry entry;
  entry.config = text(json, "config");
  entry.name = text(json, "name");
  entry.is_sweep = truth_of(json, "sweep", where);
  entry.title = text(json, "title");
  entry.text = text(json, "text");
  entry.tier = text(json, "tier");
  entry.experiment = text(json, "experiment");
  entry.expectations = text(json, "expectations");
  entry.orrery = text(json, "orrery");
  entry.date = text(json, "date");
  entry.kernels = text(json, "kernels");
  entry.seconds = real_of(member(json, "seconds", where), "seconds", where);
  entry.n_runs = static_cast<size_t>(whole(json, "runs"));
  for (const Json& each : list_at(json, "outcomes", where))
    entry.outcomes.push_back({text(each, "expected"), text(each, "claim"), text(each, "source"),
                              text(each, "got"), text(each, "interval"),
                              static_cast<size_t>(whole(each, "n")), truth_of(each, "passed", where)});
  for (const Json& each : list_at(json, "pictures", where))
    entry.pictures.push_back({text(each, "file"), text(each, "figure"), text(each, "caption"),
                              static_cast<int>(whole(each, "width"))});
  return entry;
}

}  // namespace

bool GalleryEntry::all_passed() const {
  return std::all_of(outcomes.begin(), outcomes.end(), [](const auto& each) { return each.passed; });
}

fs::path GalleryEntry::folder() const {
  const fs::path in = fs::path(config).parent_path();
  return in.filename() == "sweeps" ? in.parent_path() : in;
}

std::string experiment_hash(const Document& document) {
  std::string text;
  add_table(document.root(), text, [](const std::string& key) { return !describes(key) && !is_asked(key); });
  if (is_sweep(document))
    add_table(base_of(document).root(), text, [](const std::string& key) { return !describes(key); });
  return sha256(text);
}

std::string expectations_hash(const Document& document) {
  std::string text;
  add_table(document.root(), text, is_asked);
  for (const Table& entry : document.root().tables("expect"))
    add_table(entry, text, [](const std::string& key) { return key != "claim" && key != "source"; });
  return sha256(text);
}

void refresh(GalleryEntry& entry, const Document& document) {
  const Table& root = document.root();
  const GallerySettings gallery = is_sweep(document) ? read_sweep_gallery(root) : read_gallery(root);
  entry.title = gallery.title.empty() ? entry.name : gallery.title;
  entry.text = gallery.text;
  entry.tier = text_or(root.table("verify"), "tier", VerifySettings().tier);
  entry.other_experiment = entry.experiment != experiment_hash(document);
  entry.other_expectations = entry.expectations != expectations_hash(document);
  const std::vector<Table> expected = root.tables("expect");
  if (entry.other_expectations || expected.size() != entry.outcomes.size()) return;
  for (size_t i = 0; i < expected.size(); ++i) {
    entry.outcomes[i].claim = text_or(expected[i], "claim", "");
    entry.outcomes[i].source = text_or(expected[i], "source", "");
  }
}

std::string record_text(std::vector<GalleryEntry> entries) {
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.config < b.config; });
  Json all = Json::array();
  for (const GalleryEntry& entry : entries) all.push_back(json_of(entry));
  const Json record = {{"made_by", "orrery verify --gallery"}, {"entries", std::move(all)}};
  return record.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::vector<GalleryEntry> read_record(const std::string& text, const std::string& where) {
  std::vector<GalleryEntry> entries;
  const Json record = parse_object(text, where);
  for (const Json& each : list_at(record, "entries", where)) entries.push_back(entry_of(each, where));
  return entries;
}

}  // namespace orrery::engine
