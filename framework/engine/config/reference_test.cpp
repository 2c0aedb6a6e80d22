// The reference of the config has every key that a config can have.
#include "engine/config/reference.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "engine/config/places.h"
#include "sdk/model/catalog.h"
#include "tests/support/config_helpers.h"

namespace orrery::config_test {

using namespace engine;
namespace {

using Keys = std::set<std::string>;

// "split.rule" for the key `rule` of a table `split`.
void collect(const nlohmann::json& object, const std::string& prefix, Keys& keys) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object())
      collect(value, prefix + key + ".", keys);
    else
      keys.insert(prefix + key);
  }
}

Keys keys_of(const std::string& name) {
  Keys keys;
  for (const ConfigTable& table : config_tables(name))
    for (const Field& field : table.keys) keys.insert(field.name);
  return keys;
}

constexpr const char* config = R"(
[task]
name = "sums"
[model]
kind = "mlp"
[[probe]]
name = "norms"
[[expect]]
metric = "train/loss"
bound = "< 2"
source = "a paper")";

std::vector<Field> parameters(const std::string& kind, const std::string& name) {
  return kind == "model" ? model_parameters(name) : parameters_of(kind, name);
}

// to_json() writes every key that resolve() reads, so the reference is complete if it has what a resolved
// config has.
TEST(ConfigReference, HasEveryKeyOfAResolvedConfig) {
  const Settings settings = resolve(Document::from_toml(config, "x.toml"), parameters);
  const auto written = nlohmann::json::parse(to_json(settings));
  std::set<std::string> tables;
  for (const ConfigTable& table : config_tables()) {
    EXPECT_TRUE(tables.insert(table.name).second) << table.name;
    EXPECT_NO_THROW(check_declaration(table.name == "config" ? std::vector<Field>{} : table.keys))
        << table.name;
  }
  Keys top;
  for (const auto& [section, content] : written.items()) {
    if (!content.is_structured()) {
      top.insert(section);
      continue;
    }
    Keys keys;
    collect(content.is_array() ? content.at(0) : content, "", keys);
    Keys known = keys_of(section);
    const Keys more = section == "model" ? keys_of("mlp") : Keys{};
    known.insert(more.begin(), more.end());
    if (section == "train") keys.insert("loss");  // written where it is not the task's
    if (section == "task") keys = {"name"};       // the others are parameters of "sums"
    EXPECT_EQ(known, keys) << section;
  }
  EXPECT_EQ(config_tables().front().name, "config");
  EXPECT_EQ(config_tables().front().keys.front().name, *top.begin());
  EXPECT_EQ(top.size(), config_tables().front().keys.size());
  for (const std::string& kind : model_kinds()) EXPECT_TRUE(tables.contains(kind)) << kind;
  EXPECT_EQ(config_tables("config").size(), config_tables().size());
  EXPECT_TRUE(config_tables("trian").empty());
}

TEST(ConfigReference, SaysWhichKeysHaveNoDefault) {
  const std::string text = config_markdown(config_tables("expect"));
  EXPECT_NE(text.find("## `[[expect]]`"), std::string::npos) << text;
  EXPECT_NE(text.find("| `metric` | text | required |"), std::string::npos) << text;
  const auto json = nlohmann::json::parse(config_json(config_tables("train")));
  EXPECT_EQ(json[0]["table"], "train");
  EXPECT_EQ(json[0]["keys"][0]["name"], "steps");
  EXPECT_EQ(json[0]["keys"][0]["minimum"], 1);
  EXPECT_EQ(nlohmann::json::parse(config_json(config_tables("task")))[0]["keys"][0]["required"], true);
}

class PlacesTest : public ConfigTest {
 protected:
  static Places places(const std::vector<std::string>& overrides = {}) {
    return Places(
        load("[task]\nname = \"sums\"\n[train]\nbatch_size = 9\n[[probe]]\nname = \"norms\"\n"
             "label = \"mine\"\n",
             overrides));
  }
};

TEST_F(PlacesTest, AMessageGetsThePlaceOfWhatItIsAbout) {
  const Places in = places();
  EXPECT_EQ(in.placed("train.batch_size is 9, ..."), "configs/x.toml:4:1: train.batch_size is 9, ...");
  EXPECT_EQ(in.placed("train.betas: ..."), "configs/x.toml:3:1: train.betas: ...");  // at its default
  EXPECT_EQ(in.placed("task sums 1.0.0, create: no"), "configs/x.toml:1:1: task sums 1.0.0, create: no");
  EXPECT_EQ(in.placed("probe \"mine\" needs"), "configs/x.toml:5:1: probe \"mine\" needs");
  EXPECT_EQ(in.placed("d_model is odd"), "configs/x.toml: d_model is odd");
  EXPECT_EQ(in.placed("configs/x.toml:4:1: there"), "configs/x.toml:4:1: there");
  EXPECT_EQ(places({"train.batch_size=8"}).placed("train.batch_size is 8"),
            "--set train.batch_size=8: train.batch_size is 8");
  EXPECT_EQ(places({"task.p=0"}).placed("task sums 1.0.0, create: no"),
            "configs/x.toml:1:1 (with --set task.p=0): task sums 1.0.0, create: no");
  EXPECT_EQ(Places().placed("nothing is known"), "nothing is known");
}

TEST_F(PlacesTest, AKeyInTheWrongTableIsToldItsOwn) {
  const auto said = [](const std::string& text, const std::vector<std::string>& overrides = {}) {
    return complaint([&] { resolve(load("[task]\nname = \"sums\"\n" + text, overrides), parameters_of); });
  };
  EXPECT_EQ(said("", {"steps=10"}),
            "--set steps=10: the config has no key \"steps\" (did you mean train.steps?) | it is a key of "
            "[train]; on "
            "the command line: --set train.steps=VALUE");
  EXPECT_EQ(said("[train]\nfraction = 0.5\n"),
            "configs/x.toml:4:1: [train] has no key \"fraction\" (did you mean task.fraction?) | it is a key "
            "of [task]; "
            "on the command line: --set task.fraction=VALUE");
  EXPECT_EQ(said("", {"p=7"}).find("--set p=7: the config has no key \"p\" (did you mean task.p?)"), 0u);
  EXPECT_EQ(said("", {"reference=last"})
                .find("--set reference=last: the config has no key \"reference\" (did you mean "
                      "probe.NAME.reference?)"),
            0u);
}

}  // namespace
}  // namespace orrery::config_test
