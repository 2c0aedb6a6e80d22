// The JSON of the commands for NaN and infinities.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "cli/text/comparison_text.h"
#include "cli/text/effects.h"
#include "engine/run/json_read.h"

namespace orrery::cli {
namespace {

const double nan = std::nan("");
constexpr double infinity = std::numeric_limits<double>::infinity();

TEST(EffectsJson, WritesNanAsText) {
  const std::string text = effects_json({{"loss", nan}}, {{"head 0.2", {{"loss", infinity}}}});
  EXPECT_EQ(text, R"({"component":null,"loss":"NaN"})"
                  "\n"
                  R"({"component":"head 0.2","loss":"Infinity","change":{"loss":"NaN"}})"
                  "\n");
}

TEST(PatchJson, WritesNanAsText) {
  EXPECT_EQ(patch_json("head 0.2", 4.5, -infinity),
            "{\"component\":\"head 0.2\",\"logit_difference\":4.5,\"moved\":\"-Infinity\"}\n");
}

TEST(ComparisonJson, WritesNanAsTextAndNullForWhatThereIsNot) {
  Comparison comparison;
  ComparedPair pair{0, 1, {}, nan, {}, {}, {}, ActivationComparison{}};
  SiteSimilarity site;
  site.site = "embed";
  site.cka = nan;
  site.angles = {nan, 3};
  pair.activations->sites.push_back(site);
  comparison.pairs.push_back(std::move(pair));
  const Json written = Json::parse(comparison_json(comparison, true))["pairs"][0];
  EXPECT_TRUE(written["distance"].is_null());
  EXPECT_EQ(written["to_random"], "NaN");
  EXPECT_EQ(written["activations"]["sites"][0]["cka"], "NaN");
  EXPECT_EQ(written["activations"]["sites"][0]["angles_degrees"], Json({"NaN", 3.0}));
}

}  // namespace
}  // namespace orrery::cli
