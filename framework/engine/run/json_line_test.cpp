#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "engine/run/json_line.h"
#include "engine/run/json_read.h"
#include "engine/run/json_write.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine {
namespace {

using testing::error_of;
using testing::expect_holds;

constexpr double infinity = std::numeric_limits<double>::infinity();

// Subnormal numbers keep their value here; tests that train have them flushed.
class JsonNumber : public ::testing::Test {
 protected:
  void SetUp() override { at::globalContext().setFlushDenormal(false); }
};

TEST_F(JsonNumber, is_short_and_always_a_real) {
  EXPECT_EQ(json_number(0.1), "0.1");
  EXPECT_EQ(json_number(1), "1.0");
  EXPECT_EQ(json_number(-0.0), "-0.0");
  EXPECT_EQ(json_number(1e300), "1e+300");
  EXPECT_EQ(json_number(5e-324), "5e-324");
  EXPECT_EQ(json_number(std::nan("")), "\"NaN\"");
  EXPECT_EQ(json_number(-std::nan("")), "\"NaN\"");
  EXPECT_EQ(json_number(infinity), "\"Infinity\"");
  EXPECT_EQ(json_number(-infinity), "\"-Infinity\"");
}

TEST_F(JsonNumber, every_double_comes_back) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 20000; ++i) {
    const uint64_t bits = random();
    double value = 0;
    std::memcpy(&value, &bits, sizeof value);
    const auto read = nlohmann::json::parse(json_number(value));
    if (!std::isfinite(value)) continue;
    ASSERT_TRUE(read.is_number_float()) << json_number(value);
    const double back = read.get<double>();
    ASSERT_EQ(std::memcmp(&back, &value, sizeof value), 0) << json_number(value);
  }
}

TEST(MetricsLine, is_written_as_documented_and_read_back) {
  const std::string line =
      metrics_line(400, {{"train/loss", 0.25}, {"a", infinity}, {"weights/norm", std::nan("")}});
  EXPECT_EQ(line, R"({"step": 400, "train/loss": 0.25, "a": "Infinity", "weights/norm": "NaN"})");
  const MetricsRow row = parse_metrics_line(line, "here");
  EXPECT_EQ(row.step, 400);
  ASSERT_EQ(row.values.size(), 3u);
  EXPECT_EQ(row.values[0], (std::pair<std::string, double>("train/loss", 0.25)));
  EXPECT_EQ(row.values[1], (std::pair<std::string, double>("a", infinity)));
  EXPECT_EQ(row.values[2].first, "weights/norm");
  EXPECT_TRUE(std::isnan(row.values[2].second));
  EXPECT_EQ(parse_metrics_line(metrics_line(1, {{"a", -infinity}}), "here").values[0].second, -infinity);
  EXPECT_EQ(metrics_line(0, {}), R"({"step": 0})");
}

TEST(MetricsLine, reads_what_others_write) {
  const MetricsRow row = parse_metrics_line(R"( {"loss":1,"step":7} )", "here");
  EXPECT_EQ(row.step, 7);
  EXPECT_EQ(row.values, (std::vector<std::pair<std::string, double>>{{"loss", 1.0}}));
}

TEST(MetricsLine, escapes_names_and_refuses_bad_ones) {
  EXPECT_EQ(metrics_line(1, {{"a\"\n", 2}}), R"({"step": 1, "a\"\n": 2.0})");
  expect_holds(error_of([] { metrics_line(1, {{"a", 1}, {"a", 2}}); }), "the metric \"a\" comes twice");
  expect_holds(error_of([] { metrics_line(1, {{"step", 1}}); }), "the metric \"step\" comes twice");
  expect_holds(error_of([] { metrics_line(1, {{"\xff", 1}}); }), "not UTF-8");
}

TEST(ParseJson, refuses_what_would_overflow_the_stack) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(parse_json(nested(60), "here").dump(), nested(60));
  expect_holds(error_of([&] { parse_json(nested(60000), "here"); }), "here: nested more than 64 deep");
  expect_holds(error_of([&] { parse_object("{\"a\": " + nested(60000) + "}", "run.json"); }),
               "run.json: nested more than 64 deep");
}

TEST(Checksum, of_a_line_notices_every_bit) {
  const std::string good = with_line_checksum(R"({"step": 1, "a": 0.25})");
  EXPECT_TRUE(check_line(good, "here"));
  EXPECT_EQ(parse_step(good, "here"), 1);
  EXPECT_FALSE(check_line(R"({"step": 1, "a": 0.25})", "here"));
  EXPECT_FALSE(check_line("", "here"));
  const size_t content = good.find(", \"sha256\"");
  for (size_t bit = 0; bit < 8 * content; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    expect_holds(error_of([&] { check_line(bad, "results.jsonl:2"); }), "results.jsonl:2: damaged");
  }
}

TEST(Checksum, of_an_object_is_one_of_its_values) {
  const Json about = with_checksum({{"lr", 1e-3}, {"text", "a"}});
  EXPECT_EQ(about, with_checksum(about));
  EXPECT_FALSE(parse_checked_object(about.dump(2), "run.json").contains("sha256"));
  std::string text = about.dump(2);
  text.replace(text.find("0.001"), 5, "0.002");
  const std::string message = error_of([&] { parse_checked_object(text, "run.json"); });
  expect_holds(message, "run.json: damaged");
  expect_holds(message, "delete its \"sha256\"");
  EXPECT_EQ(parse_checked_object(R"({"lr": 1})", "run.json")["lr"], 1);
}

TEST(MetricsLine, a_bad_line_says_where_and_what) {
  const auto message = [](const std::string& line) {
    return error_of([&] { parse_metrics_line(line, "metrics.jsonl:3"); });
  };
  expect_holds(message(""), "metrics.jsonl:3: not valid JSON");
  expect_holds(message(R"({"step": 4)"), "metrics.jsonl:3: not valid JSON");
  expect_holds(message(R"({"step": 1, "a": 1e999})"), "out of the range of a double");
  expect_holds(message("[1]"), "expected a JSON object, found array");
  expect_holds(message("{}"), "the key \"step\" is missing");
  expect_holds(message(R"({"step": 1.5})"), "\"step\": expected an integer, found 1.5");
  expect_holds(message(R"({"step": 18446744073709551615})"), "expected an integer");
  expect_holds(message(R"({"step": 1, "a": "nan"})"), "\"a\": expected a number, \"NaN\"");
  expect_holds(message(R"({"step": 1, "a": null})"), "found null");
}

}  // namespace
}  // namespace orrery::engine
