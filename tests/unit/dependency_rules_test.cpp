// The dependency rules of the tree, read off its #include lines:
//   tasks and probes -> orrery/*.h and plugins/abi only, their tests also plugins/testing;  cli -> loader ->
//   src;  the framework names no plugin; nothing but a test needs tests/;  toml++ and Boost each have one
//   room.
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "source_text.h"

namespace orrery::test {
namespace {

namespace fs = std::filesystem;

const fs::path root = ORRERY_SOURCE_DIR;
const std::vector<std::string> code = {".h", ".cpp"};

// A file of the tree: its path from the root, with slashes, and its text without comments.
struct Source {
  std::string path, text;
};

struct Include {
  std::string target;
  bool quoted;
};

bool begins(const std::string& text, const std::string& prefix) { return text.rfind(prefix, 0) == 0; }
bool ends(const std::string& text, const std::string& suffix) {
  return text.size() >= suffix.size() &&
         text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}
bool in_plugin(const Source& source) {
  return begins(source.path, "tasks/") || begins(source.path, "probes/");
}
bool is_header(const Source& source) { return ends(source.path, ".h"); }
bool is_test(const Source& source) {
  return begins(source.path, "tests/") || ends(source.path, "_test.cpp") || ends(source.path, "_test.h");
}
bool beside(const Source& source, const Include& include) {
  return include.quoted && include.target.find('/') == std::string::npos;
}

std::vector<Include> includes(const Source& source) {
  static const std::regex line(R"re((?:^|\n)[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"])re");
  std::vector<Include> found;
  for (std::sregex_iterator it(source.text.begin(), source.text.end(), line), end; it != end; ++it)
    found.push_back({(*it)[2], (*it)[1] == "\""});
  return found;
}

// <vector>, <cmath>: no folder and no ending.
bool standard(const Include& include) {
  return !include.quoted && include.target.find_first_of("/.") == std::string::npos;
}

bool public_interface(const Include& include) {
  return standard(include) || begins(include.target, "orrery/") || begins(include.target, "plugins/abi/") ||
         include.target == "torch/types.h" || include.target == "torch/version.h" ||
         begins(include.target, "ATen/") || begins(include.target, "c10/");
}

// What is wrong with one file including another; "" if nothing is.
std::string fault(const Source& from, const Include& include) {
  const std::string& to = include.target;
  if (begins(to, "tests/") && !is_test(from)) return "nothing but a test needs tests/";
  if (begins(to, "toml") && !begins(from.path, "framework/src/config/"))
    return "only framework/src/config knows toml++";
  if (begins(to, "boost/") && !begins(from.path, "plugins/loader/")) return "only plugins/loader knows Boost";
  if (begins(to, "boost/") && is_header(from)) return "Boost stays in .cpp files";
  if (to == "torch/torch.h" && (is_header(from) || in_plugin(from)))
    return "<torch/types.h> compiles in half the time";
  if (to.find("..") != std::string::npos) return "an include does not climb out of its folder";
  if (in_plugin(from)) {
    const bool testing = is_test(from) && (begins(to, "gtest/") || begins(to, "tests/support/") ||
                                           begins(to, "plugins/testing/"));
    if (!testing && !public_interface(include) && !beside(from, include))
      return "a plugin includes orrery/*.h, plugins/abi, torch/types.h, ATen, c10 and the standard library "
             "only";
  }
  if (begins(from.path, "framework/include/") && !public_interface(include) && to != "stdint.h")
    return "a public header includes public headers only";
  if (begins(from.path, "framework/src/") && (begins(to, "plugins/loader/") || begins(to, "cli/")))
    return "the framework knows neither the loader nor the program";
  if (begins(from.path, "plugins/loader/") && begins(to, "cli/"))
    return "the loader does not know the program";
  if (begins(to, "tasks/") || begins(to, "probes/")) return "nothing includes a plugin";
  return "";
}

std::vector<Source> tree() {
  std::vector<Source> sources;
  for (const char* room : {"framework", "plugins", "tasks", "probes", "tests"})
    for (const fs::path& file : files_below(root / room, code))
      sources.push_back({fs::relative(file, root).generic_string(), without_comments(read_text(file))});
  return sources;
}

std::set<std::string> plugin_names() {
  std::set<std::string> names;
  for (const char* room : {"tasks", "probes"})
    if (fs::exists(root / room))
      for (const auto& entry : fs::directory_iterator(root / room))
        if (entry.is_directory()) names.insert(entry.path().filename().string());
  return names;
}

std::vector<std::string> names_in(const std::string& text, const std::set<std::string>& names) {
  std::vector<std::string> found;
  for (const std::string& name : names)
    if (text.find('"' + name + '"') != std::string::npos) found.push_back(name);
  return found;
}

TEST(DependencyRules, EveryIncludeIsAllowed) {
  const std::vector<Source> sources = tree();
  ASSERT_GT(sources.size(), 20u);
  for (const Source& source : sources)
    for (const Include& include : includes(source)) {
      const std::string wrong = fault(source, include);
      EXPECT_EQ(wrong, "") << source.path << " includes " << include.target;
    }
}

TEST(DependencyRules, TheFrameworkNamesNoPlugin) {
  for (const char* room : {"framework/src", "framework/include"})
    for (const fs::path& file : files_below(root / room, code))
      for (const std::string& name : names_in(without_comments(read_text(file)), plugin_names()))
        ADD_FAILURE() << file << " names the plugin \"" << name << "\"";
}

TEST(DependencyRules, FilesAreShort) {
  for (const char* room : {"framework", "plugins", "tasks", "probes", "tests"})
    for (const fs::path& file : files_below(root / room, {".h", ".cpp", ".cmake", ".py", ".js", ".mjs"})) {
      if (file.generic_string().find("/node_modules/") != std::string::npos) continue;
      const std::string text = read_text(file);
      EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 450) << file << " wants a second room";
    }
}

// The rules themselves: each of these must be seen as wrong, and each of those as right.
struct Sample {
  const char *path, *line;
  bool allowed;
};
const Sample samples[] = {
    {"tasks/sums/sums.cpp", "#include <orrery/task.h>", true},
    {"tasks/sums/sums.cpp", "#include <plugins/abi/abi.h>", true},
    {"tasks/sums/sums.cpp", "#include <torch/types.h>", true},
    {"tasks/sums/sums.cpp", "#include <ATen/ATen.h>", true},
    {"tasks/sums/sums.cpp", "#include <vector>", true},
    {"tasks/sums/sums.cpp", "#include \"digits.h\"", true},
    {"tasks/sums/sums_test.cpp", "#include <gtest/gtest.h>", true},
    {"tasks/sums/sums.cpp", "#include <gtest/gtest.h>", false},
    {"tasks/sums/sums.cpp", "#include <torch/torch.h>", false},
    {"tasks/sums/sums.cpp", "#include \"tasks/products/products.h\"", false},
    {"tasks/sums/sums.cpp", "#include \"../products/products.h\"", false},
    {"tasks/sums/sums.cpp", "  #  include \"train/loop.h\"", false},
    {"tasks/sums/sums.cpp", "#include <fmt/format.h>", false},
    {"probes/look/look.cpp", "#include <plugins/loader/registry.h>", false},
    {"probes/look/look_test.cpp", "#include <tests/support/grid.h>", true},
    {"probes/look/look.cpp", "#include <tests/support/grid.h>", false},
    {"probes/look/look_test.cpp", "#include <plugins/testing/grid.h>", true},
    {"probes/look/look.cpp", "#include <plugins/testing/grid.h>", false},
    {"framework/src/train/loop.cpp", "#include <torch/torch.h>", true},
    {"framework/src/train/loop.h", "#include <torch/torch.h>", false},
    {"framework/src/train/loop.cpp", "#include <plugins/loader/registry.h>", false},
    {"framework/src/train/loop.cpp", "#include \"cli/main.h\"", false},
    {"framework/src/train/loop.cpp", "#include <toml++/toml.h>", false},
    {"framework/src/config/read.cpp", "#include <toml++/toml.h>", true},
    {"framework/src/config/read.cpp", "#include <boost/dll.hpp>", false},
    {"framework/include/orrery/task.h", "#include \"train/loop.h\"", false},
    {"framework/cli/main.cpp", "#include <plugins/loader/registry.h>", true},
    {"plugins/loader/library.cpp", "#include <boost/dll/shared_library.hpp>", true},
    {"plugins/loader/library.h", "#include <boost/dll/shared_library.hpp>", false},
    {"plugins/loader/library.cpp", "#include \"cli/main.h\"", false},
    {"framework/src/run/run.cpp", "#include \"tests/unit/source_text.h\"", false},
};

TEST(DependencyRules, AreAbleToFail) {
  for (const Sample& sample : samples) {
    const Source source{sample.path, std::string("int a;\n") + sample.line + "\nint b;\n"};
    const auto found = includes(source);
    ASSERT_EQ(found.size(), 1u) << sample.line;
    EXPECT_EQ(fault(source, found[0]).empty(), sample.allowed) << sample.path << ": " << sample.line;
  }
  EXPECT_EQ(names_in("f(\"sums\"); g(\"sums_x\"); h(x_sums)", {"sums", "x_sums"}),
            std::vector<std::string>{"sums"});
  EXPECT_TRUE(
      includes({"x.cpp", without_comments("// #include <boost/dll.hpp>\n/*\n#include <a>\n*/")}).empty());
}

}  // namespace
}  // namespace orrery::test
