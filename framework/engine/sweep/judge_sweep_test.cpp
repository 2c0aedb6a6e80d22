// Claims about a set of runs, judged on rows made by hand.
#include "engine/sweep/judge_sweep.h"

#include <gtest/gtest.h>
#include <orrery/error.h>

namespace orrery::engine {
namespace {

constexpr const char* head = R"(base = "b.toml"
seeds = 4
[grid]
task.p = [5, 7]
[[reading]]
name = "grok"
metric = "test/accuracy"
of = "first step >= 0.99"
[[reading]]
name = "other"
metric = "test/loss"
[[class]]
name = "groks"
if = "grok >= 0"
)";

// Two points with four seeds each; `grok`: the step, or minus the step of censoring.
class JudgeSweep : public ::testing::Test {
 protected:
  SweepVerdict judged(const std::string& claim, const std::vector<double>& grok) {
    plan = {read_sweep_text(head + ("[[expect]]\n" + claim + "\nsource = \"x\"\n"), "s.toml", ReadBase::no),
            "s",
            {},
            8};
    for (SweepPoint& point : expand(plan.file)) plan.runs.push_back({"id", std::move(point), nullptr});
    rows.clear();
    for (size_t i = 0; i < grok.size(); ++i) {
      SweepRow row{&plan.runs[i], {SweptState::done, "", false, 0, 0, 0}, {}, grok[i] >= 0 ? "groks" : ""};
      row.readings.push_back(grok[i] >= 0 ? ReadingValue{grok[i], {}, ""}
                                          : ReadingValue{{}, int64_t(-grok[i]), ""});
      row.readings.push_back({other.empty() ? 0 : other[i], {}, ""});
      rows.push_back(row);
    }
    if (spoil) spoil();
    return judge_sweep(plan, rows).front();
  }
  SweepPlan plan{read_sweep_text("base = \"b.toml\"\n", "s.toml", ReadBase::no), "", {}, 0};
  std::vector<SweepRow> rows;
  std::function<void()> spoil;
  std::vector<double> other;  // what the second reading is
  const std::vector<double> six = {100, 200, 300, 400, 500, 600, -900, -900};
};

TEST_F(JudgeSweep, AShareWithWilsonsInterval) {
  const SweepVerdict verdict = judged("share = \"groks\"\nbound = \">= 0.75\"", six);
  EXPECT_TRUE(verdict.passed);
  EXPECT_EQ(verdict.got, "0.75 (6 of 8)");
  EXPECT_EQ(verdict.interval, "0.409 to 0.929");
  EXPECT_EQ(verdict.n, 8u);
  EXPECT_FALSE(judged("share = \"groks\"\nbound = \"> 0.75\"", six).passed);
  const SweepVerdict part = judged("share = \"groks\"\nbound = \">= 1\"\nwhere.task.p = 5", six);
  EXPECT_EQ(part.got, "1 (4 of 4)");
  EXPECT_TRUE(part.passed);
}

TEST_F(JudgeSweep, AMedianCountsThoseThatNeverCame) {
  const SweepVerdict verdict = judged("median = \"grok\"\nbound = \"<= 450\"", six);
  EXPECT_TRUE(verdict.passed);
  EXPECT_EQ(verdict.got, "450 (2 of 8 never)");
  EXPECT_NE(verdict.interval.find("beyond 900"), std::string::npos) << verdict.interval;
  // Of the last four two came: all that is known of the median is that it is beyond 600.
  EXPECT_FALSE(judged("median = \"grok\"\nbound = \"<= 1000\"\nwhere.task.p = 7", six).passed);
  const SweepVerdict beyond = judged("median = \"grok\"\nbound = \">= 600\"\nwhere.task.p = 7", six);
  EXPECT_TRUE(beyond.passed);
  EXPECT_EQ(beyond.got, "beyond 600 (2 of 4 never)");
  EXPECT_FALSE(judged("median = \"grok\"\nbound = \">= 601\"\nwhere.task.p = 7", six).passed);
}

TEST_F(JudgeSweep, RunsWithoutATestSetAreCounted) {
  spoil = [&] {
    for (size_t i = 0; i < 3; ++i) rows[i].readings[0] = {{}, {}, "no test set", true};
  };
  for (const char* claim : {"median = \"grok\"\nbound = \">= 0\"", "share = \"groks\"\nbound = \">= 0\""}) {
    const SweepVerdict verdict = judged(claim, six);
    EXPECT_FALSE(verdict.passed);
    EXPECT_EQ(verdict.got, "3 of 8 runs have no test set; leave them out by `where`");
  }
  EXPECT_TRUE(judged("median = \"grok\"\nbound = \">= 0\"\nwhere.task.p = 7", six).passed);
}

TEST_F(JudgeSweep, AnOrderAlongAKey) {
  const SweepVerdict rising = judged("order = \"grok\"\nalong = \"task.p\"\nbound = \">= 0.8\"", six);
  EXPECT_TRUE(rising.passed) << rising.got;
  EXPECT_EQ(rising.got, "0.8781 (2 of 8 never)");
  EXPECT_FALSE(judged("order = \"grok\"\nalong = \"task.p\"\nbound = \"<= -0.5\"", six).passed);
  EXPECT_EQ(judged("order = \"grok\"\nalong = \"task.p\"\nbound = \"<= 0\"\nwhere.task.p = 5", six).got,
            "task.p or grok is the same in every run");
}

// The step is later at p = 7 in pairs of equal `other`, though over all runs it follows that.
TEST_F(JudgeSweep, AnOrderAtEqualValuesOfAnotherReading) {
  const std::string claim = "order = \"grok\"\nalong = \"task.p\"\ngiven = \"other\"\nbound = \">= 0.9\"";
  other = {1, 2, 3, 4, 1, 2, 3, 4};
  const std::vector<double> pairs = {100, 300, 500, 700, 200, 400, 600, 800};
  const SweepVerdict verdict = judged(claim, pairs);
  EXPECT_TRUE(verdict.passed) << verdict.got;
  EXPECT_EQ(verdict.got, "1");
  EXPECT_EQ(sentence(*verdict.claim), "rank correlation of grok with task.p at equal other >= 0.9");
  EXPECT_FALSE(judged("order = \"grok\"\nalong = \"task.p\"\nbound = \">= 0.9\"", pairs).passed);
  other = pairs;
  EXPECT_EQ(
      judged(claim, pairs).got,
      "task.p, grok or other is the same in every run, or other orders the runs as one of the others does");
}

TEST_F(JudgeSweep, WhatCannotBeJudgedFailsAndSaysWhy) {
  spoil = [&] { rows[0].status.state = SweptState::missing; };
  EXPECT_EQ(judged("share = \"groks\"\nbound = \">= 0\"", six).got, "1 of 8 runs are not done");
  spoil = [&] {
    rows[0].status = {SweptState::failed, "it crashed", false, 0, 0, 0};
    rows[0].readings.clear();
  };
  EXPECT_EQ(judged("share = \"groks\"\nbound = \">= 0\"", six).got,
            "1 of 8 runs failed or could not start: it crashed");
  spoil = [&] {
    rows[0].status = {SweptState::failed, "NaN", true, 0, 0, 0};
    rows[0].readings.clear();
    rows[0].name_of_class = "";
  };
  EXPECT_EQ(judged("share = \"groks\"\nbound = \">= 0\"", six).got, "0.625 (5 of 8; 1 diverged)")
      << "one that diverged counts";
  EXPECT_EQ(judged("median = \"grok\"\nbound = \">= 0\"", six).got,
            "1 of 8 runs failed or could not start: NaN");
  // A class depends on the readings in its conditions alone.
  spoil = [&] {
    for (SweepRow& row : rows) row.readings.push_back({{}, {}, "no such metric"});
  };
  EXPECT_EQ(judged("share = \"groks\"\nbound = \">= 0\"", six).got, "0.75 (6 of 8)");
  spoil = [&] { rows[0].readings[0] = {{}, {}, "no such metric"}; };
  EXPECT_EQ(judged("share = \"groks\"\nbound = \">= 0\"", six).got,
            "no reading in 1 of 8 runs: no such metric");
  EXPECT_EQ(judged("median = \"grok\"\nbound = \">= 0\"", six).got,
            "no reading in 1 of 8 runs: no such metric");
}

}  // namespace
}  // namespace orrery::engine
