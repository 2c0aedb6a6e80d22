// Finds, checks and loads plugins, and makes instances of them. A broken plugin in a folder is a
// problem to report and never ends the program.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "loader/instance.h"
#include "loader/plugin.h"

namespace orrery {

/// Why a file (or a folder of plugins) was not loaded.
struct Problem {
  std::filesystem::path file;
  std::string message;  ///< does not name the file
  std::string hint;     ///< how to mend it

  std::string text() const { return file.string() + ": " + message; }
};

/// Whether to open a library in a fork first (trial.h).
enum class Trial { yes, no };

class Registry {
 public:
  /// Loads every *.so in `folder`, in the order of their names; one that cannot be used becomes a problem.
  /// Skips files that were seen before under any path.
  void load_folder(const std::filesystem::path& folder, Trial trial = Trial::yes);

  /// Loads one library. Throws orrery::Error, naming the file and the remedy, if it cannot be used.
  void load_file(const std::filesystem::path& file);

  /// Loads the folder of built-in plugins (unless empty; without a trial), the folders in `plugin_path` (the
  /// value of ORRERY_PLUGIN_PATH, separated by colons), and the files given with --plugin.
  void load_search_path(const std::filesystem::path& builtin, std::string_view plugin_path,
                        const std::vector<std::filesystem::path>& files);

  const std::vector<std::unique_ptr<Plugin>>& plugins() const { return plugins_; }
  const std::vector<Problem>& problems() const { return problems_; }

  /// Throws orrery::UsageError if there is none, listing what there is and the broken file that may be meant;
  /// also if two files offer that name, because guessing could run the wrong code.
  const Plugin& find(PluginKind kind, const std::string& name) const;
  /// Null if there is none. Throws if two files offer that name.
  const Plugin* find_or_null(PluginKind kind, const std::string& name) const;
  /// Those of that name, of any kind. Throws as find() does.
  std::vector<const Plugin*> find(const std::string& name) const;

  Instance<Task> make_task(const Plugin& plugin, const Values& values) const;
  Instance<Probe> make_probe(const Plugin& plugin, const Values& values) const;

 private:
  struct Clash {
    PluginKind kind;
    std::string name;
    std::filesystem::path first, second;
  };

  void load(const std::filesystem::path& file, Trial trial);
  void load_named_folder(const std::filesystem::path& folder);
  std::string how_to_load() const;
  void load_if_new(const std::filesystem::path& file, Trial trial);
  bool loaded(const std::filesystem::path& file) const;
  const Plugin* lookup(PluginKind kind, const std::string& name) const;
  void refuse_clash(PluginKind kind, const std::string& name) const;
  [[noreturn]] void refuse_unknown(const std::string& what, const std::vector<PluginKind>& kinds,
                                   const std::string& name) const;

  std::vector<std::unique_ptr<Plugin>> plugins_;
  std::vector<Problem> problems_;
  std::vector<Clash> clashes_;
  std::vector<std::filesystem::path> searched_;  // the folders of ORRERY_PLUGIN_PATH
};

}  // namespace orrery
