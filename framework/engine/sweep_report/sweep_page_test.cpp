// The data of a sweep's page, from runs written by hand: what is known of each, what is drawn, what is said
// to be missing.
#include "engine/sweep_report/sweep_page.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <orrery/error.h>

#include <cmath>
#include <fstream>

#include "engine/run/json_read.h"
#include "engine/run/run_directory.h"
#include "engine/sweep/judge_sweep.h"
#include "engine/sweep/swept_log.h"
#include "engine/sweep_report/swept_curves.h"
#include "engine/sweep_report/swept_keys.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;
using testing::TestFolder;

constexpr const char* text = R"(base = "b.toml"
seeds = 2
[grid]
train.weight_decay = [10, 0.1, 1]
model.act_fn = ["relu", "gelu"]
[[reading]]
name = "grok"
metric = "test/accuracy"
of = "first step >= 0.99"
[[reading]]
name = "loss"
metric = "train/loss"
[[class]]
name = "groks"
if = "grok >= 0"
[[class]]
name = "fails"
[[expect]]
share = "groks"
bound = ">= 0.4"
source = "x"
[[expect]]
median = "grok"
bound = "<= 200"
source = "y"
where.train.weight_decay = [10]
)";

class SweepPageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    plan = {read_sweep_text(text, "s.toml", ReadBase::no), folder / "sweep", {}, 12};
    for (SweepPoint& point : expand(plan.file))
      plan.runs.push_back({earlier_identity_of(config(plan.runs.size()), {}), std::move(point), nullptr});
  }
  static Json config(size_t index) {
    return {{"name", "r"}, {"task", {{"name", "t"}}}, {"train", {{"steps", 400 + index}}}};
  }
  // A run of 40 rows that groks at step 100 + 10 * index, or never if `groks` is false.
  void make(size_t index, bool groks = true, const char* ended = "finished", int rows = 40) {
    RunDirectory run = RunDirectory::create(plan.run_folder(plan.runs[index]));
    run.write_run_json(
        fmt::format(R"({{"orrery": "0.3.0", "config": {},)", config(index).dump()) +
        fmt::format(R"("sessions": [{{"from": 0, "to": {}, "ended": "{}"}}]}})", 10 * (rows - 1), ended));
    for (int row = 0; row < rows; ++row) {
      const int64_t step = 10 * row;
      const bool has = groks && step >= 100 + 10 * static_cast<int64_t>(index);
      run.metrics().append(
          metrics_line(step, {{"train/loss", std::exp(-row)}, {"test/accuracy", has ? 1.0 : 0.2}}));
    }
    SweptLog(plan.run_folder(plan.runs[index])).done();
  }
  Json page(const fs::path& file = "report.html") {
    made = make_sweep_page(plan, read_rows(plan), file.is_absolute() ? file : folder / file);
    return parse_json(made.json, "the page");
  }
  static const Json& estimate(const Json& page, size_t reading, const Json& key, const Json& by) {
    for (const Json& each : page.at("estimates"))
      if (each.at("reading") == Json(reading) && each.at("key") == key && each.at("by") == by) return each;
    throw Error("no such estimate");
  }
  const TestFolder folder;
  SweepPlan plan{read_sweep_text("base = \"b.toml\"\n", "s.toml", ReadBase::no), "", {}, 0};
  SweepPage made;
};

TEST_F(SweepPageTest, ValuesOfKeysAreInNaturalOrder) {
  const std::vector<SweptKey> keys = swept_keys(plan);
  ASSERT_EQ(keys.size(), 3u);
  EXPECT_EQ(keys[0].texts, (std::vector<std::string>{"0.1", "1", "10"}));
  EXPECT_EQ(keys[0].numbers, (std::vector<double>{0.1, 1, 10}));
  EXPECT_EQ(keys[1].texts, (std::vector<std::string>{"relu", "gelu"})) << "as in the file";
  EXPECT_TRUE(keys[1].numbers.empty());
  EXPECT_EQ(keys[2].name, "seed");
  // The first runs have decay 10, then 0.1, then 1.
  EXPECT_EQ(keys[0].of_run, (std::vector<size_t>{2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 1, 1}));
  EXPECT_EQ(keys[2].of_run, (std::vector<size_t>{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1}));
}

TEST_F(SweepPageTest, ARunThatLeavesAKeyToTheBaseSaysSo) {
  plan.file = read_sweep_text("base = \"b.toml\"\n[grid]\ntrain.lr = [2, 1]\n[[point]]\ntask.p = 5\n",
                              "s.toml", ReadBase::no);
  plan.runs.clear();
  for (SweepPoint& point : expand(plan.file)) plan.runs.push_back({"r", std::move(point), nullptr});
  const std::vector<SweptKey> keys = swept_keys(plan);
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0].texts, (std::vector<std::string>{"2", "1", "as in the base"}));
  EXPECT_TRUE(keys[0].numbers.empty());
  EXPECT_EQ(keys[0].of_run, (std::vector<size_t>{0, 1, 2}));
  EXPECT_EQ(keys[1].texts, (std::vector<std::string>{"5", "as in the base"}));
}

TEST_F(SweepPageTest, SaysHowEveryRunEnded) {
  make(0);
  make(1, false);
  make(2, true, "diverged", 5);
  make(3, true, "interrupted", 5);
  SweptLog(plan.run_folder(plan.runs[4])).failed("no memory\nat all");
  const Json all = page();
  const Json states = {{{"state", "done"}, {"n", 2}},
                       {{"state", "stale"}, {"n", 1}},
                       {{"state", "missing"}, {"n", 7}},
                       {{"state", "failed"}, {"n", 2}}};
  EXPECT_EQ(all.at("states"), states);
  const Json& runs = all.at("runs");
  ASSERT_EQ(runs.size(), 12u);
  EXPECT_EQ(runs[0].at("class"), Json(0));
  EXPECT_EQ(runs[0].at("readings")[0].at("value"), Json(100.0));
  EXPECT_EQ(runs[1].at("class"), Json(1));
  EXPECT_TRUE(runs[1].at("readings")[0].at("value").is_null());
  EXPECT_EQ(runs[1].at("readings")[0].at("censored_at"), Json(390)) << "never, up to its last step";
  EXPECT_EQ(runs[2].at("diverged"), Json(true));
  EXPECT_EQ(runs[4].at("error"), Json("no memory"));
  EXPECT_TRUE(runs[5].at("class").is_null());
  // A run that has not ended has no reading, but its curve is drawn as far as it goes.
  EXPECT_TRUE(runs[3].at("readings").empty());
  for (const Json& metric : all.at("metrics")) {
    ASSERT_EQ(metric.at("curves").size(), 4u) << metric.at("name");
    EXPECT_EQ(metric.at("curves")[3].at("run"), Json(3));
  }
}

TEST_F(SweepPageTest, ClaimsHaveTheVerdictsOfVerify) {
  for (size_t i = 0; i < 4; ++i) make(i, i < 2);
  Json claims = page().at("claims");
  EXPECT_EQ(claims[0].at("verdict"), Json("open")) << "8 of 12 runs are not done";
  EXPECT_EQ(claims[0].at("got"), Json("8 of 12 runs are not done"));
  EXPECT_EQ(claims[1].at("verdict"), Json("failed")) << "all runs of its part are done";
  EXPECT_EQ(claims[1].at("n"), Json(4));
  for (size_t i = 4; i < 12; ++i) make(i, i < 8);
  claims = page().at("claims");
  const std::vector<SweepRow> rows = read_rows(plan);
  const auto verdicts = judge_sweep(plan, rows);
  for (size_t i = 0; i < verdicts.size(); ++i) {
    EXPECT_EQ(claims[i].at("got"), Json(verdicts[i].got));
    EXPECT_EQ(claims[i].at("interval"), Json(verdicts[i].interval));
    EXPECT_EQ(claims[i].at("verdict"), Json(verdicts[i].passed ? "ok" : "failed"));
  }
  EXPECT_EQ(claims[0].at("got"), Json("0.5 (6 of 12)"));
}

TEST_F(SweepPageTest, EstimatesAreByKeyAndApartByAnother) {
  for (size_t i = 0; i < 12; ++i) make(i, i < 7);
  const Json all = page();
  // Decay 10: runs 0 to 3 grok at 100, 110, 120, 130; 0.1: 4 to 6 at 140, 150, 160, and 7 never; 1: none.
  const Json& groups = estimate(all, 0, 0, nullptr).at("groups");
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups[2].at("x"), Json(2));
  EXPECT_EQ(groups[2].at("median"), Json(115.0));
  EXPECT_EQ(groups[2].at("mean"), Json(115.0));
  EXPECT_EQ(groups[0].at("never"), Json(1));
  EXPECT_EQ(groups[0].at("median"), Json(155.0));
  EXPECT_TRUE(groups[0].at("mean").is_null());
  EXPECT_EQ(groups[1].at("beyond"), Json(true));
  EXPECT_EQ(groups[1].at("median"), Json(390.0));
  EXPECT_EQ(groups[1].at("band"), Json({"Infinity", "Infinity"}));
  // All runs at one place: 7 grok, 5 never, so the median is the sixth and the seventh step.
  const Json& together = estimate(all, 0, nullptr, nullptr).at("groups");
  ASSERT_EQ(together.size(), 1u);
  EXPECT_EQ(together[0].at("n"), Json(12));
  EXPECT_EQ(together[0].at("median"), Json(155.0));
  const Json& apart = estimate(all, 0, 0, 1).at("groups");
  ASSERT_EQ(apart.size(), 6u);
  EXPECT_EQ(apart.back().at("n"), Json(2));
  EXPECT_EQ(apart.back().at("by"), Json(1));
  EXPECT_EQ(apart.back().at("median"), Json(125.0));
}

TEST_F(SweepPageTest, GridsCountClassesAndWhatIsLeft) {
  for (size_t i = 0; i < 6; ++i) make(i, i != 1);
  make(6, true, "diverged", 5);
  const Json all = page();
  ASSERT_EQ(all.at("grids").size(), 2u) << "both ways round, and none with the seed";
  const Json& cells = all.at("grids")[0].at("cells");
  ASSERT_EQ(cells.size(), 6u);
  const auto cell = [&](int x, int y) -> const Json& {
    for (const Json& each : cells)
      if (each.at("x") == Json(x) && each.at("y") == Json(y)) return each;
    throw Error("no such cell");
  };
  EXPECT_EQ(cell(2, 0).at("counts"), Json({1, 1}));
  EXPECT_EQ(cell(2, 1).at("counts"), Json({2, 0}));
  EXPECT_EQ(cell(0, 1).at("n"), Json(1)) << "one that diverged";
  EXPECT_EQ(cell(0, 1).at("counts"), Json({0, 1})) << "it is of the class of all others";
  EXPECT_EQ(cell(0, 1).at("left"), Json(1));
  EXPECT_EQ(cell(1, 0).at("n"), Json(0));
}

TEST_F(SweepPageTest, SurvivalIsOfReadingsThatMayNeverCome) {
  for (size_t i = 0; i < 12; ++i) make(i, i < 7);
  const Json all = page();
  ASSERT_EQ(all.at("survival").size(), 3u)
      << "together, by decay, by activation; not by seed, not of the loss";
  const Json& together = all.at("survival")[0].at("groups")[0];
  EXPECT_EQ(together.at("n"), Json(12));
  EXPECT_EQ(together.at("never"), Json(5));
  EXPECT_EQ(together.at("steps").back(), Json(390.0));
  EXPECT_EQ(together.at("censored").back(), Json(5));
  EXPECT_NEAR(together.at("shares").back().get<double>(), 5.0 / 12, 1e-12);
}

// `where` may be on a key that the sweep leaves to the base.
TEST_F(SweepPageTest, AClaimOverRunsThatAreNotDoneIsOpen) {
  plan.file = read_sweep_text(std::string(text) +
                                  "[[expect]]\nshare = \"groks\"\nbound = \">= 0.4\"\nsource = \"z\"\n"
                                  "where.model.d_mlp = 4\n",
                              "s.toml", ReadBase::no);
  for (SweptRun& run : plan.runs) run.resolved = {{"model.d_mlp", int64_t{4}, ""}};
  make(0);
  const Json claims = page().at("claims");
  for (const Json& claim : claims) EXPECT_EQ(claim.at("verdict"), Json("open"));
}

TEST_F(SweepPageTest, LinksToReportsThatAreThere) {
  make(0);
  make(1);
  std::ofstream(plan.run_folder(plan.runs[1]) / "report.html") << "x";
  Json runs = page(plan.folder / "report.html").at("runs");
  EXPECT_TRUE(runs[0].at("report").is_null());
  EXPECT_EQ(runs[1].at("report"), Json("runs/" + plan.runs[1].id + "/report.html"));
  runs = page(folder / "pages" / "x.html").at("runs");
  EXPECT_EQ(runs[1].at("report"), Json("../sweep/runs/" + plan.runs[1].id + "/report.html"));
}

TEST_F(SweepPageTest, LongCurvesAreThinnedAndThePageSaysSo) {
  EXPECT_EQ(points_per_curve(0), 400u);
  EXPECT_EQ(points_per_curve(4000), 100u);
  EXPECT_EQ(points_per_curve(9000), 44u);
  EXPECT_EQ(points_per_curve(1000000), 40u);
  make(0, true, "finished", 40);
  EXPECT_TRUE(page().at("notes").empty());
  make(1, true, "finished", 1000);
  const SweptCurves curves = read_swept_curves(plan, read_rows(plan));
  EXPECT_TRUE(curves.thinned);
  EXPECT_EQ(curves.most_points, 400u);
  const SweptMetric& loss = curves.metrics.back();
  ASSERT_EQ(loss.name, "train/loss");
  EXPECT_EQ(loss.curves[0].steps.size(), 40u);
  EXPECT_LE(loss.curves[1].steps.size(), 400u);
  EXPECT_EQ(loss.curves[1].steps.front(), 0);
  EXPECT_EQ(loss.curves[1].steps.back(), 9990);
  ASSERT_EQ(page().at("notes").size(), 1u);
  EXPECT_NE(made.notes[0].find("more than 400 points"), std::string::npos) << made.notes[0];
}

TEST_F(SweepPageTest, ADamagedRunCostsItsCurvesOnly) {
  make(0);
  make(1);
  std::ofstream(plan.run_folder(plan.runs[1]) / "metrics.jsonl", std::ios::app) << "{ half\n";
  const Json all = page();
  EXPECT_EQ(all.at("metrics")[0].at("curves").size(), 1u);
  ASSERT_EQ(made.notes.size(), 1u);
  EXPECT_NE(made.notes[0].find("The curves of 1 run cannot be read"), std::string::npos) << made.notes[0];
}

TEST_F(SweepPageTest, OfASweepThatHasNotBegun) {
  const Json all = page();
  EXPECT_EQ(all.at("runs").size(), 12u);
  EXPECT_TRUE(all.at("metrics").empty());
  EXPECT_TRUE(all.at("survival").empty());
  EXPECT_EQ(all.at("claims")[0].at("verdict"), Json("open"));
}

}  // namespace
}  // namespace orrery::engine
