// orrery check: the built-in plugins pass it; plugins that lie, crash or never come back do not.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "run_program.h"

namespace orrery {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const std::string lying_task = ORRERY_LYING_PLUGINS "/lying_task.so";
const std::string lying_probe = ORRERY_LYING_PLUGINS "/lying_probe.so";

std::vector<Json> lines(const std::string& text) {
  std::vector<Json> all;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) all.push_back(Json::parse(line));
  return all;
}

// The checks of one plugin that have this verdict.
std::vector<Json> with_verdict(const Json& plugin, const std::string& verdict) {
  std::vector<Json> all;
  for (const Json& check : plugin["checks"])
    if (check["verdict"] == verdict) all.push_back(check);
  return all;
}

Json check_one(const Workplace& at, const std::vector<std::string>& arguments, int code) {
  std::vector<std::string> all = {"check", "--json"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  const Finished done = at.orrery(all);
  EXPECT_EQ(done.code, code) << done.out << done.err;
  const std::vector<Json> found = lines(done.out);
  EXPECT_EQ(found.size(), 1u) << done.out << done.err;
  return found.empty() ? Json{{"checks", Json::array()}} : found.front();
}

TEST(Check, EveryBuiltInPluginPasses) {
  const Workplace at;
  const Finished done = at.orrery({"check", "--all", "--json"});
  EXPECT_EQ(done.code, 0) << done.err;
  const std::vector<Json> plugins = lines(done.out);
  EXPECT_EQ(plugins.size(), Json::parse(at.orrery({"plugins", "--json"}).out)["plugins"].size());
  for (const Json& plugin : plugins) {
    EXPECT_TRUE(plugin["passed"]) << plugin.dump(2);
    EXPECT_GE(with_verdict(plugin, "ok").size(), 5u) << plugin.dump(2);
  }
}

// The libraries in `folder`, without those that are made to fail, and the one whose measure() is yet to be
// written, which New.AProbeStartsFromAPythonFunction looks at.
std::vector<std::string> libraries_in(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".so" && entry.path().string().find("_careless_") == std::string::npos &&
        entry.path().stem() != "probe_begun_in_python")
      files.push_back(entry.path().string());
  return files;
}

size_t folders_in(const std::string& folder) {
  const fs::directory_iterator all(folder);
  return static_cast<size_t>(
      std::count_if(begin(all), end(all), [](const auto& entry) { return entry.is_directory(); }));
}

// Those that a reader copies, from the guide and from `orrery new`.
TEST(Check, ThePluginsOfTheGuideAndTheTemplatesPass) {
  const Workplace at;
  const std::string guide = ORRERY_GUIDE_PLUGINS, source = ORRERY_SOURCE_DIR "/plugins/";
  std::vector<std::string> files = libraries_in(guide);
  EXPECT_EQ(files.size(), folders_in(source + "guide"));
  const std::vector<std::string> templates = libraries_in(ORRERY_TEMPLATE_DIR "/plugins");
  EXPECT_EQ(templates.size(),
            folders_in(source + "template") - 2);  // "standalone", what all share, and the one above
  files.insert(files.end(), templates.begin(), templates.end());
  for (const std::string& file : files) {
    std::vector<std::string> arguments = {file};
    if (file.find("carry_direction") != std::string::npos)  // its task is of the guide, too
      arguments.insert(arguments.end(),
                       {"--plugin", guide + "/task_carry_addition.so", "--task", "carry_addition"});
    const Json plugin = check_one(at, arguments, 0);
    EXPECT_TRUE(plugin["passed"]) << plugin.dump(2);
  }
}

TEST(Check, SaysWhatItSawWhereAndWhatToDo) {
  const Workplace at;
  const Finished done = at.orrery({"check", lying_task, "--set", "fault=label_out_of_range"});
  EXPECT_EQ(done.code, 1) << done.err;
  for (const char* part :
       {"task lying_task 1.0.0", "FAILED          labels in range", ".labels[9, 0] is 7; expected 0 to 6",
        "-> raise d_vocab_out in spec()", "1 of 25 checks failed"})
    EXPECT_NE(done.out.find(part), std::string::npos) << part << "\n" << done.out;
}

TEST(Check, APluginThatCrashesFailsThatCheckOnly) {
  const Workplace at;
  const Json task = check_one(at, {lying_task, "--set", "fault=crash"}, 1);
  const auto failed = with_verdict(task, "failed");
  ASSERT_FALSE(failed.empty());
  EXPECT_NE(failed[0]["seen"].get<std::string>().find("it crashed: SIGABRT (Aborted)"), std::string::npos)
      << failed[0];
  EXPECT_EQ(failed.size(), 1u) << task.dump(2);
  EXPECT_EQ(failed[0]["name"], "makes its data");
  EXPECT_EQ(with_verdict(task, "ok").size(), 3u) << task.dump(2);  // the parameters are still looked at

  const Json probe = check_one(at, {lying_probe, "--set", "fault=crash"}, 1);
  const auto crashed = with_verdict(probe, "failed");
  ASSERT_EQ(crashed.size(), 1u) << probe.dump(2);
  EXPECT_EQ(crashed[0]["name"], "measures");
  EXPECT_NE(crashed[0]["seen"].get<std::string>().find("while: measure, step 0"), std::string::npos)
      << crashed[0];
  EXPECT_GE(with_verdict(probe, "ok").size(), 4u) << probe.dump(2);  // and conclude() after the crash
}

TEST(Check, APluginThatNeverComesBackIsGivenUp) {
  const Workplace at;
  const Json task = check_one(at, {lying_task, "--limit", "2", "--set", "fault=hang"}, 1);
  const auto failed = with_verdict(task, "failed");
  ASSERT_FALSE(failed.empty());
  EXPECT_NE(failed[0]["seen"].get<std::string>().find("nothing came back within 2 seconds"),
            std::string::npos);
}

TEST(Check, WhatCannotBeLoadedFails) {
  const Workplace at;
  at.write("text.so", "no library");
  const Finished done = at.orrery({"check", at.path("text.so").string()});
  EXPECT_EQ(done.code, 1);
  EXPECT_NE(done.out.find("FAILED          loads"), std::string::npos) << done.out;
}

TEST(Check, AProbeCanBeCheckedOnATaskOrAConfigOfChoice) {
  const Workplace at;
  const Json by_task = check_one(at, {lying_probe, "--task", "sparse_parity"}, 0);
  EXPECT_NE(by_task.dump().find("on sparse_parity ("), std::string::npos) << by_task.dump(2);
  at.write("config.toml",
           "[task]\nname = \"modular_arithmetic\"\np = 13\n[model]\nkind = \"mlp\"\nd_mlp = 16\n");
  const Json by_config = check_one(at, {lying_probe, "--config", at.path("config.toml").string()}, 0);
  EXPECT_NE(by_config.dump().find("modular_arithmetic, the mlp of the config"), std::string::npos)
      << by_config.dump(2);
}

TEST(Check, WrongRequestsAreRefused) {
  const Workplace at;
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"check"}, "give plugins, by name or file, or --all"},
      {{"check", "no_such_plugin"}, "no plugin \"no_such_plugin\""},
      {{"check", "./no_such_file.so"}, "there is no such file"},
      {{"check", "--all", "--set", "p=7"}, "--set is for one plugin at a time"},
      {{"check", "modular_arithmetic", "--set", "q=7"}, "has no key \"q\""},
      {{"check", "trig_loss", "--task", "no_such_task"}, "no task \"no_such_task\""},
  };
  for (const auto& [arguments, message] : cases) {
    const Finished done = at.orrery(arguments);
    EXPECT_EQ(done.code, 2) << message << "\n" << done.out << done.err;
    EXPECT_NE(done.err.find(message), std::string::npos) << done.err;
  }
}

}  // namespace
}  // namespace orrery
