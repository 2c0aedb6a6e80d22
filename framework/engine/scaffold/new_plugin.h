// Makes the files of `orrery new`: a plugin of a given kind and name, from the templates in plugins/template.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/scaffold/python_probe.h"
#include "loader/plugin.h"

namespace orrery::engine {

/// The files of plugins/template, by their path below it ("task/name.cpp"), as embedded in the program.
const std::map<std::string, std::string>& templates();

/// Throws UsageError unless a plugin can have this name: lower case letters, digits and underscores, a letter
/// first, and not a C++ keyword.
void check_plugin_name(const std::string& name);

/// "max_element" -> "MaxElement".
std::string class_name(const std::string& name);

/// The source tree of Orrery that contains `folder`.
std::optional<std::filesystem::path> source_tree_around(const std::filesystem::path& folder);

struct NewFile {
  std::filesystem::path path;
  std::string text;
};

/// Where plugins of a kind lie in the source tree: "tasks", "probes", "plugins/losses", ...
std::filesystem::path folder_of(PluginKind kind);

struct NewPlugin {
  PluginKind kind;
  std::string name;
  std::optional<PythonProbe> python = {};  ///< what a probe starts from; its measure() is then to be written
};

/// The files of a plugin in the source tree `root`: four in the folder NAME of folder_of(kind), and
/// configs/NAME.toml.
std::vector<NewFile> files_in_tree(const NewPlugin& plugin, const std::filesystem::path& root);
/// The same files in one folder, with a CMakeLists.txt that is a project of its own.
std::vector<NewFile> files_on_their_own(const NewPlugin& plugin, const std::filesystem::path& folder);

/// Writes all files or none. Throws UsageError, naming the file, if one exists already.
void write_new(const std::vector<NewFile>& files);

}  // namespace orrery::engine
