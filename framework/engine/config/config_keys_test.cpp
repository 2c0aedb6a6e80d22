#include "engine/config/config_keys.h"

#include <gtest/gtest.h>
#include <orrery/error.h>

namespace orrery::engine {
namespace {

using json = nlohmann::ordered_json;

const json config = json::parse(R"({"name": "x", "task": {"name": "sums", "split": {"rule": "random"}},
  "train": {"betas": [0.9, 0.98]}, "seeds": {"init": 3}, "checkpoints": {"every": 100}, "log": {"tensorboard": true},
  "probe": [{"name": "norms"}], "verify": {"tier": "quick"}, "expect": []})");

std::string text_of(const ConfigKeys& keys) {
  std::string text;
  for (const auto& [key, value] : keys) text += key + "=" + value_text(value) + " ";
  return text;
}

std::vector<Field> parameters_of(const std::string& kind, const std::string& name) {
  if (name != "sums") throw UsageError("there is no " + kind + " " + name);
  return {{"split.rule", std::string("random"), "", {}, {}, {}}};
}

TEST(ConfigKeys, AreThoseOfTheSectionsThatCount) {
  EXPECT_EQ(
      text_of(config_keys(config)),
      "task.name=sums task.split.rule=random train.betas=[0.9,0.98] seeds.init=3 checkpoints.every=100 ");
  EXPECT_EQ(text_of(config_keys(config, Sections::network, Lists::by_entry)),
            "task.name=sums task.split.rule=random train.betas.0=0.9 train.betas.1=0.98 seeds.init=3 ");
  EXPECT_TRUE(config_keys(json::object()).empty());
  EXPECT_TRUE(config_keys({{"task", "no table"}}).empty());
}

TEST(ConfigKeys, ChangedAreThoseNotAtTheirDefaults) {
  EXPECT_EQ(text_of(changed_keys(config, parameters_of, Sections::all)),
            "seeds.init=3 log.tensorboard=true ");
  json other = config;
  other["task"]["name"] = "unknown";
  EXPECT_EQ(text_of(changed_keys(other, parameters_of)), "task.split.rule=random seeds.init=3 ");
}

TEST(ConfigKeys, KnowWhatTheirTaskIs) {
  EXPECT_EQ(choice_in(config, "task.split.rule"), "sums");
  EXPECT_EQ(choice_in(config, "task.name"), "");
  EXPECT_EQ(choice_in(config, "train.betas"), "");
  EXPECT_EQ(choice_in(config, "model.d_mlp"), "");
}

}  // namespace
}  // namespace orrery::engine
