#include "loader/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <fstream>

#include "loader/elf.h"
#include "loader/library.h"
#include "loader/stamp.h"
#include "loader/trial.h"

namespace orrery {
namespace {

namespace fs = std::filesystem;

bool same_file(const fs::path& a, const fs::path& b) {
  std::error_code failed;  // if one of them is gone, only equal names make them the same
  return a == b || fs::equivalent(a, b, failed);
}

void check_stamp(const fs::path& file) {
  const auto text = find_stamp(file);
  if (!text)
    throw Error("a shared library without an Orrery stamp, so it is not a plugin",
                "end its source with ORRERY_TASK(...), ORRERY_PROBE(...) or their like (orrery/plugin.h) and "
                "rebuild it: "
                "cmake --build build");
  refuse_mismatches(compare(*parse_stamp(host_stamp()), *parse_stamp(*text)));
}

Plugin open_plugin(const fs::path& file, Trial trial) {
  check_stamp(file);
  if (trial == Trial::yes) try_opening(file);
  const auto entry = open_library(file);
  // The name is unknown until the descriptor has been read, so the guard of this call names the file only.
  const orrery_plugin_info* info = nullptr;
  try {
    info = entry();
  } catch (...) {
    throw Error("orrery_plugin() threw", "let ORRERY_TASK or ORRERY_PROBE (orrery/plugin.h) write it");
  }
  Plugin plugin = read_descriptor(info, file);
  plugin.build = build_id(read_bytes(file));
  return plugin;
}

std::vector<fs::path> libraries_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".so") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

std::string clash_text(PluginKind kind, const std::string& name, const fs::path& first,
                       const fs::path& second) {
  return fmt::format("two plugins offer the {} \"{}\": {} and {}", to_string(kind), name, first.string(),
                     second.string());
}
constexpr const char* clash_hint = "give one of them another name, or remove one of the files";

}  // namespace

bool Registry::loaded(const fs::path& file) const {
  const auto same = [&](const fs::path& other) { return same_file(file, other); };
  return std::any_of(plugins_.begin(), plugins_.end(),
                     [&](const auto& plugin) { return same(plugin->file); });
}

void Registry::load(const fs::path& file, Trial trial) {
  if (loaded(file)) return;
  auto plugin = std::make_unique<Plugin>(open_plugin(file, trial));
  if (const Plugin* other = lookup(plugin->kind, plugin->name)) {
    clashes_.push_back({plugin->kind, plugin->name, other->file, file});
    throw Error(clash_text(plugin->kind, plugin->name, other->file, file), clash_hint);
  }
  plugins_.push_back(std::move(plugin));
}

void Registry::load_file(const fs::path& file) {
  const std::string place = file.string() + ": ";
  try {
    load(file, Trial::yes);
  } catch (const UsageError& error) {
    throw UsageError(place + error.what(), error.hint());
  } catch (const Error& error) {
    throw Error(place + error.what(), error.hint());
  }
}

void Registry::load_if_new(const fs::path& file, Trial trial) {
  for (const Problem& problem : problems_)
    if (same_file(problem.file, file)) return;
  try {
    load(file, trial);
  } catch (const Error& error) {
    problems_.push_back({file, error.what(), error.hint()});
  } catch (const std::exception& error) {
    problems_.push_back({file, error.what(), "check the file, or rebuild it: cmake --build build"});
  }
}

void Registry::load_folder(const fs::path& folder, Trial trial) {
  std::vector<fs::path> files;
  try {
    files = libraries_in(folder);
  } catch (const fs::filesystem_error& error) {
    problems_.push_back({folder,
                         fmt::format("this folder of plugins cannot be listed: {}", error.code().message()),
                         "check the path (ORRERY_PLUGIN_PATH is a list of folders, separated by colons)"});
  }
  for (const fs::path& file : files) load_if_new(file, trial);
}

void Registry::load_named_folder(const fs::path& folder) {
  searched_.push_back(folder);
  load_folder(folder);
  std::error_code failed;
  if (fs::is_directory(folder, failed) && libraries_in(folder).empty())
    problems_.push_back({folder, "there is no plugin (*.so) in this folder of ORRERY_PLUGIN_PATH",
                         "name the folder that holds the .so files, such as build/plugins"});
}

// How to make a plugin known, with what ORRERY_PLUGIN_PATH is now.
std::string Registry::how_to_load() const {
  std::vector<std::string> folders;
  for (const fs::path& folder : searched_) folders.push_back(folder.string());
  return fmt::format("a plugin of your own: --plugin FILE.so, or its folder in ORRERY_PLUGIN_PATH ({})",
                     folders.empty() ? "which is not set" : fmt::format("now {}", fmt::join(folders, ":")));
}

namespace {

// Somebody who names a file that is no library has asked for the wrong thing; a library that does not load is
// a fault of its own.
void load_named_file(Registry& registry, const fs::path& file) {
  try {
    registry.load_file(file);
  } catch (const UsageError&) {
    throw;
  } catch (const Error& error) {
    char begins[4] = {};
    std::ifstream(file, std::ios::binary).read(begins, sizeof begins);
    if (std::string_view(begins, sizeof begins) == "\177ELF") throw;
    throw UsageError(error.what(), error.hint());
  }
}

}  // namespace

void Registry::load_search_path(const fs::path& builtin, std::string_view plugin_path,
                                const std::vector<fs::path>& files) {
  if (!builtin.empty()) load_folder(builtin, Trial::no);
  while (!plugin_path.empty()) {
    const std::string_view folder = plugin_path.substr(0, plugin_path.find(':'));
    if (!folder.empty()) load_named_folder(folder);
    plugin_path.remove_prefix(std::min(plugin_path.size(), folder.size() + 1));
  }
  for (const fs::path& file : files) load_named_file(*this, file);
}

const Plugin* Registry::lookup(PluginKind kind, const std::string& name) const {
  for (const auto& plugin : plugins_)
    if (plugin->kind == kind && plugin->name == name) return plugin.get();
  return nullptr;
}

void Registry::refuse_clash(PluginKind kind, const std::string& name) const {
  for (const Clash& clash : clashes_)
    if (clash.kind == kind && clash.name == name)
      throw UsageError(clash_text(kind, name, clash.first, clash.second), clash_hint);
}

void Registry::refuse_unknown(const std::string& what, const std::vector<PluginKind>& kinds,
                              const std::string& name) const {
  std::vector<std::string> names, elsewhere;
  for (const auto& plugin : plugins_) {
    const bool wanted = std::find(kinds.begin(), kinds.end(), plugin->kind) != kinds.end();
    if (wanted) names.push_back(plugin->name);
    if (!wanted && plugin->name == name) elsewhere.push_back(with_article(plugin->kind));
  }
  std::string message = fmt::format("no {} \"{}\"{}", what, name, did_you_mean(name, names));
  if (!elsewhere.empty()) message += fmt::format("; there is {} of that name", elsewhere.front());
  for (const Problem& problem : problems_)
    if (!name.empty() && problem.file.filename().string().find(name) != std::string::npos)
      message +=
          fmt::format("\n{} was not loaded: {}\n  {}", problem.file.string(), problem.message, problem.hint);
    else if (std::find(searched_.begin(), searched_.end(), problem.file) != searched_.end())
      message += fmt::format("\n{}", problem.text());
  const std::string loaded = names.empty() ? fmt::format("no {} is loaded; see `orrery plugins`", what)
                                           : fmt::format("loaded: {}", fmt::join(names, ", "));
  throw UsageError(message, loaded + "\n  " + how_to_load());
}

const Plugin& Registry::find(PluginKind kind, const std::string& name) const {
  refuse_clash(kind, name);
  if (const Plugin* plugin = lookup(kind, name)) return *plugin;
  refuse_unknown(to_string(kind), {kind}, name);
}

std::vector<const Plugin*> Registry::find(const std::string& name) const {
  std::vector<const Plugin*> found;
  for (const PluginKind kind : plugin_kinds) {
    refuse_clash(kind, name);
    if (const Plugin* plugin = lookup(kind, name)) found.push_back(plugin);
  }
  if (found.empty()) refuse_unknown("plugin", {std::begin(plugin_kinds), std::end(plugin_kinds)}, name);
  return found;
}

const Plugin* Registry::find_or_null(PluginKind kind, const std::string& name) const {
  refuse_clash(kind, name);
  return lookup(kind, name);
}

Instance<Task> Registry::make_task(const Plugin& plugin, const Values& values) const {
  return orrery::make_task(plugin, values);
}
Instance<Probe> Registry::make_probe(const Plugin& plugin, const Values& values) const {
  return orrery::make_probe(plugin, values);
}

}  // namespace orrery
