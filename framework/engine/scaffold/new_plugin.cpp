#include "engine/scaffold/new_plugin.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "sdk/files/atomic_file.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

// The keywords that the rule for names would accept.
const std::set<std::string> words_of_cpp = {
    "alignas",     "alignof",  "and",        "and_eq",    "asm",       "auto",         "bitand",
    "bitor",       "bool",     "break",      "case",      "catch",     "char",         "char16_t",
    "char32_t",    "char8_t",  "class",      "co_await",  "co_return", "co_yield",     "compl",
    "concept",     "const",    "const_cast", "consteval", "constexpr", "constinit",    "continue",
    "decltype",    "default",  "delete",     "do",        "double",    "dynamic_cast", "else",
    "enum",        "explicit", "export",     "extern",    "false",     "float",        "for",
    "friend",      "goto",     "if",         "inline",    "int",       "long",         "mutable",
    "namespace",   "new",      "noexcept",   "not",       "not_eq",    "nullptr",      "operator",
    "or",          "or_eq",    "private",    "protected", "public",    "register",     "reinterpret_cast",
    "requires",    "return",   "short",      "signed",    "sizeof",    "static",       "static_assert",
    "static_cast", "struct",   "switch",     "template",  "this",      "thread_local", "throw",
    "true",        "try",      "typedef",    "typeid",    "typename",  "union",        "unsigned",
    "using",       "virtual",  "void",       "volatile",  "wchar_t",   "while",        "xor",
    "xor_eq"};

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// A suggestion: the name nearest to `text` that follows the rule.
std::string made_good(const std::string& text) {
  std::string name;
  for (const char c : text) {
    const char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const bool capital = lower != c,
               after_lower = !name.empty() && (is_lower(name.back()) || is_digit(name.back()));
    if (capital && after_lower) name += '_';
    if (is_lower(lower) || (is_digit(lower) && !name.empty()))
      name += lower;
    else if (after_lower)
      name += '_';
  }
  while (!name.empty() && name.back() == '_') name.pop_back();
  return name.empty() || words_of_cpp.count(name) != 0 ? "my_plugin" : name;
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

// The needs of the Python function, as needs() returns them. It has looked at all positions.
std::string needs_of(const PythonProbe& probe) {
  const auto list = [](const std::vector<std::string>& names) {
    return fmt::format("{{\"{}\"}}", fmt::join(names, "\", \""));
  };
  std::string needs = ".inputs = orrery::Inputs::" + probe.inputs;
  const auto add = [&](const std::string& more) { needs += ",\n            " + more; };
  if (!probe.activations.empty()) {
    add(".activations = " + list(probe.activations));
    add(".positions = orrery::Positions::all");
  }
  if (!probe.weights.empty()) add(".weights = " + list(probe.weights));
  if (!probe.null) add(".null = false");
  return needs;
}

// As comments. A backslash at the end would make the next line part of the comment.
std::string commented(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) {
    text += (text.empty() ? "// " : "\n// ") + line + (line.ends_with('\\') ? " ..." : "");
    text.erase(text.find_last_not_of(' ') + 1);
  }
  return text;
}

// The template `file`, filled in for this plugin.
std::string filled_in(const std::string& file, const NewPlugin& plugin) {
  std::string text =
      replaced(replaced(templates().at(file), "@name@", plugin.name), "@Name@", class_name(plugin.name));
  if (!plugin.python) return text;
  text = replaced(replaced(text, "@inputs@", plugin.python->inputs), "@needs@", needs_of(*plugin.python));
  return replaced(text, "@python@", commented(plugin.python->lines));
}

// The files of the plugin: those named *.toml go to `configs`, the others to `folder`.
std::vector<NewFile> files_of(const NewPlugin& plugin, const fs::path& folder, const fs::path& configs) {
  const std::string room = to_string(plugin.kind) + (plugin.python ? "_from_python/" : "/");
  std::vector<NewFile> files;
  for (const auto& [file, text] : templates()) {
    if (file.rfind(room, 0) != 0) continue;
    const fs::path to = replaced(file.substr(room.size()), "name", plugin.name);
    files.push_back({(to.extension() == ".toml" ? configs : folder) / to, filled_in(file, plugin)});
  }
  return files;
}

// True also for a dangling link.
bool is_there(const fs::path& path) {
  std::error_code failed;
  return fs::exists(fs::symlink_status(path, failed));
}

// The files written so far, removed again if a later one fails.
struct Written {
  std::vector<fs::path> files, folders;

  void add(const NewFile& file) {
    const fs::path folder = file.path.parent_path();
    if (fs::create_directories(folder)) folders.push_back(folder);
    write_file(file.path, file.text);
    files.push_back(file.path);
  }
  void take_back() const {
    std::error_code ignored;
    for (const fs::path& file : files) fs::remove(file, ignored);
    for (const fs::path& folder : folders) fs::remove(folder, ignored);  // fails if it is not empty
  }
};

}  // namespace

void check_plugin_name(const std::string& name) {
  const bool good = !name.empty() && is_lower(name[0]) && std::all_of(name.begin(), name.end(), [](char c) {
    return is_lower(c) || is_digit(c) || c == '_';
  });
  if (!good)
    throw UsageError(fmt::format("a plugin cannot be called \"{}\": a name is lower case letters, digits and "
                                 "underscores, a letter first",
                                 name),
                     "for example: " + made_good(name));
  if (words_of_cpp.count(name) != 0)
    throw UsageError(fmt::format("a plugin cannot be called \"{}\": that is a C++ keyword", name),
                     "for example: my_" + name);
  if (name == "params")
    throw UsageError("a plugin cannot be called \"params\": its class would be called like its parameters",
                     "for example: my_params");
}

std::string class_name(const std::string& name) {
  std::string out;
  bool capital = true;
  for (const char c : name) {
    if (c != '_') out += capital ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    capital = c == '_';
  }
  return out;
}

std::optional<fs::path> source_tree_around(const fs::path& folder) {
  for (fs::path at = fs::absolute(folder).lexically_normal();; at = at.parent_path()) {
    if (fs::is_directory(at / "framework/include/orrery") && fs::is_directory(at / "tasks")) return at;
    if (at == at.parent_path()) return std::nullopt;
  }
}

fs::path folder_of(PluginKind kind) {
  const bool at_the_top = kind == PluginKind::task || kind == PluginKind::probe;
  return at_the_top ? fs::path(plural(kind)) : fs::path("plugins") / plural(kind);
}

std::vector<NewFile> files_in_tree(const NewPlugin& plugin, const fs::path& root) {
  return files_of(plugin, root / folder_of(plugin.kind) / plugin.name, root / "configs");
}

std::vector<NewFile> files_on_their_own(const NewPlugin& plugin, const fs::path& folder) {
  std::vector<NewFile> files = files_of(plugin, folder, folder);
  for (NewFile& file : files)
    if (file.path.filename() == "CMakeLists.txt")
      file.text = filled_in("standalone/CMakeLists.txt", plugin) + file.text;
  return files;
}

void write_new(const std::vector<NewFile>& files) {
  for (const NewFile& file : files)
    if (is_there(file.path))
      throw UsageError(fmt::format("{} exists already; nothing was written", file.path.string()),
                       "choose another name, or move it away");
  Written written;
  try {
    for (const NewFile& file : files) written.add(file);
  } catch (const fs::filesystem_error& error) {
    written.take_back();
    throw Error(
        fmt::format("{}: cannot make this folder: {}", error.path1().string(), error.code().message()),
        "go to a folder that you may write to, or give one with --out DIR");
  } catch (...) {
    written.take_back();
    throw;
  }
}

}  // namespace orrery::engine
