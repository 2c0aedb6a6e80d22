// Finding and using plugins that are good, and asking for ones that are not there.
#include "tests/support/loader_fixtures.h"

namespace orrery::test {
namespace {

namespace fs = std::filesystem;

Registry good() {
  Registry registry;
  registry.load_file(bad_plugin("good_task"));
  registry.load_file(bad_plugin("good_probe"));
  return registry;
}

TEST(Registry, RebuildsTheDeclaredParameters) {
  const Registry registry = good();
  const Plugin& plugin = registry.find(PluginKind::task, "good_task");
  EXPECT_EQ(plugin.kind, PluginKind::task);
  EXPECT_EQ(plugin.summary, "Parity of two bits.");
  EXPECT_EQ(plugin.file, bad_plugin("good_task"));
  ASSERT_EQ(plugin.parameters.size(), 4u);
  EXPECT_EQ(plugin.parameters[0].name, "repeats");
  EXPECT_EQ(plugin.parameters[0].doc, "copies of the four examples");
  EXPECT_EQ(plugin.parameters[0].fallback, Value(int64_t{1}));
  EXPECT_EQ(plugin.parameters[0].minimum, 1.0);
  EXPECT_EQ(plugin.parameters[0].maximum, std::nullopt);
  EXPECT_EQ(plugin.parameters[1].fallback, Value(0.5));
  EXPECT_EQ(plugin.parameters[1].bounds(), "0 to 1");
  EXPECT_EQ(plugin.parameters[2].choices, (std::vector<std::string>{"", "create", "split"}));
  EXPECT_EQ(plugin.parameters[3].fallback, Value(std::vector<int64_t>{1, 2}));
}

TEST(Registry, MakesATaskFromItsDefaultsAndFromValues) {
  const Registry registry = good();
  const Plugin& plugin = registry.find(PluginKind::task, "good_task");
  const Instance<Task> plain = registry.make_task(plugin, {});
  EXPECT_EQ(plain->spec().n_ctx, 2);
  EXPECT_EQ(plain->split(make_generator(0)).train.size(), 4);
  EXPECT_FALSE(plain->structure().cyclic);
  EXPECT_EQ(plain->show(torch::tensor({1, 0})), "1 0");
  const Instance<Task> larger = registry.make_task(plugin, {{"repeats", int64_t{3}}});
  EXPECT_EQ(larger->split(make_generator(0)).train.size(), 12);
}

TEST(Registry, RefusesValuesThatDoNotFit) {
  const Registry registry = good();
  const Plugin& plugin = registry.find(PluginKind::task, "good_task");
  try {
    registry.make_task(plugin, {{"repeats", int64_t{0}}});
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(),
                 "task good_task 1.2.3, create: parameter \"repeats\": expected an integer >= 1, got 0");
  }
  EXPECT_THROW(registry.make_task(plugin, {{"fail", std::string("\xff")}}), UsageError);
  EXPECT_THROW(registry.make_task(registry.find(PluginKind::probe, "good_probe"), {}), UsageError);
}

TEST(Registry, KeepsTheKindAndTheHintOfAPluginsOwnError) {
  const Registry registry = good();
  try {
    registry.make_task(registry.find(PluginKind::task, "good_task"), {{"fail", std::string("create")}});
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(), "task good_task 1.2.3, create: asked to fail");
    EXPECT_EQ(error.hint(), "do not ask");
  }
}

TEST(Registry, InstancesOutliveTheRegistry) {
  Instance<Task> task;
  {
    const Registry registry = good();
    task = registry.make_task(registry.find(PluginKind::task, "good_task"), {});
  }
  EXPECT_EQ(task->spec().d_vocab, 2);
}

TEST(Registry, AnUnknownNameGetsTheNearestAndWhatThereIs) {
  const Registry registry = good();
  const std::string text = refusal([&] { registry.find(PluginKind::task, "god_task"); });
  EXPECT_EQ(
      text,
      "no task \"god_task\" (did you mean \"good_task\"?)\nloaded: good_task\n"
      "  a plugin of your own: --plugin FILE.so, or its folder in ORRERY_PLUGIN_PATH (which is not set)");
  EXPECT_THROW(registry.find(PluginKind::task, "god_task"), UsageError);
  EXPECT_CONTAINS(refusal([&] { registry.find(PluginKind::task, "good_probe"); }),
                  "there is a probe of that name");
  EXPECT_CONTAINS(refusal([&] { Registry().find(PluginKind::probe, "x"); }), "no probe is loaded");
  EXPECT_EQ(registry.find("good_probe").at(0)->kind, PluginKind::probe);
  EXPECT_CONTAINS(refusal([&] { registry.find("good_prob"); }), "no plugin \"good_prob\" (did you mean");
}

TEST(Registry, AnUnknownNamePointsAtTheBrokenFileThatMayBeMeant) {
  const TempFolder folder;
  write(folder / "task_sums.so", "no library");
  write(folder / "task_other.so", "no library");
  Registry registry;
  registry.load_folder(folder.path());
  const std::string text = refusal([&] { registry.find(PluginKind::task, "sums"); });
  EXPECT_CONTAINS(text, (folder / "task_sums.so").string() + " was not loaded: not a shared library");
  EXPECT_EQ(text.find("task_other"), std::string::npos) << text;
}

TEST(Registry, ANamedFileThatIsNoLibraryIsAWrongRequest) {
  const TempFolder folder;
  write(folder / "README.md", "# Words");
  Registry registry;
  EXPECT_THROW(registry.load_search_path("", "", {folder / "README.md"}), UsageError);
  write(folder / "half.so", std::string("\x7f") + "ELF, and no more");
  try {
    registry.load_search_path("", "", {folder / "half.so"});
    ADD_FAILURE() << "it was loaded";
  } catch (const UsageError& error) {
    ADD_FAILURE() << "a broken library is not a wrong request: " << error.what();
  } catch (const Error&) {
  }
}

TEST(Registry, AnUnknownNamePointsAtFoldersWithoutPlugins) {
  const TempFolder folder;
  const std::string empty = folder.path().string(), absent = empty + "/absent";
  Registry registry;
  registry.load_search_path("", absent + ":" + empty, {bad_plugin("good_task")});
  ASSERT_EQ(registry.problems().size(), 2u);
  EXPECT_EQ(registry.problems()[1].text(),
            empty + ": there is no plugin (*.so) in this folder of ORRERY_PLUGIN_PATH");
  const std::string text = refusal([&] { registry.find(PluginKind::task, "sums"); });
  EXPECT_CONTAINS(text, absent + ": this folder of plugins cannot be listed");
  EXPECT_CONTAINS(text, empty + ": there is no plugin");
  EXPECT_CONTAINS(text,
                  "--plugin FILE.so, or its folder in ORRERY_PLUGIN_PATH (now " + absent + ":" + empty + ")");
}

TEST(Registry, TwoFilesOfOneNameAreNamedBoth) {
  Registry registry;
  registry.load_file(bad_plugin("name_clash_a"));
  const std::string text = refusal([&] { registry.load_file(bad_plugin("name_clash_b")); });
  EXPECT_CONTAINS(text, "two plugins offer the task \"clashing\"");
  EXPECT_CONTAINS(text, bad_plugin("name_clash_a").string());
  EXPECT_CONTAINS(text, bad_plugin("name_clash_b").string());
}

TEST(Registry, AClashInAFolderRefusesThatNameOnly) {
  const TempFolder folder;
  for (const char* name : {"name_clash_a", "name_clash_b", "other_kind", "good_task"})
    fs::copy_file(bad_plugin(name), folder / (std::string(name) + ".so"));
  Registry registry;
  registry.load_folder(folder.path());
  EXPECT_EQ(registry.problems().size(), 1u);
  const std::string text = refusal([&] { registry.find(PluginKind::task, "clashing"); });
  EXPECT_CONTAINS(text, (folder / "name_clash_a.so").string());
  EXPECT_CONTAINS(text, (folder / "name_clash_b.so").string());
  EXPECT_EQ(registry.find(PluginKind::probe, "clashing").file, folder / "other_kind.so");
  EXPECT_EQ(registry.find(PluginKind::task, "good_task").name, "good_task");
}

TEST(Registry, OneFileByTwoPathsIsOnePlugin) {
  const TempFolder folder;
  fs::create_symlink(bad_plugin("good_task"), folder / "link.so");
  write(folder / "broken.so", "no library");
  Registry registry;
  registry.load_file(bad_plugin("good_task"));
  registry.load_folder(folder.path());
  registry.load_folder(folder.path() / "." / "");
  registry.load_file(fs::path(ORRERY_BAD_PLUGINS) / ".." / "libraries" / "good_task.so");
  EXPECT_EQ(registry.plugins().size(), 1u);
  EXPECT_EQ(registry.problems().size(), 1u);
}

TEST(Registry, LooksAtLibrariesOnly) {
  const TempFolder folder;
  write(folder / "README.md", "words");
  write(folder / "libx.so.1", "words");
  Registry registry;
  registry.load_folder(folder.path());
  EXPECT_TRUE(registry.problems().empty());
  EXPECT_TRUE(registry.plugins().empty());
}

TEST(Registry, SearchesBuiltinsThenThePathThenFiles) {
  const TempFolder builtin, first, second;
  fs::copy_file(bad_plugin("good_task"), builtin / "a.so");
  fs::copy_file(bad_plugin("good_probe"), second / "b.so");
  Registry registry;
  registry.load_search_path(builtin.path(),
                            first.path().string() + "::" + second.path().string() + ":/nowhere/x",
                            {bad_plugin("create_returns_null")});
  ASSERT_EQ(registry.plugins().size(), 3u);
  EXPECT_EQ(registry.plugins()[0]->name, "good_task");
  EXPECT_EQ(registry.plugins()[1]->name, "good_probe");
  EXPECT_EQ(registry.plugins()[2]->name, "returns_null");
  ASSERT_EQ(registry.problems().size(), 2u);
  EXPECT_EQ(registry.problems()[0].file, first.path());  // which is empty
  EXPECT_EQ(registry.problems()[1].file, "/nowhere/x");
  EXPECT_CONTAINS(registry.problems()[1].hint, "ORRERY_PLUGIN_PATH");
  EXPECT_THROW(registry.load_search_path("", "", {bad_plugin("no_stamp")}), Error);
}

}  // namespace
}  // namespace orrery::test
