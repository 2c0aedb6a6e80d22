// The curves of a run, and which of them a probe is given.
#include "engine/run/curves.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/run_test_folder.h"

namespace orrery::engine {
namespace {

using testing::error_of;
using testing::expect_holds;
using testing::TestFolder;

RunDirectory run_with_curves(const TestFolder& folder) {
  RunDirectory run = RunDirectory::create(folder / "run");
  run.write_run_json("{}");
  run.metrics().append(metrics_line(0, {{"train/loss", 4.0}, {"test/loss", 5.0}}));
  run.metrics().append(metrics_line(10, {{"train/loss", 1.0}}));
  run.metrics().append(
      metrics_line(20, {{"train/loss", 0.5}, {"test/loss", std::numeric_limits<double>::infinity()}}));
  for (const int64_t step : {20, 0}) {
    Recorder recorder;
    recorder.scalar("x", static_cast<double>(step) / 2);
    run.save_probe_result("p", step, "c", recorder.record());
  }
  return run;
}

std::vector<std::string> names(const std::vector<Curve>& curves) {
  std::vector<std::string> all;
  for (const Curve& curve : curves) all.push_back(curve.name);
  return all;
}

TEST(Curves, AreTheColumnsOfTheRun) {
  const TestFolder folder;
  const RunDirectory run = run_with_curves(folder);
  const std::vector<Curve> all = all_curves(read_curves(run));
  ASSERT_EQ(names(all), (std::vector<std::string>{"test/loss", "train/loss", "probe/p/x"}));
  EXPECT_EQ(all[0].steps, (std::vector<int64_t>{0, 20}));  // a row without the metric gives no point
  EXPECT_EQ(all[0].values[0], 5);
  EXPECT_TRUE(std::isinf(all[0].values[1]));
  EXPECT_EQ(all[1].values, (std::vector<double>{4, 1, 0.5}));
  EXPECT_EQ(all[2].steps, (std::vector<int64_t>{0, 20}));
  EXPECT_EQ(all[2].values, (std::vector<double>{0, 10}));
  EXPECT_EQ(names(all_curves(read_curves(run, false))).size(), 2u);
}

TEST(Curves, AreChosenByGlobsEachOnce) {
  const std::vector<Curve> all = {{"a/x", {1}, {2}}, {"a/y", {1}, {3}}, {"b/x", {1}, {4}}};
  EXPECT_EQ(names(choose_curves(all, {"*/x", "a/*"}, "p")), (std::vector<std::string>{"a/x", "a/y", "b/x"}));
  EXPECT_EQ(names(choose_curves(all, {"b/x"}, "p")), std::vector<std::string>{"b/x"});
  EXPECT_TRUE(choose_curves(all, {}, "p").empty());
  const std::string message = error_of([&] { choose_curves(all, {"a/x", "c/x"}, "p"); });
  expect_holds(message,
               "probe \"p\" concludes from \"c/x\", but the run has no such curve (did you mean \"a/x\"?)");
  expect_holds(message, "it has: a/x, a/y, b/x");
  expect_holds(error_of([&] { choose_curves({}, {"a"}, "p"); }), "train it first");
}

TEST(Curves, TheirHashIsOfNamesStepsAndValues) {
  const Curve base{"a", {1, 2}, {3, 4}};
  const std::string hash = sha256_of(std::vector<Curve>{base});
  EXPECT_EQ(hash, sha256_of(std::vector<Curve>{base}));
  for (const Curve& other :
       {Curve{"b", {1, 2}, {3, 4}}, Curve{"a", {1, 3}, {3, 4}}, Curve{"a", {1, 2}, {3, 5}}})
    EXPECT_NE(hash, sha256_of(std::vector<Curve>{other}));
  EXPECT_NE(hash, sha256_of(std::vector<Curve>{base, base}));
}

}  // namespace
}  // namespace orrery::engine
