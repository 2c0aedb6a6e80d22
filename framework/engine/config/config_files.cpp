#include "engine/config/config_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <map>

#include "engine/config/sweep_file.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

// Of all files ending in .toml, sorted. Folders that cannot be read are left out.
std::vector<fs::path> toml_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code failure;
  const auto options = fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator at(folder, options, failure), end; !failure && at != end;
       at.increment(failure))
    if (at->path().extension() == ".toml") files.push_back(at->path());
  std::sort(files.begin(), files.end());
  return files;
}

bool in_sweeps(const fs::path& file) { return file.parent_path().filename() == "sweeps"; }

// The innermost folder called configs that `file` would be in, if there is one.
fs::path configs_above(const fs::path& file) {
  std::error_code ignored;
  for (fs::path at = file.parent_path(); !at.empty() && at != at.parent_path(); at = at.parent_path())
    if (at.filename() == "configs" && fs::is_directory(at, ignored)) return at;
  return configs_folder();
}

}  // namespace

// PREFIX/share/orrery/configs, seen from PREFIX/lib/orrery/bin/orrery-core.
fs::path configs_folder() {
  std::error_code failed;
  if (fs::is_directory("configs", failed)) return "configs";
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  const fs::path installed = program.parent_path() / "../../../share/orrery/configs";
  return fs::is_directory(installed, failed) ? fs::canonical(installed) : fs::path("configs");
}

bool is_pipeline(const Document& document) {
  const Table& root = document.root();
  return !root.has("task") && !root.has("base") && root.has("probe");
}

std::vector<fs::path> configs_below(const fs::path& folder) {
  if (!fs::is_directory(folder))
    throw UsageError(fmt::format("{}: there is no such folder of configs", folder.string()),
                     "run it where configs/ lies, or give --configs DIR");
  std::vector<fs::path> files = toml_files(folder);
  std::erase_if(files, [](const fs::path& file) { return is_pipeline(Document::load(file)); });
  return files;
}

void refuse_same_names(const std::vector<fs::path>& files) {
  std::map<std::pair<bool, std::string>, fs::path> known;  // by whether it is a sweep, and name
  for (const fs::path& file : files) {
    const Document document = Document::load(file);
    const std::string name = document.root().has("name")
                                 ? required_text(document.root(), "name", "the config", "")
                                 : file.stem().string();
    const auto [found, fresh] = known.emplace(std::pair(is_sweep(document), name), file);
    if (!fresh && found->second != file)
      throw UsageError(fmt::format("{} and {} are both called {}, so they would share a folder",
                                   found->second.string(), file.string(), name),
                       "give one of them another name, at its top: name = \"...\"");
  }
}

std::string moved_to(const fs::path& file) {
  std::vector<fs::path> same = toml_files(configs_above(file));
  std::erase_if(same, [&](const fs::path& each) { return each.filename() != file.filename(); });
  const auto alike = [&](const fs::path& each) { return in_sweeps(each) == in_sweeps(file); };
  if (std::any_of(same.begin(), same.end(), alike))
    std::erase_if(same, [&](const fs::path& each) { return !alike(each); });
  if (same.empty()) return "";
  std::vector<std::string> names;
  for (const fs::path& each : same) names.push_back(each.string());
  return fmt::format("{} is now {}", file.string(), fmt::join(names, " or "));
}

}  // namespace orrery::engine
