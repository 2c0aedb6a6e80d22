// The output about plugins.
#include "cli/text/plugins_text.h"

#include <gtest/gtest.h>

#include "tests/support/loader_fixtures.h"

namespace orrery::cli {
namespace {

using test::bad_plugin;

TEST(PluginText, OfOne) {
  Plugin plugin{PluginKind::task, "sums", "1.0.0", "Adds.", "/p/sums.so", {}, nullptr};
  EXPECT_EQ(plugin_text(plugin), "task sums 1.0.0\nAdds.\nfile: /p/sums.so\n\nno parameters\n");
  plugin.parameters.push_back({"p", int64_t{113}, "the \xc3\xa9toile", 2.0, {}, {}});
  plugin.parameters.push_back(
      {"operation", std::string("add"), "how a|b combine", {}, {}, {"add", "subtract"}});
  EXPECT_EQ(plugin_text(plugin),
            "task sums 1.0.0\n"
            "Adds.\n"
            "file: /p/sums.so\n"
            "\n"
            "parameter  type     default  bounds          meaning\n"
            "p          integer  113      >= 2            the \xc3\xa9toile\n"
            "operation  text     \"add\"    add | subtract  how a|b combine\n");
}

TEST(PluginsText, OfAllAndTheProblemsAfterThem) {
  const test::TempFolder folder;
  test::write(folder / "broken.so", "no library");
  Registry registry;
  registry.load_file(bad_plugin("good_task"));
  registry.load_file(bad_plugin("good_probe"));
  registry.load_folder(folder.path());
  const std::string text = plugins_text(registry);
  EXPECT_CONTAINS(text, "\ntask   good_task   1.2.3    " + bad_plugin("good_task").string() +
                            "   Parity of two bits.\nprobe  good_probe  0.9.0    " +
                            bad_plugin("good_probe").string() + "  Mean of the logits.\n");
  EXPECT_CONTAINS(text, "\nnot loaded:\n  " + (folder / "broken.so").string() + ": not a shared library");
}

TEST(PluginsText, OfNone) { EXPECT_EQ(plugins_text(Registry()), "no plugins are loaded\n"); }

}  // namespace
}  // namespace orrery::cli
