// Descriptions of plugins.
#include <loader/describe.h>

#include <nlohmann/json.hpp>

#include "tests/support/loader_fixtures.h"

namespace orrery::test {
namespace {

Plugin made_up() {
  Plugin plugin{PluginKind::task, "sums", "1.0.0", "Adds.", "/p/sums.so", {}, nullptr};
  plugin.parameters.push_back({"p", int64_t{113}, "the \xc3\xa9toile", 2.0, {}, {}});
  plugin.parameters.push_back(
      {"operation", std::string("add"), "how a|b combine", {}, {}, {"add", "subtract"}});
  return plugin;
}

TEST(Describe, APluginWithoutParameters) {
  Plugin plugin = made_up();
  plugin.parameters.clear();
  EXPECT_EQ(parameters_markdown(plugin), "No parameters.\n");
}

TEST(Describe, APluginInMarkdown) {
  EXPECT_EQ(parameters_markdown(made_up()),
            "| parameter | type | default | bounds | meaning |\n"
            "|---|---|---|---|---|\n"
            "| `p` | integer | `113` | >= 2 | the \xc3\xa9toile |\n"
            "| `operation` | text | `\"add\"` | add \\| subtract | how a\\|b combine |\n");
}

TEST(Describe, APluginInJson) {
  const auto json = nlohmann::json::parse(plugin_json(made_up()));
  EXPECT_EQ(json["kind"], "task");
  EXPECT_EQ(json["file"], "/p/sums.so");
  EXPECT_EQ(json["parameters"][0],
            nlohmann::json::parse(
                R"({"name": "p", "type": "integer", "default": 113, "minimum": 2.0, "doc": "the étoile"})"));
  EXPECT_EQ(json["parameters"][1]["choices"], nlohmann::json({"add", "subtract"}));
}

TEST(Describe, AllPluginsAndTheProblemsAfterThem) {
  const TempFolder folder;
  write(folder / "broken.so", "no library");
  Registry registry;
  registry.load_file(bad_plugin("good_task"));
  registry.load_file(bad_plugin("good_probe"));
  registry.load_folder(folder.path());
  const auto json = nlohmann::json::parse(plugins_json(registry));
  EXPECT_EQ(json["plugins"].size(), 2u);
  EXPECT_EQ(json["plugins"][1]["name"], "good_probe");
  EXPECT_EQ(json["problems"][0]["file"], (folder / "broken.so").string());
  EXPECT_NE(json["problems"][0]["hint"], "");
}

TEST(Describe, NoPlugins) {
  EXPECT_EQ(nlohmann::json::parse(plugins_json(Registry()))["plugins"], nlohmann::json::array());
}

}  // namespace
}  // namespace orrery::test
