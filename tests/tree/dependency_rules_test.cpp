// The dependency rules of the tree, read off its #include lines:
//   tasks and probes -> orrery/*.h only, their tests also orrery/testing and tests/support;
//   sdk <- loader <- engine <- cli, and engine <- python beside it; within sdk and engine no circle between
//   rooms; the framework names no plugin; nothing but a test needs tests/; toml++, Boost, CLI11 and Python
//   each have one room; the engine prints nothing.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <regex>
#include <set>

#include "tests/support/source_text.h"

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
  return standard(include) ||
         (begins(include.target, "orrery/") && !begins(include.target, "orrery/testing/")) ||
         include.target == "torch/types.h" || include.target == "torch/version.h" ||
         begins(include.target, "ATen/") || begins(include.target, "c10/");
}

// The layers of framework/, lowest first: each includes itself and those before it.
const std::vector<std::string> layers = {"sdk", "loader", "engine", "cli", "python"};

// "engine" of "framework/engine/run/curves.h" and of "engine/run/curves.h"; "" of what lies in no layer.
std::string layer_of(const std::string& path) {
  const std::string inside = begins(path, "framework/") ? path.substr(10) : path;
  for (const std::string& layer : layers)
    if (begins(inside, layer + "/")) return layer;
  return "";
}

bool climbs(const std::string& from, const std::string& to) {
  const auto height = [](const std::string& layer) {
    return std::find(layers.begin(), layers.end(), layer) - layers.begin();
  };
  return !from.empty() && !to.empty() && height(to) > height(from);
}

// "engine/run" of either path to a file in framework/engine/run; "" outside of the layers' rooms.
std::string room_of(const std::string& path) {
  const std::string inside = begins(path, "framework/") ? path.substr(10) : path;
  const size_t first = inside.find('/'), second = inside.find('/', first + 1);
  return layer_of(path).empty() || second == std::string::npos ? "" : inside.substr(0, second);
}

// What is wrong with one file including another; "" if nothing is.
std::string fault(const Source& from, const Include& include) {
  const std::string& to = include.target;
  if (begins(to, "tests/") && !is_test(from)) return "nothing but a test needs tests/";
  if (begins(to, "toml") && room_of(from.path) != "engine/config") return "only engine/config knows toml++";
  if (begins(to, "boost/") && layer_of(from.path) != "loader") return "only the loader knows Boost";
  if (begins(to, "boost/") && is_header(from)) return "Boost stays in .cpp files";
  if (begins(to, "CLI/") && !begins(from.path, "framework/cli/")) return "only the command line knows CLI11";
  const bool of_python = begins(to, "pybind11/") || begins(to, "torch/csrc/utils/") ||
                         begins(to, "torch/csrc/autograd/python") || begins(to, "torch/extension") ||
                         to == "Python.h";
  if (of_python && layer_of(from.path) != "python") return "only framework/python knows Python";
  if (layer_of(from.path) == "python" && layer_of(to) == "cli") return "the module prints nothing either";
  if (to == "torch/torch.h" && (is_header(from) || in_plugin(from)))
    return "<torch/types.h> compiles in half the time";
  if (to.find("..") != std::string::npos) return "an include does not climb out of its folder";
  if (in_plugin(from)) {
    const bool testing = is_test(from) && (begins(to, "gtest/") || begins(to, "tests/support/") ||
                                           begins(to, "orrery/testing/"));
    if (!testing && !public_interface(include) && !beside(from, include))
      return "a plugin includes orrery/*.h, torch/types.h, ATen, c10 and the standard library only";
  }
  if (begins(from.path, "framework/include/orrery/testing/") && begins(to, "orrery/testing/")) return "";
  if (begins(from.path, "framework/include/") && !public_interface(include) && to != "stdint.h")
    return "a public header includes public headers only";
  if (!is_test(from) && climbs(layer_of(from.path), layer_of(to)))
    return "sdk <- loader <- engine <- cli, and not the other way";
  if (begins(to, "tasks/") || begins(to, "probes/")) return "nothing includes a plugin";
  return "";
}

// Room by room, those that it includes.
using Arrows = std::map<std::string, std::set<std::string>>;

Arrows arrows(const std::vector<Source>& sources) {
  Arrows all;
  for (const Source& source : sources) {
    if (is_test(source)) continue;
    const std::string from = room_of(source.path);
    for (const Include& include : includes(source))
      if (const std::string to = room_of(include.target); !from.empty() && !to.empty() && to != from)
        all[from].insert(to);
  }
  return all;
}

// "engine/run -> engine/train -> engine/run", or "".
std::string circle(const Arrows& arrows) {
  std::vector<std::string> path;
  std::set<std::string> done;
  const std::function<std::string(const std::string&)> visit = [&](const std::string& room) -> std::string {
    if (const auto again = std::find(path.begin(), path.end(), room); again != path.end()) {
      std::string text;
      for (auto it = again; it != path.end(); ++it) text += *it + " -> ";
      return text + room;
    }
    if (!done.insert(room).second) return "";
    path.push_back(room);
    if (const auto found = arrows.find(room); found != arrows.end())
      for (const std::string& next : found->second)
        if (const std::string text = visit(next); !text.empty()) return text;
    path.pop_back();
    return "";
  };
  for (const auto& [room, to] : arrows)
    if (const std::string text = visit(room); !text.empty()) return text;
  return "";
}

// The first thing in a file of the engine that writes to the terminal, or "".
std::string printing(const Source& source) {
  static const std::regex words(R"(std::(cout|cerr|clog)|\b(printf|fprintf|puts|fputs|fmt::print) *\()");
  std::smatch found;
  return std::regex_search(source.text, found, words) ? found.str() : "";
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
  for (const char* room : {"framework/sdk", "framework/include", "framework/loader", "framework/engine"})
    for (const fs::path& file : files_below(root / room, code))
      for (const std::string& name : names_in(without_comments(read_text(file)), plugin_names()))
        // A table is also what a TOML file consists of, and a key of its description as JSON.
        if (!is_test({file.generic_string(), ""}) && !(name == "table" && file.filename() == "reference.cpp"))
          ADD_FAILURE() << file << " names the plugin \"" << name << "\"";
}

TEST(DependencyRules, RoomsHaveNoCircles) {
  const Arrows all = arrows(tree());
  size_t count = 0;
  for (const auto& [from, to] : all) count += to.size();
  RecordProperty("arrows", static_cast<int>(count));
  ASSERT_GT(count, 20u);
  EXPECT_EQ(circle(all), "");
}

TEST(DependencyRules, TheEnginePrintsNothing) {
  for (const Source& source : tree())
    if (layer_of(source.path) == "engine" && !is_test(source)) {
      EXPECT_EQ(printing(source), "") << source.path << ": what it has to tell goes to a Reporter";
    }
}

TEST(DependencyRules, OnlyTheSdkExports) {
  for (const Source& source : tree())
    if (!begins(source.path, "framework/include/") && layer_of(source.path) != "sdk" && !is_test(source)) {
      EXPECT_EQ(source.text.find("ORRERY_API"), std::string::npos) << source.path;
    }
}

// The types that a header declares at the level of its namespace, with that in front.
std::vector<std::string> types_in(const Source& source) {
  static const std::regex opening(R"((?:^|\n)namespace ([\w:]+) \{)");
  static const std::regex type(
      R"((?:^|\n)(?:struct|class|enum class|enum) (?:ORRERY_API )?(\w+)(?: final)?(?: :[^;{]*)? ?\{)");
  std::smatch space;
  std::vector<std::string> found;
  if (!std::regex_search(source.text, space, opening)) return found;
  for (std::sregex_iterator it(source.text.begin(), source.text.end(), type), end; it != end; ++it)
    found.push_back(space[1].str() + "::" + (*it)[1].str());
  return found;
}

// Two classes of one name in one program are one to the linker, whatever they hold, and no compiler says so.
TEST(DependencyRules, NoTwoHeadersDeclareOneType) {
  std::map<std::string, std::string> declared_in;
  for (const Source& source : tree()) {
    if (!is_header(source) || !begins(source.path, "framework/")) continue;
    for (const std::string& type : types_in(source)) {
      const auto [found, first] = declared_in.emplace(type, source.path);
      EXPECT_TRUE(first) << type << " is declared in " << found->second << " and in " << source.path;
    }
  }
  EXPECT_GT(declared_in.size(), 200u);
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
    {"tasks/sums/sums.cpp", "#include <orrery/abi/abi.h>", true},
    {"tasks/sums/sums.cpp", "#include <torch/types.h>", true},
    {"tasks/sums/sums.cpp", "#include <ATen/ATen.h>", true},
    {"tasks/sums/sums.cpp", "#include <vector>", true},
    {"tasks/sums/sums.cpp", "#include \"digits.h\"", true},
    {"tasks/sums/sums_test.cpp", "#include <gtest/gtest.h>", true},
    {"tasks/sums/sums.cpp", "#include <gtest/gtest.h>", false},
    {"tasks/sums/sums.cpp", "#include <torch/torch.h>", false},
    {"tasks/sums/sums.cpp", "#include \"tasks/products/products.h\"", false},
    {"tasks/sums/sums.cpp", "#include \"../products/products.h\"", false},
    {"tasks/sums/sums.cpp", "  #  include \"engine/train/loop.h\"", false},
    {"tasks/sums/sums.cpp", "#include \"sdk/files/tensors.h\"", false},
    {"tasks/sums/sums.cpp", "#include <fmt/format.h>", false},
    {"probes/look/look.cpp", "#include <loader/registry.h>", false},
    {"probes/look/look_test.cpp", "#include <tests/support/grid.h>", true},
    {"probes/look/look.cpp", "#include <tests/support/grid.h>", false},
    {"probes/look/look_test.cpp", "#include <orrery/testing/grid.h>", true},
    {"probes/look/look.cpp", "#include <orrery/testing/grid.h>", false},
    {"framework/include/orrery/task.h", "#include \"sdk/base/task.h\"", false},
    {"framework/include/orrery/task.h", "#include <orrery/testing/grid.h>", false},
    {"framework/sdk/model/mlp.cpp", "#include <torch/torch.h>", true},
    {"framework/sdk/model/mlp.cpp", "#include \"sdk/kernels/attention.h\"", true},
    {"framework/sdk/model/mlp.cpp", "#include \"loader/registry.h\"", false},
    {"framework/sdk/model/mlp.cpp", "#include \"engine/run/curves.h\"", false},
    {"framework/loader/library.cpp", "#include <boost/dll/shared_library.hpp>", true},
    {"framework/loader/library.h", "#include <boost/dll/shared_library.hpp>", false},
    {"framework/loader/library.cpp", "#include \"engine/config/settings.h\"", false},
    {"framework/loader/library.cpp", "#include \"cli/text/terminal.h\"", false},
    {"framework/engine/train/loop.cpp", "#include <torch/torch.h>", true},
    {"framework/engine/train/loop.h", "#include <torch/torch.h>", false},
    {"framework/engine/train/loop.cpp", "#include \"loader/registry.h\"", true},
    {"framework/engine/train/loop.cpp", "#include \"cli/text/terminal.h\"", false},
    {"framework/engine/train/loop.cpp", "#include <CLI/CLI.hpp>", false},
    {"framework/engine/train/loop.cpp", "#include <toml++/toml.h>", false},
    {"framework/engine/config/read.cpp", "#include <toml++/toml.h>", true},
    {"framework/engine/config/read.cpp", "#include <boost/dll.hpp>", false},
    {"framework/engine/run/run.cpp", "#include \"tests/support/source_text.h\"", false},
    {"framework/engine/run/run_test.cpp", "#include \"tests/support/source_text.h\"", true},
    {"framework/engine/run/run_test.cpp", "#include \"cli/text/terminal.h\"", true},
    {"framework/cli/main.cpp", "#include \"loader/registry.h\"", true},
    {"framework/cli/main.cpp", "#include \"python/binding.h\"", false},
    {"framework/cli/main.cpp", "#include <pybind11/pybind11.h>", false},
    {"framework/engine/run/run.cpp", "#include \"python/binding.h\"", false},
    {"framework/engine/run/run.cpp", "#include <torch/csrc/utils/pybind.h>", false},
    {"framework/python/module.cpp", "#include <pybind11/pybind11.h>", true},
    {"framework/python/module.cpp", "#include \"engine/run/run_json.h\"", true},
    {"framework/python/module.cpp", "#include \"cli/text/terminal.h\"", false},
    {"framework/cli/commands/train.cpp", "#include <CLI/CLI.hpp>", true},
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
  const Source run{"framework/engine/run/a.cpp", "#include \"engine/train/loop.h\"\n"};
  const Source train{"framework/engine/train/b.h", "#include \"engine/config/c.h\"\n"};
  const Source config{"framework/engine/config/c.h", "#include \"engine/run/a.h\"\n"};
  EXPECT_EQ(circle(arrows({run, train})), "");
  EXPECT_EQ(circle(arrows({run, train, config})),
            "engine/config -> engine/run -> engine/train -> engine/config");
  EXPECT_EQ(printing({"a.cpp", "void f() { std::cerr << 1; }"}), "std::cerr");
  EXPECT_EQ(printing({"a.cpp", "void f() { snprintf(a, 1, b); }"}), "");
  EXPECT_EQ(
      types_in({"a.h",
                "namespace n::m {\nstruct A {\n  struct B {};\n};\nclass ORRERY_API C final : public A {\n"
                "class D;\nenum class E { a };\n"}),
      (std::vector<std::string>{"n::m::A", "n::m::C", "n::m::E"}));
}

}  // namespace
}  // namespace orrery::test
