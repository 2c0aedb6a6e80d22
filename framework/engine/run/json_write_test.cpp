// NaN and infinities are the same texts in all JSON, and lines have the spaces that ours have.
#include "engine/run/json_write.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/inspect/overview_json.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine::json_write_test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

TEST(JsonReal, IsTextWhereJsonHasNoNumber) {
  for (const double value : {0.1, -2.0, 5e-324, infinity, -infinity})
    EXPECT_EQ(as_real(json_real(value)), value);
  EXPECT_TRUE(std::isnan(as_real(json_real(std::nan(""))).value()));
  EXPECT_EQ(json_real(-std::nan("")).dump(), R"("NaN")");
  EXPECT_EQ(json_real(infinity).dump(), R"("Infinity")");
  EXPECT_EQ(json_real(-infinity).dump(), R"("-Infinity")");
  EXPECT_EQ(json_real(1).dump(), "1.0");
  EXPECT_TRUE(json_real(std::optional<double>()).is_null());
  EXPECT_EQ(json_reals({1, std::nan("")}).dump(), R"([1.0,"NaN"])");
}

TEST(JsonValue, IsOfTheTypeOfTheValue) {
  EXPECT_EQ(json_value(true).dump(), "true");
  EXPECT_EQ(json_value(int64_t{1}).dump(), "1");
  EXPECT_EQ(json_value(1.0).dump(), "1.0");
  EXPECT_EQ(json_value(std::string("a")).dump(), R"("a")");
  EXPECT_EQ(json_value(std::vector<double>{infinity}).dump(), R"(["Infinity"])");
  EXPECT_EQ(json_value(std::vector<int64_t>{}).dump(), "[]");
}

TEST(JsonLine, HasSpacesAndTheShortestReals) {
  const Json value = {
      {"a\"", {1, 2.0, "x\n"}}, {"b", nullptr}, {"c", Json::object()}, {"d", 1e5}, {"e", Json::array()}};
  EXPECT_EQ(json_line(value), R"({"a\"": [1, 2.0, "x\n"], "b": null, "c": {}, "d": 1e+05, "e": []})");
  testing::expect_holds(testing::error_of([] { json_line(Json{{"a", "\xff"}}); }), "not UTF-8");
}

TEST(OverviewJson, WritesNanAsText) {
  RunOverview seen;
  seen.metrics = {{"test/loss", {0, 10}, {std::nan(""), infinity}}};
  const Json curve = Json::parse(overview_json(seen, {}))["metrics"]["test/loss"];
  EXPECT_EQ(curve["first"], "NaN");
  EXPECT_EQ(curve["last"], "Infinity");
  EXPECT_EQ(curve["values"], Json({"NaN", "Infinity"}));
}

}  // namespace
}  // namespace orrery::engine::json_write_test
