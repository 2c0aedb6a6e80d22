// Claims that compare groups of runs, or readings with each other, on rows made by hand.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/sweep/judge_sweep.h"

namespace orrery::engine {
namespace {

constexpr const char* two_readings = R"(base = "b.toml"
seeds = 4
[grid]
task.p = [5, 7, 9]
[[reading]]
name = "fit"
metric = "train/accuracy"
of = "first step >= 0.99"
[[reading]]
name = "grok"
metric = "test/accuracy"
of = "first step >= 0.99"
)";

// Three points with four seeds each; the readings as steps, or minus the step of censoring.
class JudgeGroups : public ::testing::Test {
 protected:
  SweepVerdict judged(const std::string& claim) {
    plan = {read_sweep_text(two_readings + ("[[expect]]\n" + claim + "\nsource = \"x\"\n"), "s.toml",
                            ReadBase::no),
            "s",
            {},
            12};
    for (SweepPoint& point : expand(plan.file)) plan.runs.push_back({"id", std::move(point), nullptr});
    rows.clear();
    const auto value = [](double number) {
      return number >= 0 ? ReadingValue{number, {}, ""} : ReadingValue{{}, int64_t(-number), ""};
    };
    for (size_t i = 0; i < 12; ++i) {
      SweepRow row{&plan.runs[i], {SweptState::done, ""}, {value(fit[i]), value(grok[i])}, ""};
      row.curves["train/loss"] = curve ? curve(i) : std::map<int64_t, double>{};
      rows.push_back(row);
    }
    return judge_sweep(plan, rows).front();
  }
  SweepPlan plan{read_sweep_text("base = \"b.toml\"\n", "s.toml", ReadBase::no), "", {}, 0};
  std::vector<SweepRow> rows;
  std::vector<double> fit = {10, 20, 30, 40, 10, 20, 30, 40, 10, 20, 30, 40};
  std::vector<double> grok = {100, 200, 300, 400, 500, 600, 700, 800, 600, 700, 800, 900};
  std::function<std::map<int64_t, double>(size_t run)> curve;
};

TEST_F(JudgeGroups, AnOrderByMedians) {
  const SweepVerdict rises = judged("rising = \"grok\"\nalong = \"task.p\"\nbound = \"> 0\"");
  EXPECT_TRUE(rises.passed);
  EXPECT_EQ(rises.got, "100 (medians 250 at 5, 650 at 7, 750 at 9)");
  EXPECT_FALSE(rises.interval.empty());
  const SweepVerdict falls = judged("falling = \"grok\"\nalong = \"task.p\"\nbound = \"> 0\"");
  EXPECT_FALSE(falls.passed);
  EXPECT_EQ(falls.got, "-400 (medians 250 at 5, 650 at 7, 750 at 9)");
  EXPECT_FALSE(judged("rising = \"grok\"\nalong = \"task.p\"\nbound = \"> 100\"").passed);
}

TEST_F(JudgeGroups, AMedianThatNeverCameIsAboveWhatItWasLookedFor) {
  for (size_t i = 8; i < 12; ++i) grok[i] = -900;
  const SweepVerdict rises = judged("rising = \"grok\"\nalong = \"task.p\"\nbound = \"> 0\"");
  EXPECT_TRUE(rises.passed);
  EXPECT_EQ(rises.got, "250 to 400 (medians 250 at 5, 650 at 7, beyond 900 at 9) (4 of 12 never)");
  EXPECT_FALSE(judged("rising = \"grok\"\nalong = \"task.p\"\nbound = \"> 300\"").passed) << "it may be 251";
  EXPECT_FALSE(judged("falling = \"grok\"\nalong = \"task.p\"\nbound = \"> 0\"").passed);
  for (size_t i = 4; i < 8; ++i) grok[i] = -900;
  const SweepVerdict unknown = judged("rising = \"grok\"\nalong = \"task.p\"\nbound = \">= 0\"");
  EXPECT_FALSE(unknown.passed) << "which of two that never came is later, nobody knows";
  EXPECT_EQ(unknown.got,
            "not known: 4 runs at task.p = 7 were looked at up to step 900 only (medians 250 at 5, beyond "
            "900 at 7, beyond 900 at 9) (8 of 12 never)");
}

// Runs of the first group ended at step 60: whether theirs is above the 650 of the next is not known.
TEST_F(JudgeGroups, ARunThatEndedEarlyRanksAboveNoneThatCameLater) {
  for (size_t i = 0; i < 4; ++i) grok[i] = -60;
  const std::string falls = "falling = \"grok\"\nalong = \"task.p\"\nwhere.task.p = [5, 7]\nbound = ";
  EXPECT_FALSE(judged(falls + "\"> 0\"").passed);
  EXPECT_EQ(
      judged(falls + "\"> 0\"").got,
      "not known: 4 runs at task.p = 5 were looked at up to step 60 only (medians beyond 60 at 5, 650 at "
      "7) (4 of 8 never)");
  EXPECT_TRUE(judged(falls + "\">= -590\"").passed) << "whenever it comes";
  const SweepVerdict order = judged("order = \"grok\"\nalong = \"task.p\"\nbound = \"<= -0.1\"");
  EXPECT_FALSE(order.passed);
  EXPECT_EQ(order.got,
            "not known: 4 runs without grok were looked at up to step 60 only, and in others it came as late "
            "as 900");
  // One that is looked at for longer does not make the others known.
  grok[0] = -5000;
  EXPECT_FALSE(judged("falling = \"grok\"\nalong = \"task.p\"\nbound = \"> 0\"").passed);
  EXPECT_FALSE(judged("order = \"grok\"\nalong = \"task.p\"\nbound = \"<= -0.1\"").passed);
  for (size_t i = 0; i < 4; ++i) grok[i] = -900;
  EXPECT_TRUE(
      judged("falling = \"grok\"\nalong = \"task.p\"\nbound = \"> 0\"\nwhere.task.p = [5, 7]").passed);
  EXPECT_TRUE(judged("order = \"grok\"\nalong = \"task.p\"\nbound = \"<= -0.1\"").passed);
}

TEST_F(JudgeGroups, OneRunHasNoInterval) {
  const std::string alone = "\nwhere.seed = 0";
  const SweepVerdict rises = judged("rising = \"grok\"\nalong = \"task.p\"\nbound = \"> 0\"" + alone);
  EXPECT_TRUE(rises.passed) << "the estimate is judged all the same";
  EXPECT_EQ(rises.interval, "");
  const SweepVerdict equal = judged("equal = \"grok\"\nacross = \"task.p\"\nbound = \"<= 500\"" + alone);
  EXPECT_TRUE(equal.passed);
  EXPECT_EQ(equal.interval, "");
  const std::string one = alone + "\nwhere.task.p = 5";
  const SweepVerdict median = judged("median = \"grok\"\nbound = \"<= 100\"" + one);
  EXPECT_TRUE(median.passed);
  EXPECT_EQ(median.got, "100");
  EXPECT_EQ(median.interval, "");
  const SweepVerdict spread = judged("spread = \"grok\"\nbound = \"<= 0\"" + one);
  EXPECT_FALSE(spread.passed);
  EXPECT_EQ(spread.got, "one run has no spread");
  const SweepVerdict order =
      judged("order = \"grok\"\nalong = \"task.p\"\nbound = \">= 0\"\nwhere.task.p = [5, 7]" + alone);
  EXPECT_FALSE(order.passed);
  EXPECT_EQ(order.got, "a rank correlation needs three runs: that of two is 1 or -1, whatever they are");
}

TEST_F(JudgeGroups, EqualMeansOfGroups) {
  const SweepVerdict over_all = judged("equal = \"grok\"\nacross = \"task.p\"\nbound = \"<= 500\"");
  EXPECT_TRUE(over_all.passed);
  EXPECT_EQ(over_all.got, "500, between task.p = 5 and 9");
  const SweepVerdict along =
      judged("equal = \"grok\"\nacross = \"seed\"\nalong = \"task.p\"\nbound = \"< 300\"");
  EXPECT_FALSE(along.passed);
  EXPECT_EQ(along.got, "300 at task.p 5, between seed = 0 and 3");
  grok[0] = -900;
  EXPECT_FALSE(judged("equal = \"grok\"\nacross = \"task.p\"\nbound = \">= 0\"").passed)
      << "what never came has no mean";
}

TEST_F(JudgeGroups, EqualCurvesAlongTheSteps) {
  curve = [](size_t run) {
    const double shift = run < 4 ? 0 : run < 8 ? 0.1 : 0.2;
    return std::map<int64_t, double>{{0, 1.0}, {100, 0.5 + shift}, {200, 0.1 + shift / 2}};
  };
  const SweepVerdict verdict =
      judged("equal = \"train/loss\"\nacross = \"task.p\"\nalong = \"step\"\nbound = \"<= 0.25\"");
  EXPECT_TRUE(verdict.passed);
  EXPECT_EQ(verdict.got, "0.2 at step 100, between task.p = 5 and 9");
  EXPECT_EQ(verdict.interval, "0.2 to 0.2") << "all runs of a group are the same";
  EXPECT_FALSE(
      judged("equal = \"train/loss\"\nacross = \"task.p\"\nalong = \"step\"\nbound = \"<= 0.15\"").passed);
  curve = nullptr;
  EXPECT_EQ(judged("equal = \"train/loss\"\nacross = \"task.p\"\nalong = \"step\"\nbound = \"<= 1\"").got,
            "run id has no metric train/loss");
}

TEST_F(JudgeGroups, ACurveWithoutANumberFailsTheClaim) {
  for (const double at_100 : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    curve = [=](size_t run) {
      return std::map<int64_t, double>{{0, run < 4 ? 9.0 : 1.0}, {100, run == 5 ? at_100 : 1}, {200, 1.0}};
    };
    const SweepVerdict verdict =
        judged("equal = \"train/loss\"\nacross = \"task.p\"\nalong = \"step\"\nbound = \"<= 1\"");
    EXPECT_FALSE(verdict.passed) << "8 at step 0";
    EXPECT_EQ(verdict.got, std::string(std::isnan(at_100) ? "NaN" : "Infinity") + " at step 100 in run id");
  }
}

// After step 100 the mean of the first group would be that of its first run alone.
TEST_F(JudgeGroups, CurvesAreComparedWhereAllRunsOfAGroupHaveOne) {
  curve = [](size_t run) {
    std::map<int64_t, double> all = {{0, 1}, {100, run < 4 ? 1 : 1.25}, {200, run < 4 ? 9 : 1}};
    if (run > 0 && run < 4) all.erase(200);
    return all;
  };
  const std::string claim =
      "equal = \"train/loss\"\nacross = \"task.p\"\nalong = \"step\"\nbound = \"<= 0.5\"";
  const SweepVerdict two = judged(claim + "\nwhere.task.p = [5, 7]");
  EXPECT_TRUE(two.passed);
  EXPECT_EQ(two.got,
            "0.25 at step 100, between task.p = 5 and 7 (compared up to step 100: after it some runs have "
            "ended)");
  EXPECT_EQ(judged(claim).got, "0.25 at step 100, between task.p = 5 and 9") << "two others go on to the end";
}

TEST_F(JudgeGroups, OneReadingBelowAnother) {
  const SweepVerdict all = judged("below = \"fit\"\nthan = \"grok\"\nbound = \">= 1\"");
  EXPECT_TRUE(all.passed);
  EXPECT_EQ(all.got, "1 (12 of 12)");
  EXPECT_EQ(all.interval, "0.758 to 1");
  grok[0] = 5;     // before it has fitted
  grok[1] = -900;  // never: later than 20
  fit[2] = grok[2] = -900;
  const SweepVerdict some = judged("below = \"fit\"\nthan = \"grok\"\nbound = \">= 1\"");
  EXPECT_FALSE(some.passed);
  EXPECT_EQ(some.got, "0.8333 (10 of 12); not known: in 1 of 12 runs neither came");
  EXPECT_EQ(some.interval, "0.552 to 0.985") << "from that of 10 to that of 11";
  EXPECT_TRUE(judged("below = \"fit\"\nthan = \"grok\"\nbound = \">= 0.8\"").passed) << "either way";
  EXPECT_FALSE(judged("below = \"fit\"\nthan = \"grok\"\nbound = \"<= 0.9\"").passed)
      << "or 11 of 12: for lack of data no bound holds";
  EXPECT_EQ(judged("below = \"fit\"\nthan = \"grok\"\nbound = \"<= 0.9\"").got,
            "not known: in 1 of 12 runs neither came; it is below in 10");
  fit[2] = -20;  // and the other later, or earlier
  grok[2] = 300;
  EXPECT_EQ(judged("below = \"fit\"\nthan = \"grok\"\nbound = \"<= 0.9\"").got,
            "not known: in 1 of 12 runs one had not come when the run ended; it is below in 10");
  fit[2] = -300;
  EXPECT_TRUE(judged("below = \"fit\"\nthan = \"grok\"\nbound = \"<= 0.9\"").passed) << "it is later";
}

TEST_F(JudgeGroups, TheDifferenceOfTwoMedians) {
  const SweepVerdict verdict =
      judged("difference = \"grok\"\nminus = \"fit\"\nbound = \"> 200\"\nwhere.task.p = 5");
  EXPECT_TRUE(verdict.passed);
  EXPECT_EQ(verdict.got, "225 (medians 250 and 25)");
  EXPECT_FALSE(judged("difference = \"grok\"\nminus = \"fit\"\nbound = \"> 225\"\nwhere.task.p = 5").passed);
  for (size_t i = 0; i < 4; ++i) grok[i] = -900;
  EXPECT_EQ(judged("difference = \"grok\"\nminus = \"fit\"\nbound = \"> 0\"\nwhere.task.p = 5").got,
            "a median lies beyond the last step: never and 25");
}

TEST_F(JudgeGroups, TheSpreadOfSeeds) {
  const SweepVerdict half = judged("spread = \"fit\"\nbound = \"<= 20\"\nwhere.task.p = 5");
  EXPECT_TRUE(half.passed);
  EXPECT_EQ(half.got, "20, from 15 to 35");
  const SweepVerdict most = judged("spread = \"fit\"\nmiddle = 0.9\nbound = \"<= 20\"\nwhere.task.p = 5");
  EXPECT_FALSE(most.passed);
  EXPECT_EQ(most.got, "30, from 10 to 40");
  for (size_t i = 2; i < 4; ++i) fit[i] = -900;
  EXPECT_EQ(judged("spread = \"fit\"\nbound = \">= 0\"\nwhere.task.p = 5").got,
            "from 15 to beyond the end (2 of 4 never)");
}

}  // namespace
}  // namespace orrery::engine
