// Expectations on runs whose files the tests write by hand.
#include "engine/verify/verdict.h"

#include <gtest/gtest.h>

#include "tests/support/config_helpers.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine {
namespace {

using testing::error_of;
using testing::expect_holds;
using testing::TestFolder;

// test/accuracy rises at steps 200 to 300 and falls back a little; the train loss falls fastest per step
// before step 110, although most before step 300.
const char* const metrics =
    R"({"step": 0, "test/accuracy": 0.25, "train/loss": 4.0, "loss/digit_0": 2.0, "loss/digit_1": 3.0}
{"step": 100, "test/accuracy": 0.125, "train/loss": 3.5, "loss/digit_0": 0.25, "loss/digit_1": 2.5}
{"step": 110, "test/accuracy": 0.25, "train/loss": 3.0, "loss/digit_0": 0.25, "loss/digit_1": 1.5}
{"step": 300, "test/accuracy": 1.0, "train/loss": 1.0, "loss/digit_0": 0.125, "loss/digit_1": 0.75}
{"step": 400, "test/accuracy": 0.75, "train/loss": 1.25, "loss/digit_0": 0.125, "loss/digit_1": 0.5}
)";

class VerdictTest : public ::testing::Test {
 protected:
  VerdictTest() : run_(RunDirectory::create(folder_ / "run")) { run_.write_run_json("{}"); }

  void write_metrics(const std::string& text) { write_file(folder_ / "run/metrics.jsonl", text); }

  // Rows of step 0, 100, ... with one metric "m"; a value is JSON, "" where the row lacks it.
  void write_rows(const std::vector<std::string>& values) {
    std::string text;
    for (size_t i = 0; i < values.size(); ++i)
      text += "{\"step\": " + std::to_string(100 * i) + (values[i].empty() ? "" : ", \"m\": " + values[i]) +
              "}\n";
    write_metrics(text);
  }

  void write_scalars(const std::string& label, int64_t step,
                     const std::vector<std::pair<std::string, double>>& all) {
    Recorder recorder;
    for (const auto& [name, value] : all) recorder.scalar(name, value);
    run_.save_probe_result(label, step, RunDirectory::checkpoint_name(step), recorder.record());
  }

  // `keys` besides the metric, the bound and the source.
  static std::vector<Expectation> expect(const std::string& metric, const std::string& bound,
                                         const std::string& keys = "") {
    const std::string text =
        "[task]\nname = 'sums'\n[[probe]]\nname = 'norms'\nlabel = 'trig'\n[[expect]]\nmetric = '" + metric +
        "'\nbound = '" + bound + "'\nsource = 'a paper'\n" + keys;
    return resolve(Document::from_toml(text, "x.toml"), config_test::parameters_of).expectations;
  }

  // "ok: GOT" or "FAILED: GOT".
  std::string judged(const std::string& metric, const std::string& bound,
                     const std::string& keys = "") const {
    const auto expectations = expect(metric, bound, keys);
    const Verdict verdict = judge(expectations, run_).at(0);
    EXPECT_EQ(verdict.expectation, &expectations[0]);
    return (verdict.passed ? "ok: " : "FAILED: ") + verdict.got;
  }

  TestFolder folder_;
  RunDirectory run_;
};

TEST_F(VerdictTest, EveryOperatorAtTheEnd) {
  write_metrics(metrics);
  const auto check = [&](const std::string& bound, bool passes) {
    EXPECT_EQ(judged("test/accuracy", bound), (passes ? "ok: 0.75 at step 400" : "FAILED: 0.75 at step 400"))
        << bound;
  };
  check(">= 0.75", true);
  check(">= 0.76", false);
  check("> 0.74", true);
  check("> 0.75", false);
  check("<= 0.75", true);
  check("<= 0.74", false);
  check("< 0.76", true);
  check("< 0.75", false);
  check(">= 0.7 and < 0.8", true);
  check(">= 0.7 and < 0.75", false);
  check("> 0.75 and < 0.8", false);
}

TEST_F(VerdictTest, EveryRangeOfRows) {
  write_metrics(metrics);
  EXPECT_EQ(judged("train/loss", "< 3.2", "when = 'step 110'"), "ok: 3 at step 110");
  EXPECT_EQ(judged("train/loss", "< 3", "when = 'step 110'"), "FAILED: 3 at step 110");
  EXPECT_EQ(judged("train/loss", "<= 4", "when = 'always'"), "ok: at worst 4 at step 0");
  EXPECT_EQ(judged("train/loss", "< 1.25", "when = 'always'"), "FAILED: at worst 4 at step 0");
  EXPECT_EQ(judged("train/loss", "< 3.5", "when = 'step > 100'"), "ok: at worst 3 at step 110");
  EXPECT_EQ(judged("train/loss", "< 3.5", "when = 'step >= 100'"), "FAILED: at worst 3.5 at step 100");
  EXPECT_EQ(judged("train/loss", "> 1", "when = 'step < 300'"), "ok: at worst 3 at step 110");
  EXPECT_EQ(judged("train/loss", "> 1", "when = 'step <= 300'"), "FAILED: at worst 1 at step 300");
  EXPECT_EQ(judged("train/loss", "> 2", "when = '100 <= step < 300'"), "ok: at worst 3 at step 110");
  EXPECT_EQ(judged("train/loss", "< 3.5", "when = '100 < step <= 300'"), "ok: at worst 3 at step 110");
}

TEST_F(VerdictTest, EveryReadingOfValues) {
  write_metrics(metrics);
  const auto of = [&](const std::string& of, const std::string& bound,
                      const std::string& metric = "test/accuracy") {
    return judged(metric, bound, "of = '" + of + "'");
  };
  EXPECT_EQ(of("any", "> 0.99"), "ok: at best 1 at step 300");
  EXPECT_EQ(of("any", "> 1"), "FAILED: at best 1 at step 300");
  EXPECT_EQ(of("any", ">= 0.7 and <= 0.8"), "ok: at best 0.75 at step 400");
  EXPECT_EQ(of("first", "<= 0.25"), "ok: 0.25 at step 0");
  EXPECT_EQ(of("last", "<= 0.25"), "FAILED: 0.75 at step 400");
  EXPECT_EQ(of("max", "< 1"), "FAILED: 1 at step 300");
  EXPECT_EQ(of("min", "< 0.2"), "ok: 0.125 at step 100");
  // (4 + 3.5 + 3 + 1 + 1.25) / 5 = 2.55
  EXPECT_EQ(of("mean", "< 2.6", "train/loss"), "ok: 2.55 over 5 rows, steps 0 to 400");
  EXPECT_EQ(of("mean", "< 2.5", "train/loss"), "FAILED: 2.55 over 5 rows, steps 0 to 400");
  EXPECT_EQ(of("fall", "> 2.9", "train/loss"), "ok: 3, from 4 at step 0 to 1 at step 300");
  EXPECT_EQ(of("rise", "< 0.2", "train/loss"), "FAILED: 0.25, from 1 at step 300 to 1.25 at step 400");
  EXPECT_EQ(of("rise", "> 0.8"), "ok: 0.875, from 0.125 at step 100 to 1 at step 300");
  EXPECT_EQ(of("fall", "<= 0.25"), "ok: 0.25, from 1 at step 300 to 0.75 at step 400");
  EXPECT_EQ(judged("train/loss", "> 2", "of = 'fall'\nwhen = '100 <= step <= 300'"),
            "ok: 2.5, from 3.5 at step 100 to 1 at step 300");
}

TEST_F(VerdictTest, AFallGoesForwardInTime) {
  write_rows({"1", "2", "3"});
  EXPECT_EQ(judged("m", "> 0", "of = 'fall'"), "FAILED: -1, from 1 at step 0 to 2 at step 100");
  write_rows({"3", "2.5", "9", "8"});
  EXPECT_EQ(judged("m", "< 2", "of = 'fall'"), "ok: 1, from 9 at step 200 to 8 at step 300");
}

TEST_F(VerdictTest, EveryReadingOfSteps) {
  write_metrics(metrics);
  const auto of = [&](const std::string& of, const std::string& bound,
                      const std::string& metric = "train/loss") {
    return judged(metric, bound, "of = '" + of + "'");
  };
  EXPECT_EQ(of("first step >= 0.99", "< 350", "test/accuracy"), "ok: step 300 (1)");
  EXPECT_EQ(of("first step >= 0.99", "< 300", "test/accuracy"), "FAILED: step 300 (1)");
  EXPECT_EQ(of("first step > 1", "< 300", "test/accuracy"), "FAILED: at no step; at best 1 at step 300");
  EXPECT_EQ(of("first step < 4", ">= 100 and <= 200"), "ok: step 100 (3.5)");
  EXPECT_EQ(of("step of min", ">= 300 and <= 300"), "ok: step 300 (1)");
  EXPECT_EQ(of("step of max", "> 0"), "FAILED: step 0 (4)");
  EXPECT_EQ(of("step of steepest fall", ">= 100 and <= 200"), "ok: step 110 (from 3.5 to 3 since step 100)");
  EXPECT_EQ(of("step of steepest rise", "< 400"), "FAILED: step 400 (from 1 to 1.25 since step 300)");
  // From 110 to 300 the loss falls by 2/190 a step.
  EXPECT_EQ(judged("train/loss", "> 300", "of = 'step of steepest fall'\nwhen = 'step >= 110'"),
            "FAILED: step 300 (from 3 to 1 since step 110)");
}

TEST_F(VerdictTest, TheFirstOfEqualsCounts) {
  write_rows({"1", "3", "3", "1"});
  EXPECT_EQ(judged("m", "<= 100", "of = 'step of max'"), "ok: step 100 (3)");
  EXPECT_EQ(judged("m", "<= 0", "of = 'step of min'"), "ok: step 0 (1)");
}

TEST_F(VerdictTest, AGlobHoldsWhereAllDoAndReportsTheWorst) {
  write_metrics(metrics);
  EXPECT_EQ(judged("loss/digit_*", "<= 0.5"), "ok: loss/digit_1: 0.5 at step 400 (worst of 2)");
  EXPECT_EQ(judged("loss/digit_*", "< 0.5"), "FAILED: loss/digit_1: 0.5 at step 400 (1 of 2 fail)");
  EXPECT_EQ(judged("loss/digit_*", "< 0.1"), "FAILED: loss/digit_1: 0.5 at step 400 (2 of 2 fail)");
  EXPECT_EQ(judged("loss/*", "< 0.2", "when = 'step 300'"),
            "FAILED: loss/digit_1: 0.75 at step 300 (1 of 2 fail)");
  EXPECT_EQ(judged("loss/digit_*", "<= 300", "of = 'first step < 0.6'"),
            "FAILED: loss/digit_1: step 400 (0.5) (1 of 2 fail)");
  EXPECT_EQ(judged("digit_*", "< 0.1"), "FAILED: no metric matches");
  EXPECT_EQ(judged("loss/digit_", "< 0.1"), "FAILED: no such metric (did you mean \"loss/digit_0\"?)");
}

TEST_F(VerdictTest, AGlobWithANaNFails) {
  write_metrics("{\"step\": 0, \"a\": 1.0, \"b\": \"NaN\", \"c\": 5.0}\n");
  EXPECT_EQ(judged("*", "< 2"), "FAILED: b: NaN at step 0 (2 of 3 fail)");
}

TEST_F(VerdictTest, ScalarsOfProbes) {
  write_metrics(metrics);
  write_scalars("trig", 0, {{"n", 40}, {"loss/test", 5}});
  write_scalars("trig", 300, {{"n", 5}, {"loss/test", 0.5}, {"k=3/test", 1}});
  write_scalars("other", 200, {{"n", 9}});
  EXPECT_EQ(judged("probe/trig/n", ">= 3 and <= 8"), "ok: 5 at step 300");
  EXPECT_EQ(judged("probe/trig/loss/test", "< 1", "when = 'always'"), "FAILED: at worst 5 at step 0");
  EXPECT_EQ(judged("probe/*/n", "< 10"), "ok: probe/other/n: 9 at step 200 (worst of 2)");
  EXPECT_EQ(judged("p*/n", "< 9"), "FAILED: probe/other/n: 9 at step 200 (1 of 2 fail)");
  EXPECT_EQ(judged("*n", "< 10"), "ok: probe/other/n: 9 at step 200 (worst of 2)");
  EXPECT_EQ(judged("probe/trig/loss/tset", "< 1"),
            "FAILED: no such metric (did you mean \"probe/trig/loss/test\"?)");
  EXPECT_EQ(judged("probe/trig/k=3/test", "< 2", "of = 'max'"), "ok: 1 at step 300");
  EXPECT_EQ(judged("probe/trig/k=3/test", "< 2", "when = 'always'"), "FAILED: not there at step 0");
}

TEST_F(VerdictTest, AProbeThatHasNoResultsFails) {
  write_metrics(metrics);
  EXPECT_EQ(judged("probe/trig/n", "< 2"), "FAILED: no such metric");
}

TEST_F(VerdictTest, WhatIsNotThereFails) {
  write_metrics(metrics);
  EXPECT_EQ(judged("test/acuracy", "> 0"), "FAILED: no such metric (did you mean \"test/accuracy\"?)");
  EXPECT_EQ(judged("step", ">= 0"), "FAILED: no such metric");
  EXPECT_EQ(judged("train/loss", "> 0", "when = 'step 200'"),
            "FAILED: no row of that step; the nearest are 110 and 300");
  EXPECT_EQ(judged("train/loss", "> 0", "when = 'step 500'"), "FAILED: no row of that step; the last is 400");
  EXPECT_EQ(judged("train/loss", "> 0", "when = 'step > 400'"),
            "FAILED: no row with step > 400; there are steps 0 to 400");
  EXPECT_EQ(judged("train/loss", "> 0", "when = '120 <= step <= 290'"),
            "FAILED: no row with 120 <= step <= 290; there are steps 0 to 400");
  write_metrics("{\"step\": 50, \"m\": 1.0}\n");
  EXPECT_EQ(judged("m", "> 0", "when = 'step 10'"), "FAILED: no row of that step; the first is 50");
}

TEST_F(VerdictTest, AMetricThatStopsIsNotThereInTheEnd) {
  write_rows({"1", "1", ""});
  EXPECT_EQ(judged("m", "> 0"), "FAILED: not there at step 200");
  EXPECT_EQ(judged("m", "> 0", "when = 'always'"), "FAILED: not there at step 200");
  EXPECT_EQ(judged("m", "> 0", "when = 'step 200'"), "FAILED: not there at step 200");
  EXPECT_EQ(judged("m", "> 0", "when = 'step > 100'\nof = 'any'"), "FAILED: not there at step 200");
  EXPECT_EQ(judged("m", "> 0", "when = 'step <= 100'"), "ok: at worst 1 at step 0");
  EXPECT_EQ(judged("m", "> 0", "of = 'any'"), "ok: at best 1 at step 0");
}

TEST_F(VerdictTest, ARunWithoutMetricsFails) {
  EXPECT_EQ(judged("m", "> 0"), "FAILED: no such metric");
  EXPECT_EQ(judged("*", "> 0", "of = 'any'"), "FAILED: no metric matches");
  write_metrics("");
  EXPECT_EQ(judged("m", "> 0"), "FAILED: no such metric");
}

TEST_F(VerdictTest, NaNNeverPasses) {
  write_rows({"1.0", "\"NaN\"", "3.0"});
  for (const std::string of :
       {"every", "any", "first", "last", "max", "min", "mean", "fall", "rise", "first step >= 0",
        "step of max", "step of min", "step of steepest fall", "step of steepest rise"})
    for (const std::string bound : {"> -1e9", "< 1e9"})
      EXPECT_EQ(judged("m", bound, "when = 'always'\nof = '" + of + "'"), "FAILED: NaN at step 100") << of;
  EXPECT_EQ(judged("m", "> 0", "when = 'step 100'"), "FAILED: NaN at step 100");
  EXPECT_EQ(judged("m", "> 0"), "ok: 3 at step 200");
}

TEST_F(VerdictTest, InfinitiesCompareButHaveNoDifferences) {
  write_rows({"1.0", "\"Infinity\"", "\"-Infinity\""});
  EXPECT_EQ(judged("m", "> 5", "of = 'max'"), "ok: inf at step 100");
  EXPECT_EQ(judged("m", "< 5"), "ok: -inf at step 200");
  EXPECT_EQ(judged("m", "< 5", "when = 'always'"), "FAILED: at worst inf at step 100");
  for (const std::string of : {"mean", "fall", "rise", "step of steepest fall", "step of steepest rise"}) {
    EXPECT_EQ(judged("m", "> 0", "of = '" + of + "'"), "FAILED: Infinity at step 100") << of;
    EXPECT_EQ(judged("m", "> 0", "when = 'step > 100'\nof = '" + of + "'"), "FAILED: -Infinity at step 200");
  }
}

TEST_F(VerdictTest, AChangeNeedsTwoRows) {
  write_rows({"1.0", "1.0"});
  for (const std::string of : {"fall", "rise", "step of steepest fall", "step of steepest rise"})
    EXPECT_EQ(judged("m", ">= 0", "when = 'step <= 50'\nof = '" + of + "'"),
              "FAILED: only one row, of step 0");
  EXPECT_EQ(judged("m", ">= 0", "of = 'fall'"), "ok: 0, from 1 at step 0 to 1 at step 100");
  EXPECT_EQ(judged("m", ">= 0", "of = 'step of steepest fall'"),
            "FAILED: never falls from one row to the next");
  EXPECT_EQ(judged("m", ">= 0", "of = 'step of steepest rise'"),
            "FAILED: never rises from one row to the next");
}

TEST_F(VerdictTest, DigitsNeverContradictTheVerdict) {
  write_rows({"0.99999999"});
  EXPECT_EQ(judged("m", ">= 1"), "FAILED: 0.99999999 at step 0");
  EXPECT_EQ(judged("m", ">= 0.5"), "ok: 1 at step 0");
}

TEST_F(VerdictTest, TwoMetricsAreCompared) {
  write_metrics(metrics);
  const std::string minus = "minus = 'loss/digit_1'\n";
  EXPECT_EQ(judged("train/loss", "> 0", minus), "ok: 0.75 at step 400");
  EXPECT_EQ(judged("train/loss", "> 0.5", minus + "when = 'always'"), "FAILED: at worst 0.25 at step 300");
  EXPECT_EQ(judged("train/loss", "<= 110", minus + "of = 'first step >= 1.5'"), "ok: step 110 (1.5)");
  EXPECT_EQ(judged("train/loss", "> 0", "minus = 'loss/digit_7'\n"),
            "FAILED: loss/digit_7: no such metric (did you mean \"loss/digit_0\"?)");
  EXPECT_EQ(sentence(expect("train/loss", "> 0", minus)[0]), "train/loss - loss/digit_1 > 0 at the end");
  expect_holds(error_of([&] { expect("train/loss", "> 0", "minus = 'loss/*'\n"); }),
               "x.toml:10:1: expect.minus: name one metric");
  expect_holds(error_of([&] { expect("train/loss", "> 0", "minus = 'probe/tirg/x'\n"); }),
               "x.toml:10:1: expect.minus: no probe has the label \"tirg\" (did you mean \"trig\"?)");
}

TEST_F(VerdictTest, ANullAndAConclusionAreMetricsOfTheRun) {
  write_metrics(metrics);
  write_scalars("trig", 0, {{"r2", 0.25}});
  write_scalars("trig", 400, {{"r2", 0.875}});
  for (const auto& [which, name, value] :
       {std::tuple(RunLevelResult::null, "r2", 0.125), {RunLevelResult::conclusion, "n_falls", 2.0}}) {
    Recorder recorder;
    recorder.scalar(name, value);
    run_.save_run_level("trig", which,
                        pack_result(result_line(which, {{"trig", &recorder.record()}}), recorder.record()));
  }
  EXPECT_EQ(judged("probe/trig/null/r2", "< 0.2"), "ok: 0.125 at step 400");
  EXPECT_EQ(judged("probe/trig/conclusion/n_falls", ">= 3"), "FAILED: 2 at step 400");
  EXPECT_EQ(judged("probe/trig/r2", "> 0.5", "minus = 'probe/trig/null/r2'\n"), "ok: 0.75 at step 400");
  EXPECT_EQ(judged("probe/trig/r2", "> 0.5", "minus = 'probe/trig/null/r2'\nwhen = 'always'\n"),
            "FAILED: at worst 0.125 at step 0");
  EXPECT_EQ(judged("probe/trig/conclusion/falls", "> 0").substr(0, 24), "FAILED: no such metric (");
}

TEST_F(VerdictTest, DamagedFilesAreNoVerdict) {
  write_metrics("{\"step\": 0, \"m\": 1.0}\n{\"step\": 1, \"m\": \"many\"}\n");
  const auto expectations = expect("m", "> 0");
  expect_holds(error_of([&] { judge(expectations, run_); }), "metrics.jsonl:2: \"m\": expected a number");
}

TEST_F(VerdictTest, AllPassedNeedsOne) {
  write_metrics(metrics);
  auto both = expect("train/loss", "> 0");
  EXPECT_TRUE(all_passed(judge(both, run_)));
  both.push_back(expect("train/loss", "< 0").at(0));
  EXPECT_FALSE(all_passed(judge(both, run_)));
  EXPECT_FALSE(all_passed({}));
}

}  // namespace
}  // namespace orrery::engine
