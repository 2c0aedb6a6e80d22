// Claims that compare groups of runs, or readings with each other, on rows made by hand.
#include <gtest/gtest.h>

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

TEST_F(JudgeGroups, AMedianThatNeverCameIsAboveTheOthers) {
  for (size_t i = 8; i < 12; ++i) grok[i] = -900;
  const SweepVerdict rises = judged("rising = \"grok\"\nalong = \"task.p\"\nbound = \"> 0\"");
  EXPECT_TRUE(rises.passed);
  EXPECT_EQ(rises.got, "400 (medians 250 at 5, 650 at 7, never at 9) (4 of 12 never)");
  for (size_t i = 4; i < 8; ++i) grok[i] = -900;
  const SweepVerdict unknown = judged("rising = \"grok\"\nalong = \"task.p\"\nbound = \">= 0\"");
  EXPECT_FALSE(unknown.passed) << "which of two that never came is later, nobody knows";
  EXPECT_EQ(unknown.got.substr(0, 38), "two medians lie beyond the last step: ");
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
  EXPECT_EQ(some.got, "0.8333 (10 of 12)") << "of two that never came neither is known to be first";
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
